"""Noise that remembers nothing of the steps before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.state import Stateful

Array = NDArray[Any]
Fill = Callable[[np.random.Generator, Array], None]


class NoiseShape(Protocol):
    """A source of noise that gives one array for each step.

    Attributes:
        state: what it remembers of the steps before, as ``nrl_ros.base.state`` describes; None:
            nothing.
    """

    state: Any

    def fill(self, generator: np.random.Generator, out: Array) -> None:
        """Draw the values of the next step into ``out``."""
        ...


class Independent(Stateful):
    """Noise that remembers nothing.

    Args:
        fill: draws it.
    """

    def __init__(self, fill: Fill) -> None:
        self.fill = fill


def uniform(generator: np.random.Generator, out: Array) -> None:
    """Draw from the uniform distribution between minus and plus the square root of 3."""
    generator.random(dtype=out.dtype, out=out)
    out -= 0.5
    out *= np.sqrt(12.0)


def laplace(generator: np.random.Generator, out: Array) -> None:
    """Draw from the two-sided exponential distribution."""
    out[...] = generator.laplace(scale=np.sqrt(0.5), size=out.shape)


def binary(generator: np.random.Generator, out: Array) -> None:
    """Draw -1 or 1."""
    out[...] = generator.integers(0, 2, size=out.shape, dtype=np.int8)
    out *= 2.0
    out -= 1.0
