"""A feed-forward policy network whose every neuron takes noise; all passes in one batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nrl_ros.base.errors import ConfigError, ShapeError
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
        return sum(n_out * n_in for n_out, n_in in self.shapes)


def _slices(sizes: list[int]) -> list[slice]:
    ends = np.cumsum([0, *sizes]).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def xavier_normal(
    spec: NetworkSpec, generator: np.random.Generator, dtype: DTypeLike = np.float32
) -> list[Array]:
    """Weights with standard deviation sqrt(2 / (in + out)), biases 0.

    As Glorot and Bengio 2010, eq. 12, but normal.

    Returns:
        One matrix [out, in] a layer.
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
    """Weights of a policy; the passes live in ``Passes``, one per batch size.

    Args:
        spec: sizes.
        weights: one matrix [out, in] a layer; changed in place by plasticity.

    Raises:
        ShapeError: the weights do not fit the spec.
    """

    def __init__(self, spec: NetworkSpec, weights: list[Array]) -> None:
        received = [tuple(weight.shape) for weight in weights]
        if received != spec.shapes:
            raise ShapeError(f'weights of {spec}: expected {spec.shapes}, received {received}')
        self.spec = spec
        self.weights = weights
        self.dtype = weights[0].dtype


class Passes:
    """Working memory for the passes of B instances with K noisy samples each.

    Rows 0..B-1 of every buffer are the clean pass, the others the noisy ones, sample by sample.

    Args:
        network: whose weights are used.
        instances: B.
        samples: K, noisy passes per clean one; 0 for acting without noise.
    """

    def __init__(self, network: Network, instances: int, samples: int) -> None:
        spec, dtype = network.spec, network.dtype
        self._network = network
        self._instances = instances
        self._samples = samples
        rows = instances * (1 + samples)
        self._bias = int(spec.bias)
        self._pre = [np.empty((rows, n_out), dtype) for n_out, _ in spec.shapes]
        # One column more than neurons where there is a bias: it stays 1.
        self._post = [np.ones((rows, n_out + self._bias), dtype) for n_out in spec.hidden]
        self._observation = np.ones((instances, spec.inputs + self._bias), dtype)
        self._noise = np.empty((instances * samples, spec.noise_components), dtype)
        kept = instances * max(samples, 1)
        self._presynaptic = np.empty((kept, spec.input_components), dtype)

    def run(self, observation: Array, unit_noise: Array | None, sigma: float) -> Array:
        """Compute the clean and the noisy outputs of all instances.

        ``a_l = W_l x_{l-1}`` in the clean pass, ``a_l = W_l x_{l-1} + sigma z_l`` in the noisy
        ones, ``x_l = LeakyReLU(a_l)`` below the output layer (paper, section 3).

        Args:
            observation: [B, O].
            unit_noise: z, [K * B, N]; None when K is 0.
            sigma: standard deviation of the noise [1].

        Returns:
            Outputs [1 + K, B, n]; entry 0 is the clean pass. Valid until the next call.
        """
        network, instances = self._network, self._instances
        spec = network.spec
        self._observation[:, : spec.inputs] = observation
        noisy = unit_noise is not None
        if unit_noise is not None:
            np.multiply(unit_noise, sigma, out=self._noise)
        last = len(self._pre) - 1
        activity = self._observation
        for layer, (pre, weight) in enumerate(zip(self._pre, network.weights, strict=True)):
            if layer == 0:
                # The observation carries no noise, so its product is the same in every pass.
                np.matmul(activity, weight.T, out=pre[:instances])
                if noisy:
                    pre[instances:].reshape(self._samples, instances, -1)[:] = pre[:instances]
            else:
                np.matmul(activity, weight.T, out=pre)
            if noisy:
                pre[instances:] += self._noise[:, spec.noise_slices[layer]]
            if layer < last:
                activity = self._post[layer]
                hidden = activity[:, : pre.shape[1]] if self._bias else activity
                np.multiply(pre, spec.leak, out=hidden)
                np.maximum(pre, hidden, out=hidden)
        return self._pre[-1].reshape(1 + self._samples, instances, -1)

    def preactivation(self) -> Array:
        """Pre-activations of every layer in the noisy passes of the last ``run`` [K * B, N]."""
        return np.concatenate([pre[self._instances :] for pre in self._pre], axis=1)

    def presynaptic(self) -> Array:
        """Inputs of every layer in the noisy passes of the last ``run`` [K * B, M].

        Where K is 0, those in the clean pass [B, M].
        """
        spec, instances = self._network.spec, self._instances
        out, slices = self._presynaptic, spec.input_slices
        passes = out[:, slices[0]].reshape(max(self._samples, 1), instances, -1)
        passes[:] = self._observation
        first = instances if self._samples else 0
        for post, where in zip(self._post, slices[1:], strict=True):
            out[:, where] = post[first:]
        return out
