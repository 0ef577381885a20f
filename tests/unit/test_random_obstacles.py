"""Obstacles that are drawn for each episode: where they are, what they forbid, what is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('mujoco')

from nrl_ros.base.errors import ConfigError, NrlError, ShapeError
from nrl_ros.base.manifest import first_difference
from nrl_ros.base.records import AgentInfo, Delivery
from nrl_ros.environments.contract import check_bridge
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.robots.arm.episode import ReachEpisodes
from nrl_ros.robots.arm.obstacles import Obstacles
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.safety.motion import MotionFilter
from sim_bridge.arm import ArmBridge
from sim_bridge.camera import CameraBridge, CameraSettings

BOX = '{name: crate, shape: box, size_m: [0.2, 0.4, 0.6], position_m: [0.0, 0.6, 0.1]}'
TABLE = '{name: bench, shape: table, size_m: [4.0, 4.0], position_m: [0.0, 0.0, -0.5]}'
RANDOM: dict[str, Any] = {
    'most': 2,
    'fewest': 1,
    'least_size_m': 0.06,
    'largest_size_m': 0.16,
    'from_target_m': 0.07,
}


def settings(folder: Path, *around: str, **more: Any) -> ReachSettings:
    """A planar arm of 0.7 m whose targets are before it."""
    path = folder / 'arm.yaml'
    path.write_text(
        'model: planar\nhome_rad: [0.0, 0.0]\n'
        'workspace: {clearance_m: 0.0, low_m: [-1.0, -1.0, -0.4], high_m: [1.0, 1.0, 0.6]}\n'
        'limits: {velocity_rad_s: [1.0], acceleration_rad_s2: [8.0], position_low_rad: [-2.6], '
        f'position_high_rad: [2.6]}}\nobstacles: [{", ".join(around)}]\n'
    )
    target = {'low_m': [0.1, -0.6, -0.05], 'high_m': [0.65, 0.6, 0.05], 'centre_m': [0, 0, 0]}
    task = {'robot': str(path), 'target': target, 'episode': {'steps': 12}}
    return ReachSettings.model_validate(
        {**task, 'obstacles': {'random': RANDOM}, 'observation': {'obstacles': 3}, **more}
    )


def described(bridge: ArmBridge, arm: int) -> list[str]:
    """The obstacles of an arm as a robot's file has them."""
    assert bridge.around is not None
    found = []
    state = bridge.around.state
    for number, (kind, box) in enumerate(zip(state.kind[arm], state.box[arm], strict=True)):
        middle, half = box.tolist()
        sizes = {
            0: ('box', [2.0 * value for value in half]),
            1: ('sphere', half[:1]),
            2: ('capsule', [half[0], 2.0 * (half[2] - half[0])]),
        }
        if kind >= 0:
            shape, size = sizes[int(kind)]
            found.append(
                f'{{name: r{number}, shape: {shape}, size_m: {size}, position_m: {middle}}}'
            )
    return found


def nearest(bridge: ArmBridge, arm: int, obstacles: Obstacles) -> float:
    """By how much an arm is too near, measured as obstacles of a file are."""
    return float(obstacles.worst(bridge.plant.position[arm][None])[0])


def acting(bridge: ArmBridge, seed: int, hold: int = 5) -> Any:
    """Actions that hold for some steps, so that arms come far."""
    random = np.random.default_rng(seed)
    most = np.array(bridge.spec.action.high)
    while True:
        action = random.uniform(-most, most, (bridge.spec.instances, len(most)))
        for _ in range(hold):
            yield action.astype(np.float32)


# ------------------------------------------------------------------- draws


def test_obstacles_leave_arm_and_target_free_and_are_others_in_each_episode(
    tmp_path: Path,
) -> None:
    bridge = ArmBridge(24, settings(tmp_path))
    bridge.reset(3)
    assert bridge.around is not None
    random = bridge.around.state
    first = random.box.copy()
    counts = (random.kind >= 0).sum(axis=1)
    assert set(counts) == {1, 2}
    assert set(random.kind[random.kind >= 0]) == {0, 1, 2}
    apart = []
    for arm in range(24):
        around = load_robot(settings(tmp_path, *described(bridge, arm)).robot).obstacles
        assert around is not None
        # 2 cm are kept in any case; 5 cm at the start.
        assert nearest(bridge, arm, around) <= 0.02 - 0.05
        middle, half = random.box[arm, random.kind[arm] >= 0].swapaxes(0, 1)
        away = np.abs(bridge.episodes.state.target[arm] - middle)
        # A sphere is not further away than the box around it.
        apart += np.linalg.norm(np.maximum(away - half, 0.0), axis=1).tolist()
        assert (np.linalg.norm(away, axis=1) >= half.min(axis=1) + 0.07 - 1e-9).all()
    assert min(apart) < 0.15
    bridge.reset(3)
    np.testing.assert_array_equal(random.box, first)
    bridge.reset(4)
    assert (random.box != first).any(axis=(1, 2, 3)).all()
    before, actions = random.box.copy(), acting(bridge, 0)
    for _ in range(13):
        bridge.step(next(actions))
    assert (random.box != before).any(axis=(1, 2, 3)).all()


def test_an_episode_that_begins_where_the_last_one_ended_finds_its_place_free(
    tmp_path: Path,
) -> None:
    """Those arms still move: where their brake ends is free too."""
    task = {'steps': 4, 'home_every': 0}
    bridge = ArmBridge(16, settings(tmp_path, episode=task))
    bridge.reset(0)
    assert bridge.around is not None
    actions, began = acting(bridge, 1), 0
    for _ in range(60):
        over = bridge.episodes.state.ended.copy()
        began += int(over.sum())
        bridge.step(next(actions))
        seen = bridge.motion_filter.brake_positions()
        for position in seen[:, over].swapaxes(0, 1):
            assert position.shape == (3, 2)
        everyone = np.arange(16)
        asked = np.ones((16, len(bridge.around.names)), np.bool_)
        for position in seen:
            by = bridge.around.violation(position, asked, everyone).max(axis=1)
            assert (by[over] <= 0.02 - 0.05).all()
            assert (by <= 1.5e-3).all()
    assert began > 100


def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path) -> None:
    def refused(**more: Any) -> str:
        with pytest.raises(NrlError) as error:
            ArmBridge(4, settings(tmp_path, **more)).reset(0)
        assert '\n' not in str(error.value)
        return str(error.value)

    far = refused(obstacles={'random': {**RANDOM, 'from_target_m': 3.0}})
    assert 'no place found for one of 2 obstacles' in far and '3.0 m from its target' in far
    region = {'low_m': [0.1, 0.0, 0.0], 'high_m': [0.2, 0.0, 3.0]}
    assert 'expected a box within' in refused(obstacles={'random': {**RANDOM, **region}})
    assert 'simulation.guard: true' in refused(simulation={'guard': False})
    assert 'simulation.shapes: exact' in refused(simulation={'shapes': 'enclosing'})
    moving = {'low_m': [0.1, -0.6, -0.05], 'high_m': [0.65, 0.6, 0.05], 'speed_m_s': 0.1}
    assert 'target.speed_m_s' in refused(target=moving)
    places = refused(observation={'obstacles': 1})
    assert 'observation.obstacles 1: 1 places are left' in places
    with pytest.raises(ConfigError, match=r'bridge camera: .* does not show obstacles'):
        CameraBridge(1, CameraSettings.model_validate(settings(tmp_path).model_dump()))
    for wrong in ({'fewest': 3}, {'least_size_m': 0.5}, {'low_m': [0.0]}, {'kinds': []}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            settings(tmp_path, obstacles={'random': {**RANDOM, **wrong}})


# ------------------------------------------------------------------- guard


def test_each_arm_moves_as_one_with_these_obstacles_in_its_file(tmp_path: Path) -> None:
    """The guard of many arms and that of a file decide the same, whatever was asked before."""
    bridge = ArmBridge(6, settings(tmp_path, BOX))
    bridge.reset(1)
    motions = []
    for arm in range(6):
        robot = load_robot(settings(tmp_path, BOX, *described(bridge, arm)).robot)
        motions.append(MotionFilter(robot.limits, robot.period_s, guard=robot.guard()))
        motions[-1].start(bridge.motion_filter.position[arm][None])
    together, actions, touched = bridge.motion_filter, acting(bridge, 2, hold=25), 0
    for _ in range(75):
        wanted = np.asarray(next(actions), np.float64)
        for _ in range(5):
            moved = together.follow(wanted)
            touched += int(((moved.limited & 8) > 0).sum())
            for arm, alone in enumerate(motions):
                np.testing.assert_allclose(
                    alone.follow(wanted[arm][None]).position[0], moved.position[arm], atol=1e-12
                )
    assert touched > 30


def test_a_run_goes_on_from_what_was_saved(tmp_path: Path) -> None:
    bridge, other = (ArmBridge(8, settings(tmp_path)) for _ in range(2))
    bridge.reset(5)
    other.reset(6)
    actions = acting(bridge, 3)
    for _ in range(8):
        bridge.step(next(actions))
    for number in range(2):
        if number:
            other.step(next(actions))
        other.restore(bridge.snapshot())
        for _ in range(15):
            action = next(actions)
            one, two = bridge.step(action), other.step(action)
            np.testing.assert_array_equal(one.observation, two.observation)
            np.testing.assert_array_equal(one.reward, two.reward)


def test_arms_among_obstacles_keep_what_a_bridge_promises(tmp_path: Path) -> None:
    options = settings(tmp_path).model_dump(exclude_defaults=True)
    check_bridge('arm', options=options, steps=40)


# ---------------------------------------------------------------- observed


def test_what_is_seen_of_obstacles_by_hand(tmp_path: Path) -> None:
    """The tool is 0.7 m along x; the workspace is 2 m by 2 m by 1 m, with z from -0.4 m."""
    bridge = ArmBridge(2, settings(tmp_path, BOX))
    plain = ArmBridge(2, settings(tmp_path, BOX, observation={'obstacles': 0}))
    seen, without = bridge.reset(0), plain.reset(0)
    assert bridge.spec.observation_size == plain.spec.observation_size + 27
    np.testing.assert_array_equal(seen[:, :-27], without)
    crate = seen[0, -27:-18]
    np.testing.assert_allclose(crate[:6], [0.0, 0.6, 0.0, 0.1, 0.2, 0.6], atol=1e-6)
    # Its nearest point is at 0.1, 0.4, 0.0.
    way = np.array([-0.6, 0.4, 0.0])
    far = np.linalg.norm(way)
    np.testing.assert_allclose(crate[6:], way / far * 0.1 / (0.1 + far), atol=1e-6)
    assert bridge.around is not None
    for arm, row in enumerate(seen[:, -18:].reshape(2, 2, 9)):
        kind, box = bridge.around.state.kind[arm], bridge.around.state.box[arm]
        np.testing.assert_allclose(
            row[:, :3], (box[:, 0] - [0, 0, 0.1] * (kind >= 0)[:, None]) * [1, 1, 2], atol=1e-6
        )
        np.testing.assert_allclose(row[:, 3:6], box[:, 1] * [1, 1, 2], atol=1e-6)
        assert not row[kind < 0].any()


def test_a_file_fills_the_places_of_a_real_arm(tmp_path: Path) -> None:
    """A table is seen as far as it is in the workspace; random obstacles are for simulation."""
    options = settings(tmp_path, TABLE, BOX)
    robot = load_robot(options.robot)
    episodes = ReachEpisodes(robot, options, 1)
    seen = episodes.observe(robot.home[None], np.zeros((1, 2)))[0, -27:].reshape(3, 9)
    np.testing.assert_allclose(seen[0], [0, 0, -1, 1, 1, 0, 0, 0, -0.1 / 0.5], atol=1e-6)
    np.testing.assert_allclose(seen[1, :3], [0.0, 0.6, 0.0], atol=1e-6)
    assert not seen[2].any()
    simulated = ReachEpisodes(robot, settings(tmp_path, TABLE, BOX), 1)
    assert first_difference(episodes.spec.manifest, simulated.spec.manifest) is None


def test_more_obstacles_than_places_are_told_and_some_may_be_left_out(tmp_path: Path) -> None:
    few = {'observation': {'obstacles': 1}}
    with pytest.raises(
        ConfigError, match=r'the robot has 2 obstacles \(bench, crate\): give'
    ) as why:
        ReachEpisodes(
            load_robot(settings(tmp_path, TABLE, BOX).robot),
            settings(tmp_path, TABLE, BOX, **few),
            1,
        )
    assert '\n' not in str(why.value)
    hidden = TABLE.replace('}', ', observed: false}')
    options = settings(tmp_path, hidden, BOX, **few)
    robot = load_robot(options.robot)
    seen = ReachEpisodes(robot, options, 1).observe(robot.home[None], np.zeros((1, 2)))
    np.testing.assert_allclose(seen[0, -9:-6], [0.0, 0.6, 0.0], atol=1e-6)
    # What is not observed is kept away from as before.
    assert robot.obstacles is not None
    assert {name for _, name in robot.obstacles.names} == {'bench', 'crate'}


def test_a_policy_is_told_that_an_environment_has_no_obstacles(tmp_path: Path) -> None:
    learned = ArmBridge(1, settings(tmp_path)).spec.manifest
    here = ArmBridge(1, settings(tmp_path, observation={'obstacles': 0})).spec.manifest
    lines = first_difference(learned, here)
    assert lines is not None
    assert '3 obstacles: middle and half lengths' in lines[0]
    assert 'obstacles' not in lines[1]


def test_a_policy_that_sees_obstacles_is_refused_where_there_are_none(tmp_path: Path) -> None:
    """The numbers of observations differ already, and it is said what they mean."""

    def info(arms: ArmBridge) -> AgentInfo:
        return AgentInfo('arm', 1, arms.spec, lockstep=True, delivery=Delivery.EVERY_STEP)

    learner = Learner(LearnerSettings())
    learner.join(info(ArmBridge(1, settings(tmp_path))))
    without = ArmBridge(1, settings(tmp_path, observation={'obstacles': 0}))
    with pytest.raises(ShapeError, match=r'learned with "observation: .* 3 obstacles: ') as why:
        learner.join(replace(info(without), agent='other'))
    assert '\n' not in str(why.value)
