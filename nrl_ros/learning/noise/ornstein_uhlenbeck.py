"""Temporally correlated noise."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

Array = NDArray[Any]


class OrnsteinUhlenbeck:
    """``z <- k z + sqrt(1 - k^2) n`` with n standard normal and ``k = exp(-1 / steps)``.

    Of unit variance at every step, from the first on. The components stay independent of each
    other; only a component's own values follow each other.

    Args:
        correlation_steps: correlation time in environment steps, positive.

    References:
        Uhlenbeck and Ornstein 1930, exact discretisation.
    """

    def __init__(
        self,
        correlation_steps: Annotated[
            float,
            Field(gt=0, description='ornstein_uhlenbeck: correlation time [steps]'),
        ] = 10.0,
    ) -> None:
        self._keep = math.exp(-1.0 / correlation_steps)
        self._fresh = math.sqrt(1.0 - self._keep**2)
        self._state: Array | None = None

    def fill(self, generator: np.random.Generator, out: Array) -> None:
        """Draw the next value of every component."""
        generator.standard_normal(dtype=out.dtype, out=out)
        if self._state is None:
            self._state = out.copy()
            return
        out *= self._fresh
        self._state *= self._keep
        self._state += out
        out[...] = self._state

    def snapshot(self) -> Array | None:
        """Return the current values (a copy)."""
        return None if self._state is None else self._state.copy()

    def restore(self, snapshot: Array | None) -> None:
        """Continue from saved values."""
        self._state = None if snapshot is None else np.array(snapshot)
