"""Arms that differ: each difference against its closed form, and the task on top of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip('mujoco')

from nrl_ros.environments.contract import check_bridge
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.plant import ServoPlant
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.arm.targets import Poses
from nrl_ros.robots.arm.variation import RandomiseGroup, VariedPlant
from sim_bridge.arm import ArmBridge
from tests.unit.fakes import same
from tests.unit.test_arm_task import PLANAR

ARMS, PERIOD = 200, 0.01
SPEED = 0.5
ALL: dict[str, float] = {
    'delay_s': 0.04,
    'gain': 0.2,
    'lag_s': 0.05,
    'deadband_rad_s': 0.02,
    'offset_rad': 0.01,
}


def plant_of(**most: float) -> VariedPlant:
    inner = ServoPlant(ArmModel.from_file('planar'), ARMS, PERIOD)
    plant = VariedPlant(inner, RandomiseGroup(**most), PERIOD)
    plant.seed([0, 2])
    plant.reset(np.zeros((ARMS, 2)), np.ones(ARMS, np.bool_))
    return plant


def moved(plant: VariedPlant, periods: int, speed: float = SPEED) -> Any:
    before = plant.actual.copy()
    for _ in range(periods):
        plant.step(np.full((ARMS, 2), speed))
    return plant.actual - before


def bridge_of(arms: int = 4, **changes: Any) -> ArmBridge:
    settings = PLANAR | {'simulation': {'randomise': ALL}} | changes
    return ArmBridge(arms, ReachSettings.model_validate(settings))


def test_commands_come_late_by_whole_periods() -> None:
    plant = plant_of(delay_s=0.03)
    delay = plant.state.delay
    assert set(delay.tolist()) == {0, 1, 2, 3}
    way = moved(plant, 10)
    assert way == pytest.approx(SPEED * PERIOD * (10 - delay)[:, None] * np.ones(2))


def test_each_joint_follows_its_own_share() -> None:
    plant = plant_of(gain=0.3)
    gain = moved(plant, 10) / (SPEED * PERIOD * 10)
    assert gain == pytest.approx(plant.state.gain)
    assert 0.7 <= gain.min() < 0.75 < 1.25 < gain.max() <= 1.3
    assert np.abs(gain[:, 0] - gain[:, 1]).mean() > 0.05


def test_a_lag_is_of_first_order() -> None:
    """v_n = v (1 - exp(-n T / tau)) for a command that stays."""
    plant = plant_of(lag_s=0.1)
    moved(plant, 7)
    tau = -PERIOD / np.log1p(-plant.state.share)
    assert plant.velocity == pytest.approx(SPEED * -np.expm1(-7 * PERIOD / tau))
    assert 0.0 < tau.min() < 0.02
    assert 0.08 < tau.max() <= 0.1


def test_a_joint_stands_at_commands_within_its_friction() -> None:
    plant = plant_of(deadband_rad_s=0.1)
    still = plant.state.deadband > 0.04
    assert 0.5 < still.mean() < 0.7
    way = moved(plant, 5, speed=-0.04)
    assert (way[still] == 0.0).all()
    assert way[~still] == pytest.approx(np.full((~still).sum(), -0.04 * 5 * PERIOD))


def test_joints_are_measured_beside_where_they_are() -> None:
    plant = plant_of(offset_rad=0.02)
    # Where they are measured is where they were put.
    assert plant.position == pytest.approx(np.zeros((ARMS, 2)))
    assert 0.015 < np.abs(plant.actual).max() <= 0.02
    moved(plant, 5)
    assert plant.position - plant.actual == pytest.approx(plant.state.offset)


def test_only_arms_that_are_put_somewhere_are_drawn_anew() -> None:
    plant = plant_of(**ALL)
    before = plant.snapshot()
    some = np.arange(ARMS) < 50
    plant.reset(np.zeros((ARMS, 2)), some)
    for name in ('gain', 'share', 'deadband', 'offset'):
        now = getattr(plant.state, name)
        assert (now[50:] == before[name][50:]).all()
        assert (now[:50] != before[name][:50]).all()


def test_a_varied_bridge_keeps_its_promises() -> None:
    check_bridge('arm', instances=3, options=PLANAR | {'simulation': {'randomise': ALL}}, steps=60)


def test_a_snapshot_of_varied_arms_goes_on_as_they_would_have() -> None:
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (30, 4, 2)).astype(np.float32)
    bridge = bridge_of()
    bridge.reset(3)
    for action in actions[:15]:
        bridge.step(action)
    kept = bridge.snapshot()
    expected = [bridge.step(action).observation for action in actions[15:]]
    other = bridge_of()
    other.reset(4)
    other.restore(kept)
    again = [other.step(action).observation for action in actions[15:]]
    assert same(again, expected)


def test_rewards_are_of_where_the_joints_are_and_what_is_seen_is_measured() -> None:
    settings = {'simulation': {'randomise': {'offset_rad': 0.1}}}
    bridge = bridge_of(1, **settings)
    seen = bridge.reset(0)
    chain, varied = bridge.robot.chain, bridge.plant
    state = bridge.episodes.state
    distance = np.linalg.norm(chain.tool(varied.actual) - state.target, axis=1)
    measured = np.linalg.norm(chain.tool(varied.position) - state.target, axis=1)
    assert abs(distance - measured) > 1e-3
    assert state.distance == pytest.approx(distance)
    # The last three numbers are error / (0.1 m + |error|), of what is measured.
    share = np.linalg.norm(seen[0, -3:])
    assert 0.1 * share / (1.0 - share) == pytest.approx(measured[0], rel=1e-4)
    result = bridge.step(np.array([[0.5, 0.5]], np.float32))
    after = np.linalg.norm(chain.tool(varied.actual) - state.target, axis=1)
    assert result.reward == pytest.approx((distance - after) / 0.01)
    away, _ = bridge.episodes.away(varied.actual, Poses(state.target, state.rotation))
    assert state.distance == pytest.approx(away)


def test_arms_without_differences_are_as_they_were() -> None:
    plain, none = bridge_of(simulation={}), bridge_of(simulation={'randomise': {}})
    assert same(none.reset(1), plain.reset(1))
    assert not isinstance(none.plant, VariedPlant)


def test_limits_are_kept_where_arms_are_measured() -> None:
    """Commands that are followed too far do not carry an arm through a wall of its workspace."""
    bridge = bridge_of(16, simulation={'randomise': {'gain': 0.3}}, episode={'steps': 200})
    bridge.reset(0)
    guard = bridge.robot.guard()
    worst = -np.inf
    for _ in range(150):
        bridge.step(np.full((16, 2), 1.5, np.float32))
        worst = max(worst, float(guard.violation(bridge.plant.position).max()))
    assert worst < 0.01
