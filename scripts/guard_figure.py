#!/usr/bin/env python3
"""Measure what guarded learning saves: CartPole at rates that suit it, and that are far too high.

    .venv/bin/python scripts/guard_figure.py

Ten seeds with and without a guard at each rate, in one process each. Writes docs/results/guard.json
and the table of docs/guard.md to the screen. Takes some three minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from nrl_ros.base.config_files import find_config
from nrl_ros.experiments.engine import ProcessEngine, records
from nrl_ros.experiments.intervals import interval
from nrl_ros.experiments.run import run_trial
from nrl_ros.experiments.trials import Trial, resolved
from nrl_ros.settings.run import read_config

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / 'docs/results/guard.json'
# The rate of config/cartpole.yaml, and ten times as much.
RATES = (0.0005, 0.005)
STEPS, INSTANCES, SEEDS, LAST = 250_000, 16, 10, 100


def trial(rate: float, seed: int, *, guarded: bool) -> Trial:
    """Return one run as a trial."""
    nodes = read_config(find_config('cartpole'))
    nodes['learner'] |= {
        'seed': seed,
        'plasticity.learning_rate': rate,
        'guard.enabled': guarded,
    }
    nodes['environment'] |= {'seed': seed, 'bridge.instances': INSTANCES, 'stop.steps': STEPS}
    label = f'rate {rate:g}, seed {seed}, {"guarded" if guarded else "without a guard"}'
    group = ('cartpole', 'guarded' if guarded else 'plain', 1)
    return Trial('train', resolved(nodes, source=label), label, group, float(STEPS))


def figures(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean, interval and single returns of the last episodes of some runs."""
    last = [float(np.mean(record['returns'][-LAST:])) for record in found]
    mean = interval(last)
    return {
        'mean': round(mean.mean, 1),
        'interval': [round(mean.low, 1), round(mean.high, 1)],
        'worst': round(min(last), 1),
        'returns': [round(value, 1) for value in last],
        'restores': sum(record['counters'].get('guard_restores', 0) for record in found),
        'runs_restored': sum(bool(record['counters'].get('guard_restores')) for record in found),
        'task_changes': sum(record['counters'].get('guard_task_changes', 0) for record in found),
    }


def main() -> None:
    """Run all trials and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--workers', type=int, default=0, help='trials at once; 0: one per core')
    workers = parser.parse_args().workers
    cells = [(rate, guarded) for rate in RATES for guarded in (False, True)]
    jobs = [
        trial(rate, seed, guarded=guarded).job() for rate, guarded in cells for seed in range(SEEDS)
    ]
    found = records(ProcessEngine(workers, run_trial), jobs)
    result: dict[str, Any] = {'steps': STEPS, 'instances': INSTANCES, 'seeds': SEEDS, 'rates': {}}
    print('| Rate | Without a guard | With a guard | Worst seed without, with | Restored |')
    print('| --- | --- | --- | --- | --- |')
    for index, rate in enumerate(RATES):
        start = 2 * index * SEEDS
        plain = figures(found[start : start + SEEDS])
        guarded = figures(found[start + SEEDS : start + 2 * SEEDS])
        result['rates'][f'{rate:g}'] = {'plain': plain, 'guarded': guarded}
        shown = [f'{one["mean"]:g} ({one["interval"][0]:g} to {one["interval"][1]:g})'
                 for one in (plain, guarded)]  # fmt: skip
        print(
            f'| {rate:g} | {shown[0]} | {shown[1]} | {plain["worst"]:g}, {guarded["worst"]:g} | '
            f'{guarded["restores"]} times in {guarded["runs_restored"]} of {SEEDS} runs |'
        )
    TARGET.write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
