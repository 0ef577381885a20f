"""Bridges: what they give, step by step, and what wrong options get."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from nrl_ros.base import registry
from nrl_ros.base.errors import BridgeError, CheckpointError, ConfigError
from nrl_ros.base.records import ActionKind
from nrl_ros.environments.contract import check_bridge
from nrl_ros.environments.interfaces import Snapshottable
from nrl_ros.environments.registry import ENVIRONMENTS, bridge_names, make_bridge
from sim_bridge import reaching
from sim_bridge.reaching import ReachingBridge
from tests.unit.fakes import same

ALL = {
    'acrobot': {'max_episode_steps': 7},
    'cartpole': {'max_episode_steps': 30},
    'gymnasium': {'id': 'CartPole-v1'},
    'reaching': {'fixation_s': 0.02, 'reach_s': 0.03},
    'scripted': {'lengths': [3, 5]},
}
ARMS = {'arm', 'camera'}


def choices(instances, value=0):
    return np.full((instances, 1), value, np.int32)


# ------------------------------------------------------------------ registry


def test_own_bridges_are_known():
    assert set(bridge_names()) >= set(ALL)


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        # Arms are held to them in test_arm_task.py, test_image_observations.py and over ROS.
        *((name, ALL.get(name, {})) for name in ENVIRONMENTS if not ARMS & {*name.split('_')}),
        ('gymnasium', {'id': 'Acrobot-v1', 'max_episode_steps': 20}),
        ('gymnasium', {'id': 'MountainCarContinuous-v0', 'scaling': 'bounds'}),
        ('scripted', {'action': 'multi_discrete', 'endings': ['aborted', 'truncated']}),
    ],
)
def test_a_bridge_keeps_its_promises(name, options):
    check_bridge(name, instances=3, options=options)


class Broken(ReachingBridge):
    """Breaks one promise."""

    def __init__(self, instances, options, how):
        super().__init__(instances, options)
        self.how = how

    def step(self, action):
        result = super().step(action)
        if self.how == 'type':
            return replace(result, observation=result.observation.astype(np.float64))
        if self.how == 'nan':
            return replace(result, reward=np.full_like(result.reward, np.nan))
        if self.how == 'chance':
            return replace(result, reward=result.reward + id(self))
        return replace(result, reward=result.reward + 1.0)


@pytest.mark.parametrize(
    ('how', 'said'),
    [
        ('type', 'observation 0: expected float32'),
        ('nan', 'reward 0: expected finite'),
        ('chance', 'had ended, so this step must only start it anew|reward 0 with the same seed'),
        ('pays', 'had ended, so this step must only start it anew'),
    ],
)
def test_a_broken_promise_is_named(monkeypatch, how, said):
    def make(_name, instances, options):
        return Broken(instances, reaching.ReachingOptions(**options), how)

    monkeypatch.setattr('nrl_ros.environments.contract.make_bridge', make)
    with pytest.raises(BridgeError, match=said):
        check_bridge('broken', options=ALL['reaching'])


@pytest.mark.parametrize('name', ALL)
def test_a_seed_fixes_everything(name):
    runs = []
    for seed in (4, 4, 5):
        bridge = make_bridge(name, 2, ALL[name])
        runs.append(np.array([bridge.reset(seed), *(walk(bridge, 12))]))
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def walk(bridge, steps):
    return [bridge.step(choices(2, k % 2)).observation for k in range(steps)]


@pytest.mark.parametrize(
    ('name', 'options'),
    [*ALL.items(), ('gymnasium', {'id': 'Acrobot-v1'}), ('gymnasium', {'id': 'Pendulum-v1'})],
)
def test_a_snapshot_continues_bit_for_bit(name, options):
    def run(bridge, steps):
        size = bridge.spec.action.components
        dtype = np.float32 if bridge.spec.action.low else np.int32
        return [bridge.step(np.full((2, size), k % 2, dtype)) for k in range(steps)]

    bridge = make_bridge(name, 2, options)
    assert isinstance(bridge, Snapshottable)
    bridge.reset(3)
    run(bridge, 40)
    saved = bridge.snapshot()
    expected = run(bridge, 60)
    other = make_bridge(name, 2, options)
    other.reset(99)
    other.restore(saved)
    for one, two in zip(run(other, 60), expected, strict=True):
        assert all(np.array_equal(vars(one)[name], value) for name, value in vars(two).items())
    before = other.snapshot()
    with pytest.raises(CheckpointError, match='expected'):
        other.restore(make_bridge(name, 3, options).snapshot())
    with pytest.raises(CheckpointError, match='expected'):
        other.restore({'kind': 'another'})
    assert same(other.snapshot(), before)


@pytest.mark.parametrize(
    ('name', 'options', 'error', 'said'),
    [
        ('gymnasiun', {}, BridgeError, "did you mean 'gymnasium'"),
        ('acrobot', {'max_episode_steps': 0}, ConfigError, 'max_episode_steps'),
        ('cartpole', {'max_episode_step': 9}, ConfigError, "did you mean 'max_episode_steps'"),
        ('gymnasium', {}, ConfigError, "option 'id' is missing"),
        ('gymnasium', {'id': 'CartPole-v1', 'scalling': 'none'}, ConfigError, "'scaling'"),
        ('gymnasium', {'id': 'NoSuchThing-v1'}, BridgeError, 'NoSuchThing'),
        ('gymnasium', {'id': 'CartPole-v1', 'scaling': 'log'}, ConfigError, 'scaling'),
        ('reaching', {'reach_s': 0.001}, ConfigError, 'reach_s'),
        ('scripted', {'faults': ['1:9:nan_reward']}, ConfigError, '1:9:nan_reward'),
        ('scripted', {'lengths': [0]}, ConfigError, 'at least 1'),
    ],
)
def test_wrong_options_are_named(name, options, error, said):
    with pytest.raises(error, match=said):
        make_bridge(name, 2, options)


def test_bridges_of_other_packages(monkeypatch):
    """Found through the entry point group, and told what they lack."""
    from importlib.metadata import EntryPoint

    points = {
        'mine': EntryPoint('mine', 'sim_bridge.reaching:make', ENVIRONMENTS.group),
        'broken': EntryPoint('broken', 'no_such_package.module:make', ENVIRONMENTS.group),
        'half': EntryPoint('half', 'builtins:dict', ENVIRONMENTS.group),
    }

    def entry_points(group, name=None):
        assert group == ENVIRONMENTS.group
        return [point for key, point in points.items() if name in (None, key)]

    monkeypatch.setattr(registry, 'entry_points', entry_points)
    monkeypatch.setattr(ENVIRONMENTS, '_entries', dict(ENVIRONMENTS._entries))
    assert 'mine' in bridge_names()
    assert isinstance(make_bridge('mine', 2, {}), ReachingBridge)
    with pytest.raises(BridgeError, match='install what it needs'):
        make_bridge('broken', 1, {})
    with pytest.raises(BridgeError, match="bridge 'half'"):
        make_bridge('half', 1, {})


# ----------------------------------------------------------------- gymnasium


@pytest.mark.parametrize('task', ['CartPole-v1', 'Acrobot-v1', 'MountainCar-v0'])
def test_as_gymnasium_itself(task):
    """One instance, not vectorised: the numbers of gymnasium.make, resets included."""
    bridge = make_bridge('gymnasium', 1, {'id': task, 'vectorize': False})
    plain = gymnasium.make(task)
    seed = int(np.random.SeedSequence(8).generate_state(1)[0])
    assert np.array_equal(bridge.reset(8)[0], plain.reset(seed=seed)[0])
    over = False
    for k in range(400):
        action = (k // 7) % 2
        result = bridge.step(choices(1, action))
        if over:
            expected, reward, terminated, truncated = plain.reset()[0], 0.0, False, False
        else:
            expected, reward, terminated, truncated, _ = plain.step(action)
        assert np.array_equal(result.observation[0], np.asarray(expected, np.float32))
        assert result.reward[0] == reward
        assert (result.terminated[0], result.truncated[0]) == (terminated, truncated)
        over = terminated or truncated


def test_a_time_limit_truncates_and_the_next_step_resets():
    bridge = make_bridge('gymnasium', 2, {'id': 'Pendulum-v1', 'max_episode_steps': 5})
    assert bridge.spec.action.kind == ActionKind.CONTINUOUS
    assert (bridge.spec.action.low, bridge.spec.action.high) == ((-2.0,), (2.0,))
    bridge.reset(0)
    results = [bridge.step(np.zeros((2, 1), np.float32)) for _ in range(6)]
    assert [result.truncated.all() for result in results] == [False] * 4 + [True, False]
    assert results[5].reward.tolist() == [0.0, 0.0]


def test_observations_scaled_to_their_bounds():
    plain = make_bridge('gymnasium', 2, {'id': 'MountainCar-v0'})
    scaled = make_bridge('gymnasium', 2, {'id': 'MountainCar-v0', 'scaling': 'bounds'})
    low, high = np.array([-1.2, -0.07]), np.array([0.6, 0.07])
    expected = 2.0 * (plain.reset(3) - low) / (high - low) - 1.0
    assert np.allclose(scaled.reset(3), expected, atol=1e-6)
    assert np.allclose(scaled.spec.observation_low, -1.0, atol=1e-6)
    assert np.allclose(scaled.spec.observation_high, 1.0, atol=1e-6)


def test_scaling_by_hand():
    options = {'id': 'CartPole-v1', 'scaling': 'fixed', 'offset': [1.0], 'scale': [2.0]}
    plain, scaled = (
        make_bridge('gymnasium', 2, ALL['gymnasium']),
        make_bridge('gymnasium', 2, options),
    )
    assert np.allclose(scaled.reset(3), (plain.reset(3) - 1.0) * 2.0)


# ------------------------------------------------------------------ reaching


def test_reaching_by_hand():
    """Nothing before the target is shown; then nearness, 0.05 rad a step, at least -0.1."""
    bridge = make_bridge('reaching', 2, {'fixation_s': 0.02, 'reach_s': 0.28})
    bridge.reset(0)
    first = bridge.set_trial(np.array([np.pi + 0.1, 0.5]))
    ring = np.arange(16) * np.pi / 8
    assert np.allclose(first[:, :16], 0.0)
    assert np.allclose(first[:, 16:], np.cos(ring - np.pi), atol=1e-6)
    moves = [0, 0, 1, 1, 1]
    rewards = []
    for move in moves:
        result = bridge.step(np.array([[move], [2]], np.int32))
        rewards.append(result.reward[0])
        assert result.reward[1] in (0.0, -0.1)
    assert np.allclose(rewards, [0.0, 0.0, 0.95, 1.0, 0.95])
    assert np.allclose(result.observation[0, :16], np.cos(ring - np.pi - 0.1), atol=1e-6)
    rest = [bridge.step(choices(2)).truncated.all() for _ in range(26)]
    assert rest == [False] * 24 + [True, False]


def test_the_paper_s_trial_has_300_steps_of_10_ms():
    spec = make_bridge('reaching', 1, {}).spec
    assert (spec.max_episode_steps, spec.control_period_s) == (300, 0.01)
    assert (spec.observation_size, spec.action.sizes) == (32, (3,))


# ------------------------------------------------------------------ scripted


def test_the_script_is_kept():
    bridge = make_bridge(
        'scripted',
        2,
        {
            'lengths': [2, 3],
            'endings': ['terminated', 'aborted'],
            'faults': ['4:0:nan_reward', '1:1:nan_observation'],
        },
    )
    bridge.reset(0)
    results = [bridge.step(choices(2)) for _ in range(5)]
    # Instance 0: two steps, a reset, a first step whose reward fails.
    assert [bool(r.terminated[0]) for r in results[:3]] == [False, True, False]
    assert np.isnan(results[3].reward[0])
    assert np.isnan(results[0].observation[1]).all()


def test_a_fault_of_the_environment_is_an_error():
    bridge = make_bridge('scripted', 1, {'faults': ['2:0:raise']})
    bridge.reset(0)
    bridge.step(choices(1))
    with pytest.raises(BridgeError, match='call 2'):
        bridge.step(choices(1))
