"""Whatever happens, in whatever order: no limit is left, every fault ends in standing still."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrl_ros.robots.arm.limits_in_force import largest_jerk
from nrl_ros.robots.safety.limits import JointLimits, Workspace, WorkspaceGuard
from nrl_ros.robots.safety.motion import MotionFilter
from nrl_ros.robots.safety.records import Mode, StopReason
from tests.unit.safety_bench import (
    FAST,
    GUARD,
    INSIDE,
    PERIOD,
    REACH,
    RESTED,
    Rig,
    planar,
    settings_of,
)
from tests.unit.safety_bench import limits_of as limits

Array = NDArray[Any]
NEARLY = 1.0 + 1e-9
NUMBERS = st.one_of(
    st.floats(-3.0, 3.0),
    st.sampled_from([0.0, 1.0, -1.0, 1e308, -1e308, math.nan, math.inf, -math.inf]),
)
SENSIBLE = st.sampled_from([0.0, 0.3, -0.3, 1.0, -1.0, 5.0, -5.0])


def spans(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


@st.composite
def some_limits(draw: st.DrawFn) -> JointLimits:
    joints = draw(st.integers(1, 3))
    rows = []
    for _ in range(joints):
        low, acceleration = draw(spans(-6.0, 6.0)), draw(spans(0.1, 50.0))
        rows.append(
            (low, low + draw(spans(0.01, 6.0)), draw(spans(0.05, 5.0)), acceleration)
            + (acceleration * draw(spans(1.0, 4.0)),)
        )
    return JointLimits(tuple(map(str, range(joints))), *zip(*rows, strict=True))


def stop_of(limits: JointLimits, position: Array, velocity: Array, period: float) -> Array:
    """Where the synchronous brake with the usual acceleration ends, tick by tick."""
    duration = np.max(np.abs(velocity) / limits.acceleration)
    tick = 1
    while tick * period < duration:
        position = position + velocity * (1.0 - tick * period / duration) * period
        tick += 1
    return position


@settings(max_examples=300, deadline=None)
@given(
    limits=some_limits(),
    period=spans(0.001, 0.1),
    begin=st.lists(spans(-0.2, 1.2), min_size=3, max_size=3),
    parts=st.lists(
        st.tuples(
            st.integers(1, 30),
            st.booleans(),
            st.lists(NUMBERS, min_size=3, max_size=3),
            st.none() | st.lists(NUMBERS, min_size=3, max_size=3),
        ),
        max_size=12,
    ),
)
def test_no_motion_leaves_its_limits_and_each_can_be_stopped(
    limits: JointLimits, period: float, begin: list[float], parts: list[Any]
) -> None:
    """From inside of the joints' limits or from outside, which is left only inwards.

    An anchor, if there is one, pulls anywhere.
    """
    count = len(limits.joints)
    low, high = np.array(limits.position_low), np.array(limits.position_high)
    motion_filter = MotionFilter(limits, period)
    place, speed = low + np.array(begin[:count]) * (high - low), np.zeros(count)
    motion_filter.start(place[None])
    for ticks, braking, wanted, anchor in parts:
        for _ in range(ticks):
            low, high = (
                np.minimum(limits.position_low, place),
                np.maximum(limits.position_high, place),
            )
            motion = (
                motion_filter.brake()
                if braking
                else motion_filter.follow(np.array([wanted[:count]]))
            )
            change = np.array(limits.stop_acceleration if braking else limits.acceleration)
            assert (np.abs(motion.velocity[0] - speed) <= change * period * NEARLY).all()
            assert (np.abs(motion.velocity[0]) <= np.array(limits.velocity) * NEARLY).all()
            np.testing.assert_allclose(
                motion.position[0] - place, motion.velocity[0] * period, rtol=1e-9, atol=1e-11
            )
            place, speed = motion.position[0], motion.velocity[0]
            if anchor is not None:
                motion_filter.anchor(np.array([anchor[:count]]), 0.7)
                place = motion_filter.position[0]
            # Not by one unit in the last place.
            assert (place >= low).all()
            assert (place <= high).all()
            stop = stop_of(limits, place, speed, period)
            assert (stop >= low - 1e-9).all()
            assert (stop <= high + 1e-9).all()


@settings(max_examples=150, deadline=None)
@given(
    corner=st.tuples(spans(0.2, 0.6), spans(0.05, 0.5), spans(0.0, 0.4)),
    begin=st.tuples(spans(-1.5, 1.5), spans(-2.0, 2.0)),
    speed=spans(0.2, 2.0),
    parts=st.lists(
        st.tuples(st.integers(1, 40), st.booleans(), st.tuples(NUMBERS, NUMBERS)), max_size=12
    ),
)
def test_elbow_and_tool_stay_in_the_box(
    corner: Any, begin: Any, speed: float, parts: list[Any]
) -> None:
    """Or come no further out than they began, within tolerance and chord (see MotionFilter)."""
    front, side, back = corner
    box = Workspace((-back - 0.01, -side, -1.0), (front, side, 1.0))
    guard = WorkspaceGuard(planar, box)
    bounds = limits(velocity=(speed, speed), acceleration=(4.0, 8.0))
    motion_filter = MotionFilter(bounds, PERIOD, guard=guard)
    motion_filter.start(np.array([begin]))
    allowed = max(0.0, float(guard.violation(np.array([begin]))[0]))
    allowed += 1e-3 + motion_filter.chord_m(REACH)
    for ticks, braking, wanted in parts:
        for _ in range(ticks):
            motion = motion_filter.brake() if braking else motion_filter.follow(np.array([wanted]))
            assert guard.violation(motion.position)[0] <= allowed


ACTIONS = st.one_of(
    st.tuples(st.just('work'), st.integers(1, 15), st.tuples(SENSIBLE, SENSIBLE)),
    st.tuples(st.just('work'), st.integers(1, 15), st.tuples(NUMBERS, NUMBERS)),
    st.tuples(st.just('silence'), st.integers(1, 14)),
    st.tuples(st.just('blind'), st.integers(1, 14)),
    st.tuples(st.just('gap'), st.sampled_from([0.02, 0.049, 0.06, 2.0, 1e9, -0.3, math.nan])),
    st.tuples(
        st.just('state'),
        st.tuples(NUMBERS, NUMBERS),
        st.tuples(NUMBERS, NUMBERS),
        st.sampled_from([0.0, 0.05, -0.05, 0.2, -0.2, math.nan]),
    ),
    st.tuples(st.just('command'), st.tuples(NUMBERS, NUMBERS), st.integers(-3, 3)),
    st.tuples(st.just('stop'), st.sampled_from(list(StopReason))),
    st.tuples(st.just('permission'), st.booleans()),
    st.tuples(st.just('push'), st.tuples(spans(-0.3, 0.3), spans(-0.3, 0.3))),
    st.tuples(st.just('commander')),
    st.tuples(st.just('mend')),
    st.tuples(st.just('mend')),
)


class Watched(Rig):
    """A rig that holds each output against everything that was promised."""

    def __init__(self) -> None:
        super().__init__(settings_of(heartbeat_timeout_s=0.2), guard=GUARD)
        self.position = self.told = INSIDE.copy()
        # Where the arm began, and what was commanded last; None: nothing yet.
        self.begun: Array | None = None
        self.before = (INSIDE, np.zeros(2))
        # Whether there was a command since, whether there was a stop, and ticks since that.
        self.commanded, self.latched, self.braking = False, False, 0
        self.moved = False
        self.chord = 1e-3 + self.filter.chord_m(REACH)

    def do(self, name: str, *values: Any) -> None:
        getattr(self, f'do_{name}')(*values)
        self.latched |= self.supervisor.mode in (Mode.STOPPING, Mode.STOPPED)

    def do_work(self, ticks: int, wanted: tuple[float, float]) -> None:
        for _ in range(ticks):
            self.hear()
            self.say(wanted, 1)
            self.check()

    def do_silence(self, ticks: int) -> None:
        for _ in range(ticks):
            self.hear()
            self.check()

    def do_blind(self, ticks: int) -> None:
        for _ in range(ticks):
            self.say((1.0, -1.0), 1)
            self.check()

    def do_gap(self, seconds: float) -> None:
        before = self.now
        self.check(seconds)
        self.now = before if math.isnan(self.now) else self.now

    def do_state(self, position: Any, velocity: Any, age_s: float) -> None:
        self.state(position, velocity, age_s)
        # A velocity that is NaN was not measured; the position counts.
        usable = np.isfinite(position).all() and not np.isinf(velocity).any()
        if usable and abs(age_s) <= 0.1:
            self.told = np.array(position)

    def do_command(self, wanted: tuple[float, float], ahead: int) -> None:
        self.say(wanted, ahead)

    def do_stop(self, cause: StopReason) -> None:
        self.supervisor.stop(self.now, cause, 'any')
        assert self.supervisor.mode in (Mode.STOPPING, Mode.STOPPED)

    def do_permission(self, granted: bool) -> None:
        self.supervisor.on_permission(self.now, 'program', granted)

    def do_push(self, by: tuple[float, float]) -> None:
        self.position = self.position + by

    def do_commander(self) -> None:
        self.supervisor.on_commander(self.now)

    def do_mend(self) -> None:
        """What an operator does: wait, take away the causes, clear."""
        for _ in range(6):
            self.check()
        self.do_permission(True)
        mode = self.supervisor.mode
        stopped = mode in (Mode.STOPPING, Mode.STOPPED)
        if stopped or mode == Mode.WAITING:
            self.position = INSIDE.copy()
        # Until the arm is seen to stand, and its last jump is old.
        for _ in range((RESTED + 20) * stopped):
            self.hear()
            self.check()
        self.hear()
        why = self.supervisor.clear(self.now)
        assert (why == '') == stopped
        if stopped:
            self.begin()

    def begin(self) -> None:
        self.begun, self.before = self.told, (self.told, np.zeros(2))
        self.moved = False
        self.commanded, self.latched, self.braking = False, False, 0

    def hear(self) -> None:
        self.told = self.position.copy()
        self.state()
        self.supervisor.on_heartbeat(self.now)

    def say(self, wanted: tuple[float, float], ahead: int) -> None:
        number = self.sequence + ahead
        running = self.supervisor.mode in (Mode.FOLLOWING, Mode.HOLDING)
        self.supervisor.on_command(self.now, wanted, number)
        if np.isfinite(wanted).all():
            self.commanded |= running
            self.sequence = max(self.sequence, number)

    def check(self, seconds: float = PERIOD) -> None:
        waited = self.supervisor.mode == Mode.WAITING
        output = self.tick(seconds)
        assert output.followed == (output.mode == Mode.FOLLOWING)
        assert output.mode != Mode.FOLLOWING or output.command_age_s <= 0.1
        assert bool(output.cause) == (output.mode in (Mode.STOPPING, Mode.STOPPED))
        self.latched |= output.mode in (Mode.STOPPING, Mode.STOPPED)
        assert not self.latched or output.mode in (Mode.STOPPING, Mode.STOPPED)
        assert output.mode != Mode.STOPPED or output.at_rest
        if output.position is None or output.velocity is None:
            assert output.mode in (Mode.WAITING, Mode.STOPPING, Mode.STOPPED)
            if output.mode == Mode.WAITING and self.begun is not None:
                # Only one that has not been moved is let go without a stop, to begin anew.
                assert not self.moved
                self.begun = None
            return
        running = output.mode in (Mode.FOLLOWING, Mode.HOLDING)
        if self.begun is None or (waited and running):
            assert output.position.tolist() == self.told.tolist()
            self.begin()
        halted = not (output.velocity.any() or self.before[1].any())
        if halted and not running and output.position.tolist() == self.told.tolist():
            # An arm that moves although it is not to is held where it has come to.
            self.begun, self.before = self.told, (self.told, np.zeros(2))
        if seconds > 0.05:
            # After a gap nothing is commanded that is faster than a brake, or in another direction.
            # All joints brake in the same time, which the fastest one sets.
            fastest = np.abs(self.before[1]).max()
            left = max(1.0 - 20.0 * PERIOD / fastest, 0.0) if fastest else 0.0
            assert (np.abs(output.velocity) <= np.abs(self.before[1]) * left * NEARLY + 1e-12).all()
            assert (output.velocity * self.before[1] >= 0.0).all()
            self.before = (self.before[0], output.velocity)
        self.follows(output.position, output.velocity)
        self.braking += self.latched
        assert self.braking < 5 or not output.velocity.any()
        assert self.commanded or not output.velocity.any()
        self.before = (output.position, output.velocity)
        self.moved |= bool(output.velocity.any())

    def follows(self, position: Array, velocity: Array) -> None:
        """From what was commanded before, within limits."""
        place, speed = self.before
        np.testing.assert_allclose(position - place, velocity * PERIOD, rtol=1e-9, atol=1e-12)
        most = 20.0 if self.latched else 10.0
        assert (np.abs(velocity - speed) <= most * PERIOD * NEARLY).all()
        assert (np.abs(velocity) <= NEARLY).all()
        assert self.begun is not None
        assert (position >= np.minimum(-2.0, self.begun)).all()
        assert (position <= np.maximum(2.0, self.begun)).all()
        out = float(GUARD.violation(self.begun[None])[0])
        assert GUARD.violation(position[None])[0] <= max(0.0, out) + self.chord


@settings(max_examples=300, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
@example([('silence', 1), ('gap', 0.06), ('push', (0.0, 0.25)), ('work', 1, (0.0, 0.0))])
@example(
    [
        ('state', (0.0, 0.0), (0.0, 0.0), 0.0), ('mend',), ('work', 1, (0.0, 0.0)),
        ('push', (0.0, 0.25)), ('silence', 1), ('gap', -0.3),
    ]
)  # fmt: skip
@example([('work', 5, (0.3, 1.0)), ('state', (0.0, 0.0), (0.0, 0.0), 0.0), ('gap', 0.06)])
@example(
    [
        ('work', 4, (0.0, 0.3)), ('state', (0.0, 1e308), (0.0, 0.0), 0.0), ('gap', 0.06),
        ('work', 1, (0.0, 0.0)),
    ]
)  # fmt: skip
def test_whatever_comes_is_within_limits_and_a_stop_is_a_stop(actions: list[Any]) -> None:
    """And a cleared arm, as one that begins, is where it was measured until there is a command."""
    rig = Watched()
    for action in actions:
        rig.do(*action)


SIZES = st.sampled_from([0.0, 1.0, 5e-324, 1e99, -1e99, 1e200, -1e200, 1.7e308, -1.7e308])


@settings(max_examples=100, deadline=None)
@given(
    states=st.lists(st.tuples(SIZES, SIZES, SIZES, SIZES), min_size=1, max_size=30),
    step_s=st.sampled_from([PERIOD, 1e-9, 0.0]),
    wanted=st.tuples(SIZES, SIZES),
)
@example([(1.7e308, 0.0, 0.0, 0.0), (-1.7e308, 0.0, 1.7e308, 0.0)] * 15, PERIOD, (1e200, 0.0))
def test_numbers_of_any_size_overflow_no_check(
    states: list[Any], step_s: float, wanted: tuple[float, float]
) -> None:
    """A warning of numpy in nrl_ros.robots.safety is an error in all tests (pyproject.toml)."""
    rig = Rig()
    rig.run(5, 0.3, 0.0)
    for values in states:
        rig.state(values[:2], values[2:])
        rig.command(*wanted)
        output = rig.tick(step_s)
        assert output.velocity is None or (np.abs(output.velocity) <= NEARLY).all()
    if any(max(map(abs, values[:2])) > 2.1 for values in states):
        assert rig.supervisor.mode in (Mode.STOPPING, Mode.STOPPED)


def silence(rig: Rig) -> None:
    """No joint states any more."""
    rig.state = lambda *_, **__: None  # type: ignore[method-assign]


def no_heartbeat(rig: Rig) -> None:
    rig.supervisor.on_heartbeat = lambda now: None  # type: ignore[method-assign]


def no_number(rig: Rig) -> None:
    rig.supervisor.on_state(rig.now, [math.nan, 0.0], [0.0, 0.0], 0.0)


def runaway(rig: Rig) -> None:
    rig.supervisor.on_state(rig.now, [0.0, 9.0], [0.0, 0.0], 0.0)


def button(rig: Rig) -> None:
    rig.supervisor.stop(rig.now, StopReason.EMERGENCY_STOP, 'pressed')


def program(rig: Rig) -> None:
    rig.supervisor.on_permission(rig.now, 'program', False)


def clock(rig: Rig) -> None:
    rig.now -= 1.0


def elsewhere(rig: Rig) -> None:
    """The arm is 0.15 rad away from wherever it is commanded to be."""

    def state(*_: Any, **__: Any) -> None:
        rig.supervisor.on_state(rig.now, rig.position + 0.15, rig.velocity, 0.0)

    rig.state = state  # type: ignore[method-assign]


def liar(rig: Rig) -> None:
    """A second publisher tells another place, after each of the true ones."""
    true = rig.state

    def state(*_: Any, **__: Any) -> None:
        true()
        rig.supervisor.on_state(rig.now, [1.3, -1.3], [0.0, 0.0], 0.0)

    rig.state = state  # type: ignore[method-assign]


def broken(rig: Rig) -> None:
    rig.filter._guard = None
    rig.filter._velocity = np.full((1, 2), np.nan)


FAULTS = {
    silence: StopReason.STALE_STATE,
    liar: StopReason.BAD_STATE,
    no_heartbeat: StopReason.HEARTBEAT_LOST,
    no_number: StopReason.BAD_STATE,
    runaway: StopReason.OUT_OF_LIMITS,
    button: StopReason.EMERGENCY_STOP,
    program: StopReason.NOT_PERMITTED,
    clock: StopReason.OVERRUN,
    elsewhere: StopReason.TRACKING_ERROR,
    broken: StopReason.CONTRACT,
}


@settings(max_examples=300, deadline=None)
@given(
    fault=st.sampled_from(list(FAULTS)),
    ticks=st.integers(1, 40),
    wanted=st.tuples(SENSIBLE, SENSIBLE),
    rates=st.tuples(spans(0.2, 1.5), spans(2.0, 20.0), spans(1.0, 3.0)),
    phase=spans(0.0, 0.0099),
)
def test_any_fault_is_standing_still_within_the_stated_time(
    fault: Any, ticks: int, wanted: Any, rates: Any, phase: float
) -> None:
    """Counted from the fault, which falls between two ticks; commands go on coming."""
    speed, acceleration, ratio = rates
    bounds = limits(
        velocity=(speed,) * 2,
        acceleration=(acceleration,) * 2,
        stop_acceleration=(ratio * acceleration,) * 2,
    )
    told = settings_of(heartbeat_timeout_s=0.15)
    rig = Rig(told, limits=bounds, hard_limits=FAST if fault is elsewhere else None)
    rig.supervisor.on_heartbeat(rig.now)
    rig.run(1)
    for _ in range(ticks):
        rig.supervisor.on_heartbeat(rig.now)
        rig.run(1, *wanted)
    rig.now += phase
    # The last of what was heard is as old as the fault.
    rig.state()
    rig.supervisor.on_heartbeat(rig.now)
    fault(rig)
    begin = rig.now
    rig.tick(PERIOD - phase)
    while rig.now - begin < told.standstill_time_s(bounds, PERIOD):
        rig.supervisor.on_heartbeat(rig.now)
        output = rig.run(1, *wanted)
    assert not rig.velocity.any()
    place = rig.position.tolist()
    output = rig.run(30, 1.0, 1.0)
    assert rig.position.tolist() == place
    if fault is silence and wanted == (0.0, 0.0):
        # An arm that was commanded nothing yet begins anew when its joint states come again.
        assert (output.mode, output.cause) == (Mode.WAITING, StopReason(0))
    elif fault is silence:
        # Whether it stands is not known.
        assert (output.mode, output.cause) == (Mode.STOPPING, FAULTS[fault])
    else:
        assert (output.mode, output.cause) == (Mode.STOPPED, FAULTS[fault])


@settings(max_examples=100, deadline=None)
@given(
    limits=some_limits(),
    period=spans(0.001, 0.1),
    parts=st.lists(
        st.tuples(st.integers(1, 20), st.booleans(), st.lists(NUMBERS, min_size=3, max_size=3)),
        max_size=12,
    ),
)
def test_commands_keep_the_jerk_that_is_told(
    limits: JointLimits, period: float, parts: list[tuple[int, bool, list[float]]]
) -> None:
    """Accelerations bound it: of motion in one period, of a stop in the next."""
    joints = len(limits.joints)
    motions = MotionFilter(limits, period)
    middle = 0.5 * (np.array(limits.position_low) + np.array(limits.position_high))
    motions.start(middle[None])
    seen = [np.zeros(joints), np.zeros(joints)]
    for ticks, stopping, wanted in parts:
        for _ in range(ticks):
            motion = motions.follow(np.array([wanted[:joints]]), np.array([stopping]))
            seen.append(motion.velocity[0])
    jerk = np.abs(np.diff(np.array(seen), 2, axis=0)) / period**2
    assert (jerk <= largest_jerk(limits, period) * NEARLY + 1e-9).all()
