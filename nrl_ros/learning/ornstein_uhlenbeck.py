"""Temporally correlated noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import check_positive

Array = NDArray[Any]


class OrnsteinUhlenbeck:
    """``z <- k z + sqrt(1 - k^2) n`` with n standard normal and ``k = exp(-1 / steps)``.

    Of unit variance at every step, from the first on. The components stay independent of each
    other; only a component's own values follow each other.

    Args:
        steps: correlation time in environment steps [1], positive.

    Raises:
        ConfigError: steps is not a positive number.

    References:
        Uhlenbeck and Ornstein 1930, exact discretisation.
    """

    def __init__(self, steps: float) -> None:
        check_positive('correlation_steps', steps)
        self._keep = math.exp(-1.0 / steps)
        self._fresh = math.sqrt(1.0 - self._keep**2)
        self._state: Array | None = None

    def fill(self, generator: np.random.Generator, out: Array) -> None:
        """The next value of every component."""
        generator.standard_normal(dtype=out.dtype, out=out)
        if self._state is None:
            self._state = out.copy()
            return
        out *= self._fresh
        self._state *= self._keep
        self._state += out
        out[...] = self._state

    def snapshot(self) -> Array | None:
        """The current values."""
        return None if self._state is None else self._state.copy()

    def restore(self, snapshot: Array | None) -> None:
        """Continue from saved values."""
        self._state = None if snapshot is None else np.array(snapshot)
