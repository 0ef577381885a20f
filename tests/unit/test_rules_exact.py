"""Updates of the rules through the Learner itself, against autograd or computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.learning.rules import (
    RULES,
    AntitheticPairs,
    Backpropagation,
    NodePerturbation,
    RandomPolicy,
    RewardModulatedHebbian,
    WeightPerturbation,
)
from tests.oracles.policy_gradient import HEADS, autograd, cosine
from tests.unit.fakes import (
    feed,
    info_of,
    learner_of,
    message_flow,
    receive,
    reinforce,
    rpe_of,
    same,
    state_of,
)


def listen(learner: Any, agent: str = 'a') -> list[np.ndarray]:
    """Choices that an agent's explorer draws from now on, before they become actions."""
    explorer = learner.roster.served(agent).explorer
    explore, choices = explorer.explore, []

    def heard(*arguments: Any) -> Any:
        choice, rows = explore(*arguments)
        choices.append(np.array(choice))
        return choice, rows

    explorer.explore = heard
    return choices


def gradient_sum(
    learner: Any, head: str, states: list[Any], choices: list[np.ndarray], delta: np.ndarray
) -> list[np.ndarray]:
    """``sum_i delta_i sum_t grad log pi(a_t|s_t)`` by torch, one matrix a layer."""
    policy = learner.roster.policy
    total = [np.zeros_like(weight) for weight in learner.weights]
    for state, choice in zip(states, choices, strict=True):
        for instance, weight in enumerate(delta):
            gradient, _ = autograd(
                head,
                policy.network.spec,
                learner.weights,
                state.observation[instance : instance + 1].astype(float),
                choice[instance : instance + 1],
            )
            for part, one in zip(total, gradient, strict=True):
                part += weight * one
    return total


@pytest.mark.parametrize('kind', ['dense', 'factored'])
@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('hidden', [(), (6,), (5, 4, 3)])
@pytest.mark.parametrize('head', list(HEADS))
def test_backpropagation_is_the_gradient_that_torch_computes(
    head: str, hidden: tuple[int, ...], bias: bool, kind: str
) -> None:
    info = info_of(2, action=HEADS[head][0])
    learner = learner_of(
        info,
        rule=Backpropagation(),
        hidden_sizes=hidden,
        bias=bias,
        learn_std=HEADS[head][1],
        trace=kind,
        learning_rate=0.3,
    )
    before, choices = learner.weights, listen(learner)
    states = [state_of(info, sequence) for sequence in range(4)]
    for state in states:
        receive(learner, state)
    delta = np.array([1.5, -0.7])
    expected = gradient_sum(learner, head, states, choices, delta)
    receive(learner, state_of(info, 4, window=1, phase=2, ending=1))
    reinforce(learner, rpe_of(info, 4, [0, 1], 0, delta))
    for after, start, true in zip(learner.weights, before, expected, strict=True):
        np.testing.assert_allclose(after - start, 0.3 * true, rtol=1e-10, atol=1e-12)
        assert np.abs(true).max() > 1e-3


def test_the_gradient_is_that_of_the_weights_that_acted() -> None:
    """Another agent's reward changes the weights between an action and its bookkeeping."""
    info, other = info_of(1), info_of(1, agent='b')
    learner = learner_of(info, rule=Backpropagation(), hidden_sizes=(6,), learning_rate=0.5)
    learner.join(other)
    choices = listen(learner)
    receive(learner, state_of(other, 0))
    receive(learner, state_of(other, 1, window=1, phase=2, ending=1))
    state = state_of(info, 0)
    receive(learner, state)
    expected = gradient_sum(learner, 'softmax', [state], choices, np.array([1.0]))
    before = learner.weights
    reinforce(learner, rpe_of(other, 1, 0, 0, 30.0))
    between = learner.weights
    assert np.abs(between[1] - before[1]).max() > 0.1
    receive(learner, state_of(info, 1, window=1, phase=2, ending=1))
    reinforce(learner, rpe_of(info, 1, 0, 0, 1.0))
    for after, start, true in zip(learner.weights, between, expected, strict=True):
        np.testing.assert_allclose(after - start, 0.5 * true, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------------ RMHL


@pytest.mark.parametrize('estimate', ['explicit', 'running_mean'])
def test_rmhl_by_hand(estimate: str) -> None:
    """A 3-4-2 network for three steps: noise times presynaptic activity, and the RPE."""
    rule = RewardModulatedHebbian(sigma=0.3, noise_estimate=estimate, estimate_rate=0.25)
    info = info_of(1)
    learner, shadow = (learner_of(info, rule=rule, learning_rate=0.1) for _ in range(2))
    first, second = before = learner.weights
    trace = [np.zeros_like(first), np.zeros_like(second)]
    mean: np.ndarray | None = None
    for sequence in range(3):
        state = state_of(info, sequence)
        receive(learner, state)
        xi = 0.3 * shadow.roster.served('a').noise.next()[0]
        x = state.observation[0].astype(float)
        hidden = first @ x + xi[:4]
        activity = np.maximum(hidden, 0.1 * hidden)
        outputs = second @ activity + xi[4:]
        signal = xi
        if estimate == 'running_mean':
            here = np.concatenate([hidden, outputs])
            # The first step sets the mean, so that nothing is known of its noise.
            mean = here if mean is None else mean
            signal = here - mean
            mean = mean + 0.25 * signal
        trace[0] += np.outer(signal[:4], x)
        trace[1] += np.outer(signal[4:], activity)
    receive(learner, state_of(info, 3, window=1, phase=2, ending=1))
    reinforce(learner, rpe_of(info, 3, 0, 0, -2.0))
    for after, start, part in zip(learner.weights, before, trace, strict=True):
        np.testing.assert_allclose(after - start, 0.1 * -2.0 * part, rtol=1e-10, atol=1e-14)
        assert np.abs(part).max() > 1e-2


def test_rmhl_climbs_the_mean_reward() -> None:
    """``E[delta xi] / sigma^2`` is the gradient of the mean reward, actions being noisy ones."""
    batch, sigma = 300_000, 0.2
    reward = np.array([1.0, -0.5])
    learner = learner_of(info_of(1), hidden_sizes=(4,), seed=3)
    policy, rule = learner.roster.policy, RewardModulatedHebbian(sigma=sigma)
    explorer = rule.explorer(policy.network, policy.head, batch=batch, source=0)
    generator = np.random.default_rng(5)
    observation = generator.standard_normal((1, 3))
    noise = generator.standard_normal((batch, 6))
    choice, rows = explorer.explore(np.repeat(observation, batch, axis=0), noise, generator)
    delta = reward[choice[:, 0]] - reward.mean()
    received = delta @ rows()[0][0] / batch / sigma**2
    z = observation @ policy.network.weights[0].T
    z = np.maximum(z, 0.1 * z) @ policy.network.weights[1].T
    expected = np.zeros(6)
    for action in range(2):
        chosen = np.array([[action]])
        probability = float(np.exp(policy.head.log_probability(z, chosen)[0]))
        _, gradient = autograd(
            'softmax', policy.network.spec, policy.network.weights, observation, chosen
        )
        expected += reward[action] * probability * gradient
    # Each of the 6 means has a standard error of about 0.75 / (sigma sqrt(batch)).
    error = 0.75 / sigma / np.sqrt(batch)
    assert np.linalg.norm(expected) > 10.0 * error
    assert np.abs(received - expected).max() < 4.5 * error + 0.02 * np.abs(expected).max()
    assert cosine(received, expected) > 0.99


# ------------------------------------------------------------- what is the same


@pytest.mark.parametrize('space', list(HEADS))
def test_a_step_of_k_samples_is_the_mean_of_k_steps_of_one(space: str) -> None:
    """The rows of sample k are those that NRL has for the same noise and choice, over K."""
    info = info_of(2, action=HEADS[space][0])
    policy = learner_of(info, learn_std=HEADS[space][1]).roster.policy
    observation = np.random.default_rng(0).standard_normal((2, 3))
    noise = np.random.default_rng(1).standard_normal((6, policy.network.spec.noise_components))

    def rows_of(rule: Any, part: np.ndarray) -> Any:
        explorer = rule.explorer(policy.network, policy.head, batch=2, source=0)
        # The same generator draws the same choices from the clean pass.
        choice, rows = explorer.explore(observation, part.copy(), np.random.default_rng(2))
        return choice, *[array.copy() for array in rows()]

    choice, post, pre = rows_of(NodePerturbation(sigma=0.2, samples=3), noise)
    for sample in range(3):
        part = noise[2 * sample : 2 * sample + 2]
        one, its_post, its_pre = rows_of(NodePerturbation(sigma=0.2), part)
        np.testing.assert_array_equal(one, choice)
        np.testing.assert_allclose(post[sample], its_post[0] / 3.0, rtol=1e-9)
        np.testing.assert_allclose(pre[sample], its_pre[0], rtol=1e-12)


@pytest.mark.parametrize('optimiser', ['sgd', 'layer_normalised', 'adam'])
@pytest.mark.parametrize('precision', ['float32', 'float64'])
def test_the_random_policy_never_changes_a_weight(precision: str, optimiser: str) -> None:
    info = info_of(3)
    learner = learner_of(info, rule=RandomPolicy(), precision=precision, optimiser=optimiser)
    before = learner.weights
    actions = feed(learner, message_flow(info, steps=300, seed=0))
    assert learner.updates > 20
    assert same(learner.weights, before)
    drawn = np.concatenate(actions)
    # Half of 900 draws, within 4.5 standard deviations of 15.
    assert abs(int(drawn.sum()) - 450) < 68


@pytest.mark.parametrize('name', [name for name in RULES if name != 'random'])
def test_every_other_rule_changes_every_layer(name: str) -> None:
    info = info_of(3)
    learner = learner_of(info, rule=RULES[name](sigma=0.1), bias=True)
    before = learner.weights
    feed(learner, message_flow(info, steps=60, seed=0))
    for after, start in zip(learner.weights, before, strict=True):
        assert (after != start).all()


def test_pairs_see_the_mean_activity_of_both() -> None:
    """Below the kinks of a linear network it is the clean one, to rounding."""
    policy = learner_of(info_of(1), hidden_sizes=(4,)).roster.policy
    rule = AntitheticPairs(sigma=1e-4)
    explorer = rule.explorer(policy.network, policy.head, batch=1, source=0)
    observation = np.array([[0.5, -0.3, 0.8]])
    noise = np.random.default_rng(0).standard_normal((1, 6))
    _, rows = explorer.explore(observation, noise, np.random.default_rng(0))
    hidden = policy.network.weights[0] @ observation[0]
    expected = np.concatenate([observation[0], np.maximum(hidden, 0.1 * hidden)])
    np.testing.assert_allclose(rows()[1][0, 0], expected, rtol=0, atol=1e-12)


def test_weight_perturbation_by_hand() -> None:
    """Two steps of a 3-2 network: the trace decays, whole, and meets one RPE."""
    rule, info = WeightPerturbation(sigma=0.2), info_of(1)
    settings: dict[str, Any] = {'rule': rule, 'hidden_sizes': (), 'trace_decay': 0.5}
    learner, shadow = (learner_of(info, **settings) for _ in range(2))
    [weight] = learner.weights
    trace = np.zeros_like(weight)
    for sequence in range(2):
        state = state_of(info, sequence)
        action = int(receive(learner, state).action[0, 0])
        z = shadow.roster.served('a').noise.next()[0].reshape(2, 3)
        x = state.observation[0].astype(float)

        def log_pi(outputs: np.ndarray, action: int = action) -> float:
            return float(outputs[action] - np.log(np.exp(outputs).sum()))

        rho = log_pi((weight + 0.2 * z) @ x) - log_pi(weight @ x)
        trace = 0.5 * trace + rho * z / (0.2 * (z * z).sum())
    receive(learner, state_of(info, 2, window=1, phase=2, ending=1))
    reinforce(learner, rpe_of(info, 2, 0, 0, 3.0))
    np.testing.assert_allclose(
        learner.weights[0] - weight, 0.1 * 3.0 * 6.0 * trace, rtol=1e-9, atol=1e-13
    )
