"""Joints that an arm stands on: measured before it is commanded, and watched while it is."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')
pytest.importorskip('mujoco')

from sensor_msgs.msg import JointState

from nrl_ros.robots.safety.records import StopReason
from tests.ros.harness import JOINT_STATES, robot_file
from tests.ros.test_safety_node import HOLDING, Arm

pytestmark = [pytest.mark.ros, pytest.mark.alone]


def joint(name: str, parent: str, child: str, place: str, kind: str, axis: str = '0 0 1') -> str:
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{place}"/><axis xyz="{axis}"/>'
        '<limit lower="-2.6" upper="2.6" velocity="2" effort="9"/></joint>'
    )


# The planar arm on a rail along x.
ON_RAIL = (
    '<robot name="on_rail">'
    + ''.join(f'<link name="{name}"/>' for name in ('floor', 'base', 'one', 'two', 'tool'))
    + joint('rail', 'floor', 'base', '0 0 0', 'prismatic', '1 0 0')
    + joint('joint1', 'base', 'one', '0 0 0', 'revolute')
    + joint('joint2', 'one', 'two', '0.4 0 0', 'revolute')
    + joint('end', 'two', 'tool', '0.3 0 0', 'fixed')
    + '</robot>'
)


def on_rail(folder, **groups):
    (folder / 'on_rail.urdf').write_text(ON_RAIL)
    return {'model': str(folder / 'on_rail.urdf'), 'held': {'rail': 0.1}, **groups}


def rail_at(probe, metres):
    """What the rail's own driver says, on the same topic."""
    probe.say(JOINT_STATES, JointState(name=['rail'], position=[metres]))


def test_an_arm_whose_rail_is_moved_is_stopped_and_both_places_are_named(ros):
    arm = Arm(ros, **on_rail(ros.folder))
    arm.connected = True
    rail_at(arm.probe, 0.11)
    arm.mode(HOLDING)
    arm.run(0.3, 0.0)
    rail_at(arm.probe, 0.25)
    last = arm.stopped_for(StopReason.NOT_PERMITTED)[-1]
    why = arm.status(lambda message: message.why).why
    assert 'joint rail is measured at 0.25 m and held at 0.1 m' in why
    assert not any(last.velocity)
    assert not arm.clear().success
    rail_at(arm.probe, 0.1)
    arm.probe.until(lambda: arm.clear().success, 'a stop that may be cleared')


def test_the_place_of_a_rail_is_read_before_the_arm_is_commanded(ros):
    file = robot_file(ros.folder, **on_rail(ros.folder, measured=['rail']))
    process = ros.start('safety', {'robot': file, 'status_period_s': 0.1})
    process.until_logged('waiting for rail on /joint_states')
    probe = ros.probe()

    def taken():
        rail_at(probe, 0.2)
        return process.logged('from its axis')

    probe.until(taken, 'the place of the rail')
    logged = process.until_logged('from its axis')
    assert '# held: rail at 0.2' in logged
    # Stretched along x, 0.7 m, on a rail at 0.2 m.
    assert 'with all joints at 0 the tool is at 0.9, 0, 0 m' in logged


def test_the_simulated_driver_tells_where_the_rail_is(ros):
    file = robot_file(ros.folder, **on_rail(ros.folder, measured=['rail']))
    ros.start('arm_driver', {'robot': file})
    process = ros.start('safety', {'robot': file})
    assert '# held: rail at 0.1' in process.until_logged('from its axis')
