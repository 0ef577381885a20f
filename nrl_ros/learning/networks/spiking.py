"""Hidden layers of leaky integrate-and-fire neurons with noise in the membrane.

For each observation every hidden neuron is simulated for ``steps`` steps from rest:

``v <- decay v + a``, a spike where ``v >= 1``, then ``v <- v - 1`` there,

with the input ``a_t = W s_t + xi``: s_t the spikes of the layer below (the observation itself in
the first layer), xi noise that is held for all steps. The outputs weigh mean spike counts and take
noise too. The rule needs no derivative of the spike: its estimate ``E[N rho xi / |xi|^2]`` is
exactly the gradient of ``log pi`` smoothed by ``U^(1/N) xi``, U uniform on 0 to 1, which for many
neurons is smoothing by the noise itself: useful as long as sigma is of the order of what a spike
more or less takes (0.1 to 0.5), not infinitesimal.

References:
    Gerstner, Kistler, Naud, Paninski 2014, "Neuronal dynamics", section 1.3.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.learning.networks.feed_forward import Network

Array = NDArray[Any]

_STEPS, _DECAY = 10, 0.8


def steps_and_decay(network: Network) -> tuple[int, float]:
    """Return for how many steps an observation is shown, and the decay of the membranes in each."""
    options = dict(network.spec.options)
    return options.get('steps', _STEPS), options.get('decay', _DECAY)


class SpikingPasses:
    """``forward_pass.ForwardPass`` with spiking hidden neurons, as the module describes them.

    Args:
        network: whose weights are used.
        instances: B.
        samples: K, noisy passes per clean one; 0 for acting without noise.
        steps: for which each observation is shown [1].
        decay: factor of the membrane potential in each of them [1].
    """

    def __init__(
        self,
        network: Network,
        instances: int,
        samples: int,
        *,
        steps: Annotated[int, Field(ge=1, le=1000)] = _STEPS,
        decay: Annotated[float, Field(ge=0, le=1)] = _DECAY,
    ) -> None:
        self._decay = decay
        spec, dtype = network.spec, network.dtype
        self._network = network
        self._instances = instances
        self._samples = samples
        self._bias = int(spec.bias)
        self._rows = rows = instances * (1 + samples)
        self._observation = np.ones((rows, spec.inputs + self._bias), dtype)
        # With a bias there is one more column than neurons; it stays 1.
        self._spikes = [np.ones((steps, rows, n + self._bias), dtype) for n in spec.hidden]
        self._noise = np.zeros((rows, spec.noise_components), dtype)
        kept = instances * max(samples, 1)
        self._presynaptic = np.empty((kept, spec.input_components), dtype)

    def run(self, observation: Array, unit_noise: Array | None, sigma: float) -> Array:
        """Return outputs [1 + K, B, n]; entry 0 is the clean pass."""
        network, spec = self._network, self._network.spec
        repeated = self._observation.reshape(1 + self._samples, self._instances, -1)
        repeated[..., : spec.inputs] = observation
        if unit_noise is not None:
            np.multiply(unit_noise, sigma, out=self._noise[self._instances :])
        activity: Array = self._observation
        for layer, spikes in enumerate(self._spikes):
            current = activity @ network.weights[layer].T
            current += self._noise[:, spec.noise_slices[layer]]
            self._fire(current, spikes[..., : spec.hidden[layer]])
            activity = spikes
        if activity.ndim == 3:
            activity = activity.mean(axis=0)
        z: Array = activity @ network.weights[-1].T
        z += self._noise[:, spec.noise_slices[-1]]
        return z.reshape(1 + self._samples, self._instances, -1)

    def _fire(self, current: Array, spikes: Array) -> None:
        """Write the spikes [steps, rows, n] of an input current [rows, n] or [steps, rows, n]."""
        membrane = np.zeros_like(spikes[0])
        for step, fired in enumerate(spikes):
            membrane *= self._decay
            membrane += current if current.ndim == 2 else current[step]
            np.greater_equal(membrane, 1.0, out=fired, casting='unsafe')
            membrane -= fired

    def presynaptic(self) -> Array:
        """Return all layers' inputs in the noisy passes [K * B, M]; in the clean one if K is 0.

        Those of spiking neurons are mean spike counts.
        """
        spec, first = self._network.spec, self._instances if self._samples else 0
        out, slices = self._presynaptic, spec.input_slices
        out[:, slices[0]] = self._observation[first:]
        for spikes, where in zip(self._spikes, slices[1:], strict=True):
            out[:, where] = spikes[:, first:].mean(axis=0)
        return out
