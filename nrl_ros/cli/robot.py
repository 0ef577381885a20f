"""What ``nrl doctor --robot`` says of an arm and of the targets of its task."""

from __future__ import annotations

from pathlib import Path

from nrl_ros.base.config_files import config_files, find_config
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import parse
from nrl_ros.cli import config
from nrl_ros.cli.topic_model import fetched_model
from nrl_ros.robots.arm.preflight import preflight
from nrl_ros.robots.arm.reach import reach_lines
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.settings import ReachSettings

_BRIDGES = ('arm', 'ros2_control_arm')


def doctor_lines(robot: str, task: str, speed_share: float) -> list[str]:
    """Return the summary of an arm, with its reach.

    Args:
        robot: name or path of its description; empty: that of the task.
        task: name or path of a task whose targets are looked at; empty: the one with the robot's
            name, if there is one.
        speed_share: share of the described speeds that will be used.

    Raises:
        ConfigError: something is wrong, missing, or is no task of an arm.
        BridgeError: its model comes from a topic, and nothing came.
    """
    settings = _task_of(robot, task)
    name = robot or (settings.robot if settings else '')
    arm = load_robot(name, xml=fetched_model(name), share=speed_share)
    return [*preflight(arm), *reach_lines(arm, settings.target if settings else None)]


def _task_of(robot: str, task: str) -> ReachSettings | None:
    if not task and robot not in config_files():
        return None
    name = task or robot
    is_file = name.lower().endswith(('.yaml', '.yml'))
    path = Path(name).expanduser() if is_file else find_config(name)
    bridge = config.resolve(path).environment.bridge
    if bridge.name not in _BRIDGES:
        raise ConfigError(
            f'{path}: its bridge is {bridge.name!r}, expected a task of an arm, whose bridge is arm'
        )
    return parse(ReachSettings, bridge.options, source=str(path), what='option')
