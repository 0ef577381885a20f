"""What the supervisor makes of joint states, commands, silence and faults, one by one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import changed, load
from nrl_ros.robots.arm.description import RobotDescription
from nrl_ros.robots.safety.braking import Limited
from nrl_ros.robots.safety.motion import Motion, MotionFilter
from nrl_ros.robots.safety.records import Mode, StopReason, SupervisorOutput
from nrl_ros.robots.safety.settings import SupervisorSettings
from nrl_ros.robots.safety.supervisor import Supervisor
from tests.unit.safety_bench import (
    FAST,
    GUARD,
    INSIDE,
    PERIOD,
    RESTED,
    SETTINGS,
    Rig,
    Wall,
    settings_of,
)
from tests.unit.safety_bench import limits_of as limits


def moving(settings: SupervisorSettings = SETTINGS, **options: Any) -> Rig:
    """An arm at full speed."""
    rig = Rig(settings, **options)
    rig.run(1)
    output = rig.run(12, 1.0, -1.0)
    assert output.mode == Mode.FOLLOWING
    assert output.velocity is not None
    assert output.velocity.tolist() == [1.0, -1.0]
    return rig


def stops(rig: Rig, cause: StopReason) -> None:
    """From full speed the arm brakes in five ticks, and stays where it is whatever comes."""
    speeds = [float(rig.tick().velocity[0]) for _ in range(5)]  # type: ignore[index]
    assert speeds == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])
    place = rig.position.tolist()
    output = rig.run(50, 1.0, 1.0)
    assert output.mode == Mode.STOPPED
    assert output.cause == cause
    assert output.text
    assert not output.followed
    assert rig.position.tolist() == place
    assert rig.velocity.tolist() == [0.0, 0.0]
    assert rig.counters[f'stop_{cause.name}'.lower()] == 1


def test_without_joint_states_nothing_is_commanded() -> None:
    rig = Rig()
    for _ in range(100):
        rig.command(1.0, 1.0)
        output = rig.tick()
        assert output.mode == Mode.WAITING
        assert output.position is None
        assert output.velocity is None
        assert output.text == 'no joint state'
    assert output.state_age_s == math.inf
    assert rig.counters['commands_ignored'] == 100


def test_the_first_command_is_where_the_arm_is_measured() -> None:
    rig = Rig()
    rig.position = np.array([0.7071067811865476, -1.3])
    rig.command(1.0, 1.0)
    output = rig.run(1)
    assert output.mode == Mode.HOLDING
    assert output.position is not None
    assert output.velocity is not None
    assert output.position.tolist() == [0.7071067811865476, -1.3]
    assert output.velocity.tolist() == [0.0, 0.0]
    # The command that came before is not followed.
    for _ in range(5):
        assert rig.run(1).velocity.tolist() == [0.0, 0.0]  # type: ignore[union-attr]


def test_a_command_is_followed_within_limits_and_said_to_be() -> None:
    rig = Rig()
    rig.run(1)
    output = rig.run(1, 2.0, 0.05)
    assert output.mode == Mode.FOLLOWING
    assert output.followed
    assert output.sequence == rig.sequence
    assert output.velocity is not None
    assert output.velocity == pytest.approx([0.1, 0.05])
    assert output.limited == Limited.VELOCITY | Limited.ACCELERATION
    assert output.command_age_s == pytest.approx(PERIOD)
    assert output.state_age_s == pytest.approx(PERIOD)
    assert rig.counters['limited_velocity'] == rig.counters['limited_acceleration'] == 1
    assert rig.counters['limited_workspace'] == 0


def test_silence_is_a_ramp_to_zero_and_a_new_command_goes_on() -> None:
    """Followed until it is 0.105 s old, then ten ticks of 0.1 rad/s."""
    rig = moving()
    speeds = []
    for _ in range(22):
        output = rig.run(1)
        assert output.velocity is not None
        speeds.append(float(output.velocity[0]))
    # The last command was one tick old when the silence began.
    assert speeds[:9] == [1.0] * 9
    assert speeds[9:19] == pytest.approx(np.arange(9, -1, -1) / 10, abs=1e-12)
    assert speeds[19:] == [0.0] * 3
    assert output.mode == Mode.HOLDING
    assert output.cause == StopReason(0)
    assert rig.counters['commands_stale'] == 1
    assert rig.counters['held'] == 1 + 13
    assert rig.run(1, 1.0, 1.0).mode == Mode.FOLLOWING


def test_a_held_arm_is_still_within_the_stated_time() -> None:
    bound = SETTINGS.hold_time_s(limits(), PERIOD)
    assert bound == pytest.approx(0.105 + 0.02 + 0.1)
    rig = moving()
    last = rig.now - PERIOD
    while rig.run(1).velocity.any():  # type: ignore[union-attr]
        pass
    assert rig.now - last <= bound


@pytest.mark.parametrize('bad', [(math.nan, 0.0), (0.0, math.inf), (0.0,), 'fast', None, (None, 0)])
def test_a_command_that_is_none_counts_as_missing(bad: Any) -> None:
    rig = moving()
    for _ in range(30):
        rig.state()
        rig.sequence += 1
        rig.supervisor.on_command(rig.now, bad, rig.sequence)
        output = rig.tick()
    assert output.mode == Mode.HOLDING
    assert not rig.velocity.any()
    assert rig.counters['commands_refused'] == 30


def test_an_old_or_doubled_command_is_refused() -> None:
    rig = Rig()
    rig.run(1)
    for sequence, wanted in ((7, 0.1), (7, 0.9), (6, 0.9)):
        rig.state()
        rig.supervisor.on_command(rig.now, (wanted, wanted), sequence)
        output = rig.tick()
        assert output.sequence == 7
        assert rig.velocity == pytest.approx([0.1, 0.1])
    assert rig.counters['commands_reordered'] == 2


def test_numbers_of_commands_may_be_anything_that_rises() -> None:
    rig = Rig()
    rig.run(1)
    for sequence in (-5, -1, 0, 2**70):
        rig.state()
        rig.supervisor.on_command(rig.now, (1.0, 1.0), sequence)
        output = rig.tick()
        assert output.followed
        assert output.sequence == sequence
    assert rig.counters['followed'] == 4


def test_another_commander_counts_from_anywhere() -> None:
    rig = moving()
    rig.supervisor.on_commander(rig.now)
    assert rig.run(1).mode == Mode.HOLDING
    rig.sequence = 0
    assert rig.run(1, 0.5, 0.5).sequence == 1
    assert rig.counters['commands_reordered'] == 0


def emergency(rig: Rig) -> None:
    rig.supervisor.stop(rig.now, StopReason.EMERGENCY_STOP, 'somebody pressed it')


def bad_state(rig: Rig) -> None:
    rig.state(velocity=[0.0, math.inf])


def beyond(rig: Rig) -> None:
    rig.state(position=[0.0, 2.03])


def too_fast(rig: Rig) -> None:
    """Five states, as no single one decides."""
    place = rig.position.copy()
    for step in range(5):
        rig.now += 0.01
        rig.state(position=place - [0.0151 * (step + 1), 0.0], velocity=[-1.51, 0.0])
        if step < 3:
            rig.supervisor.tick(rig.now)


def withdrawn(rig: Rig) -> None:
    rig.supervisor.on_permission(rig.now, 'robot_program_running', False)


def nameless(rig: Rig) -> None:
    rig.supervisor.stop(rig.now, StopReason(0), 'for no cause')


@pytest.mark.parametrize(
    ('fault', 'cause'),
    [
        (emergency, StopReason.EMERGENCY_STOP),
        (bad_state, StopReason.BAD_STATE),
        (beyond, StopReason.OUT_OF_LIMITS),
        (too_fast, StopReason.OUT_OF_LIMITS),
        (withdrawn, StopReason.NOT_PERMITTED),
        (nameless, StopReason.CONTRACT),
    ],
)
def test_a_fault_stops_with_the_next_tick(fault: Callable[[Rig], None], cause: StopReason) -> None:
    rig = moving()
    rig.state()
    rig.command(1.0, 1.0)
    fault(rig)
    assert rig.supervisor.mode == Mode.STOPPING
    stops(rig, cause)


@pytest.mark.parametrize('bad', [[0.0], [[0.0, 0.0]], None, 'x', [math.inf, 0.0]])
def test_a_joint_state_of_another_shape_is_bad(bad: Any) -> None:
    rig = moving()
    rig.state(position=bad, velocity=bad)
    assert (rig.supervisor.mode == Mode.STOPPING) == (bad is not None)
    assert rig.counters['states_bad'] == (bad is not None)


def test_hardware_that_follows_in_steps_is_not_too_fast() -> None:
    """Four states a period: the first has all of its way, and reports four times the speed."""
    rig = Rig()
    rig.run(1)
    for _ in range(200):
        before = rig.position.copy()
        rig.command(0.5 * math.cos(rig.now), 0.5)
        output = rig.tick(PERIOD / 4)
        place = rig.position.copy()
        rig.state(velocity=(place - before) / (PERIOD / 4))
        for _ in range(3):
            rig.now += PERIOD / 4
            rig.state(velocity=[0.0, 0.0])
        assert output.mode == Mode.FOLLOWING
    assert rig.position[1] > 0.9


def test_a_little_beyond_a_limit_is_tolerated() -> None:
    rig = Rig()
    rig.position = np.array([0.0, 2.015])
    assert rig.run(1).mode == Mode.HOLDING
    rig.state(velocity=[1.49, -1.49])
    assert rig.run(20, 1.0, 1.0).mode == Mode.FOLLOWING
    assert rig.position[1] == 2.015
    rig.run(20, 0.0, -1.0)
    assert rig.position[1] < 2.0


def test_limits_of_the_filter_may_be_narrower_than_those_of_the_arm() -> None:
    rig = Rig(limits=limits().with_margin(0.1), hard_limits=limits())
    rig.position = np.array([1.95, 0.0])
    rig.run(1)
    assert rig.run(30, 1.0, 0.0).mode == Mode.FOLLOWING
    assert rig.position[0] == 1.95
    rig.run(50, -1.0, 0.0)
    rig.run(300, 1.0, 0.0)
    assert rig.position[0] <= 1.9


def test_stale_joint_states_stop() -> None:
    """Not when they are 0.10 s old, but 0.11 s."""
    rig = moving()
    rig.state()
    for _ in range(10):
        rig.command(1.0, -1.0)
        assert rig.tick().mode == Mode.FOLLOWING
    rig.command(1.0, -1.0)
    assert rig.tick().mode == Mode.STOPPING
    assert rig.counters['stop_stale_state'] == 1
    for _ in range(4):
        output = rig.tick()
    assert output.velocity is not None
    assert not output.velocity.any()
    assert output.cause == StopReason.STALE_STATE
    # Whether it stands is not known, and not said.
    assert output.mode == Mode.STOPPING
    assert output.text.startswith('joint state is 0.110 s old; commanded to stand, is not seen')
    assert rig.run(RESTED).mode == Mode.STOPPED


def hold_up(rig: Rig) -> None:
    """Joint states fail to come."""
    rig.state()
    for _ in range(10):
        rig.command(0.0, 0.0)
        assert rig.tick().mode != Mode.WAITING
    output = rig.tick()
    assert output.mode == Mode.WAITING
    # Nothing is commanded, so that nothing jumps back to where it was.
    assert output.position is None


def no_ticks(rig: Rig) -> None:
    """The process is held up."""
    rig.now += 1.0
    rig.state()
    assert rig.tick().mode == Mode.WAITING


@pytest.mark.parametrize('fault', [hold_up, no_ticks])
def test_an_arm_that_has_not_been_moved_begins_anew(fault: Callable[[Rig], None]) -> None:
    """Programs that are just starting hold each other up: that is no stop, and moves nothing."""
    rig = Rig()
    for turn in range(3):
        rig.run(20, 0.0, 0.0)
        fault(rig)
        assert rig.counters['begun_anew'] == turn + 1
        assert not rig.velocity.any()
        # What is said meanwhile is not followed, and it begins where it is then.
        rig.command(1.0, 1.0)
        rig.position = np.array([0.1 * turn, 0.2])
        output = rig.run(1)
        assert output.mode == Mode.HOLDING
        assert output.position is not None
        assert output.position.tolist() == [0.1 * turn, 0.2]
        assert not rig.run(1).velocity.any()  # type: ignore[union-attr]
    assert not any(rig.counters[name] for name in rig.counters if name.startswith('stop_'))
    # From its first motion on it is a stop, also when it stands again.
    rig.run(1, 0.01, 0.0)
    rig.run(30, 0.0, 0.0)
    rig.state()
    for _ in range(12):
        output = rig.tick()
    assert output.mode == Mode.STOPPING
    assert output.cause == StopReason.STALE_STATE


def test_an_emergency_stop_that_was_pressed_before_has_time_to_be_heard() -> None:
    rig = Rig(changed(SETTINGS, {'listen_s': 0.305}))
    output = rig.run(30, 1.0, 1.0)
    assert (output.mode, output.position) == (Mode.WAITING, None)
    assert output.text.startswith('an emergency stop that was pressed before is listened for')
    assert rig.run(2).mode == Mode.HOLDING
    # Once is enough, also where joint states are lost before the first motion.
    for _ in range(12):
        assert rig.tick().mode in (Mode.HOLDING, Mode.WAITING)
    assert rig.supervisor.mode == Mode.WAITING
    assert rig.run(1).mode == Mode.HOLDING


def test_nothing_is_commanded_before_all_has_come_in_time_for_a_while() -> None:
    """A period is 0.01 s; joint states are too old after eleven."""
    rig = Rig(changed(SETTINGS, {'settle_s': 0.205}))
    output = rig.run(15, 1.0, 1.0)
    assert (output.mode, output.position) == (Mode.WAITING, None)
    settling = 'all has come in time for 0.14 s, expected 0.205 s (watchdog.settle_s)'
    assert output.text == settling
    for _ in range(10):
        output = rig.tick()
    assert output.text == 'joint state is 0.110 s old'
    # From the last that was late it counts anew, as it does when the process itself was held up.
    assert rig.run(20).mode == Mode.WAITING
    rig.now += 1.0
    assert rig.run(21).mode == Mode.WAITING
    assert rig.run(1).mode == Mode.HOLDING
    # And so it does for an arm that begins anew, but not after a stop that was cleared.
    no_ticks(rig)
    assert rig.run(21).mode == Mode.WAITING
    assert rig.run(1).mode == Mode.HOLDING
    rig.supervisor.stop(rig.now, StopReason.EMERGENCY_STOP, 'a person')
    rig.run(RESTED)
    assert rig.supervisor.clear(rig.now) == ''
    assert rig.run(1).mode == Mode.HOLDING


@pytest.mark.parametrize('age', [0.11, -0.11, math.nan, math.inf])
def test_joint_states_with_untrusted_stamps_are_missing(age: float) -> None:
    rig = moving()
    for _ in range(16):
        rig.state(age_s=age)
        output = rig.tick()
    assert output.cause == StopReason.STALE_STATE
    assert rig.counters['states_skewed'] == 16
    assert re.search('0.11 s (ahead of|behind) the clock|are no times', output.text)


def test_the_age_of_a_stamp_counts_and_the_future_does_not() -> None:
    rig = Rig()
    rig.state(age_s=0.05)
    assert rig.tick().state_age_s == pytest.approx(0.06)
    rig.state(age_s=-0.05)
    assert rig.tick().state_age_s == pytest.approx(0.01)


def test_an_arm_that_does_not_follow_is_stopped() -> None:
    """It is held fast."""
    rig = Rig()
    rig.run(1)
    place = rig.position.copy()
    ticks = 0
    while rig.supervisor.mode != Mode.STOPPING:
        rig.state(position=place, velocity=[0.0, 0.0])
        rig.command(1.0, 0.0)
        output = rig.tick()
        ticks += 1
    # 0.055 rad after ten ticks, 0.105 after 15, seen by the 16th, and eleven more are 0.11 s.
    assert ticks == 16 + 11
    assert output.cause == StopReason.TRACKING_ERROR


def test_a_dry_run_tells_what_would_come_next_from_where_the_arm_is() -> None:
    """The arm stands, then somebody moves it: neither is an error, and nothing runs ahead."""
    rig = Rig(changed(SETTINGS, {'dry_run': True}))
    rig.run(1)
    for tick in range(100):
        place = np.array([0.01 * max(tick - 50, 0), 0.0])
        rig.state(position=place, velocity=[0.0, 0.0])
        rig.command(1.0, 0.0)
        output = rig.tick()
        assert output.mode == Mode.FOLLOWING
        assert output.velocity is not None and output.position is not None
        assert output.velocity[0] == pytest.approx(min(0.1 * (tick + 1), 1.0))
        assert output.position == pytest.approx(place + PERIOD * output.velocity)


def test_a_dry_run_shows_no_velocity_without_a_stop() -> None:
    """Somebody moves the arm at once to where the velocity that is shown has no room."""
    rig = Rig(changed(SETTINGS, {'dry_run': True}), hard_limits=FAST)
    rig.run(1)
    for place in [0.0] * 20 + [1.96, 1.99, 2.0]:
        rig.state(position=[place, 0.0], velocity=[0.0, 0.0])
        rig.command(1.0, 0.0)
        output = rig.tick()
        assert output.mode == Mode.FOLLOWING
        assert output.velocity is not None and output.position is not None
        speed = output.velocity[0]
        assert output.position[0] + speed * speed / 20 <= 2.0 + 1e-9


def test_time_astray_begins_anew_with_a_clear() -> None:
    rig = Rig(hard_limits=FAST)
    rig.run(1)
    while rig.supervisor.mode != Mode.STOPPED:
        rig.state(position=[0.5, 0.5])
        rig.tick()
    rig.run(RESTED + 4)
    rig.state()
    assert rig.supervisor.clear(rig.now) == ''
    for _ in range(5):
        rig.state(position=[0.5, 0.5])
        assert rig.tick().mode == Mode.HOLDING


def test_an_arm_that_comes_back_in_time_is_not_stopped() -> None:
    rig = Rig(hard_limits=FAST)
    rig.run(1)
    for _ in range(10):
        for lag in (0.3, 0.0):
            for _ in range(8):
                rig.state(position=rig.position + lag)
                output = rig.tick()
    assert output.mode == Mode.HOLDING


def test_a_lost_heartbeat_stops() -> None:
    rig = Rig(settings_of(heartbeat_timeout_s=0.045))
    assert 'no heartbeat' in rig.run(1).text
    rig.supervisor.on_heartbeat(rig.now)
    assert rig.run(1).mode == Mode.HOLDING
    for _ in range(20):
        rig.supervisor.on_heartbeat(rig.now)
        assert rig.run(1, 1.0, -1.0).mode == Mode.FOLLOWING
    # The last one was a tick ago.
    modes = [rig.run(1, 1.0, -1.0).mode for _ in range(4)]
    assert modes == [Mode.FOLLOWING] * 3 + [Mode.STOPPING]
    rig.run(9)
    assert rig.supervisor.clear(rig.now).startswith('no heartbeat')
    rig.run(RESTED)
    rig.supervisor.on_heartbeat(rig.now)
    rig.state()
    assert rig.supervisor.clear(rig.now) == ''


def test_no_heartbeat_is_asked_for_by_default() -> None:
    assert moving().run(300, 1.0, -1.0).mode == Mode.FOLLOWING


def test_an_arm_waits_for_its_permissions() -> None:
    rig = Rig(settings_of(permissions=('program', 'speed')))
    assert rig.run(1).text == 'no permission of program, speed'
    rig.supervisor.on_permission(rig.now, 'program', True)
    assert rig.run(1).mode == Mode.WAITING
    rig.supervisor.on_permission(rig.now, 'speed', True)
    assert rig.run(1).mode == Mode.HOLDING
    rig.supervisor.on_permission(rig.now, 'speed', False)
    assert rig.run(1).cause == StopReason.NOT_PERMITTED
    assert rig.supervisor.clear(rig.now) == 'no permission of speed'
    # Granting it again starts nothing.
    rig.supervisor.on_permission(rig.now, 'speed', True)
    assert rig.run(50, 1.0, 1.0).mode == Mode.STOPPED
    rig.state()
    assert rig.supervisor.clear(rig.now) == ''


def test_the_reason_of_a_stop_is_said_also_where_its_effect_was_noticed_first() -> None:
    rig = moving()
    rig.stop(StopReason.TRACKING_ERROR)
    rig.supervisor.on_permission(rig.now, 'program', False)
    assert rig.run(1).cause == StopReason.TRACKING_ERROR
    rig.supervisor.on_permission(rig.now, 'commands', False, 'somebody else publishes commands')
    verdict = rig.run(RESTED)
    assert verdict.mode == Mode.STOPPED
    assert verdict.cause == StopReason.TRACKING_ERROR | StopReason.NOT_PERMITTED
    assert verdict.text == 'for a test; somebody else publishes commands'


@pytest.mark.parametrize('gap', [0.051, 1.0, 1e6])
def test_ticks_too_far_apart_stop(gap: float) -> None:
    rig = moving()
    rig.now += gap - PERIOD
    rig.state()
    rig.command(1.0, -1.0)
    rig.now -= gap - PERIOD
    output = rig.tick(gap)
    assert output.cause == StopReason.OVERRUN
    assert output.mode == Mode.STOPPING
    assert rig.velocity == pytest.approx([0.8, -0.8])


MEASURED = (-0.9, -0.5, -0.01, 0.0, 0.01, 0.1, 0.5, 0.9, 1.0)


def after_gap(rig: Rig, gap: float, velocity: Any, age_s: float, states: int) -> SupervisorOutput:
    """A tick so long after the one before, with so many joint states, the newest of such an age."""
    begin = rig.now
    rig.now += gap
    for earlier in reversed(range(states)):
        age = age_s + earlier * PERIOD
        position = rig.position + (gap - age) * np.clip(velocity, -1.0, 1.0)
        rig.supervisor.on_state(rig.now, position, velocity, age)
    rig.now = begin
    return rig.tick(gap)


@pytest.mark.parametrize('gap', [0.2, 0.35, 1.0])
@pytest.mark.parametrize('first', MEASURED)
@pytest.mark.parametrize('second', MEASURED)
def test_after_a_gap_the_brake_begins_from_how_fast_the_arm_still_is(
    gap: float, first: float, second: float
) -> None:
    """Whoever commanded it meanwhile may have stopped it: no joint is set in motion again."""
    rig = moving()
    output = after_gap(rig, gap, [first, second], 0.0, 12)
    assert output.cause & StopReason.OVERRUN and output.velocity is not None
    # It moved at 1 and -1 rad/s, and brakes by 0.2 rad/s in a tick.
    still = np.array([np.clip(first, 0.0, 1.0), np.clip(second, -1.0, 0.0)])
    fastest = np.abs(still).max()
    expected = still * (1.0 - min(0.2 / fastest, 1.0) if fastest else 0.0)
    assert output.velocity == pytest.approx(expected, abs=1e-9)
    for _ in range(5):
        output = rig.run(1, 1.0, -1.0)
    assert output.velocity is not None and not output.velocity.any()


@pytest.mark.parametrize(('gap', 'age_s'), [(0.06, 0.021), (0.09, 0.041), (0.35, 0.11)])
def test_after_a_gap_what_was_measured_before_a_watchdog_acted_does_not_count(
    gap: float, age_s: float
) -> None:
    rig = moving()
    output = after_gap(rig, gap, [1.0, -1.0], age_s, 1)
    assert output.cause & StopReason.OVERRUN and output.velocity is not None
    assert not output.velocity.any()


def test_after_a_gap_an_arm_that_nobody_has_stopped_brakes() -> None:
    rig = moving()
    rig.now += 0.06
    rig.state(rig.position + 0.05 * rig.velocity, age_s=0.01)
    rig.now -= 0.06
    output = rig.tick(0.06)
    assert output.cause == StopReason.OVERRUN
    assert output.velocity == pytest.approx([0.8, -0.8])


def test_a_brake_that_was_interrupted_by_a_gap_goes_on_from_how_fast_the_arm_still_is() -> None:
    """The arm was at 0.8 rad/s when the process was paused, and stands when it goes on."""
    rig = moving()
    rig.supervisor.on_permission(rig.now, 'program', False)
    begun = rig.tick()
    assert begun.mode == Mode.STOPPING and begun.velocity == pytest.approx([0.8, -0.8])
    output = after_gap(rig, 0.35, [0.0, -0.3], 0.0, 12)
    # The brake takes 0.2 rad/s in a tick.
    assert output.velocity == pytest.approx([0.0, -0.1])


def test_after_a_gap_without_joint_states_zero_is_commanded_at_once() -> None:
    rig = moving()
    output = rig.tick(0.35)
    assert output.cause == StopReason.OVERRUN | StopReason.STALE_STATE
    assert output.velocity is not None and not output.velocity.any()


@pytest.mark.parametrize('now', [math.nan, math.inf, -math.inf, 99.0])
def test_a_clock_that_does_not_run_forwards_stops(now: float) -> None:
    rig = moving()
    output = rig.supervisor.tick(now)
    assert output.cause == StopReason.OVERRUN
    assert output.velocity == pytest.approx([0.8, -0.8])


@pytest.mark.parametrize('now', [math.nan, -math.inf, 99.0])
@pytest.mark.parametrize(
    ('name', 'values'),
    [
        ('on_state', ([0.0, 0.0], [0.0, 0.0], 0.0)),
        ('on_command', ([1.0, 1.0], 10**6)),
        ('on_heartbeat', ()),
        ('on_permission', ('program', True)),
        ('on_commander', ()),
    ],
)
def test_whatever_comes_at_a_time_that_cannot_be_stops(now: float, name: str, values: Any) -> None:
    rig = moving()
    getattr(rig.supervisor, name)(now, *values)
    assert rig.supervisor.mode == Mode.STOPPING
    output = rig.supervisor.tick(now)
    assert output.cause == StopReason.OVERRUN
    for _ in range(4):
        output = rig.supervisor.tick(now)
    assert output.velocity is not None
    assert not output.velocity.any()
    # Nothing that is heard has a time, so that it is not known whether the arm stands.
    assert output.mode == Mode.STOPPING
    if not math.isfinite(now):
        assert rig.supervisor.clear(now) == f'the time is {now}'


def test_a_permission_is_withdrawn_whatever_the_time() -> None:
    rig = moving()
    rig.supervisor.on_permission(math.nan, 'program', False)
    assert rig.run(5 + RESTED).cause == StopReason.OVERRUN
    assert rig.supervisor.clear(rig.now) == 'no permission of program'


def test_what_was_heard_before_the_clock_was_set_back_is_forgotten() -> None:
    rig = moving()
    rig.now -= 50.0
    for _ in range(8):
        output = rig.tick()
    assert output.state_age_s == math.inf
    assert rig.supervisor.clear(rig.now) == 'no joint state'
    rig.run(RESTED)
    assert rig.supervisor.clear(rig.now) == ''
    assert rig.run(5, 1.0, 1.0).mode == Mode.FOLLOWING


def test_a_stop_is_cleared_only_when_it_stands_and_holds_until_a_new_command() -> None:
    rig = moving()
    assert rig.supervisor.clear(rig.now) == 'the arm is not stopped'
    emergency(rig)
    rig.run(1, 1.0, 1.0)
    assert rig.supervisor.clear(rig.now) == 'the arm is still being stopped'
    rig.run(8, 1.0, 1.0)
    for _ in range(5):
        rig.state(velocity=[0.0, 0.06])
        rig.tick()
    assert rig.supervisor.clear(rig.now) == 'the arm still moves at 0.0600 rad/s (joint_1)'
    rig.run(5)
    assert rig.supervisor.clear(rig.now) == 'the arm has not stood for 0.1 s yet'
    # Meanwhile somebody has moved it.
    rig.position = np.array([0.4, 0.4])
    rig.run(RESTED, 1.0, 1.0)
    rig.state(position=[0.4, 0.4])
    assert rig.supervisor.clear(rig.now) == ''
    rig.position = np.array([0.4, 0.4])
    for _ in range(5):
        # A doubled message of before is not new.
        rig.supervisor.on_command(rig.now, (1.0, 1.0), rig.sequence)
        output = rig.run(1)
        assert output.mode == Mode.HOLDING
        assert output.cause == StopReason(0)
        assert output.text == ''
        assert rig.position.tolist() == [0.4, 0.4]
    assert rig.run(1, 1.0, 1.0).mode == Mode.FOLLOWING
    assert rig.velocity == pytest.approx([0.1, 0.1])


def test_a_stop_is_not_cleared_while_its_cause_persists() -> None:
    rig = moving()
    beyond(rig)
    rig.run(25)
    rig.state(position=[0.0, 2.03])
    assert rig.supervisor.clear(rig.now) == 'joint_1 is 0.0300 rad beyond its limits'
    rig.now += 0.2
    rig.tick()
    assert 'joint state is' in rig.supervisor.clear(rig.now)
    rig.run(RESTED)
    assert rig.supervisor.clear(rig.now) == ''


def test_causes_that_come_together_are_all_told() -> None:
    rig = moving()
    emergency(rig)
    emergency(rig)
    rig.supervisor.stop(rig.now, StopReason.CONTRACT, 'something else')
    output = rig.run(4 + RESTED)
    assert output.cause == StopReason.EMERGENCY_STOP | StopReason.CONTRACT
    assert output.text == 'somebody pressed it; something else'
    assert rig.counters['stop_emergency_stop'] == 1


def test_a_stop_before_the_beginning_is_latched_too() -> None:
    rig = Rig()
    emergency(rig)
    output = rig.run(RESTED, 1.0, 1.0)
    assert output.mode == Mode.STOPPED
    assert output.position is None
    assert rig.supervisor.clear(rig.now) == ''
    assert rig.run(1).position is not None


def not_ready(rig: Rig) -> None:
    rig.state(position=[0.0, math.nan])


@pytest.mark.parametrize('fault', [bad_state, not_ready, beyond, too_fast])
def test_an_arm_that_is_not_as_it_should_be_is_waited_for(fault: Callable[[Rig], None]) -> None:
    """Drivers publish NaN until their hardware is there."""
    rig = Rig()
    for _ in range(5):
        fault(rig)
        output = rig.tick()
        assert output.mode == Mode.WAITING
        assert output.text
    assert rig.run(5).mode == Mode.HOLDING


def test_what_a_guard_raises_is_a_stop() -> None:
    class Broken:
        broken = False

        def violation(self, position: Any) -> Any:
            if self.broken:
                raise RuntimeError('no kinematics')
            return np.full(len(position), -1.0)

    guard = Broken()
    rig = moving(guard=guard)
    rig.state()
    rig.command(1.0, 1.0)
    guard.broken = True
    stops(rig, StopReason.CONTRACT)
    assert 'no kinematics' in rig.supervisor.clear(rig.now)
    guard.broken = False
    rig.state()
    assert rig.supervisor.clear(rig.now) == ''
    rig = Rig(guard=guard)
    guard.broken = True
    output = rig.run(RESTED)
    assert output.mode == Mode.STOPPED
    assert output.position is None


@pytest.mark.parametrize(
    ('position', 'velocity'),
    [(0.3, 1.0), (math.nan, 1.0), (0.0, 1.1), (0.0, math.nan), (0.0, 0.7)],
)
def test_a_filter_that_leaves_its_limits_is_a_stop(position: float, velocity: float) -> None:
    """A step, a speed, a jump of velocity, or no number."""

    class Faulty(MotionFilter):
        faulty = False

        def follow(self, wanted_velocity: Any, stopping: Any = None) -> Motion:
            motion = super().follow(wanted_velocity, stopping)
            if not self.faulty:
                return motion
            speeds = np.array([[velocity, -1.0]])
            return Motion(motion.position + [[position, 0.0]], speeds, motion.limited)

    rig = Rig()
    rig.filter = Faulty(limits(), PERIOD)
    rig.supervisor = Supervisor(settings_of(), rig.filter)
    rig.run(1)
    rig.run(12, 1.0, -1.0)
    rig.filter.faulty = True
    rig.state()
    rig.command(1.0, -1.0)
    stops(rig, StopReason.CONTRACT)


def test_a_wall_is_reported_and_counted() -> None:
    rig = Rig(limits=limits(1), guard=Wall(0.0005))
    rig.run(1)
    assert rig.run(1, 1.0).limited & Limited.WORKSPACE
    assert rig.counters['limited_workspace'] == 1


def test_an_anchored_reference_follows_the_arm() -> None:
    """An arm that does 98 % of what it is told, for 20 s; without an anchor it would be 0.2 off."""
    rig = Rig(settings_of(anchor_gain=0.1), limits=limits(1))
    rig.run(1)
    arm = 0.0
    for tick in range(2000):
        rig.state(position=[arm])
        rig.command(1.0 if tick % 100 < 50 else -0.9)
        output = rig.tick()
        assert output.velocity is not None
        arm += PERIOD * (0.98 * output.velocity[0] - 0.01)
    assert output.mode == Mode.FOLLOWING
    assert output.position is not None
    assert abs(output.position[0] - arm) < 0.02
    assert rig.counters['stop_contract'] == 0


def test_the_bound_on_standstill_is_detection_two_periods_and_braking() -> None:
    settings = SupervisorSettings(heartbeat_timeout_s=0.3)
    assert settings.standstill_time_s(limits(), PERIOD) == pytest.approx(0.3 + 0.02 + 0.05)
    usual = SupervisorSettings().standstill_time_s(limits(), PERIOD)
    assert usual == pytest.approx(0.1 + 0.02 + 0.05)


@pytest.mark.parametrize(
    ('fields', 'text'),
    [
        ({'state_timeout_s': 0.0}, 'state_timeout_s: .* greater than 0 .received 0.0'),
        ({'command_timeout_s': math.nan}, 'command_timeout_s: .* finite number'),
        ({'state_skew_s': math.inf}, 'state_skew_s: .* finite number'),
        ({'tracking_error_rad': -1.0}, 'tracking_error_rad: .* greater than 0'),
        ({'position_tolerance_rad': -1.0}, 'position_tolerance_rad: .* equal to 0'),
        ({'velocity_factor': 0.9}, 'velocity_factor: .* equal to 1'),
        ({'heartbeat_timeout_s': -0.1}, 'heartbeat_timeout_s: .* equal to 0'),
        ({'anchor_gain': 1.1}, 'anchor_gain: .* equal to 1'),
    ],
)
def test_settings_out_of_range_are_refused(fields: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        SupervisorSettings(**fields)  # type: ignore[arg-type]


def test_a_supervisor_that_does_not_fit_its_filter_is_refused() -> None:
    settings = settings_of()
    with pytest.raises(ConfigError, match='one arm'):
        Supervisor(settings, MotionFilter(limits(), PERIOD, arms=2))
    with pytest.raises(ConfigError, match='joint_2'):
        Supervisor(settings, MotionFilter(limits(), PERIOD), limits(3))
    with pytest.raises(ConfigError, match='max_tick_gap_s must be longer than the period'):
        Supervisor(settings, MotionFilter(limits(), 0.06))


def test_the_tool_stays_in_its_box_behind_a_supervisor() -> None:
    rig = Rig(guard=GUARD)
    rig.position = INSIDE.copy()
    rig.run(1)
    rig.run(300, -1.0, -1.0)
    assert GUARD.violation(rig.position[None])[0] <= 1e-3 + rig.filter.chord_m(0.7)
    assert rig.counters['limited_workspace'] > 0


def test_the_page_names_every_mode_cause_setting_and_counter() -> None:
    page = Path(__file__).resolve().parents[2] / 'docs/safety.md'
    named = set(re.findall(r'`([^`\n]+)`', page.read_text(encoding='utf-8')))
    wanted = {member.name for kind in (Mode, StopReason) for member in kind}
    wanted |= set(SupervisorSettings.model_fields)
    wanted |= {name for name in Rig().counters if not name.startswith('stop_')}
    assert not wanted - named


def test_every_limit_of_the_supervisor_is_one_of_the_robots_description() -> None:
    """And is declared once: the description has the supervisor's own defaults and ranges."""
    connections = {'anchor_gain', 'dry_run', 'permissions', 'state_topic', 'controller', 'released'}
    limits_of_all = set(SupervisorSettings.model_fields) - connections
    watchdog = RobotDescription().watchdog
    for name in limits_of_all:
        value = getattr(SupervisorSettings(), name)
        assert getattr(watchdog, name) == value
        told = load(RobotDescription, {f'watchdog.{name}': 2.0 * value + 1.0}, source='x')
        assert getattr(told.watchdog, name) == 2.0 * value + 1.0
        with pytest.raises(ConfigError, match=f'watchdog.{name}: .*received -1'):
            load(RobotDescription, {f'watchdog.{name}': -1.0}, source='x')
