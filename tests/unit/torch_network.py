"""A policy that is a torch module: a network of another package, as an entry point would name it.

The product imports no torch. What it asks of a network is ``run`` and ``presynaptic``; the module
computes with the learner's own weights, so that each change of them is in its next pass.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import nn

from nrl_ros.learning.networks.feed_forward import Network

Array = NDArray[Any]
_ACTIVATIONS = {
    'tanh': torch.tanh,
    'softsign': nn.functional.softsign,
    'leaky_relu': lambda x: nn.functional.leaky_relu(x, 0.1),
}


class TorchNetwork(nn.Module):
    """Layers without bias of their own, with noise in what they give.

    Args:
        network: whose weights the layers share.
        activation: between them.
    """

    def __init__(self, network: Network, activation: str) -> None:
        super().__init__()
        self._spec, self._activation = network.spec, _ACTIVATIONS[activation]
        self.layers = nn.ModuleList()
        for weight in network.weights:
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
            layer.weight = nn.Parameter(torch.from_numpy(weight))
            self.layers.append(layer)

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return outputs [P, B, n] and the inputs of all layers [P, B, M].

        Args:
            x: observations [P, B, O].
            noise: added to what the neurons of all layers take in [P, B, N].
        """
        seen = []
        for layer, where in zip(self.layers, self._spec.noise_slices, strict=True):
            if self._spec.bias:
                x = torch.cat([x, torch.ones_like(x[..., :1])], dim=-1)
            seen.append(x)
            before = layer(x) + noise[..., where]
            x = self._activation(before)
        return before, torch.cat(seen, dim=-1)


class TorchPasses:
    """The passes of a torch module, as the learner asks for them.

    Args:
        network: whose weights are used.
        instances: B.
        samples: K.
        activation: between the layers.
    """

    def __init__(
        self,
        network: Network,
        instances: int,
        samples: int,
        *,
        activation: Literal['tanh', 'softsign', 'leaky_relu'] = 'tanh',
    ) -> None:
        self.module = TorchNetwork(network, activation)
        self._kind = self.module.layers[0].weight.dtype
        self._shape = (1 + samples, instances, -1)
        self._noise = torch.zeros(1 + samples, instances, network.spec.noise_components).to(
            self._kind
        )
        self._seen = torch.zeros(0)

    @torch.no_grad()
    def run(self, observation: Array, unit_noise: Array | None, sigma: float) -> Array:
        """Outputs [1 + K, B, n]; entry 0 is the clean pass."""
        x = torch.as_tensor(observation).to(self._kind).expand(self._shape)
        if unit_noise is not None:
            self._noise[1:] = sigma * torch.from_numpy(unit_noise).reshape(self._noise[1:].shape)
        outputs, self._seen = self.module(x, self._noise)
        return outputs.numpy()

    def presynaptic(self) -> Array:
        """Inputs of every layer in the noisy passes [K * B, M]; in the clean one where K is 0."""
        noisy = self._seen[1:] if len(self._seen) > 1 else self._seen
        return noisy.flatten(0, 1).numpy()
