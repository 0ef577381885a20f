"""``nrl record`` finds the run that is meant, or says within seconds what is there in its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli.run_search import LOOK_S, Graph, find_run

EMPTY = Graph(frozenset(), frozenset())
# A run, and what every node publishes.
ONE = Graph(
    frozenset({'/one/learner_status', '/one/arm_1/safety_state', '/rosout'}),
    frozenset({'/one/learner'}),
)
TWO = Graph(ONE.published | {'/two/learner_status'}, ONE.nodes | {'/two/learner'})
TALKER = Graph(frozenset({'/rosout', '/chatter'}), frozenset({'/talker'}))


class Clock:
    """A clock that moves when somebody rests."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def rest(self, seconds: float) -> None:
        self.now += seconds

    def search(self, look: Callable[[float], Graph], namespace: str | None) -> str:
        """Look for a run; ``look`` gets the seconds since the start."""
        return find_run(
            lambda: look(self.now - 100.0), namespace, 'ROS domain 7', clock=self, rest=self.rest
        )

    def refused(self, graph: Graph, namespace: str | None) -> str:
        """Return why no run was found, which must be said in time."""
        with pytest.raises(ConfigError) as caught:
            self.search(lambda _: graph, namespace)
        assert self.now - 100.0 < LOOK_S + 0.2
        return str(caught.value)


@pytest.mark.parametrize('namespace', ['/one', '/one/arm_1'])
def test_a_namespace_in_which_somebody_publishes_is_taken_at_once(namespace: str) -> None:
    clock = Clock()
    assert clock.search(lambda _: TWO, namespace) == namespace
    assert clock.now == 100.0


def test_a_run_that_appears_while_it_is_looked_for_is_found() -> None:
    for namespace in ('/one', None):
        assert Clock().search(lambda at: ONE if at > 3.0 else EMPTY, namespace) == '/one'


def test_a_namespace_in_which_nobody_publishes_is_told_with_the_runs_that_are_there() -> None:
    said = Clock().refused(TWO, '/on')
    assert 'nobody publishes in /on of ROS domain 7 within 5 s' in said
    assert 'runs are in /one, /two' in said


@pytest.mark.parametrize('namespace', ['/one', None])
def test_without_a_run_the_nodes_that_are_there_are_told(namespace: str | None) -> None:
    assert 'no run is there, but /talker' in Clock().refused(TALKER, namespace)
    assert 'no node is there' in Clock().refused(EMPTY, namespace)
    many = Graph(frozenset(), frozenset(f'/n{number}' for number in range(30)))
    said = Clock().refused(many, namespace)
    assert '/n0, /n1' in said and 'and 22 more' in said


def test_what_every_node_publishes_is_no_run_in_the_root() -> None:
    assert 'nobody publishes in / of' in Clock().refused(
        Graph(frozenset({'/rosout'}), ONE.nodes), ''
    )
    assert Clock().search(lambda _: TALKER, '') == ''


def test_of_several_runs_none_is_taken_even_if_one_comes_later() -> None:
    def look(at: float) -> Graph:
        return TWO if at > 0.8 else ONE

    with pytest.raises(ConfigError, match='2 do: /one, /two; name the folder of one'):
        Clock().search(look, None)
