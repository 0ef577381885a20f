"""Largest speeds from which joints can still stop, and the brake of all joints together."""

from __future__ import annotations

from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import check_positive
from nrl_ros.robots.safety.limits import JointLimits

Array = NDArray[Any]

# A velocity below this share of itself at the end of a brake is rounding and becomes 0.
_NOTHING = 1e-9


class Limited(IntFlag):
    """Bits that say which limits changed a wanted velocity."""

    VELOCITY = 1
    ACCELERATION = 2
    POSITION = 4
    # The guard: workspace or clearance.
    WORKSPACE = 8
    # The command had a number that is not finite, so the whole arm was commanded zero.
    NONFINITE = 16
    # A person moves the arm by hand: no command is followed.
    BY_HAND = 32


class Braking:
    """Limits of J joints as arrays, and the arithmetic of one tick on velocities [..., J].

    Args:
        limits: of the joints.
        period_s: dt, of the ticks [s].
        arrays: the module ``numpy``, or functions of the same names for other arrays.

    Raises:
        ConfigError: a period that is not a positive number.
    """

    def __init__(self, limits: JointLimits, period_s: float, arrays: Any = np) -> None:
        check_positive('period_s', period_s)
        self.period_s, self._arrays = period_s, arrays
        self.low, self.high = np.array(limits.position_low), np.array(limits.position_high)
        self.top = np.array(limits.velocity)
        acceleration = np.array(limits.acceleration)
        self._usual, self._hard = 1.0 / acceleration, 1.0 / np.array(limits.stop_acceleration)
        self._change = acceleration * period_s
        self.longest_s = float(np.max(self.top * self._usual))
        # tau, and constants that _envelope would otherwise compute in each tick.
        self._tau = period_s + 0.5 * self.longest_s
        self._near = acceleration * self._tau**2
        self._slope = 2.0 * acceleration
        self._offset = (acceleration * self._tau) ** 2 - 0.25 * self._change**2
        if arrays is not np:
            for name, value in vars(self).items():
                if isinstance(value, np.ndarray):
                    setattr(self, name, arrays.array(value))

    def duration(self, velocity: Array, *, hard: bool = False) -> Array:
        """Return the duration T = max_j |v_j| / a_j of a synchronous brake [..., 1] [s].

        Args:
            velocity: [..., J] [rad/s].
            hard: brake with ``stop_acceleration`` instead of ``acceleration``.
        """
        inverse = self._hard if hard else self._usual
        do = self._arrays
        longest: Array = do.maximum.reduce(do.abs(velocity) * inverse, axis=-1, keepdims=True)
        return longest

    def braked(self, velocity: Array, *, hard: bool = False) -> Array:
        """Return the velocity after one tick of the synchronous brake: ``v (1 - dt / T)`` or 0."""
        duration = self.duration(velocity, hard=hard)
        left = 1.0 - self.period_s / self._arrays.maximum(duration, self.period_s)
        slower: Array = velocity * (left * (left > _NOTHING))
        return slower

    def way(self, velocity: Array) -> Array:
        """Return an upper bound on the synchronous brake's distance, ``v T / 2`` [..., J] [rad]."""
        return velocity * (0.5 * self.duration(velocity))

    def reachable(
        self, wanted: Array, velocity: Array, below: Array, above: Array
    ) -> tuple[Array, Array]:
        """Return the velocity nearest to the wanted one within each joint's own limits.

        Args:
            wanted: finite [B, J] [rad/s].
            velocity: present velocity [B, J] [rad/s].
            below: distance down to the position limit, not negative [B, J] [rad].
            above: distance up to it.

        Returns:
            The velocity [B, J], and uint8 [B] of Limited.
        """
        do = self._arrays
        clipped = do.minimum(do.maximum(wanted, -self.top), self.top)
        bits = (clipped != wanted) * do.uint8(Limited.VELOCITY)
        largest = self._envelope(do.where(clipped > 0.0, above, below))
        bounded = do.copysign(do.minimum(do.abs(clipped), largest), clipped)
        bits |= (bounded != clipped) * do.uint8(Limited.POSITION)
        least, most = velocity - self._change, velocity + self._change
        nearest = do.minimum(do.maximum(bounded, least), most)
        bits |= (nearest != bounded) * do.uint8(Limited.ACCELERATION)
        return nearest, do.bitwise_or.reduce(bits, axis=1)

    def _envelope(self, room: Array) -> Array:
        """Return the largest speed towards a limit that is ``room`` away [rad] -> [rad/s].

        Near the limit it is ``room / tau`` with tau = dt + T / 2 for the longest brake T there is:
        from that speed a synchronous brake stops in time whatever the other joints do. Further away
        it is the curve of constant deceleration, in whole ticks, that leads into this line. So
        joints slide along their limits without slowing the others down. (Linear, then a square
        root, as in ``sqrt_controller`` of ArduPilot.)
        """
        do = self._arrays
        root = do.maximum(self._slope * room - self._offset, 0.0)
        speed: Array = do.where(
            room <= self._near, room / self._tau, do.sqrt(root) - 0.5 * self._change
        )
        return speed
