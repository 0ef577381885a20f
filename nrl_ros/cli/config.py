"""Settings files with overrides from the command line, written back in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import yaml

from nrl_ros.base.config_files import (
    PARAMETERS,
    RosDumper,
    RosLoader,
    config_folders,
    find_config,
    one_line,
)
from nrl_ros.base.errors import ConfigError, closest
from nrl_ros.base.parameter_values import pack
from nrl_ros.base.settings import Flat, Settings, dotted, fields_of, flatten, nest, overlay
from nrl_ros.settings.run import MODELS, RunSettings, check, read_config

__all__ = [
    'MODELS',
    'Flat',
    'RunSettings',
    'check',
    'config_folders',
    'find_config',
    'read_config',
]

# Widths of the files that are written [1].
_WIDTH, _COMMENT_AT = 96, 44


def parse_override(text: str, known: Iterable[str] = MODELS) -> tuple[str, str, Any]:
    """Split ``learner.plasticity.learning_rate=0.01`` into node, name and value.

    Args:
        text: as given to ``--set``.
        known: names of nodes.

    Raises:
        ConfigError: it has no value or names no node.
    """
    key, equals, value = text.partition('=')
    node, dot, name = key.strip().partition('.')
    if not (equals and dot and name):
        raise ConfigError(f'--set expects NODE.NAME=VALUE, received {text!r}')
    if node not in known:
        raise ConfigError(f'--set: unknown node {node!r}{closest(node, list(known))}')
    try:
        return node, name, yaml.load(value, RosLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f'--set {key}: {value!r} is not a YAML value') from error


def apply_overrides(nodes: Mapping[str, Flat], overrides: Iterable[str]) -> dict[str, Flat]:
    """Return a copy of the settings with ``NODE.NAME=VALUE`` applied; later ones win."""
    result = {name: dict(flat) for name, flat in nodes.items()}
    for text in overrides:
        node, name, value = parse_override(text)
        given = dotted(value, f'{name}.') if isinstance(value, dict) and value else {name: value}
        result[node] = overlay(result[node], given)
    return result


def resolve(
    path: Path, overrides: Iterable[str] = (), forced: Mapping[str, Flat] | None = None
) -> RunSettings:
    """Read a file, apply overrides and the program's own values, and return the checked settings.

    Raises:
        ConfigError: of read_config, parse_override or check.
    """
    return resolve_nodes(read_config(path), overrides, forced, source=str(path))


def resolve_nodes(
    given: Mapping[str, Flat],
    overrides: Iterable[str] = (),
    forced: Mapping[str, Flat] | None = None,
    *,
    source: str,
) -> RunSettings:
    """Do what ``resolve`` does, with settings that were not read from a file.

    Raises:
        ConfigError: of parse_override or check.
    """
    overrides = tuple(overrides)

    def checked(overrides: Iterable[str], source: str) -> RunSettings:
        nodes = apply_overrides(given, overrides)
        for name, flat in (forced or {}).items():
            nodes[name] = overlay(nodes[name], flat)
        return check(nodes, source=source)

    try:
        return checked(overrides, source)
    except ConfigError as error:
        try:
            checked((), source)
        except ConfigError:
            raise error from None
    # Nothing is wrong with the settings themselves, so those of the command line are at fault.
    return checked(overrides, f'{source} with {" ".join(f"--set {text}" for text in overrides)}')


def to_yaml(settings: RunSettings, *, comment: str) -> str:
    """Return all settings, defaults included, as a ROS parameter file."""
    nodes = {name: _written(getattr(settings, name)) for name in MODELS}
    return parameter_file(nodes, comment=comment)


def parameter_file(nodes: Mapping[str, Mapping[str, Any]], *, comment: str = '') -> str:
    """Return a ROS parameter file for nodes in any namespace.

    Args:
        nodes: parameters by name of the node; what ROS cannot hold is carried as JSON.
        comment: lines at its beginning.

    Raises:
        ConfigError: a value is none that a file of settings can carry.
    """
    data = {
        f'/**/{name}': {PARAMETERS: nest(pack(dotted(values)))} for name, values in nodes.items()
    }
    head = ''.join(f'# {line}\n' for line in comment.splitlines())
    style: dict[str, Any] = {'sort_keys': False, 'default_flow_style': None, 'width': _WIDTH}
    return head + str(yaml.dump(data, Dumper=RosDumper, **style))


def commented_file(
    nodes: Mapping[str, Mapping[str, Any]],
    comments: Mapping[tuple[str, str], str],
    *,
    head: Iterable[str],
) -> str:
    """Return a ROS parameter file for people to read and change, with a comment on each setting.

    Args:
        nodes: dotted settings by name of the node, ``**`` for all nodes.
        comments: by node and dotted name.
        head: lines at its beginning, broken where they are too long.
    """
    text = [f'# {part}' for line in head for part in wrap(line, _WIDTH - 2) or ['']]
    for node, flat in nodes.items():
        text += ['', '/**:' if node == '**' else f'/**/{node}:', f'  {PARAMETERS}:']
        text += _commented(node, nest(flat), comments)
    return '\n'.join(line.rstrip() for line in text) + '\n'


def _commented(
    node: str, group: Mapping[str, Any], comments: Mapping[tuple[str, str], str], above: str = ''
) -> Iterator[str]:
    indent = ' ' * (4 + 2 * above.count('.'))
    for key, value in group.items():
        name = f'{above}{key}'
        if isinstance(value, Mapping) and value:
            yield f'{indent}{key}:'
            yield from _commented(node, value, comments, f'{name}.')
            continue
        written = f'{indent}{key}: {one_line(value)}'
        comment = comments.get((node, name), '')
        yield f'{written:<{_COMMENT_AT}}# {comment}' if comment else written


def _written(settings: Settings) -> Flat:
    """Return the settings that a file has to name.

    Empty values are left out where they are the default, so that a launch argument may fill them.
    """
    fields = fields_of(type(settings))

    def is_default(name: str, value: Any) -> bool:
        default = fields[name].default if name in fields else ...
        default = list(default) if isinstance(default, tuple) else default
        return value in (None, '', []) and value == default

    return {name: value for name, value in flatten(settings).items() if not is_default(name, value)}
