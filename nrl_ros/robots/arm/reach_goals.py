"""Goals of the action ``reach``, one at a time: from a request to its outcome.

Nothing here knows a topic or reads a clock. All times are of one steady clock, and all calls come
from one thread, in the order of their times.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, IntEnum

from nrl_ros.robots.arm.settings import GoalGroup
from nrl_ros.robots.arm.targets import Poses

# An arm that was told to stand and does not within this time is not waited for any longer [s].
_BRAKE_S = 2.0
# A guard that limited the motion within this time before an arm began to brake was in its way [s].
_RECENT_S = 1.0


class Outcome(IntEnum):
    """How a goal ended (Reach.Result.OUTCOME_*)."""

    REACHED = 0
    TIME_LIMIT = 1
    CANCELLED = 2
    PREEMPTED = 3
    STOPPED = 4
    REFUSED = 5


class Stage(Enum):
    """What is done for a goal at present; the value says it in words."""

    IDLE = 'waits for a goal'
    MOVING = 'moves to the goal'
    SETTLING = 'brakes at the goal'
    BRAKING = 'brakes'
    RESTING = 'holds after a goal'


_SERVING = (Stage.MOVING, Stage.SETTLING, Stage.BRAKING)


@dataclass(frozen=True)
class Goal:
    """What a caller asks for.

    Attributes:
        target: one, in the frame of the workspace.
        tolerance_m: distance within which it counts as reached.
        tolerance_rad: and angle, where orientation matters.
        time_limit_s: after its acceptance.
        preempt: take the place of another goal.
        learn: act with noise and learn, as in training.
    """

    target: Poses
    tolerance_m: float
    tolerance_rad: float
    time_limit_s: float
    preempt: bool = False
    learn: bool = False


@dataclass(frozen=True)
class GoalEnd:
    """A goal that has ended.

    Attributes:
        key: names the goal, as given with it.
        outcome: how it ended.
        reason: the same in words.
        distance_m: between tool and target at the end; NaN: not known.
        angle_rad: the same of their orientations; 0 for points.
        duration_s: since the goal was accepted.
        guarded: it ran out of time where the guard limited the motion.
    """

    key: Hashable
    outcome: Outcome
    reason: str
    distance_m: float
    angle_rad: float
    duration_s: float
    guarded: bool = False


class ReachGoals:
    """State machine of the goals of one arm.

    A goal is reached when the arm stands within its tolerance: near the target the arm is told to
    stand, and if it comes to rest elsewhere it moves on. A goal that is cancelled or out of time
    ends when the arm stands. A stop ends it at once, since the safety node brakes the arm.

    Args:
        settings: of the goals.

    Attributes:
        stage: the present one.
        goal: the one that is served; None: none is.
        distance_m: between tool and target, as last looked at.
        angle_rad: the same of their orientations; 0 for points.
    """

    def __init__(self, settings: GoalGroup) -> None:
        self._settings = settings
        self.stage = Stage.IDLE
        self.goal: Goal | None = None
        self.distance_m = self.angle_rad = math.nan
        self._key: Hashable = None
        self._since = self._braking_since = self._rests_until = -math.inf
        # How a goal will end as soon as the arm stands, and why.
        self._pending: tuple[Outcome, str] = (Outcome.CANCELLED, '')
        self._acted, self._guarded_at = False, -math.inf
        self._ended: list[GoalEnd] = []

    @property
    def serving(self) -> bool:
        """True while a goal is served, which includes braking for it."""
        return self.stage in _SERVING

    @property
    def moves(self) -> bool:
        """True while the policy moves the arm to a goal."""
        return self.stage is Stage.MOVING

    def rests(self, now: float) -> bool:
        """Return True if the arm is to stand where it is, between goals."""
        if self.serving:
            return False
        if self.stage is Stage.RESTING and now >= self._rests_until:
            self.stage = Stage.IDLE
        return self.stage is Stage.RESTING or self._settings.serve == 'only'

    def elapsed_s(self, now: float) -> float:
        """Return the time since the goal was accepted [s]."""
        return now - self._since

    def ended(self) -> list[GoalEnd]:
        """Return the goals that have ended since the last call, in their order."""
        ended, self._ended = self._ended, []
        return ended

    # -------------------------------------------------------------- requests

    def offer(self, now: float, key: Hashable, goal: Goal, refusal: str = '') -> bool:
        """Take a goal, or refuse it, which is its end.

        Args:
            now: [s].
            key: names the goal.
            goal: what is asked for.
            refusal: why it cannot be served, in words; empty: it can.

        Returns:
            True if it is served from now on.
        """
        if self.serving and not refusal and not goal.preempt:
            refusal = 'another goal is being served, and this one does not ask to take its place'
        if refusal:
            self._ended.append(_not_begun(key, Outcome.REFUSED, refusal))
            return False
        if self.stage is Stage.BRAKING:
            outcome, reason = self._pending
            self._finish(now, outcome, f'{reason}; another goal has come before the arm stood')
        elif self.serving:
            self._finish(now, Outcome.PREEMPTED, 'another goal has taken its place')
        self.stage, self.goal, self._key = Stage.MOVING, goal, key
        self.distance_m = self.angle_rad = math.nan
        self._since, self._acted, self._guarded_at = now, False, -math.inf
        return True

    def withdraw(self, key: Hashable) -> None:
        """End a goal that was cancelled before it was offered."""
        self._ended.append(_not_begun(key, Outcome.CANCELLED, 'cancelled'))

    def cancel(self, now: float, key: Hashable) -> bool:
        """End a goal as soon as the arm stands; return False if it is not the one being served."""
        if not self.serving or key != self._key:
            return False
        self._brake(now, Stage.BRAKING, (Outcome.CANCELLED, 'cancelled'))
        return True

    def stop(self, now: float, reason: str) -> None:
        """End the goal that is served, since the arm may not move, or is moved by others."""
        if self.serving:
            self._finish(now, Outcome.STOPPED, reason)

    def acted(self) -> None:
        """Note that an action of the policy has come."""
        self._acted = True

    # -------------------------------------------------------------- periods

    def look(
        self, now: float, distance_m: float, angle_rad: float, *, still: bool, guarded: bool = False
    ) -> None:
        """Decide what is next for the goal that is served, once in each period.

        Args:
            now: [s].
            distance_m: between tool and target.
            angle_rad: between their orientations; 0 for points.
            still: the arm is measured to stand.
            guarded: the guard limits the motion.
        """
        goal = self.goal
        if not self.serving or goal is None:
            return
        self.distance_m, self.angle_rad = distance_m, angle_rad
        near = distance_m <= goal.tolerance_m and angle_rad <= goal.tolerance_rad
        late = now - self._since >= goal.time_limit_s
        if self.stage is Stage.MOVING:
            if guarded:
                self._guarded_at = now
            if near:
                self._brake(now, Stage.SETTLING, self._pending)
            elif late:
                self._brake(now, Stage.BRAKING, self._out_of_time(goal))
        elif not still and now - self._braking_since < _BRAKE_S:
            return
        elif self.stage is Stage.BRAKING:
            outcome, reason = self._pending
            moves = '' if still else f'; the arm does not stand after {_BRAKE_S:g} s'
            self._finish(now, outcome, reason + moves)
        elif near and still:
            self._finish(now, Outcome.REACHED, f'stands {self._away()} away')
        elif late:
            self._finish(now, *self._out_of_time(goal))
        else:
            self.stage = Stage.MOVING

    def _out_of_time(self, goal: Goal) -> tuple[Outcome, str]:
        reason = (
            f'not within {in_words(goal.tolerance_m, goal.tolerance_rad)} in '
            f'{goal.time_limit_s:g} s: {self._away()} away'
        )
        if not self._acted:
            reason += '; no action of a learner has come: is one running?'
        return Outcome.TIME_LIMIT, reason

    def _away(self) -> str:
        goal = self.goal
        turned = goal is not None and math.isfinite(goal.tolerance_rad)
        return in_words(self.distance_m, self.angle_rad if turned else math.inf)

    def _brake(self, now: float, stage: Stage, pending: tuple[Outcome, str]) -> None:
        if not (self.stage is Stage.BRAKING and stage is Stage.BRAKING):
            self._braking_since = now
        self.stage, self._pending = stage, pending

    def _finish(self, now: float, outcome: Outcome, reason: str) -> None:
        away = self.distance_m, self.angle_rad
        guarded = outcome is Outcome.TIME_LIMIT and (
            self._braking_since - self._guarded_at <= _RECENT_S
        )
        end = GoalEnd(self._key, outcome, reason, *away, now - self._since, guarded)
        self._ended.append(end)
        self.stage, self.goal, self._key = Stage.RESTING, None, None
        self._rests_until = now + self._settings.hold_s


def in_words(distance_m: float, angle_rad: float) -> str:
    """Return a distance, and an angle unless it is infinite, in mm and degrees."""
    words = f'{1000.0 * distance_m:.3g} mm'
    return words + f' and {math.degrees(angle_rad):.3g} degrees' * math.isfinite(angle_rad)


def _not_begun(key: Hashable, outcome: Outcome, reason: str) -> GoalEnd:
    return GoalEnd(key, outcome, reason, math.nan, math.nan, 0.0)


__all__ = ['Goal', 'GoalEnd', 'Outcome', 'ReachGoals', 'Stage', 'in_words']
