"""Arms are read from MJCF and URDF with the joints, limits and tools that the files state."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.robots.arm.kinematics import Chain
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.model_files import known_models

UR_JOINTS = (
    'shoulder_pan_joint',
    'shoulder_lift_joint',
    'elbow_joint',
    'wrist_1_joint',
    'wrist_2_joint',
    'wrist_3_joint',
)
INERTIA = (
    '<inertial><mass value="2"/>'
    '<inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0" iyz="0"/></inertial>'
)
MESH = '<geometry><mesh filename="package://absent_description/meshes/link.stl"/></geometry>'
URDF = f"""
<robot name="tiny">
  <mujoco><compiler meshdir="../absent"/></mujoco>
  <link name="base_link"><visual>{MESH}</visual></link>
  <link name="upper">{INERTIA}<visual>{MESH}</visual><collision>{MESH}</collision>
    <collision name="rod"><geometry><sphere radius="0.1"/></geometry></collision></link>
  <link name="fore"/>
  <link name="rail"/>
  <link name="tool0"/>
  <joint name="lift" type="revolute"><parent link="base_link"/><child link="upper"/>
    <origin xyz="0 0 0.5"/><axis xyz="0 1 0"/>
    <limit lower="-1.5" upper="2" velocity="3" effort="40"/></joint>
  <joint name="roll" type="continuous"><parent link="upper"/><child link="fore"/>
    <origin xyz="0 0 0.25"/><axis xyz="0 0 1"/></joint>
  <joint name="slide" type="prismatic"><parent link="fore"/><child link="rail"/>
    <axis xyz="1 0 0"/><limit lower="0" upper="0.3" velocity="0.5" effort="0"/></joint>
  <joint name="flange" type="fixed"><parent link="rail"/><child link="tool0"/>
    <origin xyz="0 0 0.1"/></joint>
</robot>
"""


def test_the_package_has_three_models() -> None:
    assert known_models() == ['fr3', 'planar', 'ur5e']


def test_ur5e_has_the_published_names_and_limits() -> None:
    arm = ArmModel.from_file('ur5e')
    assert (arm.name, arm.joints, arm.tool, arm.size) == ('ur5e', UR_JOINTS, 'tool', 6)
    widest = np.pi * np.array([2.0, 2.0, 1.0, 2.0, 2.0, 2.0])
    np.testing.assert_allclose(arm.position_high, widest, rtol=0, atol=1e-12)
    np.testing.assert_allclose(arm.position_low, -widest, rtol=0, atol=1e-12)
    np.testing.assert_allclose(arm.velocity, np.full(6, np.pi), rtol=0, atol=1e-12)
    assert arm.effort.tolist() == [150.0, 150.0, 150.0, 28.0, 28.0, 28.0]


def test_fr3_has_the_published_names_and_limits() -> None:
    arm = ArmModel.from_file('fr3')
    assert arm.joints == tuple(f'fr3_joint{number}' for number in range(1, 8))
    assert arm.position_high.tolist() == [2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159]
    assert arm.position_low.tolist() == [
        -2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159,
    ]  # fmt: skip
    assert arm.velocity.tolist() == [2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26]
    assert arm.effort.tolist() == [87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0]


def test_a_urdf_is_read_without_its_meshes_and_keeps_its_velocity_limits() -> None:
    arm = ArmModel.from_text(URDF)
    assert (arm.name, arm.joints, arm.tool) == ('tiny', ('lift', 'roll', 'slide'), 'tool0')
    assert arm.position_low.tolist() == [-1.5, -np.inf, 0.0]
    assert arm.position_high.tolist() == [2.0, np.inf, 0.3]
    assert arm.velocity.tolist() == [3.0, np.inf, 0.5]
    # Exporters write 0 where they know no effort.
    assert arm.effort.tolist() == [40.0, np.inf, np.inf]
    assert arm.mj.ngeom == 1


def test_a_urdf_file_gives_what_its_text_gives(tmp_path) -> None:
    path = tmp_path / 'tiny.urdf'
    path.write_text(URDF)
    assert ArmModel.from_file(path).joints == ArmModel.from_text(URDF).joints


def test_joints_come_in_the_wanted_order_with_their_limits() -> None:
    arm = ArmModel.from_file('ur5e', joints=['elbow_joint', 'shoulder_pan_joint'])
    assert arm.joints == ('elbow_joint', 'shoulder_pan_joint')
    np.testing.assert_allclose(arm.position_high, [np.pi, 2.0 * np.pi])


def test_the_tool_says_which_joints_there_are() -> None:
    assert ArmModel.from_file('ur5e', tool='forearm_link').joints == UR_JOINTS[:3]


def test_a_model_without_servos_has_no_velocity_limit() -> None:
    text = (
        '<mujoco><worldbody><body name="a"><joint name="j"/><geom size="0.1"/></body></worldbody>'
        '<actuator><position joint="j" kp="5" ctrlrange="-1 1"/></actuator></mujoco>'
    )
    arm = ArmModel.from_text(text)
    assert arm.tool == 'a'
    assert arm.velocity.tolist() == arm.effort.tolist() == [np.inf]


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'joints': ['elbo_joint']}, "'elbo_joint', did you mean 'elbow_joint'"),
        ({'joints': ['gripper']}, r'known are shoulder_pan_joint, .*wrist_3_joint'),
        ({'joints': ['elbow_joint', 'elbow_joint']}, 'named once'),
        ({'joints': []}, 'named once'),
        ({'tool': 'tol'}, "did you mean 'tool'"),
        ({'tool': 'base_link'}, 'no joint moves the tool'),
    ],
)
def test_what_the_model_does_not_have_is_refused_by_name(options, said) -> None:
    with pytest.raises(ConfigError, match=said):
        ArmModel.from_file('ur5e', **options)


def test_an_unknown_model_is_refused_naming_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'ur5'.*fr3, planar, ur5e"):
        ArmModel.from_file('ur5')


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('nonsense', 'neither MJCF nor URDF'),
        ('<mujoco><worldbody><body><geom size="0"/></body></worldbody></mujoco>', 'refuses'),
        (URDF.replace('velocity="3"', 'velocity="fast"'), "'lift': velocity limit 'fast'"),
        (
            '<mujoco><worldbody><body name="b"><freejoint/><geom size="1"/></body></worldbody>'
            '</mujoco>',
            "no joint moves the tool 'b'",
        ),
    ],
)
def test_a_text_that_is_no_arm_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ArmModel.from_text(text)


def test_without_mujoco_the_error_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, 'mujoco', None)
    with pytest.raises(ConfigError, match='pip install mujoco'):
        ArmModel.from_file('planar')


FLOATING = """
<mujoco model="walker"><default><default class="shoulder"><joint type="ball"/></default></default>
<worldbody><geom type="plane" size="1 1 1"/>
<body name="trunk" pos="0 0 0.5"><freejoint/><geom size="0.1"/>
<body name="arm" pos="0 0 0.1"><joint name="shoulder" class="shoulder"/><geom size="0.02"/>
<body name="hand" pos="0.2 0 0"><joint name="elbow" axis="0 1 0" range="-90 90"/><geom size="0.02"/>
<site name="tcp" pos="0.1 0 0"/></body></body></body></worldbody>
<actuator><motor joint="shoulder" gear="1 0 0"/><position name="servo" joint="elbow"/></actuator>
<sensor><ballquat joint="shoulder"/><jointpos joint="elbow"/></sensor>
<keyframe><key name="home" qpos="0 0 1 1 0 0 0 1 0 0 0 0.3"/></keyframe></mujoco>
"""


def test_a_free_base_and_a_ball_of_an_mjcf_are_held_where_they_are() -> None:
    """As planar and floating joints of a URDF: named, and held by the description."""
    arm = ArmModel.from_text(FLOATING, tool='tcp')
    assert arm.joints == ('elbow',)
    assert arm.left_out == {'trunk_floating': 'floating', 'shoulder': 'ball'}
    held = {'trunk_floating': 0.0, 'shoulder': 0.0}
    arm = ArmModel.from_text(FLOATING, tool='tcp', held=held)
    assert not arm.left_out
    np.testing.assert_allclose(Chain(arm).tool(np.zeros((1, 1))), [[0.3, 0.0, 0.6]], atol=1e-12)
    with pytest.raises(ConfigError, match="'shoulder' has several axes: it can be held at 0"):
        ArmModel.from_text(FLOATING, tool='tcp', held={'shoulder': 0.5})
    with pytest.raises(ConfigError, match="'shoulder' is a ball and cannot be commanded"):
        ArmModel.from_text(FLOATING, ['shoulder', 'elbow'], tool='tcp')


def test_a_mesh_without_volume_is_taken_as_older_releases_of_mujoco_did(tmp_path) -> None:
    """Menagerie-like files of stickers and covers are refused by newer ones for their inertia."""
    sheet = 'vertex="0 0 0 0.1 0 0 0 0.1 0 0 0 0.1" face="0 1 2 0 2 1"'
    (tmp_path / 'arm.xml').write_text(
        f'<mujoco><asset><mesh name="label" {sheet}/></asset><worldbody><body name="a">'
        '<joint name="j" axis="0 1 0" range="-90 90"/><geom size="0.1"/>'
        '<geom type="mesh" mesh="label"/></body></worldbody></mujoco>'
    )
    assert ArmModel.from_file(tmp_path / 'arm.xml').joints == ('j',)
