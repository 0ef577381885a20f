"""Decides when the next checkpoint is due; times are arguments."""

from __future__ import annotations


class SaveSchedule:
    """Tells when it is time to save, for a caller that can save only at certain moments.

    Args:
        now_s: the time, by any steady clock [s].
    """

    def __init__(self, now_s: float) -> None:
        self._last_s = now_s
        self._is_due = False

    def look(self, now_s: float, period_s: float) -> None:
        """Note whether a period has passed since the last checkpoint; a period of 0 never passes.

        Args:
            now_s: the time [s].
            period_s: between two checkpoints [s].
        """
        if 0.0 < period_s <= now_s - self._last_s:
            self._is_due, self._last_s = True, now_s

    def take(self) -> bool:
        """Return True if it is time to save, once for each period."""
        due, self._is_due = self._is_due, False
        return due
