"""The topics of all runs in a domain, as the page hears them: looked at a few times a second.

Nothing waits for these messages: an executor would wake for each of thousands a second. The page
takes what has come when it tells its browsers, and of fast topics the newest message alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64MultiArray

from nrl_ros.page.action_figures import ActionFigures
from nrl_ros.page.run_view import Condition, RunName, RunView
from nrl_ros.page.runs import Runs
from nrl_ros.page.sampling import Sampling
from nrl_ros.page.steering import offered
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.executor import take_waiting
from nrl_ros.ros.graph import topics_of
from nrl_ros.ros.hearing import Refusals, Sender, Topic, counters_of, health_of, hear
from nrl_ros.ros.interfaces import (
    Action,
    ArmCommand,
    EnvInfo,
    EnvStatus,
    EpisodeReport,
    LearnerStatus,
    NeuromodulatorStatus,
    SafetyState,
    SafetyStatus,
)
from nrl_ros.ros.learning_curve import curve_from_msg
from nrl_ros.ros.reports import (
    MOVES,
    facts_of,
    take_aborted,
    take_environment,
    take_episodes,
    take_learner,
    take_neuromodulator,
    take_safety,
)

# Messages of one topic that are taken at most in one look, and wait at most for it.
_MOST = 256
# The newest of a fast topic is enough.
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
_SOME = QoSProfile(depth=64, reliability=ReliabilityPolicy.BEST_EFFORT)
# An answer that took longer was not timed by one clock [ms].
_LONGEST_MS = 60_000.0
# Topics that are subscribed to at most: as many as 48 arms with their learners have.
_MOST_TOPICS = 600
_NANOSECONDS_PER_MS = 1e6
_CURVE = f'/{names.LEARNING_CURVE}/'


class PageTopics:
    """Hears every run in the ROS domain.

    Args:
        node: whose context and log are used.
        runs: is told what comes.
        within: namespace whose runs are heard, with those below it; empty: all.
    """

    def __init__(self, node: Any, runs: Runs, within: str) -> None:
        self._node, self._runs = node, runs
        self._within = f'/{within.strip("/")}/' if within.strip('/') else '/'
        # Nobody spins this node, so that no message wakes anybody.
        self._ears = rclpy.create_node(
            f'{names.PAGE}_ears',
            context=node.context,
            namespace=node.get_namespace(),
            enable_rosout=False,
            start_parameter_services=False,
            use_global_arguments=False,
        )
        self._refusals = Refusals(self._ears, Counter())
        self._heard: dict[str, Any] = {}
        self._sampling: dict[str, Sampling] = {}
        self._spaces: dict[tuple[str, str], Any] = {}
        # The newest status of learner and neuromodulator in each namespace, which may come before
        # anything of an environment does.
        self._learners: dict[str, LearnerStatus] = {}
        self._neuromodulators: dict[str, NeuromodulatorStatus] = {}
        # Makes what hears each kind of topic; a fast one is heard while a page is open.
        self._kinds: tuple[tuple[Any, QoSProfile, Callable[..., None], bool], ...] = (
            (EnvInfo, qos.latched(64), self._on_info, False),
            # All environments of a learner share the topic, and all may report between two looks.
            (EnvStatus, qos.latched(64), self._on_environment, False),
            (LearnerStatus, qos.latched(2), self._on_learner, False),
            (NeuromodulatorStatus, qos.latched(2), self._on_neuromodulator, False),
            (EpisodeReport, _deep(), self._on_episodes, False),
            (SafetyStatus, qos.latched(4), self._on_safety, False),
            (DiagnosticArray, qos.event(), self._on_diagnostics, False),
            (SafetyState, _NEWEST, self._on_safety_state, True),
            (ArmCommand, _NEWEST, self._on_command, True),
        )

    def close(self) -> None:
        """Leave the ROS graph."""
        self._ears.destroy_node()

    # ---------------------------------------------------------------- looking

    def look(self, *, watched: bool) -> None:
        """Subscribe to what has come to the graph, and leave what has gone from it.

        Args:
            watched: True while a page is open.
        """
        graph = self._ears.get_topic_names_and_types()
        wanted: dict[str, tuple[Any, QoSProfile, Callable[..., None]]] = {}
        for kind, profile, take, fast in self._kinds:
            if watched or not fast:
                for name in self._mine(topics_of(graph, kind)):
                    wanted[name] = (kind, profile, partial(take, name.rpartition('/')[0]))
        for name in self._mine(topics_of(graph, PointStamped, names.AIM.removeprefix('~/'))):
            wanted[name] = (PointStamped, qos.latched(), partial(self._on_aim, name))
        for name in self._mine(topics_of(graph, Float64MultiArray)):
            if _CURVE in name:
                wanted[name] = (Float64MultiArray, qos.latched(), partial(self._on_curve, name))
        for name in self._actions(self._mine(topics_of(graph, Action)), watched=watched):
            wanted[name] = (Action, _SOME, partial(self._on_action, name.rpartition('/')[0]))
        for name in self._heard.keys() - wanted.keys():
            self._ears.destroy_subscription(self._heard.pop(name))
            if name.rpartition('/')[2] == names.LEARNER_STATUS:
                self._learners.pop(name.rpartition('/')[0], None)
            if name.rpartition('/')[2] == names.NEUROMODULATOR_STATUS:
                self._neuromodulators.pop(name.rpartition('/')[0], None)
        for name in list(wanted.keys() - self._heard.keys())[: _MOST_TOPICS - len(self._heard)]:
            self._heard[name] = self._hear(name, *wanted[name])
        services = self._ears.get_service_names_and_types()
        mine = [
            [one for one in found if one[0].startswith(self._within)] for found in (services, graph)
        ]
        self._runs.offer(offered(*mine))

    def _mine(self, topics: Iterable[str]) -> list[str]:
        return [name for name in topics if name.startswith(self._within)]

    def _actions(self, topics: Iterable[str], *, watched: bool) -> list[str]:
        """Return which topics of actions to hear now."""
        now, wanted = time.monotonic(), []
        for name in topics:
            runs = self._runs.learned_in(name.rpartition('/')[0])
            rate = sum(run.states_per_second for run in runs)
            sampling = self._sampling.setdefault(name, Sampling())
            if runs and sampling.wants(now, rate, watched=watched):
                wanted.append(name)
        return wanted

    def _hear(self, name: str, kind: Any, profile: QoSProfile, take: Callable[..., None]) -> Any:
        raw = kind is Action
        return hear(
            self._ears, Topic(kind, name, profile), take, self._refusals, raw=raw, with_sender=raw
        )

    def take(self) -> None:
        """Take all that has come since the last time."""
        for subscription in list(self._heard.values()):
            take_waiting(subscription, _MOST)

    # ---------------------------------------------------------------- hearing

    def _run(self, namespace: str, agent: str, now: float) -> RunView:
        """Return an environment; a new one is told what its learner has said already."""
        known = RunName(namespace, agent) in self._runs.runs
        run = self._runs.run(namespace, agent, now)
        if not known:
            self._tell_learning(run, namespace)
        return run

    def _begin_session(self, run: RunView, session: int, now: float) -> None:
        if run.begin_session(session, now):
            self._tell_learning(run, run.name.namespace)

    def _tell_learning(self, run: RunView, namespace: str) -> None:
        if namespace in self._learners:
            self._take_learner(run, self._learners[namespace])
        if namespace in self._neuromodulators:
            self._take_neuromodulator(run, self._neuromodulators[namespace])

    def _take_learner(self, run: RunView, message: LearnerStatus) -> None:
        take_learner(run.progress, message, run.name.agent)
        run.hear_status('learner', facts_of(message), time.monotonic())

    def _take_neuromodulator(self, run: RunView, message: NeuromodulatorStatus) -> None:
        take_neuromodulator(run.progress, message)
        run.hear_status('neuromodulator', facts_of(message), time.monotonic())

    def _on_info(self, namespace: str, message: EnvInfo) -> None:
        info = conversion.info_from_msg(message)
        run = self._run(namespace, info.agent, time.monotonic())
        self._spaces[namespace, info.agent] = info.spec.action
        run.introduce(facts_of(message), ActionFigures(info.spec.action))

    def _on_environment(self, namespace: str, message: EnvStatus) -> None:
        now = time.monotonic()
        run = self._run(namespace, message.agent, now)
        self._begin_session(run, message.session, now)
        take_environment(run.progress, message)
        run.hear_status('environment', facts_of(message), now)

    def _on_learner(self, namespace: str, message: LearnerStatus) -> None:
        # A wrong one is refused here, since runs that come later are told of the one that is kept.
        counters_of(message), health_of(message)
        self._learners[namespace] = message
        for run in self._runs.learned_in(namespace):
            self._take_learner(run, message)

    def _on_neuromodulator(self, namespace: str, message: NeuromodulatorStatus) -> None:
        counters_of(message)
        self._neuromodulators[namespace] = message
        for run in self._runs.learned_in(namespace):
            self._take_neuromodulator(run, message)

    def _on_episodes(self, namespace: str, message: EpisodeReport) -> None:
        ends, now = conversion.report_from_msg(message), time.monotonic()
        if not len(ends.episode_return):
            return
        run = self._run(namespace, ends.agent, now)
        self._begin_session(run, ends.session, now)
        take_episodes(run.progress, ends)
        run.hear_episodes()
        for arm in self._runs.arms.values():
            if self._runs.run_of(arm) == run.name:
                take_aborted(arm.figures, ends)

    def _on_curve(self, topic: str, message: Float64MultiArray) -> None:
        curve, now = curve_from_msg(message), time.monotonic()
        namespace, _, agent = topic.partition(_CURVE)
        run = self._run(namespace, agent, now)
        self._begin_session(run, curve.session, now)
        run.hear_curve(curve.columns, curve.rows)

    def _on_action(self, namespace: str, data: bytes, sender: Sender) -> None:
        agent, _ = conversion.session_of_action(data)
        space = self._spaces.get((namespace, agent))
        run = self._runs.runs.get(RunName(namespace, agent))
        if space is None or run is None:
            return
        action = conversion.action_from_wire(data, space)
        late_ms = (sender.sent_ns - action.stamp_ns) / _NANOSECONDS_PER_MS
        run.hear_action(action.action, late_ms if 0.0 < late_ms < _LONGEST_MS else float('nan'))

    def _on_diagnostics(self, _namespace: str, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {one.key: one.value for one in status.values}
            level = int.from_bytes(status.level, 'little')
            self._runs.hear_condition(Condition(status.name, level, status.message, values))

    def _on_safety(self, namespace: str, message: SafetyStatus) -> None:
        now = time.monotonic()
        arm = self._runs.arm(namespace, now)
        take_safety(arm.figures, message)
        arm.hear_safety(facts_of(message), counters_of(message), now)

    def _on_safety_state(self, namespace: str, message: SafetyState) -> None:
        arm = self._runs.arms.get(namespace)
        if arm is not None:
            joints = tuple(message.joint)
            arm.hear_state(joints, np.array(message.measured), np.array(message.velocity))

    def _on_command(self, namespace: str, message: ArmCommand) -> None:
        arm = self._runs.arms.get(namespace)
        if arm is not None:
            arm.hear_moves(MOVES.get(message.purpose, ''), message.agent)

    def _on_aim(self, topic: str, message: PointStamped) -> None:
        # The environment's own topic: NAMESPACE/environment/aim.
        arm = self._runs.arms.get(topic.rpartition('/')[0].rpartition('/')[0])
        if arm is not None:
            point = message.point
            arm.hear_target(np.array([point.x, point.y, point.z]))


def _deep() -> QoSProfile:
    """Return the profile of reports, none of which may be lost between two looks."""
    profile = qos.event()
    profile.depth = _MOST
    return profile
