"""The optimiser Adam: steps scaled by running moments of the gradient."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

Array = NDArray[Any]


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1), with the constants of the paper by default.

    Args:
        beta1: factor of the first moment at each update [1].
        beta2: factor of the second moment at each update [1].
        epsilon: added to the root of the second moment, so that nothing is divided by zero [1].
    """

    def __init__(
        self,
        beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9,
        beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999,
        epsilon: Annotated[float, Field(gt=0)] = 1e-8,
    ) -> None:
        self._beta1, self._beta2, self._epsilon = beta1, beta2, epsilon
        self._count = 0
        self._first: list[Array] = []
        self._second: list[Array] = []

    def step(self, weights: list[Array], totals: list[Array], rate: float) -> None:
        """Add a step to the weights, scaled by both moments."""
        if not self._first:
            self._first = [np.zeros_like(weight) for weight in weights]
            self._second = [np.zeros_like(weight) for weight in weights]
        self._count += 1
        unbias = math.sqrt(1.0 - self._beta2**self._count)
        length = rate * unbias / (1.0 - self._beta1**self._count)
        for weight, total, first, second in zip(
            weights, totals, self._first, self._second, strict=True
        ):
            first += (1.0 - self._beta1) * (total - first)
            second += (1.0 - self._beta2) * (total * total - second)
            weight += length * first / (np.sqrt(second) + self._epsilon * unbias)

    def snapshot(self) -> dict[str, Any]:
        """Return both moments and the count of updates (copies)."""
        return {
            'count': self._count,
            'first': [moment.copy() for moment in self._first],
            'second': [moment.copy() for moment in self._second],
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from saved moments."""
        self._count = snapshot['count']
        self._first = [np.array(moment) for moment in snapshot['first']]
        self._second = [np.array(moment) for moment in snapshot['second']]
