"""Groups runs of one task by their settings, and names each group by what it has of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import flatten
from nrl_ros.cli.config import MODELS, read_config, resolve
from nrl_ros.cli.runs import Run

# What says where a run lies, how long it takes, and which chance it has, and not what is learned.
_APART = ('seed', 'folder', 'autostart', 'realtime_priority', 'keep', 'exit')
_APART_GROUPS = ('stop', 'limits')
# A label names so many settings; runs that differ in more are named by their folders too.
_NAMED = 4

Values = dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Runs of one task with equal settings.

    Attributes:
        runs: its members, which differ in their seeds.
        label: the settings that other groups have otherwise; empty if there is no other group.
    """

    runs: tuple[Run, ...]
    label: str


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Return the groups of runs with equal settings, in the order of their first runs.

    Raises:
        ConfigError: the settings of a run cannot be read.
    """
    members: dict[str, list[Run]] = {}
    values: dict[str, Values] = {}
    for run in runs:
        found = _values(run)
        key = repr(sorted(found.items()))
        members.setdefault(key, []).append(run)
        values[key] = found
    if len(members) == 1:
        return [Group(tuple(runs), '')]
    names = differing(list(values.values()))
    return [
        Group(tuple(mine), _label(values[key], names, mine[0].folder))
        for key, mine in members.items()
    ]


def _values(run: Run) -> Values:
    """Return the settings of a run that decide what it learns, with those left at a default."""
    try:
        resolved = resolve(run.config)
        nodes = {name: flatten(getattr(resolved, name)) for name in MODELS}
    except ConfigError:
        # A part of another machine, or a setting of an older version: its text still tells.
        nodes = read_config(run.config)
    return {
        f'{node}.{name}': value
        for node, flat in nodes.items()
        for name, value in flat.items()
        if not _is_apart(name)
    }


def _is_apart(name: str) -> bool:
    first, last = name.partition('.')[0], name.rpartition('.')[2]
    return last in _APART or last.endswith('_period_s') or first in _APART_GROUPS


def differing(values: Sequence[Values]) -> dict[str, str]:
    """Return the names of settings that are not the same in all, each with its shortest name."""
    names = [
        name
        for name in dict.fromkeys(name for one in values for name in one)
        if any(one.get(name) != values[0].get(name) for one in values)
    ]
    return {name: _shortest(name, names) for name in names}


def _shortest(name: str, names: Sequence[str]) -> str:
    """Return as many last parts of a dotted name as tell it from the others."""
    parts = name.split('.')
    for count in range(1, len(parts)):
        short = '.'.join(parts[-count:])
        if sum(f'.{other}'.endswith(f'.{short}') for other in names) == 1:
            return short
    return name


def _label(values: Values, names: Mapping[str, str], folder: Path) -> str:
    shown = [f'{short} {_text(values.get(name))}' for name, short in names.items()]
    if len(shown) > _NAMED:
        more = len(shown) - _NAMED + 1
        shown = [folder.name, *shown[: _NAMED - 1], f'{more} more settings']
    return ', '.join(shown)


def _text(value: Any) -> str:
    if value is None or value == '':
        return 'none'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return f'{value:g}' if isinstance(value, float) else str(value)
