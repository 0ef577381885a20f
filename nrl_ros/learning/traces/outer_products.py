"""Weighted sums of outer products of rows in large buffers.

Compiled by Cython over the functions of ``kernels/arithmetic.h``.
"""

from __future__ import annotations

from typing import Any

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.traces.base import layers_of, layout_of

require_compiled(__name__, cython.compiled)

# isort: split
from cython.cimports.libc.stdint import int64_t
from cython.cimports.nrl_ros.learning.kernels.arithmetic import add_outer, real, reals  # noqa: F401
from cython.cimports.nrl_ros.learning.kernels.buffers import address_of

Array = NDArray[Any]


@cython.cclass
class OuterProducts:
    """Sums over rows of ``weight post preT``, layer by layer.

    Args:
        spec: sizes of the network.
        post: [R, N], contiguous; an array that stays the same one.
        pre: [R, M], of the same type.
    """

    _kept: Any
    _sum: Any
    _layers: Any
    _width: cython.Py_ssize_t
    _post: cython.p_void
    _pre: cython.p_void
    _total: cython.p_void
    _n: cython.Py_ssize_t
    _m: cython.Py_ssize_t
    _layout: int64_t[:, ::1]

    def __init__(self, spec: NetworkSpec, post: Array, pre: Array) -> None:
        self._sum = np.zeros(spec.weight_count, post.dtype)
        self._layers = [part[0] for part in layers_of(self._sum[None], spec)]
        self._width = post.dtype.itemsize
        self._layout = layout_of(spec)
        self._n, self._m = post.shape[1], pre.shape[1]
        # A pointer does not keep its array alive, so references are kept beside it.
        self._kept = (post, pre)
        self._post = address_of(post, len(post) * self._n, self._width)
        self._pre = address_of(pre, len(pre) * self._m, self._width)
        self._total = address_of(self._sum, spec.weight_count, self._width)

    def add_to(self, total: list[Array], rows: Array, weight: Array) -> None:
        """Add ``sum_r weight_r post_r preT_r`` to ``total``.

        Args:
            total: one matrix [out, in] for each layer.
            rows: int64 [r], indices of rows.
            weight: [r], of the rows' type, contiguous.
        """
        self._sum.fill(0.0)
        count: cython.Py_ssize_t = len(rows)
        index: cython.p_void = address_of(rows, count, 8)
        if self._width == 8:
            _add(self, index, cython.cast(cython.p_double, address_of(weight, count, 8)), count)
        else:
            _add(self, index, cython.cast(cython.p_float, address_of(weight, count, 4)), count)
        for target, part in zip(total, self._layers, strict=True):
            target += part


@cython.cfunc
@cython.exceptval(check=False)
def _add(
    products: OuterProducts,
    index: cython.p_void,
    weight: reals,
    count: cython.Py_ssize_t,
) -> cython.void:
    r: cython.Py_ssize_t
    post: reals = cython.cast('real *', products._post)
    pre: reals = cython.cast('real *', products._pre)
    total: reals = cython.cast('real *', products._total)
    rows: cython.pointer[int64_t] = cython.cast(cython.pointer(int64_t), index)
    for r in range(count):
        add_outer(
            products._layout.shape[0],
            cython.address(products._layout[0, 0]),
            weight[r],
            post + rows[r] * products._n,
            pre + rows[r] * products._m,
            total,
        )
