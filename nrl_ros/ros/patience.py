"""How long something may last. Nothing here reads a clock: each time is an argument."""

from __future__ import annotations

import math


class Patience:
    """Tells when something has been so for too long.

    Args:
        limit_s: from which on it is too long [s].
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since = math.nan

    def over(self, now: float, waits: bool) -> bool:
        """Note whether it is so at a time [s]; whether it has been for too long."""
        if not waits:
            self._since = math.nan
        elif math.isnan(self._since):
            self._since = now
        return now - self._since > self._limit_s
