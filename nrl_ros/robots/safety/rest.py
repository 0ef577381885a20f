"""Judges from joint states whether an arm stands."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class RestWatch:
    """Judges from joint states whether an arm moves, by its velocities and by its positions.

    Both count: a driver may report velocities of zero for an arm that moves, and positions alone
    are too coarse for a single pair of states. An arm rests if for ``still_time_s`` no velocity was
    above ``still_rad_s`` and no joint has moved faster than that on average.

    Args:
        still_rad_s: speed up to which an arm stands [rad/s].
        still_time_s: for how long [s].
        gap_s: after a longer gap between joint states, earlier ones are forgotten [s].
    """

    def __init__(self, still_rad_s: float, still_time_s: float, gap_s: float) -> None:
        self._still, self._time_s, self._gap_s = still_rad_s, still_time_s, gap_s
        # Joint states back to the last one that is at least still_time_s older than the newest.
        self._seen: deque[tuple[float, Array]] = deque()
        self._fast_s = -math.inf
        self._velocity: Array | None = None

    def put(self, stamp_s: float, position: Array, velocity: Array) -> None:
        """Take a joint state that is within ``records.LARGEST``.

        Args:
            stamp_s: when it was true [s].
            position: [J] [rad].
            velocity: [J] [rad/s].
        """
        seen = self._seen
        if seen and stamp_s - seen[-1][0] > self._gap_s:
            self.forget()
        self._velocity = np.abs(velocity)
        if self._velocity.max() > self._still:
            self._fast_s = max(self._fast_s, stamp_s)
        if not seen or stamp_s > seen[-1][0]:
            seen.append((stamp_s, position))
        # One state that is at least this old is enough. Sums of times are not exact, hence 1e-9.
        while len(seen) > 1 and seen[-1][0] - seen[1][0] >= self._time_s - 1e-9:
            seen.popleft()

    def forget(self) -> None:
        """Forget all joint states."""
        self._seen.clear()
        self._fast_s, self._velocity = -math.inf, None

    @property
    def _full(self) -> bool:
        """Whether states have come for long enough."""
        seen = self._seen
        return bool(seen) and seen[-1][0] - seen[0][0] >= self._time_s - 1e-9

    @property
    def speeds(self) -> Array | None:
        """Speed of each joint [J] [rad/s], None if nothing is known."""
        if self._velocity is None or not self._full:
            return self._velocity
        (before_s, before), (now_s, now) = self._seen[0], self._seen[-1]
        if now_s <= before_s:
            # Where still_time_s is next to nothing, a single state is enough.
            return self._velocity
        speeds: Array = np.maximum(self._velocity, np.abs(now - before) / (now_s - before_s))
        return speeds

    @property
    def moves(self) -> bool:
        """True if the arm is measured to move; False also if nothing is known."""
        speeds = self.speeds
        return speeds is not None and bool(speeds.max() > self._still)

    @property
    def at_rest(self) -> bool:
        """True if the arm has been measured to stand for long enough."""
        if not self._full or self.moves:
            return False
        return self._seen[-1][0] - self._fast_s >= self._time_s - 1e-9
