"""Settings files with overrides from the command line, written back in full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from nrl_ros.base.config_files import (
    PARAMETERS,
    RosLoader,
    config_folders,
    find_config,
)
from nrl_ros.base.errors import ConfigError, closest
from nrl_ros.base.settings import Flat, dotted, flatten, nest
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


def parse_override(text: str) -> tuple[str, str, Any]:
    """Split ``learner.plasticity.learning_rate=0.01`` into node, name and value.

    Raises:
        ConfigError: it has no value or names no node.
    """
    key, equals, value = text.partition('=')
    node, dot, name = key.strip().partition('.')
    if not (equals and dot and name):
        raise ConfigError(f'--set expects NODE.NAME=VALUE, received {text!r}')
    if node not in MODELS:
        raise ConfigError(f'--set: unknown node {node!r}{closest(node, list(MODELS))}')
    try:
        return node, name, yaml.load(value, RosLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f'--set {key}: {value!r} is not a YAML value') from error


def apply_overrides(nodes: Mapping[str, Flat], overrides: Iterable[str]) -> dict[str, Flat]:
    """Return a copy of the settings with ``NODE.NAME=VALUE`` applied; later ones win."""
    result = {name: dict(flat) for name, flat in nodes.items()}
    for text in overrides:
        node, name, value = parse_override(text)
        if isinstance(value, dict):
            result[node] |= {f'{name}.{key}': item for key, item in dotted(value).items()}
        else:
            result[node][name] = value
    return result


def resolve(
    path: Path, overrides: Iterable[str] = (), forced: Mapping[str, Flat] | None = None
) -> RunSettings:
    """Read a file, apply overrides and the program's own values, and return the checked settings.

    Raises:
        ConfigError: of read_config, parse_override or check.
    """
    nodes = apply_overrides(read_config(path), overrides)
    for name, flat in (forced or {}).items():
        nodes[name] |= flat
    return check(nodes, source=str(path))


def to_yaml(settings: RunSettings, *, comment: str) -> str:
    """Return all settings, defaults included, as a ROS parameter file."""
    nodes = {name: _nested(flatten(getattr(settings, name))) for name in MODELS}
    return parameter_file(nodes, comment=comment)


def parameter_file(nodes: Mapping[str, Mapping[str, Any]], *, comment: str = '') -> str:
    """Return a ROS parameter file for nodes in any namespace.

    Args:
        nodes: parameters by name of the node.
        comment: lines at its beginning.
    """
    data = {f'/**/{name}': {PARAMETERS: dict(values)} for name, values in nodes.items()}
    head = ''.join(f'# {line}\n' for line in comment.splitlines())
    return head + yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=96)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted names as groups, without values that a ROS parameter file cannot hold.

    Empty texts mean "nothing" and are left out too, so that a launch argument may fill them.
    """
    return nest(
        {name: _one_type(value) for name, value in flat.items() if value not in (None, '', [], {})}
    )


def _one_type(value: Any) -> Any:
    """Return a list of one type, as ROS arrays need it: integers beside real ones become real."""
    if isinstance(value, list) and any(isinstance(item, float) for item in value):
        return [float(item) for item in value]
    return value
