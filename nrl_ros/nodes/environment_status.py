"""Reports of an environment node for people: finished episodes, and its status."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Collection
from typing import Any

import numpy as np
from rclpy.duration import Duration

from nrl_ros.base.records import FinishedEpisodes
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.figures import RecentFigures
from nrl_ros.nodes.progress_line import Figures, progress_line
from nrl_ros.ros import conversion
from nrl_ros.ros.interfaces import EnvStatus

_RECENT_EPISODES = 100
# Longest wait until all subscribers have the last report and status. A machine that is busy with
# real-time processes may delay a command such as ``nrl arm`` by more than half a second.
_LAST_FIGURES_S = 2.0
_SHOWN = ('late_actions', 'missing_actions', 'resent_states')


class EnvironmentReports:
    """Collects figures and publishes them a few times a second.

    Args:
        episodes: of the session.
        report: publisher of EpisodeReport.
        status: publisher of EnvStatus.
    """

    def __init__(self, episodes: Episodes, report: Any, status: Any) -> None:
        self._episodes, self._report, self._status = episodes, report, status
        self._ends: list[FinishedEpisodes] = []
        self._recent: deque[float] = deque(maxlen=_RECENT_EPISODES)
        self._figures = RecentFigures(_RECENT_EPISODES)
        self._rate = self._told = (time.monotonic(), episodes.total_steps)

    def ended(self, ends: FinishedEpisodes) -> None:
        """Note episodes that ended."""
        self._ends.append(ends)

    def publish_episodes(self, stamp_ns: int) -> None:
        """Publish the episodes that ended since the last time, if there are any."""
        if not self._ends:
            return
        ends, self._ends = self._ends, []
        for end in ends:
            self._recent.extend(end.episode_return.tolist())
            self._figures.add(end.figures)
        self._report.publish(conversion.report_to_msg(ends, stamp_ns))

    def progress(self, counters: Counter[str]) -> str:
        """Return a line for the log; empty before the first step."""
        episodes = self._episodes
        now, (then, steps) = time.monotonic(), self._told
        self._told = (now, episodes.total_steps)
        if not episodes.total_steps:
            return ''
        return progress_line(
            Figures(
                steps=episodes.total_steps,
                episodes=episodes.total_episodes,
                steps_per_second=(episodes.total_steps - steps) / max(now - then, 1e-9),
                mean_return=_mean(self._recent),
                metrics=self._figures.means(),
                counters={**counters, 'aborted': episodes.aborted},
            )
        )

    def publish_status(
        self, counters: Counter[str], stamp_ns: int, *, active: bool, finished: bool
    ) -> None:
        """Publish totals, rate and counters."""
        episodes = self._episodes
        now = time.monotonic()
        then, steps = self._rate
        self._rate = (now, episodes.total_steps)
        others = {name: value for name, value in counters.items() if name not in _SHOWN}
        message = EnvStatus(
            agent=episodes.info.agent,
            session=episodes.info.session,
            active=active,
            finished=finished,
            steps=episodes.total_steps,
            episodes=episodes.total_episodes,
            aborted=episodes.aborted,
            steps_per_second=(episodes.total_steps - steps) / max(now - then, 1e-9),
            mean_return=_mean(self._recent),
            counter_name=list(others),
            counter_value=list(others.values()),
        )
        for name in _SHOWN:
            setattr(message, name, counters[name])
        conversion.set_stamp(message.header.stamp, stamp_ns)
        self._status.publish(message)

    def wait_until_heard(self) -> None:
        """Wait until all subscribers have what was published, since nothing repeats it."""
        end = time.monotonic() + _LAST_FIGURES_S
        for publisher in (self._report, self._status):
            publisher.wait_for_all_acked(Duration(seconds=max(end - time.monotonic(), 0.0)))


def _mean(values: Collection[float]) -> float:
    return float(np.mean(list(values))) if values else math.nan
