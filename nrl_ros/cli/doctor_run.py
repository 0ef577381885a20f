"""What ``nrl doctor RUN`` says of a run: how it went, how healthy it was, and what to change."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nrl_ros.base.health import MEASURES
from nrl_ros.cli.display import number
from nrl_ros.cli.runs import Run, RunError, open_run, recording_of
from nrl_ros.monitor.progress import group_counters
from nrl_ros.storage.recordings import Recording

_COLUMN = 'health_'


def path_lines(path: Path) -> list[str]:
    """Return a page about a run folder with its newest recording, or about a recording.

    Raises:
        NrlError: it is neither, or it is damaged.
    """
    if not path.exists():
        raise RunError(f'there is no run folder and no recording {path}')
    if not (path / 'config.yaml').is_file():
        return recording_lines(path)
    lines = run_lines(open_run(path))
    if any(path.glob('recording*')):
        lines += ['', *recording_lines(recording_of(path))]
    return lines


def recording_lines(path: Path) -> list[str]:
    """Return a page about a recording.

    Raises:
        RecordingError: it is none, or damaged.
    """
    recording = Recording(path)
    # Messages of ROS are needed from here on, and not for a run folder.
    from nrl_ros.ros.recorded_report import RecordingReport

    return RecordingReport(recording).lines()


def run_lines(run: Run) -> list[str]:
    """Return a page about a run: from its summary, or else from its last row of progress.

    Raises:
        RunError: the summary is damaged.
    """
    summary, row = run.read_summary(), _last_row(run)
    health = _health(summary, row)
    told = health.sentences
    lines = [f'{run.folder}: {run.task}', _course(summary, row), '']
    lines += ['what to change, the most likely cause first:' if told else 'nothing to change']
    lines += [f'  {one}' for one in told]
    return [*lines, '', *_counted(summary, row), *_measures(health)]


def _last_row(run: Run) -> dict[str, str]:
    if not run.progress.is_file():
        return {}
    last: dict[str, str] = {}
    with run.progress.open(newline='', encoding='utf-8') as file:
        for row in csv.DictReader(file):
            last = {name: cell for name, cell in row.items() if name and cell}
    return last


class _Health(NamedTuple):
    """What is known of the health of a run: values, sentences, and measures out of range."""

    values: Mapping[str, float]
    sentences: list[str]
    marked: Collection[str]


def _health(summary: Mapping[str, Any], row: Mapping[str, str]) -> _Health:
    saved = summary.get('health')
    if isinstance(saved, dict):
        values = {
            name: math.nan if value is None else float(value)
            for name, value in saved.get('values', {}).items()
        }
        marked = {str(one.get('measure')) for one in saved.get('told', ()) if one.get('holds')}
        return _Health(values, [str(one) for one in saved.get('sentences', ())], marked)
    values = {one.name: float(row.get(_COLUMN + one.name, 'nan')) for one in MEASURES}
    hints = {one.name: hint for one in MEASURES if (hint := one.hint(values[one.name]))}
    sentences = dict.fromkeys(hints.values())
    return _Health(values, list(sentences), hints)


def _course(summary: Mapping[str, Any], row: Mapping[str, str]) -> str:
    if not summary:
        steps = int(float(row.get('steps', 0)))
        return f'no summary: it runs, or was killed; {steps:,} steps in its last row of progress'
    first, last = (summary.get(f'mean_return_{part}_100') for part in ('first', 'last'))
    course = [f'{summary.get("steps", 0):,} steps', f'{summary.get("episodes", 0):,} episodes']
    if first is not None and last is not None:
        course.append(f'return {number(first)} at first, {number(last)} at last')
    reason = str(summary.get('reason') or '').strip()
    ended = f'{summary.get("ended", "ended")}{": " + reason if reason else ""}'
    return f'{ended}; {", ".join(course)}'


def _counted(summary: Mapping[str, Any], row: Mapping[str, str]) -> list[str]:
    """Return what was counted of lost, late and refused messages, by node."""
    lines = []
    for node, counters in summary.get('counters', {}).items():
        found = [f'{name} {value:,}' for name, value in counters.items() if value]
        if found:
            lines.append(f'counted by {node}: {", ".join(found)}')
    if not summary:
        found = [f'{name} {row[name]}' for name in group_counters({}) if row.get(name, '0') != '0']
        lines += [f'counted: {", ".join(found)}'] if found else []
    return [*lines, ''] if lines else []


def _measures(health: _Health) -> list[str]:
    """Return the measures as lines; those that were never taken are left out."""
    lines = []
    for measure in MEASURES:
        value = health.values.get(measure.name, math.nan)
        if math.isnan(value):
            continue
        unit = '' if measure.unit == '1' else f' {measure.unit}'
        healthy = f', healthy {measure.range}' if measure.range else ''
        mark = '!' if measure.name in health.marked else ' '
        lines.append(f'{mark} {measure.name:<22} {number(value)}{unit}{healthy}')
    return ['health at its end:', *lines] if lines else ['it has no figures of health']
