"""Take commands for the safety node's arm from one commander."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from nrl_ros.base.arm_records import ArmCommandRecord
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.safety.commander import CommanderBinding, CommandOrigin, Judgement
from nrl_ros.robots.safety.records import StopReason
from nrl_ros.robots.safety.supervisor import Supervisor
from nrl_ros.ros import graph, names
from nrl_ros.ros.hearing import Sender
from nrl_ros.ros.joints import JointReader
from nrl_ros.ros.wire import NANOSECONDS

_ONE_COMMANDER = 'a single commander'
# A stop cannot be cleared within this time after commands of two commanders were mixed [s].
_MIXED_S = 1.0


class CommandIntake:
    """Passes on the commands of one commander, and stops the arm if two use one session.

    Args:
        node: the safety node: its clock, log, counters and graph.
        robot: that is commanded.
        supervisor: gets the accepted commands.

    Attributes:
        wanted: velocities of the newest accepted command [J] [rad/s].
        sequence: of that command, 0 before the first.
    """

    def __init__(self, node: Any, robot: Robot, supervisor: Supervisor) -> None:
        self._node, self._supervisor = node, supervisor
        self._most_s = robot.description.watchdog.state_skew_s
        self._names = JointReader(robot.joints)
        self.wanted = np.zeros(len(robot.joints))
        self.sequence = 0
        self._binding = CommanderBinding()
        self._publishers = graph.TopicWatch(node, names.ARM_COMMAND)
        self._mixed_at = -math.inf
        self._was_mixed = False

    @property
    def session(self) -> int:
        """Session of the commander, 0 before the first command."""
        return self._binding.session

    def release(self) -> None:
        """Bind to the next commander after a mixture, since one of the two may have gone.

        Without a mixture the commander stays bound, so that none of its old commands is followed
        again.
        """
        if self._was_mixed:
            self._was_mixed = False
            self._binding.release()

    def on_command(self, message: ArmCommandRecord, sender: Sender) -> None:
        """Judge a command, and pass it to the supervisor if it may be followed.

        Raises:
            ConversionError: it lacks a joint, or its arrays do not fit.
        """
        now = time.monotonic()
        wanted = self._names.take(message.joint, message.velocity, 'the arm command')
        origin = CommandOrigin(
            message.agent,
            message.session,
            message.sequence,
            message.stamp_ns,
            message.velocity,
            sender.gid,
        )
        judged, why = self._binding.judge(now, origin)
        if judged is Judgement.MIXED:
            self._refuse_a_mixture(now, message.agent, why)
            return
        if judged is Judgement.FOREIGN:
            self._refuse_a_second_commander(message.agent)
            return
        if judged is Judgement.BOUND:
            # A restarted environment counts from the start again.
            self.sequence = 0
            self._supervisor.on_commander(now)
        if self._is_skewed(message):
            return
        if self._supervisor.on_command(now, wanted, message.sequence):
            self.wanted, self.sequence = wanted, message.sequence

    def look(self) -> None:
        """Log who publishes commands besides the followed one; call it a few times a second."""
        now = time.monotonic()
        if math.isfinite(self._mixed_at) and now - self._mixed_at > _MIXED_S:
            self._mixed_at = -math.inf
            self._supervisor.on_permission(now, _ONE_COMMANDER, True)
        changes, present = self._publishers.look(now), self._publishers.present
        self._node.counters['commanders'] = len(present)
        if changes.came and len(present) > 1:
            self._node.get_logger().error(
                f'{len(present)} publishers of commands on {self._publishers.topic}: '
                f'{graph.named(present)}; stop all but one: one session alone is followed, and two '
                'publishers in one session stop the arm'
            )

    def _refuse_a_mixture(self, now: float, agent: str, why: str) -> None:
        """Stop the arm: if two command under one name, nobody knows which one is meant."""
        self._node.counters['commands_mixed'] += 1
        self._was_mixed = True
        self._mixed_at = now
        publishers = graph.named(graph.publishers(self._node, names.ARM_COMMAND))
        self._supervisor.stop(
            now,
            StopReason.TWO_COMMANDERS,
            f'two command the arm as one on {self._publishers.topic} (agent {agent[:64]!r}, {why}'
            f'): stop one of the publishers {publishers}',
        )
        self._supervisor.on_permission(now, _ONE_COMMANDER, False)

    def _refuse_a_second_commander(self, agent: str) -> None:
        node = self._node
        node.counters['commands_foreign'] += 1
        node.say_seldom(
            'foreign',
            f'agent {agent[:64]!r} commands an arm that another one commands already on '
            f'{self._publishers.topic}: stop one, or start it in another namespace; only the first '
            f'is followed; publishers: {graph.named(self._publishers.present)}',
            error=True,
        )

    def _is_skewed(self, message: ArmCommandRecord) -> bool:
        """Return whether a command was delayed on its way, or has a stamp of another clock."""
        stamp = message.stamp_ns
        age_s = (self._node.now_ns() - stamp) / NANOSECONDS if stamp else 0.0
        if abs(age_s) <= self._most_s:
            return False
        self._node.counters['commands_skewed'] += 1
        self._node.say_seldom(
            'skewed',
            f'a command of agent {message.agent[:64]!r} is not followed: by its stamp it is '
            f'{age_s:.3f} s old, expected at most {self._most_s} s (watchdog.state_skew_s): '
            'compare the clocks, and use_sim_time of both nodes',
            error=True,
        )
        return True
