"""Finds the best checkpoint of a run by the exploring episodes of the training itself.

Whenever the newest returns are better than the best checkpoint's, the learner is asked for a
candidate, and the episodes after it say what the candidate is worth. It costs no environment and no
episode, and a checkpoint is not called the best for the luck by which it was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

from nrl_ros.environments.best_window import WINDOW, BestWindow, Window

# Between two requests [s]; and their share of the time, however long a large learner takes to save.
_PERIOD_S = 2.0
_SHARE = 0.03
_SHARE_OF_RUN = 0.01


class BestWatch:
    """Tells when to save a candidate, and when it is the best; times are arguments.

    Args:
        instances: of the environment.
        best: what an earlier start of the run has kept.
        window: episodes of a window, at least.
    """

    def __init__(
        self, instances: int = 1, best: Window | None = None, *, window: int = WINDOW
    ) -> None:
        self._windows = BestWindow(max(window, instances), best)
        self._asked = False
        self._start_s: float | None = None
        self._asked_s = self._next_s = 0.0

    @property
    def first(self) -> Window | None:
        """The first window of this start."""
        return self._windows.first

    @property
    def last(self) -> Window | None:
        """The newest window."""
        return self._windows.last

    @property
    def best(self) -> Window | None:
        """The episodes that followed the best checkpoint, with the steps when it was saved."""
        return self._windows.best

    def add(self, steps: int, returns: Sequence[float]) -> None:
        """Note the returns of finished episodes; arguments are those of ``BestWindow.add``."""
        self._windows.add(steps, returns)

    def is_due(self, now_s: float) -> bool:
        """Return whether the learner is to be asked for a candidate now; True is a request.

        Args:
            now_s: the time, by any steady clock [s].
        """
        if self._start_s is None:
            self._start_s = now_s
        if self._asked or now_s < self._next_s or not self._windows.has_better():
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
        self._asked = False
        if saved:
            self._windows.propose()
        else:
            self._windows.drop()

    def take(self) -> bool:
        """Return whether the candidate is the best checkpoint from now on; once for each."""
        return self._windows.take()
