"""What commands share that send one thing to nodes that run already, and wait for the answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from nrl_ros.base.errors import NrlError
from nrl_ros.ros.middleware import prepare_middleware
from nrl_ros.ros.security import initialise, refused_in_one_line
from nrl_ros.ros.signals import Signals

_SPIN_S = 0.05


class OnlyOne(NamedTuple):
    """What a command says when it looks for the only one of something, and there is another number.

    Attributes:
        several: what they are and do, as in "arms serve goals".
        chosen_by: the option that names one of them.
        missing: that there is none, as in "no arm serves goals".
        mend: what to do if there is none.
    """

    several: str
    chosen_by: str
    missing: str
    mend: str


class Waiting:
    """Spins a node of this process until something holds, a time is over, or a signal comes.

    Args:
        node: of this process.
        signals: end the wait early.
    """

    def __init__(self, node: Node, signals: Signals) -> None:
        self.node, self.signals = node, signals
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)

    def until(self, holds: Callable[[], Any], limit_s: float, *, moving: bool = False) -> bool:
        """Spin until something holds; return False if it does not in time, or a signal comes.

        Args:
            holds: what is waited for.
            limit_s: longest wait [s].
            moving: a signal is not the end of the command, since something moves.

        Raises:
            KeyboardInterrupt: a signal has come, and nothing moves.
        """
        end = time.monotonic() + limit_s
        while not holds():
            if self.signals.received and not moving:
                raise KeyboardInterrupt
            if time.monotonic() > end or self.signals.received:
                return False
            self._executor.spin_once(timeout_sec=_SPIN_S)
        return True

    def only(self, found: Callable[[], Collection[str]], limit_s: float, words: OnlyOne) -> str:
        """Wait until something is found, and return it if it is the only one.

        Args:
            found: looks for names in the ROS graph.
            limit_s: longest wait [s].
            words: what is said if it is not.

        Raises:
            NrlError: there is none, or there are several.
            KeyboardInterrupt: a signal has come.
        """
        self.until(found, limit_s)
        there = sorted(found())
        if len(there) == 1:
            return there[0]
        if there:
            raise NrlError(
                f'{len(there)} {words.several} ({", ".join(there)}): name one of them by '
                f'{words.chosen_by}'
            )
        domain = os.environ.get('ROS_DOMAIN_ID', '') or '0'
        raise NrlError(f'{words.missing} in ROS domain {domain}: {words.mend}')

    def call(self, client: Any, request: Any, *, find_s: float, answer_s: float, of: str) -> Any:
        """Call a service and return its answer.

        Args:
            client: of the service.
            request: to it.
            find_s: longest wait for the service [s].
            answer_s: longest wait for its answer [s].
            of: who serves, as in "its node".

        Raises:
            NrlError: it is not there, or does not answer.
            KeyboardInterrupt: a signal has come.
        """
        if self.until(client.service_is_ready, find_s):
            future = client.call_async(request)
            if self.until(future.done, answer_s):
                return future.result()
        raise NrlError(f'{client.srv_name} does not answer: is its {of} still there?')


@contextmanager
def node_of_command(name: str, domain: int | None) -> Iterator[tuple[Node, Signals]]:
    """Connect this process to ROS with one node, for a ``with`` block.

    Args:
        name: of the node, before the number of this process.
        domain: ROS domain; None: ROS_DOMAIN_ID.
    """
    if domain is not None:
        os.environ['ROS_DOMAIN_ID'] = str(domain)
    # A caller that is killed must not hold up an arm's processes.
    prepare_middleware(udp_only=True)
    initialise([])
    try:
        with Signals() as signals, refused_in_one_line():
            yield rclpy.create_node(f'{name}_{os.getpid()}'), signals
    finally:
        rclpy.try_shutdown()
