"""An arm that is not to move is brought to rest, and nothing says that it stands before it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from nrl_ros.base.settings import changed
from nrl_ros.robots.safety.commander import CommanderBinding, CommandOrigin, Judgement
from nrl_ros.robots.safety.records import Mode, StopReason
from nrl_ros.robots.safety.rest import RestWatch
from nrl_ros.robots.safety.settings import SupervisorSettings
from nrl_ros.settings.safety import SafetyNodeSettings, loosened
from tests.unit.safety_bench import PERIOD, RESTED, SETTINGS, Rig

CONTROLLER = 'the controller'
# Where velocities are commanded, and where positions are.
VELOCITIES = changed(
    SETTINGS,
    {
        'anchor_gain': 0.05,
        'controller': CONTROLLER,
        'permissions': (CONTROLLER,),
        'settle_s': 1.0,
    },
)
POSITIONS = changed(VELOCITIES, {'anchor_gain': 0.0})
both = pytest.mark.parametrize('settings', [VELOCITIES, POSITIONS], ids=['velocity', 'position'])
PRESS = 'press the hardware emergency stop'


class Runaway(Rig):
    """An arm that another node, which has died, has set in motion; it obeys what is commanded."""

    def __init__(self, settings: SupervisorSettings, *, obeys: bool = True) -> None:
        super().__init__(settings)
        self.speed, self.obeys = np.array([0.3, 0.0]), obeys

    def go_on(self, ticks: int) -> Any:
        for _ in range(ticks):
            self.state(velocity=self.speed)
            self.now += PERIOD
            output = self.supervisor.tick(self.now)
            if self.obeys and output.velocity is not None:
                self.speed = output.velocity.copy()
            self.position = self.position + PERIOD * self.speed
        return output

    def permit(self) -> None:
        self.supervisor.on_permission(self.now, CONTROLLER, True)


@both
@pytest.mark.parametrize('stopped', [False, True])
def test_an_arm_that_moves_at_the_start_is_brought_to_rest(
    settings: SupervisorSettings, stopped: bool
) -> None:
    """As soon as the controller may be commanded; a velocity of 0, or where it is measured."""
    arm = Runaway(settings)
    if stopped:
        arm.supervisor.stop(arm.now, StopReason.EMERGENCY_STOP, 'a button')
    output = arm.go_on(20)
    assert (output.position, output.velocity) == (None, None)
    assert output.mode == (Mode.STOPPING if stopped else Mode.WAITING)
    assert 'moves at 0.3 rad/s' in output.text
    arm.permit()
    place = arm.position.copy()
    output = arm.go_on(1)
    assert output.velocity.tolist() == [0.0, 0.0]
    assert output.position.tolist() == place.tolist()
    output = arm.go_on(RESTED + 10)
    assert output.at_rest and not arm.speed.any()
    assert output.mode == (Mode.STOPPED if stopped else Mode.WAITING)
    # Who moves it by hand before it begins must not see it jump back.
    assert stopped or output.position is None


@both
def test_in_a_dry_run_nothing_is_commanded_to_an_arm_that_moves(
    settings: SupervisorSettings,
) -> None:
    arm = Runaway(changed(settings, {'dry_run': True}))
    arm.permit()
    assert arm.go_on(20).velocity is None


@both
def test_an_arm_that_runs_on_is_never_stopped_and_a_person_is_called(
    settings: SupervisorSettings,
) -> None:
    arm = Runaway(settings, obeys=False)
    arm.permit()
    arm.supervisor.stop(arm.now, StopReason.EMERGENCY_STOP, 'a button')
    arm.go_on(10)
    ok, said = arm.supervisor.standstill(arm.now)
    assert ok and 'moves at 0.3 rad/s (joint_0) and is commanded to stand' in said
    output = arm.go_on(50)
    assert output.mode == Mode.STOPPING
    if settings is VELOCITIES:
        assert output.alarm == f'commanded to stand, moves at 0.3 rad/s (joint_0): {PRESS}'
    assert PRESS in output.alarm and output.alarm in output.text
    assert 'moves at 0.3000 rad/s' in arm.supervisor.clear(arm.now)
    assert 'moves at 0.3 rad/s' in arm.supervisor.restless(arm.now)


def test_the_answer_to_a_stop_is_true() -> None:
    """At rest; without a controller; without joint states, by velocities and by positions."""
    arm = Rig(VELOCITIES)
    stop = (StopReason.EMERGENCY_STOP, 'service')
    arm.supervisor.stop(arm.now, *stop)
    ok, said = arm.supervisor.standstill(arm.now)
    assert not ok and 'no permission of the controller' in said and PRESS in said
    arm.supervisor.on_permission(arm.now, CONTROLLER, True)
    ok, said = arm.supervisor.standstill(arm.now)
    assert ok and 'there is no joint state' in said
    # A velocity of 0 takes no position.
    output = arm.tick()
    assert (output.position, output.velocity.tolist()) == (None, [0.0, 0.0])  # type: ignore[union-attr]
    arm.run(RESTED)
    assert arm.supervisor.standstill(arm.now) == (True, 'stopped: the arm is at rest')
    arm = Rig(POSITIONS)
    arm.supervisor.on_permission(arm.now, CONTROLLER, True)
    arm.supervisor.stop(arm.now, *stop)
    ok, said = arm.supervisor.standstill(arm.now)
    assert not ok and 'there is no joint state' in said
    assert arm.tick().velocity is None


def test_what_is_answered_to_a_stop_is_what_is_known_of_the_arm() -> None:
    """Of an arm that nobody has commanded yet."""
    arm = Rig(VELOCITIES)
    arm.supervisor.on_permission(arm.now, CONTROLLER, True)
    arm.supervisor.stop(arm.now, StopReason.EMERGENCY_STOP, 'a button')
    arm.state()
    ok, said = arm.supervisor.standstill(arm.now)
    assert ok and 'has not been measured for long enough to know whether it moves' in said
    slow = Rig(VELOCITIES)
    slow.supervisor.on_permission(slow.now, CONTROLLER, True)
    slow.supervisor.stop(slow.now, StopReason.EMERGENCY_STOP, 'a button')
    for _ in range(8):
        # Long enough to know how fast it is, and not yet that it rests.
        slow.state()
        slow.now += PERIOD
    assert slow.supervisor.standstill(slow.now) == (True, 'stopping: the arm is slow')


def test_an_arm_that_has_not_stood_for_long_enough_is_not_left() -> None:
    arm = Rig(changed(POSITIONS, {'settle_s': 0.0}))
    arm.supervisor.on_permission(arm.now, CONTROLLER, True)
    # Nothing was commanded, and it is not seen to move.
    assert arm.supervisor.restless(arm.now) == ''
    arm.run(RESTED)
    arm.run(30, 0.3, 0.0)
    assert 'moves at 0.3 rad/s (joint_0)' in arm.supervisor.restless(arm.now)
    arm.run(12)
    said = [arm.supervisor.restless(arm.now)]
    for _ in range(40):
        arm.run(1)
        said.append(arm.supervisor.restless(arm.now))
    assert 'has not stood for 0.1 s yet' in said
    assert said[-1] == ''


def test_a_position_beyond_the_limits_is_not_commanded() -> None:
    """It may be in degrees."""
    arm = Runaway(POSITIONS)
    arm.permit()
    arm.position = np.array([43.0, 0.0])
    output = arm.go_on(20)
    assert output.velocity is None
    assert 'beyond its limits' in output.text


SPEEDS = st.sampled_from([0.0, 0.0, 0.0, 0.02, -0.04, 0.06, 0.3, -1.0])


@tries(max_examples=200, deadline=None)
@given(
    parts=st.lists(st.tuples(st.integers(1, 25), SPEEDS, st.booleans()), max_size=12),
    lies=st.booleans(),
    velocities=st.booleans(),
)
def test_stopped_is_at_rest_whatever_the_arm_does(
    parts: list[tuple[int, float, bool]], lies: bool, velocities: bool
) -> None:
    """Also where a driver reports velocities of 0 for an arm that moves."""
    arm = Rig(VELOCITIES if velocities else POSITIONS)
    arm.supervisor.on_permission(arm.now, CONTROLLER, True)
    arm.supervisor.stop(arm.now, StopReason.EMERGENCY_STOP, 'a button')
    told: list[tuple[float, float]] = []
    for ticks, speed, heard in parts:
        for _ in range(ticks):
            arm.position = arm.position + [PERIOD * speed, 0.0]
            if heard:
                arm.state(velocity=[0.0 if lies else speed, 0.0])
                told.append((arm.now, float(arm.position[0])))
            arm.now += PERIOD
            output = arm.supervisor.tick(arm.now)
            if output.mode != Mode.STOPPED:
                continue
            assert output.at_rest
            assert output.velocity is None or not output.velocity.any()
            # What was measured, in the tenth of a second before, is an arm that stands.
            (last, at), before = told[-1], [one for one in told if told[-1][0] - one[0] > 0.0999]
            assert arm.now - last < 0.11
            assert abs(at - before[-1][1]) <= 0.0501 * (last - before[-1][0])


def test_rest_is_judged_by_positions_too() -> None:
    watch = RestWatch(0.05, 0.1, gap_s=0.5)
    still = np.zeros(2)
    for tick in range(30):
        watch.put(0.01 * tick, np.array([0.001 * tick, 0.0]), still)
    assert watch.speeds.max() == pytest.approx(0.1)  # type: ignore[union-attr]
    assert watch.moves and not watch.at_rest
    # What was before a gap says nothing.
    watch.put(2.0, still, still)
    assert not watch.at_rest
    for tick in range(11):
        watch.put(2.01 + 0.01 * tick, still, still)
    assert watch.at_rest


TRUE = CommandOrigin('arm', 7, 100, 1_000, (0.1, 0.1), b'true')


@pytest.mark.parametrize(
    ('forged', 'why'),
    [
        (TRUE._replace(sequence=2**63), 'jumps from 100 to 9223372036854775808'),
        (TRUE._replace(sequence=101, publisher=b'other'), 'another publisher'),
        (TRUE._replace(sequence=101, agent='x' * 250), 'uses the session'),
        (TRUE._replace(sequence=90, stamp_ns=2_000, publisher=b''), 'falls from 100 to 90'),
        (TRUE._replace(velocity=(5.0, 5.0), publisher=b''), 'comes twice'),
    ],
)
def test_who_speaks_in_the_name_of_the_commander_is_found_out(
    forged: CommandOrigin, why: str
) -> None:
    binding = CommanderBinding()
    assert binding.judge(0.0, TRUE) == (Judgement.BOUND, '')
    judged, said = binding.judge(0.01, forged)
    assert judged is Judgement.MIXED and why in said
    # The true one still counts.
    following = TRUE._replace(sequence=101, stamp_ns=2_000)
    assert binding.judge(0.02, following) == (Judgement.FOLLOWED, '')


def test_one_commander_may_lose_and_reorder_messages() -> None:
    binding = CommanderBinding()
    assert binding.judge(0.0, TRUE)[0] is Judgement.BOUND
    for sequence, stamp, now in ((150, 2_000, 0.1), (149, 1_900, 0.1), (150, 2_000, 0.1)):
        origin = TRUE._replace(sequence=sequence, stamp_ns=stamp)
        assert binding.judge(now, origin) == (Judgement.FOLLOWED, '')
    # Ten seconds of silence are ten seconds of commands.
    assert binding.judge(10.1, TRUE._replace(sequence=9_000))[0] is Judgement.FOLLOWED
    other = TRUE._replace(session=8)
    assert binding.judge(10.2, other)[0] is Judgement.FOREIGN
    assert binding.judge(11.2, other)[0] is Judgement.BOUND
    binding.release()
    assert binding.judge(11.3, TRUE)[0] is Judgement.BOUND


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'speed_share': 0.5}, 'speed_share is 0.2, received 0.5'),
        ({'robot': 'ur5e'}, "robot is 'planar', received 'ur5e'"),
        ({'dry_run': False}, 'dry_run is True, received False'),
        ({'speed_share': 0.1, 'status_period_s': 1.0}, ''),
    ],
)
def test_settings_that_let_an_arm_do_more_are_told(change: dict[str, Any], said: str) -> None:
    first = SafetyNodeSettings(robot='planar', speed_share=0.2, dry_run=True)
    assert loosened(first, first.model_copy(update=change)) == said
