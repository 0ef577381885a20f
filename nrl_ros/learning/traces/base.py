"""The interface of eligibility traces, and the layout of a trace in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.networks.feed_forward import NetworkSpec

Array = NDArray[Any]

# A layer with fewer inputs than this may be stored transposed.
_FEW_INPUTS = 16


def is_turned(n_out: int, n_in: int) -> bool:
    """Return True if a layer is stored as [in, out], so that its longer side is the inner loop."""
    return n_in < n_out and n_in < _FEW_INPUTS


def layout_of(spec: NetworkSpec) -> Array:
    """Return the layout of the layers side by side, as ``add_outer`` of the kernels needs it.

    Returns:
        int64 [layers, 3]: outputs, inputs, and 1 if the layer is transposed.
    """
    return np.array(
        [(n_out, n_in, is_turned(n_out, n_in)) for n_out, n_in in spec.shapes], np.int64
    )


def layers_of(flat: Array, spec: NetworkSpec) -> list[Array]:
    """Return views [B, out, in] of the layers in [B, W], all weights side by side."""
    views, start = [], 0
    for n_out, n_in in spec.shapes:
        part = flat[:, start : start + n_out * n_in]
        start += n_out * n_in
        if is_turned(n_out, n_in):
            views.append(part.reshape(len(flat), n_in, n_out).transpose(0, 2, 1))
        else:
            views.append(part.reshape(len(flat), n_out, n_in))
    return views


@dataclass(frozen=True)
class DetachedTrace:
    """The trace of one closed window, taken out of its store until its late RPE comes."""

    dense: list[Array] | None
    post: Array
    pre: Array

    def add_to(self, total: list[Array], weight: float, spec: NetworkSpec) -> None:
        """Add ``weight * e`` to ``total``, one matrix [out, in] a layer."""
        scaled = self.post * self.post.dtype.type(weight)
        if len(scaled):
            spec.add_products(total, scaled, self.pre)
        if self.dense is not None:
            for part, dense in zip(total, self.dense, strict=True):
                part += dense * part.dtype.type(weight)


class TraceStore(Protocol):
    """Traces of B instances; ``index`` arguments are integer arrays [k] without repeats.

    Attributes:
        kind: how they are kept.
        state: all traces, as ``nrl_ros.base.state`` describes.
    """

    kind: str
    state: Any

    def record(self, post: Array, pre: Array, index: Array | None) -> None:
        """Add one step: rows [K, B, N] and [K, B, M], for the instances ``index`` (None: all)."""
        ...

    def retract(self, index: Array) -> None:
        """Take back the newest step of these instances: it earns no credit, but time has passed."""
        ...

    def add_to(
        self, total: list[Array], index: Array, weight: Array, carried: Array | None = None
    ) -> None:
        """Add ``sum_i weight_i e_i`` to ``total`` and clear those traces.

        Args:
            total: one matrix [out, in] a layer.
            index: instances.
            weight: [k], one for each.
            carried: bool [k], traces that go on instead of being cleared; None: none.
        """
        ...

    def detach(self, instance: int, *, carried: bool = False) -> DetachedTrace:
        """Take one trace out and clear it; with ``carried``, copy it and let it continue."""
        ...

    def clear(self, index: Array) -> None:
        """Set traces to zero."""
        ...
