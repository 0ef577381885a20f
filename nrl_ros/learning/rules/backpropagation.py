"""REINFORCE by backpropagation: the exact gradient that the other rules estimate."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.interfaces import Explorer, Rows
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.networks.passes import AnyPasses, Differentiable
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
        if not explorer.exact.known:
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
    spec, do = network.spec, network.arrays
    out[:, spec.noise_slices[-1]] = gradient
    above, below_zero = (do.full((), slope, do.float64) for slope in (1.0, spec.leak))
    for layer in range(len(network.weights) - 1, 0, -1):
        weight = network.weights[layer]
        back = out[:, spec.noise_slices[layer]] @ weight
        below = spec.noise_slices[layer - 1]
        width = below.stop - below.start
        start = spec.input_slices[layer].start
        # LeakyReLU keeps the sign, so the activity shows which slope applies. The bias has no
        # neuron below.
        active = presynaptic[:, start : start + width] > 0.0
        out[:, below] = back[:, :width] * do.where(active, above, below_zero)
    return out


class ExactGradient:
    """Gradients of functions of a network's clean outputs, of B states in one call.

    Args:
        network: whose weights are used.
        passes: clean ones of B instances.

    Attributes:
        known: False if the network has none, such as one of spiking neurons.
    """

    def __init__(self, network: Network, passes: AnyPasses) -> None:
        self._network, self._passes = network, passes
        self._own = passes if isinstance(passes, Differentiable) else None
        self._post: Array = np.zeros(0)
        self.known = self._own is not None or network.spec.neuron == 'rate'

    def run(self, observation: Array) -> Array:
        """Return the clean outputs [B, n] in states [B, O]; ``of`` may follow."""
        if self._own is not None:
            return self._own.run_differentiable(observation)
        z: Array = self._passes.run(observation, None, 0.0)[0]
        return z

    def of(self, gradient: Array) -> Array:
        """Return the gradient with respect to all pre-activations [B, N], valid until the next.

        Args:
            gradient: with respect to the outputs [B, n].
        """
        if self._own is not None:
            return self._own.backpropagate(gradient)
        shape = len(gradient), self._network.spec.noise_components
        if self._post.shape != shape:
            self._post = self._network.arrays.zeros(shape, self._network.dtype)
        return backpropagate(self._network, self._passes.presynaptic(), gradient, self._post)


class _Explorer(GreedyExplorer):
    def __init__(self, network: Network, head: PolicyHead, batch: int) -> None:
        super().__init__(network, head, batch)
        self.exact = ExactGradient(network, self._quiet)

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """Act by the clean policy; return the choice and a function for its exact gradient."""
        z = self.exact.run(observation)
        choice = self._head.draw(z, generator)

        def rows() -> tuple[Array, Array]:
            post = self.exact.of(self._head.gradient(z, choice))
            return post[None], self._quiet.presynaptic()[None]

        return choice, rows
