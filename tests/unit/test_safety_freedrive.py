"""A person moves the arm by hand: no command works against it, and nothing begins by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_ros.robots.safety.braking import Limited
from nrl_ros.robots.safety.freedrive import BY_HAND, Freedrive
from nrl_ros.robots.safety.records import Mode, StopReason, SupervisorOutput
from tests.unit.safety_bench import PERIOD, RESTED, Rig, settings_of

VELOCITY = settings_of(anchor_gain=0.05, released=('controller',))
POSITION = settings_of(released=('controller',))
BOTH = pytest.mark.parametrize('interface', [VELOCITY, POSITION], ids=['velocity', 'position'])
LEASH = 0.5 * POSITION.tracking_error_rad


class Hand(Rig):
    """A rig whose arm a person moves: while that lasts, it does not obey."""

    def tick(self, seconds: float = PERIOD) -> SupervisorOutput:
        place = self.position.copy()
        output = super().tick(seconds)
        if output.limited & Limited.BY_HAND and output.velocity is not None:
            self.position = place if not output.velocity.any() else self.position
            self.velocity = np.zeros(2)
        return output

    def push(self, *by: float, ticks: int = 1) -> SupervisorOutput:
        """Move the arm by so much in each of some periods."""
        for _ in range(ticks):
            self.position = self.position + by
            self.state(velocity=np.array(by) / PERIOD)
            output = self.tick()
        return output

    def rest(self) -> SupervisorOutput:
        return self.run(RESTED + 3)


def by_hand(interface: Any = VELOCITY) -> Hand:
    """An arm that has moved, stands, and was left to a person."""
    rig = Hand(interface)
    rig.run(RESTED)
    rig.run(1, 0.1, 0.0)
    rig.run(RESTED + 20)
    rig.supervisor.begin_freedrive(rig.now)
    rig.run(1)
    return rig


@BOTH
def test_no_command_is_followed_while_a_hand_moves_the_arm(interface: Any) -> None:
    rig = by_hand(interface)
    before = rig.counters['followed']
    for _ in range(50):
        rig.command(1.0, 1.0)
        output = rig.push(0.008, 0.0)
        assert (output.mode, output.cause) == (Mode.HOLDING, StopReason(0))
        assert not output.followed
        assert output.limited == Limited.BY_HAND
        assert BY_HAND in output.text
        assert output.velocity is not None and output.velocity.tolist() == [0.0, 0.0]
    assert rig.counters['limited_by_hand'] == 51
    assert rig.counters['commands_ignored'] == 50
    assert rig.counters['followed'] == before


def test_a_velocity_controller_is_sent_zero_and_another_one_the_place_of_the_hand() -> None:
    """The second one stays behind, so that its weight leads no arm away that holds itself."""
    rig = by_hand(VELOCITY)
    assert rig.push(0.005, 0.0, ticks=40).position == pytest.approx(rig.position)
    rig = by_hand(POSITION)
    begun = rig.position.tolist()
    output = rig.push(0.005, 0.0, ticks=5)
    assert output.position is not None and output.position.tolist() == begun
    output = rig.push(0.005, -0.002, ticks=100)
    assert output.position == pytest.approx(rig.position + [-LEASH, LEASH])
    # It hangs through by less than that, for as long as it may.
    rig = by_hand(POSITION)
    for _ in range(300):
        rig.state(rig.position - 0.9 * LEASH)
        assert rig.tick().position.tolist() == begun  # type: ignore[union-attr]


@BOTH
def test_an_arm_that_moves_is_braked_first(interface: Any) -> None:
    rig = Hand(interface)
    rig.run(RESTED)
    rig.run(12, 1.0, -1.0)
    rig.supervisor.begin_freedrive(rig.now)
    speeds = []
    for _ in range(12):
        output = rig.run(1, 1.0, -1.0)
        speeds.append(float(output.velocity[0]))  # type: ignore[index]
    assert speeds[:10] == pytest.approx(np.arange(9, -1, -1) / 10, abs=1e-9)
    assert speeds[10:] == [0.0, 0.0]
    assert output.mode is Mode.HOLDING


@BOTH
def test_the_arm_comes_back_only_when_it_stands_and_only_by_a_clear_word(interface: Any) -> None:
    rig = by_hand(interface)
    rig.push(0.004, 0.0, ticks=30)
    refused = rig.supervisor.end_freedrive(rig.now)
    assert 'the arm still moves at 0.4' in refused
    rig.run(6)
    assert 'has not stood for' in rig.supervisor.end_freedrive(rig.now)
    rig.rest()
    place = rig.position.copy()
    # Nothing ends it by itself.
    assert rig.run(500, 1.0, 0.0).limited == Limited.BY_HAND
    assert rig.supervisor.end_freedrive(rig.now) == ''
    # A command that came before is not followed now.
    output = rig.run(3)
    assert (output.mode, output.limited, output.text) == (Mode.HOLDING, 0, '')
    assert output.position is not None and output.position == pytest.approx(place)
    assert rig.run(1, 0.1, 0.0).mode is Mode.FOLLOWING
    assert rig.supervisor.end_freedrive(rig.now) == ''


def test_a_button_of_the_robot_that_is_let_go_of_starts_nothing() -> None:
    rig = Hand(VELOCITY)
    rig.run(RESTED)
    rig.supervisor.on_freedrive(rig.now, free=True)
    rig.push(0.002, 0.0, ticks=10)
    rig.rest()
    assert 'end its own mode first' in rig.supervisor.end_freedrive(rig.now)
    rig.supervisor.on_freedrive(rig.now, free=False)
    assert rig.run(50, 1.0, 0.0).limited == Limited.BY_HAND
    rig.rest()
    assert rig.supervisor.end_freedrive(rig.now) == ''
    assert rig.run(2, 1.0, 0.0).mode is Mode.FOLLOWING
    # What was never begun is not ended by the robot's own false, and not begun either.
    rig.supervisor.on_freedrive(rig.now, free=False)
    assert rig.run(2, 1.0, 0.0).mode is Mode.FOLLOWING


def silent(rig: Hand) -> None:
    for _ in range(20):
        rig.tick()


def no_number(rig: Hand) -> None:
    rig.state([np.nan, 0.0])


def out_of_limits(rig: Hand) -> None:
    rig.push(0.05, 0.0, ticks=60)


def late(rig: Hand) -> None:
    rig.tick(0.2)


def withdrawn(rig: Hand) -> None:
    rig.supervisor.on_permission(rig.now, 'the robot program', False)


def button(rig: Hand) -> None:
    rig.supervisor.stop(rig.now, StopReason.EMERGENCY_STOP, 'pressed')


@BOTH
@pytest.mark.parametrize(
    ('fault', 'cause'),
    [
        (silent, StopReason.STALE_STATE),
        (no_number, StopReason.BAD_STATE),
        (out_of_limits, StopReason.OUT_OF_LIMITS),
        (late, StopReason.OVERRUN),
        (withdrawn, StopReason.NOT_PERMITTED),
        (button, StopReason.EMERGENCY_STOP),
    ],
)
def test_what_watches_over_the_arm_goes_on(
    fault: Callable[[Hand], None], cause: StopReason, interface: Any
) -> None:
    """And a stop is cleared only after the hand has gone, by a word of its own."""
    rig = by_hand(interface)
    fault(rig)
    rig.run(1)
    assert rig.supervisor.tick(rig.now).cause & cause
    rig.position = np.zeros(2)
    rig.supervisor.on_permission(rig.now, 'the robot program', True)
    # Until the jump back is old.
    rig.run(300)
    assert rig.supervisor.mode is Mode.STOPPED
    assert BY_HAND in rig.supervisor.clear(rig.now)
    assert rig.supervisor.end_freedrive(rig.now) == ''
    assert rig.supervisor.mode is Mode.STOPPED
    assert rig.supervisor.clear(rig.now) == ''
    assert rig.run(2, 0.1, 0.0).mode is Mode.FOLLOWING


def test_neither_the_speed_of_a_hand_nor_its_distance_from_the_command_is_a_fault() -> None:
    """1.6 rad/s where 1.5 rad/s stop a commanded arm, and 0.6 rad away, where 0.1 rad does."""
    rig = by_hand(POSITION)
    assert rig.push(0.016, 0.0, ticks=40).mode is Mode.HOLDING
    rig = Hand(POSITION)
    rig.run(RESTED)
    assert rig.push(0.016, 0.0, ticks=40).mode is not Mode.HOLDING


def test_a_controller_may_leave_for_a_hand_and_has_to_be_back_before_the_arm_moves() -> None:
    """As the robot's own freedrive takes the place of the controller."""
    rig = by_hand(VELOCITY)
    rig.supervisor.on_permission(rig.now, 'controller', False, 'the controller is inactive')
    assert rig.push(0.001, 0.0, ticks=30).mode is Mode.HOLDING
    rig.rest()
    assert 'the controller is inactive' in rig.supervisor.end_freedrive(rig.now)
    rig.supervisor.on_permission(rig.now, 'controller', True)
    assert rig.supervisor.end_freedrive(rig.now) == ''
    # Without a hand it is a stop as before.
    rig.supervisor.on_permission(rig.now, 'controller', False, 'the controller is inactive')
    assert rig.run(1).cause == StopReason.NOT_PERMITTED


def test_an_arm_that_has_not_begun_does_not_begin_under_a_hand() -> None:
    rig = Hand(VELOCITY)
    rig.supervisor.begin_freedrive(rig.now)
    output = rig.rest()
    assert (output.mode, output.velocity) == (Mode.WAITING, None)
    assert BY_HAND in output.text
    assert rig.supervisor.end_freedrive(rig.now) == ''
    assert rig.run(2).mode is Mode.HOLDING


def test_only_a_word_of_its_own_ends_it() -> None:
    one = Freedrive()
    assert (one.active, one.text, one.end('moves')) == (False, '', '')
    one.hear_robot(free=False)
    assert not one.active
    one.begin()
    assert one.end('moves') == 'moves' and one.active
    one.hear_robot(free=True)
    assert 'end its own mode' in one.end('')
    one.hear_robot(free=False)
    assert one.active and one.end('') == '' and not one.active


DEEDS = st.one_of(
    st.tuples(st.just('work'), st.integers(1, 25), st.sampled_from([-1.0, 0.3, 5.0])),
    st.tuples(st.just('push'), st.integers(1, 25), st.floats(-0.02, 0.02)),
    st.tuples(st.just('robot'), st.booleans(), st.none()),
    st.tuples(st.just('person'), st.booleans(), st.none()),
    st.tuples(st.just('rest'), st.none(), st.none()),
    st.tuples(st.just('stop'), st.none(), st.none()),
    st.tuples(st.just('clear'), st.none(), st.none()),
    st.tuples(st.just('silence'), st.integers(1, 20), st.none()),
)


class Held(Hand):
    """Holds each output against what is promised of a hand."""

    def __init__(self, interface: Any) -> None:
        super().__init__(interface)
        self.hand = self.commanded = False
        self.before = np.zeros(2)

    def tick(self, seconds: float = PERIOD) -> SupervisorOutput:
        told = self.position.copy()
        output = super().tick(seconds)
        velocity = np.zeros(2) if output.velocity is None else output.velocity
        running = output.mode in (Mode.HOLDING, Mode.FOLLOWING)
        assert bool(output.limited & Limited.BY_HAND) == (self.hand and running)
        if self.hand:
            assert output.mode is not Mode.FOLLOWING
            # Only a brake, and nothing after it.
            assert (np.abs(velocity) <= np.abs(self.before) + 1e-12).all()
            assert (velocity * self.before >= 0.0).all()
            if running and not velocity.any() and output.position is not None:
                assert np.abs(output.position - told).max() <= 0.1 + 1e-9
        assert self.commanded or not velocity.any()
        self.before = velocity
        return output

    def do_work(self, ticks: int, speed: float) -> None:
        for _ in range(ticks):
            running = self.supervisor.mode in (Mode.HOLDING, Mode.FOLLOWING)
            self.state()
            self.command(speed, 0.0)
            self.commanded |= running and not self.hand
            self.tick()

    def do_push(self, ticks: int, by: float) -> None:
        for _ in range(ticks):
            if self.hand and not self.before.any():
                self.push(by, 0.0)

    def do_robot(self, free: bool, _: Any) -> None:
        self.hand |= free
        self.supervisor.on_freedrive(self.now, free=free)

    def do_person(self, free: bool, _: Any) -> None:
        if free:
            self.hand = True
            self.supervisor.begin_freedrive(self.now)
        elif self.supervisor.end_freedrive(self.now) == '' and self.hand:
            self.hand = self.commanded = False
            assert not self.before.any()

    def do_rest(self, *_: Any) -> None:
        self.rest()

    def do_stop(self, *_: Any) -> None:
        self.supervisor.stop(self.now, StopReason.EMERGENCY_STOP, 'any')

    def do_clear(self, *_: Any) -> None:
        self.rest()
        cleared = self.supervisor.clear(self.now) == ''
        assert not (cleared and self.hand)
        self.commanded &= not cleared

    def do_silence(self, ticks: int, _: Any) -> None:
        for _ in range(ticks):
            self.tick()


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([VELOCITY, POSITION]), st.lists(DEEDS, max_size=30))
def test_whatever_comes_a_hand_is_not_worked_against_and_nothing_begins_by_itself(
    interface: Any, deeds: list[Any]
) -> None:
    rig = Held(interface)
    rig.rest()
    for name, *values in deeds:
        getattr(rig, f'do_{name}')(*values)
