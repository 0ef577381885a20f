"""What the recorder takes is written in its order; an environment is heard when it has answered."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from rclpy.task import Future

from nrl_ros.nodes.recorder_topics import RecordedTopics


class Node:
    """Keeps the callbacks of subscriptions."""

    def __init__(self) -> None:
        self.callbacks: dict[str, Any] = {}
        self.publishers = 0
        self.asked: list[Future] = []

    def resolve_topic_name(self, name: str) -> str:
        return f'/a/{name.strip("/")}'

    def get_namespace(self) -> str:
        return '/a'

    def at_take_down(self, action: Any) -> None:
        del action

    def get_publishers_info_by_topic(self, name: str) -> list[Any]:
        del name
        return []

    def create_client(self, kind: Any, name: str) -> Any:
        del kind, name
        return self

    def service_is_ready(self) -> bool:
        return True

    def count_publishers(self, name: str) -> int:
        del name
        return self.publishers

    def get_topic_names_and_types(self) -> list[Any]:
        return []

    def call_async(self, request: Any) -> Any:
        del request
        self.asked.append(Future())
        return self.asked[-1]

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


def test_an_environment_is_heard_when_it_has_answered_and_not_when_it_is_seen() -> None:
    """It has been told of the subscriptions only then: what it sends before would be lost."""
    node, kept = Node(), Kept()
    topics = RecordedTopics(node, kept, (), kept)  # type: ignore[arg-type]
    topics.look()
    assert not node.asked
    node.publishers = 1
    topics.look()
    assert len(node.asked) == 1 and topics.heard == set()
    # The first answer does not come.
    topics.look()
    node.asked[1].set_result(object())
    assert topics.heard == {'environment'}
    topics.look()
    assert len(node.asked) == 2
