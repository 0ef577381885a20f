"""Who is on a topic: order, grace, names."""

from __future__ import annotations

from types import SimpleNamespace

from nrl_ros.ros.graph import Endpoint, EndpointWatch, TopicWatch, added, named

A, B = Endpoint(b'b', '/first', 'kind'), Endpoint(b'a', '/ns/second', 'kind')
NAMELESS = Endpoint(b'a', '', 'kind')


def test_the_second_is_reported_once_and_after_the_first() -> None:
    watch = EndpointWatch(grace_s=0.5)
    assert watch.update(0.0, [A]).came == ()
    assert watch.update(0.5, [A]).came == (A,)
    watch.update(1.0, [B, A])
    assert watch.present == (A,)
    assert watch.update(1.6, [B, A]).came == (B,)
    assert watch.present == (A, B)
    assert watch.update(2.6, [B, A]) == ((), ())


def test_who_takes_the_place_of_another_is_never_a_second_one() -> None:
    watch = EndpointWatch(grace_s=0.5)
    watch.update(0.0, [A])
    watch.update(1.0, [A, B])
    changes = watch.update(1.4, [B])
    assert changes == ((), (A,)) and watch.present == ()
    changes = watch.update(1.5, [B])
    assert changes.came == (B,) and watch.present == (B,)


def test_who_leaves_is_reported_and_counts_anew_when_it_comes_back() -> None:
    watch = EndpointWatch(grace_s=0.0)
    watch.update(0.0, [A])
    assert watch.update(1.0, []).left == (A,)
    assert watch.update(2.0, [A]).came == (A,)


def test_one_without_a_name_is_waited_for_and_reported_at_last() -> None:
    watch = EndpointWatch(grace_s=0.5)
    watch.update(0.0, [NAMELESS])
    assert watch.update(1.0, [NAMELESS]).came == ()
    assert watch.update(2.5, [NAMELESS]).came == (NAMELESS,)
    watch = EndpointWatch(grace_s=0.5)
    watch.update(0.0, [NAMELESS])
    assert watch.update(0.6, [B]).came == (B,)


def test_nodes_are_named_once_each() -> None:
    assert named([A, B]) == '/first and /ns/second'
    assert (
        named([A, A._replace(gid=b'c'), NAMELESS]) == '/first (2 times) and a node without a name'
    )


def test_what_a_node_has_added_is_told_from_its_namesakes() -> None:
    mine = A._replace(gid=b'new')
    assert added([A], [A, mine, B], '/first') == {b'new'}


class FakeGraph:
    """A node's view of the graph, which counts what it is asked."""

    def __init__(self) -> None:
        self.infos: list[SimpleNamespace] = []
        self.asked = 0

    def resolve_topic_name(self, topic: str) -> str:
        return f'/{topic}'

    def count_publishers(self, _topic: str) -> int:
        return len(self.infos)

    def get_publishers_info_by_topic(self, _topic: str) -> list[SimpleNamespace]:
        self.asked += 1
        return self.infos


def _info(gid: int, name: str) -> SimpleNamespace:
    return SimpleNamespace(
        endpoint_gid=[gid], node_name=name, node_namespace='/', topic_type='std_msgs/msg/Bool'
    )


def test_a_topic_is_asked_about_once_a_second_and_others_are_seen_within_one() -> None:
    graph = FakeGraph()
    graph.infos = [_info(1, 'me')]
    watch = TopicWatch(graph, 'topic', own=frozenset({b'\x01'}))
    for tick in range(1000):
        assert watch.look(0.01 * tick) == ((), ())
    assert graph.asked <= 11
    graph.infos = [_info(1, 'me'), _info(2, 'other')]
    came_at = next(now for tick in range(100) if watch.look(now := 10.0 + 0.01 * tick).came)
    assert came_at < 11.0
    assert [one.node for one in watch.present] == ['/other']
