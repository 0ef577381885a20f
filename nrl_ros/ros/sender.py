"""Of several senders of one signal one is listened to: the first, for as long as it answers."""

from __future__ import annotations

from typing import NamedTuple


class Sender(NamedTuple):
    """Who sends a signal.

    Attributes:
        identity: that the message says; 0: it says none.
        gid: that the middleware tells; empty: it tells none.
    """

    identity: int
    gid: bytes = b''


class BoundSender:
    """Refuses all but the first sender whose signal was of use, until that one fails to answer.

    The time is an argument.

    Args:
        patience_s: how long it may owe an answer before another one takes its place [s].

    Attributes:
        bound: who is listened to; None: nobody yet.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._owed_since: float | None = None
        self.bound: Sender | None = None

    def refuses(self, sender: Sender, now: float) -> bool:
        """Return whether a sender is not the one that is listened to, nor may become it."""
        if sender == self.bound:
            return False
        if not sender.identity:
            return True
        owed = self._owed_since
        return self.bound is not None and (owed is None or now - owed <= self._patience_s)

    def heard(self, sender: Sender) -> bool:
        """Bind a sender whose signal was of use; return whether it is another one than before."""
        fresh, self.bound = sender != self.bound, sender
        self._owed_since = None
        return fresh

    def owes(self, now: float) -> None:
        """Note that an answer is owed, until one comes."""
        if self._owed_since is None:
            self._owed_since = now

    def release(self) -> None:
        """Let the next one be bound: the one that was has left."""
        self.bound = self._owed_since = None
