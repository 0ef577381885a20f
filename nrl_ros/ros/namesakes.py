"""Environments of one name: agents are told apart by name alone, so that only one may stay."""

from __future__ import annotations

# Sessions of others that are remembered.
_KEPT = 64


class Namesakes:
    """Remembers the sessions of other environments that have the name of this one.

    Attributes:
        mine: sessions of this environment, of now and before.
    """

    def __init__(self) -> None:
        self.mine: set[int] = set()
        self._since: dict[int, int] = {}

    def hear(self, session: int, since_ns: int, *, active: bool) -> None:
        """Note an introduction, or a goodbye, and since when that session is [ns]."""
        if not active:
            self._since.pop(session, None)
        elif session not in self.mine and len(self._since) < _KEPT:
            self._since[session] = since_ns

    def has_earlier(self, session: int, since_ns: int) -> bool:
        """Return whether another one says that it began before a session of this one."""
        return any((since, other) < (since_ns, session) for other, since in self._since.items())

    def forget(self) -> None:
        """Forget the others."""
        self._since.clear()
