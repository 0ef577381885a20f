"""A feed-forward policy network whose every neuron takes noise; all passes in one batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nrl_ros.base.errors import ConfigError, ShapeError
from nrl_ros.base.records import ObservationFormat
from nrl_ros.learning.networks.hardware import Hardware
from nrl_ros.learning.networks.settings import NetworkSettings

Array = NDArray[Any]

_DEFAULTS = NetworkSettings()


@dataclass(frozen=True)
class NetworkSpec:
    """Sizes of a network.

    Attributes:
        inputs: observation size O.
        hidden: neurons of each hidden layer, at least one layer or none.
        outputs: parameters of the policy head.
        bias: give each layer one more input that is always 1.
        leak: slope of the LeakyReLU below zero [1], in [0, 1].
        neuron: of the hidden layers, a name in ``passes.NETWORKS``.
        options: of those neurons, by name.

    Raises:
        ConfigError: a layer without neurons.
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    bias: bool = _DEFAULTS.bias
    leak: float = _DEFAULTS.leak
    neuron: str = _DEFAULTS.neuron
    options: tuple[tuple[str, Any], ...] = ()
    # True if a step adds outer products [out, in], which the compiled traces are made for.
    outer: ClassVar[bool] = True

    @classmethod
    def of(cls, settings: NetworkSettings, inputs: int, outputs: int) -> NetworkSpec:
        """Return the sizes of a network as its settings say, between these inputs and outputs."""
        return cls(
            inputs,
            settings.hidden_sizes,
            outputs,
            bias=settings.bias,
            leak=settings.leak,
            neuron=settings.neuron,
            options=tuple(sorted(settings.options.items())),
        )

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.inputs, self.outputs, *self.hidden, 1) < 1:
            raise ConfigError(
                f'layer sizes must be at least 1, received {self.inputs}, '
                f'{self.hidden}, {self.outputs}'
            )

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """(out, in) of each weight matrix; ``in`` counts the bias."""
        sizes = (self.inputs, *self.hidden, self.outputs)
        return [(n_out, n_in + self.bias) for n_in, n_out in pairwise(sizes)]

    @cached_property
    def widths(self) -> list[int]:
        """Noisy neurons of the layer of each weight matrix."""
        return [n_out for n_out, _ in self.shapes]

    @cached_property
    def noise_slices(self) -> list[slice]:
        """Slice of each layer's neurons among all N noisy ones."""
        return _slices([n_out for n_out, _ in self.shapes])

    @cached_property
    def input_slices(self) -> list[slice]:
        """Slice of each layer's inputs among all M presynaptic activities."""
        return _slices([n_in for _, n_in in self.shapes])

    @cached_property
    def noise_components(self) -> int:
        """N, neurons that take noise: all hidden and output ones."""
        return sum(n_out for n_out, _ in self.shapes)

    @cached_property
    def input_components(self) -> int:
        """M, presynaptic activities over all layers."""
        return sum(n_in for _, n_in in self.shapes)

    @cached_property
    def weight_count(self) -> int:
        """Weights over all layers, biases included."""
        return sum(math.prod(shape) for shape in self.shapes)

    @cached_property
    def weight_slices(self) -> list[slice]:
        """Slice of each layer's weights among all of them, side by side."""
        return _slices([math.prod(shape) for shape in self.shapes])

    def add_products(self, total: list[Array], post: Array, pre: Array) -> None:
        """Add what rows of a trace stand for: the sum of their outer products, layer by layer.

        Args:
            total: one array of ``shapes`` each; changed.
            post: postsynaptic rows [R, N].
            pre: presynaptic rows [R, M].
        """
        for part, out, where in zip(total, self.noise_slices, self.input_slices, strict=True):
            part += post[:, out].T @ pre[:, where]


def _slices(sizes: list[int]) -> list[slice]:
    ends = np.cumsum([0, *sizes]).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def xavier_normal(
    spec: NetworkSpec, generator: np.random.Generator, dtype: DTypeLike = np.float32
) -> list[Array]:
    """Draw weights with standard deviation sqrt(2 / (in + out)); biases are 0.

    As in Glorot and Bengio 2010, eq. 12, but from a normal distribution.

    Returns:
        One matrix [out, in] for each layer.
    """
    weights = []
    for n_out, n_in in spec.shapes:
        fan_in = n_in - spec.bias
        weight = generator.standard_normal((n_out, n_in)) * np.sqrt(2.0 / (fan_in + n_out))
        if spec.bias:
            weight[:, -1] = 0.0
        weights.append(np.ascontiguousarray(weight, dtype))
    return weights


class Network:
    """Weights of a policy; the passes live in ``forward_pass.ForwardPass``, one per batch size.

    Args:
        spec: sizes.
        weights: one matrix [out, in] a layer; changed in place by plasticity.

    Attributes:
        fixed: arrays besides the weights that its outputs depend on, by name.
        averaged: a network of the same sizes whose weights are a running mean of these, for acting
            without noise; None: these weights act themselves.
        observation_shape: of one observation, where the environment says it; empty: a row.
        observation_format: of the observations that it was made for.
        hardware: keeps the weights imperfectly; None: they are kept exactly.
        reads_bytes: its passes take bytes as they come, and scale them themselves.
        arrays: functions for its arrays: the module ``numpy``, or a ``TorchArrays``.

    Raises:
        ShapeError: the weights do not fit the spec.
    """

    averaged: Network | None = None
    fixed: Mapping[str, Array] = MappingProxyType({})
    observation_shape: tuple[int, ...] = ()
    observation_format: ObservationFormat = ObservationFormat.FLOAT32
    hardware: Hardware | None = None
    reads_bytes: ClassVar[bool] = False
    arrays: Any = np

    def __init__(self, spec: NetworkSpec, weights: list[Array]) -> None:
        received = [tuple(weight.shape) for weight in weights]
        if received != spec.shapes:
            raise ShapeError(f'weights of {spec}: expected {spec.shapes}, received {received}')
        self.spec = spec
        self.weights = weights
        self.dtype = weights[0].dtype

    def changed(self) -> None:
        """Note that the arrays in ``weights`` were written, for a network that has copies."""

    @property
    def layers(self) -> list[tuple[Array, Array | None]]:
        """Weights [out, in] and biases [out] of each layer, views; None where there is no bias."""
        if not self.spec.bias:
            return [(weight, None) for weight in self.weights]
        return [(weight[:, :-1], weight[:, -1]) for weight in self.weights]

    @property
    def memory_size(self) -> int:
        """Numbers that an instance remembers from one step of an episode to the next."""
        return 0
