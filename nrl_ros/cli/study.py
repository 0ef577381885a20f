"""``nrl study``: run the trials that are left, then draw and tabulate the study."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from nrl_ros.base.durations import duration
from nrl_ros.cli.runs import versions
from nrl_ros.cli.trials import make_engine, run_trials
from nrl_ros.experiments.engine import StudyError
from nrl_ros.experiments.plan import Study, read_study
from nrl_ros.experiments.report import write_report
from nrl_ros.experiments.schedule import Schedule
from nrl_ros.experiments.store import Store


@dataclass(frozen=True)
class StudyOptions:
    """Options of the command line."""

    study: str
    engine: str
    workers: int
    address: str
    root: Path
    out: Path | None
    report_only: bool
    dry_run: bool
    plain: bool


def run(options: StudyOptions, console: Console) -> int:
    """Run and report a study; return the exit code."""
    study = read_study(options.study)
    store = Store(options.root / study.name)
    schedule = Schedule(study, store)
    for fault in store.damaged:
        console.print(f'made again: {escape(fault)}', highlight=False, soft_wrap=True)
    if options.dry_run:
        _forecast(schedule, options, console)
        return 0
    if options.report_only:
        _require_something(schedule)
    else:
        store.prepare()
        stopped = _run(study, schedule, options, console)
        if stopped:
            return 128 + stopped
    out = options.out or store.folder / 'report'
    made = {'command': _command(options), 'commit': str(versions()['commit'])}
    write_report(schedule, out, made)
    console.print(f'{out / "report.md"}', highlight=False, soft_wrap=True)
    for fault in schedule.failed.values():
        console.print(f'failed: {escape(fault)}', highlight=False, soft_wrap=True)
    return 1 if schedule.failed else 0


def _require_something(schedule: Schedule) -> None:
    """Refuse to replace a report by one of nothing.

    Raises:
        StudyError: no trial of the study has a record.
    """
    if not schedule.done:
        raise StudyError(
            f'--report-only: {schedule.store.folder} holds no finished trial of study '
            f'{schedule.study.name!r}: run it first, or say with --root where its results are'
        )


def _run(study: Study, schedule: Schedule, options: StudyOptions, console: Console) -> int:
    """Run the trials that are left; return the signal that stopped them, 0 if none did."""
    if next(schedule.ready(), None) is None:
        return 0
    return run_trials(
        schedule,
        lambda: make_engine(options.engine, options.workers, options.address),
        console,
        study.title or study.name,
        plain=options.plain,
    )


def _forecast(schedule: Schedule, options: StudyOptions, console: Console) -> None:
    """Print the trials by task, and how long they would take as far as that is known."""
    from nrl_ros.experiments.engine import cores

    workers = options.workers or cores()
    left, seconds = schedule.seconds_left({}, workers)
    groups: dict[tuple[str, str], int] = {}
    for _, (task, name, _depth), _size in schedule.open_sizes():
        groups[task, name] = groups.get((task, name), 0) + 1
    for (task, name), count in groups.items():
        console.print(f'{task or "no task"}, {name}: {count} trials', highlight=False)
    console.print(
        f'{schedule.done} trials done, {left} left, {duration(seconds)} with {workers} workers',
        highlight=False,
    )


def _command(options: StudyOptions) -> str:
    """Return the command as typed, without paths of this machine."""
    name = options.study if '/' not in options.study else Path(options.study).name
    more = ['--engine', options.engine] if options.engine != 'processes' else []
    return shlex.join(['nrl', 'study', name, *more])
