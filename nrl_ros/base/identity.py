"""Numbers that name a session, a learner or a neuromodulator."""

from __future__ import annotations

import secrets

# A double holds each whole number up to this one.
_LARGEST = 2**53


def draw_identity(room: int = 0) -> int:
    """Draw a number that no other session or learner has; never 0, which means none.

    A double holds it: PlotJuggler refuses messages with larger ones, and JavaScript rounds them.

    Args:
        room: so many numbers that follow it are held by a double too.
    """
    return secrets.randbelow(_LARGEST - room) + 1
