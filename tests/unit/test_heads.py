"""Heads against torch's distributions, and the frequencies of what they draw."""

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Normal

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import ActionSpace
from nrl_ros.learning.heads import GaussianHead, PolicySettings, SoftmaxHead, make_head

ARM = ActionSpace.continuous((-1.0, 0.0, 2.0), (1.0, 4.0, 2.5))


def chi_square_bound(freedom: int) -> float:
    """Wilson and Hilferty's estimate of the 1 - 1e-5 quantile."""
    return freedom * (1 - 2 / (9 * freedom) + 4.26 * np.sqrt(2 / (9 * freedom))) ** 3


@pytest.mark.parametrize('sizes', [(2,), (5,), (1,), (3, 2, 4)])
def test_softmax_log_probability_is_that_of_categoricals(sizes: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    head = SoftmaxHead(ActionSpace.multi_discrete(sizes))
    z = generator.standard_normal((3, 6, head.outputs)) * 4.0
    choice = np.stack([generator.integers(0, size, 6) for size in sizes], axis=1).astype(np.int32)
    expected = torch.zeros(3, 6, dtype=torch.float64)
    for c, part in enumerate(torch.split(torch.from_numpy(z), sizes, dim=-1)):
        expected += Categorical(logits=part).log_prob(torch.from_numpy(choice[:, c]).long())
    np.testing.assert_allclose(
        head.log_probability(z, choice), expected.numpy(), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize('learn_std', [False, True])
@pytest.mark.parametrize('std', [0.5, 0.3])
def test_gaussian_log_probability_is_that_of_normals(learn_std: bool, std: float) -> None:
    generator = np.random.default_rng(0)
    head = GaussianHead(ARM, action_std=std, learn_std=learn_std)
    assert head.outputs == (6 if learn_std else 3)
    z = generator.standard_normal((3, 5, head.outputs))
    z[0, 0, 3:], z[0, 1, 3:] = 40.0, -40.0
    choice = generator.standard_normal((5, 3))
    scale = std * np.exp(np.clip(z[..., 3:], -3.0, 1.0)) if learn_std else np.full((3, 5, 3), std)
    normal = Normal(torch.from_numpy(z[..., :3].copy()), torch.from_numpy(scale))
    expected = normal.log_prob(torch.from_numpy(choice)).sum(-1)
    received = head.log_probability(z, choice)
    np.testing.assert_allclose(received, expected.numpy(), rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('space', [ActionSpace.multi_discrete((3, 2)), ARM])
def test_results_keep_the_precision_of_the_network(space: ActionSpace, dtype: type) -> None:
    head = make_head(space)
    z = np.zeros((2, 3, head.outputs), dtype)
    choice = head.draw(z[0], np.random.default_rng(0))
    # Of choices they are compared in float64 whatever the network: that costs no call of its own.
    kind = dtype if space is ARM else np.float64
    assert head.log_probability(z, choice).dtype == kind
    assert head.gradient(z[0], choice).dtype == dtype
    assert head.to_action(choice).dtype == head.action_dtype
    assert head.to_action(head.greedy(z[0])).shape == (3, space.components)


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_softmax_draws_have_the_probabilities_of_the_policy(dtype: type) -> None:
    sizes, draws = (4, 3), 40_000
    z = np.array([1.0, -0.5, 0.0, 2.0, 0.3, -3.0, 0.7], dtype)
    head = SoftmaxHead(ActionSpace.multi_discrete(sizes))
    choice = head.draw(np.tile(z, (draws, 1)), np.random.default_rng(5))
    for c, part in enumerate(np.split(z.astype(float), [4])):
        expected = draws * np.exp(part) / np.exp(part).sum()
        counts = np.bincount(choice[:, c], minlength=sizes[c])
        assert ((counts - expected) ** 2 / expected).sum() < chi_square_bound(sizes[c] - 1)
    joint = np.corrcoef(choice[:, 0], choice[:, 1])[0, 1]
    assert abs(joint) < 4.5 / np.sqrt(draws)


@pytest.mark.parametrize('learn_std', [False, True])
def test_gaussian_draws_have_mean_and_deviation_of_the_policy(learn_std: bool) -> None:
    draws = 40_000
    head = GaussianHead(ARM, action_std=0.4, learn_std=learn_std)
    z = np.array([0.1, -0.6, 2.0, 0.5, -9.0, 9.0])[: head.outputs]
    std = 0.4 * np.exp([0.5, -3.0, 1.0]) if learn_std else np.full(3, 0.4)
    choice = head.draw(np.tile(z, (draws, 1)), np.random.default_rng(5))
    assert (np.abs(choice.mean(axis=0) - z[:3]) < 4.5 * std / np.sqrt(draws)).all()
    assert (np.abs(choice.std(axis=0) / std - 1.0) < 4.5 / np.sqrt(2 * draws)).all()


def test_greedy_is_the_most_probable_choice() -> None:
    z = np.array([[0.0, 3.0, 1.0, 5.0, 4.0], [9.0, 3.0, 1.0, -5.0, -4.0]])
    assert SoftmaxHead(ActionSpace.multi_discrete((3, 2))).greedy(z).tolist() == [[1, 0], [0, 1]]
    z = np.array([[0.1, 0.2, 0.3]])
    assert GaussianHead(ARM).greedy(z).tolist() == z.tolist()


def test_gaussian_action_is_scaled_and_clipped_to_the_bounds() -> None:
    choice = np.array([[0.0, 0.0, 0.0], [0.5, -0.5, 1.0], [7.0, -7.0, -1.0]])
    expected = [[0.0, 2.0, 2.25], [0.5, 1.0, 2.5], [1.0, 0.0, 2.0]]
    assert GaussianHead(ARM).to_action(choice).tolist() == expected


def test_no_action_leaves_bounds_that_float32_cannot_hold() -> None:
    space = ActionSpace.continuous((-0.1, 1 / 3), (0.1, 2 / 3))
    action = GaussianHead(space).to_action(np.array([[9.0, 9.0], [-9.0, -9.0]], np.float32))
    low, high = np.asarray(space.low, np.float32), np.asarray(space.high, np.float32)
    assert (action >= low).all() and (action <= high).all()


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_extreme_outputs_stay_finite(dtype: type) -> None:
    head = SoftmaxHead(ActionSpace.discrete(3))
    z = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [-1e4, 1e4, 1e4]], dtype)
    choice = head.draw(z, np.random.default_rng(0))
    assert choice[0, 0] == 0 and choice[2, 0] != 0
    for component in range(3):
        chosen = np.full((3, 1), component, np.int32)
        assert np.isfinite(head.log_probability(z[None], chosen)).all()
    assert head.log_probability(z[None], np.array([[1], [0], [0]], np.int32))[0, 0] == -2e4
    gaussian = GaussianHead(ARM, learn_std=True)
    z = np.full((1, 1, 6), 1e4, dtype)
    choice = gaussian.draw(z[0], np.random.default_rng(0))
    assert np.isfinite(gaussian.log_probability(z, choice)).all()
    assert np.isfinite(gaussian.log_probability(-z, choice)).all()


def test_a_choice_of_probability_zero_is_never_drawn() -> None:
    z = np.tile(np.array([-1e4, 0.0, -1e4, 0.0, -1e4], np.float32), (50_000, 1))
    head = SoftmaxHead(ActionSpace.discrete(5))
    drawn = set(head.draw(z, np.random.default_rng(0)).ravel().tolist())
    assert drawn == {1, 3}


@pytest.mark.parametrize('std', [0.0, -1.0, float('nan'), float('inf')])
def test_deviation_that_is_not_positive_is_refused(std: float) -> None:
    with pytest.raises(ConfigError, match='action_std: .*received'):
        PolicySettings(action_std=std)


@pytest.mark.parametrize(
    'make',
    [
        lambda: ActionSpace.discrete(0),
        lambda: ActionSpace.multi_discrete(()),
        lambda: ActionSpace.multi_discrete((3, 0)),
        lambda: ActionSpace.continuous((0.0,), (0.0,)),
        lambda: ActionSpace.continuous((0.0,), (float('inf'),)),
        lambda: ActionSpace.continuous((0.0,), (1.0, 2.0)),
        lambda: ActionSpace(ActionSpace.discrete(2).kind, (2,), (0.0,), (1.0,)),
        lambda: ActionSpace(ActionSpace.discrete(2).kind, (2, 3)),
    ],
)
def test_impossible_action_spaces_are_refused(make) -> None:
    with pytest.raises(ConfigError):
        make()
