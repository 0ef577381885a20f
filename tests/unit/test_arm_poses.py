"""Targets with an orientation: rotation vectors, poses that are drawn, rewards and figures."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError, ShapeError
from nrl_ros.environments.contract import check_bridge
from nrl_ros.robots.arm.episode import ReachEpisodes
from nrl_ros.robots.arm.inverse import Goals, InverseKinematics
from nrl_ros.robots.arm.reach import reached_targets
from nrl_ros.robots.arm.reachable import targets_of
from nrl_ros.robots.arm.robot import Robot, load_robot
from nrl_ros.robots.arm.rotations import (
    RotationError,
    angles_between,
    matrices_of,
    matrices_of_vectors,
    quaternions_of,
    random_rotations,
    vectors_of,
)
from nrl_ros.robots.arm.settings import OrientationGroup, ReachSettings
from nrl_ros.robots.arm.targets import Poses, Targets
from sim_bridge.arm import ArmBridge

Array = Any
POINTS = OrientationGroup()
POSES: dict[str, Any] = {
    'robot': 'ur5e',
    'target': {
        'source': 'joints',
        'high_m': [0.65, 0.4, 0.65],
        'orientation': {'axes': ['x', 'y', 'z'], 'cone_rad': 1.0},
    },
    'episode': {'steps': 12},
}


def poses(**changes: Any) -> ReachSettings:
    merged = json.loads(json.dumps(POSES))
    for name, value in changes.items():
        *groups, last = name.split('__')
        place = merged
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return ReachSettings.model_validate(merged)


@pytest.fixture(scope='module')
def ur5e() -> Robot:
    return load_robot('ur5e')


def about(axis: str, angle: float) -> Array:
    """The rotation matrix [3, 3] about an axis, by hand."""
    c, s = np.cos(angle), np.sin(angle)
    at = 'xyz'.index(axis)
    one, other = (at + 1) % 3, (at + 2) % 3
    out = np.eye(3)
    out[one, one], out[one, other], out[other, one], out[other, other] = c, -s, s, c
    return out


# --------------------------------------------------------------- rotations


@pytest.mark.parametrize('axis', 'xyz')
@pytest.mark.parametrize(
    'angle', [0.0, 1e-9, 1e-4, 0.3, np.pi / 2, 3.0, np.pi - 1e-6, np.pi - 1e-9, -2.0]
)
def test_the_rotation_vector_of_a_turn_about_an_axis(axis: str, angle: float) -> None:
    vector = vectors_of(quaternions_of(about(axis, angle)[None]))[0]
    expected = np.zeros(3)
    expected['xyz'.index(axis)] = angle
    assert vector == pytest.approx(expected, abs=1e-15 + 1e-12 * abs(angle))


def test_half_a_turn_has_length_pi_and_either_direction() -> None:
    axes = np.random.default_rng(0).standard_normal((50, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    half = 2.0 * axes[:, :, None] * axes[:, None, :] - np.eye(3)
    vectors = vectors_of(quaternions_of(half))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.full(50, np.pi), rel=1e-12)
    assert np.abs(np.einsum('ni,ni->n', vectors, axes)) == pytest.approx(np.full(50, np.pi))


def test_matrices_quaternions_and_vectors_are_one_another(rotations: Array) -> None:
    quaternions = quaternions_of(rotations)
    assert (quaternions[:, 3] >= 0.0).all()
    assert matrices_of(quaternions) == pytest.approx(rotations, abs=1e-14)
    assert matrices_of_vectors(vectors_of(quaternions)) == pytest.approx(rotations, abs=1e-14)
    # A quaternion and its negative are one rotation.
    assert vectors_of(-quaternions) == pytest.approx(vectors_of(quaternions))


@pytest.fixture
def rotations() -> Array:
    return random_rotations(np.random.default_rng(1), np.pi, 200)


@pytest.mark.parametrize('quaternion', [[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [np.nan] * 4])
def test_what_is_no_unit_quaternion_is_refused(quaternion: list[float]) -> None:
    with pytest.raises(ShapeError, match='expected 1'):
        matrices_of(np.array([quaternion]))


def test_rotations_are_drawn_evenly(rotations: Array) -> None:
    """Of all rotations up to pi the share up to a is (a - sin a) / pi."""
    drawn = random_rotations(np.random.default_rng(2), np.pi, 20_000)
    angles = angles_between(np.broadcast_to(np.eye(3), drawn.shape), drawn)
    for angle in (0.5, 1.0, 2.0, 3.0):
        assert np.mean(angles < angle) == pytest.approx((angle - np.sin(angle)) / np.pi, abs=0.01)
    # The turned axes point everywhere alike.
    assert drawn[:, :, 2].mean(axis=0) == pytest.approx(np.zeros(3), abs=0.02)
    narrow = random_rotations(np.random.default_rng(3), 0.2, 500)
    assert angles_between(np.broadcast_to(np.eye(3), narrow.shape), narrow).max() <= 0.2 + 1e-12


def test_the_error_turns_the_tool_into_its_target(rotations: Array) -> None:
    tool, target = rotations[:100], rotations[100:]
    error = RotationError()(tool, target)
    assert matrices_of_vectors(error) @ tool == pytest.approx(target, abs=1e-13)
    assert np.linalg.norm(error, axis=1) == pytest.approx(angles_between(tool, target))


@pytest.mark.parametrize('free', 'xyz')
def test_a_turn_about_a_free_axis_does_not_count(free: str, rotations: Array) -> None:
    at = 'xyz'.index(free)
    tool, target = rotations[:100], rotations[100:]
    error = RotationError([axis for axis in 'xyz' if axis != free])(tool, target)
    # The angle is the one between the two free axes, and the motion lays one onto the other.
    between = np.arccos(np.einsum('ni,ni->n', tool[:, :, at], target[:, :, at]))
    assert np.linalg.norm(error, axis=1) == pytest.approx(between, abs=1e-7)
    turned = matrices_of_vectors(error) @ tool
    assert turned[:, :, at] == pytest.approx(target[:, :, at], abs=1e-12)
    assert np.einsum('ni,ni->n', error, tool[:, :, at]) == pytest.approx(np.zeros(100), abs=1e-12)
    assert RotationError([axis for axis in 'xyz' if axis != free])(
        tool, target @ about(free, 2.0)
    ) == pytest.approx(error, abs=1e-12)


def test_of_one_axis_only_the_turn_about_it_counts() -> None:
    tool = np.eye(3)[None]
    error = RotationError('z')(tool, (about('x', 0.4) @ about('z', 0.7))[None])
    assert error[0] == pytest.approx([0.0, 0.0, 0.7])
    # Half a turn across both leaves nothing that could be told.
    assert RotationError('z')(tool, about('x', np.pi)[None])[0] == pytest.approx(np.zeros(3))
    assert RotationError('xy')(tool, about('x', np.pi)[None])[0] == pytest.approx([np.pi, 0.0, 0.0])


@pytest.mark.parametrize('axes', ['', 'zz', 'w'])
def test_axes_that_are_none_are_refused(axes: str) -> None:
    with pytest.raises(ShapeError, match='expected some of x, y and z'):
        RotationError(axes)


# ----------------------------------------------------------------- targets


def test_poses_of_joints_are_those_of_allowed_joint_positions(ur5e: Robot) -> None:
    settings = poses().target
    drawn = Targets(settings, np.random.default_rng(0), ur5e).draw_poses(300)
    assert drawn.point.shape == (300, 3)
    assert drawn.rotation.shape == (300, 3, 3)
    assert (drawn.point >= settings.low_m).all()
    assert (drawn.point <= settings.high_m).all()
    home = np.broadcast_to(ur5e.chain.orientation(ur5e.home[None]), drawn.rotation.shape)
    angles = angles_between(home, drawn.rotation)
    assert angles.max() <= 1.0
    assert angles.max() > 0.9
    again = Targets(settings, np.random.default_rng(0), ur5e).draw_poses(300)
    assert (again.point == drawn.point).all()


def test_episodes_draw_poses_that_the_arm_can_have(ur5e: Robot) -> None:
    episodes = ReachEpisodes(ur5e, poses(target__orientation__cone_rad=3.0), 60)
    episodes.begin(np.ones(60, np.bool_), np.tile(ur5e.home, (60, 1)))
    state = episodes.state
    found = InverseKinematics(ur5e).solve(Goals(state.target, state.rotation))
    # Of poses in the box with any orientation a quarter can be had; the search misses a few.
    assert found.share > 0.85


def test_poses_without_a_robot_are_refused() -> None:
    with pytest.raises(ConfigError, match='need a robot'):
        Targets(poses().target, np.random.default_rng(0))


def test_points_of_joints_need_no_orientation(ur5e: Robot) -> None:
    settings = poses(target__orientation={}).target
    points = Targets(settings, np.random.default_rng(0), ur5e).draw(50)
    assert points.shape == (50, 3)
    assert len(ReachEpisodes(ur5e, poses(target__orientation={}), 2).spec.metrics) == 5


def test_orientations_are_drawn_in_a_cone_about_a_reference(ur5e: Robot) -> None:
    reference = [0.0, np.sin(0.5), 0.0, np.cos(0.5)]
    settings = poses(
        target__source='random',
        target__orientation={'axes': ['x', 'y', 'z'], 'reference_xyzw': reference, 'cone_rad': 0.3},
    ).target
    drawn = Targets(settings, np.random.default_rng(0), ur5e).draw_poses(200)
    angles = angles_between(np.broadcast_to(about('y', 1.0), drawn.rotation.shape), drawn.rotation)
    assert 0.28 < angles.max() <= 0.3 + 1e-9


def test_random_poses_are_kept_where_inverse_kinematics_finds_them(ur5e: Robot) -> None:
    cone = {'axes': ['x', 'y', 'z'], 'cone_rad': 1.5}
    wide = poses(target__source='random', target__reachable=True, target__orientation=cone).target
    drawn = targets_of(ur5e, wide).draw_poses(200)
    solved = InverseKinematics(ur5e).solve(Goals(drawn.point, drawn.rotation))
    assert solved.share == 1.0
    reached = ur5e.chain.orientation(solved.position)
    assert angles_between(reached, drawn.rotation).max() < 0.011
    share = reached_targets(ur5e, wide).share
    assert 0.2 < share < 0.9
    assert share < reached_targets(ur5e, wide.model_copy(update={'orientation': POINTS})).share


def test_poses_of_a_list_are_taken_in_turn(ur5e: Robot) -> None:
    points = [0.4, 0.0, 0.3, 0.5, 0.1, 0.4]
    quaternions = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    orientation = {'axes': ['x', 'y'], 'quaternions_xyzw': quaternions}
    settings = poses(
        target__source='list', target__points_m=points, target__orientation=orientation
    ).target
    targets = Targets(settings, np.random.default_rng(0), ur5e)
    drawn = targets.draw_poses(3)
    assert drawn.point.tolist() == [points[:3], points[3:], points[:3]]
    assert drawn.rotation[1] == pytest.approx(np.diag([1.0, -1.0, -1.0]))
    assert targets.draw_poses(1).point.tolist() == [points[3:]]


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'target__orientation__cone_rad': 1e-4}, 'within 0.0001 rad of the reference: mend'),
        ({'target__orientation__axes': ['x', 'x']}, 'each once'),
        ({'target__orientation__reference_xyzw': [1.0, 0.0, 0.0]}, 'received 3 numbers'),
        ({'target__orientation__reference_xyzw': [1.0, 1.0, 0.0, 0.0]}, 'length 1.414'),
        (
            {
                'target__source': 'list',
                'target__points_m': [0.4, 0.0, 0.3],
                'target__orientation__quaternions_xyzw': [0.0, 0.0, 0.0, 1.0] * 2,
            },
            'holds 2 orientations, target.points_m 1 points',
        ),
    ],
)
def test_poses_that_cannot_be_are_told(changes: dict[str, Any], told: str, ur5e: Robot) -> None:
    with pytest.raises((ConfigError, ValueError), match=told):
        Targets(poses(**changes).target, np.random.default_rng(0), ur5e).draw_poses(8)


# ---------------------------------------------------------------- episodes


def test_the_error_of_a_known_pose_is_seen_and_counted(ur5e: Robot) -> None:
    """The target is the tool at home, 0.03 m higher and turned by 0.2 rad about its own x."""
    episodes = ReachEpisodes(ur5e, poses(), 1)
    home, still = ur5e.home[None], np.zeros((1, 6))
    turned = ur5e.chain.orientation(home) @ about('x', 0.2)
    target = Poses(ur5e.chain.tool(home) + [[0.0, 0.0, 0.03]], turned)
    everyone = np.ones(1, np.bool_)
    episodes.begin(everyone, home, target)
    seen = episodes.observe(home, still)[0]
    assert len(seen) == episodes.spec.observation_size == 6 * 2 + 18
    error, turn, axes = seen[18:21], seen[21:24], seen[24:]
    assert error == pytest.approx([0.0, 0.0, 0.03 / 0.13], abs=1e-6)
    # x of the tool points along -y of the base; 0.2 / (0.3 + 0.2).
    x, z = ur5e.chain.orientation(home)[0].T[[0, 2]]
    assert turn == pytest.approx(0.4 * x, abs=1e-6)
    assert axes == pytest.approx([*x, *z], abs=1e-6)
    result = episodes.finish(home, still, still, ~everyone)
    assert result.metrics is not None
    figures = dict(zip(episodes.spec.metrics, result.metrics[0], strict=True))
    assert figures.pop('final_angle_rad') == pytest.approx(0.2)
    assert figures == pytest.approx(
        {
            'final_distance_m': 0.03,
            'nearest_m': 0.03,
            'is_within_5_cm_and_12.5_deg': 1.0,
            'is_within_2_cm_and_5_deg': 0.0,
            'is_within_1_cm_and_2.5_deg': 0.0,
        }
    )


def test_progress_adds_up_to_the_distance_and_the_angle_gone() -> None:
    bridge = ArmBridge(4, poses(reward={'scale_m': 0.02, 'scale_rad': 0.1}))
    bridge.reset(1)
    state = bridge.episodes.state
    distance, angle = state.distance.copy(), state.angle.copy()
    assert (angle > 0.0).all()
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (12, 4, 6)).astype(np.float32)
    results = [bridge.step(action) for action in actions]
    total = np.sum([result.reward for result in results], axis=0)
    assert results[-1].truncated.all()
    went = (distance - state.distance) / 0.02 + (angle - state.angle) / 0.1
    assert total == pytest.approx(went)


@pytest.mark.parametrize(('angle', 'there'), [(0.05, True), (0.2, False)])
def test_at_the_target_is_place_and_orientation(ur5e: Robot, angle: float, there: bool) -> None:
    settings = poses(episode__terminate_at_target=True, reward={'kind': 'success'})
    episodes = ReachEpisodes(ur5e, settings, 1)
    home, still, everyone = ur5e.home[None], np.zeros((1, 6)), np.ones(1, np.bool_)
    turned = ur5e.chain.orientation(home) @ about('z', angle)
    episodes.begin(everyone, home, Poses(ur5e.chain.tool(home), turned))
    result = episodes.finish(home, still, still, ~everyone)
    assert result.terminated[0] == there
    assert result.reward[0] == float(there)


def test_the_bridge_of_poses_keeps_its_promises() -> None:
    check_bridge('arm', instances=3, options=POSES, steps=40)


def test_a_policy_for_poses_is_none_for_points(ur5e: Robot) -> None:
    manifest = ReachEpisodes(ur5e, poses(), 1).spec.manifest
    assert 'rotation about x y z / (0.3 rad + |rotation|)' in manifest
    points = ReachEpisodes(ur5e, poses(target__orientation={}), 1).spec.manifest
    assert 'rotation' not in points
