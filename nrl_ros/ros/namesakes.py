"""Environments with equal names: a name identifies an agent, so only one of them may stay."""

from __future__ import annotations

# At most this many sessions of others are remembered.
_KEPT = 64


class Namesakes:
    """Remembers the sessions of other environments with the name of this one.

    Attributes:
        mine: sessions of this environment, present and past.
    """

    def __init__(self) -> None:
        self.mine: set[int] = set()
        self._since: dict[int, int] = {}

    def hear(self, session: int, since_ns: int, *, active: bool) -> None:
        """Note an introduction or a goodbye, and since when that session exists [ns]."""
        if not active:
            self._since.pop(session, None)
        elif session not in self.mine and len(self._since) < _KEPT:
            self._since[session] = since_ns

    def has_earlier(self, session: int, since_ns: int) -> bool:
        """Return whether another environment says that it began before one's own session."""
        return any((since, other) < (since_ns, session) for other, since in self._since.items())

    def forget(self) -> None:
        """Forget the others."""
        self._since.clear()
