"""From fault to standstill, for each fault, with the arm at full speed; for arm_realtime.py."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Empty
from std_srvs.srv import Trigger

from benchmarks.arm_stack import TOOL_TOPIC, Listener, NotHeardError, Stack
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.supervision import supervisor_settings
from nrl_ros.robots.safety.motion import PULL
from nrl_ros.ros import qos
from nrl_ros.ros.interfaces import ArmCommand

RATE_HZ = 125.0
SPEED_RAD_S = 1.0
TRACKING_RAD = 0.05
_PERIOD_S = 1.0 / RATE_HZ
_REST_M = 1e-6
_DRIVER_TIMEOUT_S = 0.1
# Seconds that the arm is let run up, and watched afterwards.
_RUN_UP_S, _AFTER_S = 0.6, 1.5


class Commander:
    """Drives the first joint at full speed, with heartbeats and permission.

    All that a fault needs is found before anything moves: who looks for a service while the arm
    drives on finds it at the limit of its joint, at rest.

    Args:
        stack: the processes.
        listener: spins.
    """

    def __init__(self, stack: Stack, listener: Listener) -> None:
        self.listener = listener
        self.robot = load_robot(str(stack.robot))
        self._session, self._sequence, self.direction = time.time_ns(), 0, 1.0
        node = listener.node
        self.emergency = node.create_publisher(Bool, 'emergency_stop', qos.event())
        self.running = node.create_publisher(Bool, 'program_running', qos.latched())
        self.heart = node.create_publisher(Empty, 'heartbeat', qos.event())
        self.beating, self.commanding, self.broken = True, False, False
        self.since = math.nan
        # When each joint state came, and how fast it says that the first joint is [s, rad/s].
        self.joints: list[tuple[float, float]] = []
        node.create_subscription(JointState, 'joint_states', self._on_joints, qos.step())
        self._stop: Any = node.create_client(Trigger, '/safety/stop')
        self._driver = AsyncParameterClient(node, 'arm_driver')
        node.create_timer(0.02, self._tick)
        self.running.publish(Bool(data=True))

    def drive(self) -> None:
        """Bring the arm to full speed, once everything is there.

        Raises:
            NotHeardError: it does not drive, or not any more.
        """
        listener = self.listener
        listener.until(self._stop.service_is_ready, 'service ~/stop')
        listener.until(self._driver.services_are_ready, 'parameters of the driver')
        listener.until(lambda: listener.speed and listener.tool and self.joints, 'the arm')
        self.commanding = True
        listener.until(self._at_full_speed, 'full speed')
        listener.spin(_RUN_UP_S)
        if not self._at_full_speed():
            raise NotHeardError('the arm was to drive at full speed, and does not any more')

    def _at_full_speed(self) -> bool:
        speed = self.listener.speed
        return bool(speed) and speed[-1][1] >= SPEED_RAD_S * (1.0 - 1e-9)

    def _on_joints(self, message: JointState) -> None:
        at = message.name.index(self.robot.joints[0])
        self.joints.append((time.monotonic(), message.velocity[at]))

    def _tick(self) -> None:
        if self.beating:
            self.heart.publish(Empty())
        if self.commanding:
            self._sequence += 1
            velocity = self.wanted()
            if self.broken:
                velocity[0] = math.nan
            self.listener.command.publish(self.command(velocity, self._sequence))

    def wanted(self) -> list[float]:
        """Return the velocities to ask for [J, rad/s]."""
        return [self.direction * SPEED_RAD_S] + [0.0] * (len(self.robot.joints) - 1)

    def command(self, velocity: list[float], sequence: int) -> ArmCommand:
        """Return a command of this session."""
        return ArmCommand(
            agent='faults',
            session=self._session,
            sequence=sequence,
            joint=list(self.robot.joints),
            velocity=velocity,
        )

    def stop(self) -> None:
        """Call ~/stop of the safety node, wait for its answer."""
        self.since = time.monotonic()
        answer = self._stop.call_async(Trigger.Request())
        self.listener.until(answer.done, '~/stop')

    def set_driver(self, name: str, value: Any) -> None:
        """Set a parameter of the driver."""
        answer = self._driver.set_parameters([Parameter(name, value=value)])
        self.listener.until(answer.done, name)

    def silent_since(self) -> None:
        """The fault began when the last joint state had come."""
        self.since = self.joints[-1][0]

    def slow_since(self) -> None:
        """The fault began when the joint states told of it first."""
        slow = (when for when, speed in self.joints if abs(speed) < 0.75 * SPEED_RAD_S)
        self.since = next((when for when in slow if when > self.since), math.nan)


Fault = Callable[[Commander, Stack], None]


def _stop_commanding(commander: Commander, _stack: Stack) -> None:
    commander.commanding = False


def _nan(commander: Commander, _stack: Stack) -> None:
    commander.broken = True


def _emergency(commander: Commander, _stack: Stack) -> None:
    commander.emergency.publish(Bool(data=True))


def _service(commander: Commander, _stack: Stack) -> None:
    commander.stop()


def _freeze(commander: Commander, _stack: Stack) -> None:
    commander.set_driver('fault.freeze_states', value=True)


def _weak(commander: Commander, _stack: Stack) -> None:
    commander.set_driver('fault.strength', [0.5] + [1.0] * (len(commander.robot.joints) - 1))


def _withdraw(commander: Commander, _stack: Stack) -> None:
    commander.running.publish(Bool(data=False))


def _heart_stops(commander: Commander, _stack: Stack) -> None:
    commander.beating = False


def _kill_safety(_commander: Commander, stack: Stack) -> None:
    stack.kill('nrl_ros.nodes.safety')


FAULTS: dict[str, tuple[Fault, str]] = {
    'commands stop coming (learner or environment dead)': (_stop_commanding, 'hold'),
    'commands are not numbers': (_nan, 'hold'),
    'emergency stop topic': (_emergency, 'at once'),
    'service ~/stop': (_service, 'at once'),
    'joint states stop coming': (_freeze, 'stop'),
    'a joint follows half of its command': (_weak, 'drift'),
    "the robot's program stops": (_withdraw, 'at once'),
    'the dead man lets go': (_heart_stops, 'stop'),
    'the safety node is killed': (_kill_safety, 'driver'),
}


def faults(folder: Path, repeats: int) -> list[dict[str, Any]]:
    """Each fault, so many times."""
    rows = []
    for name, (fault, kind) in FAULTS.items():
        times = [_once(folder, fault) for _ in range(repeats)]
        command = [value for value, _ in times if value is not None]
        tool = [value for _, value in times if value is not None]
        bound = bound_s(folder / 'robot.yaml', kind)
        rows.append({'fault': name, 'command_s': command, 'tool_s': tool, 'bound_s': bound})
    return rows


def bound_s(robot_file: Path, kind: str) -> float | None:
    """Return what the settings promise, None where the safety node is not there to keep it [s]."""
    robot = load_robot(str(robot_file))
    settings = supervisor_settings(robot)
    if kind == 'driver':
        return None
    if kind == 'hold':
        return settings.hold_time_s(robot.limits, robot.period_s)
    whole = settings.standstill_time_s(robot.limits, robot.period_s)
    if kind == 'at once':
        detection = max(
            settings.state_timeout_s, settings.tracking_time_s, settings.heartbeat_timeout_s
        )
        return whole - detection
    # Until the arm is as far from its reference as is allowed, it is not a fault; the anchor pulls
    # the reference after the arm meanwhile.
    return whole + (TRACKING_RAD / ((0.5 - PULL) * SPEED_RAD_S) if kind == 'drift' else 0.0)


def watched_stack(folder: Path, *, command_timeout_s: float = _DRIVER_TIMEOUT_S) -> Stack:
    """Return driver and safety node with every watchdog on.

    Args:
        folder: of their files.
        command_timeout_s: after which the driver stops by itself; 0: never [s].
    """
    description = {
        'watchdog.heartbeat_timeout_s': 0.1,
        'watchdog.running_topic': 'program_running',
        'watchdog.tracking_error_rad': TRACKING_RAD,
    }
    driver = {'command_timeout_s': command_timeout_s, 'topics.tool': TOOL_TOPIC}
    return Stack(folder, RATE_HZ, safety=description, driver=driver)


def _once(folder: Path, fault: Fault) -> tuple[float | None, float | None]:
    """Times from a fault until the command, and the tool, are at rest [s]."""
    with watched_stack(folder) as stack:
        listener = stack.listener()
        commander = Commander(stack, listener)
        commander.drive()
        listener.clear()
        commander.since = time.monotonic()
        fault(commander, stack)
        listener.spin(_AFTER_S)
        if fault is _freeze:
            commander.silent_since()
        elif fault is _weak:
            commander.slow_since()
        since = commander.since
        return command_rest(listener.speed, since), _tool_rest(listener.tool, since)


def command_rest(speed: list[tuple[float, float]], start: float) -> float | None:
    """Return when the commanded speed was above zero for the last time."""
    moving = [when for when, value in speed if value > 0.0]
    return max(moving[-1] - start, 0.0) + _PERIOD_S if moving else None


def _tool_rest(tool: list[tuple[float, tuple[float, float, float]]], start: float) -> float | None:
    when = np.array([time_s for time_s, _ in tool])
    points = np.array([point for _, point in tool])
    if len(points) < 2:
        return None
    moving = np.flatnonzero(np.linalg.norm(np.diff(points, axis=0), axis=1) > _REST_M)
    return float(max(when[moving[-1] + 1] - start, 0.0)) if len(moving) else None
