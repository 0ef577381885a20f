"""How much an arm has moved: distance of each joint, number of episodes, time in motion."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Slower motion counts as rest, so that sensor noise does not add up.
_REST_RAD_S = 0.005
# A longer gap between joint states is skipped, since nobody knows how the arm moved within it.
_GAP_S = 0.5


class JointUsage:
    """Adds up the distance that each joint has moved.

    Attributes:
        way: distance of each joint [J, rad].
        moving_s: time in which any joint moved [s].
        episodes: number of episodes begun.
    """

    def __init__(self, joints: int) -> None:
        self.way = np.zeros(joints)
        self.moving_s = 0.0
        self.episodes = 0
        self._last: tuple[Array, float] | None = None

    def moved(self, position: Array, now: float) -> None:
        """Add the next measured position [J, rad] at a time of the steady clock [s]."""
        last, self._last = self._last, (position, now)
        if last is None:
            return
        change, elapsed_s = np.abs(position - last[0]), now - last[1]
        if not 0.0 < elapsed_s < _GAP_S:
            return
        moving = change > _REST_RAD_S * elapsed_s
        self.way += np.where(moving, change, 0.0)
        if moving.any():
            self.moving_s += elapsed_s
