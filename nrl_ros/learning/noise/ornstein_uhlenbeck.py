"""Temporally correlated noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.base.state import Stateful
from nrl_ros.learning.noise.normal_numbers import NormalNumbers

Array = NDArray[Any]


@dataclass
class OrnsteinUhlenbeckState:
    """The current values, None before the first step, and the generator of the next ones."""

    normal: NormalNumbers = field(default_factory=NormalNumbers)
    values: Array | None = None


class OrnsteinUhlenbeck(Stateful):
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
        self.state: OrnsteinUhlenbeckState = OrnsteinUhlenbeckState()

    def fill(self, generator: np.random.Generator, out: Array) -> None:
        """Draw the next value of every component."""
        self.state.normal.fill(generator, out)
        values = self.state.values
        if values is None:
            self.state.values = out.copy()
            return
        out *= self._fresh
        values *= self._keep
        values += out
        out[...] = values
