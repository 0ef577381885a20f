"""The passes that suit a network: compiled for small ones, numpy for large ones."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from nrl_ros.learning.kernels.library import NativePasses, suits
from nrl_ros.learning.networks.feed_forward import Network, Passes
from nrl_ros.learning.networks.spiking import SpikingPasses

Array = NDArray[Any]


class AnyPasses(Protocol):
    """Clean and noisy passes of B instances; see ``network.Passes``."""

    def run(self, observation: Array, unit_noise: Array | None, sigma: float) -> Array:
        """Outputs [1 + K, B, n]; entry 0 is the clean pass. Valid until the next call."""
        ...

    def presynaptic(self) -> Array:
        """Inputs of every layer in the noisy passes [K * B, M]; in the clean one where K is 0."""
        ...


def make_passes(network: Network, instances: int, samples: int) -> AnyPasses:
    """Working memory for the passes of a network.

    Args:
        network: whose weights are used; its arrays must stay the same ones.
        instances: B.
        samples: K, noisy passes per clean one; 0 for acting without noise.
    """
    if network.spec.neuron == 'spiking':
        return SpikingPasses(network, instances, samples)
    kind = NativePasses if suits(network) else Passes
    return kind(network, instances, samples)
