"""A dense network in tensors, which the rules of ``learning/rules`` take as they take numpy's."""

from __future__ import annotations

from typing import Any

import torch

from nrl_ros.base.torch_arrays import TorchArrays
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec

Tensor = torch.Tensor


def layers_of(flat: Tensor, spec: NetworkSpec) -> list[Tensor]:
    """Return views [out, in] of all weights, which lie side by side [W]."""
    parts = zip(spec.weight_slices, spec.shapes, strict=True)
    return [flat[where].view(shape) for where, shape in parts]


class DeviceNetwork(Network):
    """A dense network whose weights are views of one tensor.

    Args:
        spec: sizes.
        flat: all weights side by side [W]; it stays the same one.
        arrays: of its device.
    """

    def __init__(self, spec: NetworkSpec, flat: Tensor, arrays: TorchArrays) -> None:
        layers: list[Any] = layers_of(flat, spec)
        super().__init__(spec, layers)
        self.arrays, self._flat = arrays, flat

    def read(self) -> list[Tensor]:
        """Return the weights of the layers [out, in].

        A compiler fuses less around views that it is given beside what they are views of, so that
        they are made anew there.
        """
        kept: list[Any] = self.weights
        return layers_of(self._flat, self.spec) if self.arrays.traced else kept

    def make_passes(self, instances: int, samples: int, memory: Any) -> Any:
        """Make its passes; arguments are those of ``networks.passes.make_passes``."""
        return DevicePasses(self, instances, samples)


class DevicePasses:
    """``forward_pass.ForwardPass`` in tensors.

    ``a_l = W_l x_{l-1}`` in the clean pass, ``a_l = W_l x_{l-1} + xi_l`` in the noisy ones, and
    ``x_l = LeakyReLU(a_l)`` below the output layer.

    Args:
        network: whose weights are used.
        instances: B.
        samples: K, noisy passes per clean one; 0 for acting without noise.
    """

    def __init__(self, network: DeviceNetwork, instances: int, samples: int) -> None:
        self._network, self._shape = network, (samples, instances, -1)
        self._noisy = int(samples > 0)
        self._inputs: list[Tensor] = []

    def run(self, observation: Tensor, unit_noise: Tensor | None, sigma: float) -> Tensor:
        """Return outputs [1 + K, B, n]; entry 0 is the clean pass.

        Args:
            observation: [B, O].
            unit_noise: z, [K * B, N]; None when K is 0.
            sigma: standard deviation of the noise [1].
        """
        spec, weights = self._network.spec, self._network.read()
        noise = None
        if unit_noise is not None:
            noise = unit_noise if sigma == 1.0 else unit_noise * sigma
            noise = noise.reshape(self._shape)
        first = _with_one(observation, spec)
        # The observation carries no noise, so that its product is the same in every pass.
        active: Tensor = (first @ weights[0].T)[None]
        self._inputs = [first.expand(max(self._shape[0], 1), *first.shape)]
        for layer, where in enumerate(spec.noise_slices):
            if layer:
                active = _with_one(torch.nn.functional.leaky_relu(active, spec.leak), spec)
                self._inputs.append(active[self._noisy :])
                active = active @ weights[layer].T
            if noise is not None:
                part = noise[..., where]
                noisy = part + (active if layer == 0 else active[1:])
                active = torch.cat([active[:1], noisy])
        return active

    def presynaptic(self) -> Tensor:
        """Return all layers' inputs in the noisy passes [K * B, M]; in the clean one if K is 0."""
        return torch.cat(self._inputs, -1).flatten(0, 1)


def _with_one(rows: Tensor, spec: NetworkSpec) -> Tensor:
    return torch.cat([rows, torch.ones_like(rows[..., :1])], -1) if spec.bias else rows
