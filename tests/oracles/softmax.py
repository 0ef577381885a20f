"""The softmax head in numpy: the plain reference of ``heads/softmax.py``."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import ActionSpace, Int32
from nrl_ros.learning.heads import PolicyHead

Array = NDArray[Any]


class SoftmaxHead(PolicyHead):
    """Independent softmax choices; one component is the ordinary discrete policy.

    ``log pi(a) = sum_c z_c[a_c] - log sum_j exp z_c[j]``.

    Args:
        space: discrete action space.

    Attributes:
        sizes: choices of each component.
    """

    action_dtype: type[np.int32] | type[np.float32] = np.int32

    def __init__(self, space: ActionSpace) -> None:
        self.sizes = sizes = space.sizes
        self.outputs = sum(sizes)
        ends = np.cumsum([0, *sizes]).tolist()
        self._slices = [slice(start, end) for start, end in pairwise(ends)]
        self._rows: Array = np.arange(0)

    def draw(self, z: Array, generator: np.random.Generator) -> Array:
        """Draw each component by inverting its cumulative distribution; one uniform number each."""
        batch = z.shape[0]
        uniform = generator.random((batch, len(self._slices)), dtype=np.float32)
        choice = np.empty((batch, len(self._slices)), np.int32)
        for component, where in enumerate(self._slices):
            logits = z[:, where]
            weight = np.exp(logits - logits.max(axis=1, keepdims=True))
            cumulative = np.add.accumulate(weight, axis=1)
            threshold = cumulative[:, -1] * uniform[:, component]
            # The last sum is left out: rounding can never lead past the last choice.
            below = cumulative[:, :-1] <= threshold[:, None]
            choice[:, component] = below.sum(axis=1)
        return choice

    def greedy(self, z: Array) -> Array:
        """Return the index of the largest output of each component."""
        return np.stack([z[:, where].argmax(axis=1) for where in self._slices], axis=1).astype(
            np.int32
        )

    def log_probability(self, z: Array, choice: Array) -> Array:
        """Return the sum over components of the log-softmax at the choice."""
        if self._rows.shape[0] != z.shape[-2]:
            self._rows = np.arange(z.shape[-2])
        total: Array | None = None
        for component, where in enumerate(self._slices):
            logits = z[..., where]
            largest = logits.max(axis=-1)
            normaliser = np.log(np.exp(logits - largest[..., None]).sum(axis=-1))
            value = logits[..., self._rows, choice[:, component]] - largest - normaliser
            total = value if total is None else total + value
        assert total is not None
        return total

    def gradient(self, z: Array, choice: Array) -> Array:
        """Return ``1[j = a] - pi_j`` of each component."""
        gradient = np.empty_like(z)
        for component, where in enumerate(self._slices):
            logits = z[:, where]
            weight = np.exp(logits - logits.max(axis=1, keepdims=True))
            weight /= -weight.sum(axis=1, keepdims=True)
            weight[np.arange(len(z)), choice[:, component]] += 1.0
            gradient[:, where] = weight
        return gradient

    def to_action(self, choice: Array) -> Int32:
        """Return the indices themselves."""
        return choice
