"""Targets that follow one another within an episode, and targets that move."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip('mujoco')

from nrl_ros.base.errors import ConfigError
from nrl_ros.environments.contract import check_bridge
from nrl_ros.robots.arm.settings import ReachSettings
from sim_bridge.arm import ArmBridge
from tests.unit.test_arm_task import PLANAR

SEQUENCE = {'target': PLANAR['target'] | {'every_steps': 4}}
# A box of 0.5 m each way, in which a target of 0.5 m/s comes to a wall within 25 of 0.032 s.
MOVING = {
    'target': {
        'low_m': [0.1, -0.25, -0.05],
        'high_m': [0.6, 0.25, 0.45],
        'far_m': 5.0,
        'speed_m_s': 0.5,
    },
    'episode': {'steps': 100},
}


def bridge_of(arms: int, changes: dict[str, Any]) -> ArmBridge:
    return ArmBridge(arms, ReachSettings.model_validate(PLANAR | changes))


def test_another_target_follows_after_so_many_steps() -> None:
    bridge = bridge_of(3, SEQUENCE)
    bridge.reset(0)
    state = bridge.episodes.state
    actions = np.random.default_rng(0).uniform(-1.5, 1.5, (12, 3, 2)).astype(np.float32)
    targets = [state.target.copy()]
    gone, reward = np.zeros(3), np.zeros(3)
    for action in actions:
        before = state.distance.copy()
        target = state.target.copy()
        result = bridge.step(action)
        after = np.linalg.norm(bridge.robot.chain.tool(bridge.plant.position) - target, axis=1)
        # The distance of a new target is no progress.
        assert result.reward * 0.01 == pytest.approx(before - after)
        gone, reward = gone + before - after, reward + result.reward
        targets.append(state.target.copy())
    changed = [bool((one != two).any()) for one, two in zip(targets, targets[1:], strict=False)]
    # The episode ends with the last one's time.
    assert changed == [False, False, False, True] * 2 + [False] * 4
    assert reward * 0.01 == pytest.approx(gone)
    seen = bridge.episodes.observe(bridge.plant.position, bridge.plant.velocity)
    assert (seen == result.observation).all()


def test_a_mark_says_whether_every_target_was_reached() -> None:
    bridge = bridge_of(2, SEQUENCE | {'episode': {'steps': 12, 'success_radius_m': 0.2}})
    bridge.reset(0)
    episodes, still = bridge.episodes, np.zeros((2, 2), np.float32)
    assert episodes.spec.metrics[-1] == 'is_at_every_target'
    tool = bridge.robot.chain.tool(bridge.plant.position)
    for step in range(1, 13):
        # The first arm's targets are where it stands; the second one's second is elsewhere.
        episodes.state.target[:] = tool
        episodes.state.target[1, 2] += 0.5 * (5 <= step <= 8)
        result = bridge.step(still)
        assert result.metrics is not None
        assert result.metrics[:, -1].tolist() == [1.0, float(step < 8)]
    assert result.truncated.all()
    bridge.step(still)
    assert not episodes.state.missed.any()


def test_targets_move_and_turn_back_at_the_walls() -> None:
    bridge = bridge_of(20, MOVING)
    bridge.reset(0)
    state, still = bridge.episodes.state, np.zeros((20, 2), np.float32)
    assert np.linalg.norm(state.drift, axis=1) == pytest.approx(np.full(20, 0.5))
    low, high = np.array(MOVING['target']['low_m']), np.array(MOVING['target']['high_m'])
    turned = np.zeros(20, np.bool_)
    for _ in range(60):
        target, drift = state.target.copy(), state.drift.copy()
        result = bridge.step(still)
        free = (state.drift == drift).all(axis=1)
        assert state.target[free] - target[free] == pytest.approx(0.032 * drift[free])
        assert (state.target >= low).all()
        assert (state.target <= high).all()
        assert (np.abs(state.drift) == np.abs(drift)).all()
        turned |= ~free
        # What the target does is not the arm's: it stands, and has no reward.
        assert result.reward == pytest.approx(np.zeros(20))
    assert turned.mean() > 0.5


@pytest.mark.parametrize('changes', [SEQUENCE, MOVING])
def test_bridges_with_such_targets_keep_their_promises(changes: dict[str, Any]) -> None:
    check_bridge('arm', instances=3, options=PLANAR | changes, steps=60)


@pytest.mark.parametrize(
    ('target', 'told'),
    [
        ({'source': 'topic', 'every_steps': 3}, 'every_steps is not for target.source: topic'),
        ({'source': 'list', 'points_m': [0.4, 0.0, 0.0], 'speed_m_s': 0.1}, 'received list'),
    ],
)
def test_what_cannot_be_is_told(target: dict[str, Any], told: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=told):
        ReachSettings.model_validate({'target': target})
