"""Decides when to listen to the actions of a run, so that nobody is slowed who only learns."""

from __future__ import annotations

# Each listener costs the sender of a message some microseconds. Up to so many messages a second it
# is not felt; faster loops are listened to for a moment now and then [1/s], [s].
_SLOW_HZ = 200.0
_LISTEN_S, _EVERY_S = 0.5, 10.0


class Sampling:
    """Times at which one topic is listened to; times are arguments."""

    def __init__(self) -> None:
        self._begun: float | None = None

    def wants(self, now: float, rate_hz: float, *, watched: bool) -> bool:
        """Return whether to listen now.

        Args:
            now: time of a steady clock [s].
            rate_hz: messages a second on the topic.
            watched: True while a page is open.
        """
        if not watched:
            self._begun = None
            return False
        if self._begun is None or now - self._begun >= _EVERY_S:
            self._begun = now
        return rate_hz <= _SLOW_HZ or now - self._begun < _LISTEN_S
