"""Rewards of people: which window they enter, what they count, and that they alone can teach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError, InvalidValueError, ShapeError
from nrl_ros.base.records import Delivery, HumanRewardBatch, HumanSource, Outcome, StateBatch
from nrl_ros.base.settings import load
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.human_reward import (
    Buttons,
    HumanRewards,
    HumanRewardSettings,
    RateLimit,
)
from nrl_ros.environments.listening import Listener
from nrl_ros.environments.people import Person
from nrl_ros.environments.registry import make_bridge
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.settings.run import check
from tests.unit.fakes import same

SCRIPTED: Mapping[str, Any] = {'lengths': [3], 'endings': ['terminated']}
CHOICES = np.zeros((2, 1), np.int32)


def episodes_of(*, rewarded: bool = True, **delivery: Any) -> Episodes:
    bridge = make_bridge('scripted', 2, dict(SCRIPTED))
    delivery = {'delivery': Delivery.EPISODE, **delivery}
    episodes = Episodes(bridge, agent='a', session=7, lockstep=True, rewarded=rewarded, **delivery)
    episodes.begin(0)
    return episodes


def people_of(episodes: Episodes, **settings: Any) -> HumanRewards:
    return HumanRewards(load(HumanRewardSettings, settings, source='test'), episodes)


def test_a_reward_enters_the_window_that_is_open_when_it_comes() -> None:
    """The record names it; the reward that closes it holds both, the return the task's alone."""
    plain = episodes_of()
    episodes = episodes_of()
    people = people_of(episodes, weight=2.0)
    for one in (plain, episodes):
        one.advance(CHOICES)
    given = people.give(0.5, 0.0, stamp_ns=9)
    assert given is not None
    assert (given.source, given.sequence, given.stamp_ns) == (HumanSource.REWARD, 1, 9)
    assert given.instance.tolist() == [0, 1] and given.received.tolist() == [0.5, 0.5]
    assert given.window.tolist() == [0, 0] and given.step.tolist() == [1, 1]
    assert given.value.tolist() == [1.0, 1.0]
    for one in (plain, episodes):
        one.advance(CHOICES)
    closed, without = episodes.advance(CHOICES), plain.advance(CHOICES)
    assert closed.reward is not None and without.reward is not None
    assert closed.reward.value.tolist() == (without.reward.value + 1.0).tolist()
    assert closed.reward.window.tolist() == [0, 0]
    assert closed.ends is not None and without.ends is not None
    assert closed.ends.episode_return.tolist() == without.ends.episode_return.tolist()


def test_between_two_episodes_no_window_is_open() -> None:
    episodes = episodes_of()
    people = people_of(episodes)
    for _ in range(3):
        episodes.advance(CHOICES)
    assert people.give(1.0, 0.0) is None
    assert people.counters['human_rewards_without_window'] == 1
    episodes.advance(CHOICES)
    first = people.give(1.0, 0.0)
    assert first is not None and first.episode.tolist() == [1, 1] and first.step.tolist() == [0, 0]
    assert first.window.tolist() == [1, 1]


def test_people_may_replace_the_rewards_of_the_task() -> None:
    episodes = episodes_of(rewarded=False, delivery=Delivery.EVERY_STEP)
    people = people_of(episodes, instance=1)
    people.give(-1.0, 0.0)
    advance = episodes.advance(CHOICES)
    assert advance.reward is not None and advance.reward.value.tolist() == [0.0, -1.0]
    returned = []
    while not returned:
        advance = episodes.advance(CHOICES)
        returned = [] if advance.ends is None else advance.ends.episode_return.tolist()
    same_steps = episodes_of()
    ends = [same_steps.advance(CHOICES).ends for _ in range(3)][-1]
    assert ends is not None and returned == ends.episode_return.tolist()


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_counted(value: float) -> None:
    episodes = episodes_of()
    people = people_of(episodes)
    with pytest.raises(InvalidValueError, match='expected a finite number'):
        people.give(value, 0.0)
    with pytest.raises(InvalidValueError, match='expected finite numbers'):
        people.give_each(np.array([value, 0.0]))
    assert people.counters['human_rewards_refused'] == 2
    assert not episodes.tracker.state['window_reward'].any()


def test_a_large_reward_is_clipped_and_counted() -> None:
    people = people_of(episodes_of(), limit=0.5)
    given = people.give(-1e30, 0.0)
    assert given is not None and given.value.tolist() == [-0.5, -0.5]
    assert given.received.tolist() == [-1e30, -1e30]
    assert people.counters['human_rewards_clipped'] == 1


def test_more_than_the_limit_in_a_second_are_refused() -> None:
    people = people_of(episodes_of(), per_second=3.0)
    taken = [people.give(1.0, now) is not None for now in (0.0, 0.0, 0.1, 0.2, 0.4, 0.5)]
    assert taken == [True, True, True, False, True, False]
    assert people.counters['human_rewards_too_often'] == 2


def test_in_any_second_at_most_twice_the_rate_is_taken() -> None:
    """Whatever the times are: a bucket that is full, and what flows in meanwhile."""
    random = np.random.default_rng(0)
    for _ in range(200):
        rate = float(random.uniform(1.0, 5.0))
        limit, times = RateLimit(rate), np.cumsum(random.exponential(0.1, 200))
        taken = times[[limit.allows(float(now)) for now in times]]
        for begin in taken:
            assert ((taken >= begin) & (taken < begin + 1.0)).sum() <= 2.0 * rate


def test_each_press_of_a_button_counts_once() -> None:
    buttons = Buttons([0, 3], [1.0, -1.0])
    states = ([1, 0, 0, 0], [1, 0, 0, 1], [0, 0, 0, 1], [1, 0, 0, 0], [1], [0, 0, 0, 1])
    assert [buttons.pressed(state) for state in states] == [[], [-1.0], [], [1.0], [], [-1.0]]


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match='a number for each of 2 buttons, received 1'):
        load(HumanRewardSettings, {'buttons': [0, 1], 'button_values': [1.0]}, source='test')
    with pytest.raises(ConfigError, match=r'human_reward.instance: expected -1 to 1, received 2'):
        people_of(episodes_of(), instance=2)
    with pytest.raises(ShapeError, match='expected 2, one for each instance'):
        people_of(episodes_of()).give_each(np.zeros(3))


def test_a_session_that_is_saved_in_a_window_keeps_what_people_gave() -> None:
    episodes, again = episodes_of(), episodes_of()
    people_of(episodes).give(1.0, 0.0)
    again.resume(episodes.snapshot())
    ahead = [episodes.advance(CHOICES).reward for _ in range(3)][-1]
    later = [again.advance(CHOICES).reward for _ in range(3)][-1]
    assert ahead is not None and later is not None
    assert ahead.value.tolist() == later.value.tolist()


class Teacher(Person):
    """Knows what fits a scripted observation: rewards what the learner did, a step later."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def reward(self, state: StateBatch) -> np.ndarray[Any, Any] | None:
        if self._random.uniform() < 0.5:
            return None
        return self._random.choice([-1.0, 0.0, 1.0], len(state.step))


class Recorder(Listener):
    """Keeps what people gave, and the rewards that closed their windows."""

    def __init__(self) -> None:
        self.given: list[HumanRewardBatch] = []
        self.rewards: dict[tuple[int, int], float] = {}

    def on_human_reward(self, reward: HumanRewardBatch) -> None:
        self.given.append(reward)

    def on_reward(self, reward: Any) -> None:
        for instance, window, value in zip(
            reward.instance.tolist(), reward.window.tolist(), reward.value.tolist(), strict=True
        ):
            self.rewards[instance, window] = value


def run_of(**environment: Any) -> InProcessRun:
    settings = {
        'agent': 'a',
        'bridge.name': 'scripted',
        'bridge.instances': 3,
        'reward.delivery': 'every_n_steps',
        'reward.steps': 2,
        **environment,
    }
    return InProcessRun(
        check(
            {
                'learner': {'network.hidden_sizes': [4]},
                'neuromodulator': {'rpe.scale': 'none'},
                'environment': settings,
            },
            source='test',
        )
    )


def test_a_recording_tells_which_reward_of_a_window_was_a_persons() -> None:
    """With the task's rewards replaced, the records of people are all that closes windows."""
    run, recorder = run_of(**{'human_reward.replace': True}), Recorder()
    for number, _ in enumerate(run.steps(recorder, Teacher(0))):
        if number > 200:
            break
    sums = dict.fromkeys(recorder.rewards, 0.0)
    for given in recorder.given:
        for instance, window, value in zip(
            given.instance.tolist(), given.window.tolist(), given.value.tolist(), strict=True
        ):
            if (instance, window) in sums:
                sums[instance, window] += value
    assert len(recorder.given) > 30
    assert sums == recorder.rewards and any(sums.values())


def test_the_same_person_gives_the_same_weights() -> None:
    def learned(seed: int) -> Any:
        run = run_of()
        for number, _ in enumerate(run.steps(person=Teacher(seed))):
            if number > 100:
                return run.learner.snapshot()
        raise AssertionError

    assert same(learned(1), learned(1))
    assert not same(learned(1), learned(2))


def test_the_outcome_of_an_episode_is_a_reward_of_its_own() -> None:
    """Neither clipped nor weighed: the settings of outcomes say what it counts."""
    episodes = episodes_of()
    people = people_of(episodes, limit=0.1, weight=5.0)
    given = people.conclude(3.0, np.array([True, False]))
    assert given is not None and given.source == HumanSource.END
    assert given.value.tolist() == [3.0] and given.instance.tolist() == [0]
    assert people.conclude(0.0, np.array([True, False])) is None
    assert [int(one) for one in Outcome] == [0, 1, 2]
