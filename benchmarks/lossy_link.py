#!/usr/bin/env python3
"""Rounds per second of learner, neuromodulator and environment on three hosts with a lossy link.

    .venv/bin/python benchmarks/lossy_link.py [--quick] --json FILE

The three nodes train CartPole in lockstep (config/cartpole.yaml, 64 instances, nearly every round
closes an episode). Each runs in a network namespace of its own, behind the switch of
virtual_network.py. A round goes from the environment to the neuromodulator, to the learner and
back: three ways, so that no setting can make it faster than one in 1.5 round trips. Counted is from
the moment when the learner knows the environment to the environment's last step; the weights at the
end are compared with those of the run without loss, bit for bit.

Where network namespaces are not permitted, it says so and writes nothing but that.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.virtual_network import Link, VirtualNetwork, why_not
from nrl_ros.base.config_files import find_config
from nrl_ros.cli.config import parameter_file
from nrl_ros.storage.checkpoint import read_checkpoint

DELAYS_S = (0.005, 0.0225, 0.05)
LOSSES = (0.0, 0.01, 0.02, 0.05)
QUICK_DELAYS_S = (0.0225,)
QUICK_LOSSES = (0.0, 0.02)
INSTANCES = 64
ROUNDS, QUICK_ROUNDS = 150, 100
# Packets overtake each other where the delay varies.
JITTER_SHARE = 0.2
NODES = ('learner', 'neuromodulator', 'environment')
# The namespaces share the memory of one machine, hosts do not.
HOSTS_ALONE = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET', 'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}
_RUN_S = 300.0
_STOP_S = 10.0


class ThreeHosts:
    """One training, its nodes on three hosts.

    Args:
        network: with a host for each of NODES, under its name.
        folder: for logs, settings and checkpoints.
        steps: after which the environment ends.
    """

    def __init__(self, network: VirtualNetwork, folder: Path, steps: int) -> None:
        self._folder = folder
        own: dict[str, dict[str, Any]] = {
            'learner': {'checkpoint': {'folder': str(folder), 'period_s': 0.0}},
            'environment': {'stop': {'steps': steps}, 'bridge': {'instances': INSTANCES}},
        }
        file = folder / 'settings.yaml'
        file.write_text(parameter_file(own))
        files = ['--params-file', str(find_config('cartpole')), '--params-file', str(file)]
        variables = os.environ | HOSTS_ALONE | {'OPENBLAS_NUM_THREADS': '1'}
        self._processes = {}
        for name in NODES:
            node = [sys.executable, '-m', f'nrl_ros.nodes.{name}', '--ros-args', *files]
            with self._log_file(name).open('w') as log:
                self._processes[name] = subprocess.Popen(
                    [*network.inside(name), *node], stdout=log, stderr=log, env=variables
                )

    def _log_file(self, name: str) -> Path:
        return self._folder / f'{name}.log'

    def figures(self) -> dict[str, Any]:
        """Wait for the end; returns figures of this run."""
        try:
            self._processes['environment'].wait(_RUN_S)
        finally:
            for process in reversed(self._processes.values()):
                process.terminate()
            for process in self._processes.values():
                process.wait(_STOP_S)
        learner = self._log_file('learner').read_text()
        environment = self._log_file('environment').read_text()
        joined = re.search(r'\[([\d.]+)\] \[learner\]: agent .* joined', learner)
        done = re.search(r'\[([\d.]+)\] \[environment\]: done: (\d+) steps', environment)
        if joined is None or done is None:
            raise RuntimeError(f'the run has not come to its end: {learner}{environment}')
        seconds = float(done[1]) - float(joined[1])
        return {
            'rounds_per_s': round(int(done[2]) / INSTANCES / seconds, 1),
            'seconds': round(seconds, 1),
            'rpes_given_up': learner.count('no reward-prediction error within'),
        }

    def weights(self) -> list[Any]:
        """What was learned."""
        file = max(self._folder.glob('learner_*'))
        return list(read_checkpoint(file, 'learner')['network']['weights'])


def measure(delay_s: float, loss: float, rounds: int) -> tuple[dict[str, Any], list[Any]]:
    """Train once over such a link; returns figures and the weights at the end."""
    link = Link(delay_s, JITTER_SHARE * delay_s, loss)
    with tempfile.TemporaryDirectory() as folder, VirtualNetwork(NODES, link) as network:
        run = ThreeHosts(network, Path(folder), rounds * INSTANCES)
        figures = run.figures()
        return {'round_trip_ms': 2e3 * delay_s, 'loss': loss, **figures}, run.weights()


def measure_all(console: Console, *, quick: bool) -> list[dict[str, Any]]:
    """Measure every loss over every delay; shows each row as it comes."""
    rows = []
    for delay_s in QUICK_DELAYS_S if quick else DELAYS_S:
        expected: list[Any] = []
        for loss in QUICK_LOSSES if quick else LOSSES:
            row, weights = measure(delay_s, loss, QUICK_ROUNDS if quick else ROUNDS)
            expected = expected or weights
            pairs = zip(weights, expected, strict=True)
            row['weights_equal'] = all(np.array_equal(one, other) for one, other in pairs)
            rows.append(row)
            console.print(row)
    return rows


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    """Print a table."""
    table = Table(*[name.replace('_', ' ') for name in rows[0]], title='Over a lossy link')
    for row in rows:
        table.add_row(*[str(value) for value in row.values()])
    console.print(table)


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description='Rounds per second over a lossy link')
    parser.add_argument('--quick', action='store_true', help='one delay, two losses')
    parser.add_argument('--json', type=Path, required=True, help='file of the figures')
    arguments = parser.parse_args()
    console = Console()
    result: dict[str, Any] = {'machine': platform.platform(), 'quick': arguments.quick}
    refused = why_not()
    if refused:
        console.print(f'skipped: {refused}')
        result['skipped'] = refused
    else:
        result['rows'] = measure_all(console, quick=arguments.quick)
        show(console, result['rows'])
    arguments.json.write_text(json.dumps(result, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
