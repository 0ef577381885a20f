"""Settings files: how they are found, read, and checked against the models of all three nodes.

ROS parameter YAML, as ``ros2 launch`` and ``ros2 run --ros-args --params-file`` take it::

    /**/learner:
      ros__parameters:
        plasticity: {learning_rate: 0.001}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nrl_ros.base.config_files import PARAMETERS, read_yaml
from nrl_ros.base.errors import ConfigError, closest
from nrl_ros.base.parameter_values import pack, unpack, with_one_type
from nrl_ros.base.settings import Flat, Settings, dotted, flatten, load, overlay
from nrl_ros.settings.arm_driver import ArmDriverNodeSettings
from nrl_ros.settings.environment import EnvironmentNodeSettings
from nrl_ros.settings.learner import LearnerNodeSettings
from nrl_ros.settings.neuromodulator import NeuromodulatorNodeSettings
from nrl_ros.settings.page import PageNodeSettings
from nrl_ros.settings.policy import PolicyNodeSettings
from nrl_ros.settings.recorder import RecorderNodeSettings
from nrl_ros.settings.safety import SafetyNodeSettings, WatchdogNodeSettings

MODELS: dict[str, type[Settings]] = {
    'learner': LearnerNodeSettings,
    'environment': EnvironmentNodeSettings,
    'neuromodulator': NeuromodulatorNodeSettings,
}

# The three nodes of a run, and the nodes that a file may hold settings for too.
NODES: dict[str, type[Settings]] = {
    **MODELS,
    'safety': SafetyNodeSettings,
    'watchdog': WatchdogNodeSettings,
    'arm_driver': ArmDriverNodeSettings,
    'recorder': RecorderNodeSettings,
}

# All nodes, also those that stand beside a run.
ALL_NODES: dict[str, type[Settings]] = {
    **NODES,
    'policy': PolicyNodeSettings,
    'page': PageNodeSettings,
}

_OPTIONS, _SETTINGS_FILES = 'bridge.options.', ('.yaml', '.yml')


@dataclass(frozen=True)
class RunSettings:
    """The checked settings of all three nodes."""

    learner: LearnerNodeSettings
    environment: EnvironmentNodeSettings
    neuromodulator: NeuromodulatorNodeSettings


def read_config(path: Path) -> dict[str, Flat]:
    """Return the dotted settings of a file by node.

    Raises:
        ConfigError: the file is missing, not YAML, or names another node than the three.
    """
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f'{path}: expected node names at the top, as in /**/learner')
    nodes: dict[str, Flat] = {name: {} for name in MODELS}
    given: dict[tuple[str, str], str] = {}
    for key, value in data.items():
        last = str(key).rsplit('/', 1)[-1]
        if last not in MODELS and last != '**':
            raise ConfigError(f'{path}: unknown node {key!r}{closest(last, list(MODELS))}')
        if not (isinstance(value, dict) and isinstance(value.get(PARAMETERS), dict)):
            raise ConfigError(f'{path}: expected {PARAMETERS} below {key!r}')
        flat = _beside(unpack(dotted(value[PARAMETERS]), f'{path}: {key}'), path.parent)
        for name in MODELS if last == '**' else [last]:
            nodes[name] = overlay(nodes[name], flat)
        # Settings below /** are meant to be replaced by others; /learner and /**/learner are one
        # node here.
        for setting in flat if last != '**' else ():
            other = given.setdefault((last, setting), str(key))
            if other != key:
                raise ConfigError(
                    f'{path}: {setting!r} below {key!r} and below {other!r}: remove one'
                )
    return nodes


def _beside(flat: Flat, folder: Path) -> Flat:
    """Return settings with the absolute paths of files that a bridge's options name.

    A relative path is taken from the folder of the file of settings, if there is such a file, else
    from the folder that the command is started in.
    """

    def found(name: str, value: Any) -> Any:
        is_file = isinstance(value, str) and value.lower().endswith(_SETTINGS_FILES)
        if not (is_file and name.startswith(_OPTIONS)):
            return value
        path = folder / value
        return str(path.resolve()) if path.is_file() else value

    return {name: found(name, value) for name, value in flat.items()}


def check(nodes: Mapping[str, Flat], *, source: str) -> RunSettings:
    """Check the settings of all nodes against their models.

    Raises:
        ConfigError: naming all faults of all three nodes at once.
    """
    models, faults = {}, []
    for name, model in MODELS.items():
        try:
            flat = {key: with_one_type(value) for key, value in nodes[name].items()}
            models[name] = load(model, flat, source=name)
            # What the nodes cannot be told is refused now, before anything starts.
            pack(flatten(models[name]))
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError(f'{source}: ' + '; '.join(faults))
    presets = {name: model.preset for name, model in models.items()}  # type: ignore[attr-defined]
    if len(set(presets.values())) > 1:
        raise ConfigError(
            f'{source}: the nodes have different presets, {presets}; expected the same for all '
            'three: give it once below /** in the file, or set it for each node'
        )
    return RunSettings(**models)  # type: ignore[arg-type]
