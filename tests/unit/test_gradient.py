"""What the rule estimates is the gradient of log pi that autograd computes."""

import numpy as np
import pytest

from nrl_ros.learning.heads import PolicySettings, make_head
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.networks.forward_pass import ForwardPass
from nrl_ros.learning.noise import NOISE_SHAPES
from nrl_ros.learning.rules import NodePerturbation
from tests.oracles.policy_gradient import HEADS, autograd, cosine, flat

# Small, so that no neuron is near enough to the kink of its LeakyReLU to cross it.
SIGMA = 1e-7


def estimate(
    head_name: str,
    hidden: tuple[int, ...],
    *,
    bias: bool,
    samples: int,
    shape: str = 'gaussian',
    norm: str = 'network',
    seed: int = 1,
):
    """Estimates of one state's gradient: (per weight matrix, per neuron), and autograd's."""
    generator = np.random.default_rng(seed)
    space, learn_std = HEADS[head_name]
    head = make_head(space, PolicySettings(learn_std=learn_std))
    spec = NetworkSpec(5, hidden, head.outputs, bias=bias)
    weights = [generator.standard_normal(s) * np.sqrt(2.0 / s[1]) for s in spec.shapes]
    network = Network(spec, weights)
    observation = generator.standard_normal((1, 5)) * 0.5
    passes = ForwardPass(network, 1, samples)
    noise = np.zeros((samples, spec.noise_components))
    NOISE_SHAPES.make(shape).fill(generator, noise)
    z = passes.run(observation, noise, SIGMA)
    choice = head.draw(z[0], generator)
    log_probability = head.log_probability(z, choice)
    impact = log_probability[1:] - log_probability[0]
    rule = NodePerturbation(sigma=SIGMA, samples=samples, norm=norm)
    rows = noise.reshape(samples, 1, -1)
    post = rule.postsynaptic_(rows, impact, spec).reshape(samples, -1)
    pre = passes.presynaptic()
    per_weight = [
        c * post[:, out].T @ pre[:, where]
        for c, out, where in zip(
            rule.scales(spec), spec.noise_slices, spec.input_slices, strict=True
        )
    ]
    scale = np.concatenate(
        [
            np.full(where.stop - where.start, c)
            for c, where in zip(rule.scales(spec), spec.noise_slices, strict=True)
        ]
    )
    per_neuron = scale * post.sum(axis=0)
    return per_weight, per_neuron, *autograd(head_name, spec, weights, observation, choice)


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('hidden', [(12,), (8, 6), (7, 6, 5)])
@pytest.mark.parametrize('head', list(HEADS))
def test_mean_estimate_is_the_gradient_of_log_pi(
    head: str, hidden: tuple[int, ...], bias: bool
) -> None:
    samples = 20_000
    received, _, expected, neurons = estimate(head, hidden, bias=bias, samples=samples)
    mine, true = flat(received), flat(expected)
    # The estimate's own error in layer l is |x_l| sqrt((n_l |g|^2 + |g_l|^2) / K), g being the
    # gradient of all neurons: a few per cent here, so that a wrong factor or layer shows.
    own = np.linalg.norm(neurons)
    errors, at = [], 0
    for truth in expected:
        n_out = truth.shape[0]
        part = np.linalg.norm(neurons[at : at + n_out])
        presynaptic = np.linalg.norm(truth) / part
        errors.append(presynaptic * np.sqrt((n_out * own**2 + part**2) / samples))
        at += n_out
    for layer, (part, truth) in enumerate(zip(received, expected, strict=True)):
        assert np.linalg.norm(part - truth) < 2.5 * errors[layer], f'layer {layer}'
    relative = float(np.linalg.norm(errors) / np.linalg.norm(true))
    assert relative < 0.15
    assert cosine(mine, true) > 1.0 - 3.0 * relative**2
    assert abs(mine @ true / (true @ true) - 1.0) < 2.0 * relative


@pytest.mark.parametrize('shape', list(NOISE_SHAPES))
@pytest.mark.parametrize('norm', ['network', 'layer'])
def test_any_noise_shape_and_either_norm_gives_the_gradient(shape: str, norm: str) -> None:
    samples = 20_000
    received, _, expected, _ = estimate(
        'softmax', (8, 6), bias=True, samples=samples, shape=shape, norm=norm
    )
    mine, true = flat(received), flat(expected)
    assert cosine(mine, true) > 0.995
    assert abs(mine @ true / (true @ true) - 1.0) < 0.05


@pytest.mark.parametrize('samples', [8, 32, 128])
def test_cosine_of_k_samples_is_as_expected(samples: int) -> None:
    trials = 200
    cosines = []
    for seed in range(trials):
        _, mine, _, true = estimate('softmax', (16,), bias=False, samples=samples, seed=seed)
        cosines.append(cosine(mine, true))
    expected = np.sqrt(samples / (samples + 20 - 1))
    spread = np.std(cosines) / np.sqrt(trials)
    assert abs(np.mean(cosines) - expected) < 4.5 * spread + 0.02


def test_constant_scale_of_the_authors_is_biased_between_layers() -> None:
    """Layer width instead of N: the output layer's share is n_l / N, as RULE.md says."""
    received, _, expected, _ = estimate('softmax', (12,), bias=False, samples=20_000)
    shares = [float((a * b).sum() / (b * b).sum()) for a, b in zip(received, expected, strict=True)]
    assert shares == pytest.approx([1.0, 1.0], abs=0.06)
    spec = NetworkSpec(5, (12,), 4)
    unbiased = NodePerturbation().scales(spec)
    authors = NodePerturbation(step_scale='layer_width').scales(spec)
    assert [a / u for a, u in zip(authors, unbiased, strict=True)] == [12 / 16, 4 / 16]
