"""Plain gradient ascent."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from nrl_ros.base.state import Stateful

Array = NDArray[Any]


class GradientAscent(Stateful):
    """``W <- W + eta g``; remembers nothing."""

    def step(self, weights: list[Array], totals: list[Array], rate: float) -> None:
        """Add ``rate`` times the totals to the weights; the totals are overwritten."""
        for weight, total in zip(weights, totals, strict=True):
            total *= rate
            weight += total
