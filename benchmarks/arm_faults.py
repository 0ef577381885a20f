"""From fault to standstill, for each fault, with the arm at full speed; for arm_realtime.py."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from arm_stack import Listener, Stack
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from std_msgs.msg import Bool, Empty
from std_srvs.srv import Trigger

from nrl_ros.arm.robot import load_robot
from nrl_ros.nodes.safety import supervisor_settings
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
    """Drives the first joint to and fro at full speed, with heartbeats and permission.

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
        self.beating = self.commanding = True
        self.broken = False
        self.since = math.nan
        node.create_timer(0.02, self._tick)
        self.running.publish(Bool(data=True))

    def _tick(self) -> None:
        if self.beating:
            self.heart.publish(Empty())
        if self.commanding:
            self._sequence += 1
            velocity = [0.0] * len(self.robot.joints)
            velocity[0] = math.nan if self.broken else self.direction * SPEED_RAD_S
            self.listener.command.publish(
                ArmCommand(
                    agent='faults',
                    session=self._session,
                    sequence=self._sequence,
                    joint=list(self.robot.joints),
                    velocity=velocity,
                )
            )

    def call(self, service: str) -> None:
        """Call a service of the safety node, wait for its answer."""
        client = self.listener.node.create_client(Trigger, f'/safety/{service}')
        self.listener.until(client.service_is_ready, service)
        self.since = time.monotonic()
        answer = client.call_async(Trigger.Request())
        self.listener.until(answer.done, service)
        self.listener.node.destroy_client(client)

    def set_driver(self, name: str, value: Any) -> None:
        """Set a parameter of the driver."""
        client = AsyncParameterClient(self.listener.node, 'arm_driver')
        self.listener.until(client.services_are_ready, 'parameters of the driver')
        self.since = time.monotonic()
        answer = client.set_parameters([Parameter(name, value=value)])
        self.listener.until(answer.done, name)


Fault = Callable[[Commander, Stack], None]


def _stop_commanding(commander: Commander, _stack: Stack) -> None:
    commander.commanding = False


def _nan(commander: Commander, _stack: Stack) -> None:
    commander.broken = True


def _emergency(commander: Commander, _stack: Stack) -> None:
    commander.emergency.publish(Bool(data=True))


def _service(commander: Commander, _stack: Stack) -> None:
    commander.call('stop')


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
        rows.append(
            {'fault': name, 'command_s': command, 'tool_s': tool, 'bound_s': _bound(folder, kind)}
        )
    return rows


def _bound(folder: Path, kind: str) -> float | None:
    """What the settings promise, None where the safety node is not there to keep it [s]."""
    robot = load_robot(str(folder / 'robot.yaml'))
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
    # Until the arm is as far from its reference as is allowed, it is not a fault.
    return whole + (TRACKING_RAD / (0.5 * SPEED_RAD_S) if kind == 'drift' else 0.0)


def _once(folder: Path, fault: Fault) -> tuple[float | None, float | None]:
    """Times from a fault until the command, and the tool, are at rest [s]."""
    description = {
        'watchdog.heartbeat_timeout_s': 0.1,
        'watchdog.running_topic': 'program_running',
        'watchdog.tracking_error_rad': TRACKING_RAD,
    }
    driver = {'command_timeout_s': _DRIVER_TIMEOUT_S}
    with Stack(folder, RATE_HZ, safety=description, driver=driver) as stack:
        listener = stack.listener()
        commander = Commander(stack, listener)
        listener.until(
            lambda: listener.speed and listener.speed[-1][1] >= SPEED_RAD_S, 'full speed', 30.0
        )
        listener.spin(_RUN_UP_S)
        listener.clear()
        commander.since = time.monotonic()
        fault(commander, stack)
        listener.spin(_AFTER_S)
        since = commander.since
        return _rest(listener.speed, since), _tool_rest(listener.tool, since)


def _rest(speed: list[tuple[float, float]], start: float) -> float | None:
    """When the commanded speed was above zero for the last time."""
    moving = [when for when, value in speed if value > 0.0]
    return max(moving[-1] - start, 0.0) + _PERIOD_S if moving else None


def _tool_rest(tool: list[tuple[float, tuple[float, float, float]]], start: float) -> float | None:
    when = np.array([time_s for time_s, _ in tool])
    points = np.array([point for _, point in tool])
    if len(points) < 2:
        return None
    moving = np.flatnonzero(np.linalg.norm(np.diff(points, axis=0), axis=1) > _REST_M)
    return float(max(when[moving[-1] + 1] - start, 0.0)) if len(moving) else None
