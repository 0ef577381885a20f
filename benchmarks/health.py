#!/usr/bin/env python3
"""What plasticity health costs: the core loop with and without it, in turns.

    .venv/bin/python benchmarks/health.py [--quick] --json FILE

1. Environment steps per second of CartPole, 64 hidden units, learning on, with a look at the health
   each half second as nodes take it, over those without looks and without sums of the errors.
2. Microseconds of one look, for networks and tasks.

Whatever is compared takes turns within this run, so that the machine's moods hit all alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
from benchmarks.core import Ours
from benchmarks.report import show
from nrl_ros.cli.config import find_config, resolve
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning.health.monitor import HealthMonitor

INSTANCES = (1, 256)
PERIOD_S = 0.5
LOOKS = 200
NETWORKS: dict[str, tuple[str, ...]] = {
    'cartpole': (),
    'acrobot': (),
    'ur5e': ('environment.bridge.instances=1',),
    'cartpole, torch': ('learner.network.kind=torch',),
    'cartpole, spiking': ('learner.network.neuron=spiking', 'learner.noise.sigma=0.3'),
}


class NoSums:
    """Stands where the sums over the errors are, and adds nothing."""

    silent, total, absolute, squares = 0, 0.0, 0.0, 0.0

    def add(self, _rpe: Any, _count: int) -> None:
        """Add nothing."""


def rate(run: Ours, instances: int, seconds: float, monitor: HealthMonitor | None) -> float:
    """Return steps of all instances a second of processor time, with looks by a monitor."""
    start = looked = time.process_time()
    ticks = 0
    while (now := time.process_time()) - start < seconds:
        for _ in range(100):
            next(run.cycle)
        ticks += 100
        if monitor is not None and now - looked >= PERIOD_S:
            monitor.look()
            looked = now
    return ticks * instances / (time.process_time() - start)


def loop(seconds: float, turns: int) -> dict[str, Any]:
    """Return rates and ratios, by number of instances."""
    result: dict[str, Any] = {}
    for instances in INSTANCES:
        without, with_health = Ours(instances), Ours(instances)
        without.learner._state.update.rpes = NoSums()  # type: ignore[assignment]
        monitor = HealthMonitor(with_health.learner)
        pairs = []
        for turn in range(turns + 1):
            # Who goes first changes from turn to turn.
            pair = {}
            for name in ('without', 'with')[:: 1 if turn % 2 else -1]:
                run, looks = (without, None) if name == 'without' else (with_health, monitor)
                pair[name] = rate(run, instances, seconds, looks)
            if turn:  # The first warms up.
                pairs.append(pair)
        ratio = statistics.median(pair['with'] / pair['without'] for pair in pairs)
        result[f'steps_per_second_{instances}'] = round(
            statistics.median(pair['with'] for pair in pairs)
        )
        result[f'share_of_speed_{instances}'] = round(ratio, 4)
    return result


def looks() -> dict[str, float]:
    """Return the microseconds of one look, by task and network."""
    result = {}
    for name, settings in NETWORKS.items():
        run = InProcessRun(resolve(find_config(name.partition(',')[0]), settings))
        monitor, steps = HealthMonitor(run.learner), run.steps()
        spent = []
        for _ in range(LOOKS):
            next(steps)
            start = time.process_time()
            monitor.look()
            spent.append(time.process_time() - start)
        run.close()
        result[f'look_us_{name}'] = round(1e6 * statistics.median(spent), 1)
    return result


def main() -> None:
    """Measure, show, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='shorter turns, for a first look')
    parser.add_argument('--json', type=Path, help='write the figures to this file')
    options = parser.parse_args()
    seconds, turns = (1.5, 3) if options.quick else (3.0, 7)
    figures = {**loop(seconds, turns), **looks()}
    show(figures, options.json)


if __name__ == '__main__':
    main()
