"""The description of a robot arm from a file in ``config/robots``: joints, limits, topics.

One file serves the safety node, the environment, the simulated driver and the vectorised
simulation, so that all of them have the same limits and the same order of joints. Units are part of
the names: rad, rad/s, rad/s^2, m, s, Hz.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from nrl_ros.base.config_files import find_config, read_yaml
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import Settings, dotted, load, nest, overlay
from nrl_ros.robots.arm.capsules import CapsuleSettings
from nrl_ros.robots.arm.model_files import known_models, locate, why_not_located
from nrl_ros.robots.arm.obstacles import Obstacle
from nrl_ros.robots.safety.settings import WatchdogSettings

Numbers = tuple[float, ...]
# One number for all joints, or one for each; None leaves a joint to its model.
NumbersOrModel = tuple[float | None, ...]
Point = tuple[float, float, float]

# With this name as model, a node waits for the model on a topic instead of reading a file.
FROM_TOPIC = 'robot_description'
# The bridge of simulated arms.
_SIMULATED = 'arm'
_MODELS = ('.urdf', '.xacro', '.xml', '.mjcf')
# File beside a kept description, for the model that came on the topic.
_KEPT_MODEL = 'robot_description.xml'


class LimitsGroup(Settings):
    """Limits of the joints: one number for all joints, or one for each; null: the model's."""

    position_low_rad: NumbersOrModel = Field(
        (), description="Lowest position; empty, or null for one joint: the model's"
    )
    position_high_rad: NumbersOrModel = Field(
        (), description="Highest position; empty, or null for one joint: the model's"
    )
    margin_rad: float = Field(
        0.05,
        ge=0,
        description='Distance kept from both; m for a joint that slides, as in all limits',
    )
    velocity_rad_s: NumbersOrModel = Field(
        (0.3,), description="Speed; never above the model's, which null for one joint takes"
    )
    acceleration_rad_s2: NumbersOrModel = Field(
        (1.4,), description="Change of speed; never above the model's, which null takes"
    )
    stop_acceleration_rad_s2: Numbers = Field(
        (),
        description='Change of speed in a stop; empty: twice the acceleration, at most the '
        "model's deceleration",
    )


class WorkspaceGroup(Settings):
    """The box in which the arm may move, in the frame of its base; the lowest z is the floor."""

    low_m: Point = Field((-1.0, -1.0, 0.02), description='Lowest x, y, z')
    high_m: Point = Field((1.0, 1.0, 1.5), description='Highest x, y, z')
    margin_m: float = Field(0.01, ge=0, description='Distance kept from its walls')
    frame: str = Field(
        '',
        description='Link or site that no joint moves, in whose frame box, tool and targets are '
        "given; empty: the model's root",
    )
    watched: tuple[str, ...] = Field(
        (), description='Bodies or sites of the model that must be inside, beside the tool'
    )
    clearance_m: float = Field(
        0.01, ge=0, description='Least distance between parts of the arm; 0: not checked'
    )
    obstacle_distance_m: float = Field(
        0.02, gt=0, description='Least distance between parts of the arm and obstacles'
    )


class ClearanceGroup(Settings):
    """What is compared to keep ``workspace.clearance_m`` between the links of the arm."""

    exclude: tuple[tuple[str, str], ...] = Field(
        (), description='Pairs of links that may touch, as [[link_1, link_3]]: not compared'
    )
    srdf: str = Field(
        '',
        description="MoveIt's SRDF of the arm, whose disable_collisions are not compared either; "
        'found as the model is',
    )
    capsules: tuple[CapsuleSettings, ...] = Field(
        (),
        description="Capsules instead of links' shapes, each {link, start_m, end_m, radius_m}; "
        'without ends: from the link to those that hang on it; link alone: fitted to its meshes',
    )


class ControlGroup(Settings):
    """How the arm is commanded and measured."""

    rate_hz: float = Field(125.0, gt=0, description='Commands a second')
    interface: Literal['velocity', 'position', 'trajectory'] = Field(
        'velocity',
        description='velocity, position: std_msgs/Float64MultiArray to a forward command '
        'controller; trajectory: trajectory_msgs/JointTrajectory to the trajectory controller',
    )
    command_topic: str = Field(
        'forward_velocity_controller/commands', description='Where the controller listens'
    )
    state_topic: str = Field('joint_states', description='Where the joint states come from')
    description_topic: str = Field(
        'robot_description',
        description='Where a model of that name comes from: std_msgs/String, latched; with a / in '
        'front it is not in the namespace of the nodes',
    )
    emergency_stop_topic: str = Field(
        'emergency_stop', description='std_msgs/Bool, true: stop; anybody may publish'
    )
    freedrive_topic: str = Field(
        'freedrive',
        description='std_msgs/Bool, true: the arm is moved by hand, and not commanded until a '
        'person says so by ~/freedrive of the safety node; anybody may publish',
    )
    trajectory_time_s: float = Field(
        0.1, gt=0, description='trajectory: time_from_start of the one point that is sent'
    )


class WatchdogGroup(WatchdogSettings):
    """When the arm is held or stopped, and further topics that can stop it."""

    running_topic: str = Field(
        '', description="std_msgs/Bool that must be true, as UR's robot_program_running"
    )
    speed_scaling_topic: str = Field(
        '', description='std_msgs/Float64 in percent that must not fall, as of UR; empty: none'
    )
    least_speed_scaling_percent: float = Field(99.0, ge=0, description='how far it may fall')
    held_tolerance_rad: float = Field(
        0.02,
        gt=0,
        description='How far a joint of held that moves the tool may be measured from there (m if '
        'it slides): stop',
    )


class ToolOffsetGroup(Settings):
    """Centre point of a tool of one's own, in the frame of ``tool``."""

    xyz_m: Point = Field(
        (0.0, 0.0, 0.0), description="Centre point of a tool of one's own, in the frame of tool"
    )
    rpy_rad: Point = Field(
        (0.0, 0.0, 0.0), description='Its roll, pitch and yaw there, as in a URDF'
    )

    @property
    def is_none(self) -> bool:
        """True if the centre point is that of ``tool`` itself."""
        return not any((*self.xyz_m, *self.rpy_rad))


class RobotDescription(Settings):
    """A robot arm."""

    name: str = Field('arm', pattern=r'^[A-Za-z][A-Za-z0-9_]{0,63}$', description='Its name')
    based_on: str = Field(
        '',
        description='Another description, whose entries hold where this one has none: a name in '
        'config/robots, or a path from the folder of this file',
    )
    model: str = Field(
        'planar',
        description='Model of this package, a URDF or MJCF file, or robot_description: the topic',
    )
    package_paths: tuple[str, ...] = Field(
        (),
        description='Folders in which the packages of package:// are looked for, before '
        'AMENT_PREFIX_PATH and ROS_PACKAGE_PATH; relative ones from the folder of this file',
    )
    xacro_arguments: dict[str, str | bool | int | float] = Field(
        {}, description='If model is a xacro file: values of its arguments, as {ur_type: ur5e}'
    )
    tool: str = Field('', description="Body or site at the tool's centre point; empty: the last")
    tool_offset: ToolOffsetGroup = ToolOffsetGroup()
    joints: tuple[str, ...] = Field((), description="In this order; empty: the model's")
    held: dict[str, float] = Field(
        {},
        description='Joints that are not commanded and where they stand, rad or m, as {rail: 0.3}',
    )
    measured: tuple[str, ...] = Field(
        (),
        description='Those of held whose position the nodes of a real arm read from the joint '
        'states when they start; simulation takes it from held',
    )
    home_rad: Numbers = Field((), description='Where episodes start; empty: all zero')
    limits: LimitsGroup = LimitsGroup()
    workspace: WorkspaceGroup = WorkspaceGroup()
    clearance: ClearanceGroup = ClearanceGroup()
    obstacles: tuple[Obstacle, ...] = Field(
        (),
        description='What stands beside the arm and does not move, as [{name: bench, shape: table, '
        'size_m: [1.2, 0.8], position_m: [0.5, 0.0, 0.0]}]',
    )
    control: ControlGroup = ControlGroup()
    watchdog: WatchdogGroup = WatchdogGroup()

    @model_validator(mode='after')
    def _measured_are_held(self) -> RobotDescription:
        unknown = [name for name in self.measured if name not in self.held]
        if unknown:
            raise ValueError(
                f'measured: {", ".join(unknown)} is not among held, expected a joint of held, '
                'which says where it stands in simulation'
            )
        return self

    @model_validator(mode='after')
    def _longer_than_a_period(self) -> RobotDescription:
        period_s = 1.0 / self.control.rate_hz
        for name in ('command_timeout_s', 'state_timeout_s', 'max_tick_gap_s'):
            value = getattr(self.watchdog, name)
            if value <= period_s:
                raise ValueError(
                    f'watchdog.{name} must be longer than the control period of {period_s:.4g} s '
                    f'(control.rate_hz), received {value}'
                )
        return self


def read_robot(name: str) -> RobotDescription:
    """Read the description of a robot.

    Args:
        name: of a file in ``config/robots``, or the path of a file.

    Raises:
        ConfigError: there is no such file, or it is wrong; names every faulty key.
    """
    return _description(*_read(name))


def _description(path: Path, data: Mapping[str, Any]) -> RobotDescription:
    """Check the groups of a description, and find the files that it names."""
    description = load(RobotDescription, _dotted(data), source=str(path))
    packages = _package_paths(description, path.parent)
    srdf = _srdf(description, path.parent, packages)
    clearance = description.clearance.model_copy(update={'srdf': srdf})
    description = description.model_copy(
        update={'package_paths': tuple(map(str, packages)), 'clearance': clearance}
    )
    model = description.model
    if model == FROM_TOPIC or (model in known_models() and not (path.parent / model).is_file()):
        return description
    # A relative path of a model is taken from the folder of its description.
    found = locate(model, path.parent, packages)
    if found is None and '://' not in model and Path(model).suffix:
        found = path.parent / model
    if found is not None:
        description = description.model_copy(update={'model': str(found.resolve())})
    return description


def keep_robot(name: str, model: str, folder: Path) -> Path:
    """Write a copy of a description beside the model that came on its topic; return its path.

    Args:
        name: of a file in ``config/robots``, or the path of a file.
        model: URDF or MJCF.
        folder: is made; a copy that is there already is replaced.

    Raises:
        ConfigError: there is no such description.
    """
    path, data = _read(name)
    read = _description(path, data)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _KEPT_MODEL).write_text(model, encoding='utf-8')
    kept = folder / f'{path.stem}.yaml'
    # All entries are in the copy, also those of the description that it is based on.
    data = data | {'model': _KEPT_MODEL, 'based_on': ''}
    # The copy lies in another folder, from which relative paths would not be found.
    if read.package_paths:
        data['package_paths'] = list(read.package_paths)
    if read.clearance.srdf:
        data['clearance'] = {**data['clearance'], 'srdf': read.clearance.srdf}
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    kept.write_text(f'# {path} with the model that came on its topic.\n{text}', encoding='utf-8')
    return kept


def robot_on_topic(bridge: str, options: Mapping[str, Any]) -> str:
    """Return the description that a bridge of simulated arms has, if its model is on a topic.

    Args:
        bridge: its name.
        options: of the bridge.

    Returns:
        '' for another bridge, and for a description whose model is a file.

    Raises:
        ConfigError: the description is wrong.
    """
    robot = str(options.get('robot', ''))
    if bridge != _SIMULATED or not robot:
        return ''
    return robot if read_robot(robot).model == FROM_TOPIC else ''


def _read(
    name: str, folder: Path = Path(), above: tuple[Path, ...] = ()
) -> tuple[Path, dict[str, Any]]:
    """Return the file of a description and its groups, those of what it is based on included.

    Args:
        name: of a file in ``config/robots``, or the path of a file.
        folder: where a relative path begins.
        above: files that are based on this one.

    Raises:
        ConfigError: there is no such file, or it is based on itself.
    """
    if name.lower().endswith(('.yaml', '.yml')):
        path = locate(name, folder) or folder / name
    elif name.lower().endswith(_MODELS):
        raise ConfigError(
            f'{name} is a model by its name, expected a description of the robot (YAML): '
            f'`nrl robot new {name}` writes one'
        )
    else:
        path = find_config(name, 'robots')
    if path.resolve() in above:
        raise ConfigError(f'{path} is based on itself, expected another description')
    data: Any = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f'{path}: expected the groups of a robot description')
    base = data.get('based_on')
    if not base or not isinstance(base, str):
        return path, data
    # The other one is checked by itself first, and its files are found from its own folder.
    try:
        other = _description(*_read(base, path.parent, (*above, path.resolve())))
    except ConfigError as error:
        raise ConfigError(f'{path}: based_on: {error}') from None
    lower = _dotted(other.model_dump(exclude_unset=True))
    return path, nest(overlay(lower, _dotted(data)))


def _dotted(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dotted names of a description's groups."""
    # Dots in the names of joints and arguments do not separate groups.
    named = {name: data[name] for name in ('held', 'xacro_arguments') if data.get(name) is not None}
    return dotted({name: value for name, value in data.items() if name not in named}) | named


def _package_paths(description: RobotDescription, folder: Path) -> tuple[Path, ...]:
    """Return the folders with packages, absolute.

    Raises:
        ConfigError: one of them is no folder.
    """
    found = []
    for named in description.package_paths:
        path = locate(named, folder)
        if path is None or not path.is_dir():
            raise ConfigError(
                f'robot {description.name!r}: package_paths names {named!r}, which is no folder; '
                f'a relative one begins at {folder}'
            )
        found.append(path.resolve())
    return tuple(found)


def _srdf(description: RobotDescription, folder: Path, packages: tuple[Path, ...]) -> str:
    """Return the absolute path of the SRDF, '' without one.

    Raises:
        ConfigError: there is no such file.
    """
    named = description.clearance.srdf
    if not named:
        return ''
    path = locate(named, folder, packages)
    if path is None:
        raise ConfigError(
            f'robot {description.name!r}: clearance.srdf names {named!r}, '
            f'{why_not_located(named, folder, packages)}'
        )
    return str(path.resolve())
