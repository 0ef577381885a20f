"""An arm that does not move at all is told from one that lags."""

from __future__ import annotations

import numpy as np
import pytest

from nrl_ros.base.settings import changed
from nrl_ros.robots.safety.records import Mode, StopReason
from tests.unit.safety_bench import SETTINGS, Rig

SLOW = changed(SETTINGS, {'tracking_error_rad': 0.1})


def begun(**changes: object) -> Rig:
    rig = Rig(changed(SLOW, changes))
    rig.run(3)
    assert rig.supervisor.mode == Mode.HOLDING
    return rig


def deaf(rig: Rig, ticks: int, *wanted: float) -> str:
    """Command an arm that stands; returns what the supervisor says last."""
    place = rig.position.copy()
    for _ in range(ticks):
        rig.state(place, np.zeros(2))
        rig.command(*wanted)
        output = rig.tick()
        if output.cause:
            break
    rig.position = place
    return output.text


@pytest.mark.parametrize('anchor_gain', [0.0, 0.05])
@pytest.mark.parametrize('speed', [0.05, 0.3, 1.0, -1.0])
def test_an_arm_that_has_not_moved_is_asked_for_its_controller(
    anchor_gain: float, speed: float
) -> None:
    """However slow: where velocities are commanded, slow ones make no tracking error."""
    rig = begun(anchor_gain=anchor_gain)
    said = deaf(rig, 600, 0.0, speed)
    assert 'the arm has not moved at all in' in said and 'list_controllers' in said
    assert 'to move joint_1 by ' in said and 'from its reference' not in said
    assert rig.supervisor.tick(rig.now).cause == StopReason.TRACKING_ERROR


@pytest.mark.parametrize('anchor_gain', [0.0, 0.05])
def test_it_is_said_again_after_a_clear(anchor_gain: float) -> None:
    rig = begun(anchor_gain=anchor_gain)
    assert 'not moved at all' in deaf(rig, 600, 0.3, 0.0)
    for _ in range(50):
        rig.state(rig.position, np.zeros(2))
        rig.supervisor.tick(rig.now)
    assert not rig.supervisor.clear(rig.now)
    assert 'not moved at all' in deaf(rig, 600, 0.3, 0.0)


def test_an_arm_that_moves_and_is_then_blocked_has_a_tracking_error() -> None:
    """It follows for a while, and is then held: the reference leaves it behind."""
    rig = begun(tracking_time_s=0.3)
    rig.run(10, 1.0, 0.0)
    place = rig.position.copy()
    for _ in range(20):
        rig.state(place, np.zeros(2))
        rig.command(1.0, 0.0)
        assert not rig.tick().cause
    place[0] += 0.02
    while not (output := rig.tick()).cause:
        rig.state(place, np.zeros(2))
        rig.command(1.0, 0.0)
    assert 'rad from its reference' in output.text


@pytest.mark.parametrize('wanted', [(0.0, 0.0), (0.02, -0.02)])
def test_an_obedient_arm_is_never_asked(wanted: tuple[float, float]) -> None:
    rig = begun(anchor_gain=0.05)
    for _ in range(300):
        assert not rig.run(1, *wanted).cause


def test_an_arm_that_is_told_to_tremble_need_not_move() -> None:
    rig = begun(anchor_gain=0.05)
    place = rig.position.copy()
    for tick in range(400):
        rig.state(place, np.zeros(2))
        rig.command(*(np.array([0.1, 0.1]) * (-1) ** (tick // 5)))
        assert not rig.tick().cause
