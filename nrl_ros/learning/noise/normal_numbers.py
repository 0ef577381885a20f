"""Standard normal numbers: one stream, the same bits on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.kernels.library import NativeNormal

Array = NDArray[Any]

# Sixteen lanes of xoshiro128++.
_STATE_WORDS = 64


class NormalNumbers:
    """Independent standard normal numbers of the compiled generator.

    They are float32 numbers, whatever type of array receives them. No estimate of the rules can
    tell them from exact ones: their finest step is 1e-7 near zero, and their largest value is 5.4.
    """

    def __init__(self) -> None:
        self._state = np.zeros(_STATE_WORDS, np.uint32)
        self._seeded = False
        self._native: NativeNormal | None = None
        self._drawn: Array = np.zeros(0, np.float32)

    def seed(self, generator: np.random.Generator) -> Array:
        """Set the state from a generator, if it was not set before.

        Returns:
            The state, uint32 [64], which stays the same array.
        """
        if not self._seeded:
            # A lane of zeros would give zeros for ever.
            self._state[...] = generator.integers(1, 2**32, _STATE_WORDS, dtype=np.uint32)
            self._seeded = True
        return self._state

    def fill(self, generator: np.random.Generator, out: Array) -> None:
        """Fill an array with the next numbers.

        Args:
            generator: seeds the stream at the first call.
            out: float32 or float64.
        """
        self.seed(generator)
        direct = out.dtype == np.float32 and out.flags.c_contiguous
        fits = self._drawn is out if direct else self._drawn.size == out.size
        if self._native is None or not fits:
            self._drawn = out if direct else np.zeros(out.shape, np.float32)
            self._native = NativeNormal(self._state, self._drawn)
        self._native.draw()
        if not direct:
            out[...] = self._drawn

    def snapshot(self) -> Array | None:
        """Return the state; None before the first number."""
        return self._state.copy() if self._seeded else None

    def restore(self, snapshot: Array | None) -> None:
        """Continue from a snapshot."""
        self._seeded = snapshot is not None
        if snapshot is not None:
            self._state[...] = snapshot
