"""Decides when a repeated text must be logged: once for each cause, not again for new numbers."""

from __future__ import annotations

import math
import re

# A number that is no part of a name; the 2 of joint2 is one.
_NUMBER = re.compile(r'(?<![\w.])[-+]?(?:\d+(?:\.\d*)?(?:e[-+]?\d+)?|nan|inf)\b', re.IGNORECASE)


def without_numbers(text: str) -> str:
    """Return a text with # in place of each number, so that texts of one cause are equal."""
    return _NUMBER.sub('#', text)


class Announcer:
    """Decides which of many repeated texts are logged.

    Args:
        hold_s: a text is logged after it has been the same for this long [s].
        again_s: a text is logged again after this long, if another one was logged in between [s].
    """

    def __init__(self, hold_s: float = 0.0, again_s: float = 10.0) -> None:
        self._hold_s, self._again_s = hold_s, again_s
        self._pending, self._since_s = '', -math.inf
        self._text = self._cause = self._said = ''
        self._said_at: dict[str, float] = {}

    def due(self, now: float, text: str) -> bool:
        """Note the present text, and return whether it must be logged now.

        Args:
            now: time of a steady clock [s].
            text: the present state in words; empty: nothing has to be logged.
        """
        if text != self._text:
            self._text, self._cause = text, without_numbers(text)
        cause = self._cause
        if cause != self._pending:
            self._pending, self._since_s = cause, now
        if cause == self._said or now - self._since_s < self._hold_s:
            return False
        if not cause:
            self._said = ''
            return False
        if now - self._said_at.get(cause, -math.inf) < self._again_s:
            return False
        self._said, self._said_at[cause] = cause, now
        return True
