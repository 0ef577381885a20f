"""Configuration files: ROS parameter YAML for the three nodes, found, overridden, checked, written.

The same files are taken by ``ros2 launch`` and by ``ros2 run --ros-args --params-file``::

    /**/learner:
      ros__parameters:
        plasticity: {learning_rate: 0.001}
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import nrl_ros
from nrl_ros.core.errors import ConfigError
from nrl_ros.schema.base import Settings, flatten, load
from nrl_ros.schema.environment import EnvironmentNodeSettings
from nrl_ros.schema.learner import LearnerNodeSettings
from nrl_ros.schema.neuromodulator import NeuromodulatorNodeSettings

Flat = dict[str, Any]

MODELS: dict[str, type[Settings]] = {
    'learner': LearnerNodeSettings,
    'environment': EnvironmentNodeSettings,
    'neuromodulator': NeuromodulatorNodeSettings,
}

_PARAMETERS = 'ros__parameters'


@dataclass(frozen=True)
class RunSettings:
    """The checked settings of all three nodes."""

    learner: LearnerNodeSettings
    environment: EnvironmentNodeSettings
    neuromodulator: NeuromodulatorNodeSettings


class _Loader(yaml.SafeLoader):
    """YAML whose numbers are those of ROS: ``1e-3`` is one, not a text."""


_Loader.add_implicit_resolver(  # type: ignore[no-untyped-call]
    'tag:yaml.org,2002:float',
    re.compile(r'^[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+$'),
    list('-+0123456789'),
)


def config_folders() -> list[Path]:
    """Where task files are looked for: beside the code in a checkout, else the installed share."""
    checkout = Path(nrl_ros.__file__).resolve().parent.parent
    folders = [checkout / 'config'] if (checkout / 'msg').is_dir() else []
    prefixes = [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    folders += [prefix / 'share' / 'nrl_ros' / 'config' for prefix in (*prefixes, Path(sys.prefix))]
    return [folder for folder in folders if folder.is_dir()]


def find_config(task: str) -> Path:
    """The file of a task.

    Raises:
        ConfigError: there is none; names those that there are.
    """
    folders = config_folders()
    for folder in folders:
        if (folder / f'{task}.yaml').is_file():
            return folder / f'{task}.yaml'
    known = sorted({file.stem for folder in folders for file in folder.glob('*.yaml')})
    if not known:
        raise ConfigError('no task files found, the installation is not complete; see nrl doctor')
    raise ConfigError(f'unknown task {task!r}{_closest(task, known)}')


def read_config(path: Path) -> dict[str, Flat]:
    """Dotted settings by node.

    Raises:
        ConfigError: the file is missing, not YAML, or names another node than the three.
    """
    try:
        data = yaml.load(path.read_text(encoding='utf-8'), _Loader)
    except OSError as error:
        raise ConfigError(f'cannot read {path}: {error.strerror}') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path} is not valid YAML: {" ".join(str(error).split())}') from error
    if not isinstance(data, dict):
        raise ConfigError(f'{path}: expected node names at the top, as in /**/learner')
    nodes: dict[str, Flat] = {name: {} for name in MODELS}
    for key, value in data.items():
        last = str(key).rsplit('/', 1)[-1]
        if last not in MODELS and last != '**':
            raise ConfigError(f'{path}: unknown node {key!r}{_closest(last, list(MODELS))}')
        if not (isinstance(value, dict) and isinstance(value.get(_PARAMETERS), dict)):
            raise ConfigError(f'{path}: expected {_PARAMETERS} below {key!r}')
        for name in MODELS if last == '**' else [last]:
            nodes[name] |= _dotted(value[_PARAMETERS])
    return nodes


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
        raise ConfigError(f'--set: unknown node {node!r}{_closest(node, list(MODELS))}')
    try:
        return node, name, yaml.load(value, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f'--set {key}: {value!r} is not a YAML value') from error


def apply_overrides(nodes: Mapping[str, Flat], overrides: Iterable[str]) -> dict[str, Flat]:
    """A copy of the settings with ``NODE.NAME=VALUE`` applied, later ones winning."""
    result = {name: dict(flat) for name, flat in nodes.items()}
    for text in overrides:
        node, name, value = parse_override(text)
        if isinstance(value, dict):
            result[node] |= {f'{name}.{key}': item for key, item in _dotted(value).items()}
        else:
            result[node][name] = value
    return result


def check(nodes: Mapping[str, Flat], *, source: str) -> RunSettings:
    """Check everything against the schema.

    Raises:
        ConfigError: naming all faults of all three nodes at once.
    """
    models, faults = {}, []
    for name, model in MODELS.items():
        try:
            models[name] = load(model, nodes[name], source=name)
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError(f'{source}: ' + '; '.join(faults))
    return RunSettings(**models)  # type: ignore[arg-type]


def resolve(
    path: Path, overrides: Iterable[str] = (), forced: Mapping[str, Flat] | None = None
) -> RunSettings:
    """Read a file, apply overrides and what the program decides, and check the result.

    Raises:
        ConfigError: see read_config, parse_override and check.
    """
    nodes = apply_overrides(read_config(path), overrides)
    for name, flat in (forced or {}).items():
        nodes[name] |= flat
    return check(nodes, source=str(path))


def to_yaml(settings: RunSettings, *, comment: str) -> str:
    """All settings, defaults included, as a ROS parameter file."""
    data = {
        f'/**/{name}': {_PARAMETERS: _nested(flatten(getattr(settings, name)))} for name in MODELS
    }
    head = ''.join(f'# {line}\n' for line in comment.splitlines())
    return head + yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=96)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names to groups, without what a ROS parameter file cannot hold.

    Empty texts, which stand for nothing, are left out too: a launch argument may then fill them.
    """
    nested: dict[str, Any] = {}
    for dotted, value in flat.items():
        if value in (None, '', [], {}):
            continue
        *groups, name = dotted.split('.')
        target = nested
        for group in groups:
            target = target.setdefault(group, {})
        target[name] = _one_type(value)
    return nested


def _one_type(value: Any) -> Any:
    """ROS arrays have one type: whole numbers among real ones become real."""
    if isinstance(value, list) and any(isinstance(item, float) for item in value):
        return [float(item) for item in value]
    return value


def _dotted(nested: Mapping[Any, Any], prefix: str = '') -> Flat:
    flat: Flat = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat |= _dotted(value, f'{prefix}{key}.')
        else:
            flat[f'{prefix}{key}'] = value
    return flat


def _closest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f', did you mean {close[0]!r}?' if close else f', known are {", ".join(known)}'
