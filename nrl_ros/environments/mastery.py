"""Tells when a task has been learned: enough of the newest episodes reached a mark of success."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from pydantic import Field

from nrl_ros.base.errors import ConfigError, nearest
from nrl_ros.base.records import Ending, FinishedEpisodes
from nrl_ros.base.settings import Settings
from nrl_ros.environments.figures import is_share, label


class MasterySettings(Settings):
    """When a task counts as learned."""

    share: float = Field(
        0.0,
        ge=0,
        le=1,
        description='Share of the newest episodes that must reach the mark; 0: no such limit [1]',
    )
    episodes: int = Field(30, ge=1, description='How many of the newest episodes count [1]')
    mark: str = Field(
        '',
        description='A figure of the environment that marks success, as is_within_2_cm; empty: the '
        "environment's only one",
    )


class Mastery:
    """Counts how many of the newest episodes reached the mark; aborted ones do not count.

    Args:
        settings: how many have to.
        metrics: names of the figures that the environment gives.

    Raises:
        ConfigError: the environment does not give that figure.
    """

    def __init__(self, settings: MasterySettings, metrics: Sequence[str]) -> None:
        self._needed = settings.share * settings.episodes
        self._recent: deque[bool] = deque(maxlen=settings.episodes)
        self.mark = _mark(settings.mark, metrics) if settings.share else ''

    @property
    def share(self) -> float:
        """Share of the newest episodes that reached the mark; 0 before the first [1]."""
        return sum(self._recent) / len(self._recent) if self._recent else 0.0

    def add(self, ended: FinishedEpisodes) -> None:
        """Note finished episodes, oldest first."""
        if self.mark:
            kept = ended.ending != Ending.ABORTED
            self._recent.extend((ended.figures[self.mark][kept] > 0.5).tolist())

    @property
    def reached(self) -> bool:
        """True if the task has been learned."""
        full = len(self._recent) == self._recent.maxlen
        return bool(self.mark) and full and sum(self._recent) >= self._needed - 1e-9

    def about(self) -> str:
        """Return in words what was reached."""
        return f'{label(self.mark)} {100 * self.share:.0f} % of {len(self._recent)} episodes'


def _mark(name: str, metrics: Sequence[str]) -> str:
    """Return the figure of a name, or the only one there is."""
    marks = [metric for metric in metrics if is_share(metric)]
    if name in marks:
        return name
    if not name and len(marks) == 1:
        return marks[0]
    raise ConfigError(
        f'stop.learned.mark: expected one of {", ".join(marks) or "none: it has no such figure"}, '
        f'received {name!r}{nearest(name, marks)}'
    )
