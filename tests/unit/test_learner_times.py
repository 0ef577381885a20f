"""What the learner node decides by the time, with the time as an argument."""

from __future__ import annotations

import math

from nrl_ros.learning.attendance import AT_WORK_S, Attendance
from nrl_ros.learning.interval import ReportInterval
from nrl_ros.storage.save_schedule import SaveSchedule
from tests.unit.fakes import info_of, learner_of, receive, reinforce, rpe_of, state_of


def test_an_agent_that_was_answered_lately_is_at_work() -> None:
    attendance = Attendance()
    assert not attendance.is_at_work('a', 0.0)
    attendance.answered('a', 10.0)
    assert attendance.is_at_work('a', 10.0 + AT_WORK_S)
    assert not attendance.is_at_work('a', 10.1 + AT_WORK_S)
    assert not attendance.is_at_work('b', 10.0)


def test_an_agent_whose_states_are_all_refused_for_long_is_shut_out_once() -> None:
    attendance = Attendance()
    attendance.answered('a', 0.0)
    for _ in range(2):
        attendance.refused('a')
    assert attendance.shut_out(9.0) == []
    attendance.refused('a')
    assert attendance.shut_out(AT_WORK_S) == []
    assert attendance.shut_out(9.0) == ['a']
    assert attendance.shut_out(9.0) == []


def test_an_answer_ends_a_row_of_refusals_and_a_stranger_begins_none() -> None:
    attendance = Attendance()
    attendance.answered('a', 0.0)
    for _ in range(3):
        attendance.refused('a')
        attendance.refused('stranger')
    attendance.answered('a', 1.0)
    assert attendance.shut_out(9.0) == []


def test_a_checkpoint_is_due_once_each_period_and_never_without_one() -> None:
    schedule = SaveSchedule(100.0)
    for now, period, due in [
        (109.0, 10.0, False),
        (110.0, 10.0, True),
        (111.0, 10.0, False),
        (119.9, 10.0, False),
        (120.0, 10.0, True),
        (900.0, 0.0, False),
    ]:
        schedule.look(now, period)
        assert schedule.take() is due, now
    # It stays due until it is taken.
    schedule.look(900.0, 10.0)
    schedule.look(901.0, 10.0)
    assert schedule.take() and not schedule.take()


def test_an_interval_tells_of_what_was_done_in_it_alone() -> None:
    info = info_of(2)
    learner, interval = learner_of(info), ReportInterval(10.0)
    assert math.isnan(interval.mean_absolute_rpe(learner))
    receive(learner, state_of(info, 0))
    receive(learner, state_of(info, 1, window=1))
    reinforce(learner, rpe_of(info, 1, [0, 1], 0, [1.0, -3.0]))
    interval.worked(0.25)
    interval.worked(0.25)
    assert interval.mean_absolute_rpe(learner) == 2.0
    assert interval.busy_share(12.0) == 0.25 and interval.busy_share(10.0) == 1.0
    interval.begin(12.0, learner)
    assert math.isnan(interval.mean_absolute_rpe(learner)) and interval.busy_share(13.0) == 0.0
