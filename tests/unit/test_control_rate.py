"""Control periods that begin late: what is counted, and what is put off."""

from __future__ import annotations

import math

import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.ros.control_rate import (
    LATE_SHARE,
    LONGEST_CYCLE_NS,
    ControlRate,
    cycle_of,
    turns_of,
)

PERIOD_S = 0.008


def run(lateness_s: list[float]) -> tuple[list[float], int, int]:
    """Beginnings of periods when a timer calls so late each time; missed ones; put off ones."""
    rate, due, began, missed, rescheduled = ControlRate(PERIOD_S, 0.0), PERIOD_S, [0.0], 0, 0
    for late_s in lateness_s:
        now = max(due + late_s, began[-1])
        tick = rate.begin(now)
        began.append(now)
        missed += tick.missed
        rescheduled += tick.rescheduled
        # What a timer does: the grid goes on, what has passed is left out; anew when put off.
        due = now + PERIOD_S if tick.rescheduled else due + PERIOD_S
        while due <= now:
            due += PERIOD_S
    return began, missed, rescheduled


def test_a_timer_that_is_a_little_late_keeps_its_grid() -> None:
    late_s = 0.9 * LATE_SHARE * PERIOD_S
    began, missed, rescheduled = run([late_s, 0.0] * 50)
    assert (missed, rescheduled) == (0, 0)
    assert began[-1] == pytest.approx(100 * PERIOD_S)


def test_the_one_after_a_late_one_is_a_whole_period_later() -> None:
    began, missed, rescheduled = run([0.0, 0.003, 0.0, 0.0])
    assert (missed, rescheduled) == (0, 1)
    assert began == pytest.approx([0.0, 0.008, 0.019, 0.027, 0.035])


@pytest.mark.parametrize('late_s', [0.0, 0.0011, 0.004, 0.0079, 0.012, 0.05])
def test_nobody_has_less_than_seven_eighths_of_a_period(late_s: float) -> None:
    began, _, _ = run([0.0, late_s, 0.0, 0.0] * 20)
    shortest_s = min(b - a for a, b in zip(began, began[1:], strict=False))
    assert shortest_s >= (1.0 - LATE_SHARE) * PERIOD_S - 1e-12


@pytest.mark.parametrize(('late_s', 'expected'), [(0.003, 0), (0.008, 1), (0.0165, 2), (0.08, 10)])
def test_periods_that_never_began_are_counted(late_s: float, expected: int) -> None:
    assert run([0.0, late_s, 0.0])[1] == expected


@pytest.mark.parametrize('period_s', [0.0, -0.01, math.nan, math.inf])
def test_a_period_must_be_a_positive_number(period_s: float) -> None:
    with pytest.raises(ConfigError, match='period_s must be a positive number'):
        ControlRate(period_s, 0.0)


MS = 1_000_000


def test_the_shortest_period_is_the_cycle_and_others_are_counted_in_it() -> None:
    # An arm at 500 Hz that acts at 25 Hz, and a status each half second.
    assert cycle_of([2 * MS, 40 * MS, 500 * MS]) == (2 * MS, [1, 20, 0])


def test_a_slow_arm_has_several_cycles_in_a_period_so_that_a_stop_does_not_wait() -> None:
    cycle, counts = cycle_of([8 * MS, 40 * MS])
    assert (cycle, counts) == (4 * MS, [2, 10]) and cycle <= LONGEST_CYCLE_NS


def test_a_period_that_is_no_multiple_is_left_to_its_own_timer() -> None:
    assert cycle_of([2 * MS, 5 * MS]) == (2 * MS, [1, 0])
    assert cycle_of([]) == (LONGEST_CYCLE_NS, [])
    # 120 Hz is not a whole number of nanoseconds.
    assert cycle_of([8_333_333, 41_666_667])[1] == [2, 10]


def test_long_periods_begin_in_different_cycles_and_those_of_each_cycle_in_all() -> None:
    assert turns_of([1, 1, 100, 50, 50, 0, 100]) == [0, 0, 2, 3, 4, 0, 6]
    # The environment's period begins with the safety node's.
    assert turns_of([20, 1]) == [0, 0]
