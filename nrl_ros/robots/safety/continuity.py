"""Checks that joint states come from one arm, which cannot be in two places at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.robots.safety.limits import JointLimits

Array = NDArray[Any]

# Largest error of a stamp against the moment at which the positions were true [s].
_JITTER_S = 0.01
# Two jumps within this time mean that two publishers report an arm; it does not begin to move [s].
_TWICE_S = 0.2


class Continuity:
    """Notices positions that the arm cannot have reached since the position before.

    With a second publisher of joint states the arm seems to jump to and fro. A single jump of an
    arm that is not commanded to move means that somebody moved it while no states came; two jumps
    in a short time cannot be that.

    Args:
        limits: name the joints and their units.
        top: largest speed that may be measured [J] [rad/s].
        tolerance_rad: difference that needs no speed to explain it [rad].
    """

    def __init__(self, limits: JointLimits, top: Array, tolerance_rad: float) -> None:
        self._limits, self._top, self._tolerance = limits, top, tolerance_rad
        self.forget()

    def forget(self) -> None:
        """Accept any next position: the clock of the stamps has been set."""
        self._before: tuple[float, Array] | None = None
        self._jumped_at = self._again_at = -math.inf
        self._text = ''

    def put(self, now: float, stamp_s: float, position: Array) -> str:
        """Return '' if the arm can have come from its last position, else how far it jumped.

        Args:
            now: when the state came [s].
            stamp_s: when it was true [s].
            position: [J] [rad].
        """
        before, self._before = self._before, (stamp_s, position)
        jump = '' if before is None else self._jump(before, self._before)
        if jump:
            if now - self._jumped_at < _TWICE_S:
                self._again_at = now
            self._jumped_at, self._text = now, jump
        return jump

    def problem(self, now: float) -> str:
        """Return the jump of a moment ago if there were two in a short time, '' otherwise."""
        return self._text if now - self._again_at < _TWICE_S else ''

    def _jump(self, before: tuple[float, Array], after: tuple[float, Array]) -> str:
        """Return which joint cannot have moved from there to here, '' if all can."""
        elapsed_s = abs(after[0] - before[0])
        way = np.abs(after[1] - before[1])
        most = self._top * (elapsed_s + _JITTER_S) + self._tolerance
        joint = int((way - most).argmax())
        if way[joint] <= most[joint]:
            return ''
        return (
            f'{self._limits.joints[joint]} is said to have jumped by {way[joint]:.3f} '
            f'{self._limits.units[joint]} in {elapsed_s:.3f} s, expected at most '
            f'{most[joint]:.3f}: does a second node publish joint states?'
        )
