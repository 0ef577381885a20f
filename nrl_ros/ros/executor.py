"""A single-threaded executor that takes messages and timers without rclpy's task machinery.

rclpy's SingleThreadedExecutor builds its wait set, a task, and a coroutine anew for every callback:
about 50 us a message, as much as the middleware itself, and more with every service and event
handler of the node. This one keeps its wait set and calls the plain callbacks of subscriptions and
timers directly; messages in the path of a step (``raw`` of ``hearing.hear``) are looked for first.
Calls of services, answers to clients, guard conditions and events are rare: when there is one,
rclpy's own machinery takes it. Events are looked for a few times a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

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
        self._events_due_ns = 0
        self._idle_due = True
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

    def _collect(self) -> None:
        node = self._only
        self._stale = False
        self._subscriptions = {sub.handle.pointer: sub for sub in node.subscriptions}
        self._hot = [sub for sub in node.subscriptions if getattr(sub, 'on_step_path', False)]
        self._timers = {timer.handle.pointer: timer for timer in node.timers}
        self._node_guards = {guard.handle.pointer: guard for guard in node.guards}
        guards = [*node.guards, *(guard for guard in (self._guard, self._sigint_gc) if guard)]
        self._guards = [guard.handle for guard in guards]
        self._services = [service.handle for service in node.services]
        self._clients = [client.handle for client in node.clients]
        self._wait_set = _rclpy.WaitSet(
            len(self._subscriptions),
            len(self._guards),
            len(self._timers),
            len(self._clients),
            len(self._services),
            0,
            self.context.handle,
        )
        self._events = list(node.waitables)
        held = sum((event.get_num_entities() for event in self._events), NumberOfEntities())
        self._event_set = _rclpy.WaitSet(
            held.num_subscriptions,
            held.num_guard_conditions,
            held.num_timers,
            held.num_clients,
            held.num_services,
            held.num_events,
            self.context.handle,
        )

    def run_once(self) -> None:
        """Wait a moment and handle everything that is ready."""
        if self._stale:
            self._collect()
        if self._polled():
            self._idle_due = True
            if time.monotonic_ns() < self._events_due_ns:
                return
        if self._idle_due and self._idle is not None and not self.stop_requested:
            # Once after all that came; what came meanwhile is taken before waiting.
            self._idle_due = False
            self._idle()
            if self._polled():
                self._idle_due = True
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
        wait_set.wait(_WAIT_NS)
        for pointer in wait_set.get_ready_entities('subscription'):
            subscription = self._subscriptions.get(pointer)
            if subscription is not None and take(subscription):
                self._idle_due = True
        for pointer in wait_set.get_ready_entities('timer'):
            timer = self._timers.get(pointer)
            if timer is not None and timer.handle.is_timer_ready():
                call_timer(timer.handle)
                timer.callback()
        if self._is_rare_ready(wait_set):
            self._handle_rare()
            self._idle_due = True

    def _is_rare_ready(self, wait_set: Any) -> bool:
        """Whether rclpy has something to do, after a wait."""
        triggered = wait_set.get_ready_entities('guard_condition')
        for pointer in triggered:
            if pointer in self._node_guards:
                # The wait has taken the trigger; rclpy gives it anew.
                self._node_guards[pointer]._executor_triggered = True
        if triggered:
            return True
        if wait_set.get_ready_entities('service') or wait_set.get_ready_entities('client'):
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
        for subscription in self._hot:
            taken |= take(subscription)
        return taken

    def _handle_rare(self) -> None:
        """Services, clients, events and guard conditions, by rclpy's own means."""
        for _ in range(_RARE_BATCH):
            try:
                handler, _entity, _node = self.wait_for_ready_callbacks(timeout_sec=0.0)
            except (TimeoutException, ShutdownException):
                return
            handler()
            handler.result()  # Raises what the callback raised.


def take(subscription: Any) -> bool:
    """Take the next message of a subscription and handle it; whether there was one."""
    taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    if taken is None:
        return False
    if subscription._callback_type is _WITH_INFO:
        subscription.callback(*taken)
    else:
        subscription.callback(taken[0])
    return True


def call_timer(handle: Any) -> None:
    """Note that a timer was called, so that its next call is due a period later."""
    # Named differently in Kilted and in Jazzy.
    call = getattr(handle, 'call_timer_with_info', None) or handle.call_timer
    call()
