"""A second neuromodulator is refused, and told of with both names; time is an argument."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from nrl_ros.nodes.rpe_source import RpeSource
from nrl_ros.ros.sender import Sender

FIRST, SECOND = Sender(1, b'1'), Sender(2, b'2')


class Learner:
    """What an RpeSource needs of the learner's node."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.logged: list[str] = []
        # Names of the nodes that the graph shows, by the gid of their publisher.
        self.shown = {b'1': 'first'}

    def resolve_topic_name(self, topic: str) -> str:
        return f'/{topic.lstrip("/")}'

    def get_publishers_info_by_topic(self, _topic: str) -> list[Any]:
        return [
            SimpleNamespace(node_name=name, node_namespace='/', endpoint_gid=gid, topic_type='x')
            for gid, name in self.shown.items()
        ]

    def get_logger(self) -> Any:
        return SimpleNamespace(error=self.logged.append)


@pytest.fixture
def learner() -> Learner:
    return Learner()


@pytest.fixture
def source(learner: Learner) -> RpeSource:
    made = RpeSource(learner, 2.0)
    assert made.admits(FIRST, 10.0, 1)
    made.heard(FIRST)
    return made


def test_both_are_named_as_soon_as_the_graph_knows_them(
    learner: Learner, source: RpeSource
) -> None:
    """The messages of one that has just started come before its name."""
    for shown in ({}, {b'2': '_NODE_NAME_UNKNOWN_'}):
        learner.shown.update(shown)
        assert not source.admits(SECOND, 10.1, 3)
        assert not learner.logged
    learner.shown[b'2'] = 'second'
    assert not source.admits(SECOND, 10.4, 3)
    [line] = learner.logged
    assert 'publishers there: /first and /second;' in line
    assert learner.counters['foreign_rpes'] == 9


def test_one_that_gets_no_name_is_told_of_after_a_second(
    learner: Learner, source: RpeSource
) -> None:
    for at in range(30):
        source.admits(SECOND, 10.0 + 0.1 * at, 1)
    assert len(learner.logged) == 1
    # Again after a minute, not sooner.
    for at in range(700):
        source.admits(SECOND, 13.0 + 0.1 * at, 1)
    assert len(learner.logged) == 2


def test_the_second_one_takes_the_place_of_one_that_has_left(
    learner: Learner, source: RpeSource
) -> None:
    assert not source.admits(SECOND, 10.1, 1)
    learner.shown = {b'2': 'second'}
    assert source.admits(SECOND, 10.7, 1)
    source.heard(SECOND)
    assert source.identity == 2
