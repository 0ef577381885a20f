"""Standard normal numbers: one stream, the same bits on every machine.

Compiled by Cython over a function of ``kernels/arithmetic.h``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled
from nrl_ros.base.state import Stateful

require_compiled(__name__, cython.compiled)

# isort: split
from cython.cimports.libc.stdint import uint32_t
from cython.cimports.nrl_ros.learning.kernels.arithmetic import nrl_normal_numbers
from cython.cimports.nrl_ros.learning.kernels.buffers import address_of

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
        self._drawn: Array = np.zeros(0, np.float32)

    def fill(self, generator: np.random.Generator, out: Array) -> None:
        """Fill an array with the next numbers.

        Args:
            generator: seeds the stream at the first call.
            out: float32 or float64, contiguous.
        """
        state = self.state
        if not state.seeded:
            # A lane of zeros would give zeros for ever.
            state.lanes[...] = generator.integers(1, 2**32, _LANES_WORDS, dtype=np.uint32)
            state.seeded = True
        if out.itemsize == 4:
            _draw(state.lanes, out)
            return
        if self._drawn.shape != out.shape:
            self._drawn = np.zeros(out.shape, np.float32)
        _draw(state.lanes, self._drawn)
        out[...] = self._drawn


@cython.cfunc
def _draw(lanes: Any, out: Any) -> cython.bint:
    count: cython.Py_ssize_t = out.size
    words: cython.p_void = address_of(lanes, _LANES_WORDS, 4)
    numbers: cython.p_void = address_of(out, count, 4)
    nrl_normal_numbers(
        cython.cast(cython.pointer(uint32_t), words), count, cython.cast(cython.p_float, numbers)
    )
    return True
