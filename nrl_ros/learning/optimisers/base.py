"""The interface of an optimiser."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]


class Optimiser(Protocol):
    """Changes weights in place.

    Attributes:
        state: what it remembers, as ``nrl_ros.base.state`` describes; None: nothing.
    """

    state: Any

    def step(self, weights: list[Array], totals: list[Array], rate: float) -> None:
        """Apply one update; ``totals`` may be overwritten."""
        ...
