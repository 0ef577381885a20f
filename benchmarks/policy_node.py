#!/usr/bin/env python3
"""An exported policy beside the learner it comes from: cold start, latency and memory.

    .venv/bin/python benchmarks/policy_node.py [--quick] --json FILE

Both answer the same client over ROS 2 (CartPole, one instance, config/cartpole.yaml), one after the
other, in turns. Cold start: from the start of the process to the first action that the client
receives. Latency: from publishing a state to the callback with its action, as in ros_loop.py; the
learner learns meanwhile. Memory: the process's own share of what it has resident (Pss of Linux)
after the last action, and the most that it had.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rich.console import Console
from rich.table import Table

from benchmarks import machine, ros_loop
from nrl_ros.base.records import Delivery
from nrl_ros.cli.config import find_config
from nrl_ros.cli.export import export
from nrl_ros.cli.processes import choose_domain, node_environment
from nrl_ros.ros import names

TURNS, QUICK_TURNS = 5, 2
ROUND_TRIPS, QUICK_ROUND_TRIPS = 3000, 500
_TRAINING_STEPS = 20_000


class Client(ros_loop.Client):
    """Needs no neuromodulator where nothing learns."""

    learns = True

    def _all_there(self) -> bool:
        if self.learns:
            return super()._all_there()
        return self._state.get_subscription_count() > 0 and (
            self.node.count_publishers(names.ACTION) > 0
        )


class PolicyClient(Client):
    """Speaks to the policy node."""

    learns = False


@contextmanager
def process(folder: Path, domain: int, name: str, *arguments: str) -> Iterator[int]:
    """Run a node; give its process number."""
    command = [sys.executable, '-m', f'nrl_ros.nodes.{name}', '--ros-args', *arguments]
    with (
        (folder / f'{name}.log').open('ab') as log,
        subprocess.Popen(command, env=node_environment(domain), stdout=log, stderr=log) as running,
    ):
        try:
            yield running.pid
        finally:
            running.terminate()


def memory_mb(pid: int) -> tuple[float, float]:
    """Return a process's share of resident memory, and the most it had resident [MB]."""

    def read(file: str, entry: str) -> float:
        for line in Path(f'/proc/{pid}/{file}').read_text().splitlines():
            if line.startswith(f'{entry}:'):
                return int(line.split()[1]) / 1e3
        raise SystemExit(f'/proc/{pid}/{file}: has no {entry}')

    return read('smaps_rollup', 'Pss'), read('status', 'VmHWM')


def one_turn(folder: Path, domain: int, bundle: Path | None, trips: int) -> dict[str, Any]:
    """Measure the learner, or the policy node where a bundle is given."""
    context = rclpy.Context()
    context.init(domain_id=domain)
    given = ['--params-file', str(find_config('cartpole'))]
    with ExitStack() as stack:
        if bundle is None:
            stack.enter_context(process(folder, domain, 'neuromodulator', *given))
            begun = time.perf_counter()
            pid = stack.enter_context(process(folder, domain, 'learner', *given))
            client: Client = Client(Delivery.EPISODE, context, 'step')
        else:
            begun = time.perf_counter()
            given = ['-p', f'bundle:={bundle}']
            pid = stack.enter_context(process(folder, domain, 'policy', *given))
            client = PolicyClient(Delivery.EPISODE, context, 'step')
        cold_start_s = time.perf_counter() - begun
        times_ns = [client.round_trip() for _ in range(trips)]
        own, most = memory_mb(pid)
        client.close()
    context.try_shutdown()
    return {'cold_start_s': cold_start_s, 'times_ns': times_ns, 'pss_mb': own, 'peak_mb': most}


def summed_up(turns: list[dict[str, Any]]) -> dict[str, float]:
    """Return medians over the turns."""
    times = np.concatenate([turn['times_ns'] for turn in turns]) / 1e3
    return {
        **{
            name: round(float(np.median([turn[name] for turn in turns])), 2)
            for name in ('cold_start_s', 'pss_mb', 'peak_mb')
        },
        'latency_p50_us': round(float(np.percentile(times, 50)), 1),
        'latency_p99_us': round(float(np.percentile(times, 99)), 1),
    }


def trained(folder: Path) -> Path:
    """Train CartPole for a moment, and return the bundle of its policy."""
    run = folder / 'run'
    command = [
        *(sys.executable, '-m', 'nrl_ros.cli.main', 'train', 'cartpole'),
        *('--steps', str(_TRAINING_STEPS), '--out', str(run)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f'no training: {done.stdout}{done.stderr}')
    written, _ = export(run, None, 'onnx', best=False)
    return written


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='two turns')
    parser.add_argument('--json', type=Path, help='file for the figures')
    options = parser.parse_args()
    turns = QUICK_TURNS if options.quick else TURNS
    trips = QUICK_ROUND_TRIPS if options.quick else ROUND_TRIPS
    made: dict[str, list[dict[str, Any]]] = {'learner': [], 'policy': []}
    with tempfile.TemporaryDirectory() as name:
        folder, domain = Path(name), choose_domain(None)
        bundle = trained(folder)
        for _ in range(turns):
            made['learner'].append(one_turn(folder, domain, None, trips))
            made['policy'].append(one_turn(folder, domain, bundle, trips))
    found = {name: summed_up(each) for name, each in made.items()}
    table = Table('', 'cold start', 'latency p50', 'p99', 'memory', 'at most')
    for name, one in found.items():
        table.add_row(
            name, f'{one["cold_start_s"]:.2f} s',
            f'{one["latency_p50_us"]:.0f} us', f'{one["latency_p99_us"]:.0f} us',
            f'{one["pss_mb"]:.0f} MB', f'{one["peak_mb"]:.0f} MB',
        )  # fmt: skip
    Console().print(table)
    if options.json:
        figures = {'machine': machine.machine('nrl_ros', 'rclpy', 'onnxruntime'), **found}
        options.json.write_text(json.dumps(figures, indent=2) + '\n')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
