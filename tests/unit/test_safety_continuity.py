"""Two publishers of joint states are never believed both, whoever comes first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.settings import changed
from nrl_ros.robots.safety.continuity import Continuity
from nrl_ros.robots.safety.records import Mode
from tests.unit.safety_bench import PERIOD, SETTINGS, Rig, limits_of

TOP = np.array([1.5, 1.5])


def continuity() -> Continuity:
    return Continuity(limits_of(joints=('a', 'b')), TOP, 0.02)


@pytest.mark.parametrize('elapsed_s', [0.0, 0.002, 0.1, -0.05])
def test_what_the_largest_speed_leads_to_is_no_jump(elapsed_s: float) -> None:
    """Stamps may be off by 10 ms, run back, or stand still."""
    watch = continuity()
    watch.put(0.0, 5.0, np.zeros(2))
    way = 1.5 * abs(elapsed_s) + 0.034
    assert not watch.put(0.0, 5.0 + elapsed_s, np.array([0.0, way]))


def test_a_jump_names_the_joint_and_both_numbers() -> None:
    watch = continuity()
    watch.put(0.0, 5.0, np.zeros(2))
    said = watch.put(0.01, 5.01, np.array([0.0, -0.4]))
    assert 'b is said to have jumped by 0.400 rad in 0.010 s, expected at most 0.050' in said
    # One jump is somebody who has moved it.
    assert not watch.problem(0.02)
    assert watch.put(0.02, 5.02, np.zeros(2))
    assert watch.problem(0.03) and not watch.problem(0.3)


@pytest.mark.parametrize('rate_hz', [1.0, 8.0, 30.0, 110.0])
@pytest.mark.parametrize('first', ['true', 'false'])
def test_a_moving_arm_is_not_led_astray_by_a_second_publisher(rate_hz: float, first: str) -> None:
    """Who is heard last before the arm begins is believed; the other one stops it."""
    rig = Rig()
    rig.run(1)
    rig.run(150, -1.0, 0.0)
    before = rig.position.copy()
    assert before[0] < -1.0
    if first == 'false':
        rig = Rig()
    lie, due = np.zeros(2), 0.0
    for tick in range(300):
        if tick * PERIOD >= due:
            due += 1.0 / rate_hz
            rig.supervisor.on_state(rig.now, lie, np.zeros(2), 0.0)
        if first == 'true' or tick > 5:
            rig.state(before if first == 'false' else None)
        rig.command(-1.0, 0.0)
        rig.tick()
    if first == 'true':
        # Braking from 1 rad/s with 20 rad/s^2 takes 0.025 rad, and a tick.
        # Where both are heard in turn, neither shows an arm at rest.
        assert rig.supervisor.mode in (Mode.STOPPING, Mode.STOPPED) and not rig.velocity.any()
        assert rig.position[0] > before[0] - 0.05
    assert rig.counters['states_jumped'] > 1


def test_an_arm_that_jumps_to_and_fro_does_not_begin() -> None:
    rig = Rig(changed(SETTINGS, {'settle_s': 0.05}))
    for _ in range(100):
        rig.state([1.0, 0.0])
        rig.state([0.0, 0.0])
        output = rig.tick()
        assert output.mode == Mode.WAITING
    assert 'second node publish' in output.text


def test_a_stopped_arm_may_be_moved_by_hand_and_is_cleared_there() -> None:
    rig = Rig()
    rig.run(5, 1.0, 0.0)
    rig.stop()
    rig.position = np.array([1.0, -1.0])
    rig.state()
    assert not rig.supervisor.clear(rig.now)
    output: Any = rig.run(1)
    assert output.position.tolist() == [1.0, -1.0]
