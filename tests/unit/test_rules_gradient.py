"""What each rule's explorer gives on average is the gradient of log pi that autograd computes.

Many instances see the same point and take the same action; only their noise differs. Errors are
measured in standard errors of the mean, so that the bounds are those of the statistics.
"""

from __future__ import annotations

import numpy as np
import pytest

from nrl_ros.learning.noise import NOISE_SHAPES
from nrl_ros.learning.rules import (
    AntitheticPairs,
    LearnedReference,
    NodePerturbation,
    NoisyReference,
    WeightPerturbation,
)
from tests.oracles.policy_gradient import HEADS, Point, cosine, flat

# So small that nothing crosses a kink and that curvature is far below the statistics' error.
TINY = 1e-7
BATCH = 20_000
ONE_PASS = {
    'nrl': NodePerturbation(sigma=TINY),
    'nrl, two samples': NodePerturbation(sigma=TINY, samples=2),
    'nrl, norm of a layer': NodePerturbation(sigma=TINY, norm='layer'),
    'antithetic': AntitheticPairs(sigma=TINY),
    'antithetic, two pairs, norm of a layer': AntitheticPairs(sigma=TINY, samples=2, norm='layer'),
    'noisy_nrl': NoisyReference(sigma=TINY),
}


def check_mean(point: Point, post: np.ndarray, pre: np.ndarray) -> None:
    """Outer products average to the gradient: no weight is 5 standard errors away from it."""
    received, errors = [], []
    samples = len(post)
    for out, where in zip(point.spec.noise_slices, point.spec.input_slices, strict=True):
        a, x = post[..., out].reshape(-1, out.stop - out.start), pre[..., where]
        x = x.reshape(len(a), -1)
        mean = a.T @ x / len(a)
        variance = (a * a).T @ (x * x) / len(a) - mean * mean
        received.append(samples * mean)
        # Samples of one instance are as independent as those of two.
        errors.append(samples * np.sqrt(variance / len(a)))
    for layer, (mine, true, error) in enumerate(
        zip(received, point.per_weight, errors, strict=True)
    ):
        # Allowed beside it: what 1e-7 of curvature and rounding leave.
        beyond = np.abs(mine - true) - 5.0 * error
        assert beyond.max() < 1e-5 * np.abs(true).max(), f'layer {layer}'
        # And small enough that a wrong factor or a swapped layer would show.
        assert np.linalg.norm(error) < 0.2 * np.linalg.norm(true), f'layer {layer}'
    assert cosine(flat(received), flat(point.per_weight)) > 0.99


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('hidden', [(9,), (6, 5), (5, 4, 4)])
@pytest.mark.parametrize('head', list(HEADS))
def test_nrl_is_unbiased_for_every_head_and_depth(
    head: str, hidden: tuple[int, ...], bias: bool
) -> None:
    point, rule = Point(head, hidden, bias=bias), ONE_PASS['nrl']
    check_mean(point, *point.rows(rule, point.noise(rule, batch=BATCH), batch=BATCH))


@pytest.mark.parametrize('shape', list(NOISE_SHAPES))
@pytest.mark.parametrize('name', list(ONE_PASS))
def test_every_noise_shape_is_unbiased(name: str, shape: str) -> None:
    point, rule = Point('multi_discrete', (7, 5), bias=True), ONE_PASS[name]
    noise = point.noise(rule, batch=BATCH, shape=shape)
    check_mean(point, *point.rows(rule, noise, batch=BATCH))


@pytest.mark.parametrize('head', list(HEADS))
@pytest.mark.parametrize('name', ['antithetic', 'noisy_nrl'])
def test_rules_without_a_clean_pass_are_unbiased_for_every_head(name: str, head: str) -> None:
    point, rule = Point(head, (6, 5)), ONE_PASS[name]
    check_mean(point, *point.rows(rule, point.noise(rule, batch=BATCH), batch=BATCH))


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('norm', ['network', 'layer'])
@pytest.mark.parametrize('head', list(HEADS))
def test_weight_perturbation_is_unbiased(head: str, norm: str, bias: bool) -> None:
    point, rule = Point(head, (5, 4), bias=bias), WeightPerturbation(sigma=TINY, norm=norm)
    post, pre = point.rows(rule, point.noise(rule, batch=BATCH), batch=BATCH)
    assert pre.shape == (1, BATCH, 0)
    at = 0
    for scale, true in zip(rule.scales(point.spec), point.per_weight, strict=True):
        each = scale * post[0, :, at : at + true.size].reshape(-1, *true.shape)
        error = each.std(axis=0) / np.sqrt(BATCH)
        assert (np.abs(each.mean(axis=0) - true) - 5.0 * error).max() < 1e-5 * np.abs(true).max()
        assert np.linalg.norm(error) < 0.5 * np.linalg.norm(true)
        at += true.size


@pytest.mark.parametrize('samples', [4, 16, 64])
@pytest.mark.parametrize('kind', [NodePerturbation, AntitheticPairs])
def test_cosine_grows_with_k_as_the_square_root_of_k_over_k_plus_n_less_one(
    kind: type, samples: int
) -> None:
    point, batch = Point('softmax', (12,)), 400
    rule = kind(sigma=TINY, samples=samples)
    post, _ = point.rows(rule, point.noise(rule, batch=batch), batch=batch)
    cosines = [cosine(mine, point.per_neuron) for mine in post.sum(axis=0)]
    expected = np.sqrt(samples / (samples + point.spec.noise_components - 1))
    # The formula is one for K well above 1: it is off by a few parts in N K.
    allowed = 4.5 * np.std(cosines) / np.sqrt(batch) + 0.6 / samples
    assert abs(np.mean(cosines) - expected) < allowed
    assert allowed < 0.2


# -------------------------------------------------------------- antithetic


def test_where_the_gradient_vanishes_a_pair_says_so_and_nrl_does_not() -> None:
    """A Gaussian policy at its mean: log pi is even in the noise, of order sigma squared."""
    point, batch = Point('gaussian', (6, 5)), 50
    quiet = NodePerturbation().explorer(point.network, point.head, batch=1, source=0)
    point.choice[...] = quiet.greedy(point.observation)
    pairs, nrl = AntitheticPairs(sigma=1e-3), NodePerturbation(sigma=1e-3)
    noise = point.noise(nrl, batch=batch)
    mine, _ = point.rows(pairs, noise.copy(), batch=batch)
    theirs, _ = point.rows(nrl, noise.copy(), batch=batch)
    assert np.abs(theirs).max() > 1e-3
    assert np.abs(mine).max() < 1e-9


def test_a_pair_beats_two_samples_at_large_sigma_and_not_at_small() -> None:
    point, batch = Point('gaussian', (6, 5)), 20_000
    pairs, nrl = AntitheticPairs(), NodePerturbation(samples=2)
    ratios = []
    for sigma in (1e-6, 3.0):
        one, two = pairs.with_sigma(sigma), nrl.with_sigma(sigma)
        mine, _ = point.rows(one, point.noise(one, batch=batch), batch=batch)
        theirs, _ = point.rows(two, point.noise(two, batch=batch), batch=batch)
        ratios.append(mine.sum(axis=0).var(axis=0).sum() / theirs.sum(axis=0).var(axis=0).sum())
    # Without curvature a second sample halves the variance, which a pair's other half does not.
    assert ratios[0] == pytest.approx(2.0, abs=0.1)
    assert ratios[1] < 0.8


def test_a_pair_equals_nrl_to_first_order_in_sigma() -> None:
    point, batch = Point('softmax', (6, 5)), 20
    differences = []
    for sigma in (1e-4, 1e-5):
        noise = point.noise(NodePerturbation(), batch=batch)
        mine, at = point.rows(AntitheticPairs(sigma=sigma), noise.copy(), batch=batch)
        theirs, noisy = point.rows(NodePerturbation(sigma=sigma), noise.copy(), batch=batch)
        differences.append((np.abs(mine - theirs).max(), np.abs(at - noisy).max()))
    for large, small in zip(*differences, strict=True):
        assert large / small == pytest.approx(10.0, rel=0.05)


# ---------------------------------------------------------- other references


def test_a_reference_without_noise_is_the_clean_pass() -> None:
    point, batch = Point('softmax', (6, 5)), 20
    rule = NoisyReference(sigma=0.1, reference_passes=1)
    noise = point.noise(rule, batch=batch)
    noise[batch:] = 0.0
    mine = point.rows(rule, noise.copy(), batch=batch)
    theirs = point.rows(NodePerturbation(sigma=0.1), noise[:batch].copy(), batch=batch)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_many_reference_passes_come_to_the_clean_pass() -> None:
    point, batch = Point('softmax', (6, 5)), 10
    theirs: np.ndarray = np.zeros(0)
    errors = []
    for passes in (16, 256, 4096):
        rule = NoisyReference(sigma=1e-5, reference_passes=passes)
        noise = point.noise(rule, batch=batch)
        mine, _ = point.rows(rule, noise.copy(), batch=batch)
        theirs, _ = point.rows(NodePerturbation(sigma=1e-5), noise[:batch].copy(), batch=batch)
        errors.append(np.linalg.norm(mine - theirs) / np.linalg.norm(theirs))
    # The reference's error is 1 / sqrt(N) of the impact's own size.
    assert errors[2] < 3.0 / np.sqrt(4096)
    assert errors[0] > 2.0 * errors[1] > 4.0 * errors[2]


def test_the_reference_adds_variance_that_falls_as_one_over_its_passes() -> None:
    point, batch = Point('softmax', (12,)), 40_000
    nrl = NodePerturbation(sigma=TINY)
    clean, _ = point.rows(nrl, point.noise(nrl, batch=batch), batch=batch)
    excess = []
    for passes in (1, 4, 16):
        rule = NoisyReference(sigma=TINY, reference_passes=passes)
        post, _ = point.rows(rule, point.noise(rule, batch=batch), batch=batch)
        excess.append(post[0].var(axis=0).sum() - clean[0].var(axis=0).sum())
    assert excess[0] / excess[1] == pytest.approx(4.0, rel=0.1)
    assert excess[0] / excess[2] == pytest.approx(16.0, rel=0.25)


def test_a_learned_reference_of_one_observation_is_a_running_mean_of_its_outputs() -> None:
    """By the normalised delta rule ``p <- p + rate (z - p)``, from 0 on."""
    point, rule = Point('gaussian', (6,)), LearnedReference(sigma=0.2, reference_rate=0.3)
    explorer = rule.explorer(point.network, point.head, batch=1, source=0)
    twin = NodePerturbation(sigma=0.2).explorer(point.network, point.head, batch=1, source=0)
    predicted = np.zeros((1, 2))
    for step in range(6):
        noise = point.noise(rule, batch=1, seed=step)
        z = twin._passes.run(point.observation, noise, 0.2)[1].copy()
        both = point.head.log_probability(np.stack([z, predicted]), point.choice)
        expected = (both[0] - both[1]) / (0.2 * float(noise[0] @ noise[0])) * noise[0]
        _, rows = explorer.explore(point.observation, noise.copy(), np.random.default_rng(0))
        np.testing.assert_allclose(rows()[0][0, 0], expected, rtol=1e-9)
        predicted = predicted + 0.3 * (z - predicted)


def test_a_learned_reference_comes_to_the_clean_pass_on_a_fixed_policy() -> None:
    point, batch = Point('softmax', (6, 5)), 8
    observation = np.random.default_rng(3).standard_normal((batch, 5))
    rule, nrl = LearnedReference(sigma=1e-3, reference_rate=1.0), NodePerturbation(sigma=1e-3)
    explorer = rule.explorer(point.network, point.head, batch=batch, source=0)
    twin = nrl.explorer(point.network, point.head, batch=batch, source=0)
    errors = []
    for step in range(2001):
        noise = point.noise(rule, batch=batch, seed=step)
        _, rows = explorer.explore(observation, noise.copy(), np.random.default_rng(0))
        if step in (0, 200, 2000):
            mine = rows()[0]
            theirs = twin.explore(observation, noise.copy(), np.random.default_rng(0))[1]()[0]
            errors.append(np.linalg.norm(mine - theirs) / np.linalg.norm(theirs))
    assert errors[0] > 30.0 and errors[0] > 5.0 * errors[1]
    # What stays is how far its running mean is from the mean: below the impact's own size.
    assert errors[2] < 1.0


def test_the_mean_with_a_learned_reference_is_the_gradient_at_a_given_action() -> None:
    point, batch = Point('softmax', (9,)), 40_000
    rule = LearnedReference(sigma=1e-3)
    explorer = rule.explorer(point.network, point.head, batch=batch, source=0)
    observation = np.repeat(point.observation, batch, axis=0)
    total = np.zeros(point.spec.noise_components)
    square = np.zeros_like(total)
    for step in range(16):
        noise = point.noise(rule, batch=batch, seed=step)
        _, rows = explorer.explore(observation, noise, np.random.default_rng(0))
        post = rows()[0][0] * point.spec.noise_components
        # From here on its error is about as large as the noise's impact, and then less.
        if step >= 8:
            total += post.mean(axis=0) / 8
            square += post.var(axis=0) / batch / 64
    allowed = 5.0 * np.sqrt(square) + 1e-3 * np.abs(point.per_neuron).max()
    assert (np.abs(total - point.per_neuron) < allowed).all()
    assert np.linalg.norm(np.sqrt(square)) < 0.1 * np.linalg.norm(point.per_neuron)


def test_with_drawn_actions_a_reference_s_error_weighs_their_gradients() -> None:
    """``E[1(a) N rho xi / |xi|^2] = pi(a) grad log pi(a) (1 + h(a))``, h the reference's error."""
    point, batch = Point('softmax', ()), 200_000
    rule = LearnedReference(sigma=0.2)
    head = point.head._head
    explorer = rule.explorer(point.network, head, batch=batch, source=0)
    observation = np.repeat(point.observation, batch, axis=0)
    noise = point.noise(rule, batch=batch)
    # The first step's reference knows nothing: every output 0, every action alike.
    choice, rows = explorer.explore(observation, noise, np.random.default_rng(0))
    post = rows()[0][0] * point.spec.noise_components
    z = observation[:1] @ point.network.weights[0].T
    for action in range(4):
        one = np.array([[action]])
        log_pi = float(head.log_probability(z, one)[0])
        each = post * (choice == action)
        error = 5.0 * each.std(axis=0) / np.sqrt(batch)
        expected = np.exp(log_pi) * (1.0 + log_pi - np.log(0.25)) * head.gradient(z, one)[0]
        plain = np.exp(log_pi) * head.gradient(z, one)[0]
        # Beside the statistics: what is of order sigma squared.
        away = np.abs(each.mean(axis=0) - expected)
        assert (away < error + 0.04 * np.abs(plain).max()).all()
        assert np.linalg.norm(each.mean(axis=0) - plain) > 2.0 * np.linalg.norm(away)
