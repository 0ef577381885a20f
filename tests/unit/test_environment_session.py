"""Where a session stands and what each action is to it, with the clock as a number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.records import ActionBatch
from nrl_ros.environments.session import (
    LAST_ANSWER_S,
    RESTORED_S,
    Answer,
    EnvironmentSession,
    Stage,
)

NOBODY: Any = np.zeros(1, np.uint32)


def answer(sequence: int) -> ActionBatch:
    return ActionBatch('a', 1, sequence, NOBODY, NOBODY, NOBODY, NOBODY)


def session(*, lockstep: bool = True, restored: bool = False, begun: bool = True) -> Any:
    made = EnvironmentSession(0.0, lockstep=lockstep, restored=restored, paused=False)
    if begun:
        made.sent(0)
    return made


def test_nothing_is_asked_before_the_first_state() -> None:
    one = session(begun=False)
    assert (one.stage, one.asks) == (Stage.NOT_BEGUN, False)
    assert one.take(answer(-1), 1.0) is Answer.STALE and not one.is_answered
    one.sent(0)
    assert one.asks and one.take(answer(0), 1.0) is Answer.APPLY and one.is_answered


def test_lockstep_applies_the_answer_to_the_newest_state_alone() -> None:
    one = session()
    assert one.take(answer(0), 1.0) is Answer.APPLY
    one.sent(1)
    assert one.take(answer(0), 2.0) is Answer.STALE
    assert one.silent_s(3.0) == 2.0
    assert one.take(answer(1), 3.0) is Answer.APPLY and one.silent_s(3.0) == 0.0


def test_real_time_keeps_the_first_answer_until_its_period() -> None:
    one = session(lockstep=False)
    assert one.take(answer(0), 1.0) is Answer.KEEP
    one.kept = answer(0)
    assert one.take(answer(0), 1.0) is Answer.REPEATED
    assert one.release().sequence == 0 and one.release() is None


@pytest.mark.parametrize('lockstep', [True, False])
def test_a_pause_keeps_an_answer_which_lockstep_applies_when_it_goes_on(lockstep: bool) -> None:
    one = session(lockstep=lockstep)
    assert one.set_paused(1.0, paused=True) is None and not one.asks
    assert one.take(answer(0), 2.0) is Answer.KEEP
    one.kept = answer(0)
    applied = one.set_paused(50.0, paused=False)
    assert (applied is not None) == lockstep and (one.kept is None) == lockstep
    assert one.asks and one.silent_s(51.0) == 1.0


def test_the_last_answer_is_waited_for_so_long_and_ends_it_once() -> None:
    one = session()
    one.sent(1)
    one.last_sent(10.0)
    assert one.asks and one.stage is Stage.FINISHING
    assert not one.is_overdue(10.0 + LAST_ANSWER_S) and one.is_overdue(10.1 + LAST_ANSWER_S)
    assert one.take(answer(0), 11.0) is Answer.STALE
    assert one.take(answer(1), 11.0) is Answer.LAST
    one.finish()
    assert not one.asks and not one.is_overdue(1e6)
    assert one.take(answer(1), 12.0) is Answer.LAST and one.stage is Stage.FINISHED


def test_a_restored_session_is_given_up_only_by_one_who_hears_it_so_long() -> None:
    one = session(restored=True)
    assert not one.is_not_taken_up(100.0, heard=False)
    assert not one.is_not_taken_up(101.0, heard=True)
    assert not one.is_not_taken_up(101.0 + RESTORED_S, heard=True)
    assert one.is_not_taken_up(101.1 + RESTORED_S, heard=True)
    one.renewed()
    assert not one.is_not_taken_up(200.0, heard=True)


@pytest.mark.parametrize('what', ['answered', 'paused', 'unheard'])
def test_what_keeps_a_restored_session(what: str) -> None:
    one = session(restored=True)
    assert not one.is_not_taken_up(0.0, heard=True)
    if what == 'answered':
        one.take(answer(0), 1.0)
    elif what == 'paused':
        one.set_paused(1.0, paused=True)
    assert not one.is_not_taken_up(1.0 + RESTORED_S, heard=what != 'unheard')
    one.set_paused(50.0, paused=False)
    # Who was paused or unheard is given the whole time anew.
    assert not one.is_not_taken_up(50.0, heard=True)
