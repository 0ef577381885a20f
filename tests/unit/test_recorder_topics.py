"""What the recorder takes topic by topic is written in the order in which it came."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from nrl_ros.nodes.recorder_topics import RecordedTopics


class Node:
    """Keeps the callbacks of subscriptions."""

    def __init__(self) -> None:
        self.callbacks: dict[str, Any] = {}

    def resolve_topic_name(self, name: str) -> str:
        return f'/a/{name.strip("/")}'

    def get_namespace(self) -> str:
        return '/a'

    def at_take_down(self, action: Any) -> None:
        del action

    def get_publishers_info_by_topic(self, name: str) -> list[Any]:
        del name
        return []

    def create_subscription(self, kind: Any, topic: str, callback: Any, *_: Any, **__: Any) -> Any:
        del kind
        self.callbacks[topic] = callback
        return object()


class Kept:
    """Stands for thread and checkpoints."""

    def __init__(self) -> None:
        self.topics: list[str] = []
        self.written: list[tuple[str, int]] = []

    def note_of(self, kind: str) -> None:
        del kind

    def add_topic(self, topic: Any) -> None:
        self.topics.append(topic.name)

    def write(self, topic: str, data: bytes, received_ns: int, sent_ns: int) -> None:
        del data, sent_ns
        assert topic in self.topics
        self.written.append((topic, received_ns))


def test_messages_of_several_topics_are_written_in_the_order_in_which_they_came() -> None:
    node, kept = Node(), Kept()
    topics = RecordedTopics(node, kept, (), kept)  # type: ignore[arg-type]
    for topic, times in (('/a/state', (1, 4, 7)), ('/a/action', (2, 5)), ('/a/reward', (3, 6))):
        for at in times:
            info = {'received_timestamp': at, 'source_timestamp': at - 1}
            node.callbacks[topic](b'', info)
    assert kept.written == []
    topics.hand_over()
    assert [at for _, at in kept.written] == [1, 2, 3, 4, 5, 6, 7]
    assert kept.written[:3] == [('/a/state', 1), ('/a/action', 2), ('/a/reward', 3)]
    topics.hand_over()
    assert len(kept.written) == 7
