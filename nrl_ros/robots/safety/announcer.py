"""Says a thing once: again only when it is another one, not when its numbers have changed."""

from __future__ import annotations

import math
import re

# A number that is not a part of a name, as in joint2.
_NUMBER = re.compile(r'(?<![\w.])[-+]?(?:\d+(?:\.\d*)?(?:e[-+]?\d+)?|nan|inf)\b', re.IGNORECASE)


def without_numbers(text: str) -> str:
    """Return a text with # for each number, so that texts of one cause are equal."""
    return _NUMBER.sub('#', text)


class Announcer:
    """Tells when a text is to be said, of texts that come all the time.

    Args:
        hold_s: a text is said when it has been the same for so long [s].
        again_s: what was said before is said again after so long, if something else was said
            meanwhile [s].
    """

    def __init__(self, hold_s: float = 0.0, again_s: float = 10.0) -> None:
        self._hold_s, self._again_s = hold_s, again_s
        self._pending, self._since_s = '', -math.inf
        self._said = ''
        self._said_at: dict[str, float] = {}

    def due(self, now: float, text: str) -> bool:
        """Note what is the case now; whether it is to be said.

        Args:
            now: time of a steady clock [s].
            text: empty: nothing is.
        """
        cause = without_numbers(text)
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
