"""The processes around one arm, and somebody who listens to them; for arm_realtime.py."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from geometry_msgs.msg import PointStamped

from benchmarks.composed_profile import CYCLES
from nrl_ros.base.config_files import find_config, read_yaml
from nrl_ros.base.settings import dotted, nest
from nrl_ros.cli.arm import PRIORITIES
from nrl_ros.cli.config import parameter_file
from nrl_ros.ros import names, qos
from nrl_ros.ros.executor import StepExecutor
from nrl_ros.ros.interfaces import (
    Action,
    ArmCommand,
    EnvState,
    EnvStatus,
    SafetyState,
    SafetyStatus,
)
from nrl_ros.ros.middleware import UDP_ONLY, prepare_middleware
from nrl_ros.ros.scheduling import set_realtime_priority
from nrl_ros.ros.wire import WireCodec
from nrl_ros.settings.run import read_config

# Two of them in one domain stop each other's arm: choose another one by ROS_DOMAIN_ID.
DOMAIN = int(os.environ.get('ROS_DOMAIN_ID', '') or 102)
# Who listens comes after all that is measured.
LISTENER_PRIORITY = 42
ROBOT = 'ur5e'
TOOL_TOPIC = 'true_tool'
_STATE, _ACTION = WireCodec(EnvState), WireCodec(Action)


class NotHeardError(RuntimeError):
    """What was waited for did not come: the arm was stopped, or the machine is too slow."""


class Stack:
    """Driver and safety node, and on request the learning nodes, in a ROS domain of their own.

    Args:
        folder: for files of settings.
        rate_hz: of the control period.
        safety: changes of the robot description, dotted.
        driver: further parameters of the driver, dotted.
        compose: run safety node and learning nodes in one process, and a watchdog beside it.
    """

    def __init__(
        self,
        folder: Path,
        rate_hz: float,
        *,
        safety: dict[str, Any] | None = None,
        driver: dict[str, Any] | None = None,
        compose: bool = False,
    ) -> None:
        self._folder, self._compose = folder, compose
        # What the cycles of a composed arm took, once it has ended.
        self.cycles = folder / 'cycles.json'
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.logs: dict[str, Any] = {}
        self._listeners: list[Listener] = []
        robot = dotted(read_yaml(find_config(ROBOT, 'robots')))
        robot |= {'control.rate_hz': rate_hz} | (safety or {})
        self.robot = folder / 'robot.yaml'
        self.robot.write_text(yaml.safe_dump(nest(robot)))
        self._rate_hz = rate_hz
        self._driver = driver or {}

    def __enter__(self) -> Stack:
        """Start driver and safety node; if that is composed, it starts with the learning nodes."""
        robot = {'robot': str(self.robot)}
        self.start('sim_bridge.arm_driver', robot | self._driver)
        if not self._compose:
            self.start('nrl_ros.nodes.safety', robot)
        return self

    def start(self, module: str, settings: dict[str, Any]) -> None:
        """Start a node."""
        self._start(module, {module.rpartition('.')[2]: settings})

    def _start(self, module: str, nodes: dict[str, dict[str, Any]]) -> None:
        """Start a process with the settings of its nodes."""
        path = self._folder / f'{module}.yaml'
        path.write_text(parameter_file(nodes))
        self.processes[module] = subprocess.Popen(
            [sys.executable, '-m', module, '--ros-args', '--params-file', str(path)],
            env=os.environ
            | {
                'ROS_DOMAIN_ID': str(DOMAIN),
                'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
                'OPENBLAS_NUM_THREADS': '1',
                # As arm.launch.py starts them.
                UDP_ONLY: '1',
                CYCLES: str(self.cycles),
            },
            stderr=subprocess.STDOUT,
            stdout=self._log(module),
        )

    def _log(self, module: str) -> Any:
        """Where a node's output goes."""
        self.logs[module] = (self._folder / f'{module}.log').open('wb')
        return self.logs[module]

    def ended(self) -> str:
        """Nodes that have ended, with the last line that each has said."""
        lines = []
        for module, process in self.processes.items():
            if process.poll() is not None:
                said = (self._folder / f'{module}.log').read_text(errors='replace').splitlines()
                lines.append(f'{module} has ended: {said[-1] if said else "without a word"}')
        return '; '.join(lines)

    def start_learning(self) -> None:
        """Start learner, neuromodulator and the environment of the real arm."""
        nodes = read_config(find_config(ROBOT))
        nodes['environment'] |= {
            'bridge.name': 'ros2_control_arm',
            'bridge.instances': 1,
            'bridge.options.robot': str(self.robot),
            'bridge.options.action_every': 1,
            'bridge.options.episode.steps': int(4 * self._rate_hz),
            'bridge.options.episode.home_every': 5,
            'mode': 'realtime',
            'stop.steps': 0,
        }
        for name, priority in PRIORITIES.items():
            nodes[name]['realtime_priority'] = priority
        if self._compose:
            robot = {'robot': str(self.robot)}
            self.start('nrl_ros.nodes.watchdog', robot)
            self._start('benchmarks.composed_profile', nodes | {'safety': robot})
            return
        for name, settings in nodes.items():
            self.start(f'nrl_ros.nodes.{name}', settings)

    def kill(self, module: str) -> None:
        """End a process at once."""
        self.processes.pop(module).kill()

    def listener(self) -> Listener:
        """Somebody who listens."""
        self._listeners.append(Listener(self.ended, fully='topics.tool' in self._driver))
        return self._listeners[-1]

    def __exit__(self, *_: object) -> None:
        """End everything."""
        for listener in self._listeners:
            listener.close()
        for process in self.processes.values():
            process.send_signal(signal.SIGINT)
        for process in self.processes.values():
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
        for log in self.logs.values():
            log.close()


def stolen_s() -> float:
    """Time that other guests of the host took from this machine, all cores together [s]."""
    with open('/proc/stat', encoding='ascii') as file:
        return int(file.readline().split()[8]) / os.sysconf('SC_CLK_TCK')


class Listener:
    """Notes when states, actions and commands come, and where the tool is.

    Args:
        ended: says which nodes have ended, for error texts.
        fully: also what is commanded, and where the tool is, which takes much more time.
    """

    def __init__(self, ended: Callable[[], str], *, fully: bool) -> None:
        self._ended = ended
        prepare_middleware(udp_only=True)
        self.context = rclpy.Context()
        self.context.init(domain_id=DOMAIN)
        self.node = rclpy.create_node('listener', context=self.context)
        # Who measures must not disturb: rclpy's own executor takes twice the time.
        self._executor = StepExecutor(self.node)
        self.actions = 0
        self.safety: SafetyState | None = None
        self.status: SafetyStatus | None = None
        self._env: EnvStatus | None = None
        self.clear()
        # Kilted's types lack callbacks that take the bytes of a message.
        hear: Any = self.node.create_subscription
        hear(EnvState, names.STATE, self._on_state, qos.step(), raw=True)
        hear(Action, names.ACTION, self._on_action, qos.step(), raw=True)
        hear(EnvStatus, names.ENV_STATUS, self._on_env, qos.latched())
        hear(SafetyStatus, names.SAFETY_STATUS, self._on_status, qos.latched())
        if fully:
            hear(SafetyState, names.SAFETY_STATE, self._on_safety, qos.step())
            hear(PointStamped, TOOL_TOPIC, self._on_tool, qos.step())
        else:
            hear(SafetyState, names.SAFETY_STATE, self._on_command, qos.step(), raw=True)
        self.command = self.node.create_publisher(ArmCommand, names.ARM_COMMAND, qos.step())
        set_realtime_priority(LISTENER_PRIORITY)

    def clear(self) -> None:
        """Forget times."""
        self._stated: list[float] = []
        self._answered: list[float] = []
        self._commanded: list[float] = []
        self.tool: list[tuple[float, tuple[float, float, float]]] = []
        self.speed: list[tuple[float, float]] = []
        # At each status of the environment: its steps, its missing actions, periods that never
        # began, time stolen until then.
        self.history: list[tuple[int, int, int, float]] = []
        # When states came that have not been answered, by their numbers.
        self._asked: dict[int, float] = {}

    def _on_state(self, data: bytes) -> None:
        now = time.monotonic()
        self._stated.append(now)
        self._asked[_STATE.decode(data)['sequence']] = now

    def _on_action(self, data: bytes) -> None:
        now = time.monotonic()
        self.actions += 1
        asked = self._asked.pop(_ACTION.decode(data)['sequence'], None)
        if asked is not None:
            self._answered.append(now - asked)

    def _on_env(self, message: EnvStatus) -> None:
        self._env = message
        counted = dict(zip(message.counter_name, message.counter_value, strict=True))
        lost = int(counted.get('overrun_periods', 0))
        self.history.append((int(message.steps), int(message.missing_actions), lost, stolen_s()))

    def _on_command(self, data: bytes) -> None:
        seconds, nanoseconds = struct.unpack_from('<iI', data, 4)
        self._commanded.append(seconds + 1e-9 * nanoseconds)

    def _on_safety(self, message: SafetyState) -> None:
        now = time.monotonic()
        self.safety = message
        self.speed.append((now, max((abs(value) for value in message.velocity), default=0.0)))

    def _on_status(self, message: SafetyStatus) -> None:
        self.status = message

    def _on_tool(self, message: PointStamped) -> None:
        point = message.point
        self.tool.append((time.monotonic(), (point.x, point.y, point.z)))

    def spin(self, seconds: float) -> None:
        """Listen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.run_once()

    def until(self, holds: Callable[[], Any], what: str, timeout_s: float = 20.0) -> None:
        """Listen until something holds."""
        end = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > end:
                why = '' if self.status is None else f'; safety node: {self.status.why or "fine"}'
                raise NotHeardError(f'{what}: not within {timeout_s} s{why}; {self._ended()}')
            self._executor.run_once()

    def counted(self) -> dict[str, int]:
        """Counters of environment and safety node, fresh ones."""
        self._env = self.status = None
        self.until(lambda: self._env and self.status, 'status')
        assert self._env is not None and self.status is not None
        env = dict(zip(self._env.counter_name, self._env.counter_value, strict=True))
        safety = dict(zip(self.status.counter_name, self.status.counter_value, strict=True))
        return {
            'late_actions': self._env.late_actions,
            'overrun_periods': env.get('overrun_periods', 0),
            'stops': sum(value for name, value in safety.items() if name.startswith('stop_')),
        }

    def latency_ms(self) -> np.ndarray:
        """From each state to its action."""
        return 1e3 * np.array(self._answered)

    def periods_ms(self) -> np.ndarray:
        """Between states within an episode: homing lies between episodes."""
        periods = 1e3 * np.diff(self._stated)
        return periods[periods < 20.0 * np.median(periods)]

    def command_periods_ms(self) -> np.ndarray:
        """Between commands, by their own stamps."""
        return 1e3 * np.diff(self._commanded)

    def close(self) -> None:
        """Leave; nodes that are started after this must not inherit the priority."""
        set_realtime_priority(0)
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()
