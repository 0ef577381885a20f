"""Noise-based reward-modulated learning: the eligibility of noise in the neurons."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.interfaces import Explorer, Rows
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.networks.forward_pass import ForwardPass
from nrl_ros.learning.networks.passes import make_passes
from nrl_ros.learning.rules.base import NoisyExplorer, SampledRule
from nrl_ros.learning.rules.eligibility import EligibilityRows

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
        """Put the rule to work for one agent."""
        if network.arrays is np:
            return NodeExplorer(self, network, head, batch, source)
        return TensorExplorer(self, network, head, batch, source)


class TensorExplorer(NoisyExplorer[NodePerturbation]):
    """``NodeExplorer`` without its compiled parts, which take arrays of numpy alone."""

    def __init__(
        self, rule: NodePerturbation, network: Network, head: PolicyHead, batch: int, source: int
    ) -> None:
        super().__init__(rule, network, head, batch)
        self._source, self._shape = source, (rule.samples, batch, -1)
        self._passes = make_passes(network, batch, rule.samples, self._memory)

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """Act with noise; return the choice [B, A] and a function for the rows."""
        rule = self._rule
        z = self._passes.run(observation, noise, rule.sigma)
        choice = self._head.draw(z[self._source], generator)
        log_probability = self._head.log_probability(z, choice)
        impact = log_probability[1:] - log_probability[0]

        def rows() -> tuple[Array, Array]:
            post = rule.postsynaptic_(noise.reshape(self._shape), impact, self._spec)
            return post, self._passes.presynaptic().reshape(self._shape)

        return choice, rows


class NodeExplorer(NoisyExplorer[NodePerturbation]):
    """A step of B instances: passes, choice, and the rows for the trace."""

    def __init__(
        self, rule: NodePerturbation, network: Network, head: PolicyHead, batch: int, source: int
    ) -> None:
        super().__init__(rule, network, head, batch)
        self._source = source
        self._shape = (rule.samples, batch, -1)
        self._passes = make_passes(network, batch, rule.samples, self._memory)
        self._rows = EligibilityRows(rule.norm_ends(network.spec))
        # Log-probabilities of the clean pass and of the noisy ones.
        self._log_probability = np.zeros((1 + rule.samples, batch))
        self._sigma, self._scale = rule.sigma, rule.row_scale

    def set_sigma(self, sigma: float) -> None:
        """Change the noise from the next step on."""
        super().set_sigma(sigma)
        self._sigma, self._scale = sigma, self._rule.row_scale

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """Act with noise; return the choice [B, A] and a function for the rows."""
        scale = self._scale
        z = self._passes.run(observation, noise, self._sigma)
        choice = self._head.sample(z, self._source, generator, self._log_probability)

        def rows() -> tuple[Array, Array]:
            post = noise.reshape(self._shape)
            self._rows.compare_over(post, self._log_probability, scale)
            return post, self._passes.presynaptic().reshape(self._shape)

        return choice, rows

    @property
    def in_place(self) -> bool:
        """True if ``explore_in_place`` may be called; other passes keep rows of their own."""
        return type(self._passes) is ForwardPass

    def watch(self, observation: Array) -> None:
        """Read observations [B, O] from this array without a copy if it is given."""
        assert isinstance(self._passes, ForwardPass)
        self._passes.watch(observation)

    def explore_in_place(
        self, observation: Array, post: Array, pre: Array, generator: np.random.Generator
    ) -> Array:
        """Act and compute the rows at once, written to the memory of the traces.

        Args:
            observation: [B, O].
            post: [K, B, N], the noise; becomes the postsynaptic rows.
            pre: [K, B, M], becomes the presynaptic rows.
            generator: for drawing actions.

        Returns:
            The action [B, A].
        """
        passes: Any = self._passes
        z = passes.run(observation, post, self._sigma, pre)
        choice = self._head.sample(z, self._source, generator, self._log_probability)
        self._rows.compare_over(post, self._log_probability, self._scale)
        return self._head.to_action(choice)
