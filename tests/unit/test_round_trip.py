"""How long answers are waited for: the rules of RFC 6298, and limits that follow a slow network."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrl_ros.base.errors import ConfigError
from nrl_ros.ros.round_trip import AwaitedAnswers, DurationEstimate, RoundTrip


def make() -> RoundTrip:
    return RoundTrip(0.5, least_s=0.1, most_s=2.0)


def exchange(trip: RoundTrip, took_s: float, now_s: float = 0.0) -> None:
    trip.ask(now_s)
    trip.answered(now_s + took_s)


def test_the_first_answer_gives_three_times_its_duration() -> None:
    """RFC 6298, 2.2: SRTT = R, RTTVAR = R / 2, RTO = SRTT + 4 RTTVAR."""
    trip = make()
    assert trip.limit_s == 0.5
    exchange(trip, 0.2)
    assert trip.limit_s == pytest.approx(0.6)


def test_later_answers_follow_the_gains_of_the_standard() -> None:
    """RFC 6298, 2.3: RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R|, then SRTT = 7/8 SRTT + 1/8 R."""
    estimate, mean, deviation = DurationEstimate(), 0.2, 0.1
    estimate.measured(0.2)
    for took_s in (0.3, 0.1, 0.25, 0.2):
        deviation = 0.75 * deviation + 0.25 * abs(mean - took_s)
        mean = 0.875 * mean + 0.125 * took_s
        estimate.measured(took_s)
        assert estimate.longest_s == pytest.approx(mean + 4.0 * deviation)


def test_steady_answers_bring_the_limit_close_to_them_and_not_below_the_least() -> None:
    trip = make()
    for _ in range(100):
        exchange(trip, 0.2)
    assert 0.2 <= trip.limit_s < 0.21
    for _ in range(100):
        exchange(trip, 0.0002)
    assert trip.limit_s == 0.1


def test_each_repetition_doubles_the_limit_up_to_the_most() -> None:
    trip = make()
    trip.ask(0.0)
    waited, now_s = [], 0.0
    for _ in range(4):
        now_s += trip.limit_s
        assert not trip.late(now_s - 0.001)
        assert trip.late(now_s)
        waited.append(trip.limit_s)
        trip.ask_again(now_s)
    assert waited == [0.5, 1.0, 2.0, 2.0]


def test_an_answer_to_what_was_asked_twice_is_not_measured() -> None:
    """Karn: it may be the answer to the first asking; the doubled limit stays."""
    trip = make()
    exchange(trip, 0.1)
    trip.ask(10.0)
    trip.ask_again(10.3)
    trip.answered(10.301)
    assert trip.limit_s == pytest.approx(0.6)
    # What is asked next begins with the doubled limit, so that a slower network is measured.
    exchange(trip, 0.5, 11.0)
    assert trip.limit_s > 0.6


def test_a_second_answer_is_not_measured() -> None:
    trip = make()
    exchange(trip, 0.2)
    before = trip.limit_s
    trip.answered(100.0)
    assert trip.limit_s == before


def repetitions(trip: RoundTrip, took_s: float, asked_s: float) -> int:
    """How often a question is asked again whose answer takes so long."""
    trip.ask(asked_s)
    last_s, again = asked_s, 0
    while last_s + trip.limit_s < asked_s + took_s:
        last_s += trip.limit_s
        assert trip.late(last_s + 1e-6)
        trip.ask_again(last_s)
        again += 1
    trip.answered(asked_s + took_s)
    return again


def test_on_a_network_that_becomes_ten_times_slower_repetitions_soon_end() -> None:
    """Karn's rule: else a late answer to the first asking would be taken for a quick one."""
    trip = make()
    assert [repetitions(trip, 0.1, 2.0 * number) for number in range(20)] == [0] * 20
    slower = [repetitions(trip, 1.0, 100.0 + 2.0 * number) for number in range(10)]
    assert slower[0] > 1
    assert slower[2:] == [0] * 8


@given(st.lists(st.floats(0.0, 1e3), max_size=30))
def test_the_limit_is_always_a_number_between_its_bounds(durations: list[float]) -> None:
    trip = make()
    for took_s in durations:
        exchange(trip, took_s)
        assert math.isfinite(trip.limit_s)
        assert trip.limit_s >= 0.1


@pytest.mark.parametrize('limits', [(0.0, 0.1, 1.0), (0.5, -1.0, 1.0), (0.5, 2.0, 1.0)])
def test_limits_that_make_no_sense_are_refused(limits: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError):
        RoundTrip(limits[0], least_s=limits[1], most_s=limits[2])


# ------------------------------------------------------------------ limits of waiting for an RPE


def test_who_waits_longer_than_the_setting_is_late() -> None:
    awaited = AwaitedAnswers(2.0)
    awaited.ask('a', 7, 10.0)
    assert awaited.late(12.0) == []
    assert awaited.late(12.01) == ['a']
    awaited.done('a')
    assert awaited.late(100.0) == []


def test_asking_again_does_not_begin_the_waiting_anew() -> None:
    awaited = AwaitedAnswers(2.0)
    awaited.ask('a', 7, 10.0)
    awaited.ask('a', 7, 11.9)
    assert awaited.late(12.1) == ['a']


def test_quick_answers_leave_the_limit_at_the_setting() -> None:
    awaited = AwaitedAnswers(2.0)
    for number in range(50):
        awaited.ask('a', number, float(number))
        awaited.answered('a', number, number + 0.001)
    assert awaited.limit_s('a') == 2.0


def test_answers_that_come_after_the_limit_raise_it_for_their_asker_alone() -> None:
    """A network on which each RPE takes 3 s: the first one is given up, those after it are not."""
    awaited, given_up = AwaitedAnswers(2.0), 0
    for number in range(10):
        asked_s = 20.0 * number
        awaited.ask('slow', number, asked_s)
        if awaited.late(asked_s + 2.99):
            given_up += 1
            awaited.done('slow')
        awaited.answered('slow', number, asked_s + 3.0)
        awaited.done('slow')
    assert given_up == 1
    assert awaited.limit_s('slow') >= 12.0
    assert awaited.limit_s('quick') == 2.0


def test_one_answer_that_took_minutes_does_not_stop_everything_for_as_long() -> None:
    awaited = AwaitedAnswers(2.0)
    awaited.ask('a', 0, 0.0)
    awaited.answered('a', 0, 300.0)
    assert awaited.limit_s('a') == 20.0


def test_only_the_first_answer_to_the_last_question_is_measured() -> None:
    awaited = AwaitedAnswers(2.0)
    awaited.ask('a', 1, 0.0)
    awaited.answered('a', 0, 50.0)
    awaited.answered('b', 1, 50.0)
    awaited.answered('a', 1, 0.1)
    awaited.answered('a', 1, 50.0)
    assert awaited.limit_s('a') == 2.0


def test_who_has_left_is_forgotten() -> None:
    awaited = AwaitedAnswers(2.0)
    awaited.ask('a', 1, 0.0)
    awaited.answered('a', 1, 3.0)
    awaited.forget('a')
    assert awaited.late(100.0) == []
    assert awaited.limit_s('a') == 2.0
