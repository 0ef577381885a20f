"""Steps of the same mean length in each layer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.base.state import Stateful

Array = NDArray[Any]


@dataclass
class LayerNormalisedState:
    """The mean square of each layer's gradient; empty before the first update."""

    square: list[float] = field(default_factory=list)


class LayerNormalised(Stateful):
    """``W_l <- W_l + eta g_l / sqrt(mean |g_l|^2)``: steps of a layer have a length of about eta.

    An update in which every reward-prediction error is 0 does not enter the mean.

    Args:
        square_rate: step of the mean square at each update [1].
    """

    def __init__(self, square_rate: Annotated[float, Field(gt=0, le=1)] = 0.02) -> None:
        self._rate = square_rate
        self.state: LayerNormalisedState = LayerNormalisedState()

    def step(self, weights: list[Array], totals: list[Array], rate: float) -> None:
        """Add a step of about ``rate`` to each layer; ``totals`` are overwritten."""
        squares = [float(np.einsum('oi,oi->', total, total)) for total in totals]
        if not any(squares):
            return
        if not self.state.square:
            self.state.square = squares
        square = self.state.square
        for layer, (weight, total) in enumerate(zip(weights, totals, strict=True)):
            square[layer] += self._rate * (squares[layer] - square[layer])
            if square[layer] > 0.0:
                total *= rate / math.sqrt(square[layer])
                weight += total
