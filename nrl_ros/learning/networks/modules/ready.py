"""Torch modules that come along: dense, convolutional, recurrent, spiking."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import nn

from nrl_ros.base.errors import ConfigError

Tensor = torch.Tensor
Activation = Literal['leaky_relu', 'relu', 'tanh', 'silu']

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    'relu': nn.ReLU,
    'tanh': nn.Tanh,
    'silu': nn.SiLU,
}


def _activation(name: str, leak: float = 0.1) -> nn.Module:
    return nn.LeakyReLU(leak) if name == 'leaky_relu' else _ACTIVATIONS[name]()


def _linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """Return a layer with the first weights of the dense network of nrl_ros; biases are 0."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, std=(2.0 / (inputs + outputs)) ** 0.5)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class Dense(nn.Sequential):
    """Dense layers, as ``network.kind: dense`` has them; with other activations too.

    Args:
        inputs: O.
        outputs: n.
        hidden_sizes: neurons of each hidden layer.
        activation: of the hidden layers.
        leak: slope of the LeakyReLU below zero [1].
        bias: of every layer.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden_sizes: tuple[PositiveInt, ...] = (64,),
        activation: Activation = 'leaky_relu',
        leak: Annotated[float, Field(ge=0, le=1)] = 0.1,
        bias: bool = True,
    ) -> None:
        sizes = [inputs, *hidden_sizes]
        parts: list[nn.Module] = []
        for below, above in zip(sizes[:-1], sizes[1:], strict=True):
            parts += [_linear(below, above, bias=bias), _activation(activation, leak)]
        super().__init__(*parts, _linear(sizes[-1], outputs, bias=bias))


class Convolutional(nn.Module):
    """Two convolutions and a dense layer, for small images.

    Every output of a convolution takes noise, and the estimate of a rule by noise is worse the more
    there are. Large strides keep them few.

    Args:
        inputs: O, all numbers of an image, which comes as one row.
        outputs: n.
        image: its shape, flattened in this order; empty: as the environment says it.
        order: of these axes: rows, columns and channels, or channels first.
        channels: of both convolutions.
        kernels: side of the squares that they look at [pixels].
        strides: from one square to the next [pixels].
        hidden_size: neurons of the dense layer.
        scale: factor of the numbers of an image; bytes come as 0 to 1 already [1].
        observation_shape: as the environment says it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        image: tuple[PositiveInt, ...] = (),
        order: Literal['hwc', 'chw'] = 'hwc',
        channels: tuple[PositiveInt, PositiveInt] = (16, 16),
        kernels: tuple[PositiveInt, PositiveInt] = (3, 3),
        strides: tuple[PositiveInt, PositiveInt] = (1, 2),
        hidden_size: PositiveInt = 64,
        scale: Annotated[float, Field(gt=0)] = 1.0,
        observation_shape: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        image = image or observation_shape
        if len(image) == 2:
            image = (*image, 1) if order == 'hwc' else (1, *image)
        if len(image) != 3:
            raise ConfigError(
                f'network.options.image {image}: expected height, width and channels of the '
                'image; the environment does not say its shape'
            )
        if image[0] * image[1] * image[2] != inputs:
            raise ConfigError(
                f'network.options.image {image}: expected {inputs} numbers, as many as an '
                'observation of the environment has'
            )
        self._image, self._order, self._scale = image, order, scale
        depth, *size = image if order == 'chw' else (image[2], image[0], image[1])
        convolutions = []
        for given, made, kernel, stride in zip(
            (depth, channels[0]), channels, kernels, strides, strict=True
        ):
            padding = kernel // 2
            convolutions.append(nn.Conv2d(given, made, kernel, stride=stride, padding=padding))
            size = [(side + 2 * padding - kernel) // stride + 1 for side in size]
        self.first, self.second = convolutions
        flat = channels[1] * size[0] * size[1]
        self.hidden = _linear(flat, hidden_size)
        self.output = _linear(hidden_size, outputs)
        self._activation = nn.LeakyReLU(0.1)

    def forward(self, observation: Tensor) -> Tensor:
        """Return outputs [R, n] of observations [R, O]."""
        image = observation.reshape(-1, *self._image) * self._scale
        if self._order == 'hwc':
            # A convolution of a view whose channels lie last takes longer than this copy and it.
            image = image.permute(0, 3, 1, 2).contiguous()
        active = self._activation(self.second(self._activation(self.first(image))))
        return self.output(self._activation(self.hidden(active.flatten(1))))  # type: ignore[no-any-return]


class Spiking(nn.Module):
    """Leaky integrate-and-fire neurons whose membranes go on from step to step of an episode.

    At each step of the environment ``v <- decay v + W s``, a spike where ``v >= 1``, then
    ``v <- v - 1`` there. It is the network of ``network.neuron: spiking``, which shows each
    observation for several steps from rest; here one step is one action. Noise enters the
    membranes. A spike has no derivative and needs none: a rule by noise estimates the gradient of
    the policy smoothed by the noise, so sigma is to be of the order of what a spike more or less
    takes (0.1 to 0.5). Backpropagation finds no gradient below the outputs.

    Args:
        inputs: O.
        outputs: n.
        hidden_sizes: neurons of each hidden layer.
        bias: of every layer.
        decay: factor of the membrane potential in each step [1].

    Attributes:
        memory_size: membrane potentials that an instance remembers.

    References:
        Gerstner, Kistler, Naud, Paninski 2014, "Neuronal dynamics", section 1.3.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden_sizes: tuple[PositiveInt, ...] = (64,),
        bias: bool = True,
        decay: Annotated[float, Field(ge=0, le=1)] = 0.8,
    ) -> None:
        super().__init__()
        sizes = (inputs, *hidden_sizes)
        self.memory_size = sum(hidden_sizes)
        self.hidden = nn.ModuleList(
            _linear(below, above, bias=bias)
            for below, above in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.output = _linear(sizes[-1], outputs, bias=bias)
        self._sizes, self._decay = hidden_sizes, decay

    def forward(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs [R, n] and the membrane potentials [R, H]."""
        given, kept = observation, []
        membranes = torch.split(memory, list(self._sizes), dim=1)
        for layer, before in zip(self.hidden, membranes, strict=True):
            membrane = self._decay * before + layer(given)
            given = (membrane >= 1.0).to(membrane.dtype)
            kept.append(membrane - given)
        return self.output(given), torch.cat(kept, dim=1)


class GatedCell(nn.Module):
    """A gated recurrent unit of two Linear layers, so that noise enters its gates.

    Args:
        inputs: of the cell.
        size: H, numbers that it remembers.

    References:
        Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder", section 2.3,
        with the reset gate after the product, as torch's GRUCell.
    """

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.of_input = _linear(inputs, 3 * size)
        self.of_memory = _linear(size, 3 * size)

    def forward(self, given: Tensor, memory: Tensor) -> Tensor:
        """Return the new memory [R, H] from inputs [R, I] and the memory before [R, H]."""
        reset, update, candidate = self.of_input(given).chunk(3, dim=1)
        own_reset, own_update, own_candidate = self.of_memory(memory).chunk(3, dim=1)
        update = torch.sigmoid(update + own_update)
        candidate = torch.tanh(candidate + torch.sigmoid(reset + own_reset) * own_candidate)
        return (1.0 - update) * candidate + update * memory


class Recurrent(nn.Module):
    """A gated recurrent cell with a linear readout.

    Args:
        inputs: O.
        outputs: n.
        size: H, numbers that an instance remembers.

    Attributes:
        memory_size: H.
    """

    def __init__(self, inputs: int, outputs: int, *, size: PositiveInt = 32) -> None:
        super().__init__()
        self.memory_size = size
        self.cell = GatedCell(inputs, size)
        self.output = _linear(size, outputs)

    def forward(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs [R, n] and the new memory [R, H]."""
        memory = self.cell(observation, memory)
        return self.output(memory), memory
