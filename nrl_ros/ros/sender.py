"""Listen to one of several senders of a signal: to the first, for as long as it answers."""

from __future__ import annotations

from typing import NamedTuple


class Sender(NamedTuple):
    """Sender of a signal.

    Attributes:
        identity: from the message; 0: it has none.
        gid: from the middleware; empty: it tells none.
    """

    identity: int
    gid: bytes = b''


class BoundSender:
    """Refuses all senders but the first whose signal was useful, until that one fails to answer.

    The time is an argument.

    Args:
        patience_s: how long it may owe an answer before another sender replaces it [s].

    Attributes:
        bound: the sender that is listened to; None: none yet.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._owed_since: float | None = None
        self.bound: Sender | None = None

    def refuses(self, sender: Sender, now: float) -> bool:
        """Return whether to refuse a sender: it is not the bound one and may not replace it."""
        if sender == self.bound:
            return False
        if not sender.identity:
            return True
        owed = self._owed_since
        return self.bound is not None and (owed is None or now - owed <= self._patience_s)

    def heard(self, sender: Sender) -> bool:
        """Bind a sender whose signal was useful; return whether it was another one before."""
        fresh, self.bound = sender != self.bound, sender
        self._owed_since = None
        return fresh

    def owes(self, now: float) -> None:
        """Note that an answer is owed, until one comes."""
        if self._owed_since is None:
            self._owed_since = now

    def release(self) -> None:
        """Unbind the sender, which has left, so that the next one can be bound."""
        self.bound = self._owed_since = None
