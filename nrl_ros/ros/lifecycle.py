"""Base of all nodes: logged transitions, parameters, QoS events, a main loop."""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile
from rclpy.timer import Timer

from nrl_ros.base.errors import NrlError, ProtocolError
from nrl_ros.base.settings import Settings
from nrl_ros.ros import leaving, names
from nrl_ros.ros.executor import StepExecutor
from nrl_ros.ros.hearing import Refusals, Topic, hear, hear_any
from nrl_ros.ros.middleware import prepare_middleware
from nrl_ros.ros.parameters import NodeParameters
from nrl_ros.ros.qos import for_recorder, is_recorded
from nrl_ros.ros.rclpy_types import AnyPublisher, AnySubscription
from nrl_ros.ros.scheduling import set_realtime_priority
from nrl_ros.ros.security import initialise, refused_in_one_line
from nrl_ros.ros.signals import Signals, told_to_end

Model = TypeVar('Model', bound=Settings)

_SAY_AGAIN_S = 10.0
# Longest wait for a recorder at the end [s].
_RECORDER_S = 1.0
# How often the name of an unknown node is asked for again, and how long to wait each time.
_NAME_TRIES = 20
_NAME_WAIT_S = 0.1
# States from which a node can be shut down; one that a person has shut down has no other state
# left.
_MAY_SHUT_DOWN = ('unconfigured', 'inactive', 'active')


class NrlNode(LifecycleNode, Generic[Model]):
    """A lifecycle node around an object that knows nothing of ROS.

    Subclasses override ``configure``, ``activate``, ``deactivate`` and ``cleanup``. An NrlError
    raised there is logged and fails the transition. Callbacks run only while the node is
    ``active``.

    Args:
        name: node name.
        model: settings model.
        options: passed to rclpy's node (namespace, context, parameter_overrides ...).
    """

    def __init__(self, name: str, model: type[Model], **options: Any) -> None:
        super().__init__(name, **options)
        # Kilted's context destroys its nodes by itself. In Jazzy a node that fails while it is made
        # or configured would stay in the graph for as long as the error's traceback keeps it alive.
        self.context.on_shutdown(self.destroy_node)
        self.counters: Counter[str] = Counter()
        self._refusals = Refusals(self, self.counters)
        self.active = False
        self.exit_requested = False
        self.exit_code = 0
        self.steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._now = self.get_clock().handle.get_now
        self._node_settings = NodeParameters(self, model, self.settings_changed)
        self._said_at: dict[str, float] = {}
        # Publishers of what is learned from, where the run is recorded.
        self._recorded: list[Any] = []
        # Functions that undo what configuring has made.
        self._made: list[Callable[[], Any]] = []
        self._guard_transitions()

    @property
    def settings(self) -> Model:
        """Settings in force."""
        return self._node_settings.settings

    # ------------------------------------------------------- for subclasses

    def settings_changed(self, settings: Model) -> None:
        """Apply changed live settings; raise an NrlError to refuse them."""

    def configure(self) -> None:
        """Build everything from the settings."""

    def activate(self) -> None:
        """Start publishing."""

    def deactivate(self) -> None:
        """Stop publishing; nothing may move afterwards."""

    def cleanup(self) -> None:
        """Release everything."""

    def idle(self) -> None:
        """Do work in advance while nothing has to be handled."""

    def fail(self, text: str) -> None:
        """Log a fault that only a person can mend, and end the process with exit code 1."""
        self.get_logger().error(text)
        self.exit_code = 1
        self.exit_requested = True

    # ------------------------------------------------------------- lifecycle

    def _guard_transitions(self) -> None:
        """Answer a request for a transition that is not possible now with a refusal.

        rclpy of Jazzy raises an error in place of an answer, which would end the process; that of
        Kilted answers, and counts nothing.
        """
        served: Any = self._service_change_state
        change = served.callback

        def guarded(request: Any, response: Any) -> Any:
            asked = request.transition
            possible = self._state_machine.available_transitions
            # By its label if it has one, else by its number.
            at, wanted = (1, asked.label) if asked.label else (0, asked.id)
            if any(one[at] == wanted for one in possible):
                return change(request, response)
            self._refusals.refuse(
                ProtocolError(
                    f'transition {asked.label or asked.id} was asked for, which is not possible '
                    f'while the node is {self._state_machine.current_state[1]}'
                )
            )
            response.success = False
            return response

        served.callback = guarded

    def _transition(
        self, name: str, action: Callable[[], None], state: LifecycleState
    ) -> TransitionCallbackReturn:
        try:
            action()
        except NrlError as error:
            if name == 'configure' and told_to_end():
                self.get_logger().info(f'told to end before it was configured: {error}')
            else:
                self.get_logger().error(f'cannot {name}: {error}')
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # noqa: BLE001 - rclpy would swallow it unseen
            self.get_logger().error(f'cannot {name}: {type(error).__name__}: {error}')
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Build everything; after a failed attempt, take down what it has made."""
        result = self._transition('configure', self.configure, state)
        if result != TransitionCallbackReturn.SUCCESS:
            self._take_down()
        self._node_settings.fixed = result == TransitionCallbackReturn.SUCCESS
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Activate the node, and set the real-time priority if one is wanted."""
        super().on_activate(state)
        self.active = True
        result = self._transition('activate', self.activate, state)
        self.active = result == TransitionCallbackReturn.SUCCESS
        if self.active:
            self._prioritise()
        return result

    def _prioritise(self) -> None:
        """Set the real-time priority of all threads, after the middleware has made its own."""
        priority = getattr(self.settings, 'realtime_priority', 0)
        if not priority:
            return
        refused = set_realtime_priority(priority)
        if refused:
            self.get_logger().info(
                f'runs without real-time priority {priority} ({refused}): how well periods are '
                'kept depends on what else the machine does; docs/real_arm.md says how to allow it'
            )

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate the node; it stays active if a subclass refuses."""
        result = self._transition('deactivate', self.deactivate, state)
        if result == TransitionCallbackReturn.FAILURE:
            # The subclass refused, so the node stays active.
            return result
        self._wait_for_recorder()
        super().on_deactivate(state)
        self.active = False
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything; settings may then be changed and the node be configured anew."""
        result = self._transition('clean up', self.cleanup, state)
        self._take_down()
        self._node_settings.fixed = False
        return result

    def _wait_for_recorder(self) -> None:
        """Wait a moment until a recorder has all that it must not lack.

        What it asks for again after a loss is gone when the process ends. On a busy machine these
        were the last states of a run.
        """
        end = time.monotonic() + _RECORDER_S
        for publisher in self._recorded:
            publisher.wait_for_all_acked(Duration(seconds=max(end - time.monotonic(), 0.0)))

    def at_take_down(self, action: Callable[[], Any]) -> None:
        """Register an action for the time when the node's configuration is taken down."""
        self._made.append(action)

    def _take_down(self) -> None:
        """Destroy topics, services and timers, so that the next configuration starts without."""
        with leaving.bounded():
            while self._made:
                self._made.pop()()

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate if needed, and release everything."""
        if self.active:
            self._transition('deactivate', self.deactivate, state)
            self._wait_for_recorder()
            self.active = False
        result = self._transition('shut down', self.cleanup, state)
        self._take_down()
        return result

    def destroy_node(self) -> None:
        """Leave the ROS graph at once, whoever still holds this object.

        rclpy leaves the state machine to the garbage collector. The state machine holds the node,
        and the last node holds the middleware's participant: other processes would see it until its
        lease runs out, 20 s later, and its shared memory would stay until the machine is restarted.
        """
        # Jazzy's method has no types.
        destroy: Callable[[], None] = super().destroy_node
        destroy()
        # The state machine is missing if the node could not be made.
        machine = getattr(self, '_state_machine', None)
        if machine is not None:
            machine.destroy_when_not_in_use()

    def start(self, signals: Signals) -> bool:
        """Configure and activate if the parameter autostart says so, unless a signal comes first.

        Args:
            signals: that tell the process to end.

        Returns:
            False when a transition failed.
        """
        if signals.received or not getattr(self.settings, 'autostart', True):
            return True
        configured = self.trigger_configure()
        if signals.received:
            return True
        if configured != TransitionCallbackReturn.SUCCESS:
            return False
        return bool(self.trigger_activate() == TransitionCallbackReturn.SUCCESS)

    def stop(self) -> None:
        """Leave in order from any state: deactivate and release."""
        if self.active:
            self.trigger_deactivate()
        if self._state_machine.current_state[1] in _MAY_SHUT_DOWN:
            self.trigger_shutdown()

    # ------------------------------------------------------------------ topics

    def publisher(self, kind: type, topic: str, qos: QoSProfile) -> AnyPublisher:
        """Return a publisher that logs incompatible QoS as an error that names both sides."""

        def incompatible(event: Any) -> None:
            self._incompatible(topic, event, 'subscription')

        profile = for_recorder(qos) if topic in names.LEARNED_FROM else qos
        made: Any = self.create_publisher(
            kind,
            topic,
            profile,
            event_callbacks=PublisherEventCallbacks(incompatible_qos=incompatible),
        )
        self._made.append(lambda: self.destroy_publisher(made))
        if topic in names.LEARNED_FROM and is_recorded():
            self._recorded.append(made)
            self._made.append(lambda: self._recorded.remove(made))
        publisher: AnyPublisher = made
        return publisher

    def service(self, kind: Any, name: str, callback: Callable[[Any, Any], Any]) -> None:
        """Serve for as long as the node is configured.

        An error of the callback is counted and logged, and answered with an empty response; the
        node goes on.
        """

        def guarded(request: Any, response: Any) -> Any:
            try:
                return callback(request, response)
            except Exception as error:  # noqa: BLE001 - whatever a request makes it say
                self._refusals.refuse(error)
                return kind.Response()

        made: Any = self.create_service(kind, name, guarded)
        self._made.append(lambda: self.destroy_service(made))

    def subscription(
        self,
        kind: type,
        topic: str,
        qos: QoSProfile,
        callback: Callable[..., None],
        *,
        inactive: bool = False,
        **how: Any,
    ) -> AnySubscription:
        """Subscribe; messages are dropped while the node is inactive, unless ``inactive`` is given.

        An error of the callback drops the message, is counted by its type and logged once. A
        latched message comes once, often between configuring and activating, so such topics need
        ``inactive``.

        Args:
            kind: message class.
            topic: its name.
            qos: profile.
            callback: gets the message.
            inactive: hear messages while the node is inactive too.
            how: ``raw``, ``read`` and ``with_sender`` of ``hearing.hear``.
        """

        def incompatible(event: Any) -> None:
            self._incompatible(topic, event, 'publisher')

        made = hear(
            self,
            Topic(kind, topic, qos),
            callback,
            self._refusals,
            listens=lambda: self.active or inactive,
            events=SubscriptionEventCallbacks(incompatible_qos=incompatible),
            **how,
        )
        self._made.append(lambda: self.destroy_subscription(made))
        return made

    def hear_any(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        """Subscribe with every profile to a state that any publisher may send (``hearing``).

        It is heard while the node is configured, active or not, since a latched message comes only
        once.
        """
        for made in hear_any(self, kind, topic, callback, self._refusals):
            self._made.append(partial(self.destroy_subscription, made))

    def dropped(self, error: Exception) -> None:
        """Count and log an error that no message caused."""
        self._refusals.refuse(error)

    def say_seldom(
        self, kind: str, text: str, *, every_s: float = _SAY_AGAIN_S, error: bool = False
    ) -> None:
        """Log a text that may hold for long, but not more often than ``every_s``.

        The logger's own throttle inspects the call stack, which takes about 1 ms even if nothing is
        logged.

        Args:
            kind: of the text; each kind has its own time.
            text: what to log.
            every_s: shortest time between two logs [s].
            error: log it as an error instead of a warning.
        """
        now = time.monotonic()
        if now - self._said_at.get(kind, -every_s) < every_s:
            return
        self._said_at[kind] = now
        if error:
            self.get_logger().error(text)
        else:
            self.get_logger().warning(text)

    def _incompatible(self, topic: str, event: Any, other: str) -> None:
        self.counters['incompatible_qos'] += 1
        self._say_incompatible(topic, str(event.last_policy_kind), other, _NAME_TRIES)

    def _say_incompatible(self, topic: str, policy: str, other: str, tries: int) -> None:
        topic_name = self.resolve_topic_name(topic)
        infos = (
            self.get_publishers_info_by_topic(topic_name)
            if other == 'publisher'
            else self.get_subscriptions_info_by_topic(topic_name)
        )
        if tries and any('_UNKNOWN_' in info.node_name for info in infos):
            # The middleware finds an endpoint before it knows whose it is, so ask again later.
            def again() -> None:
                self.destroy_timer(timer)
                self._say_incompatible(topic, policy, other, tries - 1)

            timer = self.create_timer(_NAME_WAIT_S, again, clock=self.steady_clock)
            return
        others = [
            f'{info.node_namespace.rstrip("/")}/{info.node_name} '
            f'({info.qos_profile.reliability.name}, {info.qos_profile.durability.name})'
            for info in infos
        ]
        self.get_logger().error(
            f'incompatible QoS on {topic_name}: {self.get_fully_qualified_name()} cannot talk to a '
            f'{other} there because of {policy}; {other}s: '
            f'{", ".join(others) or "none any more"}; use the profiles of nrl_ros.ros.qos'
        )

    def periodic(self, period_s: float, callback: Callable[[], None]) -> Timer:
        """Return a timer on the steady clock that calls only while the node is active."""

        def gated() -> None:
            if not self.active:
                return
            try:
                callback()
            except NrlError as error:
                self.dropped(error)

        made = self.create_timer(period_s, gated, clock=self.steady_clock)
        self._made.append(lambda: self.destroy_timer(made))
        return made

    def now_ns(self) -> int:
        """Return the time of the node's clock [ns]; with simulated time, that time."""
        # The clock's own ``now`` makes an object of each time, which takes longer than to ask.
        return int(self._now().nanoseconds)


def main(
    make: Callable[[], NrlNode[Any]],
    argv: list[str] | None = None,
    *,
    udp_only: bool = False,
    kind: type[StepExecutor] = StepExecutor,
) -> int:
    """Run one node until it is done or told to stop by SIGINT, SIGTERM or SIGHUP.

    Args:
        make: makes the node.
        argv: arguments; None: those of the process.
        udp_only: share no memory with other processes, see ``middleware_variables``.
        kind: of the executor.

    Returns:
        Exit code: 0, or 1 when the node could not be started or go on (the reason is on stderr).
    """
    with Signals(last=True) as signals:
        prepare_middleware(udp_only=udp_only)
        try:
            try:
                initialise(argv)
                with refused_in_one_line():
                    node = make()
            except NrlError as error:
                sys.stderr.write(f'error: {error}\n')
                return 1
            return _spin(node, signals, kind)
        finally:
            with leaving.bounded():
                # This destroys nodes that still exist, such as one that failed while it was made.
                rclpy.try_shutdown()


def _spin(node: NrlNode[Any], signals: Signals, kind: type[StepExecutor]) -> int:
    executor = kind(node, node.idle)
    try:
        if not node.start(signals):
            return 1
        # The objects that exist now will stay, so the garbage collector need not look at them
        # again.
        gc.collect()
        gc.freeze()
        executor.run(lambda: node.exit_requested or signals.received != 0)
        node.stop()
        return node.exit_code
    finally:
        with leaving.bounded():
            executor.shutdown(timeout_sec=1.0)
            node.destroy_node()
