"""Reward-prediction errors by hand."""

import math
from typing import Any, get_args

import numpy as np
import pytest

from nrl_ros.base.errors import (
    ConfigError,
    InvalidValueError,
    LimitError,
    ProtocolError,
    ShapeError,
)
from nrl_ros.base.limits import Limits
from nrl_ros.learning.baselines import BASELINES, Baseline
from nrl_ros.learning.baselines.running_average import Order, Scale
from nrl_ros.learning.neuromodulator import Neuromodulator, RpeSettings
from tests.oracles.running_average import ReferenceAverage
from tests.unit.fakes import info_of, reward_of, same, state_of


def run(settings: RpeSettings, rewards: list[float]) -> tuple[list[float], list[float]]:
    neuromodulator = Neuromodulator(settings)
    answers = [
        neuromodulator.evaluate(reward_of(n, 0, n, value)) for n, value in enumerate(rewards)
    ]
    return [float(a.rpe[0]) for a in answers], [float(a.baseline[0]) for a in answers]


def test_sequence_with_the_rate_of_the_authors() -> None:
    rpe, baseline = run(RpeSettings(rate=0.66), [10.0, 20.0, 0.0])
    # mean: 10, 10 + 0.66 * 10 = 16.6, 16.6 - 0.66 * 16.6 = 5.644
    assert rpe == pytest.approx([0.0, 10.0, -16.6], rel=1e-15)
    assert baseline == pytest.approx([10.0, 16.6, 5.644], rel=1e-15)


def test_order_after_takes_the_difference_to_the_moved_average() -> None:
    rpe, baseline = run(RpeSettings(rate=0.66, order='after'), [10.0, 20.0, 0.0])
    assert rpe == pytest.approx([0.0, 3.4, -5.644], rel=1e-14)
    assert baseline == pytest.approx([10.0, 16.6, 5.644], rel=1e-15)


def test_scaling_divides_by_the_size_of_the_reward_but_not_by_zero() -> None:
    rpe, _ = run(RpeSettings(rate=0.5, scale='absolute_reward'), [4.0, -2.0, 0.0])
    # mean 4, then 1: deltas 0, -6, -1
    assert rpe == [0.0, -3.0, -1.0]


def test_instances_and_agents_have_baselines_of_their_own() -> None:
    neuromodulator = Neuromodulator(RpeSettings(rate=0.5))
    neuromodulator.evaluate(reward_of(0, [0, 1], 0, [1.0, 100.0]))
    neuromodulator.evaluate(reward_of(0, [0, 1], 0, [-5.0, 7.0], agent='b'))
    answer = neuromodulator.evaluate(reward_of(1, [0, 1], 1, [2.0, 90.0]))
    assert answer.rpe.tolist() == [1.0, -10.0]
    assert answer.baseline.tolist() == [1.5, 95.0]
    assert neuromodulator.mean_baseline == pytest.approx((1.5 + 95.0 - 5.0 + 7.0) / 4)


def test_names_of_the_reward_are_in_the_answer() -> None:
    reward = reward_of(5, [1], 3, 2.0)
    answer = Neuromodulator(RpeSettings()).evaluate(reward)
    assert (answer.agent, answer.session, answer.sequence, answer.instances) == ('a', 7, 5, 2)
    assert answer.instance.tolist() == [1] and answer.window.tolist() == [3]
    assert answer.reward.tolist() == [2.0]


def test_message_seen_twice_gets_the_same_answer_and_moves_nothing() -> None:
    neuromodulator = Neuromodulator(RpeSettings(rate=0.5))
    neuromodulator.evaluate(reward_of(0, [0, 1], 0, [1.0, 2.0]))
    reward = reward_of(1, [0, 1], 1, [3.0, 3.0])
    first = neuromodulator.evaluate(reward)
    mean = neuromodulator.mean_baseline
    assert neuromodulator.evaluate(reward) is first
    assert neuromodulator.mean_baseline == mean
    assert neuromodulator.counters['duplicate_rewards'] == 2
    assert neuromodulator.counters['rewards'] == 4


def test_window_rewarded_before_is_left_out() -> None:
    neuromodulator = Neuromodulator(RpeSettings(rate=0.5))
    neuromodulator.evaluate(reward_of(0, [0, 1], 4, [1.0, 2.0]))
    answer = neuromodulator.evaluate(reward_of(1, [0, 1], [4, 5], [9.0, 4.0]))
    assert answer.instance.tolist() == [1] and answer.rpe.tolist() == [2.0]
    assert neuromodulator.evaluate(reward_of(2, 0, 3, 9.0)) is None
    assert neuromodulator.counters['duplicate_rewards'] == 2


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, 1e308, -2e150])
def test_reward_that_is_not_finite_is_left_out_and_counted(value: float) -> None:
    neuromodulator = Neuromodulator(RpeSettings(rate=0.5))
    neuromodulator.evaluate(reward_of(0, [0, 1], 0, [1.0, 2.0]))
    answer = neuromodulator.evaluate(reward_of(1, [0, 1], 1, [value, 4.0]))
    assert answer.instance.tolist() == [1] and answer.rpe.tolist() == [2.0]
    assert neuromodulator.evaluate(reward_of(2, 0, 2, value)) is None
    assert neuromodulator.counters['invalid_rewards'] == 2
    # The average of instance 0 is what it was.
    assert neuromodulator.evaluate(reward_of(3, 0, 3, 1.0)).rpe.tolist() == [0.0]


def test_a_first_message_of_a_wrong_size_does_not_shut_the_true_ones_out() -> None:
    neuromodulator = Neuromodulator(RpeSettings(rate=0.5))
    saved = {'baseline': np.array([3.0, 4.0]), 'known': np.array([True, True])}
    neuromodulator.resume({'a': saved})
    neuromodulator.evaluate(reward_of(0, 0, 0, 1.0, instances=3))
    refused = 0
    for _again in range(50):
        try:
            answer = neuromodulator.evaluate(reward_of(0, [0, 1], 0, [1.0, 2.0]))
            break
        except ProtocolError:
            refused += 1
    assert answer.rpe.tolist() == [-2.0, -2.0] and refused == 8, 'the saved averages are kept'
    # Lies about a session that goes on are outvoted by as many true messages as there were.
    for number in range(1, 40):
        neuromodulator.evaluate(reward_of(number, 0, number, 1.0))
    for _lie in range(30):
        with pytest.raises(ProtocolError, match='instances'):
            neuromodulator.evaluate(reward_of(50, 0, 50, 1.0, instances=3))
    assert neuromodulator.evaluate(reward_of(40, 0, 40, 1.0)) is not None


def test_a_flood_of_sizes_beyond_the_limits_does_not_take_a_session_away() -> None:
    neuromodulator = Neuromodulator(RpeSettings(rate=0.5), Limits(instances=100))
    neuromodulator.evaluate(reward_of(0, [0, 1], 0, [1.0, 2.0]))
    for _lie in range(30):
        with pytest.raises((ProtocolError, LimitError)):
            neuromodulator.evaluate(reward_of(0, 0, 0, 1.0, instances=2**32 - 1))
    answer = neuromodulator.evaluate(reward_of(1, [0, 1], 1, [3.0, 4.0]))
    assert answer.rpe.tolist() == [2.0, 2.0], 'the averages are still there'


def test_a_reward_too_small_to_be_divided_by_gives_the_plain_error() -> None:
    """(1e-310 - 100) / 1e-310 is infinite: it would be refused, and its window never released."""
    neuromodulator = Neuromodulator(RpeSettings(rate=0.5, scale='absolute_reward'))
    neuromodulator.evaluate(reward_of(0, 0, 0, 100.0))
    answer = neuromodulator.evaluate(reward_of(1, 0, 1, 1e-310))
    assert answer.rpe.tolist() == [-100.0] and answer.baseline.tolist() == [50.0]


def test_restarted_environment_keeps_its_baselines_and_starts_windows_anew() -> None:
    neuromodulator = Neuromodulator(RpeSettings(rate=0.5))
    neuromodulator.evaluate(reward_of(9, 0, 9, 4.0))
    answer = neuromodulator.evaluate(reward_of(0, 0, 0, 6.0, session=8))
    assert answer.rpe.tolist() == [2.0]
    answer = neuromodulator.evaluate(reward_of(0, 0, 0, 6.0, session=9, instances=3))
    assert answer.rpe.tolist() == [0.0], 'another number of instances is another environment'


def test_a_session_that_there_is_not_changes_nothing_for_the_others() -> None:
    """Rewards of a stranger's session neither end the true one nor move its average."""
    neuromodulator = Neuromodulator(RpeSettings(rate=0.5))
    for number in range(3):
        neuromodulator.evaluate(reward_of(number, 0, number, 4.0))
    for session in range(100, 110):
        neuromodulator.evaluate(reward_of(0, 0, 0, 1e6, session=session))
    assert neuromodulator.evaluate(reward_of(3, 0, 3, 6.0)).rpe.tolist() == [2.0]
    assert neuromodulator.evaluate(reward_of(4, 0, 3, 6.0)) is None, 'it was rewarded before'


@pytest.mark.parametrize(('instances', 'setting'), [(2**32 - 1, 'instances'), (1, 'agents')])
def test_what_is_too_large_is_refused_before_anything_is_allocated(instances, setting) -> None:
    neuromodulator = Neuromodulator(RpeSettings(), Limits(agents=1))
    neuromodulator.evaluate(reward_of(0, 0, 0, 1.0))
    with pytest.raises(LimitError, match=f'limits.{setting}'):
        neuromodulator.evaluate(reward_of(0, 0, 0, 1.0, agent='ghost', instances=instances))
    assert neuromodulator.counters['invalid_messages'] == 1
    assert neuromodulator.evaluate(reward_of(1, 0, 1, 2.0)).rpe.tolist() == [1.0]


def test_a_window_far_ahead_does_not_silence_the_true_ones_for_ever() -> None:
    neuromodulator = Neuromodulator(RpeSettings(rate=0.5))
    neuromodulator.evaluate(reward_of(0, 0, 0, 1.0))
    neuromodulator.evaluate(reward_of(1, 0, 2**32 - 1, 1.0))
    answers = [neuromodulator.evaluate(reward_of(n, 0, n, 1.0)) for n in range(2, 14)]
    assert answers[:7] == [None] * 7 and None not in answers[7:]
    # Old ones that come again, in any order, are none the less duplicates.
    for number in (5, 3, 9, 4, 12, 6, 5, 3, 9, 4, 12, 6, 7, 8):
        assert neuromodulator.evaluate(reward_of(number, 0, number, 9.0)) is None


def test_restored_baselines_are_used_where_they_fit() -> None:
    neuromodulator = Neuromodulator(RpeSettings(rate=0.5))
    saved = {'baseline': np.array([4.0, 0.0]), 'known': np.array([True, False])}
    neuromodulator.resume({'a': saved, 'b': saved})
    answer = neuromodulator.evaluate(reward_of(0, [0, 1], 0, [6.0, 6.0]))
    assert answer.rpe.tolist() == [2.0, 0.0]
    answer = neuromodulator.evaluate(reward_of(0, 0, 0, 6.0, agent='b', instances=1))
    assert answer.rpe.tolist() == [0.0]
    assert saved['baseline'].tolist() == [4.0, 0.0], 'what was restored is not changed'


def test_mean_baseline_without_rewards_is_nan() -> None:
    assert math.isnan(Neuromodulator(RpeSettings()).mean_baseline)


@pytest.mark.parametrize(
    ('reward', 'error'),
    [
        (reward_of(1, 2, 1, 1.0), InvalidValueError),
        (reward_of(1, [0, 0], 1, 1.0), InvalidValueError),
        (reward_of(1, [1, 0], 1, 1.0), InvalidValueError),
        (reward_of(1, 2, 1, 1.0, instances=3), ProtocolError),
    ],
)
def test_impossible_messages_are_refused_and_counted(reward, error) -> None:
    neuromodulator = Neuromodulator(RpeSettings())
    neuromodulator.evaluate(reward_of(0, 0, 0, 1.0))
    with pytest.raises(error, match="'a'"):
        neuromodulator.evaluate(reward)
    assert neuromodulator.counters['invalid_messages'] == 1
    assert neuromodulator.evaluate(reward_of(2, 0, 2, 1.0)).rpe.tolist() == [0.0]


def test_arrays_of_unequal_length_are_refused() -> None:
    from dataclasses import replace

    reward = replace(reward_of(0, [0, 1], 0, 1.0), value=np.ones(1))
    with pytest.raises(ShapeError, match='value'):
        Neuromodulator(RpeSettings()).evaluate(reward)


@pytest.mark.parametrize(
    'setting',
    [{'rate': 0.0}, {'rate': 1.1}, {'rate': math.nan}, {'scale': 'max'}, {'order': 'both'}],
)
def test_impossible_settings_are_refused(setting: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        RpeSettings(**setting)


@pytest.mark.parametrize('scale', get_args(Scale))
@pytest.mark.parametrize(
    'how', [*({'order': order} for order in get_args(Order)), {'baseline': 'none'}], ids=str
)
def test_averages_are_the_reference(how: dict[str, str], scale: str) -> None:
    settings = RpeSettings(scale=scale, **how)  # type: ignore[arg-type]
    one, reference = Neuromodulator(settings), ReferenceAverage(5, settings)
    random = np.random.default_rng(0)
    window = np.zeros(5, int)
    for sequence in range(300):
        who = np.flatnonzero(random.random(5) < 0.5)
        value = random.standard_normal(len(who)) * random.integers(0, 2, len(who))
        if sequence % 10 == 9:
            value[: random.integers(0, 3)] = np.nan
        window[who] += random.integers(0, 2, len(who)) if sequence % 7 == 6 else 1
        ours = one.evaluate(reward_of(sequence, who, window[who], value, instances=5))
        who, after, rpe = reference.evaluate(who, window[who], value)
        assert (ours is None) == (not len(who))
        if ours is not None:
            assert ours.instance.tolist() == who.tolist()
            np.testing.assert_array_equal(ours.rpe, rpe)
            np.testing.assert_array_equal(ours.baseline, after)
    assert min(one.counters[name] for name in ('rewards', 'duplicate_rewards')) > 5
    assert one.counters['invalid_rewards'] > 5


class Same(Baseline):
    """Compares with what the averages say."""

    def expect(self, reward: Any, average: Any) -> Any:
        return average


@pytest.mark.parametrize('order', get_args(Order))
def test_a_baseline_is_given_the_average_that_rewards_would_be_compared_with(
    monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(BASELINES, '_entries', {**BASELINES._entries, 'same': Same})
    rewards = [1.0, -2.0, 0.5, 7.0]
    same, usual = (
        RpeSettings(rate=0.3, order=order, baseline=name)  # type: ignore[arg-type]
        for name in ('same', 'running_average')
    )
    assert run(same, rewards) == run(usual, rewards)


@pytest.mark.parametrize('name', list(BASELINES))
def test_every_baseline_gives_finite_errors_and_continues_from_its_snapshot(name: str) -> None:
    info, one, other = info_of(2), *(Neuromodulator(RpeSettings(baseline=name)) for _ in range(2))
    values, answers = np.random.default_rng(3).standard_normal((16, 2)), []
    one.observe(state_of(info, 0))
    for number in range(1, 16):
        one.observe(state_of(info, number, window=number, step=number))
        answer = one.evaluate(reward_of(number, [0, 1], number - 1, values[number].tolist()))
        assert answer is not None
        answers.append(answer.rpe)
    assert np.isfinite(answers).all() and np.std(answers) > 0.1
    other.observe(state_of(info, 0))
    other.baseline.restore(one.baseline.snapshot())
    assert same(other.baseline.snapshot(), one.baseline.snapshot())
