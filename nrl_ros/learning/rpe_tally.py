"""Sums over the reward-prediction errors that were learned from.

Compiled by Cython, since numpy's calls would take longer than an update of a small network.
"""

from __future__ import annotations

from typing import Any

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled

require_compiled(__name__, cython.compiled)

# isort: split
from cython.cimports.nrl_ros.learning.kernels.buffers import address_of

Array = NDArray[Any]

# An error of this share of the largest one so far is rounding of a reward that is as expected.
SILENT_SHARE = 1e-9
_SILENT = cython.declare(cython.double, SILENT_SHARE)


@cython.cclass
class RpeTally:
    """Sums over the reward-prediction errors of credit windows, one of each window.

    Attributes:
        silent: errors that are 0, up to rounding.
        total: sum of the errors.
        absolute: sum of their sizes.
        squares: sum of their squares.
    """

    silent = cython.declare(cython.Py_ssize_t, visibility='readonly')
    total = cython.declare(cython.double, visibility='readonly')
    absolute = cython.declare(cython.double, visibility='readonly')
    squares = cython.declare(cython.double, visibility='readonly')

    _largest: cython.double

    def __init__(self) -> None:
        self.silent = 0
        self.total = self.absolute = self.squares = self._largest = 0.0

    def add(self, rpe: Array, count: cython.Py_ssize_t) -> None:
        """Add the first ``count`` of reward-prediction errors, contiguous float64."""
        i: cython.Py_ssize_t
        size: cython.double
        given = rpe if rpe.dtype == np.float64 else rpe.astype(np.float64)
        error: cython.p_double = cython.cast(cython.p_double, address_of(given, given.size, 8))
        for i in range(count):
            size = -error[i] if error[i] < 0.0 else error[i]
            self._largest = max(self._largest, size)
            self.silent += size <= _SILENT * self._largest
            self.total += error[i]
            self.absolute += size
            self.squares += size * size

    def add_sums(self, silent: int, total: float, absolute: float, squares: float) -> None:
        """Add sums that were made elsewhere, named as the attributes."""
        self.silent += silent
        self.total += total
        self.absolute += absolute
        self.squares += squares
