"""A supervisor's settings say what the robot's description says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nrl_ros.base.settings import changed, flatten
from nrl_ros.robots.arm.robot import Robot, load_robot
from nrl_ros.robots.arm.supervision import (
    CONTROLLER,
    PROGRAM,
    SPEED_SCALING,
    supervisor_settings,
)
from nrl_ros.robots.safety.settings import SupervisorSettings, WatchdogSettings

ROBOT = load_robot('ur5e')


def described(**values: Any) -> Robot:
    """The robot with other values in its description; ``__`` stands for a dot."""
    flat = {name.replace('__', '.'): value for name, value in values.items()}
    return replace(ROBOT, description=changed(ROBOT.description, flat))


def test_every_limit_of_the_watchdog_is_handed_over() -> None:
    limits = {
        f'watchdog.{name}': 1.0 + index for index, name in enumerate(WatchdogSettings.model_fields)
    }
    robot = replace(ROBOT, description=changed(ROBOT.description, limits))
    told = flatten(supervisor_settings(robot))
    assert {f'watchdog.{name}': told[name] for name in WatchdogSettings.model_fields} == limits


def test_only_commanded_velocities_have_an_anchor() -> None:
    """Commanded positions would jump by it."""
    for interface in ('velocity', 'position', 'trajectory'):
        gain = supervisor_settings(described(control__interface=interface)).anchor_gain
        assert (gain > 0.0) == (interface == 'velocity')


def test_a_permission_is_asked_for_where_the_robot_has_a_topic_for_it() -> None:
    def permissions(**values: str) -> tuple[str, ...]:
        both = {'watchdog__running_topic': '', 'watchdog__speed_scaling_topic': ''}
        return supervisor_settings(described(**both | values)).permissions

    assert permissions() == (CONTROLLER,)
    assert permissions(watchdog__running_topic='a') == (CONTROLLER, PROGRAM)
    assert permissions(watchdog__speed_scaling_topic='b') == (CONTROLLER, SPEED_SCALING)


def test_the_controller_is_always_waited_for() -> None:
    told = supervisor_settings(ROBOT, dry_run=True, state_topic='/joint_states')
    assert isinstance(told, SupervisorSettings)
    assert (told.controller, told.dry_run, told.state_topic) == (CONTROLLER, True, '/joint_states')
