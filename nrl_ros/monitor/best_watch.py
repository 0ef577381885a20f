"""Finds the best checkpoint of a run by the exploring episodes of the training itself.

Whenever the newest returns are better than the best checkpoint's, the learner is asked for a
candidate, and the episodes after it say what the candidate is worth. It costs no environment and no
episode, and a checkpoint is not called the best for the luck by which it was chosen.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

# Episodes of a window: the instances end theirs together at worst, so each counts once.
WINDOW = 100
# Between two requests [s]; and their share of the time, however long a large learner takes to save.
_PERIOD_S = 2.0
_SHARE = 0.03
_SHARE_OF_RUN = 0.01


@dataclass(frozen=True)
class Window:
    """Returns of consecutive exploring episodes.

    Attributes:
        steps: environment steps of all instances at its end, earlier starts included.
        mean: of the returns, task units [1].
        std: their standard deviation, task units [1].
        episodes: how many.
    """

    steps: int
    mean: float
    std: float
    episodes: int

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, task units [1]."""
        return self.std / math.sqrt(self.episodes)


class BestWatch:
    """Tells when to save a candidate, and when it is the best; times are arguments.

    Args:
        instances: of the environment.
        best: what an earlier start of the run has kept.
        window: episodes of a window, at least.

    Attributes:
        first: the first window of this start.
        last: the newest window.
        best: the episodes that followed the best checkpoint, with the steps when it was saved.
    """

    def __init__(
        self, instances: int = 1, best: Window | None = None, *, window: int = WINDOW
    ) -> None:
        self.first: Window | None = None
        self.last: Window | None = None
        self.best = best
        self._size = max(window, instances)
        self._returns: deque[float] = deque(maxlen=self._size)
        self._asked = False
        self._candidate: Window | None = None
        self._since = 0
        self._start_s: float | None = None
        self._asked_s = self._next_s = 0.0

    def add(self, steps: int, returns: Sequence[float]) -> None:
        """Note the returns of finished episodes.

        Args:
            steps: environment steps of all instances by now.
            returns: of episodes that were not aborted, in the order of their ends.
        """
        self._returns.extend(returns)
        self._since += len(returns)
        if len(self._returns) < self._size:
            return
        mean = math.fsum(self._returns) / self._size
        square = math.fsum((value - mean) ** 2 for value in self._returns) / self._size
        self.last = Window(steps, mean, math.sqrt(square), self._size)
        if self.first is None:
            self.first = self.last

    def is_due(self, now_s: float) -> bool:
        """Return whether the learner is to be asked for a candidate now; True is a request.

        Args:
            now_s: the time, by any steady clock [s].
        """
        if self._start_s is None:
            self._start_s = now_s
        if self._asked or self._candidate is not None or now_s < self._next_s:
            return False
        if self.last is None or not self._is_better(self.last):
            return False
        self._asked, self._asked_s = True, now_s
        return True

    def answered(self, now_s: float, *, saved: bool) -> None:
        """Note the answer to a request.

        Args:
            now_s: as of ``is_due`` [s].
            saved: True if the candidate was written.
        """
        took_s, ran_s = now_s - self._asked_s, now_s - (self._start_s or 0.0)
        self._next_s = now_s + max(_PERIOD_S, took_s / _SHARE, _SHARE_OF_RUN * ran_s)
        self._asked, self._since = False, 0
        self._candidate = self.last if saved else None

    def take(self) -> bool:
        """Return whether the candidate is the best checkpoint from now on; once for each."""
        if self._candidate is None or self.last is None or self._since < self._size:
            return False
        candidate, self._candidate = self._candidate, None
        if not self._is_better(self.last):
            return False
        self.best = replace(self.last, steps=candidate.steps)
        return True

    def _is_better(self, window: Window) -> bool:
        return self.best is None or window.mean > self.best.mean
