"""An arm rests when it is measured to, and a commander is one sender, never two."""

from __future__ import annotations

import numpy as np
import pytest

from nrl_ros.base.settings import changed
from nrl_ros.robots.safety.commander import (
    CommanderBinding,
    CommandOrigin,
    FollowedWatch,
    Judgement,
)
from nrl_ros.robots.safety.records import Mode, StopReason
from nrl_ros.robots.safety.rest import RestWatch
from nrl_ros.robots.safety.standing import PRESS
from tests.unit.safety_bench import PERIOD, RESTED, SETTINGS, Rig

VELOCITY = changed(SETTINGS, {'anchor_gain': 0.05, 'controller': 'the controller'})
POSITION = changed(VELOCITY, {'anchor_gain': 0.0})


def watch(speeds: list[float], reported: float | None = None) -> RestWatch:
    """A watch that has seen one joint move so fast in each hundredth of a second."""
    made, place = RestWatch(0.05, 0.1, gap_s=0.2), 0.0
    for number, speed in enumerate(speeds):
        place += 0.01 * speed
        seen = speed if reported is None else reported
        made.put(0.01 * number, np.array([place]), np.array([seen]))
    return made


def test_rest_takes_a_tenth_of_a_second() -> None:
    assert not watch([0.0] * 10).at_rest
    assert watch([0.0] * 11).at_rest
    assert not watch([1.0] + [0.0] * 9).at_rest
    assert watch([1.0] + [0.0] * 10).at_rest


def test_positions_tell_of_a_motion_that_velocities_deny_and_the_other_way_round() -> None:
    assert watch([0.3] * 20, reported=0.0).moves
    assert watch([0.0] * 20, reported=0.3).moves
    assert not watch([0.04] * 20, reported=0.04).moves


def test_a_time_next_to_nothing_is_judged_by_the_reported_velocity() -> None:
    made = RestWatch(0.05, 1e-10, gap_s=0.2)
    made.put(1.0, np.zeros(1), np.array([0.3]))
    assert made.moves and not made.at_rest


def test_after_a_gap_nothing_is_known() -> None:
    made = watch([0.0] * 20)
    made.put(1.0, np.zeros(1), np.zeros(1))
    assert not made.at_rest and not made.moves


class Runaway(Rig):
    """An arm that another node left in motion; it obeys once it is commanded."""

    speed = 0.3

    def __init__(self, made_with=VELOCITY, **options) -> None:  # type: ignore[no-untyped-def]
        super().__init__(made_with, **options)
        self.velocity = np.array([self.speed, 0.0])

    def go_on(self, ticks: int) -> list[tuple[Mode, np.ndarray | None, str]]:
        """Tick; the arm moves on for as long as nobody commands it."""
        said = []
        for _ in range(ticks):
            self.state()
            self.now += PERIOD
            output = self.supervisor.tick(self.now)
            if output.velocity is not None:
                self.velocity = output.velocity.copy()
            self.position = self.position + PERIOD * self.velocity
            said.append((output.mode, output.velocity, output.text))
        return said


@pytest.mark.parametrize('made_with', [VELOCITY, POSITION], ids=['velocity', 'position'])
def test_an_arm_that_moves_at_the_start_is_commanded_to_stand(made_with) -> None:  # type: ignore[no-untyped-def]
    rig = Runaway(made_with)
    before = rig.go_on(20)
    # Joints by place, of a controller that nobody has asked, would be exchanged.
    assert all(velocity is None for _, velocity, _ in before)
    assert 'moves at 0.3 rad/s (joint_0)' in before[-1][2]
    rig.supervisor.on_permission(rig.now, 'the controller', True)
    after = rig.go_on(3)
    assert after[0][1] is not None and not after[0][1].any()
    assert all(mode == Mode.WAITING for mode, _, _ in after)
    assert not rig.velocity.any()


@pytest.mark.parametrize('made_with', [VELOCITY, POSITION], ids=['velocity', 'position'])
def test_a_stop_of_an_arm_that_moves_is_no_rest(made_with) -> None:  # type: ignore[no-untyped-def]
    rig = Runaway(made_with)
    rig.go_on(3)
    rig.supervisor.stop(rig.now, StopReason.EMERGENCY_STOP, 'a test')
    done, said = rig.supervisor.standstill(rig.now)
    assert not done and PRESS in said and 'no permission of the controller' in said
    told = rig.go_on(60)
    assert {mode for mode, _, _ in told} == {Mode.STOPPING}
    assert f'moves at 0.3 rad/s (joint_0): {PRESS}' in told[-1][2]
    rig.supervisor.on_permission(rig.now, 'the controller', True)
    told = rig.go_on(20)
    assert told[-1][0] == Mode.STOPPED
    assert rig.supervisor.standstill(rig.now) == (True, 'stopped: the arm is at rest')


def test_a_dry_run_says_that_nothing_is_commanded() -> None:
    rig = Runaway(changed(VELOCITY, {'dry_run': True, 'controller': ''}))
    said = rig.go_on(40)
    assert not rig.velocity[1] and rig.velocity[0] == Runaway.speed
    assert 'this is a dry run' in said[-1][2]
    rig.supervisor.stop(rig.now, StopReason.EMERGENCY_STOP, 'a test')
    done, text = rig.supervisor.standstill(rig.now)
    assert not done and 'this is a dry run' in text


def test_without_joint_states_a_stopped_arm_is_commanded_zero_velocity() -> None:
    rig = Rig(changed(VELOCITY, {'controller': ''}))
    rig.run(RESTED + 5, 0.5, 0.0)
    outputs = []
    for _ in range(60):
        rig.now += PERIOD
        outputs.append(rig.supervisor.tick(rig.now))
    assert outputs[-1].cause & StopReason.STALE_STATE
    assert outputs[-1].mode == Mode.STOPPING
    assert outputs[-1].velocity is not None and not outputs[-1].velocity.any()
    assert PRESS in outputs[-1].alarm


COMMAND = CommandOrigin('arm', 7, 100, 1_000_000, [0.1, 0.2], b'a')


def bound() -> CommanderBinding:
    """A binding to who has sent COMMAND at the time 0."""
    made = CommanderBinding()
    assert made.judge(0.0, COMMAND) == (Judgement.BOUND, '')
    return made


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'sequence': 2**63}, 'the sequence jumps from 100 to 9223372036854775808'),
        ({'sequence': 250}, 'the sequence jumps from 100 to 250'),
        ({'sequence': 99, 'stamp_ns': 2_000_000}, 'the sequence falls from 100 to 99'),
        ({'velocity': [5.0, 5.0]}, 'sequence 100 comes twice, with different velocities'),
        ({'agent': 'other', 'sequence': 101}, "agent 'other' uses the session of 'arm'"),
        ({'publisher': b'b', 'sequence': 101}, 'another publisher uses its session'),
    ],
)
def test_two_who_command_as_one_are_found(change: dict[str, object], said: str) -> None:
    judged, why = bound().judge(0.01, COMMAND._replace(**change))
    assert judged is Judgement.MIXED and why.startswith(said)


def test_what_a_lossy_network_does_to_one_commander_is_no_mixture() -> None:
    binding, late = bound(), COMMAND._replace(sequence=99, stamp_ns=900_000)
    for command in (
        COMMAND,
        COMMAND._replace(sequence=103, stamp_ns=1_300_000),
        late,
        COMMAND._replace(sequence=104, stamp_ns=1_400_000),
    ):
        assert binding.judge(0.01, command)[0] is Judgement.FOLLOWED
    # Half a second of lost commands at 500 Hz.
    gap = COMMAND._replace(sequence=354, stamp_ns=3_000_000)
    assert binding.judge(0.51, gap)[0] is Judgement.FOLLOWED


def test_another_session_may_command_after_a_second_of_silence() -> None:
    binding, other = bound(), COMMAND._replace(session=8, sequence=1, publisher=b'b')
    assert binding.judge(0.5, other)[0] is Judgement.FOREIGN
    assert binding.judge(1.1, other)[0] is Judgement.BOUND
    binding.release()
    assert binding.judge(1.2, COMMAND)[0] is Judgement.BOUND


def followed_instead(told: list[tuple[int, float]], *, silent: int = 0) -> list[int]:
    """Who is followed instead of session 7, as told of session and age of its newest command.

    Session 7 does not command itself the first ``silent`` times that it is told, 0.1 s apart.
    """
    watch, others = FollowedWatch(7), []
    for number, (session, age_s) in enumerate(told):
        watch.hear(100.0 + 0.1 * number, session, age_s, commands=number >= silent)
        others.append(watch.other)
    return others


def test_a_commander_learns_soon_that_another_one_is_followed_instead() -> None:
    others = followed_instead([(0, np.inf)] * 5 + [(8, 0.01)] * 15)
    assert not any(others[:17]) and others[18] == 8
    # Whose turn it is again is no matter of a moment.
    assert not followed_instead([(8, 0.01)] * 15 + [(7, 0.01)])[-1]


def test_a_predecessor_that_has_died_is_no_other_commander() -> None:
    dying = [(8, 0.1 * number) for number in range(10)]
    assert not any(followed_instead([*dying, (8, 1.0), *[(8, 5.0)] * 30]))
    assert not any(followed_instead([*dying, *[(7, 0.0)] * 30]))
    # One message that somebody has made up is none either.
    assert not any(followed_instead([(7, 0.0), (8, 0.0)] * 30))


def test_who_speaks_while_the_arm_is_stopped_ends_nothing_before_it_is_to_move() -> None:
    others = followed_instead([(8, 0.01)] * 60, silent=40)
    assert not any(others[:52]) and others[53] == 8
