"""Traces in the compiled kernel: recording, credit, and products of many rows."""

from __future__ import annotations

import ctypes
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.kernels.library import address_of, library
from nrl_ros.learning.networks.feed_forward import NetworkSpec

Array = NDArray[Any]


def turned(n_out: int, n_in: int) -> bool:
    """Whether a layer's dense trace lies [in, out], so that its longer side is the inner one."""
    return n_in < n_out and n_in < 16


class _Traces(ctypes.Structure):
    """``nrl_traces`` of the kernel."""

    _fields_ = [
        ('layers', ctypes.c_int64),
        ('sizes', ctypes.c_void_p),
        ('bias', ctypes.c_int64),
        ('batch', ctypes.c_int64),
        ('samples', ctypes.c_int64),
        ('decay', ctypes.c_double),
        ('post', ctypes.c_void_p),
        ('pre', ctypes.c_void_p),
        ('trace', ctypes.c_void_p),
        ('new_post', ctypes.c_void_p),
        ('new_pre', ctypes.c_void_p),
        ('which', ctypes.c_void_p),
        ('count', ctypes.c_int64),
        ('weight', ctypes.c_void_p),
        ('totals', ctypes.c_void_p),
    ]


class NativeDense:
    """Dense traces of B instances in one array.

    Args:
        spec: sizes of the network.
        decay: d.
        trace: [B, W], float32, all weights of all layers side by side, turned where ``turned``.
        post: [K, B, N].
        pre: [K, B, M].
        total: [W], float32, which lies as a row of the traces does.

    Attributes:
        structure: of the kernel.
        post: as above.
        pre: as above.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        decay: float,
        *,
        trace: Array,
        post: Array,
        pre: Array,
        total: Array,
    ) -> None:
        compiled = library()
        self._record, self._credit = compiled.nrl_dense, compiled.nrl_dense_credit
        sizes = np.array([spec.inputs, *spec.hidden, spec.outputs], np.int64)
        self._which, self._weight = np.zeros(len(trace), np.int64), np.zeros(len(trace), np.float32)
        self._named = self._which.ctypes.data
        self.structure = _Traces(
            layers=len(spec.shapes),
            sizes=sizes.ctypes.data,
            bias=int(spec.bias),
            batch=len(trace),
            samples=len(post),
            decay=decay,
            post=post.ctypes.data,
            pre=pre.ctypes.data,
            trace=trace.ctypes.data,
            weight=self._weight.ctypes.data,
            totals=total.ctypes.data,
        )
        self._pointer = ctypes.c_void_p(ctypes.addressof(self.structure))
        # Pointers keep nothing alive.
        self._keep = (sizes, trace, post, pre, total)
        self.post, self.pre = post, pre
        self._rows: tuple[Array | None, Array | None] = (None, None)

    def twin(self) -> NativeDense:
        """The same traces, with calls of its own under way."""
        other = copy(self)
        other.structure = _Traces.from_buffer_copy(self.structure)
        other._pointer = ctypes.c_void_p(ctypes.addressof(other.structure))
        return other

    def record(self, post: Array, pre: Array, index: Array | None) -> None:
        """``e <- decay e + post preT`` with the rows of the step before, then keep the new rows.

        Args:
            post: new rows [K, B, N].
            pre: new rows [K, B, M].
            index: whole numbers [k], instances to touch; None: all.
        """
        traces = self.structure
        # Mostly the same two arrays at every step.
        if post is not self._rows[0] or pre is not self._rows[1]:
            new = np.ascontiguousarray(post), np.ascontiguousarray(pre)
            self._rows = new
            traces.new_post, traces.new_pre = address_of(new[0]), address_of(new[1])
        if index is None:
            traces.which, traces.count = None, len(self._which)
        else:
            self._name(index)
        self._record(self._pointer)

    def credit(self, index: Array, weight: Array) -> None:
        """``total += sum_i weight_i e_i``, newest rows included; then those traces are zero.

        Args:
            index: whole numbers [k], each instance once.
            weight: [k].
        """
        self._name(index)
        self._weight[: len(index)] = weight
        self._credit(self._pointer)

    def _name(self, index: Array) -> None:
        count = len(index)
        self._which[:count] = index
        self.structure.which, self.structure.count = self._named, count


def accumulate(
    total: Array,
    rows: Array,
    weight: Array,
    post: Array,
    pre: Array,
    *,
    at_post: int,
    at_pre: int,
) -> None:
    """``total += sum_r weight_r post_r preT_r`` for one layer, rows taken out of large buffers.

    Args:
        total: [out, in], float32.
        rows: int64 [r], indices of rows.
        weight: float32 [r].
        post: [., N], float32, contiguous.
        pre: [., M], float32, contiguous.
        at_post: where the layer's neurons start among N.
        at_pre: where the layer's inputs start among M.
    """
    n_out, n_in = total.shape
    turned = not (n_in >= n_out or n_in >= 16)
    target = np.zeros((n_in, n_out), np.float32) if turned else total
    library().nrl_accumulate(
        ctypes.c_int64(len(rows)),
        ctypes.c_void_p(address_of(rows)),
        ctypes.c_void_p(address_of(weight)),
        ctypes.c_void_p(address_of(post)),
        ctypes.c_int64(post.shape[1]),
        ctypes.c_int64(at_post),
        ctypes.c_void_p(address_of(pre)),
        ctypes.c_int64(pre.shape[1]),
        ctypes.c_int64(at_pre),
        ctypes.c_int64(n_out),
        ctypes.c_int64(n_in),
        ctypes.c_void_p(address_of(target)),
    )
    if turned:
        total += target.T
