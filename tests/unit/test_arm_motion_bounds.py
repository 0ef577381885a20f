"""How far places can move with each joint: by hand, and never less than they do."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from nrl_ros.robots.arm.clearance import Clearance
from nrl_ros.robots.arm.kinematics import Chain
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.model_files import known_models
from nrl_ros.robots.arm.motion_bounds import motion_bound
from nrl_ros.robots.arm.robot import load_robot
from tests.unit.test_arm_kinematics import ASKEW

STEPS = 2000


def test_a_planar_arm_by_hand() -> None:
    """Links of 0.4 and 0.3 m; stretched, the tool does move by 0.7 m in a radian."""
    arm = ArmModel.from_file('planar')
    found = Chain(arm).rates()
    stretched = Chain(arm).tool(np.array([[0.0, 0.0], [1e-6, 0.0], [0.0, 1e-6]]))
    moved = np.linalg.norm(stretched[1:] - stretched[0], axis=1) / 1e-6
    np.testing.assert_allclose(found[0], moved, rtol=1e-6)


def test_a_tool_on_the_axis_and_its_offset() -> None:
    """The last joint of a UR5e turns its flange about itself, and what is 0.1 m beside it."""
    chain = Chain(ArmModel.from_file('ur5e'), ['forearm_link'])
    tool, elbow = chain.rates()
    assert tool[5] == 0.0
    assert elbow.tolist() == pytest.approx([0.425, 0.425, 0.0, 0.0, 0.0, 0.0])
    chain.tool_offset = [0.0, 0.1, 0.2]
    assert chain.rates()[0, 5] == pytest.approx(0.1)
    assert chain.rates()[0, 4] == pytest.approx(tool[4] + np.hypot(0.1, 0.2), abs=0.1)


def pairs_of_poses(arm: ArmModel, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Poses, and others beside them: some near, some far, some with one joint moved."""
    random = np.random.default_rng(seed)
    low, high = np.maximum(arm.position_low, -4.0), np.minimum(arm.position_high, 4.0)
    one = random.uniform(low, high, (STEPS, arm.size))
    step = random.normal(0.0, 1.0, one.shape) * 10.0 ** random.uniform(-3.0, 0.0, (STEPS, 1))
    alone = random.integers(0, arm.size, STEPS)
    step[::2] *= np.eye(arm.size)[alone[::2]]
    return one, one + step


@pytest.mark.parametrize('name', known_models())
def test_no_point_moves_further_than_it_can(name: str) -> None:
    robot = load_robot(name)
    one, other = pairs_of_poses(robot.model, 1)
    moved = np.linalg.norm(robot.chain.points(other) - robot.chain.points(one), axis=2)
    most = np.abs(other - one) @ robot.chain.rates().T
    assert (moved <= most + 1e-12).all()
    # Nor is the bound a waste: some come near to it.
    assert (moved / np.maximum(most, 1e-9)).max() > 0.9


@pytest.mark.parametrize('name', ['ur5e', 'fr3'])
def test_no_distance_changes_more_than_it_can(name: str) -> None:
    clearance = Clearance(ArmModel.from_file(name))
    one, other = pairs_of_poses(ArmModel.from_file(name), 2)
    asked = np.ones((STEPS, len(clearance.pairs)), np.bool_)
    before, after = clearance.distances(one, asked), clearance.distances(other, asked)
    # Where shapes lie in one another MuJoCo's depth is not exact, and no room is left to use.
    apart = (before > 0.0) & (after > 0.0)
    most = np.abs(other - one) @ clearance.rates().T
    assert (np.abs(after - before) <= most + 1e-5)[apart].all()
    np.testing.assert_allclose(clearance(one), np.minimum(before.min(axis=1), 0.25), atol=1e-6)


def test_of_pairs_that_are_not_asked_for_nothing_is_said() -> None:
    clearance = Clearance(ArmModel.from_file('ur5e'))
    asked = np.zeros((3, len(clearance.pairs)), np.bool_)
    asked[1, 2] = asked[2, 0] = True
    poses = np.random.default_rng(0).uniform(-1.0, 1.0, (3, 6))
    found = clearance.distances(poses, asked)
    every = clearance.distances(poses, np.ones_like(asked))
    assert (np.isnan(found) == ~asked).all()
    assert (found[asked] == every[asked]).all()


def test_axes_askew_anchors_beside_the_link_and_what_slides() -> None:
    """Joint a lies before one that slides, so that nothing is known of it; b slides, c turns."""
    arm = ArmModel.from_text(ASKEW, joints=['c', 'a', 'b'])
    site = arm.mj.site('tool').id
    rates = motion_bound(arm, int(arm.mj.site_bodyid[site]), arm.mj.site_pos[site])
    assert rates[1] == np.inf
    assert rates[2] == 1.0
    random = np.random.default_rng(3)
    one = random.uniform(-2.0, 2.0, (STEPS, 3))
    other = one + random.normal(0.0, 0.3, one.shape) * [1.0, 0.0, 1.0]
    chain = Chain(arm)
    moved = np.linalg.norm(chain.tool(other) - chain.tool(one), axis=1)
    most = np.abs(other - one)[:, [0, 2]] @ rates[[0, 2]]
    assert (moved <= most + 1e-12).all()
    assert (moved / most).max() > 0.8


def test_joints_of_one_link_and_anchors_beside_it_turn_it_no_further() -> None:
    """Two hinges in one link, with anchors apart: the first also swings the second's anchor."""
    arm = ArmModel.from_text(
        '<mujoco><worldbody><body><joint name="a" pos="0.3 0 0"/>'
        '<joint name="b" pos="-0.2 0.1 0" axis="0 1 0"/><geom size="0.1" pos="0.1 0 0.2"/>'
        '<body pos="0 0 0.4" quat="0.5 0.5 -0.5 0.5"><joint name="c" pos="0.1 0 0"/>'
        '<geom size="0.05" pos="0.2 0 0"/><site name="tool" pos="0.3 0.1 0"/></body></body>'
        '</worldbody></mujoco>'
    )
    site = arm.mj.site('tool').id
    rates = motion_bound(arm, int(arm.mj.site_bodyid[site]), arm.mj.site_pos[site])
    one, other = pairs_of_poses(arm, 4)
    places = []
    data = mujoco.MjData(arm.mj)
    for pose in np.concatenate([one, other]):
        data.qpos[:] = pose
        mujoco.mj_kinematics(arm.mj, data)
        places.append(data.site_xpos[site].copy())
    moved = np.linalg.norm(np.array(places[STEPS:]) - np.array(places[:STEPS]), axis=1)
    assert (moved <= np.abs(other - one) @ rates + 1e-12).all()
