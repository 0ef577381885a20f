"""The nodes on rclpy's own EventsExecutor, to be measured beside StepExecutor.

`benchmarks/ros_loop.py --executors step events` starts this module once for each node. rclpy has it
from 7.1.4 (Jazzy) and 9.0 (Kilted) on.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.node import Node
from rclpy.subscription import Subscription

from nrl_ros.cli.processes import MODULES
from nrl_ros.ros import lifecycle

MODULE = 'benchmarks.events_executor'
# Longest wait for Python to see a signal, as in StepExecutor.
_WAIT_S = 0.04
_WITH_INFO = Subscription.CallbackType.WithMessageInfo


class EventsLoop:
    """Spins one node by rclpy's EventsExecutor, behind the methods of StepExecutor.

    Args:
        node: the node to spin.
        idle: called after each callback. EventsExecutor does not say whether more has come, so
            that this is the earliest possible moment.
    """

    def __init__(self, node: Node, idle: Callable[[], None] = lambda: None) -> None:
        self._executor: Any = EventsExecutor(context=node.context)
        self._executor.add_node(node)
        self._node = node
        self._idle = idle

    def run_once(self) -> None:
        """Wait a moment for one callback."""
        self._executor.spin_once(timeout_sec=_WAIT_S)
        self._idle()

    def run(self, done: Callable[[], bool]) -> None:
        """Spin until ``done`` holds or the context is shut down."""
        for subscription in self._node.subscriptions:
            if subscription._callback_type is _WITH_INFO:
                subscription.callback = _without_info(subscription.callback)
        while not done() and self._node.context.ok():
            self.run_once()

    def shutdown(self, timeout_sec: float | None = None) -> None:
        """Leave the node."""
        self._executor.shutdown(timeout_sec)


def _without_info(callback: Callable[..., None]) -> Callable[[Any], None]:
    """Return a callback that gets the message alone.

    EventsExecutor of rclpy 7.1.5 ends with a SystemError when it calls one with the message's info.
    """

    def heard(message: Any) -> None:
        callback(message, None)

    return heard


def main() -> int:
    """Run the node whose name is the last argument."""
    name = sys.argv.pop()
    setattr(lifecycle, 'StepExecutor', EventsLoop)  # noqa: B010 - of another type
    return int(importlib.import_module(MODULES[name]).main())


if __name__ == '__main__':
    raise SystemExit(main())
