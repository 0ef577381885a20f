"""Allow one publisher of an arm's joint states and one of its commands; refuse a second one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from nrl_ros.robots.safety.sources import Commanders, NumberedSources, OneSource
from nrl_ros.ros import graph, qos
from nrl_ros.ros.hearing import Sender
from nrl_ros.ros.lifecycle import NrlNode

STATES, COMMANDS = 'one publisher of joint states', 'one publisher of commands'


class PublisherCheck:
    """Withholds the permission to move while another node publishes the arm's states or commands.

    Args:
        node: the safety node.
        state_topic: where the joint states come from.
        silence_s: age from which a joint state is too old to move by [s].
        permit: called with the name of a permission and why it is withheld, '' if it is granted.
        has_sent: returns whether the node has commanded anything yet.
    """

    def __init__(
        self,
        node: NrlNode[Any],
        *,
        state_topic: str,
        silence_s: float,
        permit: Callable[[str, str], None],
        has_sent: Callable[[], bool],
    ) -> None:
        self._node, self._permit, self._has_sent = node, permit, has_sent
        self._name = node.get_fully_qualified_name()
        self._state_topic = node.resolve_topic_name(state_topic)
        self._command_topic = ''
        self._one, self._numbered = OneSource(silence_s), NumberedSources()
        self._commanders = Commanders(self._name, time.monotonic())
        self._watch: graph.TopicWatch | None = None
        self._own: frozenset[bytes] = frozenset()
        self._listening: Any = None
        self._said: dict[str, str] = {}

    def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._node.destroy_subscription(self._listening)
            self._listening = None

    def publisher(self, kind: Any, topic: str) -> Any:
        """Make the publisher of commands, watch its topic, and return it."""
        before = graph.publishers(self._node, topic)
        made = self._node.publisher(kind, topic, qos.step())
        after = graph.publishers(self._node, topic)
        self._own = graph.added(before, after, self._name)
        self._command_topic, self._kind = self._node.resolve_topic_name(topic), kind
        self._watch = graph.TopicWatch(self._node, topic, own=self._own)
        return made

    def take_state(self, sender: Sender) -> bool:
        """Return whether to take a joint state of this arm, by its sender.

        Do not call it for messages that name only other joints, such as a gripper's.
        """
        source = self._numbered.source_of(sender.gid, sender.number)
        if self._one.take(time.monotonic(), source):
            return True
        self._node.counters['states_foreign'] += 1
        if STATES not in self._said:
            self._judge_states(time.monotonic())
        return False

    def look(self) -> None:
        """Check who publishes; call it a few times a second."""
        now = time.monotonic()
        if self._watch is not None:
            self._watch.look(now)
            self._judge_commands(now, self._watch.present)
        if STATES in self._said:
            self._judge_states(now)

    def _judge_states(self, now: float) -> None:
        rival = self._one.rival(now)
        if rival is None:
            self._tell(STATES, '')
            return
        there = graph.publishers(self._node, self._state_topic)
        both = [one for one in there if one.gid in (self._one.source, rival)]
        self._tell(
            STATES,
            f'{graph.named(both if len(both) == 2 else there)} publish joint states of this arm on '
            f'{self._state_topic}, expected one of them: end the other one (such as a '
            'joint_state_publisher beside the joint_state_broadcaster)',
        )

    def _judge_commands(self, now: float, others: Sequence[graph.Endpoint]) -> None:
        refused = self._commanders.refused(now, [(one.gid, one.node) for one in others])
        if self._commanders.is_listened_for(now) and self._listening is None:
            self._listen()
        elif self._listening is not None and not self._commanders.is_listened_for(now):
            self.close()
        if not refused:
            self._tell(COMMANDS, '')
            return
        namesake = ' (one that was killed is seen for 20 s)' if self._name in refused else ''
        self._tell(
            COMMANDS,
            f'{" and ".join(dict.fromkeys(refused))}{namesake} may publish commands on '
            f'{self._command_topic} besides {self._name}, expected nobody else: end it',
        )

    def _listen(self) -> None:
        """Listen whether a namesake that the graph shows is alive."""

        def heard(_data: bytes, info: Any) -> None:
            gid = (info.get('publisher_gid') or {}).get('data')
            # If the middleware does not tell the publisher, a command before this node's first is
            # not its own.
            is_own = bytes(gid) in self._own if gid else self._has_sent()
            if not is_own:
                self._commanders.spoke()

        # Jazzy's types lack a callback that takes the message's info.
        callback: Callable[..., None] = heard
        self._listening = self._node.create_subscription(
            self._kind, self._command_topic, callback, qos.sensor(), raw=True
        )

    def _tell(self, name: str, why: str) -> None:
        """Withhold or grant a permission, and log it if that has changed."""
        if why == self._said.get(name, ''):
            return
        if why:
            self._said[name] = why
            self._node.get_logger().error(why)
        else:
            del self._said[name]
            self._node.get_logger().info(f'there is {name} again')
        self._permit(name, why)
