"""Gymnasium's wrappers by name, in the options of the bridge."""

import gymnasium
import numpy as np
import pytest

from nrl_ros.base.errors import BridgeError, ConfigError
from nrl_ros.environments.interfaces import Snapshottable
from nrl_ros.environments.registry import make_bridge


def bridge(chosen, name='CartPole-v1', instances=2):
    return make_bridge('gymnasium', instances, {'id': name, 'wrappers': chosen})


def test_wrappers_are_put_around_each_instance_in_their_order():
    ours = bridge([{'FrameStackObservation': {'stack_size': 3}}, 'FlattenObservation'])
    theirs = gymnasium.wrappers.FlattenObservation(
        gymnasium.wrappers.FrameStackObservation(gymnasium.make('CartPole-v1'), 3)
    )
    seeds = np.random.SeedSequence(7).generate_state(1)
    expected = [theirs.reset(seed=int(seeds[0]))[0], theirs.step(1)[0], theirs.step(0)[0]]
    actions = np.array([[[1]] * 2, [[0]] * 2], np.int32)
    seen = [ours.reset(7), *(ours.step(action).observation for action in actions)]
    assert np.array_equal([rows[0] for rows in seen], expected)
    assert ours.spec.observation_size == 12


def test_a_wrapper_may_change_the_actions():
    assert bridge([{'DiscretizeAction': {'bins': 5}}], 'Pendulum-v1').spec.action.sizes == (5,)


def test_a_list_in_a_file_is_a_shape_or_a_range():
    assert bridge([{'ReshapeObservation': {'shape': [2, 2]}}]).spec.observation_size == 4


def test_a_wrapper_of_one_s_own_is_found_by_its_module():
    ours = bridge([{'tests.unit.foreign:Doubled': {'factor': 3.0}}])
    ours.reset(0)
    assert ours.step(np.zeros((2, 1), np.int32)).reward.tolist() == [3.0, 3.0]


def test_a_wrapper_may_remember_things_that_a_snapshot_does_not_hold():
    assert isinstance(bridge([]), Snapshottable)
    assert not isinstance(bridge([{'FrameStackObservation': {'stack_size': 2}}]), Snapshottable)


@pytest.mark.parametrize(
    ('chosen', 'said'),
    [
        (['FlatenObservation'], "unknown .* did you mean 'FlattenObservation'.*MODULE:CLASS"),
        (['NormalizeObservation'], 'set network.normalise_observations'),
        (['NormalizeReward'], 'set critic.normalise_rewards'),
        (['TimeLimit'], 'set bridge.options.max_episode_steps'),
        ([{'FrameStackObservation': {'stack': 4}}], "'stack'; expected stack_size, padding_type"),
        (['FrameStackObservation'], "option 'stack_size' is missing; expected stack_size"),
        ([{'FlattenObservation': {'a': 1}}], "unknown option 'a'; it takes no options"),
        ([{'FlattenObservation': {}, 'ClipAction': {}}], 'each wrapper as an item of its own'),
        (['no_such_module:Mine'], "wrapper 'no_such_module:Mine' cannot be imported"),
        (['tests.unit.foreign:Sound'], 'expected a class of gymnasium.Wrapper'),
    ],
)
def test_an_unknown_name_or_option_is_refused_with_the_known_ones(chosen, said):
    with pytest.raises(ConfigError, match=said) as caught:
        bridge(chosen)
    assert '\n' not in str(caught.value)


def test_a_wrapper_that_does_not_fit_is_named_with_what_it_gets():
    with pytest.raises(BridgeError, match=r'CartPole-v1: wrapper Gray.* Box of shape \(4,\)'):
        bridge(['GrayscaleObservation'])
