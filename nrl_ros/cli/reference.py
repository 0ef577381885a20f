"""The reference of all settings, made from the settings models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo
from rich import box
from rich.markup import escape
from rich.table import Table

from nrl_ros.base.errors import ConfigError, nearest
from nrl_ros.base.settings import Settings, fields_of, mark_of
from nrl_ros.settings.run import ALL_NODES

_INTRODUCTION = """# Parameters

Made by `nrl params --markdown`; do not edit. Every setting of the nodes, as in the files of
`config/` and `--set NODE.NAME=VALUE`, where the node belongs to a run, and `ros2 param`. Those that
are *live* may change while the node runs; those *at start* are decided by who starts the node, and
`ros2 param set` does not change them; the others are read when it is configured. An unknown name
or a value out of range stops the node before it starts, with the names that were meant.

A ROS parameter holds no null, no empty list or group, and no list of lists or groups. `nrl` reads
these from its files and from `--set`, and gives them to the nodes as they are, in one parameter
more: `settings_json`, a JSON text with names and values. Write it yourself in a file that only
`ros2 run` or `ros2 launch` reads, as in `settings_json: '{"network.hidden_sizes": []}'`.
"""


class Parameter(NamedTuple):
    """One setting in words for the reference."""

    name: str
    kind: str
    default: str
    allowed: str
    changes: str
    description: str


def parameters(model: type[Settings]) -> list[Parameter]:
    """Return all settings of a model in order of declaration."""
    return [
        Parameter(
            f'{name}.NAME' if get_origin(field.annotation) is dict else name,
            _kind(field.annotation),
            _value(field.default),
            _allowed(field),
            mark_of(field).replace('_', ' '),
            field.description or '',
        )
        for name, field in fields_of(model).items()
    ]


def markdown() -> str:
    """Return the reference of all nodes as a page."""
    parts = [_INTRODUCTION]
    for node, model in ALL_NODES.items():
        parts.append(f'## {node}\n\n{(model.__doc__ or "").strip()}\n')
        lines = [
            '| Name | Type | Default | Allowed | Changes | Meaning |',
            '| --- | --- | --- | --- | --- | --- |',
        ]
        for one in parameters(model):
            cells = (
                f'`{one.name}`',
                one.kind,
                f'`{one.default}`',
                one.allowed,
                one.changes,
                one.description,
            )
            lines.append('| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |')
        parts.append('\n'.join(lines) + '\n')
    return '\n'.join(parts)


def _kind(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return 'text'
    if origin is Annotated:
        return _kind(get_args(annotation)[0])
    if origin is tuple:
        return f'list of {_kind(get_args(annotation)[0])}'
    if origin is dict:
        return 'any'
    names = {bool: 'yes or no', int: 'whole number', float: 'number', str: 'text'}
    return names.get(annotation, str(annotation))


def _value(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return str(list(default))
    if isinstance(default, str):
        return default or "''"
    return f'{default:g}' if isinstance(default, float) else str(default)


def _allowed(field: FieldInfo) -> str:
    """Return the choices or the range of a setting."""
    if get_origin(field.annotation) is Literal:
        return ', '.join(str(choice) for choice in get_args(field.annotation))
    signs = {
        annotated_types.Ge: ('≥', 'ge'),
        annotated_types.Gt: ('>', 'gt'),
        annotated_types.Le: ('≤', 'le'),
        annotated_types.Lt: ('<', 'lt'),
    }
    found = []
    for limit in field.metadata:
        for kind, (sign, attribute) in signs.items():
            if isinstance(limit, kind):
                found.append(f'{sign} {getattr(limit, attribute):g}')
        pattern = getattr(limit, 'pattern', None)
        if pattern:
            found.append(f'`{pattern}`')
    return ', '.join(found)


def matching(name: str) -> dict[str, list[Parameter]]:
    """Return the settings that a name asks for, by node.

    Args:
        name: of a node, a setting or a group of settings, with or without its node
            (``learner.plasticity``), or any part of such a name; '' for all.

    Raises:
        ConfigError: no setting has such a name.
    """
    known = {node: parameters(model) for node, model in ALL_NODES.items()}
    if name in known:
        return {name: known[name]}
    for is_meant in (_is_or_begins_with, _contains):
        found = {
            node: [one for one in settings if is_meant(name, f'{node}.{one.name}')]
            for node, settings in known.items()
        }
        if any(found.values()):
            return {node: settings for node, settings in found.items() if settings}
    names = [*known, *(one.name for settings in known.values() for one in settings)]
    hint = nearest(name, names) or '; `nrl params` prints all'
    raise ConfigError(f'no node and no setting has {name!r} in its name{hint}')


def _is_or_begins_with(name: str, full: str) -> bool:
    """Return whether a name means a setting or its group, with or without its node."""
    names = (full, full.partition('.')[2])
    return any(f'{one}.'.startswith(f'{name}.') for one in names)


def _contains(name: str, full: str) -> bool:
    return name in full


def lines(found: Mapping[str, Sequence[Parameter]]) -> list[str]:
    """Return one line for each setting, in columns that tabs part: names are never broken."""
    return [
        '\t'.join(
            (f'{node}.{one.name}', one.default, one.allowed or one.kind, one.changes,
             one.description)
        )
        for node, settings in found.items()
        for one in settings
    ]  # fmt: skip


def table(node: str, settings: Sequence[Parameter]) -> Table:
    """Return settings of one node as a table for a terminal; names are never broken."""
    result = Table(title=node, title_justify='left', box=box.SIMPLE_HEAD, pad_edge=False)
    result.add_column('name', style='bold', no_wrap=True, overflow='ignore')
    for column in ('default', 'allowed', 'changes', 'meaning'):
        result.add_column(column, overflow='fold')
    for one in settings:
        allowed = one.allowed or one.kind
        cells = (one.name, one.default, allowed, one.changes, one.description)
        result.add_row(*(escape(cell) for cell in cells))
    return result
