"""How fast an arm is found to be: real stamps, repetitions, steps, gaps, jumps, wrapped angles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrl_ros.robots.safety.measured import JUDGED_PERIODS, SpeedEstimator, unwrap

Array = NDArray[Any]

PERIOD = 0.008
WINDOW = JUDGED_PERIODS * PERIOD
GAP = 0.1
LIMIT, TOP = 0.3, 0.45
NONE = np.array([math.nan])


def estimator(joints: int = 1) -> SpeedEstimator:
    return SpeedEstimator(np.full(joints, TOP), WINDOW, GAP)


def speeds(made: SpeedEstimator, stamps: Any, positions: Any, reported: Any = None) -> Array:
    """The velocity of one joint after each state, from when it is known."""
    found = []
    for at, (stamp, place) in enumerate(zip(stamps, positions, strict=True)):
        velocity = NONE if reported is None else np.array([reported[at]])
        made.put(float(stamp), np.array([place]), velocity)
        if made.known:
            found.append(float(made.velocity[0]))
    return np.array(found)


def stairs(stamps: Array, speed: float, period: float, late: Any = 0.0) -> Array:
    """Positions that follow commands in steps, each ``late`` of its period."""
    ticks = np.arange(-10, int(stamps[-1] / period) + 2)
    times = (ticks + np.broadcast_to(late, ticks.shape)) * period
    return speed * period * ticks[np.searchsorted(times, stamps, side='right') - 1].astype(float)


@pytest.mark.parametrize('rate', [125.0, 250.0, 500.0, 1000.0])
@pytest.mark.parametrize('seed', range(3))
def test_a_speed_within_the_limits_is_never_found_too_high(rate: float, seed: int) -> None:
    """Hardware that steps at each command, and reports four times the speed or nothing."""
    random = np.random.default_rng(seed)
    stamps = 100.0 + np.arange(0.0, 4.0, 1.0 / rate)
    late = random.uniform(0.0, 0.9, 2000)[: 10 + int(stamps[-1] / PERIOD) + 2]
    late = np.resize(late, len(np.arange(-10, int(stamps[-1] / PERIOD) + 2)))
    positions = stairs(stamps, LIMIT, PERIOD, late)
    steps = np.diff(positions, prepend=positions[0]) * rate
    naive = np.abs(steps).max()
    found = speeds(estimator(), stamps, positions, steps)
    assert naive > TOP or rate <= 125.0
    assert len(found) > 0.9 * len(stamps)
    assert np.abs(found).max() < TOP
    # Not by being blind: it is found to move all the time.
    assert found[20:].min() > 0.5 * LIMIT


@pytest.mark.parametrize('repeated', [1, 2, 5, 20])
def test_states_that_are_repeated_faster_than_measured_change_nothing(repeated: int) -> None:
    """Measured every 20 ms, sent up to a thousand times a second with stamps of their own."""
    times = 50.0 + 0.02 * np.arange(100)
    stamps = (times[:, None] + np.linspace(0.0, 0.019, repeated)).ravel()
    places = np.repeat(LIMIT * times, repeated)
    found = speeds(estimator(), stamps, places)
    assert found[3 * repeated :] == pytest.approx(LIMIT, rel=1e-6)


def test_the_same_stamp_again_is_the_same_measurement() -> None:
    times = np.repeat(10.0 + 0.008 * np.arange(60), 4)
    found = speeds(estimator(), times, 0.2 * times)
    assert found == pytest.approx(0.2, rel=1e-6)


@pytest.mark.parametrize('rate', [5.0, 30.0, 60.0, 125.0, 500.0, 1000.0])
@pytest.mark.parametrize('speed', [1.05, 1.5, 3.0])
@pytest.mark.parametrize('sent', [True, False])
def test_a_true_overspeed_is_found_within_the_stated_time(
    rate: float, speed: float, sent: bool
) -> None:
    """Standing until 1 s, then faster than allowed: four periods and one state later it is known.

    Of a driver that sends five states a second more time may pass without one.
    """
    made = SpeedEstimator(np.array([TOP]), WINDOW, 0.5)
    moment = 0.0
    for stamp in np.arange(0.0, 3.0, 1.0 / rate):
        moving = stamp > 1.0
        place = speed * TOP * max(stamp - 1.0, 0.0)
        velocity = np.array([speed * TOP * moving]) if sent else NONE
        made.put(100.0 + stamp, np.array([place]), velocity)
        if made.known and abs(made.velocity[0]) > TOP:
            moment = stamp
            break
    windows = 2.0 if 1.0 / rate < WINDOW < speed / rate else 1.0
    assert 1.0 < moment <= 1.0 + windows * WINDOW + 1.0 / rate + 1e-6


@pytest.mark.parametrize('speed', [10.0, 100.0, 1e4])
def test_a_runaway_that_looks_like_a_jump_is_found_in_twice_that_time(speed: float) -> None:
    made = estimator()
    for number in range(200):
        stamp = PERIOD * number
        made.put(stamp, np.array([speed * max(stamp - 1.0, 0.0)]), NONE)
        if made.known and abs(made.velocity[0]) > TOP:
            break
    assert 1.0 < stamp <= 1.0 + 2.0 * WINDOW + PERIOD + 1e-6


def test_a_speed_that_is_reported_all_the_time_counts_and_one_that_flickers_does_not() -> None:
    stamps = np.arange(0.0, 0.4, 0.002)
    places = np.zeros_like(stamps)
    found = speeds(estimator(), stamps, places, np.full_like(stamps, -2.0))
    assert found[-1] == -2.0
    flickers = np.where(np.arange(len(stamps)) % 4, 0.0, 2.3)
    assert not speeds(estimator(), stamps, places, flickers).any()


def test_a_velocity_that_was_not_measured_comes_from_the_positions() -> None:
    made = estimator(2)
    for number in range(20):
        stamp = PERIOD * number
        made.put(stamp, np.array([0.3, -0.1]) * stamp, np.array([math.nan, -0.1]))
    assert made.velocity == pytest.approx([0.3, -0.1])


def test_an_arm_that_has_come_to_rest_is_found_at_rest() -> None:
    """Four periods after its last motion, also where one joint reports a speed for a moment."""
    made = estimator()
    for number in range(60):
        stamp = PERIOD * number
        made.put(stamp, np.array([0.3 * min(stamp, 0.24)]), np.array([0.3 if number == 50 else 0]))
        if stamp >= 0.24 + WINDOW + PERIOD:
            assert made.velocity[0] == 0.0


def test_an_arm_that_stood_for_a_while_is_found_at_rest_again_as_soon() -> None:
    """Its long rest is no sign that it is measured seldom, however long states may be old."""
    made = SpeedEstimator(np.array([TOP]), WINDOW, 1.0)
    for number in range(200):
        stamp = PERIOD * number
        made.put(stamp, np.array([0.3 * min(max(stamp - 0.8, 0.0), 0.08)]), NONE)
        if stamp >= 0.88 + WINDOW + PERIOD:
            assert made.velocity[0] == 0.0


@pytest.mark.parametrize('gap', [0.11, 5.0, 1e6])
def test_across_a_gap_nothing_is_known(gap: float) -> None:
    made = estimator()
    speeds(made, PERIOD * np.arange(20), np.zeros(20))
    assert made.known
    begins = made.put(19 * PERIOD + gap, np.array([1.0]), NONE)
    assert begins and not made.known
    assert made.velocity.tolist() == [0.0]


def test_stamps_that_run_back_are_counted_and_leave_the_speed_unknown() -> None:
    made = estimator()
    for number in range(50):
        stamp = 1.0 + PERIOD * number - 0.01 * (number % 2)
        assert not made.put(stamp, np.zeros(1), NONE) or number == 0
    assert not made.known and made.backwards == 25
    # In order again it is known after one window.
    stamps = 1.5 + PERIOD * np.arange(JUDGED_PERIODS + 1)
    assert len(speeds(made, stamps, np.zeros(JUDGED_PERIODS + 1))) >= 1


def test_two_positions_in_turn_are_no_motion_and_no_knowledge() -> None:
    """Two drivers on one topic: within a window nothing is known, so nothing is judged by it."""
    made = estimator()
    known = [
        made.put(PERIOD * number, np.array([0.3 * (number % 2)]), NONE) for number in range(1, 99)
    ]
    assert not any(known[1:])


NUMBERS = st.floats(-1e3, 1e3)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 1e-9, 0.002, 0.008, 0.05, 0.2, -0.01, -5.0]), NUMBERS),
        max_size=60,
    ),
    st.sampled_from([0.0, math.nan, 2.0, -1e6]),
)
def test_whatever_the_stamps_are_a_speed_is_a_number_that_the_positions_allow(
    states: list[tuple[float, float]], reported: float
) -> None:
    made, stamp = estimator(), 1e9
    for elapsed, place in states:
        stamp += elapsed
        made.put(stamp, np.array([place]), np.array([reported]))
        assert np.isfinite(made.velocity).all()
        if made.known:
            # No difference of two stamps that are close together is ever divided by.
            most = 2e3 / (WINDOW - 2e-6)
            assert abs(made.velocity[0]) <= max(most, abs(np.nan_to_num(reported)))


@pytest.mark.parametrize('speed', [0.5, -0.5])
def test_an_angle_is_followed_past_pi(speed: float) -> None:
    continuous = np.array([True, False])
    place = np.array([3.0 * np.sign(speed), 2.9])
    for stamp in np.arange(0.0, 30.0, 0.01):
        true = 3.0 * np.sign(speed) + speed * stamp
        wrapped = -((math.pi - true) % (2.0 * math.pi) - math.pi)
        place = unwrap(np.array([wrapped, 2.9]), place, continuous)
        assert place == pytest.approx([true, 2.9], abs=1e-9)


def test_what_is_not_wrapped_stays_as_it_is_to_the_bit() -> None:
    near = np.array([9.0, -9.0, 0.0, 0.0])
    position = np.array([9.1, -3.5, 100.0, math.nan])
    found = unwrap(position, near, np.array([True, False, False, True]))
    assert found[:3].tolist() == [9.1, -3.5, 100.0] and math.isnan(found[3])


def test_angles_too_large_for_a_turn_are_left_to_the_limits() -> None:
    """A warning of numpy would be an error here (pyproject.toml)."""
    most = np.finfo(np.float64).max
    found = unwrap(np.array([most, 1.0]), np.array([-most, 0.0]), np.array([True, True]))
    assert found.tolist() == [most, 1.0]
