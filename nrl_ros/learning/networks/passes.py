"""Makes the passes of a network, by the name of its neurons."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from nrl_ros.base.registry import Registry
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.networks.forward_pass import ForwardPass
from nrl_ros.learning.networks.hardware import NoisyReading
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


@runtime_checkable
class MakesPasses(Protocol):
    """A network that has passes of its own kind."""

    def make_passes(self, instances: int, samples: int, memory: Array | None) -> AnyPasses:
        """Make the working memory for its passes; arguments are those of ``make_passes``."""
        ...


@runtime_checkable
class Differentiable(Protocol):
    """Passes that know the gradient of their own clean outputs."""

    def run_differentiable(self, observation: Array) -> Array:
        """Return the clean outputs [B, n]; ``backpropagate`` may follow."""
        ...

    def backpropagate(self, gradient: Array) -> Array:
        """Return the gradient with respect to all pre-activations [B, N], from that of outputs."""
        ...


@runtime_checkable
class KeepsPreactivation(Protocol):
    """Passes that can keep the pre-activations of their noisy passes."""

    def keep_preactivation(self) -> Array:
        """Return the array [K * B, N] to which each pass from now on writes them."""
        ...


@runtime_checkable
class Disturbable(Protocol):
    """Passes that can be run with weights that differ between instances."""

    def disturbed(self, observation: Array, noise: Array, sigma: float) -> Array:
        """Return outputs [B, n] with weights ``W + sigma z``, noise z being [B, W]."""
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


def make_passes(
    network: Network,
    instances: int,
    samples: int,
    memory: Array | None = None,
    *,
    exact: bool = False,
) -> AnyPasses:
    """Make the working memory for the passes of a network.

    Args:
        network: whose weights are used; its arrays must stay the same ones.
        instances: B.
        samples: K, noisy passes per clean one; 0 for acting without noise.
        memory: [B, H], what the instances remember from step to step; None: nothing.
        exact: read the weights without the noise of imperfect hardware, of which a run would have
            drawn other numbers afterwards.
    """
    spec = network.spec
    if isinstance(network, MakesPasses):
        passes = network.make_passes(instances, samples, memory)
    else:
        options = dict(spec.options)
        passes = NETWORKS.make(spec.neuron, network, instances, samples, options=options)
    hardware = network.hardware
    if exact or hardware is None or not hardware.reads_noisily:
        return passes
    return NoisyReading(passes, network, hardware, samples=samples, memory=memory)
