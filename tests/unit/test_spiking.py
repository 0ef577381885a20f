"""Leaky integrate-and-fire layers: dynamics by hand, and what the rule estimates with them."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.networks.spiking import SpikingPasses
from nrl_ros.learning.rules import (
    AntitheticPairs,
    Backpropagation,
    NodePerturbation,
    RewardModulatedHebbian,
    WeightPerturbation,
)
from tests.oracles.policy_gradient import Point
from tests.unit.fakes import feed, info_of, learner_of, message_flow

STEPS = 10


def by_hand(current: list[float]) -> list[int]:
    """Spikes of one neuron."""
    v, spikes = 0.0, []
    for a in current:
        v = 0.8 * v + a
        spikes.append(int(v >= 1.0))
        v -= spikes[-1]
    return spikes


def test_constants_are_those_of_the_page() -> None:
    signature = inspect.signature(SpikingPasses)
    constants = [signature.parameters[name].default for name in ('steps', 'decay')]
    assert constants == [STEPS, 0.8]


def test_one_neuron_with_a_constant_current() -> None:
    # 0.5, 0.9, 1.22 -> spike, 0.22; 0.676, 1.0408 -> spike, 0.0408; 0.53264, ...
    assert by_hand([0.5] * 5) == [0, 0, 1, 0, 1]
    spikes = np.zeros((STEPS, 1, 4))
    current = np.array([[0.5, 0.19, 1.0, -2.0]])
    network = Network(NetworkSpec(1, (4,), 1), [np.zeros((4, 1)), np.zeros((1, 4))])
    SpikingPasses(network, 1, 0)._fire(current, spikes)
    for neuron in range(4):
        assert spikes[:, 0, neuron].tolist() == by_hand([float(current[0, neuron])] * STEPS)
    # 0.19 leaks away before it reaches 1; 1.0 is at the threshold at once.
    assert spikes[:, 0].sum(axis=0).tolist() == [by_hand([0.5] * 10).count(1), 0, 10, 0]


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('hidden', [(), (3,), (4, 3)])
def test_passes_equal_a_loop_over_neurons(hidden: tuple[int, ...], bias: bool) -> None:
    generator = np.random.default_rng(4)
    spec = NetworkSpec(3, hidden, 2, bias=bias, neuron='spiking')
    network = Network(spec, [generator.standard_normal(shape) for shape in spec.shapes])
    observation = generator.standard_normal((2, 3))
    noise = generator.standard_normal((6, spec.noise_components))
    passes = SpikingPasses(network, 2, 3)
    z = passes.run(observation, noise, 0.4).reshape(8, 2)
    presynaptic = passes.presynaptic()
    one = [1.0] if bias else []
    for row in range(8):
        xi = np.zeros(spec.noise_components) if row < 2 else 0.4 * noise[row - 2]
        below = [[*observation[row % 2], *one]] * STEPS
        seen = [below[0]]
        for layer, weight in enumerate(network.weights[:-1]):
            part = xi[spec.noise_slices[layer]]
            fired = [
                by_hand([float(weight[i] @ np.array(x) + part[i]) for x in below])
                for i in range(len(weight))
            ]
            below = [[float(s[t]) for s in fired] + one for t in range(STEPS)]
            seen.append(np.mean(below, axis=0).tolist())
        expected = network.weights[-1] @ np.array(seen[-1]) + xi[spec.noise_slices[-1]]
        np.testing.assert_allclose(z[row], expected, rtol=1e-12)
        if row >= 2:
            np.testing.assert_allclose(presynaptic[row - 2], np.concatenate(seen), rtol=1e-12)


def test_the_clean_pass_alone_gives_clean_activity() -> None:
    point = Point('softmax', (6,), neuron='spiking')
    passes = SpikingPasses(point.network, 1, 0)
    z = passes.run(point.observation, None, 0.0)
    both = SpikingPasses(point.network, 1, 1)
    np.testing.assert_array_equal(both.run(point.observation, np.zeros((1, 10)), 0.3)[0], z[0])
    np.testing.assert_array_equal(passes.presynaptic(), both.presynaptic())


def smoothed_gradient(point: Point, noise: np.ndarray, sigma: float, step: float) -> Any:
    """Central differences of ``mean log pi`` under given noise: each neuron's mean and error."""
    passes = SpikingPasses(point.network, 1, len(noise))

    def log_pi(shift: np.ndarray) -> np.ndarray:
        z = passes.run(point.observation, noise + shift / sigma, sigma)[1:]
        return np.array(point.head.log_probability(z, point.choice))[:, 0]

    slopes = []
    for neuron in range(point.spec.noise_components):
        shift = np.zeros(point.spec.noise_components)
        shift[neuron] = step
        slopes.append((log_pi(shift) - log_pi(-shift)) / (2.0 * step))
    slope = np.array(slopes)
    return slope.mean(axis=1), slope.std(axis=1) / np.sqrt(len(noise))


@pytest.mark.parametrize('kind', [NodePerturbation, AntitheticPairs])
@pytest.mark.parametrize('hidden', [(6,), (5, 4)])
def test_the_estimate_is_the_gradient_of_the_smoothed_policy(
    hidden: tuple[int, ...], kind: type
) -> None:
    """No surrogate: finite differences of what is smoothed, with one noise for both sides.

    ``E[N f xi / |xi|^2]`` is exactly the gradient of f smoothed by ``U^(1/N) xi``, U uniform: each
    sphere of noise gives the gradient of the mean over its ball.
    """
    point = Point('softmax', hidden, neuron='spiking')
    sigma, batch, components = 0.4, 60_000, point.spec.noise_components
    rule = kind(sigma=sigma)
    post, _ = point.rows(rule, point.noise(rule, batch=batch), batch=batch)
    received, error = post[0].mean(axis=0), post[0].std(axis=0) / np.sqrt(batch)
    generator = np.random.default_rng(8)
    noise = generator.standard_normal((40_000, components))
    noise *= generator.random((40_000, 1)) ** (1.0 / components)
    expected, its_error = smoothed_gradient(point, noise, sigma, 0.1)
    # Differences over 0.2, a half of sigma: their own bias is of order (0.1 / sigma)^2 / 6.
    allowed = 4.5 * np.hypot(error, its_error) + 0.02 * np.abs(expected).max()
    assert (np.abs(received - expected) < allowed).all()
    # The hidden layers' part is not lost in the errors.
    inner = slice(0, point.spec.noise_slices[-1].start)
    assert np.linalg.norm(expected[inner]) > 3.0 * np.linalg.norm(allowed[inner])


def test_a_learner_of_spiking_neurons_learns_whatever_the_rule() -> None:
    info = info_of(2)
    for rule in (NodePerturbation(sigma=0.3), AntitheticPairs(sigma=0.3, samples=2)):
        learner = learner_of(info, neuron='spiking', rule=rule, hidden_sizes=(5, 4), bias=True)
        before = learner.weights
        feed(learner, message_flow(info, steps=40, seed=1))
        assert learner.updates > 3
        assert all((a != b).any() for a, b in zip(learner.weights, before, strict=True))


@pytest.mark.parametrize(
    'rule',
    [
        Backpropagation(),
        WeightPerturbation(),
        RewardModulatedHebbian(noise_estimate='running_mean'),
    ],
    ids=lambda rule: rule.name,
)
def test_rules_that_need_rates_refuse_spikes(rule: Any) -> None:
    with pytest.raises(ConfigError, match='spiking'):
        learner_of(info_of(1), neuron='spiking', rule=rule)
