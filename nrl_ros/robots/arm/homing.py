"""Drive an arm home: slowly and straight in joint space, or back along its own way if blocked.

The limits (workspace, clearance of the arm from itself) may forbid the straight way. An arm that
comes no nearer goes back along where it has been, since those places were allowed, and tries again
from there. Each time it goes back twice as far. If that way is blocked too, some joints move alone
for a while.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Share of the remaining way that is covered in a second near the end [1/s].
_GAIN = 3.0
# Noted places are at least this far apart in one joint. The oldest are dropped beyond _MOST_PLACES.
_APART_RAD = 0.1
_MOST_PLACES = 5000
# A place on the way back counts as reached within this distance [rad].
_NEAR_RAD = 0.05
# The way is blocked if the arm does not come nearer by _NEARER_RAD within _BLOCKED_S.
_NEARER_RAD, _BLOCKED_S = 0.003, 0.4
# Joints chosen at random move alone for this long.
_SOME_S = 1.0


def way_home(position: Array, home: Array, velocity: Array, speed_share: float) -> Array:
    """Return joint velocities [J, rad/s] that lead home.

    All joints keep one ratio, so the arm stays on the straight line in joint space to home.

    Args:
        position: of the joints [J, rad].
        home: positions to reach [J, rad].
        velocity: limits [J, rad/s].
        speed_share: largest share of the limits to use [1].
    """
    wanted = _GAIN * (home - position)
    fastest = float(np.max(np.abs(wanted) / (speed_share * velocity)))
    return np.asarray(wanted / max(fastest, 1.0))


class Homing:
    """Leads an arm home, around what blocks the straight way.

    Attributes:
        blocked: how often the straight way was found blocked.

    Args:
        home: positions to reach [J, rad].
        velocity: limits [J, rad/s].
        speed_share: largest share of the limits to use [1].
    """

    def __init__(self, home: Array, velocity: Array, speed_share: float) -> None:
        self._home, self._velocity, self._share = home, velocity, speed_share
        self._been: list[Array] = []
        self._random = np.random.default_rng(0)
        self.blocked = 0
        self.arrived()

    def note(self, position: Array) -> None:
        """Note a place where the arm has been [J, rad]; call it while the arm is away from home."""
        if not self._been or np.abs(position - self._been[-1]).max() > _APART_RAD:
            self._been.append(np.array(position))
            del self._been[:-_MOST_PLACES]

    def arrived(self) -> None:
        """Forget the way: the arm is at home."""
        self._been.clear()
        self._goal: Array | None = None
        self._back, self._left_back = 1, 0
        self.paused()

    def paused(self) -> None:
        """Forget the progress so far: the arm did something else in between."""
        self._nearest, self._since = np.inf, np.nan
        self._some: Array | None = None
        self._some_until = -np.inf

    def velocity(self, position: Array, now: float) -> Array:
        """Return the joint velocities [J, rad/s] to command.

        Args:
            position: measured [J, rad].
            now: time of a steady clock [s].
        """
        if self._goal is not None and np.abs(position - self._goal).max() < _NEAR_RAD:
            self._next_place()
        if self._some is not None and now > self._some_until:
            self.paused()
        left = float(np.abs((position - self._aim()) * self._moved()).sum())
        if left < self._nearest - _NEARER_RAD or np.isnan(self._since):
            self._nearest, self._since = min(left, self._nearest), now
        elif now - self._since > _BLOCKED_S and left > _NEAR_RAD:
            self._unblock(now)
        elif self._some is not None and left <= _NEAR_RAD:
            self.paused()
        aim = np.where(self._moved() > 0.0, self._aim(), position)
        return way_home(position, aim, self._velocity, self._share)

    def _aim(self) -> Array:
        return self._home if self._goal is None else self._goal

    def _moved(self) -> Array:
        """Return 1 for each joint that moves at present, 0 for others [J]."""
        return np.ones_like(self._home) if self._some is None else self._some

    def _unblock(self, now: float) -> None:
        straight = self._goal is None and self._some is None
        self.paused()
        if straight and self._been:
            self.blocked += 1
            self._left_back = self._back
            self._back *= 2
            self._next_place()
            return
        self.blocked += straight
        # Against a wall even the way back may lead outwards, so some joints move away from it
        # alone.
        self._some = self._random.integers(0, 2, len(self._home)).astype(np.float64)
        self._some_until = now + _SOME_S
        if self._goal is not None:
            self._next_place(keep=True)

    def _next_place(self, *, keep: bool = False) -> None:
        """Go one place further back, or towards home again if the arm has gone back far enough."""
        if not keep:
            self.paused()
        if self._left_back and self._been:
            self._left_back -= 1
            self._goal = self._been.pop()
        else:
            self._goal = None
