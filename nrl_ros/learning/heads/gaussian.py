"""Real actions: normal distributions around the network's outputs."""

from __future__ import annotations

import copy
import math
from contextlib import nullcontext
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import ActionKind, ActionSpace, Float32
from nrl_ros.learning.heads.base import PolicyHead

Array = NDArray[Any]

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def std_fault(learn_std: bool, std_of_state: bool, entropy_bonus: float) -> str:
    """Return why settings of the deviation do not go together; '' if they do."""
    if not (std_of_state or learn_std):
        return 'policy.std_of_state is false, expected policy.learn_std: true with it'
    if entropy_bonus and std_of_state:
        return 'policy.entropy_bonus is positive, expected policy.std_of_state: false with it'
    return ''


class ActionBounds(NamedTuple):
    """Bounds of real actions in their own units, float32 [A].

    Attributes:
        low: smallest actions.
        high: largest ones.
        middle: actions at 0 of -1 to 1.
        half_range: from there to a bound.
    """

    low: Array
    high: Array
    middle: Array
    half_range: Array


class GaussianHead(PolicyHead):
    """Independent normal distributions around the network's outputs.

    The choice u is drawn from N(z, std) in normalised units and the action is
    ``middle + half_range * clip(u, -1, 1)``. The log-probability is that of u, before the clip:
    the clip is then part of the environment and the policy gradient stays exact.

    Args:
        space: continuous action space.
        action_std: standard deviation in units of half the range [1], positive.
        learn_std: take ``log(std / action_std)`` from A further outputs, within [-3, 1].
        std_of_state: with ``learn_std``, let these outputs depend on the state. Otherwise only
            their biases are learned: one deviation for each action, the same in every state.
        entropy_bonus: added to the gradient of each such bias for each credit window: the
            gradient of the entropy, which is ``sum log std`` and a constant, is 1.

    Raises:
        ConfigError: the actions are choices.
    """

    action_dtype: type[np.int32] | type[np.float32] = np.float32

    def __init__(
        self,
        space: ActionSpace,
        *,
        action_std: Annotated[
            float,
            Field(
                gt=0,
                description='Standard deviation of the Gaussian policy, in half ranges [1]',
            ),
        ] = 0.5,
        learn_std: Annotated[
            bool, Field(description='Let the network set the standard deviation too')
        ] = False,
        std_of_state: Annotated[
            bool,
            Field(
                description='With learn_std: a deviation that depends on the state; otherwise one '
                'for each action, which is the bias of its output (needs network.bias)'
            ),
        ] = True,
        entropy_bonus: Annotated[
            float,
            Field(
                ge=0,
                description='With learn_std and without std_of_state: reward for the entropy of '
                'the Gaussian policy, per credit window [1]',
            ),
        ] = 0.0,
    ) -> None:
        if space.kind != ActionKind.CONTINUOUS:
            raise ConfigError(
                'policy.head gaussian is for real actions, received choices; expected softmax'
            )
        fault = std_fault(learn_std, std_of_state, entropy_bonus)
        if fault:
            raise ConfigError(fault)
        low, high = np.asarray(space.low), np.asarray(space.high)
        self._size = len(space.low)
        self.outputs = self._size * (2 if learn_std else 1)
        self._learn_std, self._one_std = learn_std, learn_std and not std_of_state
        self._bonus = entropy_bonus
        self._log_std = math.log(action_std)
        self._middle = ((low + high) / 2.0).astype(np.float32)
        self._half_range = ((high - low) / 2.0).astype(np.float32)
        self._low, self._high = low.astype(np.float32), high.astype(np.float32)
        self._arrays: Any = np

    @property
    def size(self) -> int:
        """A, numbers of an action."""
        return self._size

    @property
    def bounds(self) -> ActionBounds:
        """The bounds of actions, by which they are scaled and clipped."""
        return ActionBounds(self._low, self._high, self._middle, self._half_range)

    def on(self, arrays: Any) -> GaussianHead:
        """Return the same head for other arrays than those of numpy.

        Args:
            arrays: functions of numpy for them, as ``nrl_ros.base.torch_arrays``.
        """
        other = copy.copy(self)
        other._arrays = arrays
        for name in ('_middle', '_half_range', '_low', '_high'):
            setattr(other, name, arrays.asarray(getattr(self, name), arrays.float32))
        return other

    def begin(self, weight: Array) -> None:
        """Begin with ``action_std`` in every state, where the deviation is one for all."""
        if self._one_std:
            weight[self._size :] = 0.0

    def amend(self, weight: Array, total: Array, windows: int) -> None:
        """Leave the biases alone to learn a deviation for all states, with the entropy bonus."""
        if not self._one_std:
            return
        total[self._size :, :-1] = 0.0
        bias = weight[self._size :, -1]
        total[self._size :, -1] += np.where(_inside(bias), self._bonus * windows, 0.0)

    def _log_std_of(self, z: Array) -> Array:
        if not self._learn_std:
            fixed: Array = self._arrays.full(self._size, self._log_std, z.dtype)
            return fixed
        learned: Array = self._arrays.clip(z[..., self._size :], -3.0, 1.0) + self._log_std
        return learned

    def draw(self, z: Array, generator: np.random.Generator) -> Array:
        """Draw the mean plus standard deviation times a standard normal number."""
        normal = generator.standard_normal((z.shape[0], self._size), dtype=z.dtype)
        return self.choice_of(z, normal)

    def choice_of(self, z: Array, normal: Array) -> Array:
        """Return the choice [B, A] that standard normal numbers [B, A] make of outputs [B, n]."""
        chosen: Array = z[:, : self._size] + self._arrays.exp(self._log_std_of(z)) * normal
        return chosen

    def greedy(self, z: Array) -> Array:
        """Return the mean."""
        return np.array(z[:, : self._size])

    def log_probability(self, z: Array, choice: Array) -> Array:
        """Return the log density of the choice, summed over components."""
        log_std = self._log_std_of(z)
        standardised = (choice - z[..., : self._size]) * self._arrays.exp(-log_std)
        density = -0.5 * standardised * standardised - log_std - _HALF_LOG_TWO_PI
        summed: Array = density.sum(axis=-1)
        return summed

    def gradient(self, z: Array, choice: Array) -> Array:
        """Return the gradient of the log density with respect to the outputs z.

        It is ``(u - m) / std^2`` for the mean m, and ``((u - m) / std)^2 - 1`` for the logarithm of
        the standard deviation.
        """
        do, size = self._arrays, self._size
        narrowing = do.exp(-self._log_std_of(z))
        standardised = (choice - z[:, :size]) * narrowing
        gradient: Array = standardised * narrowing
        if self._learn_std:
            inside = _inside(z[:, size:])
            of_std = do.where(inside, standardised * standardised - 1.0, 0.0)
            gradient = do.concatenate([gradient, of_std], axis=1)
        return do.asarray(gradient, z.dtype)  # type: ignore[no-any-return]

    def to_action(self, choice: Array) -> Float32:
        """Convert to the action's own units, clipped to its bounds."""
        # An overflow is clipped to a bound like any large number, so it needs no warning.
        do = self._arrays
        with np.errstate(over='ignore', invalid='ignore') if do is np else nullcontext():
            action = self._middle + self._half_range * choice
        clipped: Float32 = do.asarray(do.clip(action, self._low, self._high), do.float32)
        return clipped


def _inside(log_ratio: Array) -> Array:
    """Return where ``log(std / action_std)`` is within its limits, so that it has a gradient."""
    inside: Array = abs(log_ratio + 1.0) < 2.0
    return inside
