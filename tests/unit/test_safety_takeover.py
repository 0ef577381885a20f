"""An arm whose safety node has died is commanded to stand at once, and nothing is guessed."""

from __future__ import annotations

import numpy as np
import pytest

from nrl_ros.base.settings import changed
from nrl_ros.robots.safety.records import Mode
from nrl_ros.robots.safety.settings import SupervisorSettings
from nrl_ros.robots.safety.takeover import LastWord, Takeover, is_lost, unknown
from tests.unit.safety_bench import FAST, PERIOD, SETTINGS, Array, limits_of

VELOCITY = changed(
    SETTINGS,
    {
        'anchor_gain': 0.05,
        'controller': 'the controller',
        'permissions': ('the controller', 'the robot program'),
    },
)
POSITION = changed(VELOCITY, {'anchor_gain': 0.0})
JOINTS = ('joint_0', 'joint_1')
SAID = LastWord(JOINTS, commanded=True, dry_run=False)


class Abandoned:
    """An arm that goes on as it was commanded last: at 0.3 rad/s, until it is commanded anew."""

    def __init__(self, settings: SupervisorSettings) -> None:
        self.takeover = Takeover(settings, limits_of(), FAST, PERIOD)
        self.now, self.speed = 100.0, 0.3
        self.position: Array = np.array([0.2, -0.1])
        self.takeover.begin(self.now)

    def period(self, *, heard: bool = True) -> tuple[Array | None, Array | None]:
        """Let a period pass; returns the position and the velocity that are commanded in it."""
        self.now += PERIOD
        self.position = self.position + PERIOD * np.array([self.speed, 0.0])
        if heard:
            velocity = np.array([self.speed, 0.0])
            self.takeover.on_state(self.now, self.position, velocity, 0.0)
        output = self.takeover.tick(self.now)
        if output.velocity is not None:
            # A velocity controller is sent this, a position controller what stands beside it.
            self.speed = 0.0
        return output.position, output.velocity


def test_zero_velocities_are_the_first_command_whether_joint_states_come_or_not() -> None:
    for heard in (True, False):
        _, velocity = Abandoned(VELOCITY).period(heard=heard)
        assert velocity is not None and not velocity.any()


def test_without_joint_states_an_arm_of_positions_is_commanded_nothing() -> None:
    arm = Abandoned(POSITION)
    assert all(arm.period(heard=False) == (None, None) for _ in range(50))


def test_where_positions_are_commanded_it_is_the_measured_one_and_it_stays_so() -> None:
    arm, commanded = Abandoned(POSITION), None
    for _ in range(20):
        before = arm.position
        position, velocity = arm.period()
        if commanded is None and position is not None:
            commanded = position
            assert np.abs(commanded - before).max() <= 0.3 * PERIOD + 1e-12
        if commanded is not None:
            assert position is not None and velocity is not None
            assert np.array_equal(position, commanded) and not velocity.any()
    assert commanded is not None
    # The speed is known after a few periods, so within a tenth of a second.
    assert arm.now - 100.0 < 0.21


def test_a_position_beyond_the_limits_may_be_a_wrong_one_and_is_not_commanded() -> None:
    arm = Abandoned(POSITION)
    arm.position = np.array([200.0, 0.0])
    assert all(arm.period() == (None, None) for _ in range(30))


@pytest.mark.parametrize('settings', [VELOCITY, POSITION], ids=['velocity', 'position'])
def test_it_ends_once_the_arm_is_measured_at_rest_and_never_moves_it(
    settings: SupervisorSettings,
) -> None:
    arm = Abandoned(settings)
    for _ in range(60):
        _, velocity = arm.period()
        assert velocity is None or not velocity.any()
        if arm.takeover.is_at_rest:
            break
    assert arm.takeover.is_at_rest
    assert arm.takeover.tick(arm.now + PERIOD).mode is Mode.STOPPED


def test_an_arm_that_does_not_obey_is_commanded_for_as_long_as_it_moves() -> None:
    arm = Abandoned(VELOCITY)
    for _ in range(200):
        _, velocity = arm.period()
        assert velocity is not None and not velocity.any() and not arm.takeover.is_at_rest
        arm.speed = 0.3


@pytest.mark.parametrize(
    ('last', 'why'),
    [
        (SAID, ''),
        (None, 'nothing was heard of the safety node, so that its controller is not known'),
        (SAID._replace(dry_run=True), 'ran dry'),
        (SAID._replace(commanded=False), 'commanded nothing, so that its controller is not known'),
        (SAID._replace(joints=JOINTS[::-1]), r"commanded ['joint_1', 'joint_0'], expected"),
    ],
)
def test_what_the_dead_one_commanded_says_whether_its_controller_is_known(
    last: LastWord | None, why: str
) -> None:
    said = unknown(last, JOINTS)
    assert (why in said) if why else said == ''


@pytest.mark.parametrize(
    ('last', 'lost'),
    [
        (SAID, True),
        (None, False),
        (SAID._replace(dry_run=True), False),
        (SAID._replace(commanded=False), False),
        # It has ended in order, and its arm stands.
        (SAID._replace(at_rest=True), False),
    ],
)
def test_a_safety_node_is_lost_if_it_is_silent_while_its_arm_may_move(
    last: LastWord | None, lost: bool
) -> None:
    most_s = VELOCITY.max_tick_gap_s
    assert is_lost(last, most_s + 1e-6, most_s) is lost
    assert not is_lost(last, most_s, most_s)
