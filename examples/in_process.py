"""What the examples share: a task in this process, without ROS, with the settings of its file.

The loop itself is ``train``; its three parts are put together in
``nrl_ros.experiments.in_process``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

from nrl_ros.base.config_files import find_config
from nrl_ros.cli.config import RunSettings, resolve
from nrl_ros.cli.evaluate import SEED_OFFSET, Score, evaluate_snapshot
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning.learner import Learner

mpl.use('Agg')
from matplotlib import pyplot  # noqa: E402 - after the choice of what draws


def settings_of(task: str, *overrides: str) -> RunSettings:
    """The settings of ``config/TASK.yaml`` with ``NODE.NAME=VALUE`` applied."""
    return resolve(find_config(task), overrides)


def train(settings: RunSettings, steps: int, label: str) -> tuple[Learner, list[tuple[int, float]]]:
    """Learn for so many steps of all instances; returns the learner and (step, return) pairs."""
    run = InProcessRun(settings)
    episodes, curve = run.episodes, []
    report = steps // 8
    for ends in run.steps():
        if ends is not None:
            curve += [(episodes.total_steps, value) for value in ends.episode_return]
        if episodes.total_steps >= report:
            mean = np.mean([value for _, value in curve[-100:]]) if curve else float('nan')
            print(f'{label}: {episodes.total_steps:>9,} steps, last 100 episodes {mean:8.1f}')
            report += steps // 8
        if episodes.total_steps >= steps:
            return run.learner, curve
    raise AssertionError('the cycle has no end')


def score(settings: RunSettings, learner: Learner | None) -> Score:
    """50 greedy episodes, of seeds that training does not use; None: the first weights."""
    snapshot = None if learner is None else learner.snapshot()
    seed = SEED_OFFSET + settings.environment.seed
    return evaluate_snapshot(settings, snapshot, episodes=50, seed=seed)


def save_curves(curves: dict[str, list[tuple[int, float]]], title: str, path: Path) -> None:
    """Mean returns of 40 equal parts of the steps, one line for each label."""
    figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout='constrained')
    for label, curve in curves.items():
        parts = np.array_split(np.array(curve).reshape(-1, 2), min(40, len(curve)) or 1)
        means = np.array([part.mean(axis=0) for part in parts if len(part)]).reshape(-1, 2)
        axes.plot(means[:, 0], means[:, 1], label=label, marker='.')
    axes.set(xlabel='environment steps [1]', ylabel='return of an episode [1]', title=title)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    print(f'curve in {path}')


def arguments(description: str, steps: int) -> argparse.Namespace:
    """``--steps``, ``--seed`` and ``--out``."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument('--steps', type=int, default=steps, help='of all instances together')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('runs/examples'), help='folder')
    return parser.parse_args()


def seeds(seed: int) -> list[str]:
    """Overrides that seed the learner and the environment."""
    return [f'learner.seed={seed}', f'environment.seed={seed}']


def example(task: str, description: str, steps: int) -> None:
    """One task from the command line: score, learn, score again, draw."""
    chosen = arguments(description, steps)
    settings = settings_of(task, *seeds(chosen.seed))
    before = score(settings, None)
    learner, curve = train(settings, chosen.steps, task)
    print(f'greedy policy: {before} before, {score(settings, learner)} after (50 episodes each)')
    save_curves({task: curve}, task, chosen.out / f'{task}.png')
