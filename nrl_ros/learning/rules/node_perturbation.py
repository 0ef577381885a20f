"""Noise-based reward-modulated learning: the eligibility of noise in the neurons."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.heads import PolicyHead, SoftmaxHead
from nrl_ros.learning.interfaces import Explorer, Rows
from nrl_ros.learning.kernels.library import NativeStep, suits
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.networks.passes import make_passes
from nrl_ros.learning.rules.base import GreedyExplorer, SampledRule

Array = NDArray[Any]


class NodePerturbation(SampledRule):
    """Eligibility ``e_l <- e_l + rho xi_l / |xi|^2 x_{l-1}T`` of noise xi with impact rho.

    ``rho = log pi~(a|s) - log pi(a|s)`` compares the noisy with the clean policy at the action
    taken. To first order in sigma, ``E[N rho xi / |xi|^2]`` is the gradient of ``log pi(a|s)`` with
    respect to the pre-activations, for any noise with independent, alike, symmetric components.

    Attributes:
        samples: K, noisy passes whose eligibilities are averaged.

    References:
        Garcia Fernandez, Ahmad, van Gerven, "Noise-based reward-modulated learning",
        arXiv 2503.23972, section 3.
    """

    name: ClassVar[str] = 'nrl'

    def explorer(self, network: Network, head: PolicyHead, *, batch: int, source: int) -> Explorer:
        """See PlasticityRule."""
        compiled = suits(network) and isinstance(head, SoftmaxHead)
        kind = CompiledExplorer if compiled else _GeneralExplorer
        return kind(self, network, head, batch, source)


class _GeneralExplorer(GreedyExplorer):
    """One step of B instances: passes, choice, and the rows that the trace takes."""

    def __init__(
        self, rule: NodePerturbation, network: Network, head: PolicyHead, batch: int, source: int
    ) -> None:
        super().__init__(network, head, batch)
        self._rule = rule
        self._source = source
        self._shape = (rule.samples, batch, -1)
        self._passes = make_passes(network, batch, rule.samples)

    def set_sigma(self, sigma: float) -> None:
        """See Explorer."""
        self._rule = self._rule.with_sigma(sigma)

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """See Explorer."""
        rule = self._rule
        z = self._passes.run(observation, noise, rule.sigma)
        choice = self._head.draw(z[self._source], generator)
        log_probability = self._head.log_probability(z, choice)
        impact = log_probability[1:] - log_probability[0]

        def rows() -> tuple[Array, Array]:
            post = rule.postsynaptic_(noise.reshape(self._shape), impact, self._spec)
            return post, self._passes.presynaptic().reshape(self._shape)

        return choice, rows


class CompiledExplorer(GreedyExplorer):
    """The same in the compiled step, for softmax heads.

    Attributes:
        rule: in force.
        step: the compiled step.
    """

    def __init__(
        self, rule: NodePerturbation, network: Network, head: PolicyHead, batch: int, source: int
    ) -> None:
        super().__init__(network, head, batch)
        assert isinstance(head, SoftmaxHead)
        self.rule = rule
        self.step = NativeStep(
            network,
            head.sizes,
            rule.norm_ends(network.spec),
            instances=batch,
            samples=rule.samples,
            source=source,
        )

    def set_sigma(self, sigma: float) -> None:
        """See Explorer."""
        self.rule = self.rule.with_sigma(sigma)

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """See Explorer."""
        step, sigma = self.step, self.rule.sigma
        choice = step.act(observation, noise, generator, sigma=sigma, scale=self.scale)
        return choice, step.rows

    @property
    def scale(self) -> float:
        """Factor of the rows."""
        return 1.0 / (self.rule.sigma * self.rule.samples)
