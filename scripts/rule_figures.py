#!/usr/bin/env python3
"""Measure every learning rule: time and memory of a step, its direction, how it learns reaching.

    .venv/bin/python scripts/rule_figures.py [--out docs/rules] [--draw]

Writes figures.json, its tables as figures.md, and a picture a rule; --draw makes tables and
pictures from the figures that are there. Four minutes on two cores that have nothing else to do.

1. Cost: microseconds a step of all instances on reaching, environment, update and all included,
   the rules taking turns and the median of the turns kept; and what learner, traces and
   neuromodulator hold in memory.
2. Direction: reaching's network as it starts, in states that it meets. The cosine of the mean of K
   estimates with the exact gradient of log pi(a|s), a fixed; for RMHL, whose noise is weighed by
   the reward alone, that of the mean of K updates with the gradient of the expected reward.
3. Learning: reaching, 64 instances, 200,000 steps, three seeds at each of up to three step sizes.
   Score: mean return of the last 100 episodes, acting as in training.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import numpy as np

from nrl_ros.base.config_files import find_config
from nrl_ros.cli.config import RunSettings, resolve
from nrl_ros.experiments.engine import ProcessEngine, records
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.experiments.run import train
from scripts.rule_arms import ARMS, INSTANCES, RULE_PAGES, SEEDS, STEPS, Arm
from scripts.rule_directions import direction
from scripts.rule_pictures import draw, draw_groups, tables

ROOT = Path(__file__).resolve().parent.parent


def settings_of(arm: Arm, *more: str) -> RunSettings:
    """Reaching with the settings of an arm."""
    return resolve(find_config('reaching'), [*arm.overrides, *more])


# ------------------------------------------------------------------- 1. cost


class Running:
    """One arm on reaching, a step at a time."""

    def __init__(self, arm: Arm, instances: int) -> None:
        settings = settings_of(arm, f'environment.bridge.instances={instances}')
        # Learner and neuromodulator take their memory when the agent joins, in the first step.
        self._cycle = InProcessRun(settings).steps()
        tracemalloc.start()
        for _ in range(5):
            next(self._cycle)
        self.kib = tracemalloc.get_traced_memory()[0] / 1024.0
        tracemalloc.stop()

    def microseconds(self, steps: int = 60) -> float:
        """Of a step of all instances."""
        start = time.perf_counter()
        for _ in range(steps):
            next(self._cycle)
        return (time.perf_counter() - start) / steps * 1e6


def costs(arms: list[Arm], turns: int = 7) -> dict[str, dict[str, float]]:
    """Time and memory of each arm."""
    found: dict[str, dict[str, float]] = {arm.name: {} for arm in arms}
    for instances in INSTANCES:
        running = {arm.name: Running(arm, instances) for arm in arms}
        times: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(turns):
            for name, one in running.items():
                times[name].append(one.microseconds())
        for name, one in running.items():
            found[name][f'us_{instances}'] = round(statistics.median(times[name]), 1)
            found[name][f'kib_{instances}'] = round(one.kib)
    return found


# --------------------------------------------------------------- 3. learning


def learn(job: Mapping[str, Any]) -> dict[str, Any]:
    """One run: its score and its curve."""
    arm, rate, seed = job['arm'], job['rate'], job['seed']
    seeds = [f'learner.seed={seed}', f'environment.seed={seed}']
    stop = [f'learner.plasticity.learning_rate={rate}', f'environment.stop.steps={STEPS}']
    with np.errstate(all='ignore'):
        record = train(settings_of(arm, *seeds, *stop))
    diverged, returns = record['diverged_at_step'] >= 0, record['returns']
    if diverged:
        # Weights that are no numbers act no more: what was before does not count.
        returns = np.zeros(30)
    return {
        'score': round(float(returns[-100:].mean()), 1),
        'curve': [round(float(part.mean()), 1) for part in np.array_split(returns, 30)],
        'diverged': diverged,
    }


def learning() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """All runs, by arm and step size."""
    jobs: list[dict[str, Any]] = [
        {'arm': arm, 'rate': rate, 'seed': seed}
        for arm in ARMS
        for rate in arm.rates
        for seed in SEEDS
    ]
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for job, result in zip(jobs, records(ProcessEngine(2, learn), jobs), strict=True):
        name, rate = job['arm'].name, f'{job["rate"]:g}'
        found.setdefault(name, {}).setdefault(rate, []).append(result)
        print(name, rate, result['score'], flush=True)
    return found


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=ROOT / 'docs' / 'rules')
    parser.add_argument('--draw', action='store_true', help='from the figures that are there')
    options = parser.parse_args()
    path = options.out / 'figures.json'
    if options.draw:
        figures = json.loads(path.read_text())
    else:
        rules = [arm for arm in ARMS if arm.page in RULE_PAGES or arm.page == 'spiking']
        figures = {
            'cost': costs(rules),
            'direction': {arm.name: direction(settings_of(arm)) for arm in rules if arm.estimates},
            'learning': learning(),
        }
        path.write_text(json.dumps(figures, separators=(',', ':')).replace('},', '},\n') + '\n')
    folder = options.out / 'figures'
    folder.mkdir(parents=True, exist_ok=True)
    for name in RULE_PAGES:
        draw(figures, name, folder / f'{name}.png')
    draw_groups(figures, folder)
    (options.out / 'figures.md').write_text(tables(figures), encoding='utf-8')


if __name__ == '__main__':
    main()
