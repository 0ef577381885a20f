"""An update of the weights that is just credit times factor times rate, in few calls.

Compiled by Cython. ``update.LearningStep`` computes the same for any traces and any optimiser.
"""

from __future__ import annotations

from typing import Any

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled
from nrl_ros.learning.traces import DenseTraces

require_compiled(__name__, cython.compiled)

# isort: split
from cython.cimports.libc.stdint import int64_t
from cython.cimports.nrl_ros.learning.kernels.arithmetic import real, reals
from cython.cimports.nrl_ros.learning.kernels.buffers import address_of

Array = NDArray[Any]


@cython.cclass
class PlainUpdate:
    """``W_l <- W_l + eta c_l sum_i delta_i e_l,i`` for dense traces.

    Args:
        traces: whose credit changes the weights.
        weights: one matrix [out, in] a layer, changed in place.
        scales: c of each layer.
    """

    _traces: Any
    _kept: Any
    _width: cython.Py_ssize_t
    _size: cython.Py_ssize_t
    _total: cython.p_void
    _scales: cython.double[::1]
    _layout: int64_t[:, ::1]
    _weights: int64_t[::1]

    def __init__(self, traces: DenseTraces, weights: list[Array], scales: list[float]) -> None:
        self._traces, self._kept = traces, weights
        self._layout, self._scales = traces.layout, np.array(scales)
        self._width, self._size = traces.total.itemsize, traces.total.size
        self._total = address_of(traces.total, self._size, self._width)
        self._weights = np.array([weight.ctypes.data for weight in weights], np.int64)

    def learn(
        self, instances: Array, rpe: Array, count: cython.Py_ssize_t, rate: cython.double
    ) -> bool:
        """Learn from the traces of the first ``count`` instances, and clear them.

        Args:
            instances: int64 [B], indices; the first ``count`` entries count.
            rpe: float64 [B], their reward-prediction errors.
            count: how many they are.
            rate: eta.

        Returns:
            False if the sum is not finite: nothing was changed, and those traces are gone.
        """
        self._traces.credit(instances, rpe, count)
        if self._width == 8:
            return bool(_ascend(self, rate))
        return bool(_ascend(self, cython.cast(cython.float, rate)))


@cython.cfunc
@cython.exceptval(check=False)
def _ascend(update: PlainUpdate, rate: real) -> cython.bint:
    """Change the weights; the type of ``rate`` chooses the type of numbers."""
    i: cython.Py_ssize_t
    layer: cython.Py_ssize_t
    size: cython.Py_ssize_t
    beyond: cython.bint = False
    scale: real
    total: reals = cython.cast('real *', update._total)
    for i in range(update._size):
        # A number that is not finite gives NaN if it is subtracted from itself, and not 0.
        beyond |= total[i] - total[i] != 0.0
    if beyond:
        return False
    for layer in range(update._layout.shape[0]):
        size = update._layout[layer, 0] * update._layout[layer, 1]
        scale = update._scales[layer]
        for i in range(size):
            total[i] = total[i] * scale * rate
        _add_layer(update, layer, total)
        total = total + size
    return True


@cython.cfunc
@cython.exceptval(check=False)
def _add_layer(update: PlainUpdate, layer: cython.Py_ssize_t, total: reals) -> cython.void:
    """Add a matrix with the layout of the traces to the weights of a layer."""
    i: cython.Py_ssize_t
    j: cython.Py_ssize_t
    n_out: cython.Py_ssize_t = update._layout[layer, 0]
    n_in: cython.Py_ssize_t = update._layout[layer, 1]
    weight: reals = cython.cast('real *', update._weights[layer])
    if update._layout[layer, 2]:
        for i in range(n_out):
            for j in range(n_in):
                weight[i * n_in + j] += total[j * n_out + i]
    else:
        for i in range(n_out * n_in):
            weight[i] += total[i]
