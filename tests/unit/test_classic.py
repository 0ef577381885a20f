"""The bridges 'acrobot' and 'cartpole' give Gymnasium's numbers, to the last bit.

Equality is exact, not within a tolerance: a double pendulum makes any difference a large one
within an episode, and numbers that are the same keep every recorded run the same.
"""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from nrl_ros.base.errors import CheckpointError
from nrl_ros.environments.registry import make_bridge

TASKS = {'acrobot': 'Acrobot-v1', 'cartpole': 'CartPole-v1'}
FIELDS = ('observation', 'reward', 'terminated', 'truncated', 'aborted')


def chance(random, bridge):
    sizes = bridge.spec.action.sizes
    return random.integers(0, sizes, (bridge.spec.instances, 1), dtype=np.int32)


def skill(name, observation):
    """Actions that reach the goal, or keep the pole up for 500 steps."""
    if name == 'acrobot':
        return np.sign(observation[:, 5:]).astype(np.int32) + 1
    lean = observation[:, 2] + 0.3 * observation[:, 3] + 0.02 * observation[:, 0]
    return (lean + 0.05 * observation[:, 1] > 0).astype(np.int32)[:, None]


def put(bridge, states):
    """Given states [B, 4], at the start of an episode."""
    snapshot = bridge.snapshot()
    zeros = np.zeros(len(states), np.int64)
    motion = np.ascontiguousarray(np.array(states).T)
    snapshot |= {'motion': motion, 'steps': zeros, 'over': zeros.astype(np.bool_)}
    bridge.restore(snapshot)


@pytest.mark.parametrize('name', TASKS)
@pytest.mark.parametrize('instances', [1, 5, 16])
def test_the_same_as_through_gymnasium(name, instances):
    """Same seed, same actions: spaces, first states, ends and new starts, over many episodes."""
    ours = make_bridge(name, instances, {})
    theirs = make_bridge('gymnasium', instances, {'id': TASKS[name]})
    assert ours.spec == theirs.spec
    random = np.random.default_rng(instances)
    seen = ours.reset(3)
    assert np.array_equal(seen, theirs.reset(3))
    ends = np.zeros(2, int)
    for k in range(800):
        clever = k >= 200 or (name == 'cartpole' and k % 3)
        action = skill(name, seen) if clever else chance(random, ours)
        one, two = ours.step(action), theirs.step(action)
        for field in FIELDS:
            assert np.array_equal(getattr(one, field), getattr(two, field)), (field, k)
        seen = one.observation
        ends += one.terminated.sum(), one.truncated.sum()
    assert ends.sum() >= instances


@pytest.mark.parametrize('name', TASKS)
def test_the_same_as_gymnasium_from_any_state(name):
    """From states drawn widely, the fastest and those beyond a turn included."""
    high = {'acrobot': (3.2, 3.2, 12.6, 28.3), 'cartpole': (2.5, 20.0, 0.22, 20.0)}[name]
    random = np.random.default_rng(1)
    bridge = make_bridge(name, 8, {})
    plain = gymnasium.make(TASKS[name]).unwrapped
    plain.reset(seed=0)
    ended = 0
    for _ in range(60):
        states = random.uniform(-np.array(high), high, (8, 4))
        put(bridge, states)
        action = chance(random, bridge)
        result = bridge.step(action)
        after = bridge.snapshot()['motion']
        for i, state in enumerate(states):
            plain.state = state
            plain.steps_beyond_terminated = None
            seen, reward, terminated, _, _ = plain.step(int(action[i, 0]))
            assert np.array_equal(after[:, i], plain.state)
            assert np.array_equal(result.observation[i], seen)
            assert (result.reward[i], result.terminated[i]) == (reward, terminated)
            ended += terminated
    assert 0 < ended < 480


@pytest.mark.parametrize('name', TASKS)
def test_an_episode_as_gymnasium_s(name):
    """One state put into both, then 500 steps up to the time limit, each from the one before."""
    bridge = make_bridge(name, 1, {})
    plain = gymnasium.make(TASKS[name])
    seen, _ = plain.reset(seed=5)
    put(bridge, [plain.unwrapped.state.astype(np.float64)])
    for k in range(500):
        action = skill(name, seen[None]) if name == 'cartpole' else np.array([[k % 3]])
        seen, reward, terminated, truncated, _ = plain.step(int(action[0, 0]))
        result = bridge.step(action.astype(np.int32))
        assert np.array_equal(result.observation[0], seen)
        assert result.reward[0] == reward
        assert (result.terminated[0], result.truncated[0]) == (terminated, truncated)
        assert truncated == (k == 499) and not terminated


@pytest.mark.parametrize(('name', 'reward'), [('acrobot', -1.0), ('cartpole', 1.0)])
def test_a_limit_truncates_and_the_next_step_starts_anew(name, reward):
    bridge = make_bridge(name, 2, {'max_episode_steps': 3})
    assert bridge.spec.max_episode_steps == 3
    bridge.reset(0)
    results = [bridge.step(np.array([[1], [0]], np.int32)) for _ in range(8)]
    assert [r.truncated.tolist() for r in results] == [[k % 4 == 2] * 2 for k in range(8)]
    paid = [0.0 if k % 4 == 3 else reward for k in range(8)]
    assert [r.reward.tolist() for r in results] == [[value] * 2 for value in paid]
    # Sines of angles and velocities, or all four numbers, are small at a start.
    first = results[3].observation[:, [1, 3, 4, 5] if name == 'acrobot' else slice(None)]
    assert np.abs(first).max() <= 0.1
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize('name', TASKS)
def test_what_was_given_stays_as_it_was(name):
    """No array of a step is used again by a later one."""
    bridge = make_bridge(name, 3, {'max_episode_steps': 4})
    random = np.random.default_rng(0)
    first = bridge.reset(1)
    kept = [(first, first.copy())]
    for _ in range(12):
        result = bridge.step(chance(random, bridge))
        kept += [(getattr(result, field), getattr(result, field).copy()) for field in FIELDS]
    for array, copy in kept:
        assert np.array_equal(array, copy)
    assert not any(np.shares_memory(a, b) for (a, _), (b, _) in zip(kept, kept[5:], strict=False))
    snapshot = bridge.snapshot()
    before = snapshot['motion'].copy()
    bridge.step(chance(random, bridge))
    assert np.array_equal(snapshot['motion'], before)


@pytest.mark.parametrize('name', TASKS)
def test_a_snapshot_of_another_environment_is_refused(name):
    (other,) = set(TASKS) - {name}
    bridge = make_bridge(name, 2, {})
    for wrong, said in (
        (make_bridge(other, 2, {}), f"^task: expected '{name}', received '{other}'"),
        (make_bridge(name, 3, {}), r'^motion: expected float64 \[4, 2\], received .*\[4, 3\]'),
    ):
        with pytest.raises(CheckpointError, match=said):
            bridge.restore(wrong.snapshot())
