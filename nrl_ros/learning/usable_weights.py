"""Whether weights are numbers that a network can still compute with.

Compiled by Cython, since a guarded learner asks after every update.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled

require_compiled(__name__, cython.compiled)

# isort: split
from cython.cimports.nrl_ros.learning.kernels.arithmetic import real, reals
from cython.cimports.nrl_ros.learning.kernels.buffers import address_of

Array = NDArray[Any]

# A weight of this size is far beyond use: its square is about the largest number of float32.
LARGEST_WEIGHT = 1e19
_LARGEST = cython.declare(cython.double, LARGEST_WEIGHT)


def are_usable(weights: Sequence[Array]) -> bool:
    """Return True if all weights, float32 or float64, are numbers below ``LARGEST_WEIGHT``."""
    size: cython.Py_ssize_t
    for weight in weights:
        flat = np.ascontiguousarray(weight)
        size = flat.size
        if flat.itemsize == 8:
            one = cython.cast(cython.p_double, address_of(flat, size, 8))
            if _any_beyond(one, size, cython.cast(cython.double, _LARGEST)):
                return False
        else:
            other = cython.cast(cython.p_float, address_of(flat, size, 4))
            if _any_beyond(other, size, cython.cast(cython.float, _LARGEST)):
                return False
    return True


@cython.cfunc
@cython.exceptval(check=False)
def _any_beyond(number: reals, size: cython.Py_ssize_t, largest: real) -> cython.bint:
    """Return True if the size of any number is not below the largest one, as NaN is not."""
    i: cython.Py_ssize_t
    beyond: cython.bint = False
    for i in range(size):
        beyond |= not -largest < number[i] < largest
    return beyond
