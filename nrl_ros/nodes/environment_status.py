"""Reports of an environment node for people: finished episodes, and its status."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from rclpy.duration import Duration

from nrl_ros.base.records import FinishedEpisodes
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.figures import RecentFigures
from nrl_ros.monitor.learning_curve import COLUMNS, curve_row
from nrl_ros.monitor.progress import Progress
from nrl_ros.monitor.series import Series
from nrl_ros.nodes.progress_line import Figures, progress_line
from nrl_ros.ros import conversion
from nrl_ros.ros.interfaces import EnvStatus
from nrl_ros.ros.learning_curve import CurveMessage, curve_to_msg
from nrl_ros.ros.reports import take_episodes

_RECENT_EPISODES = 100
# Rows of a learning curve, and the shortest time between two messages of it [s].
_CURVE_ROWS, _CURVE_S = 400, 1.0
# Longest wait until all subscribers have the last report and status. A machine that is busy with
# real-time processes may delay a command such as ``nrl arm`` by more than half a second.
_LAST_FIGURES_S = 2.0
_SHOWN = ('late_actions', 'missing_actions', 'resent_states')


class ReportPublishers(NamedTuple):
    """Publishers of the reports of an environment."""

    episodes: Any
    status: Any
    curve: Any


class CurveReports:
    """Publishes the learning curve since the first episode, for whoever looks later.

    A run of any length has as many rows, so rows that are kept, and with them messages, become the
    rarer the longer it runs.

    Args:
        session: of the environment.
        publisher: of the curve, latched.
    """

    def __init__(self, session: int, publisher: Any) -> None:
        self._session, self._publisher = session, publisher
        self._progress = Progress()
        self._columns: tuple[str, ...] = COLUMNS
        self._rows = Series(COLUMNS, _CURVE_ROWS)
        self._is_due, self._published_at = False, -math.inf

    def add(self, ends: Sequence[FinishedEpisodes]) -> None:
        """Take the episodes of a report."""
        for end in ends:
            take_episodes(self._progress, end)
        if ends and not math.isnan(self._progress.mean_return):
            self._columns, row = curve_row(self._progress)
            self._is_due |= self._rows.add(row)

    def publish(self, now: float, *, at_once: bool = False) -> None:
        """Publish the curve if it has changed, and not again at once.

        Args:
            now: time of a steady clock [s].
            at_once: it is published now if it has changed at all.
        """
        if self._is_due and (at_once or now - self._published_at >= _CURVE_S):
            self._is_due, self._published_at = False, now
            curve = CurveMessage(self._session, self._columns, self._rows.rows)
            self._publisher.publish(curve_to_msg(curve))


class EnvironmentReports:
    """Collects figures and publishes them a few times a second.

    Args:
        episodes: of the session.
        publishers: of what is told.
    """

    def __init__(self, episodes: Episodes, publishers: ReportPublishers) -> None:
        self._episodes, self._publishers = episodes, publishers
        self._curve = CurveReports(episodes.info.session, publishers.curve)
        self._ends: list[FinishedEpisodes] = []
        self._recent: deque[float] = deque(maxlen=_RECENT_EPISODES)
        self._figures = RecentFigures(_RECENT_EPISODES)
        self._rate = self._told = (time.monotonic(), episodes.total_steps)

    def ended(self, ends: FinishedEpisodes) -> None:
        """Note episodes that ended."""
        self._ends.append(ends)

    def publish_episodes(self, stamp_ns: int) -> None:
        """Publish the episodes that ended since the last time, if there are any."""
        ends, self._ends = self._ends, []
        self._curve.add(ends)
        self._curve.publish(time.monotonic())
        if not ends:
            return
        for end in ends:
            self._recent.extend(end.episode_return.tolist())
            self._figures.add(end.figures)
        self._publishers.episodes.publish(conversion.report_to_msg(ends, stamp_ns))

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
        # Who hears that it is finished, and opens a page then, finds the whole curve.
        self._curve.publish(now, at_once=finished)
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
        self._publishers.status.publish(message)

    def wait_until_heard(self) -> None:
        """Wait until all subscribers have what was published, since nothing repeats it."""
        self._curve.publish(time.monotonic(), at_once=True)
        end = time.monotonic() + _LAST_FIGURES_S
        for publisher in self._publishers:
            publisher.wait_for_all_acked(Duration(seconds=max(end - time.monotonic(), 0.0)))


def _mean(values: Collection[float]) -> float:
    return float(np.mean(list(values))) if values else math.nan
