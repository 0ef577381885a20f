"""The section that trains nothing: its exact gradient is exact, its cosines are as predicted."""

import numpy as np
import pytest

from nrl_ros.experiments.gradients import exact, gradients
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec, xavier_normal
from nrl_ros.learning.networks.forward_pass import ForwardPass
from nrl_ros.learning.rules.backpropagation import backpropagate


@pytest.mark.parametrize('hidden', [(5,), (5, 4), (6, 5, 4)])
def test_the_exact_gradient_is_that_of_the_rule_and_of_finite_differences(hidden):
    generator = np.random.default_rng(3)
    spec = NetworkSpec(4, hidden, 3)
    network = Network(spec, xavier_normal(spec, generator, np.float64))
    observation = generator.standard_normal(4)
    passes = ForwardPass(network, 1, spec.noise_components)

    def log_policy(noise):
        z = passes.run(observation[None], noise, 1.0)[1:, 0]
        return z[:, 1] - np.log(np.exp(z).sum(axis=1))

    small = 1e-6 * np.eye(spec.noise_components)
    numeric = (log_policy(small) - log_policy(-small)) / 2e-6
    found, squares = exact(network, observation, 1)
    assert found == pytest.approx(numeric, abs=1e-8)

    quiet = ForwardPass(network, 1, 0)
    z = quiet.run(observation[None], None, 0.0)[0]
    pre = quiet.presynaptic()
    seed = -np.exp(z) / np.exp(z).sum()
    seed[0, 1] += 1.0
    rule = backpropagate(network, pre, seed, np.zeros((1, spec.noise_components)))[0]
    assert found == pytest.approx(rule, abs=1e-12)
    for where, inputs in zip(spec.noise_slices, spec.input_slices, strict=True):
        assert squares[where] == pytest.approx(np.square(pre[0, inputs]).sum())


def test_cosines_and_reference_errors_are_near_their_predictions():
    found = gradients(
        depths=[1, 2], width=16, inputs=4, outputs=2, sigma=1e-4, samples=[8, 32, 64],
        passes=[1, 4, 16], states=150, seed=1,
    )  # fmt: skip
    for row in found['rows']:
        assert row['noise_components'] == 16 * row['depth'] + 2
        spread = row['cosine_neurons_std'] / np.sqrt(150)
        assert np.all(np.abs(row['cosine_neurons'] - row['predicted']) < 4 * spread + 0.02)
        # Impacts differ from network to network, so that their mean square is known to a third.
        ratio = row['reference_error'] / row['reference_predicted']
        assert np.all(np.abs(ratio - 1.0) < 0.35)
    # K = 8, N = 18: sqrt(8 / 25).
    assert found['rows'][0]['predicted'][0] == pytest.approx(np.sqrt(8 / 25))
