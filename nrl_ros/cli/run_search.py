"""Which run ``nrl record`` records: one of those that publish in a ROS domain."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from nrl_ros.base.errors import ConfigError, some
from nrl_ros.ros import names

# Runs that go on are looked for so long [s].
LOOK_S = 5.0
_AGAIN_S = 0.1
# Those that appear a little later are found too [s].
_MORE_S = 1.0
_STATUS = f'/{names.LEARNER_STATUS}'
# Every node of a domain publishes these.
_GLOBAL = ('/rosout', '/parameter_events')


class Graph(NamedTuple):
    """What a ROS domain shows at a moment, without the node that looks.

    Attributes:
        published: topics that somebody publishes.
        nodes: names of nodes with their namespaces.
    """

    published: frozenset[str]
    nodes: frozenset[str]

    @property
    def runs(self) -> set[str]:
        """Namespaces in which a learner says how it is; '' is the root."""
        return {one.removesuffix(_STATUS) for one in self.published if one.endswith(_STATUS)}

    def is_published_in(self, namespace: str) -> bool:
        """Return whether somebody publishes in a namespace or below it; '' is the root."""
        return any(one.startswith(f'{namespace}/') for one in self.published.difference(_GLOBAL))

    def words(self) -> str:
        """Return which runs or, without one, which nodes are there."""
        if self.runs:
            return f'runs are in {_listed(self.runs)}'
        if not self.nodes:
            return 'no node is there'
        return f'no run is there, but {some(sorted(self.nodes))}'


def find_run(
    look: Callable[[], Graph],
    namespace: str | None,
    where: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    rest: Callable[[float], None] = time.sleep,
) -> str:
    """Wait until a run publishes, and return its namespace; '' is the root.

    Args:
        look: at the ROS graph.
        namespace: of the run; None: there must be one run only.
        where: the ROS domain in words.
        clock: a steady one [s].
        rest: waits for a time [s].

    Raises:
        ConfigError: there is none within LOOK_S, or there are several.
    """
    begin = found_at = clock()
    found: set[str] = set()
    while True:
        graph, now = look(), clock()
        if namespace is not None:
            if graph.is_published_in(namespace):
                return namespace
        else:
            found_at = found_at if graph.runs <= found else now
            found |= graph.runs
            if found and now >= found_at + _MORE_S:
                break
        if now >= begin + LOOK_S:
            break
        rest(_AGAIN_S)
    if namespace is not None:
        raise ConfigError(
            f'nobody publishes in {namespace or "/"} of {where} within {LOOK_S:.0f} s, and '
            f'{graph.words()}: the run has ended, has not begun or is elsewhere; record while it '
            'goes on, or start it with --record'
        )
    if len(found) == 1:
        return found.pop()
    if found:
        raise ConfigError(
            f'expected one run that goes on in {where}, {len(found)} do: {_listed(found)}; name '
            'the folder of one, or --namespace'
        )
    raise ConfigError(
        f'expected one run that goes on in {where}, {graph.words()}; name the folder that '
        '`nrl train` or `nrl arm` has shown (nrl record RUN), or --domain-id and --namespace'
    )


def _listed(runs: set[str]) -> str:
    return ', '.join(sorted(one or '/' for one in runs))
