"""Which controllers fit a robot description."""

from __future__ import annotations

from typing import Any

import pytest

from nrl_ros.robots.arm.controller_facts import ControllerFacts, judge, state_problem

JOINTS = ('a', 'b')
NUMBERS, TRAJECTORY = 'std_msgs/msg/Float64MultiArray', 'trajectory_msgs/msg/JointTrajectory'


def facts(controller: str = 'arm_controller', **known: Any) -> ControllerFacts:
    tail = 'joint_trajectory' if 'command_interfaces' in known else 'commands'
    return ControllerFacts(f'/{controller}', f'/{controller}/{tail}', **known)


@pytest.mark.parametrize(
    ('interface', 'known'),
    [
        ('velocity', {'interface_name': 'velocity'}),
        ('position', {'interface_name': 'position'}),
        ('velocity', {'interface_name': 'velocity', 'listens': (NUMBERS,)}),
        ('trajectory', {'command_interfaces': ('position',)}),
        ('trajectory', {'command_interfaces': ('velocity',), 'listens': (TRAJECTORY, NUMBERS)}),
        ('trajectory', {'command_interfaces': ('effort',), 'interface_name': 'position'}),
        ('velocity', {'command_interfaces': ('velocity',)}),
    ],
)
def test_a_controller_of_the_same_kind_is_taken(interface: str, known: dict[str, Any]) -> None:
    assert judge(facts(joints=JOINTS, **known), JOINTS, interface) == ('', '')


@pytest.mark.parametrize(
    ('interface', 'controller', 'known', 'said'),
    [
        ('velocity', 'arm', {'interface_name': 'position'}, "takes 'position' by its parameter"),
        ('position', 'arm', {'interface_name': 'velocity'}, "takes 'velocity' by its parameter"),
        ('velocity', 'arm', {'interface_name': 'effort'}, "takes 'effort'"),
        # What it says of itself counts more than its name.
        ('velocity', 'velocity_controller', {'interface_name': 'position'}, "takes 'position'"),
        ('velocity', 'arm', {'interface_name': 'joint_position'}, "takes 'joint_position'"),
        ('trajectory', 'arm', {'interface_name': 'position'}, "takes 'position'"),
        ('velocity', 'arm', {'command_interfaces': ('position',)}, "commands ['position']"),
        ('velocity', 'arm', {'interface_names': ('position', 'velocity')}, 'of one joint'),
        ('velocity', 'arm', {'listens': (TRAJECTORY,)}, f'listens for {TRAJECTORY}'),
        ('trajectory', 'arm', {'listens': (NUMBERS,)}, f'listens for {NUMBERS}'),
        # Without parameters the name tells, where it contradicts.
        ('velocity', 'forward_position_controller', {}, 'takes position by its name'),
        ('position', 'joint_group_vel_controller', {}, 'takes velocity by its name'),
        ('velocity', 'joint_trajectory_controller', {}, 'takes trajectory by its name'),
        ('trajectory', 'forward_position_controller', {}, 'takes position by its name'),
    ],
)
@pytest.mark.parametrize('joints', [JOINTS, None])
def test_a_controller_of_another_kind_is_refused_with_both_sides(
    interface: str, controller: str, known: dict[str, Any], said: str, joints: Any
) -> None:
    wrong, unsure = judge(facts(controller, joints=joints, **known), JOINTS, interface)
    assert said in wrong and not unsure
    assert f'controller /{controller} ' in wrong
    assert f'the robot description has interface: {interface}' in wrong


def test_joints_in_another_order_are_refused_except_where_messages_name_them() -> None:
    turned = facts(joints=('b', 'a'), interface_name='velocity')
    assert 'takes joints in another order' in judge(turned, JOINTS, 'velocity').wrong
    named = facts(joints=('b', 'a'), command_interfaces=('position',))
    assert judge(named, JOINTS, 'trajectory') == ('', '')


@pytest.mark.parametrize(
    ('controller', 'known', 'said'),
    [
        (
            'forward_velocity_controller',
            {'joints': JOINTS},
            'the interface of the controller on /forward_velocity_controller/commands could not '
            "be checked, since /forward_velocity_controller has no parameter 'interface_name'",
        ),
        (
            'arm',
            {'unheard': 'there is no service'},
            'the joint order and the interface of the controller on /arm/commands could not be '
            'checked, since there is no service: compare',
        ),
        (
            'arm',
            {'interface_name': 'velocity'},
            'the joint order of the controller on /arm/commands could not be checked, since /arm '
            "has no parameter 'joints'",
        ),
        ('arm', {'joints': JOINTS, 'interface_name': 'kuka'}, "takes 'kuka' by its parameter"),
    ],
)
def test_what_is_not_known_is_said(controller: str, known: dict[str, Any], said: str) -> None:
    wrong, unsure = judge(facts(controller, **known), JOINTS, 'velocity')
    assert not wrong and said in unsure


@pytest.mark.parametrize('state', ['unconfigured', 'inactive', 'finalized'])
def test_a_controller_that_is_not_active_is_named_with_what_shows_it(state: str) -> None:
    said = state_problem('/ns/arm', [('other', 'active'), ('arm', state)])
    assert f'controller /ns/arm is {state}' in said and 'ros2 control list_controllers' in said


@pytest.mark.parametrize('states', [[('arm', 'active')], [('other', 'inactive')], []])
def test_an_active_or_unknown_controller_is_no_problem(states: list[tuple[str, str]]) -> None:
    assert not state_problem('/arm', states)
