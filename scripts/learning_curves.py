#!/usr/bin/env python3
"""Train every task over ROS 2 with several seeds; write a table, a picture, and the figures.

    .venv/bin/python scripts/learning_curves.py [--tasks reaching ...] [--seeds 0 1 2 3 4]

Runs ``nrl train TASK --seed SEED`` one after the other (three processes, lockstep, so that the
result depends on the seed alone and not on the machine's load) and keeps the run folders; a run
that is already there is not made again. The greedy policy is scored on 50 episodes of its own
seeds, before and after.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nrl_ros.cli.plot import plot_runs
from nrl_ros.cli.runs import Run

ROOT = Path(__file__).resolve().parent.parent
TASKS = ('reaching', 'cartpole', 'acrobot')
_HEAD = """# Learning over ROS 2

Made by `.venv/bin/python scripts/learning_curves.py`: three processes in lockstep, the settings
of `config/TASK.yaml`, {seeds} seeds each. Score: mean return of 50 greedy episodes (most probable
action, no noise), the same ones before and after training. `±` is the standard deviation over
seeds; in brackets the worst and the best seed. The figures by seed are in `learning.json`.
Time and speed depend on the machine and on what else it does meanwhile.

| Task | Steps | Untrained | Trained | Last 100 episodes, exploring | Time [s] | Steps/s |
| --- | --- | --- | --- | --- | --- | --- |
"""


def train(task: str, seed: int, root: Path) -> Run:
    """The run of one seed, made if it is not there."""
    folder = root / f'{task}-s{seed}'
    run = Run(folder)
    if run.read_summary().get('trained') is None:
        nrl = Path(sys.executable).with_name('nrl')
        arguments = [
            'train',
            task,
            '--seed',
            str(seed),
            '--out',
            str(folder),
            '--plain',
            '--untrained',
        ]
        subprocess.run([str(nrl), *arguments], check=True, cwd=ROOT)
    return run


def spread(values: list[float]) -> str:
    """Mean, standard deviation, worst and best."""
    return (
        f'{np.mean(values):,.1f} ± {np.std(values):,.1f} ({min(values):,.1f} to {max(values):,.1f})'
    )


def row(task: str, summaries: list[dict[str, Any]]) -> str:
    """One line of the table."""
    untrained = spread([s['untrained']['mean'] for s in summaries])
    trained = spread([s['trained']['mean'] for s in summaries])
    last = spread([s['mean_return_last_100'] for s in summaries])
    seconds = np.median([s['training_seconds'] for s in summaries])
    speed = np.median([s['steps_per_second'] for s in summaries])
    steps = summaries[0]['steps']
    return (
        f'| {task} | {steps:,} | {untrained} | {trained} | {last} | {seconds:,.0f} | {speed:,.0f} |'
    )


def main() -> None:
    """Train, then report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--tasks', nargs='+', default=list(TASKS))
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument('--root', type=Path, default=ROOT / 'runs' / 'learning_curves')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs' / 'results')
    options = parser.parse_args()
    lines, runs, figures = [], [], {}
    for task in options.tasks:
        mine = [train(task, seed, options.root) for seed in options.seeds]
        summaries = [run.read_summary() for run in mine]
        lines.append(row(task, summaries))
        keys = ('seed', 'steps', 'untrained', 'trained', 'mean_return_last_100', 'counters')
        figures[task] = [{key: summary[key] for key in keys} for summary in summaries]
        runs += mine
        print(lines[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    plot_runs(runs, options.out / 'learning.png')
    table = _HEAD.format(seeds=len(options.seeds)) + '\n'.join(lines) + '\n'
    (options.out / 'learning.md').write_text(f'{table}\n![Learning curves](learning.png)\n')
    (options.out / 'learning.json').write_text(json.dumps(figures, indent=1) + '\n')


if __name__ == '__main__':
    main()
