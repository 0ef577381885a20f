"""What an arm has gone through: way of each joint, episodes, time in motion."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Slower than this is rest: sensor noise must not count as wear.
_REST_RAD_S = 0.005
# A gap in the joint states: what happened within it is not known.
_GAP_S = 0.5


class Wear:
    """Adds up the way of each joint.

    Attributes:
        way: of each joint [J, rad].
        moving_s: time in which any joint moved [s].
        episodes: begun.
    """

    def __init__(self, joints: int) -> None:
        self.way = np.zeros(joints)
        self.moving_s = 0.0
        self.episodes = 0
        self._last: tuple[Array, float] | None = None

    def moved(self, position: Array, now: float) -> None:
        """Take the next measured position [J, rad] at a time of the steady clock [s]."""
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
