"""Several seeds of one training, one after the other, and what they tell of its settings."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli.display import Say, lines_to
from nrl_ros.cli.grouping import Group, group_runs
from nrl_ros.cli.new_task import is_new_task, short_name
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.runs import Run, RunError, open_run
from nrl_ros.experiments.intervals import Interval, difference, interval

Train = Callable[[TrainOptions, Console], int]
_ACTING = ('greedy', 'exploring')


def train_seeds(options: TrainOptions, console: Console, train: Train) -> int:
    """Train with one seed after the other, and say what they come to together.

    Args:
        options: of the command; its seed is the first one.
        console: for the lines.
        train: trains one.

    Returns:
        Exit code: 0, or that of the first run that did not end well, with which the series ends.

    Raises:
        ConfigError: an option does not fit several seeds.
        NrlError: a run could not be started.
    """
    if options.resume is not None:
        raise ConfigError('--seeds cannot be given with --resume: resume each run by itself')
    say = lines_to(console)
    folder = options.out or options.root / _name(options)
    first = options.seed or 0
    runs: list[Run] = []
    code = 0
    for number, seed in enumerate(range(first, first + options.seeds), 1):
        say(f'seed {seed}, {number} of {options.seeds}')
        one = _with_settings_of(options, runs)
        code = train(replace(one, seed=seed, seeds=1, out=folder / f's{seed}'), console)
        if code:
            break
        runs.append(open_run(folder / f's{seed}'))
    report(runs, say)
    if runs:
        say(f'compare with other settings: nrl compare {folder} OTHER_FOLDER')
    return code


def _name(options: TrainOptions) -> str:
    path = options.config if options.task is None else Path(options.task)
    if options.task is not None and is_new_task(options.task):
        name = short_name(options.task)
    else:
        name = path.stem if path is not None else 'task'
    return f'{name}-{time.strftime("%Y%m%d-%H%M%S")}-seeds'


def _with_settings_of(options: TrainOptions, runs: Sequence[Run]) -> TrainOptions:
    """Return options with the settings that were chosen for the first run of a new task."""
    if not runs or options.task is None or not is_new_task(options.task):
        return options
    return replace(options, task=runs[0].task, config=runs[0].config)


def find_runs(folder: Path) -> list[Run]:
    """Return the run that a folder is, or all runs in it.

    Raises:
        RunError: there is none.
    """
    inside = sorted(path.parent for path in folder.glob('*/config.yaml'))
    if inside and not (folder / 'config.yaml').is_file():
        return [open_run(path) for path in inside]
    return [open_run(folder)]


def report(runs: Sequence[Run], say: Say) -> None:
    """Say mean and interval of each setting over its seeds, and how settings differ.

    Raises:
        RunError: the runs are of several tasks.
        ConfigError: the settings of a run cannot be read.
    """
    tasks = sorted({run.task for run in runs})
    if len(tasks) > 1:
        raise RunError(f'expected runs of one task, received {", ".join(tasks)}')
    groups = group_runs(runs) if runs else []
    for group in groups:
        say(_line(group, tasks[0]))
        for acting in _ACTING:
            say(f'  {acting:<9} {_in_words(_scores(group, acting))}')
    for group in groups[1:]:
        for acting in _ACTING:
            found = difference(_scores(groups[0], acting), _scores(group, acting))
            say(f'{group.label} against {groups[0].label}, {acting}: {_compared(found)}')


def _line(group: Group, task: str) -> str:
    missing = sum(not run.read_summary().get('trained') for run in group.runs)
    text = f'{task}{", " if group.label else ""}{group.label}: {len(group.runs)} seeds'
    return f'{text}, {missing} of them without a score' if missing else text


def _scores(group: Group, acting: str) -> list[float]:
    """Return the mean return of each trained policy that has a score."""
    found = (run.read_summary().get('trained') for run in group.runs)
    scores = [one if acting == 'greedy' else one.get('exploring') for one in found if one]
    return [float(one['mean']) for one in scores if one]


def _in_words(values: Sequence[float]) -> str:
    if not values:
        return 'no score'
    found = interval(values)
    text = f'mean {found.mean:,.1f}'
    if not math.isnan(found.low):
        text += f', 95 % interval {found.low:,.1f} to {found.high:,.1f}'
    return f'{text}, worst {min(values):,.1f}, best {max(values):,.1f}'


def _compared(found: Interval) -> str:
    if math.isnan(found.low):
        return 'an interval needs two seeds of each'
    text = f'{found.mean:+,.1f}, 95 % interval {found.low:+,.1f} to {found.high:+,.1f}'
    if not found.told_apart:
        return f'{text}: not told apart by so many seeds'
    return f'{text}: {"higher" if found.mean > 0.0 else "lower"}'
