"""Faults of other people's environments: one line with id, instance, step, and what to mend."""

import numpy as np
import pytest

from nrl_ros.base.errors import BridgeError, NrlError, describe
from nrl_ros.base.records import ActionSpace, Delivery, EnvSpec, StepResult
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.faults import close_fault, never_ends
from nrl_ros.environments.registry import make_bridge
from nrl_ros.environments.trial import try_start
from tests.unit.foreign import OnlyOne


def bridge(name, instances=2):
    return make_bridge('gymnasium', instances, {'id': f'tests.unit.foreign:{name}-v0'})


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('OldReset', 'instance 0: reset takes no seed.*Gym before 0.26.*return the observation'),
        ('OldResult', 'instance 0: reset returned an array.*Gym before 0.26.*an info dict'),
        ('OldTuple', 'instance 0: reset returned 2 values.*Gym before 0.26'),
        ('OldStep', 'instance 0, step 1: step returned 4 values.*0.26.*truncated apart'),
        ('NoStep', 'instance 0, step 1: step returned None; step has to return five values'),
        ('Silent', r'step 1: step failed with action 0: NotImplementedError without a text '),
        ('Masked', 'AssertionError without a text .*action_mask, which is not used here'),
        ('Lines', r'instance 0: reset failed: RuntimeError: first second \(foreign\.py, line'),
        ('Drifting', r'step 1: observation has the shape \(3,\), its space .* has \(2,\)'),
        ('Turned', r'observation has the shape \(1, 2\), its space .* has \(2,\)'),
        ('NoObservation', r'observation is None, expected numbers of shape \(2,\)'),
        ('LatePicture', r'observation has the shape \(4, 4\), its space .* has \(4, 4, 3\)'),
        ('LackingPart', r"step 1: observation is .*, its space has the parts \['image', 'side'\]"),
        ('WrongPart', r"observation\['image'\] has the shape \(3,\), its space has \(2,\)"),
        ('WrongChoice', r"observation\['side'\] is 2, expected Discrete\(2\)"),
        ('TwoRewards', r'step 1: reward is an array .* shape \(2,\), expected a number'),
        ('NoReward', 'step 1: reward is None, expected a number'),
        ('NoFlag', 'step 1: truncated is None, expected True or False'),
        ('WordFlag', "step 1: terminated is 'no', expected True or False"),
    ],
)
def test_a_fault_at_reset_or_step_is_named(name, said):
    with pytest.raises(BridgeError, match=f'tests.unit.foreign:{name}-v0, .*{said}') as caught:
        try_start(bridge(name), 'someone')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('Spoken', r"Spoken-v0: its observation space\['mission'\] is a Mission of no fixed size"),
        ('OldSpace', 'is one of the package gym, expected one of gymnasium.spaces'),
        ('NoSpace', 'its observation space is None, expected one of gymnasium.spaces'),
        ('RaisingSpace', 'its observation space is None'),
        ('Speaks', r'ROS runs in this process already: let the environment call rclpy.init\(\)'),
    ],
)
def test_a_fault_of_making_is_named(name, said):
    with pytest.raises(NrlError, match=said):
        bridge(name)


@pytest.mark.parametrize('name', ['Bare', 'Picture', 'Parts'])
def test_what_can_be_used_is_used(name):
    ours = bridge(name)
    rows = (ours.reset(0), ours.step(np.zeros((2, 1), np.int32)).observation)
    assert [row.shape for row in rows] == [(2, ours.spec.observation_size)] * 2
    assert ours.spec.observation_size == {'Bare': 1, 'Picture': 48, 'Parts': 4}[name]


def test_an_array_of_one_number_is_taken_for_it():
    ours, flags = bridge('ArrayReward'), bridge('ArrayFlag')
    for one in (ours, flags):
        one.reset(0)
    assert ours.step(np.zeros((2, 1), np.int32)).reward.tolist() == [2.0, 2.0]
    assert flags.step(np.zeros((2, 1), np.int32)).terminated.tolist() == [True, True]


def test_a_close_that_raises_is_told_and_ends_nothing():
    ours = bridge('BadClose')
    assert 'BadClose-v0, instance 0: close failed: AttributeError' in close_fault(ours)
    assert close_fault(ours) == '', 'it is closed'


def test_what_was_made_is_closed_when_another_instance_cannot_be_made():
    with pytest.raises(BridgeError, match='could not make instance 1 of .*OSError: in use'):
        bridge('OnlyOne')
    assert OnlyOne.free


class Misshapen:
    """A bridge whose step returns one array of a wrong shape or kind."""

    spec = EnvSpec(2, 3, ActionSpace.discrete(2))

    def __init__(self, **parts):
        nobody = np.zeros(2, bool)
        self.parts = {
            'observation': np.zeros((2, 3), np.float32),
            'reward': np.zeros(2),
            **dict.fromkeys(('terminated', 'truncated', 'aborted'), nobody),
            **parts,
        }

    def reset(self, seed):
        return np.zeros((2, 3), np.float32)

    def step(self, action):
        return StepResult(**self.parts)

    def close(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ('parts', 'said'),
    [
        (
            {'observation': np.zeros((2, 2), np.float32)},
            r'expected shape \(2, 3\), received \(2, 2',
        ),
        ({'observation': np.zeros(3, np.float32)}, r'expected shape \(2, 3\), received \(3,\)'),
        ({'reward': np.zeros(1)}, r'reward: expected shape \(2,\), received \(1,\)'),
        ({'reward': [0.0, 0.0]}, r'reward: expected an array of shape \(2,\), received list'),
        (
            {'terminated': np.zeros((2, 1), bool)},
            r'terminated: expected shape \(2,\), received \(2',
        ),
        ({'reward': np.array(['a', 'b'])}, 'reward: expected numbers'),
    ],
)
def test_a_bridge_of_a_wrong_shape_is_named(parts, said):
    with pytest.raises(BridgeError, match=f"agent 'someone', step 1: .*{said}"):
        try_start(Misshapen(**parts), 'someone')


def test_any_bridge_may_fail_at_close():
    assert close_fault(Misshapen()).startswith(
        'the environment failed at close: RuntimeError without a text'
    )


def test_a_first_observation_of_a_wrong_shape_is_named():
    ours = Misshapen()
    ours.reset = lambda seed: np.zeros((3, 2), np.float32)
    episodes = Episodes(ours, agent='a', session=1, lockstep=True, delivery=Delivery.EPISODE)
    with pytest.raises(BridgeError, match=r'reset: observation: expected shape \(2, 3\)'):
        episodes.begin(0)


def test_an_error_is_described_in_one_line():
    try:
        raise ValueError('first\n  second')
    except ValueError as error:
        assert describe(error).startswith(
            'ValueError: first second (test_foreign_environments.py, line '
        )
    assert describe(ValueError('plain')) == 'ValueError: plain'


@pytest.mark.parametrize(
    ('steps', 'episodes', 'limit', 'delivery', 'expected'),
    [
        (4000, 0, 0, Delivery.EPISODE, True),
        (3998, 0, 0, Delivery.EPISODE, False),
        (9000, 1, 0, Delivery.EPISODE, False),
        (9000, 0, 5000, Delivery.EPISODE, False),
        (9000, 0, 0, Delivery.EVERY_STEP, False),
    ],
)
def test_episodes_without_an_end_are_noticed(steps, episodes, limit, delivery, expected):
    spec = EnvSpec(2, 3, ActionSpace.discrete(2), max_episode_steps=limit)
    told = never_ends(spec, steps=steps, episodes=episodes, delivery=delivery)
    assert told is expected
