"""NRL with pairs of opposite noise in place of the clean pass."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.interfaces import Explorer, Rows
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.networks.passes import make_passes
from nrl_ros.learning.rules.base import NoisyExplorer, SampledRule

Array = NDArray[Any]


class AntitheticPairs(SampledRule):
    """``rho = (log pi~+(a|s) - log pi~-(a|s)) / 2`` with noise xi and -xi, without a clean pass.

    Curvature, which is even in the noise, cancels within a pair: its share of the variance is gone.
    The presynaptic activity is the mean of the pair's, whose noise cancels to first order too.
    Actions are drawn from the first pass with +xi.

    Attributes:
        samples: K, pairs whose eligibilities are averaged.

    References:
        As NodePerturbation; pairs as in evolution strategies (Salimans et al. 2017, section 2.1).
    """

    name: ClassVar[str] = 'antithetic'

    def explorer(self, network: Network, head: PolicyHead, *, batch: int, source: int) -> Explorer:
        """Put the rule to work for one agent; actions always come from the first noisy pass."""
        return _Explorer(self, network, head, batch)


class _Explorer(NoisyExplorer[AntitheticPairs]):
    def __init__(
        self, rule: AntitheticPairs, network: Network, head: PolicyHead, batch: int
    ) -> None:
        super().__init__(rule, network, head, batch)
        self._shape = (rule.samples, batch, -1)
        self._pairs = (2, *self._shape)
        self._passes = make_passes(network, batch, 2 * rule.samples, self._memory)
        self._arrays = network.arrays
        self._noise = self._arrays.zeros(
            (2, rule.samples * batch, network.spec.noise_components), network.dtype
        )

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """Act with pairs of opposite noise; return the choice and a function for the rows."""
        rule = self._rule
        self._noise[0] = noise
        self._arrays.multiply(noise, -1.0, self._noise[1])
        z = self._passes.run(observation, self._noise.reshape(-1, noise.shape[1]), rule.sigma)[1:]
        choice = self._head.draw(z[0], generator)
        log_probability = self._head.log_probability(z, choice)
        plus, minus = log_probability[: rule.samples], log_probability[rule.samples :]
        impact = 0.5 * (plus - minus)

        def rows() -> tuple[Array, Array]:
            post = rule.postsynaptic_(noise.reshape(self._shape), impact, self._spec)
            pre = self._passes.presynaptic().reshape(self._pairs)
            return post, 0.5 * (pre[0] + pre[1])

        return choice, rows
