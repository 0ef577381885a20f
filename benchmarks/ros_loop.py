#!/usr/bin/env python3
"""The closed loop over ROS 2: its round trip beside raw rclpy's, and steps per second.

    .venv/bin/python benchmarks/ros_loop.py [--quick] [--executors step events] --json FILE

Round trip: from publishing a state to the callback with its action, batch 1, CartPole, learning on,
beside a ping-pong of two plain rclpy nodes (UInt8MultiArray of the same number of bytes, same QoS,
SingleThreadedExecutor). Both take turns within one run, so that the ratio does not depend on what
the machine does meanwhile. Steps per second: `nrl`'s three processes with config/cartpole.yaml, by
number of instances, from the environment's own count and clock, start-up excluded.

With `--executors step events` everything is measured a second time with the nodes and the client on
rclpy's own EventsExecutor, both in turns.

Give it a quiet machine: two of the three processes fill two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rich.console import Console
from rich.table import Table
from std_msgs.msg import UInt8MultiArray

from benchmarks import machine
from benchmarks.events_executor import MODULE, EventsLoop
from nrl_ros.base.records import Delivery
from nrl_ros.cli.config import find_config, parameter_file
from nrl_ros.cli.processes import MODULES, Processes, choose_domain, node_environment
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.executor import StepExecutor
from nrl_ros.ros.interfaces import Action, EnvInfo, EnvState, EnvStatus, Reward

INSTANCES = (1, 4, 16, 64, 256, 1024)
QUICK_INSTANCES = (1, 256)
_TIMEOUT_S = 30.0
_DELIVERIES = {'episode': Delivery.EPISODE, 'every_step': Delivery.EVERY_STEP}
_EXECUTORS: dict[str, type[StepExecutor] | type[EventsLoop]] = {
    'step': StepExecutor,
    'events': EventsLoop,
}


# ---------------------------------------------------------------- round trip


class Client:
    """Plays the environment: sends states, takes actions, notes how long each took."""

    def __init__(self, delivery: Delivery, context: Any, executor: str) -> None:
        self.node = rclpy.create_node('environment', context=context)
        self.executor = _EXECUTORS[executor](self.node)
        self.episodes = Episodes(
            make_bridge('gymnasium', 1, {'id': 'CartPole-v1'}),
            agent='cartpole',
            session=1,
            lockstep=True,
            delivery=delivery,
        )
        self._info = self.node.create_publisher(EnvInfo, names.ENV_INFO, qos.latched())
        self._state = self.node.create_publisher(EnvState, names.STATE, qos.step())
        self._reward = self.node.create_publisher(Reward, names.REWARD, qos.event())
        # Kilted's types lack callbacks that take the bytes of a message.
        on_action: Any = self._on_action
        self.node.create_subscription(Action, names.ACTION, on_action, qos.step(), raw=True)
        self._info.publish(conversion.info_to_msg(self.episodes.info, 0))
        wait_until(self.executor, self._all_there, 'learner and neuromodulator')
        self._state_message = conversion.state_to_wire(self.episodes.begin(0))
        self._reward_message: bytes | None = None
        self._answer: bytes | None = None
        # The learner may not have taken env_info yet: ask again until it answers.
        wait_until(self.executor, self._first_answer, 'first action')
        self.sizes = (len(self._state_message), len(self._answer or b''))

    def _all_there(self) -> bool:
        publishers = (self._info, self._state, self._reward)
        return (
            all(one.get_subscription_count() for one in publishers)
            and self.node.count_publishers(names.ACTION) > 0
            and self.node.count_publishers(names.NEUROMODULATION) > 0
        )

    def _first_answer(self) -> bool:
        if self._answer is None:
            self._state.publish(self._state_message)
        return self._answer is not None

    def _on_action(self, data: bytes) -> None:
        self._came = time.perf_counter_ns()
        self._answer = data

    def round_trip(self) -> int:
        """Step the environment, then send its state and wait for the action [ns]."""
        assert self._answer is not None
        action = conversion.action_from_wire(self._answer, self.episodes.info.spec.action)
        advance = self.episodes.advance(action.action)
        state = conversion.state_to_wire(advance.state)
        reward = None if advance.reward is None else conversion.reward_to_wire(advance.reward)
        self._answer = None
        start = time.perf_counter_ns()
        if reward is not None:
            self._reward.publish(reward)
        self._state.publish(state)
        wait_until(self.executor, lambda: self._answer is not None, 'action')
        return self._came - start

    def close(self) -> None:
        """Leave."""
        self.executor.shutdown()
        self.node.destroy_node()


def wait_until(executor: StepExecutor | EventsLoop, holds: Callable[[], bool], what: str) -> None:
    """Spin until something holds."""
    end = time.monotonic() + _TIMEOUT_S
    while not holds():
        executor.run_once()
        if time.monotonic() > end:
            raise SystemExit(f'{what}: nothing within {_TIMEOUT_S} s')


def pong(size: int) -> None:
    """The other side of the raw ping-pong, a process of its own: plain rclpy all through."""
    rclpy.init()
    node = rclpy.create_node('pong')
    publisher = node.create_publisher(UInt8MultiArray, 'raw_pong', qos.step())
    answer = UInt8MultiArray(data=bytes(size))
    node.create_subscription(
        UInt8MultiArray, 'raw_ping', lambda _: publisher.publish(answer), qos.step()
    )
    with suppress(ExternalShutdownException):
        rclpy.spin(node)


class RawClient:
    """Ping-pong as the rclpy tutorials would write it.

    Args:
        sizes: payload of ping and pong [bytes].
        context: rclpy context.
    """

    def __init__(self, sizes: tuple[int, int], context: Any) -> None:
        self.node = rclpy.create_node('ping', context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.node)
        self._publisher = self.node.create_publisher(UInt8MultiArray, 'raw_ping', qos.step())
        self.node.create_subscription(UInt8MultiArray, 'raw_pong', self._on_pong, qos.step())
        self._message = UInt8MultiArray(data=bytes(sizes[0]))
        self._came = 0
        while not (
            self._publisher.get_subscription_count() and self.node.count_publishers('raw_pong')
        ):
            self.executor.spin_once(timeout_sec=0.05)

    def _on_pong(self, _message: UInt8MultiArray) -> None:
        self._came = time.perf_counter_ns()

    def round_trip(self) -> int:
        """One ping and its pong [ns]."""
        self._came = 0
        start = time.perf_counter_ns()
        self._publisher.publish(self._message)
        while not self._came:
            self.executor.spin_once(timeout_sec=_TIMEOUT_S)
        return self._came - start

    def close(self) -> None:
        """Leave."""
        self.executor.shutdown()
        self.node.destroy_node()


@contextmanager
def nodes(
    folder: Path, domain: int, settings: dict[str, Any], executor: str, *which: str
) -> Iterator[Processes]:
    """Node processes with the settings of config/cartpole.yaml and these."""
    MODULES['events'] = MODULE
    own = folder / 'benchmark.yaml'
    own.write_text(parameter_file(settings))
    processes = Processes(
        [find_config('cartpole'), own], folder, namespace='', environment=node_environment(domain)
    )
    try:
        for name in which:
            if executor == 'step':
                processes.start(name)
            else:
                processes.start(executor, name)
        yield processes
    finally:
        processes.stop()


def round_trips(
    folder: Path, domain: int, turns: int, per_turn: int, executor: str
) -> dict[str, Any]:
    """Ours and raw in turns."""
    result: dict[str, Any] = {}
    # The ping-pong's other process takes its modules from this folder too.
    environment = node_environment(domain) | {'PYTHONSAFEPATH': ''}
    for name, delivery in _DELIVERIES.items():
        context = rclpy.Context()
        context.init(domain_id=domain)
        with nodes(folder, domain, {}, executor, 'learner', 'neuromodulator'):
            client = Client(delivery, context, executor)
            command = [sys.executable, __file__, '--pong', str(client.sizes[1])]
            with subprocess.Popen(command, env=environment) as other:
                try:
                    raw = RawClient(client.sizes, context)
                    ours, theirs = [], []
                    for turn in range(turns + 1):
                        first = [client.round_trip() for _ in range(per_turn)]
                        second = [raw.round_trip() for _ in range(per_turn)]
                        if turn:  # The first turn warms up.
                            ours += first
                            theirs += second
                finally:
                    other.terminate()
            client.close()
            raw.close()
        context.try_shutdown()
        suffix = '' if name == 'episode' else f'_{name}'
        for what, times in (('roundtrip', ours), ('raw', theirs)):
            for percent in (50, 99):
                key = f'{what}{suffix}_p{percent}_us'
                result[key] = round(float(np.percentile(times, percent)) / 1e3, 1)
        ratio = result[f'roundtrip{suffix}_p50_us'] / result[f'raw{suffix}_p50_us']
        result[f'roundtrip{suffix}_ratio_p50'] = round(ratio, 3)
        result['message_bytes'] = {'state': client.sizes[0], 'action': client.sizes[1]}
    return result


# ---------------------------------------------------------------- throughput


def steps_per_second(
    folder: Path,
    domain: int,
    instances: int,
    seconds: float,
    executor: str,
    *,
    more: dict[str, Any] | None = None,
) -> float:
    """Environment steps per second of three processes in lockstep, learning.

    Args:
        folder: of parameter files and logs.
        domain: ROS domain.
        instances: of the environment.
        seconds: to measure, by its clock [s].
        executor: of the nodes.
        more: settings of other nodes.
    """
    status_period = 0.5
    settings = (more or {}) | {
        'environment': {
            'bridge': {'instances': instances},
            'stop': {'steps': 0},
            'status_period_s': status_period,
        },
    }
    context = rclpy.Context()
    context.init(domain_id=domain)
    node = rclpy.create_node('observer', context=context)
    observer = SingleThreadedExecutor(context=context)
    observer.add_node(node)
    seen: list[tuple[float, int]] = []

    def on_status(message: EnvStatus) -> None:
        stamp = message.header.stamp
        if message.steps:
            seen.append((stamp.sec + 1e-9 * stamp.nanosec, message.steps))

    node.create_subscription(EnvStatus, names.ENV_STATUS, on_status, qos.latched())
    try:
        which = ('learner', 'neuromodulator', 'environment')
        with nodes(folder, domain, settings, executor, *which) as all_:
            end = time.monotonic() + _TIMEOUT_S + seconds
            # The first second after the start warms up.
            while len(seen) < 3 or seen[-1][0] - seen[2][0] < seconds:
                observer.spin_once(timeout_sec=0.2)
                if time.monotonic() > end or all_.ended():
                    raise SystemExit(f'no status of the environment; logs: {folder}')
    finally:
        observer.shutdown()
        node.destroy_node()
        context.try_shutdown()
    (start, first), (stop, last) = seen[2], seen[-1]
    return (last - first) / (stop - start)


# ---------------------------------------------------------------------- main


def show_trips(console: Console, executor: str, trips: dict[str, Any]) -> None:
    """Print the round trips of one executor."""
    title = f'executor: {executor}'
    table = Table(
        'reward', 'state to action p50', 'p99', 'raw rclpy p50', 'p99', 'ratio p50', title=title
    )
    for label, suffix in (('episode', ''), ('every step', '_every_step')):
        keys = [f'{w}{suffix}_p{p}_us' for w in ('roundtrip', 'raw') for p in (50, 99)]
        figures = [f'{trips[key]:.0f} us' for key in keys]
        table.add_row(label, *figures, f'{trips[f"roundtrip{suffix}_ratio_p50"]:.2f}')
    console.print(table)


def show_speeds(console: Console, executor: str, runs: dict[str, list[float]]) -> dict[str, Any]:
    """Print the steps per second of one executor and return them with their medians."""
    table = Table(
        'instances', 'steps/s', 'lowest', 'highest', 'us a tick', title=f'executor: {executor}'
    )
    medians = {}
    for count, speeds in runs.items():
        speeds.sort()
        medians[count] = middle = speeds[len(speeds) // 2]
        figures = [f'{value:,.0f}' for value in (middle, speeds[0], speeds[-1])]
        table.add_row(f'{int(count):,}', *figures, f'{1e6 * int(count) / middle:,.0f}')
    console.print(table)
    return {'steps_per_second': medians, 'steps_per_second_runs': runs}


def measure(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Measure each executor; their runs take turns.

    Returns:
        The figures by executor.
    """
    console, domain, quick = Console(), choose_domain(None), options.quick
    counts = options.instances or (QUICK_INSTANCES if quick else INSTANCES)
    repeat = options.repeat or (1 if quick else 3)
    runs: dict[str, dict[str, list[float]]] = {one: {} for one in options.executors}
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for executor in options.executors:
            results[executor] = round_trips(folder, domain, 4 if quick else 20, 500, executor)
            show_trips(console, executor, results[executor])
        for count in counts:
            for _ in range(repeat):
                for executor in options.executors:
                    speed = steps_per_second(folder, domain, count, 2.0 if quick else 4.0, executor)
                    runs[executor].setdefault(str(count), []).append(round(speed))
    for executor in options.executors:
        results[executor] |= show_speeds(console, executor, runs[executor])
    return results


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='fewer repetitions, 1 and 256 only')
    parser.add_argument('--json', type=Path, help='file for the figures')
    parser.add_argument('--repeat', type=int, default=0, help='runs for each number of instances')
    parser.add_argument('--instances', type=int, nargs='+', help='instead of 1 to 1,024')
    parser.add_argument(
        '--executors',
        nargs='+',
        choices=_EXECUTORS,
        default=['step'],
        help="StepExecutor (step) and rclpy's EventsExecutor (events), measured in turns",
    )
    parser.add_argument('--pong', type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pong:
        pong(options.pong)
        return
    results = measure(options)
    others = {name: results[name] for name in options.executors[1:]}
    result = {
        **results[options.executors[0]],
        **({'other_executors': others} if others else {}),
        'machine': {
            **machine.machine('numpy'),
            'middleware': rclpy.get_rmw_implementation_identifier(),
        },
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + '\n')


if __name__ == '__main__':
    main()
