#!/usr/bin/env python3
"""Reaching with a six-joint arm: NRL over ROS 2, and what else learns it in the same time.

    .venv/bin/python benchmarks/arm_reaching.py [--quick] --json FILE
    .venv/bin/python benchmarks/arm_reaching.py --task pose [--robot fr3] --json FILE

NRL and backpropagation run as a user runs them, by ``nrl train``: three processes in lockstep, the
same network, settings and steps, a learning rate each. With ``--in-process`` they are trained in
this process, without ROS: the weights are the same to the bit, for half of the processor time. PPO
and SAC of stable-baselines3 (extra ``yardstick``; left out where it is not installed) learn on the
same vectorised arms in one process on one core, for the processor time that NRL took, which over
ROS 2 is that of all its processes with their start; with ``--equal wall`` for the wall time of its
training, which says something only on a machine that does nothing else. Score: 1,000 greedy
episodes with targets that no training has seen, from the last weights. FILE is written after each
run, ``--go-on`` adds what it lacks; a table goes into PAGE (``--page``), or beside FILE as .md.

With ``--task pose`` targets have an orientation (``config/ur5e_pose.yaml``, ``fr3_pose.yaml``); the
share that ends within 2 cm and 5 degrees is ``success_pose``.

Three quarters of an hour on two cores that have nothing else to do; --quick: some minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
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

from benchmarks.arm_runs import (
    RADII_CM,
    STUDIED,
    Training,
    arms,
    final_figures,
    score,
    settings_of,
    success,
    write_section,
)
from benchmarks.report import spread
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
    'nrl': 'NRL, {how}',
    'backpropagation': 'REINFORCE by backpropagation, {how}',
    'ppo': 'PPO, one process',
    'sac': 'SAC, one process',
    'nrl_sparse': 'NRL without the guard, reward only for an episode that ends within 2 cm',
    'nrl_sparse_wide': 'NRL, the same within 10 cm, exploring with a deviation of 1.0',
    'ppo_sparse': 'PPO without the guard, reward only for an episode that ends within 2 cm',
    'untrained': 'Untrained network',
    'random': 'Random velocities',
}
# How those of OVER_ROS were trained, by whether that was in one process.
HOW = {False: 'three nodes over ROS 2', True: 'one process'}
# What is compared where targets are poses.
POSE_ROWS = ('nrl', 'backpropagation', 'ppo', 'untrained', 'random')
QUICK_STEPS = 500_000
# What a run's entry calls the time by which PPO and SAC are given as much as NRL took.
TIMES = {'processor': 'processor_s', 'wall': 'seconds'}
# And what is said of it.
EQUAL = {
    'processor': 'PPO and SAC had the processor time that NRL took with the same seed, over ROS 2 '
    'that of all its processes with their start.',
    'wall': 'PPO and SAC had the wall time that the training of NRL took with the same seed.',
}
# Of a run that learns nothing.
_NOTHING = {'steps': 0, 'seconds': 0.0, 'processor_s': 0.0}


def children_s() -> float:
    """Return the processor time of all processes that have ended below this one [s]."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
    before = children_s()
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    used = children_s() - before
    run = Run(out)
    summary = run.read_summary()
    settings = settings_of(OVER_ROS[name], seed=seed, task=task)
    saved = newest(run, settings.environment.agent).learner
    return {
        'seed': seed,
        'steps': summary['steps'],
        'seconds': summary['training_seconds'],
        'processor_s': round(used, 1),
        **score(settings, read_checkpoint(saved, 'learner'), seed=seed),
    }


def in_process(name: str, seed: int, steps: int, *, task: str) -> dict[str, Any]:
    """Train without ROS, which comes to the same weights, then score them."""
    settings = settings_of(OVER_ROS[name], seed=seed, task=task)
    training = Training(settings)
    start = time.perf_counter()
    training.run(steps or settings.environment.stop.steps)
    seconds = time.perf_counter() - start
    training.close()
    return {
        'seed': seed,
        'steps': training.total_steps,
        'seconds': round(seconds, 1),
        'processor_s': round(training.cpu_s, 1),
        **score(settings, training.learner.snapshot(), seed=seed),
    }


def yardstick(
    name: str, seed: int, *, task: str, equal: str, like: list[dict[str, Any]]
) -> dict[str, Any]:
    """Train a method of stable-baselines3 for as long as NRL took with the same seed.

    Args:
        name: of the row.
        seed: of everything.
        task: name of its file.
        equal: which time, of TIMES.
        like: the runs of NRL.

    Raises:
        SystemExit: NRL has no run of this seed, or its time was not measured.
    """
    from benchmarks.arm_yardstick import Limit, train

    took = {run['seed']: run[TIMES[equal]] for run in like if TIMES[equal] in run}
    if seed not in took:
        raise SystemExit(
            f'{name} of seed {seed} learns for the {equal} time of NRL, of which FILE has none: '
            'measure nrl too (--only nrl ...), or set --equal wall for figures of before'
        )
    limit = Limit(took[seed], time.process_time if equal == 'processor' else time.perf_counter)
    overrides = SPARSE if name.endswith('_sparse') else ()
    algorithm = name.removesuffix('_sparse')
    trained = train(algorithm, overrides, seed=seed, limit=limit, task=task)
    books = arms(settings_of(seed=seed, task=task), 1000)
    found = success(final_figures(books, trained.act, seed))
    told = {'steps': trained.steps, 'seconds': trained.seconds, 'processor_s': trained.processor_s}
    return {'seed': seed, **told, **found}


def floor(name: str, seed: int, *, task: str) -> dict[str, Any]:
    """What is reached without learning."""
    settings = settings_of(seed=seed, task=task)
    if name == 'untrained':
        return {'seed': seed, **_NOTHING, **score(settings, None, seed=seed)}
    books = arms(settings, 1000)
    space = books.info.spec.action
    generator = np.random.default_rng(seed)
    low, high = np.array(space.low), np.array(space.high)

    def act(state: StateBatch) -> Any:
        drawn = generator.uniform(low, high, (len(state.phase), len(low)))
        return drawn.astype(np.float32)

    found = success(final_figures(books, act, seed))
    return {'seed': seed, **_NOTHING, **found}


# ----------------------------------------------------------------- report


def row(name: str, runs: list[dict[str, Any]], *, how: str) -> str:
    """One line of the table; ``how`` those of OVER_ROS were trained."""
    cells = [TITLES[name].format(how=how), str(len(runs))]
    for share in shares_of(runs):
        shares = [100.0 * run[share] for run in runs]
        cells.append(spread(shares))
    for middle in [name for name in ('median_mm', 'median_deg') if name in runs[0]]:
        medians = [run[middle] for run in runs]
        cells.append(spread(medians))
    cells.append(f'{np.mean([run["steps"] for run in runs]) / 1e6:.2f}')
    for time_ in times_of(runs):
        seconds = [run[time_] for run in runs]
        cells.append(spread(seconds, 0))
    return f'| {" | ".join(cells)} |'


def times_of(runs: list[dict[str, Any]]) -> list[str]:
    """Names of the times that were measured of all runs; those of before lack one."""
    return [name for name in TIMES.values() if all(name in run for run in runs)]


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
    every = [run for runs in result['runs'].values() for run in runs]
    titles = {'processor_s': 'Processor time [s]', 'seconds': 'Wall time [s]'}
    names += ['Steps [10^6]', *(titles[name] for name in times_of(every))]
    head = f'| {" | ".join(names)} |\n|{" --- |" * len(names)}\n'
    how = HOW[result['in_process']]
    rows = '\n'.join(row(name, runs, how=how) for name, runs in result['runs'].items())
    versions = ', '.join(f'{name} {version}' for name, version in result['versions'].items())
    return (
        f'`{result["command"]}`; {versions}; {result["cpus"]} processors, shared with other work. '
        'Mean over the seeds of 1,000 greedy episodes each with targets that no training has seen, '
        'in brackets the worst and the best seed. An episode counts by where it *ends*, after '
        f'{result["episode_s"]:g} s. {EQUAL[result["equal"]]}\n\n{head}{rows}'
    )


def result_of(
    options: argparse.Namespace, runs: dict[str, list[dict[str, Any]]], *, task: str
) -> dict[str, Any]:
    """What FILE holds: the shares of NRL first, then how they were made, then all runs."""
    asked = ''.join(
        f'--{name} {getattr(options, name)} '
        for name, usual in (('task', 'point'), ('robot', 'ur5e'), ('equal', 'processor'))
        if getattr(options, name) != usual
    )
    spec = arms(settings_of(task=task), 1).info.spec
    ordered = {name: runs[name] for name in TITLES if runs.get(name)}
    learned = ordered.get('nrl', [])
    result: dict[str, Any] = {
        share: float(np.mean([run[share] for run in learned]))
        for share in (shares_of(learned) if learned else ())
    }
    return result | {
        'command': f'python benchmarks/arm_reaching.py {"--quick " * options.quick}{asked}'
        f'{"--in-process " * options.in_process}--json FILE',
        'versions': versions_of(('numpy', 'mujoco', 'torch', 'stable-baselines3')),
        'cpus': os.cpu_count(),
        'equal': options.equal,
        'in_process': options.in_process,
        'seeds': [run['seed'] for run in learned],
        'episode_s': spec.control_period_s * spec.max_episode_steps,
        'runs': ordered,
    }


def measure(
    options: argparse.Namespace, names: list[str], runs: dict[str, Any], *, task: str
) -> Iterator[str]:
    """Make the runs of these rows of the table, and yield the name of each row as one is made.

    Args:
        options: of the command line.
        names: of the rows.
        runs: those that there are; changed.
        task: name of its file.
    """
    seeds, few = seeds_of(options)
    steps = QUICK_STEPS if options.quick else 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            many = name in ('nrl', 'backpropagation', 'untrained', 'random')
            runs[name] = runs.get(name, []) if options.go_on else []
            made = {run['seed'] for run in runs[name]}
            for seed in (seed for seed in (seeds if many else few) if seed not in made):
                if name in OVER_ROS and options.in_process:
                    run = in_process(name, seed, steps, task=task)
                elif name in OVER_ROS:
                    run = over_ros(name, seed, steps, task=task, folder=Path(folder))
                elif many:
                    run = floor(name, seed, task=task)
                else:
                    like = runs.get('nrl', [])
                    run = yardstick(name, seed, task=task, equal=options.equal, like=like)
                runs[name].append(run)
                yield name


def seeds_of(options: argparse.Namespace) -> tuple[list[int], list[int]]:
    """Seeds of NRL, backpropagation and what does not learn; and of everything else."""
    many, few = (options.seeds, options.yardstick_seeds) if not options.quick else (1, 1)
    return list(range(many)), list(range(few))


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='one seed, fewer steps')
    parser.add_argument('--json', type=Path, required=True, help='file for the figures')
    parser.add_argument('--page', type=Path, help='Markdown that gets the table; default: FILE.md')
    parser.add_argument('--task', choices=('point', 'pose'), default='point', help='kind of target')
    parser.add_argument('--robot', choices=('ur5e', 'fr3'), default='ur5e', help='the arm')
    parser.add_argument('--seeds', type=int, default=5, help='of NRL and backpropagation')
    parser.add_argument(
        '--yardstick-seeds', type=int, help='of everything else; default: 3, 5 of poses'
    )
    parser.add_argument(
        '--only', nargs='*', choices=TITLES, help='rows to measure again; the others stay in FILE'
    )
    parser.add_argument(
        '--equal',
        choices=tuple(TIMES),
        default='processor',
        help='which time PPO and SAC have as much of as NRL took',
    )
    parser.add_argument(
        '--in-process', action='store_true', help='train NRL and backpropagation without ROS'
    )
    parser.add_argument(
        '--go-on', action='store_true', help='keep the runs of FILE, and make those it lacks'
    )
    options = parser.parse_args()
    options.page = options.page or options.json.with_suffix('.md')
    if options.yardstick_seeds is None:
        options.yardstick_seeds = 5 if options.task == 'pose' else 3
    return options


def main() -> None:
    """Measure and report."""
    options, console = arguments(), Console()
    pose = options.task == 'pose'
    task = f'{options.robot}_pose' if pose else options.robot
    names = list(POSE_ROWS if pose else TITLES) if options.only is None else options.only
    if importlib.util.find_spec('stable_baselines3') is None:
        names = [name for name in names if not name.startswith(('ppo', 'sac'))]
    kept = options.only is not None or (options.go_on and options.json.is_file())
    how = HOW[options.in_process]
    before = json.loads(options.json.read_text()) if kept else {}
    # Files of before have no such entry: they are of three nodes.
    if before and before.get('in_process', False) != options.in_process:
        raise SystemExit(
            f'{options.json} holds runs of {HOW[not options.in_process]}, asked for are those of '
            f'{how}: go on as it was made, or write another file'
        )
    runs = before.get('runs', {})
    title = f'Poses of {options.robot}' if pose else 'Reaching'
    for name in measure(options, names, runs, task=task):
        console.print(row(name, runs[name][-1:], how=how), highlight=False, soft_wrap=True)
        result = result_of(options, runs, task=task)
        options.json.write_text(json.dumps(result, indent=1) + '\n')
        write_section(options.page, title, table(result))


if __name__ == '__main__':
    main()
