"""Noisy-NRL: the clean pass is replaced by the mean of noisy ones."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.interfaces import Explorer, Rows
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.networks.passes import make_passes
from nrl_ros.learning.rules.base import NoiseRule, NoisyExplorer

Array = NDArray[Any]


class NoisyReference(NoiseRule):
    """``rho = log pi~(a|s) - log(mean of pi~_n(a|s))`` over N further noisy passes.

    It is meant for a nervous system that cannot switch its noise off. The reference does not depend
    on the noise of the credited pass, so it adds variance, of order 1 / N, and no bias. Actions are
    drawn from the credited pass.

    Attributes:
        reference_passes: N.

    References:
        Garcia Fernandez, Ahmad, van Gerven, arXiv 2503.23972, "noisy-NRL".
    """

    reference_passes: int = Field(
        8,
        ge=1,
        description='noisy_nrl: noisy passes that replace the clean one, N [1]',
    )

    name: ClassVar[str] = 'noisy_nrl'
    memory: ClassVar[tuple[str, ...]] = ('reference_passes',)

    def noise_size(self, spec: NetworkSpec, batch: int) -> tuple[int, int]:
        """Return rows and components of the noise: of the credited pass, then of the N others."""
        return batch * (1 + self.reference_passes), spec.noise_components

    def explorer(self, network: Network, head: PolicyHead, *, batch: int, source: int) -> Explorer:
        """Put the rule to work for one agent; actions always come from the credited pass."""
        return _Explorer(self, network, head, batch)


class _Explorer(NoisyExplorer[NoisyReference]):
    def __init__(
        self, rule: NoisyReference, network: Network, head: PolicyHead, batch: int
    ) -> None:
        super().__init__(rule, network, head, batch)
        self._batch, self._arrays = batch, network.arrays
        self._passes = make_passes(network, batch, 1 + rule.reference_passes, self._memory)

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """Act by the credited pass, and compare it with the mean of the other noisy passes."""
        rule, batch = self._rule, self._batch
        z = self._passes.run(observation, noise, rule.sigma)[1:]
        choice = self._head.draw(z[0], generator)
        log_probability = self._head.log_probability(z, choice)
        impact = log_probability[:1] - log_mean_exp(log_probability[1:], self._arrays)

        def rows() -> tuple[Array, Array]:
            post = rule.postsynaptic_(noise[None, :batch], impact, self._spec)
            return post, self._passes.presynaptic()[None, :batch]

        return choice, rows


def log_mean_exp(value: Array, arrays: Any = np) -> Array:
    """Return ``log(mean(exp(v)))`` over the first axis, computed without overflow.

    Args:
        value: v.
        arrays: functions for it: the module ``numpy``, or a ``TorchArrays``.
    """
    largest = arrays.maximum.reduce(value, axis=0)
    mean = arrays.exp(value - largest).mean(axis=0)
    return arrays.asarray(largest + arrays.log(mean))  # type: ignore[no-any-return]
