"""Standard normal numbers: one stream, the same bits on every machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.state import Stateful
from nrl_ros.learning.kernels.library import NativeNormal

Array = NDArray[Any]

# Sixteen lanes of xoshiro128++.
_LANES_WORDS = 64


@dataclass
class NormalState:
    """The generator of normal numbers.

    Attributes:
        lanes: uint32 [64].
        seeded: whether they were set; zeros before.
    """

    lanes: Array = field(default_factory=lambda: np.zeros(_LANES_WORDS, np.uint32))
    seeded: bool = False


class NormalNumbers(Stateful):
    """Independent standard normal numbers of the compiled generator.

    They are float32 numbers, whatever type of array receives them. No estimate of the rules can
    tell them from exact ones: their finest step is 1e-7 near zero, and their largest value is 5.4.
    """

    def __init__(self) -> None:
        self.state: NormalState = NormalState()
        self._native: NativeNormal | None = None
        self._drawn: Array = np.zeros(0, np.float32)

    def seed(self, generator: np.random.Generator) -> Array:
        """Set the lanes from a generator, if they were not set before.

        Returns:
            The lanes, uint32 [64], which stay the same array.
        """
        state = self.state
        if not state.seeded:
            # A lane of zeros would give zeros for ever.
            state.lanes[...] = generator.integers(1, 2**32, _LANES_WORDS, dtype=np.uint32)
            state.seeded = True
        return state.lanes

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
            self._native = NativeNormal(self.state.lanes, self._drawn)
        self._native.draw()
        if not direct:
            out[...] = self._drawn
