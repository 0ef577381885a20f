"""Decides when learning has done harm: the returns have fallen from the best ones so far.

The guard knows returns, and neither weights nor clocks; ``guarded.GuardedLearning`` does what it
decides. A fall is one that is larger than the tolerated share of what was gained, and larger than
chance gives. After it the learner acts by its last good weights and learns nothing until it is
known that these are as good as they were: if they are not, the task has changed, and the weights
were not to blame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, Literal

from pydantic import Field

from nrl_ros.base.settings import Settings
from nrl_ros.environments.best_window import WINDOW, BestWindow, Window, window_of
from nrl_ros.learning.episode_returns import Complete, Ended

# A fall is larger than so many standard errors of the difference. Windows slide over thousands of
# episodes, and the best one is the luckiest of many, so two or three would often be exceeded.
_ERRORS = 5.0
# What is left of the learning rate after each fall.
_LESS = 0.5
# An instance whose episodes do not end is waited for until so many windows of others have ended.
_PATIENCE = 4


class GuardSettings(Settings):
    """Guarded learning: back to the last good weights when the returns fall."""

    enabled: bool = Field(
        False, description='Go back to the last good weights when the returns have fallen'
    )
    measure: Literal['returns', 'greedy'] = Field(
        'returns',
        description='returns: of the exploring episodes of the training; greedy: of greedy '
        'episodes in between, in which nothing is learned',
    )
    episodes: int = Field(
        WINDOW,
        ge=5,
        description='Episodes that are compared with the best so far [1]; at least one for each '
        'instance',
    )
    every: int = Field(
        500, ge=1, description='With measure greedy: exploring episodes between two measures [1]'
    )
    tolerated_fall: float = Field(
        0.5,
        gt=0,
        le=1,
        description='Fall that is tolerated, as a share of what was gained: of the way from the '
        'first returns to the best ones, but at least of the deviation of single returns [1]',
    )
    then: Literal['restore', 'wait'] = Field(
        'restore',
        description='After a fall: learn on from the last good weights at half the rate, or act by '
        'them until a person lets it learn (service approve)',
    )
    approve: bool = Field(
        False,
        description='Act by weights that a person has approved: changes gather in a candidate '
        'until the service approve is called',
    )


class Mode(IntEnum):
    """What a guarded learner does; from ``CHECKING`` on it changes no weights."""

    LEARNING = 0
    EVALUATING = 1
    CHECKING = 2
    WAITING = 3


class Move(Enum):
    """What is to be done with the weights."""

    NONE = 'none'
    PROPOSE = 'keep a copy, which may become the good weights'
    ACCEPT = 'the copy is the good weights from now on'
    KEEP = 'the present weights are the good ones'
    EVALUATE = 'act greedily from now on'
    RESTORE = 'go back to the good weights'
    OLDER = 'go back to the good weights before those'
    LEARN = 'learn'
    FORGET = 'learn; the task has changed'


@dataclass
class GuardState:
    """What decides the future of a guard, besides its windows.

    Attributes:
        mode: what the learner does.
        rate_factor: of the learning rate.
        since: exploring episodes since the newest greedy evaluation.
        measured: returns of the present check or evaluation.
    """

    mode: Mode = Mode.LEARNING
    rate_factor: float = 1.0
    since: int = 0
    measured: list[float] = field(default_factory=list)


class Guard:
    """Compares returns with the best so far.

    Args:
        settings: of the guard.

    Attributes:
        state: mode and the like.
        windows: the returns.
        fallen: the windows before and after the newest fall; None: there was none, or the weights
            were not finite.
    """

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings
        # Asked for at every step.
        self._greedily = settings.measure == 'greedy'
        self.state = GuardState(since=settings.every)
        self.windows = BestWindow(settings.episodes)
        self.fallen: tuple[Window, Window] | None = None

    @property
    def mode(self) -> Mode:
        """What the learner does."""
        return self.state.mode

    @property
    def greedy(self) -> bool:
        """True if the learner is to act greedily now, to be measured."""
        return self._greedily and self.state.mode in (Mode.EVALUATING, Mode.CHECKING)

    @property
    def holds(self) -> bool:
        """True if the learner is not to change its weights now."""
        return self.state.mode >= Mode.CHECKING

    @property
    def tolerated(self) -> float:
        """Lowest mean return that is no fall, task units; minus infinity before the best window."""
        best = self.windows.best
        return -math.inf if best is None else self._tolerated(best)

    def _tolerated(self, level: Window) -> float:
        first = self.windows.first or level
        gained = max(level.mean - first.mean, level.std)
        return level.mean - self._settings.tolerated_fall * gained

    def _is_below(self, level: Window | None) -> bool:
        """Return whether the newest window is too far below another one."""
        mean = self.windows.mean
        if level is None or mean is None or mean >= self._tolerated(level):
            return False
        last = self.windows.last
        assert last is not None
        chance = _ERRORS * math.hypot(level.standard_error, last.standard_error)
        return level.mean - last.mean > chance

    def hear(self, steps: int, ended: Ended, complete: Complete) -> Move:
        """Note finished episodes of the present mode, and decide.

        Args:
            steps: of all instances so far.
            ended: the episodes, in the order of their ends, as ``EpisodeReturns`` gives them.
            complete: how many were complete, these included.
        """
        if not ended or self.mode is Mode.WAITING:
            return Move.NONE
        if self._greedily and self.mode is Mode.LEARNING:
            return self._count(len(ended))
        if complete.instances > self.windows.size:
            # The instances end their episodes together at worst, so that each counts once.
            self.windows = BestWindow(complete.instances)
        if self.mode is Mode.LEARNING:
            return self._watch(steps, ended, complete)
        return self._check(steps, ended, complete)

    def _have_ended(self, complete: Complete, each: int) -> bool:
        """Return True if each instance has had so many episodes, or has had time for them."""
        return complete.least >= each or complete.total >= _PATIENCE * self.windows.size

    def _count(self, episodes: int) -> Move:
        """Note exploring episodes, which are not measured here."""
        self.state.since += episodes
        if self.state.since < self._settings.every:
            return Move.NONE
        self.state.since = 0
        self._enter(Mode.EVALUATING)
        return Move.EVALUATE

    def _watch(self, steps: int, ended: Ended, complete: Complete) -> Move:
        windows = self.windows
        # Where all instances begin at once, short episodes end first, so that the first of each
        # tells nothing of the returns to come.
        if self._have_ended(complete, 1):
            windows.add(steps, [value for place, value in ended if place > 1])
        if self._is_below(windows.best):
            return self._fall()
        if windows.take():
            return Move.ACCEPT
        if windows.has_better():
            windows.propose()
            return Move.PROPOSE
        return Move.NONE

    def _check(self, steps: int, ended: Ended, complete: Complete) -> Move:
        """Measure weights that do not change: as many episodes of each instance."""
        each = -(-self.windows.size // complete.instances)
        self.state.measured += [value for place, value in ended if place <= each]
        if not (self.state.measured and self._have_ended(complete, each)):
            return Move.NONE
        measured = window_of(steps, self.state.measured)
        self.state.measured = []
        self.windows.measure(measured)
        return self._judge(measured)

    def _judge(self, measured: Window) -> Move:
        windows = self.windows
        if self.mode is Mode.CHECKING:
            # The best window came after these weights, which were chosen for the one before it.
            fallen = self._is_below(windows.chosen or windows.best)
            if fallen and windows.older is not None:
                # A window's mean lags behind its weights: those were on their way down already.
                windows.best, windows.older, windows.chosen = windows.older, None, None
                self._enter(Mode.CHECKING)
                return Move.OLDER
            # A best window that the weights of the check do not reach would be a fall at once.
            unreached = self._is_below(windows.best)
            self._enter(Mode.LEARNING)
            if fallen:
                # Good weights are not good any more, so it was not learning that did harm.
                self.state.rate_factor /= _LESS
                windows.begin_anew(forget=True)
                return Move.FORGET
            if unreached or windows.best is None or measured.mean > windows.best.mean:
                windows.best, windows.chosen = measured, None
            return Move.LEARN
        if self._is_below(windows.best):
            return self._fall()
        better = windows.best is None or measured.mean > windows.best.mean
        if better:
            windows.older = windows.best
            windows.best, windows.first = measured, windows.first or measured
        self._enter(Mode.LEARNING)
        return Move.KEEP if better else Move.LEARN

    def _fall(self) -> Move:
        best, last = self.windows.best, self.windows.last
        self.fallen = None if best is None or last is None else (best, last)
        self.state.rate_factor *= _LESS
        self._enter(Mode.WAITING if self._settings.then == 'wait' else Mode.CHECKING)
        return Move.RESTORE

    def break_off(self) -> Move:
        """Decide after the weights have become infinite or not a number."""
        if self.mode is not Mode.LEARNING:
            return Move.NONE
        move = self._fall()
        self.fallen = None
        return move

    def go_on(self) -> None:
        """Learn on, since a person said so."""
        self._enter(Mode.LEARNING)

    def begin_anew(self, *, forget: bool = False) -> None:
        """Begin to measure anew: the weights, or with ``forget`` the task, are others from now."""
        if self.mode is not Mode.WAITING:
            self._enter(Mode.LEARNING)
        self.windows.begin_anew(forget=forget)

    def _enter(self, mode: Mode) -> None:
        self.state.mode, self.state.measured = mode, []
        self.windows.begin_anew()

    def snapshot(self) -> dict[str, Any]:
        """Return everything that decides the future, as plain data."""
        return {
            'state': vars(self.state)
            | {'mode': int(self.mode), 'measured': list(self.state.measured)},
            'size': self.windows.size,
            'windows': self.windows.snapshot(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        saved = snapshot['state']
        self.state = GuardState(
            Mode(int(saved['mode'])),
            float(saved['rate_factor']),
            int(saved['since']),
            list(map(float, saved['measured'])),
        )
        self.windows = BestWindow(max(self._settings.episodes, int(snapshot['size'])))
        self.windows.restore(snapshot['windows'])
