"""A description that does not fit says which number to change; a tool of one's own is a point."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mujoco')

from nrl_ros.base.errors import ConfigError
from nrl_ros.robots.arm.jacobian import Jacobian
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.plant import MujocoPlant
from nrl_ros.robots.arm.robot import Robot, load_robot
from nrl_ros.robots.arm.robot_checks import refused_because
from tests.unit.test_arm_descriptions import URDF, YAML, described, load, refused


def planar(folder: Path, text: str) -> Robot:
    (folder / 'arm.yaml').write_text(f'model: planar\nworkspace: {{clearance_m: 0.0}}\n{text}')
    return load_robot(str(folder / 'arm.yaml'))


# ------------------------------------------------------------------ errors


def test_a_home_beyond_walls_names_points_walls_and_distances(tmp_path: Path) -> None:
    """Stretched along x the tool of the planar arm is at 0.7 m, its elbow at 0.4 m."""
    walls = 'workspace: {low_m: [-1, -1, -1], high_m: [0.35, 0.5, 0.5], watched: [link2]}'
    said = refused(tmp_path, '', f'model: planar\ntool: tool\n{walls}')
    for fault in (
        'outside of its workspace: tool is at x 0.700 m, 0.360 m beyond 0.34',
        '(workspace.high_m with margin_m 0.01)',
        'link2 is at x 0.400 m, 0.060 m beyond 0.34',
    ):
        assert fault in said
    robot = load_robot('ur5e')
    assert refused_because(robot.description, robot.guard(), robot.home) == ''


def test_a_home_that_is_twice_wrong_says_both(tmp_path: Path) -> None:
    folded = YAML.replace('[0.0, 0.6, 0.3]', '[0.0, 1.5, 1.2]').replace('-0.2]', '0.1]')
    folded = folded.replace('clearance_m: 0.02', 'clearance_m: 0.05')
    said = refused(tmp_path, URDF, folded)
    assert 'tool0 is at z' in said and 'link1 and link3 (' in said
    assert 'outside of its workspace' in said and 'too near to itself' in said


def test_limits_name_every_joint_with_its_values_and_the_margin(tmp_path: Path) -> None:
    text = YAML.replace('limits: {', 'limits: {position_low_rad: [-2.6, null, -9.0], ')
    said = refused(tmp_path, URDF, text)
    assert 'of j1 is wider than its model allows, -2.6 where the model has -2.5 rad;' in said
    assert 'of j3 is wider than its model allows, -9 where the model has -2.5 rad' in said
    narrow = YAML.replace('limits: {', 'limits: {position_high_rad: [null, 0.7, 0.32], ')
    said = refused(tmp_path, URDF, narrow.replace('[0.0, 0.6, 0.3]', '[0.0, 0.66, 0.3]'))
    assert (
        'home_rad of j2 is 0.66, expected -2.45 to 0.65 rad: its limits -2.5 to 0.7 '
        "(its model's are -2.5 to 2.5) less limits.margin_rad 0.05; home_rad of j3" in said
    )
    said = refused(tmp_path, URDF, YAML.replace('limits: {', 'limits: {margin_rad: 2.6, '))
    assert 'limits.margin_rad 2.6 leaves no room for j1, which has -2.5 to 2.5 rad' in said


def test_single_joints_are_left_to_the_model(tmp_path: Path) -> None:
    limits = 'limits: {position_low_rad: [null, -1.0, null], velocity_rad_s: [null, 0.5, 0.5], '
    robot = load(tmp_path, URDF, YAML.replace('limits: {velocity_rad_s: [0.5], ', limits))
    assert robot.hard.position_low == (-2.5, -1.0, -2.5)
    assert robot.hard.velocity == (2.0, 0.5, 0.5)
    endless = URDF.replace('velocity="2"', '', 1)
    said = refused(tmp_path, endless, YAML.replace('limits: {velocity_rad_s: [0.5], ', limits))
    assert 'joint j1 has no speed limit in its model' in said


# -------------------------------------------------------------------- tool

OFFSET = YAML.replace(
    'tool: tool0',
    'tool: tool0\ntool_offset: {xyz_m: [0.1, -0.02, 0.03], rpy_rad: [0.3, -0.5, 0.9]}',
)


def fixed(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Roll, pitch and yaw about fixed axes, as URDF defines them."""
    (a, b), (c, d), (e, f) = ((math.cos(t), math.sin(t)) for t in (roll, pitch, yaw))
    x = np.array([[1, 0, 0], [0, a, -b], [0, b, a]])
    y = np.array([[c, 0, d], [0, 1, 0], [-d, 0, c]])
    return np.array([[e, -f, 0], [f, e, 0], [0, 0, 1]]) @ y @ x


@pytest.mark.parametrize('tool', ['tool0', 'link3'])
def test_a_tool_of_ones_own_is_where_its_offset_says(tmp_path: Path, tool: str) -> None:
    position = np.random.default_rng(2).uniform(-1.0, 1.0, (5, 3))
    plain = load(tmp_path, URDF, YAML.replace('tool: tool0', f'tool: {tool}'))
    own = load(tmp_path, URDF, OFFSET.replace('tool: tool0', f'tool: {tool}'))
    before, after = (Jacobian(robot.model)(position) for robot in (plain, own))
    assert after.point == pytest.approx(
        before.point + before.turn @ np.array([0.1, -0.02, 0.03]), abs=1e-12
    )
    assert after.turn == pytest.approx(before.turn @ fixed(0.3, -0.5, 0.9), abs=1e-12)
    # Observations, targets and rewards, and the workspace's guard.
    assert own.chain.tool(position) == pytest.approx(after.point, abs=1e-12)
    assert own.guard().points(position)[:, 0] == pytest.approx(after.point, abs=1e-12)
    # A policy of the one is not valid for the other.
    assert own.digest() != plain.digest()


def test_an_offset_from_a_site_is_joined_with_its_pose() -> None:
    """The shipped UR5e's tool is a site that is turned."""
    plain, own = (
        ArmModel.from_file('ur5e', tool='tool', offset=offset)
        for offset in (None, ((0.0, 0.0, 0.2), (0.0, 0.0, 0.0)))
    )
    position = np.array([[0.1, -1.2, 1.3, -0.4, 0.5, 0.6]])
    before, after = Jacobian(plain)(position), Jacobian(own)(position)
    assert after.point[0] == pytest.approx(before.point[0] + 0.2 * before.turn[0, :, 2], abs=1e-12)


def test_a_payload_hangs_on_the_tool_of_ones_own(tmp_path: Path) -> None:
    """On link 3, which is horizontal, 30 cm more of lever turn joint 3 down faster."""
    sunk = []
    for text in (
        YAML,
        YAML.replace('tool: tool0', 'tool: tool0\ntool_offset: {xyz_m: [0.3, 0, 0]}'),
    ):
        plant = MujocoPlant(load(tmp_path, URDF, text).model, 1, 0.01)
        plant.set_payload(0.3)
        plant.reset([0.0, 0.0, 0.0])
        for _ in range(20):
            plant.step([0.0, 0.0, 0.0])
        sunk.append(float(plant.position[0, 2]))
    assert sunk[1] > 1.5 * sunk[0] > 0.0


def test_a_wrong_offset_is_refused(tmp_path: Path) -> None:
    path = described(tmp_path, URDF, YAML.replace('tool: tool0', 'tool: tool0\ntool_offset: [1]'))
    with pytest.raises(ConfigError, match='tool_offset'):
        load_robot(path)
