"""Which environment a person's command speaks to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from nrl_ros.cli import people

TOPIC = '/lab/human_reward/arm'


def test_an_environment_counts_when_its_name_is_known() -> None:
    """The middleware may know of a subscription before it knows whose it is."""
    names = ['_NODE_NAME_UNKNOWN_', 'environment']
    asked: list[str] = []

    def hearers(topic: str) -> list[Any]:
        name = names[min(len(asked), 1)]
        asked.append(name)
        place = '_NODE_NAMESPACE_UNKNOWN_' if '_UNKNOWN_' in name else '/lab'
        return [
            SimpleNamespace(
                node_name=name, node_namespace=place, endpoint_gid=b'1', topic_type='std_msgs'
            )
        ]

    node = SimpleNamespace(
        get_topic_names_and_types=lambda: [(TOPIC, ['std_msgs/msg/Float32'])],
        resolve_topic_name=lambda name: name,
        get_subscriptions_info_by_topic=hearers,
    )
    looks: list[int] = []

    def only(found: Any, *_: Any) -> str:
        while not found():
            looks.append(len(asked))
        (one,) = found()
        return str(one)

    waiting: Any = SimpleNamespace(node=node, only=only)
    found = people._environment(waiting, people.PeopleOptions())
    assert found == (TOPIC, '/lab/environment/end_episode')
    assert looks == [1]
