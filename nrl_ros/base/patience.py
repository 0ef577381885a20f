"""Decide whether something has lasted too long; times are arguments, no clock is read."""

from __future__ import annotations

import math


class Patience:
    """Tells when a condition has held for too long.

    Args:
        limit_s: longest allowed time [s].
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since = math.nan

    def over(self, now: float, waits: bool) -> bool:
        """Note whether the condition holds at a time [s]; return True if it held for too long."""
        if not waits:
            self._since = math.nan
        elif math.isnan(self._since):
            self._since = now
        return now - self._since > self._limit_s
