"""Dense traces in numpy: the plain reference of ``traces/dense.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.traces import DetachedTrace

Array = NDArray[Any]


class DenseTraces:
    """As those of the product, one array [B, out, in] a layer; without what saves copies."""

    kind = 'dense'

    def __init__(
        self, spec: NetworkSpec, instances: int, samples: int, decay: float, dtype: Any
    ) -> None:
        self._spec = spec
        self._decay = np.dtype(dtype).type(decay)
        self._trace = [np.zeros((instances, *shape), dtype) for shape in spec.shapes]
        self._post = np.zeros((samples, instances, spec.noise_components), dtype)
        self._pre = np.zeros((samples, instances, spec.input_components), dtype)

    def _whole(self, layer: int, index: Any) -> Array:
        """Traces with their newest step [k, out, in]."""
        out, where = self._spec.noise_slices[layer], self._spec.input_slices[layer]
        part: Array = self._trace[layer][index] * self._decay
        for post, pre in zip(self._post, self._pre, strict=True):
            part += post[index][..., out, None] * pre[index][..., None, where]
        return part

    def record(self, post: Array, pre: Array, index: Array | None) -> None:
        who: Any = slice(None) if index is None else index
        for layer, trace in enumerate(self._trace):
            trace[who] = self._whole(layer, who)
        self._post[:, who], self._pre[:, who] = post[:, who], pre[:, who]

    def retract(self, index: Array) -> None:
        self._post[:, index] = 0.0

    def add_to(
        self, total: list[Array], index: Array, weight: Array, carried: Array | None = None
    ) -> None:
        factor = weight.astype(self._post.dtype)
        for layer, target in enumerate(total):
            target += np.tensordot(factor, self._whole(layer, index), axes=1)
        self.clear(index if carried is None else index[~carried])

    def detach(self, instance: int, *, carried: bool = False) -> DetachedTrace:
        dense = [trace[instance] * self._decay for trace in self._trace]
        post, pre = self._post[:, instance].copy(), self._pre[:, instance].copy()
        if not carried:
            self.clear(np.array([instance]))
        return DetachedTrace(dense, post, pre)

    def clear(self, index: Array) -> None:
        for trace in self._trace:
            trace[index] = 0.0
        self._post[:, index] = self._pre[:, index] = 0.0
