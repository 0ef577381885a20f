"""What is said of joint states that cannot be used, and how often."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.settings import changed
from nrl_ros.robots.safety.announcer import Announcer, without_numbers
from nrl_ros.robots.safety.records import Mode, StopReason
from nrl_ros.robots.safety.state_monitor import StateMonitor, unit_question
from tests.unit.safety_bench import SETTINGS, Rig, limits_of

WAITS = changed(SETTINGS, {'state_topic': '/joint_states', 'state_skew_s': 0.5, 'settle_s': 0.205})


def waits(rig: Rig, seconds: float, rate: float, **state: Any) -> list[str]:
    """What is said in each tick of 10 ms, while states come at a rate."""
    said, due = [], 0.0
    for tick in range(round(100 * seconds)):
        while due <= 0.01 * tick:
            rig.state(**state)
            due += 1.0 / rate
        said.append(rig.tick().text)
    return said


def test_without_a_joint_state_the_topic_is_named_and_the_driver_asked_for() -> None:
    said = Rig(WAITS).tick().text
    assert said.startswith('no joint state on /joint_states: is the driver')


@pytest.mark.parametrize(
    ('age', 'said'),
    [
        (-0.8, '0.80 s ahead of the clock here, expected within 0.5 s (watchdog.state_skew_s)'),
        (1.5, '1.50 s behind the clock here, expected within 0.5 s (watchdog.state_skew_s)'),
        (1.7e9, '1700000000.00 s behind the clock here'),
        (math.nan, 'the stamps of the joint states on /joint_states are no times'),
        (0.3, '/joint_states are 0.310 s old by their stamps when they come, expected at most 0.1'),
    ],
)
def test_stamps_that_are_off_are_said_with_their_direction_and_setting(
    age: float, said: str
) -> None:
    texts = waits(Rig(WAITS), 1.0, 100.0, age_s=age)
    assert said in texts[-1]
    assert len({without_numbers(text) for text in texts[1:]}) == 1
    assert math.isnan(age) or 'compare the clocks' in texts[-1]


def test_a_rate_that_is_too_low_is_said_with_the_one_that_is_needed() -> None:
    """Seven a second; from the third on nothing else is said, whether the last one is fresh."""
    texts = waits(Rig(WAITS), 4.0, 7.0)[50:]
    assert {without_numbers(text) for text in texts} == {without_numbers(texts[0])}
    assert 'on /joint_states come 7.0 times a second' in texts[-1]
    assert 'expected more than 10 Hz' in texts[-1]
    assert 'raise watchdog.state_timeout_s' in texts[-1]


@pytest.mark.parametrize('rate', [15.0, 125.0, 1000.0])
def test_a_rate_that_is_high_enough_is_not_complained_of(rate: float) -> None:
    rig = Rig(WAITS)
    texts = waits(rig, 1.0, rate)
    assert rig.supervisor.mode == Mode.HOLDING
    assert not any('times a second' in text for text in texts)


def test_a_pause_is_not_called_a_low_rate() -> None:
    rig = Rig(WAITS)
    waits(rig, 0.15, 125.0)
    said = waits(rig, 0.5, 1e-9)[-1]
    assert said.startswith('joint state is 0.5') and said.endswith('none comes on /joint_states')


@pytest.mark.parametrize(
    ('state', 'said'),
    [
        ({'position': [0.0, math.nan]}, 'the position of joint_1 is nan'),
        ({'position': [math.inf, 0.0]}, 'the position of joint_0 is inf'),
        ({'velocity': [0.0, -math.inf]}, 'the velocity of joint_1 is -inf'),
        ({'position': [0.0]}, 'expected 2 finite positions'),
    ],
)
def test_a_number_that_is_none_is_said_with_its_joint(state: Any, said: str) -> None:
    assert said in waits(Rig(WAITS), 0.3, 100.0, **state)[-1]


def test_velocities_that_are_not_measured_are_not_waited_for() -> None:
    rig = Rig(WAITS)
    waits(rig, 1.0, 100.0, velocity=[math.nan, 0.0])
    assert rig.supervisor.mode == Mode.HOLDING
    assert rig.counters['states_bad'] == 0


def test_messages_of_others_are_named_only_where_nothing_else_comes() -> None:
    rig = Rig(WAITS)
    rig.supervisor.on_foreign_state(rig.now, ['left_joint_0', 'left_joint_1'])
    said = rig.tick().text
    assert "none of the joints ['joint_0', 'joint_1'], received ['left_joint_0'" in said
    # A gripper's, beside the arm's.
    for _ in range(30):
        rig.supervisor.on_foreign_state(rig.now, ['finger'])
        rig.state()
        assert 'finger' not in rig.tick().text
    assert rig.supervisor.mode == Mode.HOLDING


def test_messages_that_cannot_be_read_say_why_nothing_is_there() -> None:
    rig = Rig(WAITS)
    rig.supervisor.on_unusable_state(rig.now, "the joint state lacks joint 'joint_1'")
    assert rig.tick().text == "no joint state: the joint state lacks joint 'joint_1'"
    # A single one among good ones is none of it.
    rig.run(30)
    rig.supervisor.on_unusable_state(rig.now, 'position: expected 3 numbers')
    rig.run(5)
    assert rig.supervisor.mode == Mode.HOLDING


@pytest.mark.parametrize(
    ('factor', 'unit'), [(180.0 / math.pi, 'degrees'), (1000.0, 'milliradians')]
)
def test_angles_in_another_unit_are_asked_for(factor: float, unit: str) -> None:
    place = [0.4 * factor, 0.8 * factor]
    said = waits(Rig(WAITS), 0.5, 100.0, position=place)[-1]
    assert re_begins(said, 'joint_1 is ', f'rad beyond its limits: are these {unit}?')


def re_begins(text: str, *parts: str) -> bool:
    return text.startswith(parts[0]) and all(part in text for part in parts)


@pytest.mark.parametrize('values', [(2.03, 0.0), (2.3, 0.0), (1e6, 0.0), (9e3, -9e3)])
def test_what_is_beyond_a_limit_in_any_unit_is_not_called_degrees(values: Any) -> None:
    assert unit_question(values, (-2.0, -2.0), (2.0, 2.0)) == ''


def test_a_joint_that_slides_is_told_in_metres() -> None:
    limits = limits_of(units=('m', 'rad'), velocity=(0.5, 0.5))
    rig = Rig(WAITS, limits=limits)
    assert (
        'joint_0 is 28.0000 m beyond its limits' in waits(rig, 0.5, 100.0, position=[30.0, 0.0])[-1]
    )
    rig = Rig(WAITS, limits=limits)
    said = [
        waits(rig, 0.02, 100.0, position=[place, 0.0])[-1] for place in np.arange(0.0, 1.0, 0.01)
    ]
    assert 'm/s' in said[-1] and 'rad' not in said[-1]


def test_a_stop_says_the_cause_as_waiting_does() -> None:
    rig = Rig(changed(WAITS, {'settle_s': 0.0}))
    rig.run(1)
    rig.run(20, 1.0, 1.0)
    for _ in range(40):
        rig.state(age_s=-0.8)
        output = rig.tick()
    assert output.cause == StopReason.STALE_STATE
    assert '0.80 s ahead of the clock here' in output.text


def test_stamps_that_run_back_all_the_time_stop_it_and_are_said() -> None:
    rig = Rig(changed(WAITS, {'settle_s': 0.0}))
    rig.run(1)
    rig.run(20, 0.1, 0.1)
    for tick in range(100):
        rig.state(age_s=0.02 * (tick % 2))
        rig.command(0.1, 0.1)
        output = rig.tick()
    assert output.cause == StopReason.STALE_STATE
    assert 'the stamps of its joint states run back' in output.text


def test_a_monitor_forgets_what_was_long_ago() -> None:
    monitor = StateMonitor('/js', 0.1, 0.5, ('a',))
    monitor.refuse_stamp(0.0, -0.8)
    assert '0.80 s ahead' in monitor.why_late(1.0, math.inf)
    assert monitor.why_late(10.0, math.inf).startswith('no joint state on /js')
    monitor.refuse(10.0, 'bad')
    monitor.forget()
    assert monitor.why_late(10.0, math.inf).startswith('no joint state on /js: is the driver')


@pytest.mark.parametrize(
    ('one', 'other', 'equal'),
    [
        ('joint state is 0.112 s old', 'joint state is 12 s old', True),
        ('moves at -0.3 rad/s', 'moves at 1e-05 rad/s', True),
        ('is nan', 'is 0.5', True),
        ('joint1 is 0.3 rad beyond', 'joint2 is 0.3 rad beyond', False),
        ('no joint state', 'no heartbeat', False),
    ],
)
def test_texts_that_differ_in_numbers_alone_say_the_same(one: str, other: str, equal: bool) -> None:
    assert (without_numbers(one) == without_numbers(other)) == equal


def test_a_cause_is_said_once_and_again_when_it_is_another_one() -> None:
    announcer = Announcer(hold_s=0.5)
    said = [
        (round(now, 2), text)
        for now in np.arange(0.0, 60.0, 0.01)
        for text in [f'no state for {now:.2f} s' if now < 30.0 else 'no heartbeat']
        if announcer.due(float(now), text)
    ]
    assert said == [(0.5, 'no state for 0.50 s'), (30.5, 'no heartbeat')]


def test_two_causes_in_turn_are_not_said_for_ever() -> None:
    announcer = Announcer(again_s=10.0)
    count = sum(announcer.due(0.01 * tick, 'ab'[tick % 2]) for tick in range(1000))
    assert count == 2


def test_what_was_over_is_said_again_when_it_comes_back_after_a_while() -> None:
    announcer = Announcer(again_s=10.0)
    texts = ['stopped', 'stopped', '', 'stopped', 'stopped']
    assert [announcer.due(20.0 * at, text) for at, text in enumerate(texts)] == [
        True, False, False, True, False,
    ]  # fmt: skip
