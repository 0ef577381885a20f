"""Eligibility traces with all weights of each instance.

Compiled by Cython over the functions of ``kernels/arithmetic.h``.
"""

from __future__ import annotations

from typing import Any

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.traces.base import DetachedTrace, layers_of, layout_of

require_compiled(__name__, cython.compiled)

# isort: split
from cython.cimports.libc.stdint import int64_t
from cython.cimports.libc.string import memset
from cython.cimports.nrl_ros.learning.kernels.arithmetic import (
    add_outer,
    add_scaled,
    copy_rows,
    real,
    reals,
    scale,
)
from cython.cimports.nrl_ros.learning.kernels.buffers import address_of

Array = NDArray[Any]


@cython.cclass
class DenseTraces:
    """Traces of B instances; the newest step is kept apart as rows, so that it can be retracted.

    Args:
        spec: sizes of the network.
        instances: B.
        samples: K, rows in each step.
        decay: d.
        dtype: float32 or float64.

    Attributes:
        post: [K, B, N], postsynaptic rows of the newest step.
        pre: [K, B, M], presynaptic rows of the newest step.
        total: [W], the newest sum of ``credit``, with the layout of ``layout``.
        layout: as returned by ``layout_of``.
        state: all traces, as ``nrl_ros.base.state`` describes.
    """

    kind = 'dense'

    post = cython.declare(object, visibility='readonly')
    pre = cython.declare(object, visibility='readonly')
    total = cython.declare(object, visibility='readonly')
    layout = cython.declare(object, visibility='readonly')
    state = cython.declare(object, visibility='readonly')

    _flat: Any
    _trace: Any
    _totals: Any
    _decay_of: Any
    _index_array: Any
    _weight_array: Any
    _carried_array: Any

    _is_double: cython.bint
    # Size of a number [bytes].
    _width: cython.Py_ssize_t
    _decay: cython.double
    _samples: cython.Py_ssize_t
    _instances: cython.Py_ssize_t
    _rows: cython.Py_ssize_t
    _n: cython.Py_ssize_t
    _m: cython.Py_ssize_t
    _size: cython.Py_ssize_t
    _layout: int64_t[:, ::1]
    _everyone: int64_t[::1]
    _index: int64_t[::1]
    _weight: cython.double[::1]
    _carried: cython.uchar[::1]

    # Addresses of the arrays.
    _e: cython.p_void
    _a: cython.p_void
    _x: cython.p_void
    _sum: cython.p_void
    _new_a: cython.p_void
    _new_x: cython.p_void

    def __init__(
        self, spec: NetworkSpec, instances: int, samples: int, decay: float, dtype: Any
    ) -> None:
        self._width = np.dtype(dtype).itemsize
        self._is_double = self._width == 8
        self._decay = decay
        # The decay in the type with which numpy multiplies such arrays.
        self._decay_of = np.dtype(dtype).type(decay)
        self._samples, self._instances = samples, instances
        self._n, self._m = spec.noise_components, spec.input_components
        self._size = spec.weight_count
        self.layout = layout_of(spec)
        self._layout = self.layout
        self._flat = np.zeros((instances, spec.weight_count), dtype)
        self._trace = layers_of(self._flat, spec)
        self.total = np.zeros(spec.weight_count, dtype)
        self._totals = [part[0] for part in layers_of(self.total[None], spec)]
        self.post = np.zeros((samples, instances, spec.noise_components), dtype)
        self.pre = np.zeros((samples, instances, spec.input_components), dtype)
        self.state = {
            'kind': self.kind,
            'trace': self._flat,
            'post': self.post,
            'pre': self.pre,
        }
        self._everyone = np.arange(instances)
        self._index_array = np.zeros(instances, np.int64)
        self._weight_array = np.zeros(instances)
        self._carried_array = np.zeros(instances, np.bool_)
        self._index, self._weight = self._index_array, self._weight_array
        self._carried = self._carried_array.view(np.uint8)
        self._e = address_of(self._flat, instances * self._size, self._width)
        self._sum = address_of(self.total, self._size, self._width)
        self._rows = samples * instances
        self._a = address_of(self.post, self._rows * self._n, self._width)
        self._x = address_of(self.pre, self._rows * self._m, self._width)

    def record(self, post: Array, pre: Array, index: Array | None) -> None:
        """Add the step before to the traces, and keep this one apart."""
        new_post = np.ascontiguousarray(post, self.post.dtype)
        new_pre = np.ascontiguousarray(pre, self.pre.dtype)
        self._new_a = address_of(new_post, self._rows * self._n, self._width)
        self._new_x = address_of(new_pre, self._rows * self._m, self._width)
        if index is None:
            self._record(cython.address(self._everyone[0]), self._instances)
        else:
            self._index_array[: len(index)] = index
            self._record(cython.address(self._index[0]), len(index))

    @cython.cfunc
    @cython.exceptval(check=False)
    def _record(self, index: cython.p_void, count: cython.Py_ssize_t) -> cython.void:
        if self._is_double:
            _fold(self, index, count, cython.cast(cython.double, self._decay))
            _keep(self, index, count, cython.cast(cython.double, self._decay))
        else:
            _fold(self, index, count, cython.cast(cython.float, self._decay))
            _keep(self, index, count, cython.cast(cython.float, self._decay))

    def fold(self, index: Array, count: cython.Py_ssize_t) -> None:
        """Add the newest step to the traces of some instances.

        The memory of its rows, ``post`` and ``pre``, is free for the next step after that.

        Args:
            index: int64 [B], the instances; the first ``count`` entries count.
            count: how many they are.
        """
        which: cython.p_void = address_of(index, self._instances, 8)
        if self._is_double:
            _fold(self, which, count, cython.cast(cython.double, self._decay))
        else:
            _fold(self, which, count, cython.cast(cython.float, self._decay))

    def forget_rows(self, acting: cython.uchar[::1]) -> None:
        """Set the rows of the newest step to zero for instances whose ``acting``, [B], is 0."""
        b: cython.Py_ssize_t
        for b in range(self._instances):
            if not acting[b]:
                self._forget_rows(b)

    @cython.cfunc
    @cython.exceptval(check=False)
    def _forget_rows(self, b: cython.Py_ssize_t) -> cython.void:
        k: cython.Py_ssize_t
        row: cython.Py_ssize_t
        post: cython.p_char = cython.cast(cython.p_char, self._a)
        pre: cython.p_char = cython.cast(cython.p_char, self._x)
        for k in range(self._samples):
            row = k * self._instances + b
            # pre too, since an overflow there times a zero would be NaN.
            memset(post + row * self._n * self._width, 0, self._n * self._width)
            memset(pre + row * self._m * self._width, 0, self._m * self._width)

    def retract(self, index: Array) -> None:
        """Set the newest rows to zero."""
        self.post[:, index] = 0.0

    def add_to(
        self, total: list[Array], index: Array, weight: Array, carried: Array | None = None
    ) -> None:
        """Add the weighted sum over instances to ``total``, then clear."""
        count: cython.Py_ssize_t = len(index)
        self._index_array[:count] = index
        self._weight_array[:count] = weight
        self._carried_array[:count] = False if carried is None else carried
        self._credit(cython.address(self._index[0]), cython.address(self._weight[0]), count)
        for target, part in zip(total, self._totals, strict=True):
            target += part

    def credit(self, index: Array, weight: Array, count: cython.Py_ssize_t) -> None:
        """Write the weighted sum over some instances to ``total``, then clear.

        Args:
            index: int64 [B], the instances; the first ``count`` entries count.
            weight: float64 [B], one for each.
            count: how many they are.
        """
        memset(cython.address(self._carried[0]), 0, count)
        which: cython.p_void = address_of(index, self._instances, 8)
        by: cython.p_void = address_of(weight, self._instances, 8)
        self._credit(which, cython.cast(cython.p_double, by), count)

    @cython.cfunc
    @cython.exceptval(check=False)
    def _credit(
        self, which: cython.p_void, weight: cython.p_double, count: cython.Py_ssize_t
    ) -> cython.void:
        if self._is_double:
            _credit(self, which, weight, count, cython.cast(cython.double, self._decay))
        else:
            _credit(self, which, weight, count, cython.cast(cython.float, self._decay))

    def detach(self, instance: int, *, carried: bool = False) -> DetachedTrace:
        """Copy the dense trace and the newest rows."""
        dense = [trace[instance] * self._decay_of for trace in self._trace]
        detached = DetachedTrace(dense, self.post[:, instance].copy(), self.pre[:, instance].copy())
        if not carried:
            self.clear(np.array([instance]))
        return detached

    def clear(self, index: Array) -> None:
        """Set traces and newest rows to zero."""
        self._flat[index] = 0.0
        self.post[:, index] = 0.0
        # Set to zero too, since an overflow here times the zero above would be NaN.
        self.pre[:, index] = 0.0


@cython.cfunc
@cython.exceptval(check=False)
def _fold(
    traces: DenseTraces, which: cython.p_void, count: cython.Py_ssize_t, decay: real
) -> cython.void:
    """Compute ``e <- d e + post preT`` for some instances, in numbers of the type of ``decay``."""
    c: cython.Py_ssize_t
    k: cython.Py_ssize_t
    row: cython.Py_ssize_t
    one: real = 1.0
    index: cython.pointer[int64_t] = cython.cast(cython.pointer(int64_t), which)
    e: reals
    post: reals = cython.cast('real *', traces._a)
    pre: reals = cython.cast('real *', traces._x)
    for c in range(count):
        e = cython.cast('real *', traces._e) + index[c] * traces._size
        if decay != 1.0:
            scale(traces._size, decay, e)
        for k in range(traces._samples):
            row = k * traces._instances + index[c]
            _add(traces, one, post + row * traces._n, pre + row * traces._m, e)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _add(
    traces: DenseTraces,
    factor: real,
    post: reals,
    pre: reals,
    out: reals,
) -> cython.void:
    """Compute ``out <- out + factor post preT`` with the layout of the traces."""
    layout: cython.pointer[int64_t] = cython.address(traces._layout[0, 0])
    add_outer(traces._layout.shape[0], layout, factor, post, pre, out)


@cython.cfunc
@cython.exceptval(check=False)
def _keep(
    traces: DenseTraces, which: cython.p_void, count: cython.Py_ssize_t, decay: real
) -> cython.void:
    """Copy the new rows of some instances to the place of the newest ones."""
    c: cython.Py_ssize_t
    k: cython.Py_ssize_t
    post: cython.Py_ssize_t
    pre: cython.Py_ssize_t
    index: cython.pointer[int64_t] = cython.cast(cython.pointer(int64_t), which)
    n: cython.Py_ssize_t = traces._n
    m: cython.Py_ssize_t = traces._m
    a: reals = cython.cast('real *', traces._a)
    x: reals = cython.cast('real *', traces._x)
    new_a: reals = cython.cast('real *', traces._new_a)
    new_x: reals = cython.cast('real *', traces._new_x)
    for c in range(count):
        for k in range(traces._samples):
            post = (k * traces._instances + index[c]) * n
            pre = (k * traces._instances + index[c]) * m
            copy_rows(1, n, new_a + post, n, a + post, n, False)
            copy_rows(1, m, new_x + pre, m, x + pre, m, False)


@cython.cfunc
@cython.exceptval(check=False)
def _credit(
    traces: DenseTraces,
    which: cython.p_void,
    weight: cython.p_double,
    count: cython.Py_ssize_t,
    decay: real,
) -> cython.void:
    """Write ``sum_i weight_i (d e_i + post_i pre_iT)`` to the total; clear traces not carried."""
    c: cython.Py_ssize_t
    k: cython.Py_ssize_t
    row: cython.Py_ssize_t
    by: real
    index: cython.pointer[int64_t] = cython.cast(cython.pointer(int64_t), which)
    e: reals
    post: reals = cython.cast('real *', traces._a)
    pre: reals = cython.cast('real *', traces._x)
    total: reals = cython.cast('real *', traces._sum)
    memset(total, 0, traces._size * traces._width)
    for c in range(count):
        e = cython.cast('real *', traces._e) + index[c] * traces._size
        by = weight[c]
        add_scaled(traces._size, by * decay, e, total)
        for k in range(traces._samples):
            row = k * traces._instances + index[c]
            _add(traces, by, post + row * traces._n, pre + row * traces._m, total)
        if not traces._carried[c]:
            memset(e, 0, traces._size * traces._width)
            traces._forget_rows(index[c])
