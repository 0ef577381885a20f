"""Steps of the same mean length in each layer."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

Array = NDArray[Any]


class LayerNormalised:
    """``W_l <- W_l + eta g_l / sqrt(mean |g_l|^2)``: steps of a layer have a length of about eta.

    An update in which every reward-prediction error is 0 does not enter the mean.

    Args:
        square_rate: step of the mean square at each update [1].
    """

    def __init__(self, square_rate: Annotated[float, Field(gt=0, le=1)] = 0.02) -> None:
        self._rate = square_rate
        self._square: list[float] = []

    def step(self, weights: list[Array], totals: list[Array], rate: float) -> None:
        """Add a step of about ``rate`` to each layer; ``totals`` are overwritten."""
        squares = [float(np.einsum('oi,oi->', total, total)) for total in totals]
        if not any(squares):
            return
        if not self._square:
            self._square = squares
        for layer, (weight, total) in enumerate(zip(weights, totals, strict=True)):
            self._square[layer] += self._rate * (squares[layer] - self._square[layer])
            if self._square[layer] > 0.0:
                total *= rate / math.sqrt(self._square[layer])
                weight += total

    def snapshot(self) -> dict[str, Any]:
        """Return the mean squares."""
        return {'square': list(self._square)}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from saved mean squares."""
        self._square = list(snapshot['square'])
