"""An arm under random faults: does it keep its limits, how soon does it stand; for trust.py.

The simulated driver and the safety node run as processes. A commander drives the first joint at
full speed and the others at random, also faster than is allowed. A fault comes, the arm must come
to rest or go on within its limits; the fault is undone, the stop is cleared, the arm drives again.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from benchmarks.arm_faults import (
    FAULTS,
    SPEED_RAD_S,
    Commander,
    bound_s,
    command_rest,
    watched_stack,
)
from benchmarks.arm_stack import Stack
from nrl_ros.ros import names, qos
from nrl_ros.ros.interfaces import SafetyState

SAFETY = 'nrl_ros.nodes.safety'
KILLED = 'the safety node is killed'
LIAR = 'liar'
# Way of the tool between two of its messages below which the arm stands [m], for so long [s].
_STILL_M, _STILL_S = 2e-5, 0.3
# Longest wait for it [s].
_REST_S = 5.0
_RECOVER_S = 40.0
_CLEAR_EVERY_S = 0.3
_CHOOSE_EVERY_S = 4.0
# Roundings that are no violation of a limit: radians, and a share of a speed.
_POSITION_RAD, _SPEED_SHARE = 1e-6, 1.0 + 1e-6
# How far a braking arm may bulge out of its guard (docs/safety.md) [m].
_BULGE_M = 0.002
_MESSAGES = 40
_SLOW_RAD_S = 0.2


class Sample(NamedTuple):
    """What the driver itself says: when [s], positions [J, rad], velocities [J, rad/s]."""

    time_s: float
    position: list[float]
    velocity: list[float]


class Rider(Commander):
    """Drives all joints, and notes where the arm truly is.

    Args:
        stack: the processes.
        choose: random numbers.
        top: speed of the first joint [rad/s].
    """

    def __init__(self, stack: Stack, choose: random.Random, top: float) -> None:
        self._choose, self._top = choose, top
        self.samples: list[Sample] = []
        self._others: list[float] = []
        super().__init__(stack, stack.listener())
        self._clear: Any = self.listener.node.create_client(Trigger, '/safety/clear')
        self._joints: list[str] = []

    def wanted(self) -> list[float]:
        """Return the velocities to ask for [J, rad/s]."""
        return [self.direction * self._top, *self._others]

    def _at_full_speed(self) -> bool:
        speed = self.listener.speed
        return bool(speed) and speed[-1][1] >= self._top * (1.0 - 1e-9)

    def _on_joints(self, message: JointState) -> None:
        if message.header.frame_id == LIAR:
            return
        super()._on_joints(message)
        index = [message.name.index(joint) for joint in self.robot.joints]
        position = [message.position[at] for at in index]
        velocity = [message.velocity[at] for at in index]
        self.samples.append(Sample(time.monotonic(), position, velocity))

    def drive_anew(self) -> None:
        """Clear a stop, and bring the first joint to full speed, away from its nearer limit.

        Raises:
            NotHeardError: it does not drive.
        """
        self._choose_way()
        self.commanding = True
        self.listener.speed.clear()
        cleared, chosen = -math.inf, time.monotonic()

        def drives() -> bool:
            nonlocal cleared, chosen
            now = time.monotonic()
            status = self.listener.status
            stopped = status is not None and status.mode == SafetyState.MODE_STOPPED
            if stopped and now - cleared > _CLEAR_EVERY_S:
                cleared = now
                self._clear.call_async(Trigger.Request())
            if now - chosen > _CHOOSE_EVERY_S:
                # The guard may hold it where this way leads.
                chosen = now
                self._choose_way()
            return self._at_full_speed()

        self.listener.until(drives, 'full speed', _RECOVER_S)

    def _choose_way(self) -> None:
        """Away from the nearer limit of the first joint, the others at random."""
        last = self.samples[-1].position[0] if self.samples else 0.0
        self.direction = -1.0 if last > 0.0 else 1.0
        share = 0.3 * self._top
        limits = self.robot.limits.velocity[1:]
        self._others = [self._choose.uniform(-share, share) * speed for speed in limits]
        if self._top == SPEED_RAD_S and self._choose.random() < 0.3:
            # What is too fast must be limited.
            self._others[-1] = 1.5 * limits[-1]

    def rest_s(self, since: float) -> float | None:
        """Wait until the tool stands; return how long after a moment it still moved [s]."""
        tool = self.listener.tool
        end = time.monotonic() + _REST_S
        while time.monotonic() < end:
            self.listener.spin(0.05)
            moved = last_motion(tool, since)
            if tool and tool[-1][0] - max(moved, since) > _STILL_S:
                return moved - since
        return None


def last_motion(tool: list[tuple[float, tuple[float, float, float]]], since: float) -> float:
    """Return when the tool moved for the last time, ``since`` if it has not moved after that."""
    for (_, before), (when, point) in zip(tool[-2::-1], tool[:0:-1], strict=True):
        if when <= since or math.dist(before, point) > _STILL_M:
            return max(when, since)
    return since


def _old_commands(rider: Rider) -> None:
    """Commands of before, doubled and in any order."""
    for _ in range(_MESSAGES):
        sequence = max(1, rider._sequence - rider._choose.randrange(0, 30))
        rider.listener.command.publish(rider.command(rider.wanted(), sequence))
        rider.listener.spin(0.01)


def _garbage(rider: Rider) -> None:
    """Commands of wrong lengths, names and numbers, in the session that is followed."""
    joints = list(rider.robot.joints)
    for _ in range(_MESSAGES):
        message = rider.command(rider.wanted(), rider._sequence)
        names_ = rider._choose.choice([joints, joints[:-1], [*joints, joints[0]], [], ['x'] * 6])
        message.joint = names_
        number = rider._choose.choice([math.nan, math.inf, 1e300])
        message.velocity = [number] * rider._choose.choice([0, 1, len(joints)])
        rider.listener.command.publish(message)
        rider.listener.spin(0.01)


def _foreign(rider: Rider) -> None:
    """Commands of another session."""
    message = rider.command([5.0] * len(rider.robot.joints), 1)
    message.agent, message.session = 'stranger', 77
    for sequence in range(1, _MESSAGES):
        message.sequence = sequence
        rider.listener.command.publish(message)
        rider.listener.spin(0.01)


def _far_ahead(rider: Rider) -> None:
    """Commands of the true session with a sequence far ahead."""
    for number in range(_MESSAGES):
        velocity = [5.0] * len(rider.robot.joints)
        rider.listener.command.publish(rider.command(velocity, 2**63 + number))
        rider.listener.spin(0.01)


def _safety_lies(rider: Rider) -> None:
    """States of the safety node that it has not said: nothing may come of them."""
    out = rider.listener.node.create_publisher(SafetyState, names.SAFETY_STATE, qos.step())
    for _ in range(_MESSAGES):
        out.publish(SafetyState(mode=77, session=1, limited=255))
        rider.listener.spin(0.01)
    rider.listener.node.destroy_publisher(out)
    rider.listener.speed.clear()


def _second_joint_states(rider: Rider) -> None:
    """Somebody else says where the arm is: where it was when he began."""
    out = rider.listener.node.create_publisher(JointState, 'joint_states', qos.step())
    first = rider.samples[-1]
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        message = JointState(
            name=list(rider.robot.joints), position=first.position, velocity=first.velocity
        )
        message.header.frame_id = LIAR
        message.header.stamp = rider.listener.node.get_clock().now().to_msg()
        out.publish(message)
        rider.listener.spin(1.0 / 60.0)
    rider.listener.node.destroy_publisher(out)


MESSAGES = {
    'commands doubled and out of order': _old_commands,
    'commands that are garbage': _garbage,
    'commands of another session': _foreign,
    'commands with a number far ahead': _far_ahead,
    'states of the safety node made up': _safety_lies,
    'joint states of a second publisher': _second_joint_states,
}


class ArmTrial:
    """Random faults, one after the other, on one arm.

    Args:
        folder: of its files.
        seed: fixes the faults.
        keeps_last_command: whether the driver goes on with its last command when none comes.
    """

    def __init__(self, folder: Path, seed: int, *, keeps_last_command: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._choose = random.Random(seed)
        timeout = {'command_timeout_s': 0.0} if keeps_last_command else {}
        self._stack = watched_stack(folder, **timeout)
        # An arm that nobody commands keeps no limit: it must come to rest before it reaches one.
        self._top = _SLOW_RAD_S if keeps_last_command else SPEED_RAD_S
        self.done: Counter[str] = Counter()
        self.rests: dict[str, list[tuple[float | None, float | None]]] = {}
        self.violations: list[str] = []

    def inject(self, kinds: list[str]) -> None:
        """Let these faults befall the arm, in any order."""
        self._choose.shuffle(kinds)
        with self._stack as stack:
            rider = Rider(stack, self._choose, self._top)
            rider.listener.until(lambda: rider.samples, 'joint states')
            rider.listener.until(rider._driver.services_are_ready, 'parameters of the driver')
            for kind in kinds:
                rider.drive_anew()
                rider.listener.spin(self._choose.uniform(0.1, 0.5))
                self._befall(rider, kind)
                self.done[kind] += 1
            self._look_for_violations(rider)

    def _befall(self, rider: Rider, kind: str) -> None:
        """Make a fault, wait for rest where it must stop the arm, and undo it."""
        if kind in MESSAGES:
            MESSAGES[kind](rider)
            return
        listener = rider.listener
        listener.clear()
        rider.since = time.monotonic()
        FAULTS[kind][0](rider, self._stack)
        if kind == KILLED:
            self._stack.start(SAFETY, {'robot': str(self._stack.robot)})
        arm = rider.rest_s(rider.since)
        since = rider.since
        if kind == 'joint states stop coming':
            rider.silent_since()
        elif kind == 'a joint follows half of its command':
            rider.slow_since()
        shift = rider.since - since
        command = None if kind == KILLED else command_rest(listener.speed, rider.since)
        self.rests.setdefault(kind, []).append((command, None if arm is None else arm - shift))
        self._undo(rider, kind)

    def _undo(self, rider: Rider, kind: str) -> None:
        rider.beating, rider.broken = True, False
        rider.running.publish(Bool(data=True))
        rider.emergency.publish(Bool(data=False))
        if kind == 'joint states stop coming':
            rider.set_driver('fault.freeze_states', value=False)
        elif kind == 'a joint follows half of its command':
            rider.set_driver('fault.strength', [1.0] * len(rider.robot.joints))

    def _look_for_violations(self, rider: Rider) -> None:
        """Hold everything that the arm did against its limits."""
        hard, robot = rider.robot.hard, rider.robot
        position = np.array([one.position for one in rider.samples])
        speed = np.abs([one.velocity for one in rider.samples])
        beyond = np.maximum(
            np.array(hard.position_low) - position, position - np.array(hard.position_high)
        ).max(axis=1)
        faster = (speed - np.array(hard.velocity) * _SPEED_SHARE).max(axis=1)
        outside = robot.guard().violation(position) - robot.description.workspace.margin_m
        for what, excess, forgiven in (
            ('rad beyond a joint limit', beyond, _POSITION_RAD),
            ('rad/s above a speed limit', faster, 0.0),
            ('m outside of its guard', outside, _BULGE_M),
        ):
            if excess.max() > forgiven:
                self.violations.append(f'{excess.max():.6f} {what}')

    def bounds(self) -> dict[str, Any]:
        """Return the largest times to standstill by kind, beside what the settings promise [s]."""
        rows = {}
        for kind, times in self.rests.items():
            command = [value for value, _ in times if value is not None]
            arm = [value for _, value in times if value is not None]
            rows[kind] = {
                'times': len(times),
                'never': sum(value is None for _, value in times),
                'command_s': max(command, default=None),
                'arm_s': max(arm, default=None),
                'bound_s': bound_s(self._stack.robot, FAULTS[kind][1]),
            }
        return rows
