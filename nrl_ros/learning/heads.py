"""Policy heads: from the network's outputs to actions and exact log-probabilities.

A head works on outputs ``z`` of any leading shape, so that the clean and all noisy passes are
evaluated in one call. The *choice* is what was drawn: indices [B, A] for discrete kinds, the
normalised action [B, A] in units of half the range for continuous ones.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import check_positive
from nrl_ros.base.records import ActionKind, ActionSpace, Float32, Int32

Array = NDArray[Any]

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class PolicyHead(Protocol):
    """What a policy head does.

    Attributes:
        outputs: numbers it needs from the network.
        action_dtype: int32 or float32, of the action sent.
    """

    outputs: int
    action_dtype: type[np.int32] | type[np.float32]

    def draw(self, z: Array, generator: np.random.Generator) -> Array:
        """Choice [B, A] drawn from the policy with outputs z [B, n]."""
        ...

    def greedy(self, z: Array) -> Array:
        """Most probable choice [B, A] under outputs z [B, n]."""
        ...

    def log_probability(self, z: Array, choice: Array) -> Array:
        """Log pi(choice) [..., B] under outputs z [..., B, n]."""
        ...

    def gradient(self, z: Array, choice: Array) -> Array:
        """Gradient of log pi(choice) with respect to the outputs z [B, n]."""
        ...

    def to_action(self, choice: Array) -> Int32 | Float32:
        """The action as the environment takes it [B, A]."""
        ...


def make_head(
    space: ActionSpace, *, action_std: float = 0.5, learn_std: bool = False
) -> PolicyHead:
    """The head for an action space.

    Args:
        space: what an action is.
        action_std: standard deviation of the Gaussian policy, in units of half the range [1].
        learn_std: let the network set the standard deviation too, starting from ``action_std``.
    """
    if space.kind == ActionKind.CONTINUOUS:
        return GaussianHead(space, action_std=action_std, learn_std=learn_std)
    return SoftmaxHead(space.sizes)


class SoftmaxHead:
    """Independent softmax choices; one component is the ordinary discrete policy.

    ``log pi(a) = sum_c z_c[a_c] - log sum_j exp z_c[j]``.

    Args:
        sizes: choices of each component.
    """

    action_dtype: type[np.int32] | type[np.float32] = np.int32

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
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
        """Index of the largest output of each component."""
        return np.stack([z[:, where].argmax(axis=1) for where in self._slices], axis=1).astype(
            np.int32
        )

    def log_probability(self, z: Array, choice: Array) -> Array:
        """Sum over components of the log-softmax at the choice."""
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
        """``1[j = a] - pi_j`` of each component."""
        gradient = np.empty_like(z)
        for component, where in enumerate(self._slices):
            logits = z[:, where]
            weight = np.exp(logits - logits.max(axis=1, keepdims=True))
            weight /= -weight.sum(axis=1, keepdims=True)
            weight[np.arange(len(z)), choice[:, component]] += 1.0
            gradient[:, where] = weight
        return gradient

    def to_action(self, choice: Array) -> Int32:
        """The indices themselves."""
        return choice


class GaussianHead:
    """Independent normal distributions around the network's outputs.

    The choice u is drawn from N(z, std) in normalised units and the action is
    ``middle + half_range * clip(u, -1, 1)``. The log-probability is that of u, before the clip:
    the clip is then part of the environment and the policy gradient stays exact.

    Args:
        space: continuous action space.
        action_std: standard deviation in units of half the range [1], positive.
        learn_std: take ``log(std / action_std)`` from A further outputs, within [-3, 1].

    Raises:
        ConfigError: action_std is not a positive number.
    """

    action_dtype: type[np.int32] | type[np.float32] = np.float32

    def __init__(
        self, space: ActionSpace, *, action_std: float = 0.5, learn_std: bool = False
    ) -> None:
        check_positive('action_std', action_std)
        low, high = np.asarray(space.low), np.asarray(space.high)
        self._size = len(space.low)
        self.outputs = self._size * (2 if learn_std else 1)
        self._learn_std = learn_std
        self._log_std = math.log(action_std)
        self._middle = ((low + high) / 2.0).astype(np.float32)
        self._half_range = ((high - low) / 2.0).astype(np.float32)
        self._low, self._high = low.astype(np.float32), high.astype(np.float32)

    def _log_std_of(self, z: Array) -> Array:
        if not self._learn_std:
            return np.full(self._size, self._log_std, z.dtype)
        return np.asarray(np.clip(z[..., self._size :], -3.0, 1.0) + z.dtype.type(self._log_std))

    def draw(self, z: Array, generator: np.random.Generator) -> Array:
        """Mean plus standard deviation times a standard normal number."""
        normal = generator.standard_normal((z.shape[0], self._size), dtype=z.dtype)
        return np.asarray(z[:, : self._size] + np.exp(self._log_std_of(z)) * normal, z.dtype)

    def greedy(self, z: Array) -> Array:
        """The mean."""
        return np.array(z[:, : self._size])

    def log_probability(self, z: Array, choice: Array) -> Array:
        """Log density of the choice, summed over components."""
        log_std = self._log_std_of(z)
        standardised = (choice - z[..., : self._size]) * np.exp(-log_std)
        density = -0.5 * standardised * standardised - log_std - _HALF_LOG_TWO_PI
        return np.asarray(density.sum(axis=-1))

    def gradient(self, z: Array, choice: Array) -> Array:
        """``(u - m) / std^2``; for the logarithm of the deviation ``((u - m) / std)^2 - 1``."""
        size, log_std = self._size, self._log_std_of(z)
        standardised = (choice - z[:, :size]) * np.exp(-log_std)
        gradient = np.empty_like(z)
        gradient[:, :size] = standardised * np.exp(-log_std)
        if self._learn_std:
            inside = np.abs(z[:, size:] + 1.0) < 2.0
            gradient[:, size:] = np.where(inside, standardised * standardised - 1.0, 0.0)
        return gradient

    def to_action(self, choice: Array) -> Float32:
        """Scale to the action's own units, clipped to its bounds."""
        # An overflow ends at a bound all the same.
        with np.errstate(over='ignore', invalid='ignore'):
            action = self._middle + self._half_range * choice
        return np.asarray(np.clip(action, self._low, self._high), np.float32)
