"""Where a session of an environment stands, and what to do with each action that comes.

Nothing here reads a clock or knows a topic: times are arguments, by any steady clock [s].
"""

from __future__ import annotations

import math
from enum import Enum

from nrl_ros.base.patience import Patience
from nrl_ros.base.records import ActionBatch

# Longest wait for the answer to the last state, which says that its rewards have been learned from.
LAST_ANSWER_S = 5.0
# A learner that hears a restored session and does not answer it for so long does not take it up.
RESTORED_S = 3.0


class Stage(Enum):
    """How far a session is; each follows the one before."""

    NOT_BEGUN = 0  # no state was sent yet
    RUNNING = 1  # each state asks for an action
    FINISHING = 2  # the last state was sent and waits for its answer
    FINISHED = 3  # nothing is asked any more


class Answer(Enum):
    """What an action is to a session."""

    STALE = 0  # it answers no state that asks
    REPEATED = 1  # another one has answered this state already
    KEEP = 2  # it is applied at the next period, or when the session goes on
    APPLY = 3  # it is applied now
    LAST = 4  # it answers the last state: everything has been learned from


class EnvironmentSession:
    """Keeps where a session stands.

    Args:
        now_s: the time.
        lockstep: an action is applied when it comes, and not at a control period.
        restored: the session is one of a checkpoint, which a learner may not know.
        paused: it begins paused.

    Attributes:
        stage: how far it is.
        paused: nothing is stepped until it goes on.
        is_answered: a learner has answered it.
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
        """Whether a state waits for an action."""
        return self.stage in (Stage.RUNNING, Stage.FINISHING) and not self.paused

    def sent(self, sequence: int) -> None:
        """Note that a state was sent, which asks for an action."""
        self._sequence = sequence
        if self.stage is Stage.NOT_BEGUN:
            self.stage = Stage.RUNNING

    def take(self, action: ActionBatch, now_s: float) -> Answer:
        """Return what an action of this session is to it; the caller does what follows."""
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
        """Hand out the action that waits to be applied."""
        action, self.kept = self.kept, None
        return action

    def set_paused(self, now_s: float, *, paused: bool) -> ActionBatch | None:
        """Pause, or go on; return an action that is to be applied now."""
        self.paused = paused
        self._heard_at = now_s
        return self.release() if self._lockstep and not paused else None

    def nobody_is_asked(self, now_s: float) -> None:
        """Note that nobody can be silent now, as between the episodes of a robot."""
        self._heard_at = now_s

    def silent_s(self, now_s: float) -> float:
        """Return how long no action has come."""
        return now_s - self._heard_at

    def is_not_taken_up(self, now_s: float, *, heard: bool) -> bool:
        """Return whether a restored session must be given up, by ``renewed``.

        Args:
            now_s: the time.
            heard: somebody hears the states; who is still starting is given as long from then on.
        """
        return self._unanswered.over(now_s, self._restored and heard and self.asks)

    def renewed(self) -> None:
        """Note that another session has begun, which any learner takes up."""
        self._restored = False

    def last_sent(self, now_s: float) -> None:
        """Note that the state that was sent is the last one."""
        self.stage, self._finishing_at = Stage.FINISHING, now_s

    def is_overdue(self, now_s: float) -> bool:
        """Return whether the answer to the last state is not waited for any longer."""
        return self.stage is Stage.FINISHING and now_s - self._finishing_at > LAST_ANSWER_S

    def finish(self) -> None:
        """End: the last state was answered, or is not waited for."""
        self.stage = Stage.FINISHED
