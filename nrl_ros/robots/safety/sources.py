"""Take joint states from one publisher; a second one is refused and reported."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

# A second publisher counts as gone after this time of silence [s].
_GONE_S = 2.0
# The numbers of one publisher's messages rise, with gaps of at most this if messages are lost.
_GAP = 1000
_KEPT = 8


class OneSource:
    """Takes the messages of one publisher, and tells whether another one has sent some too.

    A publisher is taken until it has been silent for ``silence_s``, so that a restarted one
    replaces its predecessor. While two publish, the first one is believed: the arm may brake by its
    states, but must not move.

    Args:
        silence_s: age from which the newest joint state is too old to move by [s].
    """

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self.source: Hashable = None
        self._heard_at = self._rival_at = -math.inf
        self._rival: Hashable = None

    def take(self, now: float, source: Hashable) -> bool:
        """Return whether to take a joint state of a publisher.

        Args:
            now: [s].
            source: identifies the publisher.
        """
        if source != self.source:
            if now - self._heard_at <= self._silence_s:
                self._rival, self._rival_at = source, now
                return False
            self.source = source
        self._heard_at = now
        return True

    def rival(self, now: float) -> Hashable:
        """Return the other publisher that sent something lately, None if there is none."""
        return self._rival if now - self._rival_at <= _GONE_S else None


class NumberedSources:
    """Tells publishers apart by the numbers of their messages, if nothing else identifies them.

    The middleware numbers the messages of each publisher separately. A number that cannot follow
    those of the known publishers comes from another one. Two publishers whose numbers are near to
    each other are told apart after one message of each.
    """

    def __init__(self) -> None:
        # The last number of each publisher, in the order of their latest messages.
        self._last: dict[int, int] = {}
        self._count = 0

    def source_of(self, gid: bytes, number: int) -> Hashable:
        """Return what identifies the publisher of a message: its id, else the message's number.

        Args:
            gid: of the publisher; empty if the middleware does not tell it.
            number: of the message, as its publisher counts; 0 if that is not told either, so that
                all publishers look alike.
        """
        return self.identify(number) if number and not gid else gid

    def identify(self, number: int) -> int:
        """Return the publisher of a message, numbered in the order in which they were first heard.

        Args:
            number: of the message, as its publisher counts.
        """
        near = [
            (number - last, source)
            for source, last in self._last.items()
            if 0 < number - last <= _GAP
        ]
        if near:
            source = min(near)[1]
            del self._last[source]
        else:
            source, self._count = self._count, self._count + 1
        self._last[source] = number
        if len(self._last) > _KEPT:
            del self._last[next(iter(self._last))]
        return source


class Commanders:
    """Decides which other publishers on the controller's topic forbid to move the arm.

    All of them do, except a namesake that was there at the start and is dead: the graph shows a
    killed node for some 20 s. A namesake is listened to for a while and taken for dead if it says
    nothing, unless it is there longer than the graph shows dead nodes. If two nodes live, the one
    that starts later hears the other one and does not begin.

    Args:
        node: name of the node that commands.
        began: when it began [s].
    """

    # A publisher that is found later than this after the start was not there before [s].
    FOUND_S = 3.0
    # A node that commands sends in each period, so this time is long enough to hear it [s].
    LISTENED_S = 1.0
    # The longest time for which the graph shows a dead node, with a margin [s].
    SHOWN_S = 30.0

    def __init__(self, node: str, began: float) -> None:
        self._node, self._began = node, began
        self._found_at: dict[Hashable, float] = {}
        self._spoke = False

    def refused(self, now: float, others: Sequence[tuple[Hashable, str]]) -> list[str]:
        """Return the names of the nodes that forbid to move, in their order.

        Args:
            now: [s].
            others: id of each other publisher, and the name of its node.
        """
        self._found_at = {
            gid: self._found_at.get(gid, now if node == self._node else -math.inf)
            for gid, node in others
        }
        if not others:
            self._spoke = False
        return [node for gid, node in others if not self._is_dead(now, gid)]

    def is_listened_for(self, now: float) -> bool:
        """Return whether a message of another commander would matter now."""
        return any(
            self._is_early(found) and now - found <= self.LISTENED_S
            for found in self._found_at.values()
        )

    def spoke(self) -> None:
        """Note that another node has commanded."""
        self._spoke = True

    def _is_early(self, found: float) -> bool:
        return found - self._began <= self.FOUND_S

    def _is_dead(self, now: float, gid: Hashable) -> bool:
        found = self._found_at[gid]
        shown_s = now - found
        listened = self.LISTENED_S < shown_s <= self.SHOWN_S
        return self._is_early(found) and listened and not self._spoke
