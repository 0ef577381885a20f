"""What stands around an arm: distances by hand, what is refused, an arm that is driven at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('mujoco')

from nrl_ros.base.errors import ConfigError
from nrl_ros.robots.arm.obstacles import FAR_M, Obstacles
from nrl_ros.robots.arm.preflight import preflight
from nrl_ros.robots.arm.robot import Robot, load_robot
from nrl_ros.robots.arm.robot_checks import nearest_limit, refused_because
from nrl_ros.robots.safety.motion import MotionFilter
from tests.unit.test_arm_descriptions import RAISED, UNWATCHED, described
from tests.unit.test_safety_guard_cache import check_equal

BALL = '{name: ball, shape: sphere, size_m: [0.1], position_m: [0.6, 0.3, 0.0]}'


def planar(folder: Path, *obstacles: str, home: str = '[0.0, 0.0]', more: str = '') -> Robot:
    """Links of 0.4 and 0.3 m along x, capsules of radius 0.03 and 0.025 m."""
    path = folder / 'arm.yaml'
    path.write_text(
        f'model: planar\nhome_rad: {home}\n'
        f'workspace: {{clearance_m: 0.0, low_m: [-1, -1, -1]{more}}}\n'
        'limits: {velocity_rad_s: [1.0], acceleration_rad_s2: [8.0], position_low_rad: [-2.6], '
        f'position_high_rad: [2.6]}}\nobstacles: [{", ".join(obstacles)}]\n'
    )
    return load_robot(str(path))


def measured(robot: Robot, *position: float) -> dict[tuple[str, str], float]:
    """Distances by link and obstacle."""
    assert robot.obstacles is not None
    least = robot.description.workspace.obstacle_distance_m
    by = robot.obstacles.violation(np.array([position]))[0]
    return {names: least - value for names, value in zip(robot.obstacles.names, by, strict=True)}


def refused(folder: Path, *obstacles: str, **how: Any) -> str:
    with pytest.raises(ConfigError) as error:
        planar(folder, *obstacles, **how)
    assert '\n' not in str(error.value)
    return str(error.value)


# --------------------------------------------------------------- distances


def test_distances_from_a_ball_by_hand(tmp_path: Path) -> None:
    found = measured(planar(tmp_path, BALL), 0.0, 0.0)
    # The base stands still, and is not compared.
    assert set(found) == {('link1', 'ball'), ('link2', 'ball')}
    assert found['link2', 'ball'] == pytest.approx(0.3 - 0.1 - 0.025)
    assert found['link1', 'ball'] == pytest.approx(np.hypot(0.2, 0.3) - 0.1 - 0.03)
    far = measured(planar(tmp_path, BALL), -1.5, 0.0)
    assert far['link2', 'ball'] == FAR_M


@pytest.mark.parametrize(
    ('obstacle', 'distance'),
    [
        ('shape: box, size_m: [0.2, 0.1, 0.4], position_m: [0.55, 0.2, 0.0]', 0.2 - 0.05),
        # A quarter turn exchanges x and y.
        (
            'shape: box, size_m: [0.2, 0.1, 0.4], position_m: [0.55, 0.2, 0.0], '
            'rpy_rad: [0.0, 0.0, 1.5707963267948966]',
            0.2 - 0.1,
        ),
        # Along z, then laid along y by a roll, so that its end comes nearer by half its length.
        ('shape: capsule, size_m: [0.05, 0.1], position_m: [0.55, 0.2, 0.0]', 0.2 - 0.05),
        (
            'shape: capsule, size_m: [0.05, 0.1], position_m: [0.55, 0.2, 0.0], '
            'rpy_rad: [1.5707963267948966, 0.0, 0.0]',
            0.2 - 0.05 - 0.05,
        ),
        ('shape: cylinder, size_m: [0.08, 0.3], position_m: [0.55, 0.2, 0.0]', 0.2 - 0.08),
        # The top of a table is where it says, and nothing of it is above.
        ('shape: table, size_m: [2.0, 2.0], position_m: [0.0, 0.0, -0.15]', 0.15),
    ],
)
def test_distances_from_every_shape_by_hand(tmp_path: Path, obstacle: str, distance: float) -> None:
    robot = planar(tmp_path, f'{{name: thing, {obstacle}}}')
    assert measured(robot, 0.0, 0.0)['link2', 'thing'] == pytest.approx(distance - 0.025, abs=1e-6)


def test_obstacles_are_in_the_frame_that_they_name(tmp_path: Path) -> None:
    """The base stands 0.7 m above the world and looks along its y axis."""
    ball = 'obstacles: [{name: ball, shape: sphere, size_m: [0.05], position_m: %s, frame: %s}]\n'
    found = []
    for place, frame in (('[0.3, 0.1, 0.2]', 'base_link'), ('[-0.1, 0.3, 0.9]', 'world')):
        robot = load_robot(described(tmp_path, RAISED, UNWATCHED + ball % (place, frame)))
        assert robot.obstacles is not None
        found.append(robot.obstacles.violation(robot.home[None])[0])
    assert found[0] == pytest.approx(found[1], abs=1e-9)
    assert (found[0] > 0.02 - FAR_M).any()


def test_no_motion_changes_a_distance_faster_than_its_rate() -> None:
    robot = load_robot('ur5e')
    around = [
        {'name': 'post', 'shape': 'capsule', 'size_m': [0.05, 0.8], 'position_m': [0.5, 0.3, 0.4]},
        {'name': 'shelf', 'shape': 'box', 'size_m': [0.4, 0.3, 0.05], 'position_m': [0.6, 0, 0.3]},
    ]
    kinds = type(robot.description).model_validate({'obstacles': around}).obstacles
    obstacles = Obstacles(robot.model, kinds, '', 0.02)
    generator, limits = np.random.default_rng(0), robot.limits
    here = generator.uniform(limits.position_low, limits.position_high, (60, 6))
    there = here + generator.uniform(-0.1, 0.1, here.shape)
    change = np.abs(obstacles.violation(there) - obstacles.violation(here))
    bound = np.abs(there - here) @ obstacles.rates().T
    assert (change <= bound + 1e-6).all()
    assert change.max() > 0.02


# ------------------------------------------------------------------ errors


def test_a_home_at_an_obstacle_names_link_and_obstacle(tmp_path: Path) -> None:
    said = refused(tmp_path, BALL.replace('0.3, 0.0]', '0.13, 0.0]'))
    assert 'too near to what stands around it, from which 0.02 m are to be kept' in said
    assert 'link2 and ball (0.005 m)' in said
    assert 'link1' not in said
    assert 'touching names links that may be there' in said
    # What may touch it is not compared.
    touching = BALL.replace('0.3, 0.0]', '0.13, 0.0], touching: [link2]')
    assert set(measured(planar(tmp_path, touching), 0.0, 0.0)) == {('link1', 'ball')}


def test_a_person_is_told_what_is_watched(tmp_path: Path) -> None:
    said = '\n'.join(preflight(planar(tmp_path, BALL)))
    assert 'obstacles: ball (sphere); at home link2 is 0.175 m from ball (0.02 m are kept' in said
    assert 'obstacles' not in '\n'.join(preflight(load_robot('planar')))


def test_a_pose_at_an_obstacle_says_why_it_is_refused(tmp_path: Path) -> None:
    robot = planar(tmp_path, BALL)
    position = np.array([np.arctan2(0.3, 0.6), 0.0])
    why = refused_because(robot.description, robot.guard(), position, robot.obstacles)
    assert why.startswith('link1 and ball (') or 'link2 and ball (-' in why
    assert refused_because(robot.description, robot.guard(), robot.home, robot.obstacles) == ''


@pytest.mark.parametrize(
    ('position', 'more', 'told'),
    [
        # 0.3 cos 0.24 - 0.6 sin 0.24 from its axis to the ball's middle; then a wall is nearer.
        ([0.24, 0.0], '', 'link2 is 0.024 m from ball (0.02 m are kept)'),
        ([0.0, 0.0], ', high_m: [0.73, 1, 1]', 'the tool is 0.030 m from workspace.high_m in x'),
    ],
)
def test_what_limits_a_motion_is_named_with_its_distance(
    tmp_path: Path, position: list[float], more: str, told: str
) -> None:
    robot = planar(tmp_path, BALL, more=more)
    said = nearest_limit(robot.description, robot.guard(), np.array(position), robot.obstacles)
    assert told in said


def test_links_that_limit_a_motion_are_named_without_obstacles() -> None:
    robot = load_robot('ur5e')
    position = robot.home.copy()
    position[2] = 2.7
    guard = robot.guard()
    assert guard.violation(position[None])[0] > -0.05
    said = nearest_limit(robot.description, guard, position)
    assert ' m from ' in said


@pytest.mark.parametrize(
    ('obstacles', 'told'),
    [
        ([BALL, BALL], "'ball' is there twice"),
        ([BALL.replace('[0.1]', '[0.1, 0.2]')], "'ball': size_m of a sphere holds radius"),
        ([BALL.replace('[0.1]', '[-0.1]')], 'all above 0'),
        ([BALL.replace('}', ', touching: [link_2]}')], "no link 'link_2', did you mean 'link2'"),
        ([BALL.replace('}', ', frame: link2}')], 'link2'),
        ([BALL.replace('sphere', 'ball')], 'sphere'),
        ([BALL.replace('name: ball, ', '')], 'name'),
    ],
)
def test_an_obstacle_that_cannot_be_is_told(
    tmp_path: Path, obstacles: list[str], told: str
) -> None:
    assert told in refused(tmp_path, *obstacles)


# ------------------------------------------------------------------ motion


def test_an_arm_that_is_driven_at_an_obstacle_stops_before_it(tmp_path: Path) -> None:
    robot = planar(tmp_path, BALL, more=', obstacle_distance_m: 0.03')
    motion = MotionFilter(robot.limits, robot.period_s, guard=robot.guard())
    motion.start(robot.home[None])
    nearest = []
    for _ in range(300):
        motion.follow(np.array([[1.0, 0.0]]))
        nearest.append(min(measured(robot, *motion.position[0]).values()))
    # The filter may be inaccurate by a millimetre, and comes as near as it may.
    assert min(nearest) > 0.03 - 1.5e-3
    assert min(nearest) < 0.032


def test_motions_beside_obstacles_are_those_of_a_guard_that_is_always_asked(
    tmp_path: Path,
) -> None:
    wall = '{name: wall, shape: box, size_m: [0.1, 1.0, 1.0], position_m: [0.0, 0.9, 0.0]}'
    robot = planar(tmp_path, BALL, wall)
    how = {'arms': 8, 'ticks': 300, 'seed': 1}
    check_equal(robot.guard(), robot.limits, robot.home, robot.period_s, **how)
