"""REINFORCE by backpropagation: the exact gradient that the other rules estimate."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.interfaces import Explorer, Rows
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.networks.passes import Differentiable
from nrl_ros.learning.rules.base import GreedyExplorer, NoiseRule

Array = NDArray[Any]


class Backpropagation(NoiseRule):
    """Eligibility ``e_l <- e_l + d log pi(a|s) / d a_l x_{l-1}T``, the exact gradient.

    Other rules are compared with it, since it uses the same reward-prediction error: the update is
    ``eta delta sum_t grad log pi(a_t|s_t)``. There is no noise, so sigma, norm and step scale are
    ignored.

    References:
        Williams 1992, "Simple statistical gradient-following algorithms for connectionist
        reinforcement learning", eq. 11.
    """

    name: ClassVar[str] = 'backpropagation'

    def noise_size(self, spec: NetworkSpec, batch: int) -> tuple[int, int]:
        """Return 0 rows and 0 components, since there is no noise."""
        return 0, spec.noise_components

    def scales(self, spec: NetworkSpec) -> list[float]:
        """Return 1 for each layer, since the gradient is exact."""
        return [1.0] * len(spec.shapes)

    def explorer(self, network: Network, head: PolicyHead, *, batch: int, source: int) -> Explorer:
        """Put the rule to work for one agent; actions always come from the clean pass.

        Raises:
            ConfigError: the network has spiking neurons, which have no gradient.
        """
        explorer = _Explorer(network, head, batch)
        if network.spec.neuron != 'rate' and explorer.differentiable is None:
            raise ConfigError(
                f'backpropagation: {network.spec.neuron} neurons have no gradient, '
                "expected network.neuron 'rate'"
            )
        return explorer


def backpropagate(network: Network, presynaptic: Array, gradient: Array, out: Array) -> Array:
    """Compute the gradient of a function of the outputs with respect to all pre-activations.

    Args:
        network: whose weights are used.
        presynaptic: inputs of every layer in the clean pass [B, M].
        gradient: with respect to the outputs [B, n].
        out: [B, N], overwritten.

    Returns:
        ``out``.
    """
    spec = network.spec
    out[:, spec.noise_slices[-1]] = gradient
    for layer in range(len(network.weights) - 1, 0, -1):
        weight = network.weights[layer]
        back = out[:, spec.noise_slices[layer]] @ weight
        below = spec.noise_slices[layer - 1]
        width = below.stop - below.start
        start = spec.input_slices[layer].start
        # LeakyReLU keeps the sign, so the activity shows which slope applies. The bias has no
        # neuron below.
        active = presynaptic[:, start : start + width] > 0.0
        np.multiply(back[:, :width], np.where(active, 1.0, spec.leak), out=out[:, below])
    return out


class _Explorer(GreedyExplorer):
    def __init__(self, network: Network, head: PolicyHead, batch: int) -> None:
        super().__init__(network, head, batch)
        self._network = network
        self._post = np.zeros((batch, network.spec.noise_components), network.dtype)
        quiet = self._quiet
        self.differentiable = quiet if isinstance(quiet, Differentiable) else None

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """Act by the clean policy; return the choice and a function for its exact gradient."""
        own = self.differentiable
        if own is not None:
            z = own.run_differentiable(observation)
        else:
            z = self._quiet.run(observation, None, 0.0)[0]
        choice = self._head.draw(z, generator)

        def rows() -> tuple[Array, Array]:
            pre, gradient = self._quiet.presynaptic(), self._head.gradient(z, choice)
            if own is not None:
                return own.backpropagate(gradient)[None], pre[None]
            return backpropagate(self._network, pre, gradient, self._post)[None], pre[None]

        return choice, rows
