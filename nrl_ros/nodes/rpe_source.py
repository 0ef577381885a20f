"""Take reward-prediction errors from one neuromodulator, never from two."""

from __future__ import annotations

from typing import Any

from nrl_ros.ros import graph, names
from nrl_ros.ros.sender import BoundSender, Sender

# While another neuromodulator sends, the graph is asked this often whether the first one has left
# [s].
_LOOK_S = 0.5
# A second neuromodulator is logged again after this time [s].
_AGAIN_S = 60.0
# Messages of a node that has just started come before its name; that is waited for so long [s].
_NAMED_S = 1.0


class RpeSource:
    """Binds the learner to the first neuromodulator whose RPEs are useful.

    Another one is refused, and logged with the names of both nodes. It replaces the first one after
    that has left the graph, or has not answered for ``credit.rpe_timeout_s`` while an RPE was
    awaited.

    Args:
        node: the learner's.
        patience_s: time that the bound one may owe an answer [s].
    """

    def __init__(self, node: Any, patience_s: float) -> None:
        self._node = node
        self._bound = BoundSender(patience_s)
        # True if the graph shows the bound neuromodulator's publisher; not every middleware tells
        # the publisher with each message.
        self._in_graph = False
        self._looked_at = self._said_at = float('-inf')
        self._foreign_since = float('inf')

    @property
    def identity(self) -> int:
        """Identity of the bound neuromodulator; 0: none yet."""
        return 0 if self._bound.bound is None else self._bound.bound.identity

    def admits(self, sender: Sender, now: float, count: int) -> bool:
        """Return True if the learner may learn from a sender; a refused sender is logged.

        Args:
            sender: of the message.
            now: of a steady clock [s].
            count: RPEs of the message.
        """
        if not self._bound.refuses(sender, now):
            return True
        if sender.identity and self._has_left(now):
            self._bound.release()
            return True
        self._node.counters['foreign_rpes'] += count
        if now - self._said_at > _AGAIN_S:
            self._say(sender, now)
        return False

    def _say(self, sender: Sender, now: float) -> None:
        topic = self._node.resolve_topic_name(names.NEUROMODULATION)
        there = graph.publishers(self._node, topic)
        self._foreign_since = min(self._foreign_since, now)
        named = len(there) > 1 and all(one.node for one in there)
        if not named and now - self._foreign_since < _NAMED_S:
            return
        self._said_at, self._foreign_since = now, float('inf')
        what = (
            f'two neuromodulators answer on {topic}'
            if sender.identity
            else f'a neuromodulator without an identity answers on {topic}'
        )
        self._node.get_logger().error(
            f'{what}; publishers there: {graph.named(there)}; the '
            'learner learns from the neuromodulator that it heard first and refuses the other '
            'one: stop that one, or start it in another namespace'
        )

    def heard(self, sender: Sender) -> None:
        """Note that RPEs of a sender were useful, and bind it."""
        if self._bound.heard(sender):
            there = graph.publishers(self._node, names.NEUROMODULATION)
            self._in_graph = any(one.gid == sender.gid for one in there)

    def owes(self, now: float) -> None:
        """Note that an RPE is awaited."""
        self._bound.owes(now)

    def _has_left(self, now: float) -> bool:
        if now - self._looked_at < _LOOK_S:
            return False
        self._looked_at = now
        there = graph.publishers(self._node, names.NEUROMODULATION)
        bound = self._bound.bound
        if bound is not None and self._in_graph:
            return all(one.gid != bound.gid for one in there)
        return len(there) < 2
