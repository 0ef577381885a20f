"""The monitor node: listens to episodes and status, and keeps them as plain numbers and rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.node import Node

from nrl_ros.cli.evaluate import DISTANCE
from nrl_ros.cli.metrics import ENDINGS, EpisodeRow
from nrl_ros.cli.progress import Progress
from nrl_ros.ros import names, qos
from nrl_ros.ros.interfaces import (
    EnvStatus,
    EpisodeReport,
    LearnerStatus,
    NeuromodulatorStatus,
)

# The fastest environments report a few times a second; a busy screen must not lose one.
_REPORTS = 1000


class Monitor(Node):  # type: ignore[misc]
    """Subscribes to ``episodes``, ``env_status``, ``learner_status``, ``neuromodulator_status``.

    Args:
        agent: whose episodes are recorded.
        progress: kept up to date.
        record: called with the rows of finished episodes.
        options: passed to rclpy's node.
    """

    def __init__(
        self,
        agent: str,
        progress: Progress,
        record: Callable[[list[EpisodeRow]], None],
        **options: Any,
    ) -> None:
        super().__init__('monitor', **options)
        self._agent = agent
        self._progress = progress
        self._record = record
        self._start = time.monotonic()
        self._served = False
        reports = qos.event()
        reports.depth = _REPORTS
        self.create_subscription(EpisodeReport, names.EPISODES, self._on_report, reports)
        self.create_subscription(EnvStatus, names.ENV_STATUS, self._on_env, qos.latched())
        self.create_subscription(
            LearnerStatus, names.LEARNER_STATUS, self._on_learner, qos.latched()
        )
        self.create_subscription(
            NeuromodulatorStatus,
            names.NEUROMODULATOR_STATUS,
            self._on_neuromodulator,
            qos.latched(),
        )

    def hears_environment(self) -> bool:
        """Whether the topics of a configured environment are here."""
        return all(self.count_publishers(name) for name in (names.EPISODES, names.ENV_STATUS))

    @property
    def wall_time_s(self) -> float:
        """Since the monitor started [s]."""
        return time.monotonic() - self._start

    def _on_report(self, message: EpisodeReport) -> None:
        if message.agent != self._agent:
            return
        steps = np.asarray(message.total_steps, np.int64) + self._progress.earlier_steps
        returns = list(message.episode_return)
        if not returns:
            return
        wall = round(self.wall_time_s, 3)
        columns = (steps.tolist(), message.instance, message.episode, message.length)
        rows = [
            EpisodeRow(total, wall, self._agent, instance, episode, length, ENDINGS[ending], value)
            for total, instance, episode, length, ending, value in zip(
                *columns, message.ending, returns, strict=True
            )
        ]
        self._progress.add_returns(int(steps[-1]), returns)
        if DISTANCE in message.metric_name:
            count = len(message.metric_name)
            self._progress.add_distances(
                message.metric[list(message.metric_name).index(DISTANCE) :: count]
            )
        self._progress.steps = max(self._progress.steps, int(steps[-1]))
        self._progress.moving = True
        self._record(rows)

    def _on_env(self, message: EnvStatus) -> None:
        if message.agent != self._agent:
            return
        progress = self._progress
        progress.steps = message.steps + progress.earlier_steps
        progress.moving = True
        progress.episodes = message.episodes
        progress.steps_per_second = message.steps_per_second
        progress.finished = message.finished
        named = ('late_actions', 'missing_actions', 'resent_states')
        progress.counters['environment'] = {name: getattr(message, name) for name in named}
        progress.counters['environment'] |= _counters(message)

    def _on_learner(self, message: LearnerStatus) -> None:
        progress = self._progress
        progress.learner_heard += 1
        progress.weight_norm = message.weight_norm
        progress.learning_rate = message.learning_rate
        progress.noise_sigma = message.noise_sigma
        progress.busy_share = message.busy_share
        counters = _counters(message)
        if self._served and self._agent not in message.agent:
            # Gone in good order: what it left open is not trouble.
            released = progress.counters['learner'].get('released_windows', 0)
            counters['released_windows'] = released
        self._served |= self._agent in message.agent
        progress.counters['learner'] = counters
        progress.restored.setdefault('learner', dict(counters))

    def _on_neuromodulator(self, message: NeuromodulatorStatus) -> None:
        progress = self._progress
        # None arrived since the last status: the last figure is still the newest.
        if not np.isnan(message.mean_absolute_rpe):
            progress.mean_absolute_rpe = message.mean_absolute_rpe
        progress.baseline = message.mean_baseline
        progress.counters['neuromodulator'] = _counters(message)


def _counters(message: Any) -> dict[str, int]:
    values = (int(value) for value in message.counter_value)
    return dict(zip(message.counter_name, values, strict=True))
