"""The interface of an optimiser."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]


class Optimiser(Protocol):
    """Changes weights in place."""

    def step(self, weights: list[Array], totals: list[Array], rate: float) -> None:
        """Apply one update; ``totals`` may be overwritten."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Return what it remembers, as plain data and arrays (copies)."""
        ...

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        ...
