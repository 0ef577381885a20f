"""Who publishes and who listens on a topic, as the ROS graph knows it, and what changes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

# Looked at by number so often, and by name once a second or where the number has changed.
LOOK_S = 0.2
_NAMES_S = 1.0
# An endpoint is counted after it has been in the graph for so long: one that takes the place of
# another is seen before the other has left, and is found before it is known whose it is.
GRACE_S = 0.5
_NAMELESS_S = 2.0
_UNKNOWN = '_UNKNOWN_'


class Endpoint(NamedTuple):
    """A publisher or a subscription.

    Attributes:
        gid: what the middleware tells it apart by.
        node: name of its node with the namespace; '' while the middleware does not know it.
        kind: type of its messages, such as std_msgs/msg/Bool.
    """

    gid: bytes
    node: str
    kind: str


def publishers(node: Any, topic: str) -> list[Endpoint]:
    """Return those who publish on a topic, in no certain order (about 30 us)."""
    name = node.resolve_topic_name(topic)
    return [_endpoint(info) for info in node.get_publishers_info_by_topic(name)]


def subscribers(node: Any, topic: str) -> list[Endpoint]:
    """Return those who listen on a topic, in no certain order (about 30 us)."""
    name = node.resolve_topic_name(topic)
    return [_endpoint(info) for info in node.get_subscriptions_info_by_topic(name)]


def _endpoint(info: Any) -> Endpoint:
    known = _UNKNOWN not in info.node_name
    name = f'{info.node_namespace.rstrip("/")}/{info.node_name}' if known else ''
    return Endpoint(bytes(info.endpoint_gid), name, info.topic_type)


def named(endpoints: Sequence[Endpoint]) -> str:
    """Return the nodes of endpoints in words, each with how many it has where it has several."""
    counts: dict[str, int] = {}
    for endpoint in endpoints:
        name = endpoint.node or 'a node without a name'
        counts[name] = counts.get(name, 0) + 1
    return ' and '.join(
        name if count == 1 else f'{name} ({count} times)' for name, count in counts.items()
    )


class Changes(NamedTuple):
    """What has changed on a topic: who came and who left, in the order in which they came."""

    came: tuple[Endpoint, ...]
    left: tuple[Endpoint, ...]


class EndpointWatch:
    """Remembers in which order endpoints came, and reports who comes and who leaves.

    Pure: the time and the endpoints are passed in.

    Args:
        grace_s: an endpoint counts after it has been there for so long [s]. One whose node has no
            name yet counts later.
    """

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        # By gid, in the order in which they were seen first.
        self._since: dict[bytes, float] = {}
        self._there: dict[bytes, Endpoint] = {}

    @property
    def present(self) -> tuple[Endpoint, ...]:
        """Those who count, the first one first."""
        return tuple(self._there.values())

    @property
    def is_settled(self) -> bool:
        """Whether everybody who was seen last counts."""
        return len(self._there) == len(self._since)

    def update(self, now: float, endpoints: Sequence[Endpoint]) -> Changes:
        """Take over who is there.

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
    """Looks at the publishers of one topic, as seldom as will do, and reports what changes.

    Names are asked for once a second, and at once where their number has changed, so that a call
    costs a few microseconds as a rule.

    Args:
        node: asks the graph.
        topic: any name of the topic.
        own: gids of the node's own publishers there, which are left out (see ``added``).
        grace_s: see EndpointWatch.
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
        """The others who publish there, the first one first."""
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
    """Return the gids of what a node has added to a topic, as rclpy does not tell them.

    Args:
        before: who was there just before it was made.
        after: who is there just after.
        node: name of the node with its namespace.
    """
    known = {endpoint.gid for endpoint in before}
    return frozenset(one.gid for one in after if one.gid not in known and one.node == node)
