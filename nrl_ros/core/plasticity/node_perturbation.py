"""Noise-based reward-modulated learning: the eligibility of noise in the neurons."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.core.errors import ConfigError
from nrl_ros.core.heads import PolicyHead, SoftmaxHead
from nrl_ros.core.interfaces import Explorer, Rows
from nrl_ros.core.kernels import NativeEligibility, NativePasses, NativeSoftmax, suits
from nrl_ros.core.network import Network, NetworkSpec, Passes

Array = NDArray[Any]


@dataclass(frozen=True)
class NodePerturbation:
    """Eligibility ``e_l <- e_l + rho xi_l / |xi|^2 x_{l-1}T`` of noise xi with impact rho.

    ``rho = log pi~(a|s) - log pi(a|s)`` compares the noisy with the clean policy at the action
    taken. To first order in sigma, ``E[N rho xi / |xi|^2]`` is the gradient of ``log pi(a|s)`` with
    respect to the pre-activations, for any noise with independent, alike, symmetric components.

    Attributes:
        sigma: standard deviation of the noise [1], positive.
        norm: run the norm over all noise of the 'network', or of each 'layer' by itself.
        step_scale: factor c of the update: 'one', 'noise_dimensions' (what the norm ran over, which
            makes it an unbiased gradient) or 'layer_width' (the authors' choice).
        samples: K, noisy passes whose eligibilities are averaged.

    References:
        Garcia Fernandez, Ahmad, van Gerven, "Noise-based reward-modulated learning",
        arXiv 2503.23972, section 3.
    """

    sigma: float = 1e-3
    norm: str = 'network'
    step_scale: str = 'noise_dimensions'
    samples: int = 1

    def __post_init__(self) -> None:
        """Check the settings."""
        if not (math.isfinite(self.sigma) and self.sigma > 0.0):
            raise ConfigError(f'sigma must be a positive number, received {self.sigma}')
        if self.norm not in ('network', 'layer'):
            raise ConfigError(f"norm must be 'network' or 'layer', received {self.norm!r}")
        if self.step_scale not in ('one', 'noise_dimensions', 'layer_width'):
            raise ConfigError(
                "step_scale must be 'one', 'noise_dimensions' or 'layer_width', "
                f'received {self.step_scale!r}'
            )
        if self.samples < 1:
            raise ConfigError(f'samples must be at least 1, received {self.samples}')

    def with_sigma(self, sigma: float) -> NodePerturbation:
        """The same rule with other noise."""
        return replace(self, sigma=sigma)

    def scales(self, spec: NetworkSpec) -> list[float]:
        """Factor c of each layer's update."""
        widths = [float(n_out) for n_out, _ in spec.shapes]
        if self.step_scale == 'one':
            return [1.0] * len(widths)
        if self.step_scale == 'layer_width' or self.norm == 'layer':
            return widths
        return [float(spec.noise_components)] * len(widths)

    def norm_ends(self, spec: NetworkSpec) -> list[int]:
        """Where each group of noise components ends over which the norm runs."""
        if self.norm == 'network':
            return [spec.noise_components]
        return [where.stop for where in spec.noise_slices]

    def postsynaptic_(self, unit_noise: Array, impact: Array, spec: NetworkSpec) -> Array:
        """Rows ``rho xi / |xi|^2 / K`` of the trace, written over the noise.

        Args:
            unit_noise: z = xi / sigma, [K, B, N]; overwritten.
            impact: rho, [K, B].
            spec: sizes of the network.

        Returns:
            The same array [K, B, N].
        """
        factor = impact / (self.sigma * self.samples)
        if self.norm == 'network':
            square = np.einsum('kbn,kbn->kb', unit_noise, unit_noise)
            unit_noise *= (factor / square)[..., None]
            return unit_noise
        for where in spec.noise_slices:
            part = unit_noise[..., where]
            square = np.einsum('kbn,kbn->kb', part, part)
            part *= (factor / square)[..., None]
        return unit_noise

    def explorer(self, network: Network, head: PolicyHead, *, batch: int, source: int) -> Explorer:
        """See PlasticityRule."""
        kind = _CompiledExplorer if suits(network) else _NumpyExplorer
        return kind(self, network, head, batch, source)


class _NumpyExplorer:
    """One step of B instances in numpy: passes, choice, and the rows that the trace takes."""

    _passes_kind: type[Passes] | type[NativePasses] = Passes

    def __init__(
        self, rule: NodePerturbation, network: Network, head: PolicyHead, batch: int, source: int
    ) -> None:
        self._rule = rule
        self._spec = network.spec
        self._head = head
        self._source = source
        self._shape = (rule.samples, batch, -1)
        self._passes = self._passes_kind(network, batch, rule.samples)
        self._quiet = self._passes_kind(network, batch, 0)

    def set_sigma(self, sigma: float) -> None:
        """See Explorer."""
        self._rule = self._rule.with_sigma(sigma)

    def greedy(self, observation: Array) -> Array:
        """See Explorer."""
        return self._head.greedy(self._quiet.run(observation, None, 0.0)[0])

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


class _CompiledExplorer(_NumpyExplorer):
    """The same with the compiled step; softmax heads too are compiled, others stay in numpy."""

    _passes_kind = NativePasses

    def __init__(
        self, rule: NodePerturbation, network: Network, head: PolicyHead, batch: int, source: int
    ) -> None:
        super().__init__(rule, network, head, batch, source)
        self._softmax = None
        if isinstance(head, SoftmaxHead):
            self._softmax = NativeSoftmax(head.sizes, batch, rule.samples)
        self._eligibility = NativeEligibility(rule.norm_ends(network.spec), rule.samples * batch)

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """As in numpy."""
        if self._softmax is None:
            return super().explore(observation, noise, generator)
        rule = self._rule
        z = self._passes.run(observation, noise, rule.sigma)
        choice, impact = self._softmax.draw(z, generator, self._source)

        def rows() -> tuple[Array, Array]:
            post = self._eligibility.rows(noise, impact, 1.0 / (rule.sigma * rule.samples))
            return post.reshape(self._shape), self._passes.presynaptic().reshape(self._shape)

        return choice, rows
