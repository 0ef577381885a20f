"""Spins the nodes of one arm in cycles: everything that a control period needs, once, in order.

An executor that waits for messages wakes up several times in a period: for the joint states, for
the environment's period, for the safety node's. Each time it builds a wait set. This one sleeps
until the next period and then takes what has come. In one cycle an action goes from the joint
states to the command: joint states, environment, learner, safety node.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from sensor_msgs.msg import JointState

from nrl_ros.nodes.composed import ComposedExecutor
from nrl_ros.ros.control_rate import LONGEST_CYCLE_NS, ControlRate, cycle_of, turns_of
from nrl_ros.ros.executor import call_timer, taker
from nrl_ros.ros.interfaces import ArmCommand, SafetyState
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.wire import NANOSECONDS

# Messages of these types are taken in each cycle, beside those of the step path.
_EACH_CYCLE = (JointState, ArmCommand, SafetyState)
# Services that rclpy brings along, for parameters and transitions: programs for people call them.
_TOOLS = ('rcl_interfaces.', 'lifecycle_msgs.', 'type_description_interfaces.')
# How often those are looked for: they are four fifths of all services of an arm [ns].
_TOOLS_NS = 50_000_000


class CyclicExecutor(ComposedExecutor):
    """Spins several nodes in one thread, a cycle in each period of the fastest timer.

    Args:
        nodes: at least one, in the order in which they start. In a cycle the timers of the last
            one are called first.
        idle: called at the end of each cycle.
    """

    def __init__(self, nodes: Sequence[NrlNode[Any]], idle: Callable[[], None]) -> None:
        super().__init__(nodes, idle)
        self._cycle_ns = self._count = self._rare_at_ns = self._tools_at_ns = 0
        self._paced: list[tuple[int, int, str, Any]] = []
        self._other_topics: list[Callable[[], bool]] = []
        self._other_timers: deque[Any] = deque()
        self._every_service: list[Any] = []
        self._own_services: list[Any] = []
        self._composed = nodes
        self._rate = ControlRate(1.0, 0.0)
        self._due_ns = 0

    def _collect(self) -> None:
        super()._collect()
        subscriptions = self._subscriptions.values()
        is_hot = [
            getattr(sub, 'on_step_path', False) or sub.msg_type in _EACH_CYCLE
            for sub in subscriptions
        ]
        takers = list(zip(is_hot, map(taker, subscriptions), strict=True))
        self._hot = [take_one for hot, take_one in takers if hot]
        self._other_topics = [take_one for hot, take_one in takers if not hot]
        self._every_service = self._services
        self._own_services = [
            one.handle for one in self._served if not one.srv_type.__module__.startswith(_TOOLS)
        ]
        timers = list(reversed(self._timers.values()))
        before = self._cycle_ns
        self._cycle_ns, counts = cycle_of([timer.timer_period_ns for timer in timers])
        owner = {timer: node.get_name() for node in self._composed for timer in node.timers}
        self._paced = [
            (every, turn, owner[timer], timer)
            for every, turn, timer in zip(counts, turns_of(counts), timers, strict=True)
            if every
        ]
        self._other_timers = deque(
            timer for every, timer in zip(counts, timers, strict=True) if not every
        )
        # The base class asks for these in its wait set, which takes more time than to ask each one.
        self._subscriptions, self._timers = {}, {}
        if self._cycle_ns != before:
            now = time.monotonic_ns()
            self._rate = ControlRate(self._cycle_ns / NANOSECONDS, now / NANOSECONDS)
            self._due_ns = now + self._cycle_ns

    def run_once(self) -> None:
        """Wait for the next cycle and do what is due in it."""
        if self._stale:
            self._collect()
        self._wait_for_cycle()
        self.after('sleep')
        self._take_all()
        self.after('joint states')
        self._count += 1
        for every, turn, name, timer in self._paced:
            if self._count % every == turn and not self._stale:
                _put_off(timer)
                timer.callback()
                self.after(name)
                self._take_all()
                self.after(f'what follows {name}')
        if self._idle is not None and not self.stop_requested:
            self._idle()
        self.after('noise drawn ahead')
        self._look_for_the_rest()
        self.after('other topics, services')

    def after(self, part: str) -> None:
        """Do nothing after a part of a cycle; a program that measures overrides it."""

    def _wait_for_cycle(self) -> None:
        left_ns = self._due_ns - time.monotonic_ns()
        if left_ns > 0:
            time.sleep(left_ns / NANOSECONDS)
        now_ns = time.monotonic_ns()
        moved = self._rate.begin(now_ns / NANOSECONDS).rescheduled
        self._due_ns = self._cycle_ns + (now_ns if moved else self._due_ns)

    def _take_all(self) -> None:
        while self._polled():
            pass

    def _look_for_the_rest(self) -> None:
        """Handle what no action waits for: topics, one timer, and every few milliseconds services.

        A status takes up to a millisecond. Several of them in one cycle would cost a period.
        """
        for take_one in self._other_topics:
            if self._stale:
                return
            take_one()
        self._call_one_timer()
        now = time.monotonic_ns()
        if now < self._rare_at_ns or self._stale:
            return
        self._rare_at_ns = now + LONGEST_CYCLE_NS
        self._services = self._own_services
        if now >= self._tools_at_ns:
            self._tools_at_ns = now + _TOOLS_NS
            self._services = self._every_service
        self._wait_and_handle(0)

    def _call_one_timer(self) -> None:
        """Call the first timer that is due, and ask it last in the next cycle."""
        for timer in self._other_timers:
            if self._stale:
                return
            if timer.handle.is_timer_ready():
                self._other_timers.remove(timer)
                self._other_timers.append(timer)
                call_timer(timer.handle)
                timer.callback()
                return


def _put_off(timer: Any) -> None:
    """Let a timer be due in more than a period, so that nothing else ever finds it due."""
    if timer.handle.time_until_next_call() < timer.timer_period_ns:
        call_timer(timer.handle)
