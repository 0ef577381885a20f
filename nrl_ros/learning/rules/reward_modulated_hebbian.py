"""Reward-modulated Hebbian learning: noise times presynaptic activity, without an impact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.base.errors import ConfigError
from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.interfaces import Explorer, Rows
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.networks.forward_pass import ForwardPass
from nrl_ros.learning.networks.passes import AnyPasses, KeepsPreactivation, make_passes
from nrl_ros.learning.rules.base import NoiseRule, NoisyExplorer

Array = NDArray[Any]


class RewardModulatedHebbian(NoiseRule):
    """Eligibility ``e_l <- e_l + xi_l x_{l-1}T``: only the reward tells whether the noise was good.

    With actions from the noisy policy, ``E[delta xi] = sigma^2 dE[r]/da``. So the update is right
    on average, but each neuron's share is small against the variance of the whole reward.

    Attributes:
        noise_estimate: 'explicit': the noise xi itself; 'running_mean': the pre-activation minus
            its running mean, for a neuron that does not know its noise (Hoerzer et al., eq. 5).
        estimate_rate: step of that running mean, in (0, 1].

    Raises:
        ConfigError: a setting is out of its range.

    References:
        Legenstein et al. 2010, "A reward-modulated Hebbian learning rule can explain experimentally
        observed network reorganization in a brain control task"; Hoerzer, Legenstein, Maass 2014,
        "Emergence of complex computational structures from chaotic neural networks through
        reward-modulated Hebbian learning".
    """

    noise_estimate: Literal['explicit', 'running_mean'] = Field(
        'explicit', description='rmhl: the noise itself, or the activation minus its running mean'
    )
    estimate_rate: float = Field(0.2, gt=0, le=1, description='rmhl: step of that running mean [1]')

    name: ClassVar[str] = 'rmhl'
    memory: ClassVar[tuple[str, ...]] = ('noise_estimate',)

    def scales(self, spec: NetworkSpec) -> list[float]:
        """Return 1 for each layer, since the noise is not normalised."""
        return [1.0] * len(spec.shapes)

    def explorer(self, network: Network, head: PolicyHead, *, batch: int, source: int) -> Explorer:
        """Put the rule to work for one agent; actions always come from the noisy pass.

        Raises:
            ConfigError: the noise estimate is a running mean and the neurons are spiking.
        """
        if self.noise_estimate == 'explicit':
            return _Explorer(self, network, head, batch)
        if network.spec.neuron not in ('rate', 'torch'):
            raise ConfigError(
                f'rmhl: {network.spec.neuron} neurons keep no pre-activation, '
                "expected noise_estimate 'explicit'"
            )
        return _EstimatingExplorer(self, network, head, batch)


class _Explorer(NoisyExplorer[RewardModulatedHebbian]):
    def __init__(
        self,
        rule: RewardModulatedHebbian,
        network: Network,
        head: PolicyHead,
        batch: int,
    ) -> None:
        super().__init__(rule, network, head, batch)
        self._passes = self._make_passes(network, batch)

    def _make_passes(self, network: Network, batch: int) -> AnyPasses:
        return make_passes(network, batch, 1, self._memory)

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """Act with noise; return the choice [B, A] and a function for the rows."""
        sigma = self._rule.sigma
        z = self._passes.run(observation, noise, sigma)
        choice = self._head.draw(z[1], generator)

        def rows() -> tuple[Array, Array]:
            return self._post(noise, sigma)[None], self._passes.presynaptic()[None]

        return choice, rows

    def _post(self, noise: Array, sigma: float) -> Array:
        noise *= sigma
        return noise


@dataclass
class RunningMeanState:
    """The running mean of every neuron's pre-activation.

    Attributes:
        mean: [B, N].
        started: whether there was a first step, which sets it.
    """

    mean: Array
    started: bool = False


class _EstimatingExplorer(_Explorer):
    """Keeps a running mean of every neuron's pre-activation, for each instance."""

    def __init__(
        self, rule: RewardModulatedHebbian, network: Network, head: PolicyHead, batch: int
    ) -> None:
        super().__init__(rule, network, head, batch)
        mean = np.zeros((batch, network.spec.noise_components), network.dtype)
        self._mean = RunningMeanState(mean)
        self.state = self.remembered(self._mean)

    def _make_passes(self, network: Network, batch: int) -> AnyPasses:
        if network.spec.neuron == 'rate':
            passes: Any = ForwardPass(network, batch, 1, keeps_preactivation=True)
            self._preactivation = passes.preactivation()
            return passes  # type: ignore[no-any-return]
        made = super()._make_passes(network, batch)
        assert isinstance(made, KeepsPreactivation)
        self._preactivation = made.keep_preactivation()
        return made

    def _post(self, noise: Array, sigma: float) -> Array:
        activation, state = self._preactivation, self._mean
        if not state.started:
            state.mean[...] = activation
            state.started = True
        estimate: Array = activation - state.mean
        state.mean += self._rule.estimate_rate * estimate
        return estimate
