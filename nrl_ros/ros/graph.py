"""Publishers and subscribers of a topic as the ROS graph shows them, and how they change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

# The number of publishers is read this often; their names are read once a second, or when the
# number has changed [s].
LOOK_S = 0.2
_NAMES_S = 1.0
# An endpoint counts after this time in the graph. One that replaces another appears before the
# other leaves, and appears before its node is known [s].
GRACE_S = 0.5
_NAMELESS_S = 2.0
_UNKNOWN = '_UNKNOWN_'


class Endpoint(NamedTuple):
    """A publisher or a subscription.

    Attributes:
        gid: id that the middleware gives it.
        node: name of its node with the namespace; '' while the middleware does not know it.
        kind: type of its messages, such as std_msgs/msg/Bool.
    """

    gid: bytes
    node: str
    kind: str


def publishers(node: Any, topic: str) -> list[Endpoint]:
    """Return the publishers of a topic, in no certain order (takes about 30 us)."""
    name = node.resolve_topic_name(topic)
    return [_endpoint(info) for info in node.get_publishers_info_by_topic(name)]


def subscribers(node: Any, topic: str) -> list[Endpoint]:
    """Return the subscribers of a topic, in no certain order (takes about 30 us)."""
    name = node.resolve_topic_name(topic)
    return [_endpoint(info) for info in node.get_subscriptions_info_by_topic(name)]


def topics_of(topics: Iterable[tuple[str, list[str]]], kind: Any, last: str = '') -> list[str]:
    """Return the topics of one message, sorted.

    Args:
        topics: names of all topics with their types, as a node's ``get_topic_names_and_types``.
        kind: message class.
        last: last part of their names; empty: any.
    """
    wanted = f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'
    return sorted(
        name
        for name, kinds in topics
        if wanted in kinds and (not last or name.rpartition('/')[2] == last)
    )


def _endpoint(info: Any) -> Endpoint:
    known = _UNKNOWN not in info.node_name
    name = f'{info.node_namespace.rstrip("/")}/{info.node_name}' if known else ''
    return Endpoint(bytes(info.endpoint_gid), name, info.topic_type)


def named(endpoints: Sequence[Endpoint]) -> str:
    """Return the nodes of endpoints in words, with a count for a node that has several."""
    counts: dict[str, int] = {}
    for endpoint in endpoints:
        name = endpoint.node or 'a node without a name'
        counts[name] = counts.get(name, 0) + 1
    return ' and '.join(
        name if count == 1 else f'{name} ({count} times)' for name, count in counts.items()
    )


class Changes(NamedTuple):
    """Endpoints that came to a topic or left it, in the order in which they came."""

    came: tuple[Endpoint, ...]
    left: tuple[Endpoint, ...]


class EndpointWatch:
    """Remembers in which order endpoints came, and reports who comes and who leaves.

    It has no clock and no node: time and endpoints are arguments.

    Args:
        grace_s: an endpoint counts after this time in the graph [s]; one whose node has no name yet
            counts later.
    """

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        # When each endpoint was first seen, by gid, in that order.
        self._since: dict[bytes, float] = {}
        self._there: dict[bytes, Endpoint] = {}

    @property
    def present(self) -> tuple[Endpoint, ...]:
        """The endpoints that count, the first one first."""
        return tuple(self._there.values())

    @property
    def is_settled(self) -> bool:
        """True if every endpoint that was seen last counts already."""
        return len(self._there) == len(self._since)

    def update(self, now: float, endpoints: Sequence[Endpoint]) -> Changes:
        """Note the present endpoints, and return those that came and those that left.

        Args:
            now: of a steady clock [s].
            endpoints: all that are in the graph now.
        """
        seen = {endpoint.gid: endpoint for endpoint in endpoints}
        left = tuple(there for gid, there in self._there.items() if gid not in seen)
        self._since = {
            **{gid: since for gid, since in self._since.items() if gid in seen},
            **{gid: now for gid in sorted(seen) if gid not in self._since},
        }
        before = self._there
        self._there = {
            gid: seen[gid]
            for gid, since in self._since.items()
            if gid in before
            or now - since >= (self._grace_s if seen[gid].node else _NAMELESS_S + self._grace_s)
        }
        came = tuple(there for gid, there in self._there.items() if gid not in before)
        return Changes(came, left)


class TopicWatch:
    """Watches the publishers of one topic, with few questions to the graph, and reports changes.

    Names are asked for once a second, and at once if the number has changed, so most calls take a
    few microseconds.

    Args:
        node: asks the graph.
        topic: any name of the topic.
        own: gids of the node's own publishers there, which are left out (see ``added``).
        grace_s: time in the graph after which a publisher counts [s].
    """

    def __init__(
        self,
        node: Any,
        topic: str,
        *,
        own: frozenset[bytes] = frozenset(),
        grace_s: float = GRACE_S,
    ) -> None:
        self._node, self._own = node, own
        self.topic = node.resolve_topic_name(topic)
        self._watch = EndpointWatch(grace_s)
        self._count = -1
        self._looked_at = self._named_at = float('-inf')

    @property
    def present(self) -> tuple[Endpoint, ...]:
        """The other publishers there, the first one first."""
        return self._watch.present

    def look(self, now: float) -> Changes:
        """Return who came and who left since the last look.

        Args:
            now: of a steady clock [s].
        """
        if now - self._looked_at < LOOK_S:
            return Changes((), ())
        self._looked_at = now
        count = self._node.count_publishers(self.topic)
        if count == self._count and self._watch.is_settled and now - self._named_at < _NAMES_S:
            return Changes((), ())
        self._count, self._named_at = count, now
        everybody = publishers(self._node, self.topic)
        return self._watch.update(now, [one for one in everybody if one.gid not in self._own])


def added(before: Sequence[Endpoint], after: Sequence[Endpoint], node: str) -> frozenset[bytes]:
    """Return the gids that a node has added to a topic, since rclpy does not tell them.

    Args:
        before: endpoints just before the node made its own.
        after: endpoints just after.
        node: name of the node with its namespace.
    """
    known = {endpoint.gid for endpoint in before}
    return frozenset(one.gid for one in after if one.gid not in known and one.node == node)
