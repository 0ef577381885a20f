"""Rows of the eligibility trace, computed from the noise of a step.

Compiled by Cython over the functions of ``kernels/arithmetic.h``.
"""

from __future__ import annotations

from typing import Any

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled

require_compiled(__name__, cython.compiled)

# isort: split
from cython.cimports.libc.stdint import int64_t
from cython.cimports.nrl_ros.learning.kernels.arithmetic import normalise
from cython.cimports.nrl_ros.learning.kernels.buffers import address_of

Array = NDArray[Any]


@cython.cclass
class EligibilityRows:
    """Writes ``scale rho z / |z|^2`` over unit noise z.

    Args:
        ends: where each group of components ends; the norm runs over one group.
    """

    _ends: int64_t[::1]
    _impact_array: Any
    _impact: cython.double[::1]
    _log_array: Any
    _log: cython.p_void
    _batch: cython.Py_ssize_t
    _rows: cython.Py_ssize_t

    def __init__(self, ends: list[int]) -> None:
        self._ends = np.array(ends, np.int64)
        self._impact_array = np.zeros(0)
        self._impact = self._impact_array
        self._log_array = None

    def write_over(self, unit_noise: Array, impact: Array, scale: float) -> Array:
        """Write the rows over the noise.

        Args:
            unit_noise: z, [K, B, N], contiguous; overwritten.
            impact: rho, [K, B].
            scale: factor of all rows [1].

        Returns:
            ``unit_noise``.
        """
        self._make_room(impact.size)
        self._impact_array[:] = impact.reshape(-1)
        self._write_over(unit_noise, scale)
        return unit_noise

    def compare_over(self, unit_noise: Array, log_probability: Array, scale: float) -> Array:
        """Write the rows over the noise, with ``rho = log pi_k - log pi_0``.

        Args:
            unit_noise: z, [K, B, N], contiguous; overwritten.
            log_probability: float64 [1 + K, B], of the clean pass and the noisy ones.
            scale: factor of all rows [1].

        Returns:
            ``unit_noise``.
        """
        i: cython.Py_ssize_t
        # The caller usually gives the same array in every step, so its address is looked up only
        # once.
        if log_probability is not self._log_array:
            batch: cython.Py_ssize_t = log_probability.shape[1]
            self._log_array = None
            self._log = address_of(log_probability, log_probability.size, 8)
            self._log_array, self._batch = log_probability, batch
            self._rows = log_probability.size - batch
        rows: cython.Py_ssize_t = self._rows
        log: cython.p_double = cython.cast(cython.p_double, self._log)
        self._make_room(rows)
        for i in range(rows):
            self._impact[i] = log[self._batch + i] - log[i % self._batch]
        self._write_over(unit_noise, scale)
        return unit_noise

    @cython.cfunc
    def _make_room(self, rows: cython.Py_ssize_t) -> cython.bint:
        if self._impact.shape[0] != rows:
            self._impact_array = np.zeros(rows)
            self._impact = self._impact_array
        return True

    @cython.cfunc
    def _write_over(self, unit_noise: Any, scale: cython.double) -> cython.bint:
        rows: cython.Py_ssize_t = self._impact.shape[0]
        groups: cython.Py_ssize_t = self._ends.shape[0]
        ends: cython.pointer[int64_t] = cython.address(self._ends[0])
        numbers: cython.Py_ssize_t = rows * ends[groups - 1]
        width: cython.Py_ssize_t = unit_noise.itemsize
        if not rows:
            return True
        noise: cython.p_void = address_of(unit_noise, numbers, width)
        floats: cython.p_float = cython.cast(cython.p_float, noise)
        doubles: cython.p_double = cython.cast(cython.p_double, noise)
        if width == 4:
            normalise(rows, groups, ends, scale, cython.address(self._impact[0]), floats)
        else:
            normalise(rows, groups, ends, scale, cython.address(self._impact[0]), doubles)
        return True
