"""A person takes over: who drives when, what the learner is told, and what it learns from then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError, InvalidValueError, ShapeError
from nrl_ros.base.records import Applied, Delivery, Outcome, Phase, StateBatch
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.human_reward import HumanRewards, HumanRewardSettings
from nrl_ros.environments.intervention import (
    Driver,
    EndEpisodeSettings,
    InstanceTakeover,
    Intervention,
    InterventionSettings,
)
from nrl_ros.environments.people import Person, end_episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.learning.learner import Learner
from tests.unit.fakes import info_of, learner_settings, receive, reinforce, rpe_of, state_of
from tests.unit.one_weight import Learned, OneWeight, expected

SETTINGS = InterventionSettings(timeout_s=0.3, resume_s=1.0)
LEARNER, PERSON, NOBODY = Driver.LEARNER, Driver.PERSON, Driver.NOBODY


def test_a_person_drives_from_the_first_action_to_a_silence() -> None:
    one = Intervention(SETTINGS)
    assert one.driver(0.0) is LEARNER
    one.hear(np.ones((1, 1)), 5.0)
    seen = [one.driver(now) for now in (5.0, 5.29, 5.31, 5.99, 6.01, 100.0)]
    assert seen == [PERSON, PERSON, NOBODY, NOBODY, LEARNER, LEARNER]
    one.hear(np.ones((1, 1)), 7.0)
    one.release()
    assert one.driver(7.0) is LEARNER


def test_no_action_of_a_person_is_followed_longer_than_the_timeout() -> None:
    """Whatever comes when: the driver is a person only shortly after an action, and always then."""
    random = np.random.default_rng(1)
    for _ in range(300):
        one, heard, now = Intervention(SETTINGS), -np.inf, 0.0
        for _ in range(60):
            now += float(random.exponential(0.2))
            if random.uniform() < 0.3:
                one.hear(np.ones((1, 1)), now)
                heard = now
            silent, driver = now - heard, one.driver(now)
            assert (driver is PERSON) == (silent < 0.3)
            assert (driver is LEARNER) == (silent >= 1.0)


def test_only_the_instances_that_are_taken_over_are_marked() -> None:
    settings = InterventionSettings(instance=1)
    one = InstanceTakeover(settings, (3, 1), np.zeros((3, 1), np.int32))
    learners = np.array([[1], [1], [1]], np.int32)
    assert one.mixed(learners, None, 0.0) == (learners, None)
    one.hear(one.actions_of(np.array([2.0])), 0.0)
    action, applied = one.mixed(learners, None, 0.1)
    assert action.tolist() == [[1], [2], [1]] and action.dtype == np.int32
    assert applied is not None and applied.tolist() == [1, int(Applied.PERSON), 1]
    action, applied = one.mixed(learners, np.array([0, 1, 2], np.uint8), 0.5)
    assert action.tolist() == [[1], [0], [1]], 'it stands still while the person is silent'
    assert applied is not None and applied.tolist() == [0, int(Applied.PERSON), 2]
    action, applied = one.mixed(learners, None, 1.5)
    assert action is learners and applied is None


@pytest.mark.parametrize(
    ('numbers', 'error', 'text'),
    [
        ([1.0, 1.0], ShapeError, 'has 2 numbers, expected 1, or 3 for all 3 instances'),
        ([np.nan], InvalidValueError, 'expected finite numbers'),
        ([0.5], InvalidValueError, 'expected whole numbers'),
        ([1e30], InvalidValueError, 'no choice'),
    ],
)
def test_a_wrong_action_of_a_person_is_refused(
    numbers: list[float], error: type[Exception], text: str
) -> None:
    one = InstanceTakeover(SETTINGS, (3, 1), np.zeros((3, 1), np.int32))
    with pytest.raises(error, match=text):
        one.actions_of(np.array(numbers))
    assert not one.in_use


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match='must be at least timeout_s'):
        InterventionSettings(timeout_s=2.0, resume_s=1.0)
    with pytest.raises(ConfigError, match='expected -1 to 2, received 3'):
        InstanceTakeover(InterventionSettings(instance=3), (3, 1), np.zeros((3, 1)))


# ------------------------------------------------------------------ gradient

ROBOTS, THEIRS = 60_000, -0.5


def worth(action: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What one step is rewarded: best at 0.6."""
    return -np.square(np.clip(action, -1.0, 1.0) - 0.6)


def takes_over(first: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A person takes the second step wherever the first one went too far."""
    return first > 0.3


def exact(mean: float) -> tuple[float, float]:
    """Expected return of both steps, and its derivative by the policy's mean."""
    own, own_slope = expected(worth, mean)
    theirs = worth(np.array(THEIRS))
    value, slope = expected(lambda u: worth(u) + np.where(takes_over(u), theirs, own), mean)
    alone = expected(lambda u: np.where(takes_over(u), 0.0, 1.0), mean)[0]
    return value, slope + alone * own_slope


def learned(rule: str, mark: Applied) -> Learned:
    """What one update amounts to where the steps of a person are marked like this."""
    robots = OneWeight(rule, ROBOTS, Delivery.EPISODE)
    first, second = robots.asked(), robots.asked()
    theirs = takes_over(first)
    done = np.where(theirs, THEIRS, second)
    applied = np.where(theirs, mark, Applied.AS_SENT)
    return robots.learned(
        worth(first) + worth(done),
        exact(robots.mean),
        phase=Phase.LAST,
        ending=1,
        applied=applied,
    )


@pytest.mark.parametrize('rule', ['nrl', 'backpropagation'])
def test_a_person_is_a_part_of_the_environment_to_the_gradient(rule: str) -> None:
    """The learner's own steps get the gradient of what it and the person come to together."""
    found = learned(rule, Applied.PERSON)
    assert 0.1 * ROBOTS < found.counters['intervened_steps'] < 0.6 * ROBOTS
    # Both steps have an error of their own.
    assert abs(found.slope - found.exact) < 8.0 * found.error


@pytest.mark.parametrize('rule', ['nrl', 'backpropagation'])
def test_a_person_who_is_not_marked_would_only_add_noise_here_or_bias(rule: str) -> None:
    """Credit for an action that was drawn and not applied is no estimate of the same step."""
    found = learned(rule, Applied.AS_SENT)
    assert found.counters['intervened_steps'] == 0
    marked = learned(rule, Applied.PERSON)
    assert found.slope != marked.slope
    assert abs(found.slope - found.exact) < 80.0 * found.error


def test_the_rows_of_a_persons_step_are_zero() -> None:
    """A trace with a person's step in it is that of the steps before and after, to the last bit."""

    def after(applied: Applied) -> list[np.ndarray[Any, Any]]:
        learner = Learner(learner_settings(hidden_sizes=(5,), seed=2))
        info = info_of(2, lockstep=True, delivery=Delivery.EPISODE)
        learner.join(info)
        marks = [1, 1, int(applied), 1]
        for number, mark in enumerate(marks):
            phase = Phase.FIRST if number == 0 else Phase.MID
            receive(learner, state_of(info, number, step=number, phase=phase, applied=mark))
        last = state_of(
            info, len(marks), step=len(marks), window=1, phase=Phase.LAST, ending=1, applied=1
        )
        receive(learner, last)
        reinforce(learner, rpe_of(info, last.sequence, np.arange(2), 0, np.array([1.0, -0.5])))
        return [np.array(one) for one in learner.weights]

    theirs, missing = after(Applied.PERSON), after(Applied.NOT)
    own = after(Applied.AS_SENT)
    for a, b, c in zip(theirs, missing, own, strict=True):
        assert np.array_equal(a, b) and not np.array_equal(a, c)


# ------------------------------------------------------------------ ends


def episodes_of(name: str = 'scripted', **options: Any) -> Episodes:
    options = options or ({'lengths': [100]} if name == 'scripted' else {})
    bridge = make_bridge(name, 2, options)
    made = Episodes(bridge, agent='a', session=7, lockstep=True, delivery=Delivery.EPISODE)
    made.begin(0)
    return made


CHOICES = np.zeros((2, 1), np.int32)
BOTH, FIRST = np.array([True, True]), np.array([True, False])


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('scripted', {'lengths': [100]}),
        ('cartpole', {}),
        ('acrobot', {}),
        ('reaching', {}),
        ('gymnasium', {'id': 'CartPole-v1'}),
        ('gymnasium', {'id': 'CartPole-v1', 'vectorize': False}),
        ('gymnasium', {'id': 'MountainCar-v0'}),
    ],
)
def test_a_person_ends_an_episode_of_one_instance(name: str, options: dict[str, Any]) -> None:
    """It ends with the next step, begins anew with the one after; the others go on."""
    episodes = episodes_of(name, **options)
    episodes.advance(CHOICES)
    rewards = HumanRewards(HumanRewardSettings(), episodes)
    settings = EndEpisodeSettings(success_reward=7.0)
    given = end_episodes(episodes, rewards, settings, Outcome.SUCCESS, FIRST)
    assert given is not None and given.instance.tolist() == [0]
    ended = episodes.advance(CHOICES)
    assert ended.state.phase.tolist() == [int(Phase.LAST), int(Phase.MID)]
    assert ended.state.ending.tolist() == [1, 0]
    assert ended.reward is not None and ended.ends is not None
    (value,), (returned,) = ended.reward.value, ended.ends.episode_return
    assert value == returned + 7.0
    begun = episodes.advance(CHOICES)
    assert begun.state.phase.tolist() == [int(Phase.FIRST), int(Phase.MID)]
    again = episodes_of(name, **options)
    start = np.abs(again.state.observation).max()
    if name != 'scripted':
        assert np.abs(begun.state.observation[0] - again.state.observation[0]).max() < 0.3 + start
    further = episodes.advance(CHOICES)
    assert further.state.step.tolist()[0] == 1


def test_an_abort_teaches_nothing() -> None:
    episodes = episodes_of()
    rewards = HumanRewards(HumanRewardSettings(), episodes)
    assert end_episodes(episodes, rewards, EndEpisodeSettings(), Outcome.ABORT, BOTH) is None
    ended = episodes.advance(CHOICES)
    assert ended.reward is None and ended.state.ending.tolist() == [3, 3]
    assert episodes.state.aborted == 2


class Unendable:
    """An environment with nothing but what each one has."""

    def __init__(self) -> None:
        bridge = make_bridge('scripted', 2, {'lengths': [100]})
        self.spec, self.reset, self.step = bridge.spec, bridge.reset, bridge.step
        self.close = bridge.close


def test_an_environment_that_cannot_end_says_so() -> None:
    episodes = Episodes(Unendable(), agent='a', session=7, lockstep=True, delivery=Delivery.EPISODE)
    episodes.begin(0)
    with pytest.raises(ConfigError, match='cannot end an episode from outside'):
        episodes.end(BOTH, aborted=True)


class Helper(Person):
    """Takes over one step in three, in one instance, with an action of its own."""

    def action(self, state: StateBatch) -> tuple[Any, Any] | None:
        return (CHOICES + 1, FIRST) if state.sequence % 3 == 0 else None
