#!/usr/bin/env python3
"""What guarded learning costs while nothing falls: CartPole with and without it, in turns.

    .venv/bin/python benchmarks/guard.py [--quick] [--ros] --json FILE

1. Environment steps per second of processor time in one process, `config/cartpole.yaml` with its 64
   instances and others, with the guard over without it.
2. With `--ros`: the same of `nrl`'s three processes, by the environment's count and clock.

Whatever is compared takes turns within this run, so that the machine's moods hit all alike. Both
sides learn the same, since the guard does not intervene at this rate.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
from benchmarks.report import show
from benchmarks.ros_loop import steps_per_second
from nrl_ros.cli.config import find_config, resolve
from nrl_ros.cli.processes import choose_domain
from nrl_ros.experiments.in_process import InProcessRun

INSTANCES = (1, 16, 64, 256)
# Steps of all instances before anything is measured: at first, most episodes last 20 steps.
WARM = 100_000
TICKS = 200
GUARDED = 'guard.enabled'


def _run(instances: int, *, guarded: bool) -> InProcessRun:
    changes = (f'learner.{GUARDED}={guarded}', f'environment.bridge.instances={instances}')
    return InProcessRun(resolve(find_config('cartpole'), changes))


def in_process(turns: int) -> dict[str, float]:
    """Return the share of the speed that a guarded run keeps, by number of instances."""
    result = {}
    for instances in INSTANCES:
        runs = {guarded: _run(instances, guarded=guarded) for guarded in (False, True)}
        steps = {guarded: run.steps() for guarded, run in runs.items()}
        for one in steps.values():
            for _ in range(WARM // max(instances, 16)):
                next(one)
        shares = []
        for turn in range(turns):
            spent = {}
            # Who goes first changes from turn to turn.
            for guarded in (False, True)[:: 1 if turn % 2 else -1]:
                start = time.process_time()
                for _ in range(TICKS):
                    next(steps[guarded])
                spent[guarded] = time.process_time() - start
            shares.append(spent[False] / spent[True])
        assert not runs[True].learner.counters['guard_restores'], 'a fall at a rate that suits'
        result[f'guarded_share_{instances}'] = round(statistics.median(shares), 3)
        for run in runs.values():
            run.close()
    return result


def over_ros(turns: int, seconds: float) -> dict[str, float]:
    """Return the share of the speed over ROS 2 that a guarded run keeps, 64 instances."""
    shares = []
    with tempfile.TemporaryDirectory(prefix='nrl_guard_') as folder:
        for turn in range(turns):
            speed = {}
            for guarded in (False, True)[:: 1 if turn % 2 else -1]:
                more = {'learner': {GUARDED: guarded}}
                speed[guarded] = steps_per_second(
                    Path(folder), choose_domain(None), 64, seconds, 'step', more=more
                )
            shares.append(speed[True] / speed[False])
    return {'guarded_share_ros_64': round(statistics.median(shares), 3)}


def main() -> None:
    """Measure, show, and write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='fewer turns, for a first look')
    parser.add_argument('--ros', action='store_true', help='over ROS 2 too')
    parser.add_argument('--json', type=Path, help='write the figures to this file')
    options = parser.parse_args()
    figures: dict[str, Any] = in_process(15 if options.quick else 60)
    if options.ros:
        figures |= over_ros(3 if options.quick else 7, 6.0)
    show(figures, options.json)


if __name__ == '__main__':
    main()
