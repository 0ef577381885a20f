"""The work of a learner between two reports; times are arguments."""

from __future__ import annotations

import math

from nrl_ros.learning.learner import Learner


class ReportInterval:
    """The time since the last report, and the work done in it.

    Args:
        now_s: the time, by any steady clock [s].
    """

    def __init__(self, now_s: float) -> None:
        self._begun_s = now_s
        self._busy_s = 0.0
        self._rpe_sum, self._windows = 0.0, 0

    def worked(self, took_s: float) -> None:
        """Add time spent on a message [s]."""
        self._busy_s += took_s

    def busy_share(self, now_s: float) -> float:
        """Return the share of the time that was spent on messages, from 0 to 1."""
        return min(max(self._busy_s / max(now_s - self._begun_s, 1e-9), 0.0), 1.0)

    def mean_absolute_rpe(self, learner: Learner) -> float:
        """Return the mean size of the RPEs that were learned from, NaN if there were none."""
        windows = learner.windows_learned - self._windows
        return (learner.rpes.absolute - self._rpe_sum) / windows if windows else math.nan

    def begin(self, now_s: float, learner: Learner) -> None:
        """Begin the next interval."""
        self._begun_s, self._busy_s = now_s, 0.0
        self._rpe_sum, self._windows = learner.rpes.absolute, learner.windows_learned
