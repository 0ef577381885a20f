"""Joint states are taken from one publisher: a second one is refused, whoever tells the truth."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

# A second publisher counts as gone after it has said nothing for so long [s].
_GONE_S = 2.0
# The numbers of one publisher's messages rise, with gaps where some were lost, up to this.
_GAP = 1000
_KEPT = 8


class OneSource:
    """Lets through what one publisher says, and tells whether another one has spoken too.

    Whoever is heard is taken until it has been silent for ``silence_s``, so that one that is
    started anew is taken in place of its predecessor. While two speak, the first one is believed,
    nothing forbids to brake by it, and the arm must not move.

    Args:
        silence_s: age of the newest joint state at which it is too old to move by [s].
    """

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self.source: Hashable = None
        self._heard_at = self._rival_at = -math.inf
        self._rival: Hashable = None

    def take(self, now: float, source: Hashable) -> bool:
        """Return whether a joint state of a publisher is to be taken.

        Args:
            now: [s].
            source: what tells the publisher from others.
        """
        if source != self.source:
            if now - self._heard_at <= self._silence_s:
                self._rival, self._rival_at = source, now
                return False
            self.source = source
        self._heard_at = now
        return True

    def rival(self, now: float) -> Hashable:
        """Return the publisher that has spoken besides, None if there is none by now."""
        return self._rival if now - self._rival_at <= _GONE_S else None


class NumberedSources:
    """Tells publishers apart by the numbers of their messages, where nothing else is known of them.

    The middleware numbers the messages of each publisher on its own. A number that does not follow
    from those of the publishers so far is of another one; two whose numbers are near to each
    other are told apart after one message of each.
    """

    def __init__(self) -> None:
        # The last number of each, by the place in which they came; the newest at the end.
        self._last: dict[int, int] = {}
        self._count = 0

    def identify(self, number: int) -> int:
        """Return which publisher a message is of, counted in the order in which they were heard.

        Args:
            number: of the message, by its publisher's own count.
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

    All do, except a namesake that was there at the start and is dead: the graph shows a node that
    was killed for some 20 s. It is listened to for a while; where it says nothing it is taken
    for dead, unless it is there for longer than the dead are shown. Of two that live the one
    that begins later hears the other one, and does not begin.

    Args:
        node: name of the node that commands.
        began: when it began [s].
    """

    # Who is found later than this after the start was not there before [s].
    FOUND_S = 3.0
    # A node that commands says so in each period, so that this is long enough [s].
    LISTENED_S = 1.0
    # The longest that a dead node is shown, and some time [s].
    SHOWN_S = 30.0

    def __init__(self, node: str, began: float) -> None:
        self._node, self._began = node, began
        self._found_at: dict[Hashable, float] = {}
        self._spoke = False

    def refused(self, now: float, others: Sequence[tuple[Hashable, str]]) -> list[str]:
        """Return the names of those that forbid to move, in their order.

        Args:
            now: [s].
            others: what tells each from others, and the name of its node.
        """
        self._found_at = {
            gid: self._found_at.get(gid, now if node == self._node else -math.inf)
            for gid, node in others
        }
        if not others:
            self._spoke = False
        return [node for gid, node in others if not self._is_dead(now, gid)]

    def is_listened_for(self, now: float) -> bool:
        """Whether it matters now if somebody else speaks."""
        return any(
            self._is_early(found) and now - found <= self.LISTENED_S
            for found in self._found_at.values()
        )

    def spoke(self) -> None:
        """Note that somebody else has commanded."""
        self._spoke = True

    def _is_early(self, found: float) -> bool:
        return found - self._began <= self.FOUND_S

    def _is_dead(self, now: float, gid: Hashable) -> bool:
        found = self._found_at[gid]
        shown_s = now - found
        listened = self.LISTENED_S < shown_s <= self.SHOWN_S
        return self._is_early(found) and listened and not self._spoke
