#!/usr/bin/env python3
"""One arm, alone, from nothing: minutes until nine of ten held-out targets end within 2 cm.

    .venv/bin/python benchmarks/arm_alone.py [--quick] --json FILE

``nrl arm --from-nothing`` runs in real time on the simulated driver: driver, safety node,
environment, neuromodulator and learner. Its checkpoints are scored after it on 100 targets that it
never had, greedily, in the simulation with the same limits; the minutes count from the start of the
command, driving home included. Beside it, in lockstep simulation of the same single arm with as
many actions as the real-time run would have in that time: the settings without each of their parts,
backpropagation in place of the rule, and SAC with its replay and PPO of stable-baselines3 (extra
``yardstick``; left out where it is not installed). A table goes beside FILE, as .md.

An hour and a half on two cores that have nothing else to do; --quick: a quarter of an hour, one
seed each; --only names the rows to measure again.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import numpy as np
from rich.console import Console

from benchmarks.arm_runs import Training, arms, final_figures, score, success, write_section
from nrl_ros.base.errors import NrlError
from nrl_ros.base.installed import versions_of
from nrl_ros.cli.arm_task import from_nothing
from nrl_ros.cli.config import RunSettings, find_config, read_config, resolve_nodes
from nrl_ros.cli.runs import Run
from nrl_ros.storage.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parent.parent
TARGETS = 100
NEEDED = 0.9
LIMIT_MIN = 12.0
# Between two scores [s], and how long a lockstep run goes on [min].
EVERY_S, SIMULATED_MIN = 30.0, 6.0
_OPTIONS = 'environment.bridge.options'
_PLASTICITY = 'learner.plasticity'

# Rows in real time, by robot.
LIVE = {'ur5e': 'UR5e', 'fr3': 'Franka FR3', 'planar': 'planar arm of two joints'}
# Rows in lockstep: what is set besides config/arm/from_nothing.yaml.
CHANGED: dict[str, tuple[str, ...]] = {
    'as shipped': (),
    'backpropagation instead of NRL': (f'{_PLASTICITY}.rule=backpropagation',),
    '16 samples': (f'{_PLASTICITY}.samples=16',),
    'newest weights, not averaged': (f'{_PLASTICITY}.averaging=0',),
    'error_scale_m 0.1': (f'{_OPTIONS}.observation.error_scale_m=0.1',),
    'home_cost 0': (f'{_OPTIONS}.reward.home_cost=0',),
    'action_cost 0.1': (f'{_OPTIONS}.reward.action_cost=0.1',),
    'Adam with beta2 0.999': (f'{_PLASTICITY}.optimiser_options.beta2=0.999',),
    '64 hidden neurons': ('learner.network.hidden_sizes=[64]',),
    'action_std 0.3': ('learner.policy.action_std=0.3',),
    'rate 0.002': (f'{_PLASTICITY}.learning_rate=0.002',),
    'constant rate': (f'{_PLASTICITY}.learning_rate_decay=0',),
    'baseline of rate 0.1': ('neuromodulator.rpe.rate=0.1',),
    'a learned baseline (critic, no discount)': (
        'neuromodulator.rpe.baseline=critic',
        'neuromodulator.critic.discount=0.0',
        'neuromodulator.critic.samples=16',
    ),
    'each episode from home': (f'{_OPTIONS}.episode.home_every=1',),
}
OTHERS = {'sac': 'SAC, replay', 'ppo': 'PPO'}


def settings_of(robot: str, seed: int, changed: tuple[str, ...] = ()) -> RunSettings:
    """The settings of one simulated arm that learns alone."""
    path = find_config(robot)
    seeds = (f'learner.seed={seed}', f'environment.seed={seed}')
    nodes = from_nothing(read_config(path))
    endless = {'environment': {'stop.steps': 0, 'stop.learned.share': 0.0}}
    return resolve_nodes(nodes, (*changed, *seeds), endless, source=str(path))


def held_out(settings: RunSettings, snapshot: dict[str, Any], seed: int) -> dict[str, float]:
    """Greedy episodes with 100 targets of a seed of their own, from places near home."""
    return score(settings, snapshot, seed=seed, count=TARGETS)


def minutes_to(curve: list[dict[str, float]]) -> float | None:
    """When the curve first was where it has to be [min]; None if it never was."""
    there = (point['minutes'] for point in curve if point['success_2cm'] >= NEEDED)
    return next(there, None)


# ------------------------------------------------------------- in real time


def in_real_time(robot: str, seed: int, folder: Path) -> dict[str, Any]:
    """Let ``nrl arm --from-nothing`` learn, then score its checkpoints."""
    out = folder / f'{robot}-s{seed}'
    command = [
        sys.executable, '-m', 'nrl_ros.cli.main', 'arm', '--robot', robot, '--from-nothing',
        '--out', str(out),
    ]  # fmt: skip
    for setting in (
        f'learner.seed={seed}',
        f'environment.seed={seed}',
        f'learner.checkpoint.period_s={EVERY_S}',
        'learner.checkpoint.keep=1000',
    ):
        command += ['--set', setting]
    environment = os.environ | {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    began = time.time()
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        process.wait(60.0 * LIMIT_MIN)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait(60.0)
    return scored(Run(out), robot, seed, began)


def scored(run: Run, robot: str, seed: int, began: float) -> dict[str, Any]:
    """Score all checkpoints of a run in real time.

    Args:
        run: its folder.
        robot: name of the arm.
        seed: of the run, and of the held-out targets.
        began: when its command was started, as ``time.time()`` tells it [s].
    """
    settings, summary = settings_of(robot, seed), run.read_summary()
    curve = []
    for path in sorted(run.checkpoints.glob('learner_*.nrl')):
        minutes = (path.stat().st_mtime - began) / 60.0
        snapshot = read_checkpoint(path, 'learner')
        curve.append({'minutes': round(minutes, 2), **held_out(settings, snapshot, seed)})
    return {
        'seed': seed,
        'minutes_to_90': minutes_to(curve),
        'minutes': round(summary['seconds'] / 60.0, 2),
        'ended': summary['ended'],
        'episodes': summary['episodes'],
        'actions': summary['steps'],
        'homings': summary['counters'].get('environment', {}).get('homings', 0),
        'curve': curve,
    }


# -------------------------------------------------------------- in lockstep


def in_lockstep(robot: str, seed: int, changed: tuple[str, ...] = ()) -> dict[str, Any]:
    """Let one simulated arm learn that waits for nothing; minutes are those of its actions."""
    settings = settings_of(robot, seed, changed)
    training = Training(settings)
    period_s = training.environment.spec.control_period_s
    curve = []
    for minutes in marks():
        training.run(round(60.0 * minutes / period_s))
        snapshot = training.learner.snapshot()
        curve.append({'minutes': minutes, **held_out(settings, snapshot, seed)})
    training.close()
    return {'seed': seed, 'minutes_to_90': minutes_to(curve), 'curve': curve}


def marks() -> Iterator[float]:
    """The times at which a run in lockstep is scored [min]."""
    count = round(60.0 * SIMULATED_MIN / EVERY_S)
    yield from (round((number + 1) * EVERY_S / 60.0, 4) for number in range(count))


def other(algorithm: str, seed: int) -> dict[str, Any]:
    """Let a method of stable-baselines3 learn on the same arm, with as many actions."""
    from benchmarks.arm_yardstick import train_alone

    settings = settings_of('ur5e', seed)
    curve: list[dict[str, float]] = []

    def at_mark(actions: int, act: Any) -> None:
        books = arms(settings, TARGETS)
        minutes = round(actions * books.info.spec.control_period_s / 60.0, 4)
        curve.append({'minutes': minutes, **success(final_figures(books, act, seed))})

    bridge = settings.environment.bridge
    period_s = arms(settings, 1).info.spec.control_period_s
    counts = [round(60.0 * minutes / period_s) for minutes in marks()]
    train_alone(algorithm, bridge, seed=seed, marks=counts, scored=at_mark)
    return {'seed': seed, 'minutes_to_90': minutes_to(curve), 'curve': curve}


# ------------------------------------------------------------------- report


def row(title: str, runs: list[dict[str, Any]]) -> str:
    """One line of a table: minutes to 90 %, and shares after 2, 4 and 6 minutes."""
    times = [run['minutes_to_90'] for run in runs]
    mean = 'not all' if None in times else f'{np.mean(times):.1f}'
    span = ', '.join('–' if value is None else f'{value:.1f}' for value in times)
    cells = [title, str(len(runs)), f'{mean} ({span})']
    for minutes in (2.0, 4.0, 6.0):
        shares = [
            100.0 * [p['success_2cm'] for p in run['curve'] if p['minutes'] <= minutes + 0.01][-1]
            for run in runs
        ]
        cells.append(f'{np.mean(shares):.0f} ({min(shares):.0f})')
    return f'| {" | ".join(cells)} |'


def table(result: dict[str, Any]) -> str:
    """The page's section."""
    head = (
        '| | Seeds | Minutes to 90 % within 2 cm | after 2 min [%] | 4 min [%] | 6 min [%] |\n'
        '| --- | --- | --- | --- | --- | --- |\n'
    )
    versions = ', '.join(f'{name} {version}' for name, version in result['versions'].items())
    parts = [
        f'`{result["command"]}`; {versions}; {result["cpus"]} processors. Of {TARGETS} held-out '
        'targets; mean over the seeds, in brackets each seed or the worst one; – was not reached.'
    ]
    for title, rows in (
        ('In real time over ROS 2', result['live']),
        ('In lockstep simulation, at the same number of actions', result['lockstep']),
    ):
        if rows:
            parts.append(f'**{title}**\n\n{head}' + '\n'.join(row(*one) for one in rows.items()))
    return '\n\n'.join(parts)


def measure(options: argparse.Namespace, result: dict[str, Any], folder: Path) -> None:
    """Make the runs, and add them to the result.

    Args:
        options: of the command line.
        result: rows of runs by group and title; changed.
        folder: for the runs in real time.
    """
    console = Console()
    seeds = range(1 if options.quick else options.seeds)

    def keep(group: str, title: str, runs: list[dict[str, Any]]) -> None:
        result[group][title] = runs
        write(result, options)
        console.print(row(title, runs), highlight=False, soft_wrap=True)

    for robot, title in LIVE.items():
        if robot in options.only:
            keep('live', title, [in_real_time(robot, seed, folder) for seed in seeds])
    for title, changed in CHANGED.items():
        if 'lockstep' in options.only:
            keep('lockstep', title, [in_lockstep('ur5e', seed, changed) for seed in seeds])
    for robot in ('fr3', 'planar'):
        if 'lockstep' in options.only:
            keep('lockstep', LIVE[robot], [in_lockstep(robot, seed) for seed in seeds])
    if importlib.util.find_spec('stable_baselines3') is None:
        return
    for algorithm, title in OTHERS.items():
        if algorithm in options.only:
            keep('lockstep', title, [other(algorithm, seed) for seed in seeds])


def write(result: dict[str, Any], options: argparse.Namespace) -> None:
    """Write the figures and the page; after each row, since all of them take long."""
    times = [run['minutes_to_90'] for run in result['live'].get(LIVE['ur5e'], [])]
    reached = bool(times) and None not in times
    result['minutes_to_90'] = float(np.mean(times)) if reached else None
    result['minutes_to_90_worst'] = max(times) if reached else None
    result |= {
        'command': f'python benchmarks/arm_alone.py {"--quick " * options.quick}--json FILE',
        'versions': versions_of(('numpy', 'mujoco', 'torch', 'stable-baselines3')),
        'cpus': os.cpu_count(),
    }
    options.json.write_text(json.dumps(result, indent=1) + '\n')
    write_section(options.json.with_suffix('.md'), 'One arm alone', table(result))


def main() -> None:
    """Measure and report."""
    groups = [*LIVE, 'lockstep', *OTHERS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='one seed')
    parser.add_argument('--json', type=Path, required=True, help='file for the figures')
    parser.add_argument('--seeds', type=int, default=5, help='of each row')
    parser.add_argument(
        '--only', nargs='*', choices=groups, help='rows to measure; the others stay in FILE'
    )
    options = parser.parse_args()
    result: dict[str, Any] = {'live': {}, 'lockstep': {}}
    if options.only is not None and options.json.is_file():
        result |= json.loads(options.json.read_text())
    options.only = groups if options.only is None else options.only
    with tempfile.TemporaryDirectory() as folder:
        measure(options, result, Path(folder))


if __name__ == '__main__':
    try:
        main()
    except NrlError as error:
        raise SystemExit(str(error)) from None
