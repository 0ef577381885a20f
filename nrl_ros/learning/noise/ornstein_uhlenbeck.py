"""Temporally correlated noise."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.learning.noise.normal_numbers import NormalNumbers

Array = NDArray[Any]


class OrnsteinUhlenbeck:
    """``z <- k z + sqrt(1 - k^2) n`` with n standard normal and ``k = exp(-1 / steps)``.

    Every value has unit variance, from the first step on. Components are independent of each other;
    each value of a component is correlated with the values of that component before.

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
        self._normal = NormalNumbers()
        self._values: Array | None = None

    def fill(self, generator: np.random.Generator, out: Array) -> None:
        """Draw the next value of every component."""
        self._normal.fill(generator, out)
        if self._values is None:
            self._values = out.copy()
            return
        out *= self._fresh
        self._values *= self._keep
        self._values += out
        out[...] = self._values

    def snapshot(self) -> dict[str, Array | None]:
        """Return the current values and the state of the normal numbers (copies)."""
        values = None if self._values is None else self._values.copy()
        return {'values': values, 'normal': self._normal.snapshot()}

    def restore(self, snapshot: dict[str, Array | None]) -> None:
        """Continue from a snapshot."""
        values = snapshot['values']
        self._values = None if values is None else np.array(values)
        self._normal.restore(snapshot['normal'])
