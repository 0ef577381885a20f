#!/usr/bin/env python3
"""Reaching with a six-joint arm: NRL over ROS 2, and what else learns it in the same time.

    .venv/bin/python benchmarks/arm_reaching.py [--quick] --json FILE
    .venv/bin/python benchmarks/arm_reaching.py --task pose [--robot fr3] --json FILE

NRL and backpropagation run as a user runs them, by ``nrl train``: three processes in lockstep, the
same network, settings and steps, a learning rate each. PPO and SAC of stable-baselines3 (extra
``yardstick``; left out where it is not installed) learn on the same vectorised arms for the wall
time that NRL took, in one process on one core. Score: 1,000 greedy episodes with targets that no
training has seen, from the last checkpoint. A table goes beside FILE, as .md.

With ``--task pose`` targets have an orientation (``config/ur5e_pose.yaml``, ``fr3_pose.yaml``); the
share that ends within 2 cm and 5 degrees is ``success_pose``.

Three quarters of an hour on two cores that have nothing else to do; --quick: some minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import numpy as np
from rich.console import Console

from benchmarks.arm_runs import (
    RADII_CM,
    STUDIED,
    arms,
    final_figures,
    score,
    settings_of,
    success,
    write_section,
)
from nrl_ros.base.installed import versions_of
from nrl_ros.base.records import StateBatch
from nrl_ros.cli.runs import Run, newest
from nrl_ros.storage.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parent.parent
# A reward at the end alone needs more steps, which are only affordable without the guard; what
# actions cost would be all that is learned.
SPARSE = (
    *STUDIED,
    'environment.stop.steps=4000000',
    'environment.bridge.options.reward.kind=success',
    'environment.reward.delivery=episode',
)
# By the name in the table: what is set beside config/ur5e.yaml.
OVER_ROS: dict[str, tuple[str, ...]] = {
    'nrl': (),
    'backpropagation': ('learner.plasticity.rule=backpropagation',),
    'nrl_sparse': SPARSE,
    'nrl_sparse_wide': (
        *SPARSE,
        'environment.bridge.options.episode.success_radius_m=0.1',
        'learner.policy.action_std=1.0',
    ),
}
TITLES = {
    'nrl': 'NRL, three nodes over ROS 2',
    'backpropagation': 'REINFORCE by backpropagation, three nodes over ROS 2',
    'ppo': 'PPO, one process',
    'sac': 'SAC, one process',
    'nrl_sparse': 'NRL without the guard, reward only for an episode that ends within 2 cm',
    'nrl_sparse_wide': 'NRL, the same within 10 cm, exploring with a deviation of 1.0',
    'ppo_sparse': 'PPO without the guard, reward only for an episode that ends within 2 cm',
    'untrained': 'Untrained network',
    'random': 'Random velocities',
}
# What is compared where targets are poses.
POSE_ROWS = ('nrl', 'backpropagation', 'ppo', 'untrained', 'random')
QUICK_STEPS = 500_000


def over_ros(name: str, seed: int, steps: int, *, task: str, folder: Path) -> dict[str, Any]:
    """Train as a user does, then score the last checkpoint."""
    out = folder / f'{name}-s{seed}'
    command = [
        sys.executable, '-m', 'nrl_ros.cli.main', 'train', task, '--seed', str(seed),
        '--episodes', '0', '--quiet', '--out', str(out),
    ]  # fmt: skip
    if steps:
        command += ['--steps', str(steps)]
    for setting in OVER_ROS[name]:
        command += ['--set', setting]
    environment = os.environ | {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    run = Run(out)
    summary = run.read_summary()
    settings = settings_of(OVER_ROS[name], seed=seed, task=task)
    saved = newest(run, settings.environment.agent).learner
    return {
        'seed': seed,
        'steps': summary['steps'],
        'seconds': summary['training_seconds'],
        **score(settings, read_checkpoint(saved, 'learner'), seed=seed),
    }


def yardstick(name: str, seed: int, seconds: float, *, task: str) -> dict[str, Any]:
    """Train a method of stable-baselines3 for so long."""
    from benchmarks.arm_yardstick import train

    overrides = SPARSE if name.endswith('_sparse') else ()
    algorithm = name.removesuffix('_sparse')
    act, steps, took = train(algorithm, overrides, seed=seed, seconds=seconds, task=task)
    books = arms(settings_of(seed=seed, task=task), 1000)
    found = success(final_figures(books, act, seed))
    return {'seed': seed, 'steps': steps, 'seconds': round(took, 1), **found}


def floor(name: str, seed: int, *, task: str) -> dict[str, Any]:
    """What is reached without learning."""
    settings = settings_of(seed=seed, task=task)
    if name == 'untrained':
        return {'seed': seed, 'steps': 0, 'seconds': 0.0, **score(settings, None, seed=seed)}
    books = arms(settings, 1000)
    space = books.info.spec.action
    generator = np.random.default_rng(seed)
    low, high = np.array(space.low), np.array(space.high)

    def act(state: StateBatch) -> Any:
        drawn = generator.uniform(low, high, (len(state.phase), len(low)))
        return drawn.astype(np.float32)

    found = success(final_figures(books, act, seed))
    return {'seed': seed, 'steps': 0, 'seconds': 0.0, **found}


# ----------------------------------------------------------------- report


def row(name: str, runs: list[dict[str, Any]]) -> str:
    """One line of the table."""
    cells = [TITLES[name], str(len(runs))]
    for share in shares_of(runs):
        shares = [100.0 * run[share] for run in runs]
        cells.append(f'{np.mean(shares):.1f} ({min(shares):.1f} to {max(shares):.1f})')
    for middle in [name for name in ('median_mm', 'median_deg') if name in runs[0]]:
        medians = [run[middle] for run in runs]
        cells.append(f'{np.mean(medians):.1f} ({min(medians):.1f} to {max(medians):.1f})')
    seconds = [run['seconds'] for run in runs]
    cells.append(f'{np.mean([run["steps"] for run in runs]) / 1e6:.2f}')
    cells.append(f'{np.mean(seconds):.0f} ({min(seconds):.0f} to {max(seconds):.0f})')
    return f'| {" | ".join(cells)} |'


def shares_of(runs: list[dict[str, Any]]) -> list[str]:
    """Names of the shares that runs have, the pose first."""
    pose = ['success_pose'] if 'success_pose' in runs[0] else []
    return [*pose, *(f'success_{radius}cm' for radius in RADII_CM)]


def table(result: dict[str, Any]) -> str:
    """The page's section."""
    names = ['', 'Seeds', 'within 5 cm [%]', '2 cm [%]', '1 cm [%]', 'Median distance [mm]']
    if 'success_pose' in result:
        names[2:2] = ['within 2 cm and 5° [%]']
        names.append('Median angle [°]')
    names += ['Steps [10^6]', 'Wall time [s]']
    head = f'| {" | ".join(names)} |\n|{" --- |" * len(names)}\n'
    rows = '\n'.join(row(name, runs) for name, runs in result['runs'].items())
    versions = ', '.join(f'{name} {version}' for name, version in result['versions'].items())
    return (
        f'`{result["command"]}`; {versions}; {result["cpus"]} processors, shared with other work. '
        'Mean over the seeds of 1,000 greedy episodes each, in brackets the worst and the best '
        f'seed; seeds {result["seeds"]}. An episode counts by where it *ends*, after '
        f'{result["episode_s"]:g} s.\n\n{head}{rows}'
    )


def measure(
    options: argparse.Namespace, names: list[str], runs: dict[str, Any], *, task: str
) -> None:
    """Make the runs of these rows of the table.

    Args:
        options: of the command line.
        names: of the rows.
        runs: those that there are; changed.
        task: name of its file.
    """
    console = Console()
    seeds, few = seeds_of(options)
    steps = QUICK_STEPS if options.quick else 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            many = name in ('nrl', 'backpropagation', 'untrained', 'random')
            runs[name] = []
            for seed in seeds if many else few:
                if name in OVER_ROS:
                    run = over_ros(name, seed, steps, task=task, folder=Path(folder))
                elif many:
                    run = floor(name, seed, task=task)
                else:
                    seconds = float(np.mean([run['seconds'] for run in runs['nrl']]))
                    run = yardstick(name, seed, seconds, task=task)
                runs[name].append(run)
                console.print(row(name, [run]), highlight=False, soft_wrap=True)


def seeds_of(options: argparse.Namespace) -> tuple[list[int], list[int]]:
    """Seeds of NRL, backpropagation and what does not learn; and of everything else."""
    many, few = (options.seeds, options.yardstick_seeds) if not options.quick else (1, 1)
    return list(range(many)), list(range(few))


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='one seed, fewer steps')
    parser.add_argument('--json', type=Path, required=True, help='file for the figures')
    parser.add_argument('--task', choices=('point', 'pose'), default='point', help='kind of target')
    parser.add_argument('--robot', choices=('ur5e', 'fr3'), default='ur5e', help='the arm')
    parser.add_argument('--seeds', type=int, default=5, help='of NRL and backpropagation')
    parser.add_argument(
        '--yardstick-seeds', type=int, help='of everything else; default: 3, 5 of poses'
    )
    parser.add_argument(
        '--only', nargs='*', choices=TITLES, help='rows to measure again; the others stay in FILE'
    )
    options = parser.parse_args()
    if options.yardstick_seeds is None:
        options.yardstick_seeds = 5 if options.task == 'pose' else 3
    return options


def main() -> None:
    """Measure and report."""
    options = arguments()
    pose = options.task == 'pose'
    task = f'{options.robot}_pose' if pose else options.robot
    names = list(POSE_ROWS if pose else TITLES) if options.only is None else options.only
    if importlib.util.find_spec('stable_baselines3') is None:
        names = [name for name in names if not name.startswith(('ppo', 'sac'))]
    known = {} if options.only is None else json.loads(options.json.read_text())['runs']
    measure(options, names, known, task=task)
    runs = {name: known[name] for name in TITLES if name in known}
    asked = ''.join(
        f'--{name} {getattr(options, name)} '
        for name, usual in (('task', 'point'), ('robot', 'ur5e'))
        if getattr(options, name) != usual
    )
    spec = arms(settings_of(task=task), 1).info.spec
    result: dict[str, Any] = {
        share: float(np.mean([run[share] for run in runs['nrl']]))
        for share in shares_of(runs['nrl'])
    }
    result |= {
        'command': f'python benchmarks/arm_reaching.py {"--quick " * options.quick}{asked}'
        '--json FILE',
        'versions': versions_of(('numpy', 'mujoco', 'torch', 'stable-baselines3')),
        'cpus': os.cpu_count(),
        'seeds': seeds_of(options)[0],
        'episode_s': spec.control_period_s * spec.max_episode_steps,
        'runs': runs,
    }
    options.json.write_text(json.dumps(result, indent=1) + '\n')
    title = f'Poses of {options.robot}' if pose else 'Reaching'
    write_section(options.json.with_suffix('.md'), title, table(result))


if __name__ == '__main__':
    main()
