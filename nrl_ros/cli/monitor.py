"""The monitor node: subscribes to episodes and status, and records them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Container
from typing import Any

from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile

from nrl_ros.base.records import FinishedEpisodes
from nrl_ros.cli.metrics import EpisodeRow, episode_rows
from nrl_ros.monitor.progress import Progress
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.hearing import Refusals, Topic, hear
from nrl_ros.ros.interfaces import (
    EnvStatus,
    EpisodeReport,
    LearnerStatus,
    NeuromodulatorStatus,
)
from nrl_ros.ros.reports import (
    take_environment,
    take_episodes,
    take_learner,
    take_neuromodulator,
)

# Even the fastest environments report only a few times a second; none of it may be lost while the
# screen is busy.
_REPORTS = 1000


class Monitor(Node):
    """Subscribes to ``episodes``, ``env_status``, ``learner_status``, ``neuromodulator_status``.

    Args:
        agent: the environment that is meant.
        progress: kept up to date.
        record: called with the rows of finished episodes.
        sessions: of the environment that is meant; None: all of that name.
        options: passed to rclpy's node.

    Attributes:
        agent: whose episodes are recorded.
    """

    def __init__(
        self,
        agent: str,
        progress: Progress,
        record: Callable[[list[EpisodeRow]], None],
        *,
        sessions: Container[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__('monitor', **options)
        self.agent, self._sessions = agent, sessions
        self._progress = progress
        self._record = record
        self._start = time.monotonic()
        refused: Counter[str] = Counter()
        progress.counters['monitor'] = refused
        self._refusals = Refusals(self, refused)
        reports = qos.event()
        reports.depth = _REPORTS
        self.hear(EpisodeReport, names.EPISODES, reports, self._on_report)
        self.hear(EnvStatus, names.ENV_STATUS, qos.latched(), self._on_env)
        self.hear(LearnerStatus, names.LEARNER_STATUS, qos.latched(), self._on_learner)
        self.hear(
            NeuromodulatorStatus,
            names.NEUROMODULATOR_STATUS,
            qos.latched(),
            self._on_neuromodulator,
        )

    def hear(
        self, kind: type, topic: str, profile: QoSProfile, callback: Callable[[Any], None]
    ) -> None:
        """Subscribe; a faulty message is counted and logged once, and ends nothing."""
        hear(self, Topic(kind, topic, profile), callback, self._refusals)

    def hears_environment(self) -> bool:
        """Return whether a configured environment publishes its topics."""
        return all(self.count_publishers(name) for name in (names.EPISODES, names.ENV_STATUS))

    def namesakes(self, nodes: Collection[str], expected: int) -> list[str]:
        """Return the nodes in this namespace of which there are more than expected.

        Args:
            nodes: their names.
            expected: of each.
        """
        here = self.get_namespace()
        found = Counter(
            name for name, place in self.get_node_names_and_namespaces() if place == here
        )
        return [name for name in nodes if found[name] > expected]

    @property
    def wall_time_s(self) -> float:
        """Time since the monitor started [s]."""
        return time.monotonic() - self._start

    def is_meant(self, message: EpisodeReport | EnvStatus) -> bool:
        """Return True if a message is of the agent and sessions that are listened to."""
        mine = self._sessions is None or message.session in self._sessions
        return mine and message.agent == self.agent

    def worth(self, ends: FinishedEpisodes) -> NDArray[Any]:
        """Return the numbers by which the best checkpoint is chosen, one of each episode [K]."""
        return ends.episode_return

    def _on_report(self, message: EpisodeReport) -> None:
        if not self.is_meant(message):
            return
        ends = conversion.report_from_msg(message)
        if not len(ends.episode_return):
            return
        take_episodes(self._progress, ends, self.worth(ends))
        earlier = self._progress.earlier_steps
        self._record(episode_rows(ends, round(self.wall_time_s, 3), earlier))

    def _on_env(self, message: EnvStatus) -> None:
        if not self.is_meant(message):
            return
        take_environment(self._progress, message)

    def _on_learner(self, message: LearnerStatus) -> None:
        take_learner(self._progress, message, self.agent)

    def _on_neuromodulator(self, message: NeuromodulatorStatus) -> None:
        take_neuromodulator(self._progress, message)
