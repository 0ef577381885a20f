"""The state machine of an environment's session: what to do with each action that comes.

Nothing here reads a clock or knows a topic: times are arguments, by any steady clock [s].
"""

from __future__ import annotations

import math
from enum import Enum

from nrl_ros.base.patience import Patience
from nrl_ros.base.records import ActionBatch

# Longest wait for the answer to the last state. The answer shows that the learner has learned from
# the last rewards.
LAST_ANSWER_S = 5.0
# If a learner hears a restored session and does not answer for so long, it does not know the
# session.
RESTORED_S = 3.0


class Stage(Enum):
    """How far a session has come; each stage follows the one before."""

    NOT_BEGUN = 0  # no state was sent yet
    RUNNING = 1  # each state asks for an action
    FINISHING = 2  # the last state was sent and waits for its answer
    FINISHED = 3  # no state waits for an action any more


class Answer(Enum):
    """What has to be done with an action that came."""

    STALE = 0  # ignore it: it answers no state that waits for an action
    REPEATED = 1  # ignore it: another action has answered this state already
    KEEP = 2  # apply it at the next period, or when the pause ends
    APPLY = 3  # apply it now
    LAST = 4  # finish: it answers the last state, so everything has been learned from


class EnvironmentSession:
    """The stage of a session, and the action that waits to be applied.

    Args:
        now_s: the time.
        lockstep: an action is applied when it comes, and not at a control period.
        restored: the session comes from a checkpoint, so the learner may not know it.
        paused: True to begin paused.

    Attributes:
        stage: how far the session has come.
        paused: nothing is stepped until the pause ends.
        is_answered: True after a learner has answered it.
        kept: an action that waits to be applied.
    """

    def __init__(self, now_s: float, *, lockstep: bool, restored: bool, paused: bool) -> None:
        self.stage = Stage.NOT_BEGUN
        self.paused = paused
        self.is_answered = False
        self.kept: ActionBatch | None = None
        self._lockstep, self._restored = lockstep, restored
        self._sequence = -1
        self._heard_at, self._finishing_at = now_s, math.inf
        self._unanswered = Patience(RESTORED_S)

    @property
    def asks(self) -> bool:
        """True while a state waits for an action."""
        return self.stage in (Stage.RUNNING, Stage.FINISHING) and not self.paused

    def sent(self, sequence: int) -> None:
        """Note that a state was sent, which asks for an action."""
        self._sequence = sequence
        if self.stage is Stage.NOT_BEGUN:
            self.stage = Stage.RUNNING

    def take(self, action: ActionBatch, now_s: float) -> Answer:
        """Return what has to be done with an action of this session; the caller does it."""
        if self.stage is Stage.NOT_BEGUN or action.sequence != self._sequence:
            return Answer.STALE
        self._heard_at = now_s
        self.is_answered, self._restored = True, False
        if self.stage in (Stage.FINISHING, Stage.FINISHED):
            return Answer.LAST
        if self._lockstep and not self.paused:
            return Answer.APPLY
        return Answer.KEEP if self.kept is None else Answer.REPEATED

    def release(self) -> ActionBatch | None:
        """Return the action that waits to be applied, None if there is none; it waits no more."""
        action, self.kept = self.kept, None
        return action

    def set_paused(self, now_s: float, *, paused: bool) -> ActionBatch | None:
        """Begin or end a pause; return an action that has to be applied now, or None."""
        self.paused = paused
        self._heard_at = now_s
        return self.release() if self._lockstep and not paused else None

    def nobody_is_asked(self, now_s: float) -> None:
        """Note that no answer is expected now, such as between the episodes of a robot."""
        self._heard_at = now_s

    def silent_s(self, now_s: float) -> float:
        """Return how long no action has come [s]."""
        return now_s - self._heard_at

    def is_not_taken_up(self, now_s: float, *, heard: bool) -> bool:
        """Return True if no learner answers a restored session; ``renewed`` then gives it up.

        Args:
            now_s: the time.
            heard: True if a learner hears the states; one that is still starting has the same time
                from then on.
        """
        return self._unanswered.over(now_s, self._restored and heard and self.asks)

    def renewed(self) -> None:
        """Note that another session has begun, which any learner accepts."""
        self._restored = False

    def last_sent(self, now_s: float) -> None:
        """Note that the state that was sent is the last one."""
        self.stage, self._finishing_at = Stage.FINISHING, now_s

    def is_overdue(self, now_s: float) -> bool:
        """Return True if the answer to the last state has not come in time."""
        return self.stage is Stage.FINISHING and now_s - self._finishing_at > LAST_ANSWER_S

    def finish(self) -> None:
        """Finish the session: the last state was answered, or its answer did not come in time."""
        self.stage = Stage.FINISHED
