"""Kinematics: closed forms, the published DH tables, and MuJoCo's own, to the last digits."""

from __future__ import annotations

from itertools import pairwise

import mujoco
import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError, ShapeError
from nrl_ros.robots.arm.clearance import Clearance
from nrl_ros.robots.arm.kinematics import Chain
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.model_files import known_models
from tests.unit.test_arm_model import URDF

EXACT = {'rtol': 0.0, 'atol': 1e-12}
# Axes askew, an anchor beside the link's origin, two joints in one link, a slide, a branch, qpos0.
ASKEW = """
<mujoco>
  <worldbody>
    <body pos="0.1 0.2 0.3" euler="10 20 30">
      <body name="first" pos="0 0.1 0" euler="40 -50 60">
        <joint name="a" axis="1 2 3" pos="0.05 -0.02 0.1" ref="20"/>
        <joint name="b" type="slide" axis="0 -1 0.5" ref="0.1"/>
        <geom size="0.02"/>
        <body name="second" pos="0.3 0 0.1" quat="0.3 -0.5 0.7 0.1">
          <joint name="c" axis="0 0 -1"/>
          <joint name="idle" axis="1 0 0" pos="0 0.1 0" ref="-30"/>
          <geom size="0.02"/>
          <site name="tool" pos="0.1 0.2 0" euler="0 90 45"/>
        </body>
        <body name="branch" pos="0.2 0 0"><site name="lamp" pos="0 0 0.3"/></body>
      </body>
      <body name="post" pos="1 0 0"/>
    </body>
  </worldbody>
</mujoco>
"""


def poses(arm: ArmModel, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-4.0, 4.0, (count, arm.size))


def by_mujoco(arm: ArmModel, position, names, offset=(0.0, 0.0, 0.0)):
    """Places [N, P, 3] and the tool's orientation [N, 3, 3], one pose after the other."""
    data = mujoco.MjData(arm.mj)
    address = [arm.mj.joint(name).qposadr[0] for name in arm.joints]
    places, turns = [], []
    for pose in position:
        data.qpos[address] = pose
        mujoco.mj_kinematics(arm.mj, data)
        found = []
        for name in names:
            site, number = arm.find(name)
            found.append((data.site_xpos if site else data.xpos)[number].copy())
        site, number = arm.find(arm.tool)
        turns.append((data.site_xmat if site else data.xmat)[number].reshape(3, 3).copy())
        found[0] += turns[-1] @ np.asarray(offset)
        places.append(found)
    return np.array(places), np.array(turns)


def craig(alpha: float, a: float, d: float, theta: float) -> np.ndarray:
    """Link to link by the modified DH parameters (Craig, Introduction to Robotics, eq. 3.6)."""
    ca, sa, ct, st = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
    return np.array(
        [
            [ct, -st, 0.0, a],
            [st * ca, ct * ca, -sa, -d * sa],
            [st * sa, ct * sa, ca, d * ca],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


def classic(theta: float, a: float, d: float, alpha: float) -> np.ndarray:
    """Link to link by the classic DH parameters (Spong, Robot Modeling and Control, eq. 3.10)."""
    ca, sa, ct, st = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
    return np.array(
        [
            [ct, -st * ca, st * sa, a * ct],
            [st, ct * ca, -ct * sa, a * st],
            [0.0, sa, ca, d],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


@pytest.mark.parametrize('source', [*known_models(), 'askew', 'urdf'])
@pytest.mark.parametrize('count', [1, 37])
def test_equal_to_mujoco(source: str, count: int) -> None:
    watch: list[str] = []
    if source == 'askew':
        arm = ArmModel.from_text(ASKEW, joints=['c', 'a', 'b'])
        watch = ['post', 'lamp', 'second', 'first']
    elif source == 'urdf':
        arm = ArmModel.from_text(URDF)
    else:
        arm = ArmModel.from_file(source)
        watch = [arm.mj.body(number).name for number in range(1, arm.mj.nbody)]
    chain = Chain(arm, watch)
    offset = [0.01, -0.2, 0.3]
    chain.tool_offset = offset
    position = poses(arm, count)
    places, turns = by_mujoco(arm, position, chain.names, offset)
    np.testing.assert_allclose(chain.points(position), places, **EXACT)
    np.testing.assert_allclose(chain.tool(position), places[:, 0], **EXACT)
    np.testing.assert_allclose(chain.orientation(position), turns, **EXACT)


def test_planar_closed_form() -> None:
    chain = Chain(ArmModel.from_file('planar'), ['link2'])
    q = np.random.default_rng(1).uniform(-3.0, 3.0, (50, 2))
    elbow = 0.4 * np.stack([np.cos(q[:, 0]), np.sin(q[:, 0]), 0.0 * q[:, 0]], axis=1)
    both = q.sum(axis=1)
    tool = elbow + 0.3 * np.stack([np.cos(both), np.sin(both), 0.0 * both], axis=1)
    np.testing.assert_allclose(chain.points(q), np.stack([tool, elbow], axis=1), **EXACT)


def test_ur5e_at_zero_is_stretched_out() -> None:
    """In the ROS base_link: x = 0.425 + 0.3922, y = d4 + d6, z = d1 - d5."""
    chain = Chain(ArmModel.from_file('ur5e'))
    zero = np.zeros((1, 6))
    np.testing.assert_allclose(chain.tool(zero), [[0.8172, 0.2329, 0.0628]], **EXACT)
    # The tool looks sideways along y, its x as the base's.
    wanted = [[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    np.testing.assert_allclose(chain.orientation(zero)[0], wanted, **EXACT)


def test_ur5e_is_the_product_of_its_published_dh_table() -> None:
    arm = ArmModel.from_file('ur5e')
    q = poses(arm, 20)
    right = np.pi / 2.0
    table = [
        (0.0, 0.1625, right),
        (-0.425, 0.0, 0.0),
        (-0.3922, 0.0, 0.0),
        (0.0, 0.1333, right),
        (0.0, 0.0997, -right),
        (0.0, 0.0996, 0.0),
    ]
    found = Chain(arm)
    for pose, place, turn in zip(q, found.tool(q), found.orientation(q), strict=True):
        # The controller's base is the driver's base_link turned by pi.
        frame = np.diag([-1.0, -1.0, 1.0, 1.0])
        for theta, (a, d, alpha) in zip(pose, table, strict=True):
            frame = frame @ classic(theta, a, d, alpha)
        np.testing.assert_allclose(place, frame[:3, 3], **EXACT)
        np.testing.assert_allclose(turn, frame[:3, :3], **EXACT)


def test_fr3_is_the_product_of_its_published_dh_table() -> None:
    arm = ArmModel.from_file('fr3')
    q = poses(arm, 20)
    right = np.pi / 2.0
    table = [
        (0.0, 0.0, 0.333),
        (-right, 0.0, 0.0),
        (right, 0.0, 0.316),
        (right, 0.0825, 0.0),
        (-right, -0.0825, 0.384),
        (right, 0.0, 0.0),
        (right, 0.088, 0.0),
        (0.0, 0.0, 0.107),
    ]
    found = Chain(arm)
    for pose, place, turn in zip(q, found.tool(q), found.orientation(q), strict=True):
        frame = np.eye(4)
        for theta, (alpha, a, d) in zip([*pose, 0.0], table, strict=True):
            frame = frame @ craig(alpha, a, d, theta)
        np.testing.assert_allclose(place, frame[:3, 3], **EXACT)
        np.testing.assert_allclose(turn, frame[:3, :3], **EXACT)


def test_a_growing_tool_moves_the_point_along_the_tools_own_axes() -> None:
    chain = Chain(ArmModel.from_file('ur5e'), ['forearm_link'])
    q = poses(ArmModel.from_file('ur5e'), 8)
    before = chain.points(q)
    chain.tool_offset = [0.0, 0.05, 0.2]
    after = chain.points(q)
    turned = chain.orientation(q) @ np.array([0.0, 0.05, 0.2])
    np.testing.assert_allclose(after[:, 0] - before[:, 0], turned, **EXACT)
    np.testing.assert_array_equal(after[:, 1], before[:, 1])
    assert chain.tool_offset.tolist() == [0.0, 0.05, 0.2]


def test_results_are_not_overwritten_by_the_next_call() -> None:
    chain = Chain(ArmModel.from_file('fr3'))
    q = poses(ArmModel.from_file('fr3'), 4)
    first = chain.tool(q)
    kept = first.copy()
    chain.tool(q + 1.0)
    np.testing.assert_array_equal(first, kept)
    # Many sizes in turn: tapes that were given up are made again.
    for count in range(1, 40):
        assert len(chain.tool(poses(ArmModel.from_file('fr3'), 1).repeat(count, axis=0))) == count
    np.testing.assert_array_equal(chain.tool(q), kept)


@pytest.mark.parametrize('shape', [(6,), (2, 5), (1, 2, 6)])
def test_other_shapes_are_refused(shape) -> None:
    arm = ArmModel.from_file('ur5e')
    for function in (Chain(arm).tool, Chain(arm).points, Chain(arm).orientation, Clearance(arm)):
        with pytest.raises(ShapeError, match=r'expected \[N, 6\]'):
            function(np.zeros(shape))


@pytest.mark.parametrize('offset', [[0.0, 0.0], [0.0, 0.0, np.nan]])
def test_a_tool_offset_is_three_finite_numbers(offset) -> None:
    with pytest.raises(ShapeError, match='tool_offset'):
        Chain(ArmModel.from_file('planar')).tool_offset = offset


def test_an_unknown_watched_place_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'forearm_link'"):
        Chain(ArmModel.from_file('ur5e'), ['forarm_link'])


# ------------------------------------------------------------------ clearance


def test_clearance_of_two_capsules_is_the_distance_of_their_axes_less_their_radii() -> None:
    """Three links in a plane; the third may touch the first, the neighbours never count."""
    arm = ArmModel.from_text(
        '<mujoco><default><joint axis="0 0 1"/><geom type="capsule" size="0.02"/></default>'
        '<worldbody><body name="a"><joint name="q0"/><geom name="a" fromto="0 0 0 0.4 0 0"/>'
        '<body name="b" pos="0.4 0 0"><joint name="q1"/><geom name="b" fromto="0 0 0 0.2 0 0"/>'
        '<body name="c" pos="0.2 0 0"><joint name="q2"/><geom name="c" fromto="0 0 0 0.3 0 0"/>'
        '</body></body></body></worldbody></mujoco>'
    )
    clearance = Clearance(arm, far_m=1.0)
    assert clearance.pairs == [('a', 'c')]
    # A U of two right angles: 0.2 m apart. Half folded to a Z: the nearest points are the joints.
    right = np.pi / 2.0
    found = clearance(np.array([[0.3, right, right], [-1.0, right, -right], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(found, [0.2 - 0.04, 0.2 - 0.04, 0.2 - 0.04], rtol=0, atol=1e-6)
    # Folded back by 135 degrees, the last link crosses the first: at 45 degrees its far end passes.
    crossed = clearance(np.array([[0.0, right, 0.75 * np.pi]]))
    assert crossed[0] < 0.0


@pytest.mark.parametrize('name', known_models())
def test_clearance_is_the_least_over_all_pairs(name: str) -> None:
    """The nearest pair settles most others by a bound, which must not change the result."""
    arm = ArmModel.from_file(name)
    clearance = Clearance(arm)
    rng = np.random.default_rng(3)
    q = rng.uniform(arm.position_low, arm.position_high, (100, arm.size))
    data = mujoco.MjData(arm.mj)
    wanted = []
    for pose in q:
        data.qpos[:] = pose
        mujoco.mj_kinematics(arm.mj, data)
        pairs = [(arm.mj.geom(one).id, arm.mj.geom(other).id) for one, other in clearance.pairs]
        each = [mujoco.mj_geomDistance(arm.mj, data, a, b, 10.0, None) for a, b in pairs]
        wanted.append(min([0.25, *each]))
    np.testing.assert_allclose(clearance(q), wanted, rtol=0, atol=1e-6)
    assert clearance(q[:0]).shape == (0,)


@pytest.mark.parametrize(
    ('name', 'ready'),
    [
        ('ur5e', [0.0, -np.pi / 2.0, np.pi / 2.0, -np.pi / 2.0, -np.pi / 2.0, 0.0]),
        ('fr3', [0.0, -np.pi / 4.0, 0.0, -0.75 * np.pi, 0.0, np.pi / 2.0, np.pi / 4.0]),
    ],
)
def test_the_usual_ready_pose_is_clear_and_a_folded_one_is_not(name: str, ready) -> None:
    clearance = Clearance(ArmModel.from_file(name))
    folded = {'ur5e': [0.0, 0.5, 3.0, 0.0, 0.0, 0.0], 'fr3': [0.0, 1.7, 0.0, -3.0, 0.0, 0.6, 0.0]}
    clear, touching = clearance(np.array([ready, folded[name]]))
    assert clear > 0.05
    assert touching < 0.0


@pytest.mark.parametrize('name', ['ur5e', 'fr3'])
def test_neighbours_are_not_compared(name: str) -> None:
    arm = ArmModel.from_file(name)
    pairs = {frozenset(pair) for pair in Clearance(arm).pairs}
    chain = [arm.mj.geom(number).name for number in range(arm.mj.ngeom)]
    assert not pairs & {frozenset(pair) for pair in pairwise(chain)}
