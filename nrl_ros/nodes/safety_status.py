"""Reports of the safety node: its state, its status, its log, and its diagnostics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray

from nrl_ros.base.arm_records import SafetyStateRecord
from nrl_ros.nodes.safety_commands import CommandIntake
from nrl_ros.robots.arm.clearance import without_shape
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.robot_checks import nearest_limit
from nrl_ros.robots.safety.announcer import Announcer
from nrl_ros.robots.safety.braking import Limited
from nrl_ros.robots.safety.records import Mode, StopReason, SupervisorOutput
from nrl_ros.robots.safety.standing import PRESS
from nrl_ros.robots.safety.supervisor import Supervisor
from nrl_ros.ros import conversion
from nrl_ros.ros.diagnostics import ERROR, OK, WARN, diagnostics
from nrl_ros.ros.interfaces import SafetyStatus
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.wire import nanoseconds
from nrl_ros.settings.safety import SafetyNodeSettings

_NOTHING = np.zeros(0)
# What the node waits for is logged after it has been the same for this time [s].
_WAITS_S = 2.0
# The same limit is told again after this time at the earliest, if another one was in between [s].
_LIMITS_S = 60.0
# Time between two reports of an arm that is commanded to stand and does not stand [s].
_ALARM_S = 1.0


class SafetyPublishers(NamedTuple):
    """Publishers of SafetyState, SafetyStatus and DiagnosticArray."""

    state: Any
    status: Any
    diagnostics: Any


class SafetyReports:
    """Reports what the safety node does: to other nodes in each period, to people when it changes.

    Args:
        node: the safety node: its clock, log, counters and settings.
        publishers: of the node.
        robot: that is commanded.
        supervisor: of the robot.
        commands: the intake of commands that the supervisor follows.
        standstill_s: longest time from a fault to an arm that is commanded to stand [s].

    Attributes:
        output: what the supervisor decided last.
    """

    def __init__(
        self,
        node: NrlNode[SafetyNodeSettings],
        publishers: SafetyPublishers,
        robot: Robot,
        supervisor: Supervisor,
        commands: CommandIntake,
        *,
        standstill_s: float,
    ) -> None:
        self._node, self._publishers = node, publishers
        self._robot, self._supervisor, self._commands = robot, supervisor, commands
        self.output = SupervisorOutput(
            Mode.WAITING, StopReason(0), '', None, None, 0, False, -1, math.inf, math.inf
        )
        self._standstill_s = standstill_s
        self._watched = watched_fields(robot)
        self._periods: list[float] = []
        self._ticked_at = self._jitter_s = math.nan
        self._waits = Announcer(hold_s=_WAITS_S)
        # Where the guard changed a command last since the report before, and what it kept from.
        self._limited_at: NDArray[Any] | None = None
        self._limits = Announcer(again_s=_LIMITS_S)
        self._guard = robot.guard()

    def tell(
        self, now: float, output: SupervisorOutput, measured: NDArray[Any], *, leaving: bool
    ) -> None:
        """Publish a period's state, and log what has changed.

        Args:
            now: time of the steady clock [s].
            output: what the supervisor decided.
            measured: newest positions of the joints [J] [rad].
            leaving: True if the node stops the arm because it ends, which is no error.
        """
        if not math.isnan(self._ticked_at):
            self._periods.append(now - self._ticked_at)
        self._ticked_at = now
        before, self.output = self.output, output
        if output.limited & Limited.WORKSPACE:
            self._limited_at = measured if output.position is None else output.position
        self._say(before, output, leaving=leaving)
        record = self._state_record(output, measured)
        self._publishers.state.publish(conversion.safety_state_to_wire(record))

    def _say(self, before: SupervisorOutput, output: SupervisorOutput, *, leaving: bool) -> None:
        node = self._node
        if PRESS in output.alarm:
            node.say_seldom('alarm', f'the arm: {output.alarm}', every_s=_ALARM_S, error=True)
        # While programs are starting, a short wait is not worth a line in the log.
        waits = output.text if output.mode == Mode.WAITING else ''
        if self._waits.due(self._ticked_at, waits):
            node.get_logger().warning(f'WAITING: {output.text}')
            self.publish_status()
        if (output.mode, output.cause) == (before.mode, before.cause):
            return
        if output.cause and output.cause == before.cause:
            # Braking and rest may alternate, for example while somebody moves a stopped arm.
            node.get_logger().info(f'{output.mode.name}: {output.text}')
        elif output.cause and not leaving:
            node.get_logger().error(
                f'{output.mode.name}: {output.text}; when that is mended, call '
                f'{node.get_fully_qualified_name()}/clear'
            )
        else:
            node.get_logger().info(f'{output.mode.name}{": " if output.text else ""}{output.text}')
        self.publish_status()

    def _state_record(self, output: SupervisorOutput, measured: NDArray[Any]) -> SafetyStateRecord:
        return SafetyStateRecord(
            session=self._commands.session,
            sequence=self._commands.sequence,
            mode=int(output.mode),
            cause=int(output.cause),
            limited=output.limited,
            dry_run=self._node.settings.dry_run,
            command_age_s=output.command_age_s,
            state_age_s=output.state_age_s,
            joint=self._robot.joints,
            wanted=self._commands.wanted,
            velocity=_NOTHING if output.velocity is None else output.velocity,
            position=_NOTHING if output.position is None else output.position,
            measured=measured,
            stamp_ns=self._node.now_ns(),
        )

    def _limited_by(self) -> str:
        """Return what the guard kept the arm from since the last report; '' if from nothing.

        It is computed here, so that a period costs no more for it.
        """
        at, self._limited_at = self._limited_at, None
        if at is None:
            return ''
        robot = self._robot
        text = nearest_limit(robot.description, self._guard, at, robot.obstacles)
        if self._limits.due(self._ticked_at, text):
            self._node.get_logger().info(f'the motion is limited: {text}')
        return text

    def publish_status(self) -> None:
        """Publish the status and the diagnostics."""
        node, robot, output = self._node, self._robot, self.output
        if self._periods:
            self._jitter_s, self._periods = float(np.std(self._periods)), []
        counted = dict(self._supervisor.counters) | dict(node.counters)
        message = SafetyStatus(
            robot=robot.description.name,
            manifest=robot.digest(),
            mode=int(output.mode),
            why=output.text,
            alarm=output.alarm,
            at_rest=output.at_rest,
            dry_run=node.settings.dry_run,
            speed_share=node.settings.speed_share,
            standstill_s=self._standstill_s,
            jitter_s=self._jitter_s,
            counter_name=list(counted),
            counter_value=list(counted.values()),
            **self._watched,
        )
        conversion.set_stamp(message.header.stamp, node.now_ns())
        self._publishers.status.publish(message)
        name = node.get_fully_qualified_name().lstrip('/')
        told = safety_diagnostics(name, message, output, robot.notes, self._limited_by())
        self._publishers.diagnostics.publish(told)


def watched_fields(robot: Robot) -> dict[str, Any]:
    """Return the fields of SafetyStatus that say what keeps an arm from touching itself."""
    kept, choice = robot.description.workspace.clearance_m, robot.clearance.choice
    watched = choice.watched if kept else ()
    return {
        'clearance_m': kept if watched else 0.0,
        'watched_pair': [' and '.join(pair) for pair in watched],
        'unwatched_pair': [' and '.join(pair) for pair in (*choice.touching, *choice.excluded)],
        'unwatched_link': without_shape(robot.model),
    }


def safety_diagnostics(
    node: str,
    status: SafetyStatus,
    output: SupervisorOutput,
    notes: Sequence[str],
    limited_by: str = '',
) -> DiagnosticArray:
    """Return the status as diagnostics: an error if the arm is stopped, or moves when it must not.

    Args:
        node: name of the safety node.
        status: the present one.
        output: from which the status was made.
        notes: on the robot's description.
        limited_by: what the guard kept the arm from; '': it changed no command.
    """
    mode, cause = output.mode, output.cause
    level, text = OK, mode.name.lower()
    if cause or status.alarm:
        level, text = ERROR, status.why
    elif mode in (Mode.WAITING, Mode.HOLDING):
        level = WARN
    values = {
        'robot': status.robot,
        'manifest': status.manifest,
        'notes': '; '.join(notes),
        'dry run': status.dry_run,
        'at rest': status.at_rest,
        'speed share': f'{status.speed_share:g}',
        'jitter of the control period [s]': f'{status.jitter_s:.6f}',
        'clearance [m]': f'{status.clearance_m:g}',
        'pairs of links watched': len(status.watched_pair),
        'links without a shape': ', '.join(status.unwatched_link),
        'limited by': limited_by,
        'cause': ', '.join(kind.name or '' for kind in StopReason if kind & cause),
        **dict(zip(status.counter_name, status.counter_value, strict=True)),
    }
    return diagnostics(
        f'{node}: arm',
        text,
        values,
        level=level,
        hardware=status.robot,
        stamp_ns=nanoseconds(status.header.stamp),
    )
