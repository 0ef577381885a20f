"""Eligibility traces of rules that disturb every weight, one number per weight and instance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.state import Stateful
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.traces.base import DetachedTrace

Array = NDArray[Any]


class WholeTraces(Stateful):
    """Traces ``e <- d e + A``, A [B, W]; the newest step is kept apart, to be retracted."""

    kind = 'whole'

    def __init__(self, spec: NetworkSpec, instances: int, decay: float, dtype: Any) -> None:
        self._spec = spec
        self._decay = np.dtype(dtype).type(decay)
        self._trace = np.zeros((instances, spec.weight_count), dtype)
        self._newest = np.zeros_like(self._trace)
        self.state = {'kind': self.kind, 'trace': self._trace, 'newest': self._newest}
        self._none = (
            np.zeros((0, spec.noise_components), dtype),
            np.zeros((0, spec.input_components), dtype),
        )

    def record(self, post: Array, pre: Array, index: Array | None) -> None:
        """Add the step before to the traces, and keep this one [1, B, W] apart."""
        who: Any = slice(None) if index is None else index
        self._trace[who] = self._trace[who] * self._decay + self._newest[who]
        self._newest[who] = post[0, who]

    def retract(self, index: Array) -> None:
        """Set the newest step to zero."""
        self._newest[index] = 0.0

    def _whole(self, index: Any) -> Array:
        whole: Array = self._trace[index] * self._decay + self._newest[index]
        return whole

    def _layers(self, flat: Array) -> list[Array]:
        spec = self._spec
        parts = zip(spec.shapes, spec.weight_slices, strict=True)
        return [flat[where].reshape(shape) for shape, where in parts]

    def add_to(
        self, total: list[Array], index: Array, weight: Array, carried: Array | None = None
    ) -> None:
        """Add the weighted sum over instances to ``total``, then clear."""
        part = weight.astype(self._trace.dtype) @ self._whole(index)
        for target, layer in zip(total, self._layers(part), strict=True):
            target += layer
        self.clear(index if carried is None else index[~carried])

    def detach(self, instance: int, *, carried: bool = False) -> DetachedTrace:
        """Copy a trace."""
        detached = DetachedTrace(self._layers(self._whole(instance)), *self._none)
        if not carried:
            self.clear(np.array([instance]))
        return detached

    def clear(self, index: Array) -> None:
        """Set traces and newest steps to zero."""
        self._trace[index] = 0.0
        self._newest[index] = 0.0
