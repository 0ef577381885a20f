"""Real nodes as processes, a probe that speaks with them, and the same run without ROS.

Nothing here sleeps: every wait is for an event and has a time limit.
"""

from __future__ import annotations

import itertools
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped, Twist
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Bool, Empty, Float32, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning import loop
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.interfaces import (
    Action,
    ArmCommand,
    EnvInfo,
    EnvState,
    EnvStatus,
    EpisodeReport,
    GetLearnerState,
    HumanReward,
    LearnerStatus,
    LoadCheckpoint,
    Neuromodulation,
    NeuromodulatorStatus,
    Reward,
    SafetyState,
    SafetyStatus,
    SaveCheckpoint,
)
from nrl_ros.settings.run import check
from nrl_ros.storage.checkpoint import read_checkpoint

TIMEOUT_S = 30.0
# A call without an answer is repeated.
ASK_AGAIN_S = 3.0
# Exit after SIGINT or SIGTERM.
EXIT_S = 2.0
ROOT = Path(__file__).parents[2]
# What the robots of these tests are told by and tell.
VELOCITY = 'forward_velocity_controller/commands'
POSITION = 'forward_position_controller/commands'
TRAJECTORY = 'joint_trajectory_controller/joint_trajectory'
JOINT_STATES, EMERGENCY, TARGET = 'joint_states', 'emergency_stop', 'target'
BY_HAND = 'freedrive'
RUNNING = 'robot_program_running'
# A test that is held up must not miss any of what comes each period.
EACH = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
TOPICS = {
    names.ENV_INFO: (EnvInfo, qos.latched(64)),
    names.STATE: (EnvState, qos.step()),
    names.ACTION: (Action, qos.step()),
    names.REWARD: (Reward, qos.event()),
    names.NEUROMODULATION: (Neuromodulation, qos.event()),
    names.EPISODES: (EpisodeReport, qos.event()),
    names.ENV_STATUS: (EnvStatus, qos.latched()),
    names.LEARNER_STATUS: (LearnerStatus, qos.latched()),
    names.NEUROMODULATOR_STATUS: (NeuromodulatorStatus, qos.latched()),
    names.ARM_COMMAND: (ArmCommand, EACH),
    names.SAFETY_STATE: (SafetyState, EACH),
    names.SAFETY_STATUS: (SafetyStatus, qos.latched()),
    names.DIAGNOSTICS: (DiagnosticArray, qos.event()),
    names.HEARTBEAT: (Empty, qos.event()),
    VELOCITY: (Float64MultiArray, EACH),
    POSITION: (Float64MultiArray, EACH),
    TRAJECTORY: (JointTrajectory, EACH),
    JOINT_STATES: (JointState, EACH),
    EMERGENCY: (Bool, qos.event()),
    BY_HAND: (Bool, qos.event()),
    RUNNING: (Bool, qos.latched()),
    TARGET: (PointStamped, qos.event()),
    names.HUMAN_REWARD: (Float32, qos.event()),
    names.HUMAN_REWARD_GIVEN: (HumanReward, qos.event()),
    f'{names.HUMAN_REWARD}/agent': (Float32, qos.event()),
    f'{names.INTERVENTION}/agent': (Float64MultiArray, qos.event()),
    f'{names.INTERVENTION}/agent/twist': (Twist, qos.event()),
    names.JOY: (Joy, qos.event()),
}
SERVICES = {
    names.SAVE_CHECKPOINT: SaveCheckpoint,
    names.LOAD_CHECKPOINT: LoadCheckpoint,
    names.GET_STATE: GetLearnerState,
}
_MODULES = {'app': 'nrl_ros.nodes.composed', 'arm_driver': 'sim_bridge.arm_driver'}
# Domains of these tests: 40 to 100, other ones than those that are written in a test.
_DOMAINS = itertools.cycle([40 + (os.getpid() + number) % 61 for number in range(61)])
# Shared memory that killed processes leave, by port; a domain has 250 ports from here on (RTPS).
_SHARED = Path('/dev/shm')
_LEFT_PORT = re.compile(r'(?:sem\.)?fast(?:dds|rtps)_port(\d+)\D*')
_DOMAIN_PORTS = (7_400, 250)
# A TCP port for each, held by whoever uses it: tests that run at the same time must not meet.
_FIRST_PORT = 21_000

Flat = dict[str, Any]


class Process:
    """A node in a process of its own; its output is kept."""

    def __init__(
        self, command: Sequence[str], domain: int, variables: Mapping[str, str] | None = None
    ) -> None:
        self.output = ''
        self.command = ' '.join(command)
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={
                **os.environ,
                'ROS_DOMAIN_ID': str(domain),
                'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
                'OPENBLAS_NUM_THREADS': '1',
                'PYTHONUNBUFFERED': '1',
                **(variables or {}),
            },
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.process.stdout, selectors.EVENT_READ)

    def _read(self, timeout_s: float) -> bool:
        """Take what has been written; False at its end."""
        assert self.process.stdout is not None
        if not self._selector.select(max(timeout_s, 0.0)):
            return True
        data = self.process.stdout.read()
        self.output += (data or b'').decode(errors='replace')
        return data != b''

    def until_logged(self, text: str, timeout_s: float = TIMEOUT_S) -> str:
        """Wait until a text was written; returns all output."""
        end = time.monotonic() + timeout_s
        while text not in self.output:
            alive = self._read(end - time.monotonic())
            assert text in self.output or (alive and time.monotonic() < end), (
                f'{text!r} was not written; output:\n{self.output}'
            )
        return self.output

    def logged(self, text: str) -> bool:
        """Whether a text has been written by now."""
        self._read(0.0)
        return text in self.output

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Wait for the end; returns the exit code."""
        end = time.monotonic() + timeout_s
        while self._read(end - time.monotonic()):
            assert time.monotonic() < end, f'no end within {timeout_s} s; output:\n{self.output}'
        return self.process.wait(max(end - time.monotonic(), 0.1))

    def send(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def interrupt(self, number: int = signal.SIGINT) -> float:
        """Send a signal and wait for a clean end; returns how long that took [s]."""
        start = time.monotonic()
        self.send(number)
        code = self.wait()
        assert code == 0, f'exit code {code}; output:\n{self.output}'
        return time.monotonic() - start

    def kill(self) -> None:
        """End it, whatever it does."""
        assert self.process.stdout is not None
        if self.process.stdout.closed:
            return
        state = self.process.poll()
        if state is None:
            self.process.kill()
        self.process.wait()
        while self._read(0.0) and self._selector.select(0.0):
            pass
        # pytest shows it where a test fails: what the other processes wrote may be the cause.
        said = f'{self.command}\n(exit code before the end: {state})\n{self.output}\n'
        sys.stdout.write(said)
        self._selector.close()
        self.process.stdout.close()


@contextmanager
def lone_node(domain: int) -> Iterator[Any]:
    """A node with a context of its own, for an executor that is tested."""
    context = rclpy.Context()
    context.init(domain_id=domain)
    made = rclpy.create_node('one', context=context)
    yield made
    made.destroy_node()
    context.try_shutdown()


def run_until(executor: Any, holds: Callable[[], Any]) -> None:
    """Run cycles of an executor of this project until something holds."""
    end = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < end, f'not within {TIMEOUT_S} s'
        executor.run_once()


class Probe:
    """A node of the test: keeps what it hears, says what it is told to."""

    def __init__(self, domain: int, namespace: str = '') -> None:
        self.context = rclpy.Context()
        self.context.init(domain_id=domain)
        self.node = rclpy.create_node('probe', namespace=namespace, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.heard: dict[str, list[Any]] = {}
        self._publishers: dict[str, Any] = {}
        self._subscriptions: dict[str, Any] = {}

    def hear(self, *topics: str) -> None:
        """Keep every message of these topics from now on."""
        for topic in topics:
            kept = self.heard.setdefault(topic, [])
            kind, profile = TOPICS[topic]
            if topic in self._subscriptions:
                # Nobody reads the list of that one any more, and it costs time.
                self.node.destroy_subscription(self._subscriptions[topic])
            self._subscriptions[topic] = self.node.create_subscription(
                kind, topic, kept.append, profile
            )

    def say(self, topic: str, message: Any) -> None:
        """Publish, a converted message or its bytes; the other side must be there already."""
        self.publisher(topic).publish(message)

    def publisher(self, topic: str) -> Any:
        """The publisher of a topic, made once, with somebody listening to it."""
        if topic not in self._publishers:
            kind, profile = TOPICS[topic]
            made = self.node.create_publisher(kind, topic, profile)
            self._publishers[topic] = made
            self.until(lambda: made.get_subscription_count() > 0, f'somebody who hears {topic}')
        return self._publishers[topic]

    def until(self, holds: Any, what: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Spin until something holds; returns what it gave."""
        end = time.monotonic() + timeout_s
        while True:
            value = holds()
            if value:
                return value
            assert time.monotonic() < end, f'{what}: not within {timeout_s} s'
            self.executor.spin_once(timeout_sec=0.05)

    def until_heard(self, topic: str, wanted: Any = None, timeout_s: float = TIMEOUT_S) -> Any:
        """Wait for a message (for which ``wanted`` holds); returns it."""
        if topic not in self.heard:
            self.hear(topic)
        kept = self.heard[topic]

        def found() -> Any:
            for message in kept:
                if wanted is None or wanted(message):
                    return [message]
            return None

        return self.until(found, f'{topic} as wanted', timeout_s)[0]

    def counter(self, topic: str, name: str, least: int, timeout_s: float = TIMEOUT_S) -> int:
        """Wait until a counter in a status topic has reached a value; returns it."""

        def reached(message: Any) -> bool:
            return counters(message).get(name, getattr(message, name, 0)) >= least

        message = self.until_heard(topic, reached, timeout_s)
        return int(counters(message).get(name, getattr(message, name, 0)))

    def call(self, node: str, service: str, kind: Any, request: Any) -> Any:
        """Call a service and wait for its answer."""
        name = f'/{node}/{service.removeprefix("~/")}' if service.startswith('~') else service
        client: Any = self.node.create_client(kind, name)
        self.until(client.service_is_ready, f'service {name}')
        answer = self._ask(lambda: client.call_async(request), f'answer of {name}')
        self.node.destroy_client(client)
        return answer

    def _ask(self, ask: Callable[[], Any], what: str) -> Any:
        """Ask until there is an answer; returns it.

        A server that was killed is there for the middleware until its lease ends, and what it is
        asked meanwhile is lost, even if another one has taken its place by then.
        """
        asked: list[Any] = []
        due = time.monotonic()

        def answered() -> Any:
            nonlocal due
            if time.monotonic() >= due:
                due = time.monotonic() + ASK_AGAIN_S
                asked.append(ask())
            return next((future for future in asked if future.done()), None)

        return self.until(answered, what).result()

    def set_parameter(self, node: str, **values: Any) -> Any:
        """Set parameters (``__`` stands for a dot); returns the first result."""
        client = AsyncParameterClient(self.node, node)
        self.until(client.services_are_ready, f'parameters of {node}')
        parameters = [
            rclpy.parameter.Parameter(name.replace('__', '.'), value=value)
            for name, value in values.items()
        ]
        answer = self._ask(lambda: client.set_parameters(parameters), 'parameter set')
        return answer.results[0]

    def get_parameter(self, node: str, name: str) -> Any:
        """Value of a parameter."""
        client = AsyncParameterClient(self.node, node)
        self.until(client.services_are_ready, f'parameters of {node}')
        answer = self._ask(lambda: client.get_parameters([name]), 'parameter')
        return parameter_value_to_python(answer.values[0])

    def close(self) -> None:
        """Leave."""
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


class Ros:
    """One ROS domain with what a test starts in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own = ExitStack()
        self.domain = self._own.enter_context(own_domain())
        self._parts: list[Any] = []

    def start(
        self, node: str, settings: Flat | None = None, *more: str, params_file: str = ''
    ) -> Process:
        """Start a node, or 'app' for all three in one process.

        Args:
            node: learner, neuromodulator, environment, safety, arm_driver.
            settings: dotted parameters.
            more: further ROS arguments, such as remappings.
            params_file: given instead of settings.
        """
        path = Path(params_file or self.folder / f'{node}_{len(self._parts)}.yaml')
        if not params_file:
            path.write_text(yaml.safe_dump({'/**': {'ros__parameters': settings or {}}}))
        arguments = ['--ros-args', '--params-file', str(path), *more]
        module = _MODULES.get(node, f'nrl_ros.nodes.{node}')
        return self.start_command([sys.executable, '-m', module, *arguments])

    def start_command(
        self, command: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> Process:
        """Start any command, with further environment variables."""
        process = Process(command, self.domain, variables)
        self._parts.append(process)
        return process

    def probe(self, namespace: str = '') -> Probe:
        """A node of the test in this domain."""
        probe = Probe(self.domain, namespace)
        self._parts.append(probe)
        return probe

    def end(self, part: Process | Probe) -> None:
        """End one of them now, so that nothing it latched reaches those that start later."""
        self._parts.remove(part)
        part.close() if isinstance(part, Probe) else part.kill()

    def close(self) -> None:
        """Leave nothing behind."""
        for part in reversed(self._parts):
            part.close() if isinstance(part, Probe) else part.kill()
        self._own.close()


@contextmanager
def own_domain() -> Iterator[int]:
    """A ROS domain in which nobody else is, nor will be what is left of this one."""
    domain, claim = _free_domain()
    try:
        yield domain
    finally:
        _free_ports(domain)
        claim.close()


def _free_ports(domain: int) -> None:
    """Remove the ports that killed processes left, which may keep the next test's from meeting."""
    first, count = _DOMAIN_PORTS
    for path in _SHARED.glob('*_port*'):
        port = _LEFT_PORT.fullmatch(path.name)
        if port is not None and (int(port[1]) - first) // count == domain:
            path.unlink(missing_ok=True)


def _free_domain() -> tuple[int, socket.socket]:
    """A domain that nobody else has, and what keeps it."""
    for domain in itertools.islice(_DOMAINS, 61):
        claim = socket.socket()
        try:
            claim.bind(('127.0.0.1', _FIRST_PORT + domain))
        except OSError:
            claim.close()
        else:
            return domain, claim
    raise AssertionError('every ROS domain from 40 to 100 is in use')


def robot_file(folder: Path, **groups: Any) -> str:
    """The planar arm in a description of its own; returns its path.

    Its watchdogs forgive what a busy machine does to processes, and its control period is longer,
    so that only what a test does makes a stop.

    Args:
        folder: where it is written.
        groups: entries to change, by group, or by name.
    """
    robot = yaml.safe_load((ROOT / 'config' / 'robots' / 'planar.yaml').read_text())
    robot['control']['rate_hz'] = 50.0
    robot['watchdog'] = {
        'command_timeout_s': 0.5,
        'state_timeout_s': 1.0,
        'state_skew_s': 10.0,
        'max_tick_gap_s': 2.0,
        'tracking_error_rad': 0.5,
        'tracking_time_s': 1.0,
        'listen_s': 0.0,
    }
    for name, values in groups.items():
        robot[name] = {**robot.get(name, {}), **values} if isinstance(values, dict) else values
    path = folder / f'{robot["name"]}.yaml'
    path.write_text(yaml.safe_dump(robot))
    return str(path)


def counters(message: Any) -> dict[str, int]:
    """Named counters of a status message."""
    return dict(zip(message.counter_name, message.counter_value, strict=True))


class Reference(InProcessRun):
    """The same run in this process, without ROS."""

    def __init__(self, learner: Flat, neuromodulator: Flat, environment: Flat) -> None:
        nodes = {'learner': learner, 'neuromodulator': neuromodulator, 'environment': environment}
        super().__init__(check(nodes, source='test'))

    def run(self) -> dict[str, Any]:
        """Run up to the stop, learn from the last rewards; returns the learner's snapshot."""
        stop, episodes = self.settings.environment.stop, self.episodes
        for _ in self.steps():
            if (stop.steps and episodes.total_steps >= stop.steps) or (
                stop.episodes and episodes.total_episodes >= stop.episodes
            ):
                loop.answer(self.learner, self.neuromodulator, *episodes.newest())
                break
        self.learner.leave(self.settings.environment.agent)
        return self.learner.snapshot()


def last_checkpoint(folder: Path) -> dict[str, Any]:
    """The newest checkpoint of a learner."""
    return read_checkpoint(sorted(folder.glob('learner_*'))[-1], 'learner')


def what_was_learned(snapshot: dict[str, Any]) -> dict[str, Any]:
    """A snapshot without session, counts of messages, noise drawn ahead, and released windows."""
    left = {key: value for key, value in snapshot.items() if key not in ('number', 'counters')}
    left['agents'] = {name: dict(agent) for name, agent in snapshot['agents'].items()}
    for agent in left['agents'].values():
        del agent['session'], agent['noise'], agent['credit']
    if 'guard' in left:
        heard = left['guard']['heard']
        sessionless = {name: {'returns': one['returns']} for name, one in heard.items()}
        left['guard'] = {**left['guard'], 'heard': sessionless}
    return left


__all__ = [
    'EACH',
    'EMERGENCY',
    'EXIT_S',
    'JOINT_STATES',
    'POSITION',
    'ROOT',
    'RUNNING',
    'TARGET',
    'TIMEOUT_S',
    'TRAJECTORY',
    'VELOCITY',
    'Flat',
    'Probe',
    'Process',
    'Reference',
    'Ros',
    'conversion',
    'counters',
    'last_checkpoint',
    'robot_file',
    'what_was_learned',
]
