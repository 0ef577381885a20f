"""Makes the passes of a network, by the name of its neurons."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from nrl_ros.base.registry import Registry
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.networks.forward_pass import ForwardPass
from nrl_ros.learning.networks.settings import NetworkSettings
from nrl_ros.learning.networks.spiking import SpikingPasses

Array = NDArray[Any]


class AnyPasses(Protocol):
    """Clean and noisy passes of B instances, with the methods of ``forward_pass.ForwardPass``."""

    def run(self, observation: Array, unit_noise: Array | None, sigma: float) -> Array:
        """Return outputs [1 + K, B, n]; entry 0 is the clean pass. Valid until the next call."""
        ...

    def presynaptic(self) -> Array:
        """Return all layers' inputs in the noisy passes [K * B, M]; in the clean one if K is 0."""
        ...


def _rate(network: Network, instances: int, samples: int) -> AnyPasses:
    """Return the passes of LeakyReLU neurons; the registry reads the arguments of this function."""
    passes: AnyPasses = ForwardPass(network, instances, samples)
    return passes


# Keys are the names of neurons in settings. A new kind is one more file and one more line here.
NETWORKS: Registry[AnyPasses] = Registry(
    'neuron',
    'nrl_ros.networks',
    {'rate': _rate, 'spiking': SpikingPasses},
    arguments=3,
    parts=('run', 'presynaptic'),
)


def check_neuron(settings: NetworkSettings) -> None:
    """Check that there are such neurons, with such options.

    Raises:
        ConfigError: there are none, or an option is unknown, of another type, or out of range.
    """
    NETWORKS.check(settings.neuron, settings.options)


def make_passes(network: Network, instances: int, samples: int) -> AnyPasses:
    """Make the working memory for the passes of a network.

    Args:
        network: whose weights are used; its arrays must stay the same ones.
        instances: B.
        samples: K, noisy passes per clean one; 0 for acting without noise.
    """
    spec = network.spec
    return NETWORKS.make(spec.neuron, network, instances, samples, options=dict(spec.options))
