#!/usr/bin/env python3
"""What it buys an arm to observe the obstacles that its guard keeps it from.

    .venv/bin/python scripts/arm_obstacles.py [--seeds N] [--steps N]

UR5e among random obstacles (``config/ur5e_obstacles.yaml``): trained with and without their places
in the observation, and measured on other obstacles and targets. Writes
docs/results/arm_obstacles.json and a section of arm_reaching.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import numpy as np

from benchmarks.arm_runs import Training, arms, final_figures, greedy, settings_of, write_section
from benchmarks.report import spread
from nrl_ros.base.records import StateBatch
from nrl_ros.robots.safety.braking import Limited
from sim_bridge.arm import ArmBridge

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / 'docs/results'
TASK = 'ur5e_obstacles'
TRAINED = {
    'with obstacles in the observation': (),
    'without': ('environment.bridge.options.observation.obstacles=0',),
}
EPISODES = 1000


def measure(*, seed: int, trained: str, steps: int) -> dict[str, Any]:
    """Train one way with one seed, and measure greedy episodes."""
    settings = settings_of(TRAINED[trained], seed=seed, task=TASK)
    training = Training(settings)
    training.run(steps)
    bridges: list[ArmBridge] = []
    books = arms(settings, EPISODES, bridges.append)
    act = greedy(settings, training.learner.snapshot(), books)
    limited: list[float] = []

    def noting(state: StateBatch) -> Any:
        # What limited the step before; the first one has none before it.
        limited.append(float(np.mean((bridges[0].limited & Limited.WORKSPACE) > 0)))
        return act(state)

    figures = final_figures(books, noting, seed)
    distance = figures['final_distance_m']
    return {
        'seed': seed,
        'trained': trained,
        'steps': steps,
        'success_2cm': float(np.mean(distance < 0.02)),
        'success_5cm': float(np.mean(distance < 0.05)),
        'limited_share': float(np.mean(limited[1:])),
        'cpu_s': round(training.cpu_s, 1),
    }


def table(found: list[dict[str, Any]]) -> str:
    """The page's section."""
    seeds, steps = len({run['seed'] for run in found}), found[0]['steps']
    lines = [
        '| trained | within 2 cm [%] | within 5 cm [%] | steps limited by the guard [%] |',
        '| --- | --- | --- | --- |',
    ]
    for trained in TRAINED:
        runs = [run for run in found if run['trained'] == trained]
        cells = [trained]
        for key in ('success_2cm', 'success_5cm', 'limited_share'):
            shares = [100.0 * run[key] for run in runs]
            cells.append(spread(shares))
        lines.append(f'| {" | ".join(cells)} |')
    rows = '\n'.join(lines)
    return (
        f'`python scripts/arm_obstacles.py --seeds {seeds} --steps {steps}`: UR5e among one to '
        'three random obstacles (`config/ur5e_obstacles.yaml`), the same training with and without '
        f'them in the observation, {EPISODES:,} greedy episodes each with other targets and '
        f'obstacles; the mean of {seeds} seeds, the lowest and the highest in brackets.\n\n{rows}'
    )


def main() -> None:
    """Measure and report; what is measured already is kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=int, default=3, help='how many')
    parser.add_argument('--steps', type=int, default=500_000, help='of each training')
    options = parser.parse_args()
    file, found = RESULTS / 'arm_obstacles.json', list[dict[str, Any]]()
    before = json.loads(file.read_text()) if file.is_file() else []
    for seed in range(options.seeds):
        for trained in TRAINED:
            asked = {'seed': seed, 'trained': trained, 'steps': options.steps}
            kept = [run for run in before if asked.items() <= run.items()]
            found += kept or [measure(**asked)]
            print(found[-1], flush=True)
            file.write_text(json.dumps(found, indent=1) + '\n')
    write_section(RESULTS / 'arm_reaching.md', 'Among obstacles', table(found))


if __name__ == '__main__':
    main()
