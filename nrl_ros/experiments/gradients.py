"""Comparison of noise-based estimates with the exact gradient; errors of noisy references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec, xavier_normal
from nrl_ros.learning.networks.forward_pass import ForwardPass
from nrl_ros.learning.networks.passes import make_passes
from nrl_ros.learning.rules.backpropagation import backpropagate

Array = NDArray[np.float64]


def gradients(  # noqa: PLR0913 - one argument per setting
    *,
    depths: Sequence[int],
    width: int,
    inputs: int,
    outputs: int,
    sigma: float,
    samples: Sequence[int],
    passes: Sequence[int],
    states: int,
    seed: int,
) -> dict[str, Any]:
    """Return cosines and errors over random networks and states, each of one depth.

    The estimate is the mean of K terms ``rho xi / |xi|^2``; the gradient is that of ``log
    pi(a|s)``. Both are taken with respect to the pre-activations (N numbers) and with respect to
    the weights. A noisy reference is the log of the mean of ``pi(a|s)`` over N noisy passes; its
    error is compared with the impact rho that it is subtracted from.

    Args:
        depths: hidden layers.
        width: neurons of each hidden layer.
        inputs: observation size.
        outputs: choices.
        sigma: standard deviation of the noise [1].
        samples: K.
        passes: N of the reference.
        states: number of random networks, each with one state.
        seed: of everything.
    """
    rows = []
    for depth in depths:
        spec = NetworkSpec(inputs, (width,) * depth, outputs)
        generator = np.random.default_rng([seed, depth])
        cosines = np.zeros((2, states, len(samples)))
        errors = np.zeros((states, len(passes)))
        impacts = np.zeros(states)
        for state in range(states):
            one = _one_state(spec, generator, sigma, max(samples), max(passes))
            cosines[:, state] = one.cosines(samples)
            errors[state], impacts[state] = one.reference_errors(passes), one.impact_variance
        count = spec.noise_components
        rows.append(
            {
                'depth': depth,
                'noise_components': count,
                'cosine_neurons': cosines[0].mean(axis=0),
                'cosine_neurons_std': cosines[0].std(axis=0),
                'cosine_weights': cosines[1].mean(axis=0),
                'predicted': np.array([np.sqrt(k / (k + count - 1)) for k in samples]),
                'reference_error': np.sqrt(errors.mean(axis=0) / impacts.mean()),
                'reference_predicted': np.array([n**-0.5 for n in passes]),
            }
        )
    return {'rows': rows, 'samples': list(samples), 'passes': list(passes), 'states': states}


class _State:
    """Noise, impacts and the exact gradient at one state.

    Attributes:
        impact_variance: mean of rho^2 over the samples.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        estimate: Array,
        gradient: Array,
        layer_weight: Array,
        reference: tuple[Array, float],
        impact: Array,
    ) -> None:
        self._spec = spec
        self._estimate = estimate
        self._gradient = gradient
        self._layer_weight = layer_weight
        self._reference = reference
        self.impact_variance = float(np.square(impact).mean())

    def cosines(self, samples: Sequence[int]) -> Array:
        """Return the cosines of the mean of the first K terms, for neurons and for weights."""
        sums = np.cumsum(self._estimate, axis=0)[[k - 1 for k in samples]]
        # An outer product with x has |x| times the norm, so for weights a layer counts with |x|^2.
        plain, weighted = np.ones_like(self._layer_weight), self._layer_weight
        return np.array([_cosine(sums, self._gradient, weight) for weight in (plain, weighted)])

    def reference_errors(self, passes: Sequence[int]) -> Array:
        """Return the squared error of log pi from the first N noisy passes."""
        noisy, clean = self._reference
        means = np.cumsum(np.exp(noisy)) / np.arange(1, len(noisy) + 1)
        return np.asarray(np.square(np.log(means[[n - 1 for n in passes]]) - clean))


def _cosine(rows: Array, vector: Array, weight: Array) -> Array:
    dot = (rows * vector * weight).sum(axis=1)
    lengths = np.sqrt((rows**2 * weight).sum(axis=1) * (vector**2 * weight).sum())
    return np.asarray(dot / lengths)


def _one_state(
    spec: NetworkSpec, generator: np.random.Generator, sigma: float, samples: int, passes: int
) -> _State:
    network = Network(spec, xavier_normal(spec, generator, np.float64))
    observation = generator.standard_normal((1, spec.inputs))
    count = samples + passes
    noise = generator.standard_normal((count, spec.noise_components))
    logits = ForwardPass(network, 1, count).run(observation, noise, sigma)[:, 0]
    log_policy = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    choice = int(generator.choice(spec.outputs, p=np.exp(log_policy[0])))
    clean, noisy = float(log_policy[0, choice]), log_policy[1:, choice]
    impact = noisy[:samples] - clean
    unit = noise[:samples]
    estimate = impact[:, None] * unit / (unit**2).sum(axis=1, keepdims=True)
    gradient, weight = exact(network, observation[0], choice)
    return _State(spec, estimate, gradient, weight, (noisy[samples:], clean), impact)


def exact(network: Network, observation: Array, choice: int) -> tuple[Array, Array]:
    """Compute the gradient of ``log pi(choice)`` by backpropagation.

    Returns:
        The gradient with respect to all pre-activations [N], and |x|^2 of each one's layer [N].
    """
    spec, passes = network.spec, make_passes(network, 1, 0)
    logits = passes.run(observation[None], None, 0.0)[0, 0]
    inputs = passes.presynaptic()
    policy = np.exp(logits - logits.max())
    gradient = -policy / policy.sum()
    gradient[choice] += 1.0
    per_neuron = np.zeros((1, spec.noise_components))
    backpropagate(network, inputs, gradient[None], per_neuron)
    squares = [np.square(inputs[0, where]).sum() for where in spec.input_slices]
    return per_neuron[0], np.repeat(squares, [n_out for n_out, _ in spec.shapes])
