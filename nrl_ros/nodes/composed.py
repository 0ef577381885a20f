"""Runs all three nodes in one process and one thread.

Start it with ``python -m nrl_ros.nodes.composed --ros-args ...``.

Nodes, topics, parameters and results are the same as in three processes. It is meant for machines
with one core, for debuggers, and for profiling a whole run at once.
"""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

import gc
import sys
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import rclpy

from nrl_ros.base.errors import NrlError
from nrl_ros.nodes.environment import EnvironmentNode
from nrl_ros.nodes.learner import LearnerNode
from nrl_ros.nodes.neuromodulator import NeuromodulatorNode
from nrl_ros.ros import leaving
from nrl_ros.ros.executor import StepExecutor
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.middleware import prepare_middleware
from nrl_ros.ros.scheduling import set_realtime_priority
from nrl_ros.ros.security import initialise, refused_in_one_line
from nrl_ros.ros.signals import Signals

# After the environment has stopped, the executor runs this many rounds, so that the learner handles
# the last rewards.
_LAST_ROUNDS = 5


class _Together:
    """Several nodes behind the interface that the executor needs of one node."""

    def __init__(self, nodes: Sequence[NrlNode[Any]]) -> None:
        self._nodes = nodes
        self.context = nodes[0].context

    def __getattr__(self, name: str) -> Any:
        if name not in ('subscriptions', 'timers', 'guards', 'services', 'clients', 'waitables'):
            raise AttributeError(name)
        return chain.from_iterable(getattr(node, name) for node in self._nodes)


class ComposedExecutor(StepExecutor):
    """Spins several nodes in one thread.

    Args:
        nodes: at least one.
        idle: called whenever all that is ready has been handled.
    """

    def __init__(self, nodes: Sequence[NrlNode[Any]], idle: Callable[[], None]) -> None:
        super().__init__(nodes[0], idle)
        for node in nodes[1:]:
            self.add_node(node)
        self._only = _Together(nodes)  # type: ignore[assignment]


def compose(
    nodes: Sequence[NrlNode[Any]],
    signals: Signals,
    kind: type[ComposedExecutor] = ComposedExecutor,
) -> bool:
    """Run nodes until one has finished or a signal ends them; the last one is stopped first.

    Args:
        nodes: in the order in which they start; they stop in the opposite one.
        signals: that end them.
        kind: of the executor.

    Returns:
        False if one could not be started or had to end with an error.
    """

    def idle() -> None:
        for node in nodes:
            node.idle()

    executor = kind(nodes, idle)
    try:
        if not _started(nodes, signals):
            return False
        _prioritise(nodes)
        # The objects that exist now will stay, so the garbage collector need not look at them
        # again.
        gc.collect()
        gc.freeze()
        executor.run(lambda: signals.received != 0 or any(node.exit_requested for node in nodes))
        nodes[-1].stop()
        for _ in range(_LAST_ROUNDS):
            executor.run_once()
        for node in reversed(nodes[:-1]):
            node.stop()
        return not any(node.exit_code for node in nodes)
    finally:
        with leaving.bounded():
            executor.shutdown(timeout_sec=1.0)
            for node in nodes:
                node.destroy_node()


def _started(nodes: Sequence[NrlNode[Any]], signals: Signals) -> bool:
    """Start nodes in order; if one refuses, stop those before it, so that no arm is left moving."""
    for number, node in enumerate(nodes):
        if not node.start(signals):
            for before in reversed(nodes[:number]):
                before.stop()
            return False
    return True


def _prioritise(nodes: Sequence[NrlNode[Any]]) -> None:
    """Give the process the highest priority that one of its nodes wants, since all share it."""
    highest = max(getattr(node.settings, 'realtime_priority', 0) for node in nodes)
    if highest:
        # Each node has said already if none is permitted.
        set_realtime_priority(highest)


def run_together(
    make: Callable[[], list[NrlNode[Any]]],
    argv: list[str] | None = None,
    *,
    udp_only: bool = False,
    kind: type[ComposedExecutor] = ComposedExecutor,
) -> int:
    """Run nodes in this process until one has finished or a signal ends them.

    Args:
        make: makes the nodes, in the order in which they start.
        argv: arguments; None: those of the process.
        udp_only: share no memory with other processes, see ``middleware_variables``.
        kind: of the executor.

    Returns:
        Exit code: 0, or 1 when a node could not be started (the reason is on stderr).
    """
    with Signals(last=True) as signals:
        prepare_middleware(udp_only=udp_only)
        try:
            initialise(argv)
            with refused_in_one_line():
                nodes = make()
            return 0 if compose(nodes, signals, kind) else 1
        except NrlError as error:
            sys.stderr.write(f'error: {error}\n')
            return 1
        finally:
            with leaving.bounded():
                # This destroys nodes that still exist, such as those that were made before another
                # one failed.
                rclpy.try_shutdown()


def main(argv: list[str] | None = None) -> int:
    """Run learner, neuromodulator and environment together.

    Returns:
        Exit code: 0, or 1 when a node could not be started (the reason is on stderr).
    """
    return run_together(lambda: [LearnerNode(), NeuromodulatorNode(), EnvironmentNode()], argv)


if __name__ == '__main__':
    raise SystemExit(main())
