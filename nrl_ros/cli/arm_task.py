"""Which task ``nrl arm`` runs, with which settings, and on which robot: as asked for, or of a run.

What the command line names comes first, then the run that is loaded, then the robot's own task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import Flat, dotted, flatten, load, overlay
from nrl_ros.cli import config
from nrl_ros.cli.options import ArmOptions
from nrl_ros.cli.runs import Run, open_run
from nrl_ros.cli.topic_model import ROBOT
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.settings.run import MODELS, NODES, RunSettings

_BRIDGES = ('arm', 'ros2_control_arm')
_BRIDGE = 'bridge.name'
# What a run has of its own, which another run does not take from it.
_OWN: dict[str, Flat] = {
    'learner': {'checkpoint.folder': '', 'checkpoint.load': ''},
    'neuromodulator': {'load': '', 'critic.folder': ''},
    'environment': {'checkpoint.folder': '', 'checkpoint.load': ''},
}
# These are kept in checkpoints, and those of the command line replace them.
_KEPT = ('learner.plasticity.learning_rate', 'learner.noise.sigma')


@dataclass(frozen=True)
class ArmTask:
    """A task for one arm, before anything of it was checked.

    Attributes:
        name: of the task, for the run's folder.
        nodes: dotted settings by node, as in the file they are from.
        robot: name or path of the description.
        source: where the settings are from, for errors.
    """

    name: str
    nodes: Mapping[str, Flat]
    robot: str
    source: str


def chosen(options: ArmOptions) -> ArmTask:
    """Return the task that a command line asks for.

    Raises:
        ConfigError: there is no such task, or it is none of an arm.
    """
    path, name = _file(options)
    nodes = {node: overlay(flat, _OWN[node]) for node, flat in config.read_config(path).items()}
    if options.from_nothing:
        _refuse_what_was_learned(options)
        nodes = from_nothing(nodes)
    bridge = nodes['environment'].get(_BRIDGE, '')
    if bridge not in _BRIDGES:
        raise ConfigError(
            f"{path}: the task's bridge is {bridge!r}, expected one of an arm: "
            f'{" or ".join(_BRIDGES)}'
        )
    own = nodes['environment'].get(ROBOT, ReachSettings.model_fields['robot'].default)
    robot = options.robot or str(own)
    if options.robot_file is not None:
        robot = str(options.robot_file.resolve())
    return ArmTask(name, nodes, robot, str(path))


def from_nothing(nodes: Mapping[str, Flat]) -> dict[str, Flat]:
    """Return the settings of a task by node, with those of an arm that learns alone in place."""
    alone = config.read_config(config.find_config('from_nothing', 'arm'))
    return {node: overlay(flat, alone[node]) for node, flat in nodes.items()}


def _refuse_what_was_learned(options: ArmOptions) -> None:
    """Refuse options that do not go with learning from nothing.

    Raises:
        ConfigError: a policy is loaded, or nothing would be learned.
    """
    for name, given in (
        ('--load', options.load is not None),
        ('--evaluate', options.evaluate),
    ):
        if given:
            raise ConfigError(
                f'--from-nothing begins with a network that knows nothing, received {name} too: '
                'leave one of them away; to go on with such a run, --load RUN alone is enough'
            )


def _file(options: ArmOptions) -> tuple[Path, str]:
    """Return the file of a task's settings, and the task's name."""
    if options.config:
        if config_file(options.config):
            path = Path(options.config)
            return path, path.stem
        return config.find_config(options.config), options.config
    run = loaded_run(options)
    if run is not None:
        return run.config, run.task.removeprefix('arm-')
    if config_file(options.robot):
        raise ConfigError(
            f'--robot takes the name of a robot, as ur5e, received {options.robot!r}: --robot-file '
            'takes a description, --config the file of a task'
        )
    name = options.robot or ('ur5e' if options.robot_file is None else 'generic')
    return config.find_config(name), name


def config_file(task: str) -> bool:
    """Return whether what stands in place of a task's name is a file of settings."""
    return Path(task).suffix in ('.yaml', '.yml')


def loaded_run(options: ArmOptions) -> Run | None:
    """Return the run whose folder is loaded; None if a checkpoint is, or nothing.

    Raises:
        NrlError: the folder is none of a run.
    """
    path = options.load
    return open_run(path) if path is not None and (path / 'config.yaml').is_file() else None


def simulated(task: ArmTask, options: ArmOptions, forced: Mapping[str, Flat]) -> RunSettings:
    """Return the settings of the task with many simulated arms, as ``nrl eval`` uses them.

    Args:
        task: of the command line.
        options: of it.
        forced: dotted settings by node that nothing else changes.

    Raises:
        ConfigError: a setting is wrong.
    """
    mine, _ = overrides_of(options)
    return config.resolve_nodes(task.nodes, mine, forced, source=task.source)


def on_the_arm(
    task: ArmTask, options: ArmOptions, live: Mapping[str, Flat], forced: Mapping[str, Flat]
) -> RunSettings:
    """Return the settings of the task with one arm in real time.

    Args:
        task: of the command line.
        options: of it; what its ``--set`` names comes before ``live``.
        live: dotted settings by node that make it the task of one arm.
        forced: those of them that nothing else changes.

    Raises:
        ConfigError: a setting is wrong.
    """
    mine, _ = overrides_of(options)
    nodes = {name: overlay(flat, live.get(name, {})) for name, flat in task.nodes.items()}
    return config.resolve_nodes(nodes, mine, forced, source=task.source)


def written(settings: RunSettings, live: Mapping[str, Flat]) -> dict[str, Flat]:
    """Return those settings of an arm's nodes that differ from a simulated task, by node."""
    found = {}
    for name, flat in live.items():
        values = dotted(flatten(getattr(settings, name)))
        found[name] = {key: values[key] for key in flat}
    return found


def overrides_of(options: ArmOptions) -> tuple[list[str], dict[str, Flat]]:
    """Return what ``--set`` says to the nodes of a task, and what to driver and safety node.

    Raises:
        ConfigError: a node or a setting of driver or safety node is wrong, or a robot is named.
    """
    mine: list[str] = []
    others: dict[str, Flat] = {name: {} for name in NODES if name not in MODELS}
    for text in options.overrides:
        node, name, value = config.parse_override(text, NODES)
        if name in (ROBOT, 'robot') and node != 'learner':
            raise ConfigError(
                f'--set {text}: all nodes of an arm have one robot; name it by --robot or '
                '--robot-file'
            )
        if node in MODELS:
            mine.append(text)
        else:
            others[node] = overlay(others[node], {name: value})
    for node, flat in others.items():
        load(NODES[node], flat, source=f'--set {node}')
    if any(text.partition('=')[0].strip() in _KEPT for text in mine):
        mine.append('learner.checkpoint.keep_settings=true')
    return mine, others
