"""The best of the windows of returns so far, and when weights are a candidate for it.

Whenever the newest returns are better than the best window's, the present weights are a candidate,
and the episodes after it say what the candidate is worth: no weights are called the best for the
luck by which they were chosen.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

# Episodes of a window: the instances end theirs together at worst, so each counts once.
WINDOW = 100
_WINDOWS = ('first', 'last', 'best', 'candidate', 'chosen', 'older')


@dataclass(frozen=True)
class Window:
    """Returns of consecutive episodes.

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


def window_of(steps: int, returns: Collection[float]) -> Window:
    """Return the window of at least one return that ends after so many steps."""
    mean = math.fsum(returns) / len(returns)
    square = math.fsum((value - mean) ** 2 for value in returns) / len(returns)
    return Window(steps, mean, math.sqrt(square), len(returns))


class BestWindow:
    """Knows the first, the newest and the best window, and a candidate for the best.

    Args:
        size: episodes of a window.
        best: from before; None: there is none yet.

    Attributes:
        size: episodes of a window.
        first: the first window.
        mean: of the newest window, which slides from episode to episode; None: it is not full yet.
        best: the episodes that followed the best weights, with the steps when those were a
            candidate.
        candidate: the window for which the present candidate was chosen; None: there is none.
        chosen: that for which the best weights were chosen; None: ``best`` is of these weights.
        older: the best window before.
    """

    def __init__(self, size: int, best: Window | None = None) -> None:
        self.size = size
        self.first: Window | None = None
        self.mean: float | None = None
        self.best = best
        self.candidate: Window | None = None
        self.chosen: Window | None = None
        self.older: Window | None = None
        self._returns: deque[float] = deque(maxlen=size)
        self._since = self._steps = 0
        self._last: Window | None = None

    @property
    def last(self) -> Window | None:
        """The newest window."""
        # It moves with nearly each step of many instances, and its deviation, which takes most of
        # the time, is asked for only now and then.
        if self._last is None and self.mean is not None:
            self._last = window_of(self._steps, self._returns)
        return self._last

    def measure(self, window: Window) -> None:
        """Take a window that was measured elsewhere as the newest one."""
        self.mean, self._last = window.mean, window

    def add(self, steps: int, returns: Sequence[float]) -> None:
        """Note the returns of finished episodes.

        Args:
            steps: environment steps of all instances by now.
            returns: of episodes that were not aborted, in the order of their ends.
        """
        self._returns.extend(returns)
        self._since += len(returns)
        if len(self._returns) < self.size:
            return
        self._steps, self._last = steps, None
        self.mean = math.fsum(self._returns) / len(self._returns)
        if self.first is None:
            self.first = self.last

    def has_better(self) -> bool:
        """Return True if the present weights are to be a candidate: the newest window is best."""
        return self.candidate is None and self._is_best()

    def propose(self) -> None:
        """Note that the present weights are the candidate."""
        self.candidate, self._since = self.last, 0

    def drop(self) -> None:
        """Note that there is no candidate."""
        self.candidate, self._since = None, 0

    def take(self) -> bool:
        """Return whether the candidate is the best from now on; once for each candidate."""
        if self.candidate is None or self.mean is None or self._since < self.size:
            return False
        candidate, self.candidate = self.candidate, None
        if not self._is_best() or self.last is None:
            return False
        self.older, self.chosen = self.best, candidate
        self.best = replace(self.last, steps=candidate.steps)
        return True

    def begin_anew(self, *, forget: bool = False) -> None:
        """Begin the window anew, since the episodes so far were of other weights.

        Args:
            forget: the first and the best window too, since the task is another one.
        """
        self._returns.clear()
        self.mean = self._last = None
        self.drop()
        if forget:
            self.first = self.best = self.chosen = self.older = None

    def snapshot(self) -> dict[str, Any]:
        """Return everything that decides the future, as plain data."""
        windows = {name: getattr(self, name) for name in _WINDOWS}
        return {
            'returns': list(self._returns),
            'since': self._since,
            **{name: None if one is None else asdict(one) for name, one in windows.items()},
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self._returns = deque(map(float, snapshot['returns']), maxlen=self.size)
        self._since = int(snapshot['since'])
        for name in _WINDOWS:
            saved = snapshot[name]
            window = None if saved is None else Window(**saved)
            if name != 'last':
                setattr(self, name, window)
            elif window is None:
                self.mean = self._last = None
            else:
                self.measure(window)

    def _is_best(self) -> bool:
        return self.mean is not None and (self.best is None or self.mean > self.best.mean)
