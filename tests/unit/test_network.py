"""Passes against a plain loop over neurons."""

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError, ShapeError
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec, xavier_normal
from nrl_ros.learning.networks.forward_pass import ForwardPass
from nrl_ros.learning.networks.settings import NetworkSettings


def reference(network: Network, observation: np.ndarray, noise: np.ndarray, sigma: float):
    """Outputs and inputs of all layers of one instance in one pass."""
    spec, inputs, at = network.spec, [], 0
    x = list(observation)
    for layer, weight in enumerate(network.weights):
        x = [*x, 1.0] if spec.bias else x
        inputs += x
        a = []
        for neuron in range(weight.shape[0]):
            a.append(sum(w * v for w, v in zip(weight[neuron], x, strict=True)) + sigma * noise[at])
            at += 1
        last = layer == len(network.weights) - 1
        x = a if last else [v if v > 0 else spec.leak * v for v in a]
    return x, inputs


@pytest.mark.parametrize('hidden', [(), (5,), (4, 3), (3, 5, 2)])
@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('samples', [1, 3])
def test_clean_and_noisy_passes_equal_a_loop_over_neurons(
    hidden: tuple[int, ...], bias: bool, samples: int
) -> None:
    generator = np.random.default_rng(0)
    spec = NetworkSpec(3, hidden, 2, bias=bias, leak=0.1)
    network = Network(spec, [generator.standard_normal(shape) for shape in spec.shapes])
    passes = ForwardPass(network, 4, samples)
    for _ in range(2):  # the second time on used buffers
        observation = generator.standard_normal((4, 3))
        noise = generator.standard_normal((samples * 4, spec.noise_components))
        z = passes.run(observation, noise, 0.3)
        pre = passes.presynaptic().reshape(samples, 4, -1)
        assert z.shape == (1 + samples, 4, 2)
        for instance in range(4):
            quiet = np.zeros(spec.noise_components)
            expected, _ = reference(network, observation[instance], quiet, 0.0)
            np.testing.assert_allclose(z[0, instance], expected, rtol=1e-12, atol=1e-12)
            for sample in range(samples):
                expected, inputs = reference(
                    network, observation[instance], noise[sample * 4 + instance], 0.3
                )
                np.testing.assert_allclose(
                    z[1 + sample, instance], expected, rtol=1e-12, atol=1e-12
                )
                np.testing.assert_allclose(pre[sample, instance], inputs, rtol=1e-12, atol=1e-12)


def test_quiet_passes_equal_the_clean_one() -> None:
    generator = np.random.default_rng(0)
    spec = NetworkSpec(3, (5, 4), 2, bias=True)
    network = Network(spec, [generator.standard_normal(shape) for shape in spec.shapes])
    observation = generator.standard_normal((2, 3))
    noise = generator.standard_normal((2, spec.noise_components))
    quiet = ForwardPass(network, 2, 0).run(observation, None, 0.0)
    assert quiet.shape == (1, 2, 2)
    clean = ForwardPass(network, 2, 1).run(observation, noise, 0.1)[0]
    np.testing.assert_allclose(quiet[0], clean, rtol=1e-14)


def test_xavier_weights_have_their_spread_and_no_bias() -> None:
    spec = NetworkSpec(100, (200,), 50, bias=True)
    for weight, (fan_in, fan_out) in zip(
        xavier_normal(spec, np.random.default_rng(0)), [(100, 200), (200, 50)], strict=True
    ):
        assert weight.dtype == np.float32
        assert (weight[:, -1] == 0.0).all()
        expected = np.sqrt(2.0 / (fan_in + fan_out))
        assert abs(weight[:, :-1].std() / expected - 1.0) < 5.0 / np.sqrt(2 * fan_in * fan_out)


@pytest.mark.parametrize('arguments', [(0, (4,), 2), (3, (0,), 2), (3, (4,), 0), (3, (4, -1), 2)])
def test_sizes_below_one_are_refused(arguments: tuple) -> None:
    with pytest.raises(ConfigError, match='at least 1'):
        NetworkSpec(*arguments)


@pytest.mark.parametrize('leak', [-0.1, 1.1, float('nan')])
def test_slope_out_of_range_is_refused(leak: float) -> None:
    with pytest.raises(ConfigError, match='leak: .*received'):
        NetworkSettings(leak=leak)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ShapeError, match='expected'):
        Network(NetworkSpec(3, (4,), 2), [np.zeros((4, 3)), np.zeros((2, 5))])
