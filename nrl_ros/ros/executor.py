"""A single-threaded executor that takes messages and timers without rclpy's tasks.

rclpy's SingleThreadedExecutor builds its wait set, a task, and a coroutine anew for every callback:
about 50 us a message, as much as the middleware itself, and more with every service and event
handler of the node. This one keeps its wait set and calls the plain callbacks of subscriptions and
timers directly; messages in the path of a step (``raw`` of ``hearing.hear``) are looked for first.
Calls of services, answers to clients, guard conditions and events are rare: when there is one,
rclpy's own machinery takes it. Events are looked for a few times a second.

rclpy's EventsExecutor is as fast: a round trip takes 193 us beside 198 us, and there are 8 to 16 %
more steps per second (benchmarks/ros_loop.py --executors step events). It ends with a SystemError
where a callback takes a message's info, by which the nodes tell publishers apart
(tests/ros/test_executor.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, TypeVar

from rclpy.exceptions import InvalidHandle
from rclpy.executors import (
    ShutdownException,
    SingleThreadedExecutor,
    TimeoutException,
)
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.waitable import NumberOfEntities

# Longest wait for Python to see a signal.
_WAIT_NS = 40_000_000
# How often events are looked for, which say what does not fit or has been lost.
_EVENTS_NS = 100_000_000
# Rare callbacks handled in one go, so that a flood of calls cannot starve the step path.
_RARE_BATCH = 16
_WITH_INFO = Subscription.CallbackType.WithMessageInfo

Entity = TypeVar('Entity')


class StepExecutor(SingleThreadedExecutor):
    """Spins one node; callbacks of its subscriptions and timers must be plain functions.

    Args:
        node: the node to spin.
        idle: called whenever all that is ready has been handled, before waiting again.
    """

    def __init__(self, node: Node, idle: Callable[[], None] | None = None) -> None:
        super().__init__(context=node.context)
        self._only = node
        self._idle = idle
        self._stale = True
        # The handles that are waited for. None of them is destroyed before the executor has
        # released it.
        self._in_use = ExitStack()
        self._events_due_ns = 0
        self._idle_due = True
        # Stays until rclpy has nothing left to do, whatever a callback raises before.
        self._rare_due = False
        self.stop_requested = False
        self.add_node(node)

    def wake(self) -> None:
        """Look at the node's entities again: some were added or removed."""
        self._stale = True
        super().wake()

    def stop(self) -> None:
        """Let ``run`` return; callable from signal handlers and callbacks."""
        self.stop_requested = True

    def run(self, done: Callable[[], bool] = lambda: False) -> None:
        """Spin until ``stop`` is called, ``done`` holds, or the context is shut down."""
        while not (self.stop_requested or done()) and self.context.ok():
            self.run_once()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Release the node and its handles.

        Args:
            timeout_sec: longest wait for callbacks of other threads [s]; None: no limit.

        Returns:
            False if a callback was still running.
        """
        self._stale = True
        self._in_use.close()
        return bool(super().shutdown(timeout_sec))

    def _kept(self, entities: Iterable[Entity]) -> list[Entity]:
        """Keep handles from being destroyed while they are waited for.

        Returns:
            Those entities whose handles have not been destroyed yet.
        """
        kept = []
        for entity in entities:
            try:
                # Events have no handle of their own to enter: they enter it themselves.
                handle: Any = getattr(entity, 'handle', entity)
                self._in_use.enter_context(handle)
            except InvalidHandle:
                continue
            kept.append(entity)
        return kept

    def _collect(self) -> None:
        node = self._only
        self._stale = False
        self._in_use.close()
        context: Any = self.context.handle
        self._in_use.enter_context(context)
        subscriptions = self._kept(node.subscriptions)
        self._subscriptions = {sub.handle.pointer: sub for sub in subscriptions}
        self._hot = [taker(sub) for sub in subscriptions if getattr(sub, 'on_step_path', False)]
        timers: list[Any] = self._kept(node.timers)
        self._timers = {timer.handle.pointer: timer for timer in timers}
        node_guards = self._kept(node.guards)
        self._node_guards = {guard.handle.pointer: guard for guard in node_guards}
        own_guards = self._kept(guard for guard in (self._guard, self._sigint_gc) if guard)
        self._guards = [guard.handle for guard in (*node_guards, *own_guards)]
        self._served: list[Any] = self._kept(node.services)
        self._services = [service.handle for service in self._served]
        self._clients = [client.handle for client in self._kept(node.clients)]
        self._wait_set = _rclpy.WaitSet(
            len(self._subscriptions),
            len(self._guards),
            len(self._timers),
            len(self._clients),
            len(self._services),
            0,
            context,
        )
        self._events = self._kept(node.waitables)
        held = sum((event.get_num_entities() for event in self._events), NumberOfEntities())
        self._event_set = _rclpy.WaitSet(
            held.num_subscriptions,
            held.num_guard_conditions,
            held.num_timers,
            held.num_clients,
            held.num_services,
            held.num_events,
            context,
        )

    def run_once(self) -> None:
        """Wait a moment and handle everything that is ready.

        Raises:
            Exception: whatever a callback raised. What else was ready is handled the next time.
        """
        if self._stale:
            self._collect()
        if self._polled():
            self._idle_due = True
            if time.monotonic_ns() < self._events_due_ns:
                return
        if self._idle_due and self._idle is not None and not self.stop_requested:
            # The idle function is called once after everything that came; what came meanwhile is
            # taken before waiting.
            self._idle_due = False
            self._idle()
            if self._polled():
                self._idle_due = True
        if self._stale:
            return
        if self._wait_and_handle():
            self._idle_due = True

    def _wait_and_handle(self, longest_ns: int = _WAIT_NS) -> bool:
        """Wait for what is due and handle it; return whether something rare was among it."""
        self._wait(longest_ns)
        self._note_triggers()
        self._handle_ready()
        if not self._is_rare_ready():
            return False
        self._handle_rare()
        return True

    def _wait(self, longest_ns: int) -> None:
        wait_set = self._wait_set
        wait_set.clear_entities()
        for subscription in self._subscriptions.values():
            wait_set.add_subscription(subscription.handle)
        for timer in self._timers.values():
            wait_set.add_timer(timer.handle)
        for guard in self._guards:
            wait_set.add_guard_condition(guard)
        for service in self._services:
            wait_set.add_service(service)
        for client in self._clients:
            wait_set.add_client(client)
        wait_set.wait(longest_ns)

    def _note_triggers(self) -> None:
        """Pass the triggers that the wait has taken on to rclpy, before any callback can raise."""
        for pointer in self._wait_set.get_ready_entities('guard_condition'):
            self._rare_due = True
            if pointer in self._node_guards:
                self._node_guards[pointer]._executor_triggered = True

    def _handle_ready(self) -> None:
        """Call subscriptions and timers until a callback adds or removes an entity.

        What such a callback destroyed must not be called any more; all else stays ready.
        """
        for pointer in self._wait_set.get_ready_entities('subscription'):
            if self._stale:
                return
            if take(self._subscriptions[pointer]):
                self._idle_due = True
        for pointer in self._wait_set.get_ready_entities('timer'):
            if self._stale:
                return
            timer = self._timers[pointer]
            # A callback may have cancelled it after it became ready.
            if timer.handle.is_timer_ready():
                call_timer(timer.handle)
                timer.callback()

    def _is_rare_ready(self) -> bool:
        """Return whether rclpy has something to do, after a wait."""
        ready = self._wait_set.get_ready_entities
        if self._rare_due or ready('service') or ready('client'):
            return True
        now = time.monotonic_ns()
        if now < self._events_due_ns:
            return False
        self._events_due_ns = now + _EVENTS_NS
        return not self._stale and self._is_event_ready()

    def _is_event_ready(self) -> bool:
        if not self._events:
            return False
        wait_set = self._event_set
        wait_set.clear_entities()
        for event in self._events:
            event.add_to_wait_set(wait_set)
        wait_set.wait(0)
        return any(event.is_ready(wait_set) for event in self._events)

    def _polled(self) -> bool:
        """Take what has come on the step path meanwhile: asking costs far less than waiting."""
        taken = False
        for take_one in self._hot:
            if self._stale:
                break
            taken |= take_one()
        return taken

    def _handle_rare(self) -> None:
        """Handle services, clients, events and guard conditions by rclpy's own means."""
        self._rare_due, handled = True, False
        for _ in range(_RARE_BATCH):
            try:
                handler, *_ = self.wait_for_ready_callbacks(timeout_sec=0.0)
            except (TimeoutException, ShutdownException):
                # What was handled may have made tasks, such as the answer of an action. Its trigger
                # was taken by the wait that found nothing else, and only another look finds them.
                self._rare_due = handled
                return
            handled = True
            handler()
            handler.result()  # Raises what the callback raised.


def taker(subscription: Any) -> Callable[[], bool]:
    """Return a function that takes the next message of a subscription, as ``take`` does.

    Who asks thousands of times a second looks up once what is asked, and not each time.
    """
    take_message = subscription.handle.take_message
    kind, raw = subscription.msg_type, subscription.raw
    callback, with_info = subscription.callback, subscription._callback_type is _WITH_INFO

    def take_one() -> bool:
        taken = take_message(kind, raw)
        if taken is None:
            return False
        if with_info:
            callback(*taken)
        else:
            callback(taken[0])
        return True

    return take_one


def take(subscription: Any) -> bool:
    """Take the next message of a subscription and handle it; return False if there was none."""
    return taker(subscription)()


def take_waiting(subscription: Any, most: int) -> None:
    """Take the messages that wait in a subscription and handle them, at most so many."""
    take_one = taker(subscription)
    for _ in range(most):
        if not take_one():
            return


def call_timer(handle: Any) -> None:
    """Note that a timer was called, so that its next call is due a period later."""
    # Named differently in Kilted and in Jazzy.
    call = getattr(handle, 'call_timer_with_info', None) or handle.call_timer
    call()
