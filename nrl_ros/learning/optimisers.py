"""From an estimated gradient to a weight change; every one of them is local to a layer or synapse.

``totals`` are ``c_l sum_i delta_i e_l,i``, one matrix [out, in] a layer; the weights climb.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Optimiser(Protocol):
    """Changes weights in place."""

    def step(self, weights: list[Array], totals: list[Array], rate: float) -> None:
        """Apply one update; ``totals`` may be overwritten."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """What it remembers, as plain data and arrays (copies)."""
        ...

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        ...


class GradientAscent:
    """``W <- W + eta g``; remembers nothing."""

    def step(self, weights: list[Array], totals: list[Array], rate: float) -> None:
        """See Optimiser."""
        for weight, total in zip(weights, totals, strict=True):
            total *= rate
            weight += total

    def snapshot(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Nothing."""


class LayerNormalised:
    """``W_l <- W_l + eta g_l / sqrt(mean |g_l|^2)``: steps of a layer have a length of about eta.

    The mean square runs over updates with rate RATE; an update without any change (every
    reward-prediction error 0) does not count.
    """

    RATE = 0.02

    def __init__(self) -> None:
        self._square: list[float] = []

    def step(self, weights: list[Array], totals: list[Array], rate: float) -> None:
        """See Optimiser."""
        squares = [float(np.einsum('oi,oi->', total, total)) for total in totals]
        if not any(squares):
            return
        if not self._square:
            self._square = squares
        for layer, (weight, total) in enumerate(zip(weights, totals, strict=True)):
            self._square[layer] += self.RATE * (squares[layer] - self._square[layer])
            if self._square[layer] > 0.0:
                total *= rate / math.sqrt(self._square[layer])
                weight += total

    def snapshot(self) -> dict[str, Any]:
        """The mean squares."""
        return {'square': list(self._square)}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """See Optimiser."""
        self._square = list(snapshot['square'])


class Adam:
    """Kingma and Ba 2015, algorithm 1, with its default constants."""

    BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self) -> None:
        self._count = 0
        self._first: list[Array] = []
        self._second: list[Array] = []

    def step(self, weights: list[Array], totals: list[Array], rate: float) -> None:
        """See Optimiser."""
        if not self._first:
            self._first = [np.zeros_like(weight) for weight in weights]
            self._second = [np.zeros_like(weight) for weight in weights]
        self._count += 1
        unbias = math.sqrt(1.0 - self.BETA2**self._count)
        length = rate * unbias / (1.0 - self.BETA1**self._count)
        for weight, total, first, second in zip(
            weights, totals, self._first, self._second, strict=True
        ):
            first += (1.0 - self.BETA1) * (total - first)
            second += (1.0 - self.BETA2) * (total * total - second)
            weight += length * first / (np.sqrt(second) + self.EPSILON * unbias)

    def snapshot(self) -> dict[str, Any]:
        """Both moments."""
        return {
            'count': self._count,
            'first': [moment.copy() for moment in self._first],
            'second': [moment.copy() for moment in self._second],
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """See Optimiser."""
        self._count = snapshot['count']
        self._first = [np.array(moment) for moment in snapshot['first']]
        self._second = [np.array(moment) for moment in snapshot['second']]


# By the name under which settings know them.
OPTIMISERS: dict[str, Callable[[], Optimiser]] = {
    'sgd': GradientAscent,
    'layer_normalised': LayerNormalised,
    'adam': Adam,
}
