"""Figures of episodes that an environment reports beside the return.

An environment names its figures in ``EnvSpec.metrics`` and gives their values with each step. A
name ends with its unit, as ``final_distance_m``. A name that begins with ``is_`` is a mark of
success, 1 or 0 for each episode, as ``is_success`` of Gymnasium's robots or ``is_within_2_cm``: its
mean is the share of episodes that reached it, and is shown as a percentage. Code that shows figures
shows those that exist, and knows nothing of the task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MARK = 'is_'


def is_share(name: str) -> bool:
    """Return True if the mean of a figure is a share of episodes."""
    return name.startswith(_MARK)


def label(name: str) -> str:
    """Return the name of a figure for people: ``within 2 cm`` for ``is_within_2_cm``."""
    return name.removeprefix(_MARK).replace('_', ' ') if is_share(name) else name


def shares(means: Mapping[str, float]) -> dict[str, float]:
    """Return the shares among means of figures, by their labels."""
    return {label(name): value for name, value in means.items() if is_share(name)}


def figure_text(name: str, mean: float) -> str:
    """Return a mean with its name: ``within 2 cm 75 %``, or ``final_distance_m 0.0312``."""
    return f'{label(name)} {100 * mean:.0f} %' if is_share(name) else f'{name} {mean:,.4g}'


class RecentFigures:
    """Keeps the figures of the newest episodes.

    Args:
        episodes: how many, at least 1.
    """

    def __init__(self, episodes: int) -> None:
        self._episodes = episodes
        self._values: dict[str, deque[float]] = {}

    def add(self, figures: Mapping[str, NDArray[Any]]) -> None:
        """Add finished episodes: values of each figure, oldest first [K], by name."""
        for name, values in figures.items():
            recent = self._values.setdefault(name, deque(maxlen=self._episodes))
            recent.extend(values.tolist())

    def recent(self, name: str) -> list[float]:
        """Return a figure of the newest episodes, oldest first; empty if it is unknown."""
        return list(self._values.get(name, ()))

    def means(self) -> dict[str, float]:
        """Return the mean of each figure; empty before the first episode."""
        return {name: float(np.mean(values)) for name, values in self._values.items() if values}

    def shares(self) -> dict[str, float]:
        """Return the shares of success by their labels; empty if there are none."""
        return shares(self.means())
