"""A torch module is a policy network like any other: nothing of the product knows torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nrl_ros.base.records import ActionSpace, Delivery
from nrl_ros.environments.episodes import Episodes
from nrl_ros.learning import loop
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.networks.passes import NETWORKS, make_passes
from nrl_ros.learning.neuromodulator import Neuromodulator, RpeSettings
from nrl_ros.learning.rules import AntitheticPairs, NodePerturbation
from tests.oracles.policy_gradient import Point, cosine
from tests.unit.fakes import ScriptedEnvironment, learner_settings, same
from tests.unit.torch_network import TorchPasses


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the module a network by name, as an installed package would."""
    monkeypatch.setattr(NETWORKS, '_entries', {**NETWORKS._entries, 'torch': TorchPasses})
    # Tests share the machine's cores, and products as small as these gain nothing from more.
    torch.set_num_threads(1)


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('hidden', [(6,), (5, 4)])
def test_it_computes_what_the_network_of_the_product_does(
    hidden: tuple[int, ...], bias: bool
) -> None:
    generator = np.random.default_rng(2)
    spec = NetworkSpec(3, hidden, 2, bias=bias)
    network = Network(spec, [generator.standard_normal(shape) for shape in spec.shapes])
    observation = generator.standard_normal((4, 3))
    noise = generator.standard_normal((8, spec.noise_components))
    mine, ours = TorchPasses(network, 4, 2, activation='leaky_relu'), make_passes(network, 4, 2)
    for sigma in (0.1, 0.5):
        expected = ours.run(observation, noise, sigma)
        np.testing.assert_allclose(mine.run(observation, noise, sigma), expected, rtol=1e-12)
        np.testing.assert_allclose(mine.presynaptic(), ours.presynaptic(), rtol=1e-12)


def gradient_of(point: Point) -> np.ndarray:
    """Autograd's gradient of log pi(a|s) with respect to what every neuron takes in [N]."""
    module = TorchPasses(point.network, 1, 0).module
    noise = torch.zeros(1, 1, point.spec.noise_components, dtype=torch.float64, requires_grad=True)
    logits, _ = module(torch.tensor(point.observation[None]), noise)
    torch.log_softmax(logits[0, 0], 0)[int(point.choice[0, 0])].backward()
    assert noise.grad is not None
    return noise.grad[0, 0].numpy()


@pytest.mark.parametrize('kind', [NodePerturbation, AntitheticPairs])
@pytest.mark.parametrize('hidden', [(8,), (7, 6)])
def test_a_rule_estimates_the_gradient_of_the_module(hidden: tuple[int, ...], kind: type) -> None:
    """Of a hyperbolic tangent, which no network of the product has."""
    point, batch = Point('softmax', hidden, neuron='torch'), 40_000
    rule = kind(sigma=1e-4)
    post, _ = point.rows(rule, point.noise(rule, batch=batch), batch=batch)
    received, expected = post[0].mean(axis=0), gradient_of(point)
    assert cosine(received, expected) > 0.995
    assert received @ expected / (expected @ expected) == pytest.approx(1.0, abs=0.05)


def learner_of(seed: int = 0, **more: Any) -> Learner:
    chosen: dict[str, Any] = {'neuron': 'torch', 'hidden_sizes': (8,), 'bias': True}
    chosen |= {'learning_rate': 3e-2, 'rule': NodePerturbation(sigma=1e-2, samples=2)}
    return Learner(learner_settings(seed=seed, **(chosen | more)))


def episodes_of(action: ActionSpace, session: int = 7) -> Episodes:
    return Episodes(
        ScriptedEnvironment([1] * 16, action=action),
        agent='a',
        session=session,
        lockstep=True,
        delivery=Delivery.EVERY_STEP,
    )


def returns_of(episodes: Episodes, learner: Learner, steps: int) -> list[float]:
    cycle = loop.run(episodes, learner, Neuromodulator(RpeSettings()), seed=0)
    returns = []
    for _, ended in zip(range(steps), cycle, strict=False):
        ends = episodes.ends()
        assert ended == (0 if ends is None else len(ends.instance))
        if ends is not None:
            returns.append(float(ends.episode_return.mean()))
    return returns


@pytest.mark.parametrize(
    'action', [ActionSpace.discrete(2), ActionSpace.continuous((0.0,), (1.0,))]
)
@pytest.mark.parametrize('activation', ['tanh', 'softsign'])
def test_it_learns_to_choose_the_better_action(action: ActionSpace, activation: str) -> None:
    """The scripted environment pays 1 + action: the larger one is better."""
    learner = learner_of(**{'network.options.activation': activation})
    returns = returns_of(episodes_of(action), learner, 600)
    assert np.mean(returns[:5]) < 1.75
    assert np.mean(returns[-50:]) > 1.9


def test_it_continues_from_a_checkpoint_to_the_last_bit() -> None:
    whole, saved, other = learner_of(), learner_of(), learner_of(seed=4)
    action = ActionSpace.discrete(2)
    for learner in (whole, saved):
        returns_of(episodes_of(action), learner, 20)
    other.restore(saved.snapshot())
    for learner in (whole, other):
        learner.leave('a')
        returns_of(episodes_of(action, session=8), learner, 20)
    assert same(whole.weights, other.weights)
    assert not same(whole.weights, saved.weights)


def test_what_it_learned_is_in_its_next_pass() -> None:
    """The module and the learner share their weights."""
    spec = NetworkSpec(2, (3,), 2)
    network = Network(spec, [np.full(shape, 0.5) for shape in spec.shapes])
    passes = TorchPasses(network, 1, 0)
    before = passes.run(np.ones((1, 2)), None, 0.0).copy()
    for weight in network.weights:
        weight += 0.25
    assert (passes.run(np.ones((1, 2)), None, 0.0) > before).all()
