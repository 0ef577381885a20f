"""The last command to an arm, and the final check of the next one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.robots.safety.braking import Braking
from nrl_ros.robots.safety.limits import JointLimits
from nrl_ros.robots.safety.motion import PULL, Motion

Array = NDArray[Any]

# Tolerance for rounding: as a share, and in radians.
_SHARE, _RAD = 1.0 + 1e-9, 1e-9


class CommandChecker:
    """Refuses every motion that cannot follow the last one, whatever has produced it.

    It brakes on its own, from the last command, so that a stop depends on nothing else.

    Args:
        limits: of the motion filter.
        period_s: of the ticks [s].
        anchored: whether the reference is pulled towards the arm, besides being moved.

    Attributes:
        position: last command [J] [rad]; None: nothing was commanded yet.
        velocity: last command [J] [rad/s].
    """

    def __init__(self, limits: JointLimits, period_s: float, *, anchored: bool) -> None:
        self.position: Array | None = None
        self.velocity = np.zeros(len(limits.joints))
        self._braking = Braking(limits, period_s)
        self._units = limits.units
        self._top = np.array(limits.velocity) * _SHARE
        self._step = self._top * period_s * (1.0 + PULL * anchored) + _RAD
        self._change = np.array(limits.stop_acceleration) * (period_s * _SHARE)

    def begin(self, position: Array) -> None:
        """Command an arm to stand at a position [J] [rad]."""
        self.position, self.velocity = position, np.zeros_like(position)

    def release(self) -> None:
        """Command nothing any more, to an arm that must not move."""
        self.position, self.velocity = None, np.zeros_like(self.velocity)

    def resume(self, measured: Array | None) -> None:
        """Go on after a time without commands, from how fast the arm still moves.

        Whatever commanded the arm meanwhile may have brought it to rest, and a brake from the last
        command would then set it in motion. So no joint is commanded faster than it is measured,
        than it was commanded before, or in another direction.

        Args:
            measured: velocities [J] [rad/s]; None: not known, which counts as at rest.
        """
        if measured is None:
            self.velocity = np.zeros_like(self.velocity)
            return
        low, high = np.minimum(self.velocity, 0.0), np.maximum(self.velocity, 0.0)
        self.velocity = np.clip(np.nan_to_num(measured, nan=0.0), low, high)

    def brake(self) -> None:
        """Brake for one tick with ``stop_acceleration``, as ``MotionFilter.brake`` does."""
        if self.position is None:
            return
        braking = self._braking
        self.velocity = braking.braked(self.velocity, hard=True)
        position = self.position + self.velocity * braking.period_s
        position = np.maximum(position, np.minimum(braking.low, self.position))
        self.position = np.minimum(position, np.maximum(braking.high, self.position))

    def take(self, motion: Motion) -> str:
        """Command a motion of one arm; return '', or why it was refused."""
        position, velocity = motion.position[0], motion.velocity[0]
        if self.position is None:
            return 'a motion before the first position'
        # Comparisons with NaN are false, so each check states what must hold and not what must not.
        if not (np.abs(velocity) <= self._top).all():
            return f'velocities of {self._with_units(velocity, "/s")}'
        if not (np.abs(position - self.position) <= self._step).all():
            here, there = self._with_units(self.position), self._with_units(position)
            return f'a step from {here} to {there}'
        if not (np.abs(velocity - self.velocity) <= self._change + _RAD).all():
            before, after = self._with_units(self.velocity, '/s'), self._with_units(velocity, '/s')
            return f'a jump from {before} to {after}'
        self.position, self.velocity = position, velocity
        return ''

    def _with_units(self, values: Array, per: str = '') -> str:
        """Return one number for each joint, each with its unit."""
        pairs = zip(values.tolist(), self._units, strict=True)
        return f'[{", ".join(f"{value} {unit}{per}" for value, unit in pairs)}]'
