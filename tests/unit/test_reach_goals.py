"""Goals of the action reach: each way from a request to an outcome; time is an argument."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_ros.robots.arm.reach_goals import Goal, GoalEnd, Outcome, ReachGoals, Stage
from nrl_ros.robots.arm.settings import GoalGroup
from nrl_ros.robots.arm.targets import Poses

PERIOD, TOLERANCE, LIMIT, HOLD = 0.04, 0.02, 1.0, 2.0
NEAR, FAR = 0.01, 0.3


def goal(**changes: Any) -> Goal:
    fields = {'tolerance_rad': math.inf, 'time_limit_s': LIMIT, **changes}
    target = Poses(np.zeros((1, 3)), np.eye(3)[None])
    return Goal(target, TOLERANCE, **fields)


class Caller:
    """Goals with a clock."""

    def __init__(self, **options: Any) -> None:
        self.goals = ReachGoals(GoalGroup(hold_s=HOLD, **options))
        self.now = 100.0

    def offer(self, key: str = 'a', refusal: str = '', **changes: Any) -> bool:
        return self.goals.offer(self.now, key, goal(**changes), refusal)

    def look(
        self,
        distance: float,
        *,
        angle: float = 0.0,
        still: bool = False,
        guarded: bool = False,
        periods: int = 1,
    ) -> Stage:
        for _ in range(periods):
            self.now += PERIOD
            self.goals.look(self.now, distance, angle, still=still, guarded=guarded)
        return self.goals.stage

    def end(self) -> GoalEnd:
        (end,) = self.goals.ended()
        return end


def test_a_goal_is_reached_when_the_arm_stands_within_its_tolerance() -> None:
    caller = Caller()
    assert caller.offer()
    assert caller.look(FAR) is Stage.MOVING and caller.goals.moves
    assert caller.look(NEAR) is Stage.SETTLING and not caller.goals.moves
    assert caller.look(NEAR, periods=3) is Stage.SETTLING
    assert not caller.goals.ended()
    assert caller.look(NEAR / 2, still=True) is Stage.RESTING
    end = caller.end()
    assert (end.key, end.outcome, end.distance_m) == ('a', Outcome.REACHED, NEAR / 2)
    assert end.duration_s == pytest.approx(6 * PERIOD)
    assert caller.goals.goal is None


def test_a_pose_is_reached_when_its_orientation_is_too() -> None:
    caller = Caller()
    caller.offer(tolerance_rad=0.1)
    assert caller.look(NEAR, angle=0.2) is Stage.MOVING
    assert caller.look(NEAR, angle=0.05) is Stage.SETTLING
    assert caller.look(NEAR, angle=0.2, still=True) is Stage.MOVING
    assert caller.look(NEAR, angle=0.05) is Stage.SETTLING
    caller.look(NEAR, angle=0.05, still=True)
    end = caller.end()
    assert (end.outcome, end.angle_rad) == (Outcome.REACHED, 0.05)
    assert end.reason == 'stands 10 mm and 2.86 degrees away'


def test_an_arm_that_comes_to_rest_elsewhere_moves_on() -> None:
    caller = Caller()
    caller.offer()
    caller.look(NEAR)
    assert caller.look(2 * TOLERANCE, still=True) is Stage.MOVING
    assert not caller.goals.ended()


def test_a_goal_that_is_out_of_time_ends_when_the_arm_stands() -> None:
    caller = Caller()
    caller.offer()
    caller.goals.acted()
    assert caller.look(FAR, periods=24) is Stage.MOVING
    assert caller.look(FAR) is Stage.BRAKING
    assert not caller.goals.ended()
    caller.look(FAR, still=True)
    end = caller.end()
    assert end.outcome is Outcome.TIME_LIMIT
    assert end.reason == 'not within 20 mm in 1 s: 300 mm away'
    # The same for one that hovers about its tolerance until then.
    caller.offer()
    caller.look(NEAR)
    caller.look(2 * TOLERANCE, periods=30)
    caller.look(2 * TOLERANCE, still=True)
    assert caller.end().outcome is Outcome.TIME_LIMIT


@pytest.mark.parametrize(('after', 'guarded'), [(0, True), (10, True), (26, False)])
def test_a_goal_says_whether_the_guard_was_in_its_way_when_time_ran_out(
    after: int, guarded: bool
) -> None:
    caller = Caller()
    caller.offer(time_limit_s=2.0)
    # The guard limits one period, then so many pass until the time is over, of 0.04 s each.
    caller.look(FAR, periods=48 - after)
    caller.look(FAR, guarded=True)
    assert caller.look(FAR, periods=after) is Stage.MOVING
    assert caller.look(FAR) is Stage.BRAKING
    # What it limits while the arm brakes was in nobody's way.
    caller.look(FAR, still=True, guarded=True)
    end = caller.end()
    assert (end.outcome, end.guarded) == (Outcome.TIME_LIMIT, guarded)
    # The next goal begins without it.
    caller.offer()
    caller.look(FAR, periods=25)
    caller.look(FAR, still=True)
    assert not caller.end().guarded


def test_without_a_learner_the_reason_asks_for_one() -> None:
    caller = Caller()
    caller.offer()
    caller.look(FAR, periods=25)
    caller.look(FAR, still=True)
    assert caller.end().reason.endswith('no action of a learner has come: is one running?')


@pytest.mark.parametrize('before', [Stage.MOVING, Stage.SETTLING])
def test_a_cancelled_goal_ends_when_the_arm_stands(before: Stage) -> None:
    caller = Caller()
    caller.offer()
    assert caller.look(FAR if before is Stage.MOVING else NEAR) is before
    assert not caller.goals.cancel(caller.now, 'another')
    assert caller.goals.cancel(caller.now, 'a') and not caller.goals.moves
    # The target under the tool does not make it another outcome.
    assert caller.look(NEAR) is Stage.BRAKING
    assert not caller.goals.ended()
    caller.look(NEAR, still=True)
    assert caller.end().outcome is Outcome.CANCELLED
    assert not caller.goals.cancel(caller.now, 'a')


def test_an_arm_that_does_not_stand_is_not_waited_for_for_ever() -> None:
    caller = Caller()
    caller.offer()
    caller.goals.cancel(caller.now, 'a')
    # Asking again does not begin the time anew.
    for _ in range(49):
        assert caller.look(FAR) is Stage.BRAKING
        caller.goals.cancel(caller.now, 'a')
    caller.look(FAR, periods=2)
    assert caller.end().reason == 'cancelled; the arm does not stand after 2 s'


def test_one_goal_at_a_time_and_another_takes_its_place_only_if_it_asks() -> None:
    caller = Caller()
    caller.offer('a')
    assert not caller.offer('b')
    end = caller.end()
    assert (end.key, end.outcome, end.duration_s) == ('b', Outcome.REFUSED, 0.0)
    assert math.isnan(end.distance_m)
    caller.look(FAR)
    first = caller.goals.goal
    assert caller.offer('c', preempt=True)
    end = caller.end()
    assert (end.key, end.outcome, end.distance_m) == ('a', Outcome.PREEMPTED, FAR)
    assert caller.goals.goal is not first and caller.goals.moves
    # The time of the new one begins with it.
    assert caller.look(FAR, periods=24) is Stage.MOVING


def test_a_goal_that_is_being_cancelled_stays_cancelled_if_another_comes() -> None:
    caller = Caller()
    caller.offer('a')
    caller.goals.cancel(caller.now, 'a')
    assert not caller.offer('b')
    assert caller.end().outcome is Outcome.REFUSED
    assert caller.offer('b', preempt=True)
    end = caller.end()
    assert (end.key, end.outcome) == ('a', Outcome.CANCELLED)
    assert 'before the arm stood' in end.reason


def test_what_is_refused_changes_nothing() -> None:
    caller = Caller()
    assert not caller.offer('a', 'the arm was stopped')
    end = caller.end()
    assert (end.key, end.outcome, end.reason) == ('a', Outcome.REFUSED, 'the arm was stopped')
    assert caller.goals.stage is Stage.IDLE
    caller.offer('b')
    assert not caller.offer('c', 'outside of the workspace', preempt=True)
    assert [one.key for one in caller.goals.ended()] == ['c']
    assert caller.goals.serving


@pytest.mark.parametrize('stage', [Stage.MOVING, Stage.SETTLING, Stage.BRAKING])
def test_a_stop_ends_a_goal_at_once(stage: Stage) -> None:
    caller = Caller()
    caller.offer()
    if stage is Stage.SETTLING:
        caller.look(NEAR)
    elif stage is Stage.BRAKING:
        caller.goals.cancel(caller.now, 'a')
    assert caller.goals.stage is stage
    caller.goals.stop(caller.now, 'was stopped')
    end = caller.end()
    assert (end.outcome, end.reason) == (Outcome.STOPPED, 'was stopped')
    caller.goals.stop(caller.now, 'was stopped')
    assert not caller.goals.ended()


def test_the_arm_rests_between_goals() -> None:
    caller = Caller()
    assert not caller.goals.rests(caller.now)
    caller.offer()
    caller.goals.stop(caller.now, '')
    assert caller.goals.rests(caller.now + HOLD - 0.01)
    # A goal in time finds it there.
    caller.now += HOLD / 2
    caller.offer()
    assert not caller.goals.rests(caller.now)
    caller.goals.stop(caller.now, '')
    assert not caller.goals.rests(caller.now + HOLD)
    assert caller.goals.stage is Stage.IDLE
    only = Caller(serve='only')
    assert only.goals.rests(only.now)
    only.offer()
    assert not only.goals.rests(only.now)


CALLS = (
    'offer',
    'preempt',
    'refused',
    'cancel',
    'stop',
    'near',
    'near, still',
    'far',
    'far, still',
)


def check(calls: tuple[str, ...]) -> None:
    """Whatever is called in whatever order, each goal has one end, and one at most is served."""
    caller, keys = Caller(), itertools.count()
    ended: list[GoalEnd] = []
    given, serving = 0, -1
    for call in calls:
        before = caller.goals.stage
        if call in ('offer', 'preempt', 'refused'):
            serving_now = next(keys)
            given += 1
            refusal = 'no' if call == 'refused' else ''
            key = str(serving_now)
            if caller.offer(key, refusal, preempt=call == 'preempt'):
                serving = serving_now
            else:
                assert caller.goals.stage is before
        elif call == 'cancel':
            assert caller.goals.cancel(caller.now, str(serving)) == caller.goals.serving
        elif call == 'stop':
            caller.goals.stop(caller.now, 'x')
            assert not caller.goals.serving
        else:
            caller.look(NEAR if 'near' in call else FAR, still='still' in call)
        ended += caller.goals.ended()
        assert caller.goals.serving == (caller.goals.goal is not None)
        assert not (caller.goals.moves and caller.goals.rests(caller.now))
        assert given == len(ended) + caller.goals.serving
    assert len({one.key for one in ended}) == len(ended)
    assert all(one.reason for one in ended)
    assert all(one.distance_m <= TOLERANCE for one in ended if one.outcome is Outcome.REACHED)


def test_all_short_orders_of_calls() -> None:
    for calls in itertools.product(CALLS, repeat=4):
        check(calls)


@given(st.lists(st.sampled_from(CALLS), max_size=80))
@settings(max_examples=200, deadline=None)
def test_all_long_orders_of_calls(calls: list[str]) -> None:
    check(tuple(calls))
