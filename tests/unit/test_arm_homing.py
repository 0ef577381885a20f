"""An arm comes home around what blocks its way; time is an argument."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nrl_ros.robots.arm.homing import Array, Homing, way_home

PERIOD = 0.02
HOME, TOP = np.zeros(2), np.array([1.0, 1.0])
Allowed = Callable[[Array], bool]


def corner(place: Array) -> bool:
    """Whether a place is allowed: a wall stands on the straight way, and is open below 0.2."""
    return not (place[0] < 0.5 and place[1] > 0.2)


def drive(homing: Homing, place: Array, allowed: Allowed, seconds: float) -> tuple[Array, float]:
    """Drive an arm that stands wherever a step would leave what is allowed, up to a time."""
    now = 0.0
    while now < seconds and np.abs(place - HOME).max() > 0.005:
        step = place + homing.velocity(place, now) * PERIOD
        place = step if allowed(step) else place
        now += PERIOD
    return place, now


def test_a_free_way_is_straight_and_slow_at_its_end() -> None:
    velocity = way_home(np.array([1.0, 0.5]), HOME, TOP, 0.5)
    assert velocity == pytest.approx([-0.5, -0.25])
    assert way_home(np.array([0.01, 0.0]), HOME, TOP, 0.5) == pytest.approx([-0.03, 0.0])
    homing = Homing(HOME, TOP, 1.0)
    _, took_s = drive(homing, np.array([1.0, 1.0]), lambda _place: True, 10.0)
    assert took_s < 3.0 and homing.blocked == 0


def test_an_arm_at_a_wall_goes_back_the_way_that_it_came() -> None:
    homing = Homing(HOME, TOP, 1.0)
    for place in ([0.0, 0.0], [0.3, 0.1], [0.6, 0.1], [0.8, 0.1], [0.8, 0.5], [0.8, 0.8]):
        homing.note(np.array(place))
    place, took_s = drive(homing, np.array([0.8, 0.8]), corner, 30.0)
    assert np.abs(place - HOME).max() < 0.01 and took_s < 30.0
    assert homing.blocked >= 1


def test_without_a_known_way_some_joints_move_alone_until_it_is_free() -> None:
    homing = Homing(HOME, TOP, 1.0)
    place, took_s = drive(homing, np.array([0.8, 0.8]), corner, 60.0)
    assert np.abs(place - HOME).max() < 0.01 and took_s < 60.0
    assert homing.blocked >= 1


def test_a_way_back_that_is_blocked_too_is_given_up_place_by_place() -> None:
    """What was allowed when the arm came is not now: places to the right of it."""
    homing = Homing(HOME, TOP, 1.0)
    for place in ([0.0, 0.0], [0.9, 0.1], [1.2, 0.4], [1.2, 0.6], [0.8, 0.8]):
        homing.note(np.array(place))

    def narrow(place: Array) -> bool:
        return corner(place) and place[0] < 0.9

    place, took_s = drive(homing, np.array([0.8, 0.8]), narrow, 120.0)
    assert np.abs(place - HOME).max() < 0.01 and took_s < 120.0


def test_an_arm_that_never_moves_is_never_led_anywhere_fast() -> None:
    homing = Homing(HOME, TOP, 0.3)
    place = np.array([0.8, -0.8])
    homing.note(np.array([0.4, 0.4]))
    for at in range(3000):
        velocity = homing.velocity(place, at * PERIOD)
        assert (np.abs(velocity) <= 0.3 * TOP + 1e-12).all()


def test_what_came_between_is_no_time_of_being_blocked() -> None:
    homing = Homing(HOME, TOP, 1.0)
    for at in range(1000):
        homing.velocity(np.array([0.8, 0.8]), at * PERIOD)
        if at % 10 == 0:
            homing.paused()
    assert homing.blocked == 0


def test_only_so_many_places_are_kept() -> None:
    homing = Homing(HOME, TOP, 1.0)
    for at in range(6000):
        homing.note(np.array([0.2 * at, 0.0]))
        homing.note(np.array([0.2 * at + 0.05, 0.0]))
    assert len(homing._been) == 5000
    homing.arrived()
    assert not homing._been
