"""The loop that ours is timed against computes what ours does, given the same noise and actions."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.torch_loop import TorchNrl, TorchReinforce, loop
from nrl_ros.base.records import Delivery
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.neuromodulator import Neuromodulator, RpeSettings
from nrl_ros.learning.rules import NodePerturbation
from tests.unit.fakes import learner_settings, receive, reinforce

SIZES = (4, 9, 5, 2)
SIGMA, RATE = 1e-2, 1e-3


def learner_of() -> Learner:
    rule = NodePerturbation(sigma=SIGMA)
    return Learner(
        learner_settings(hidden_sizes=SIZES[1:-1], rule=rule, learning_rate=RATE, seed=1)
    )


def log_noise(learner: Learner) -> list[Any]:
    """Every array of unit noise that the learner's one agent draws, cut into layers."""
    stream: Any = next(iter(learner.roster.agents)).noise
    drawn: list[Any] = []
    draw = stream.next

    def logged() -> Any:
        noise = draw()
        ends = np.cumsum([0, *SIZES[1:]])
        drawn.append([torch.tensor(noise[0, start:end].copy()) for start, end in pairwise(ends)])
        return noise

    stream.next = logged
    return drawn


def test_one_episode_gives_the_same_update() -> None:
    episodes = Episodes(
        make_bridge('gymnasium', 1, {'id': 'CartPole-v1'}),
        agent='a',
        session=1,
        lockstep=True,
        delivery=Delivery.EPISODE,
    )
    learner, neuromodulator = learner_of(), Neuromodulator(RpeSettings())
    learner.join(episodes.info)
    noise = log_noise(learner)
    theirs = TorchNrl(SIZES, sigma=SIGMA, learning_rate=RATE)
    with torch.no_grad():
        for mine, before in zip(theirs.weights, learner.weights, strict=True):
            mine.copy_(torch.from_numpy(before))
    state, reward = episodes.begin(seed=3), None
    while reward is None:
        action = receive(learner, state)
        assert action is not None
        theirs.step(state.observation[0], action=int(action.action[0, 0]), noise=noise[-1])
        advance = episodes.advance(action.action)
        state, reward = advance.state, advance.reward
    before = learner.weights
    rpe = neuromodulator.evaluate(reward)
    assert rpe is not None
    assert receive(learner, state) is None
    reinforce(learner, replace(rpe, rpe=np.array([1.5])))
    theirs.learn(1.5)
    assert len(noise) > 8
    for mine, old, other in zip(learner.weights, before, theirs.weights, strict=True):
        change = mine - old
        assert np.abs(change).max() > 1e-4
        np.testing.assert_allclose(
            other.detach().numpy() - old, change, rtol=2e-2, atol=np.abs(change).max() * 1e-3
        )


@pytest.mark.parametrize('autograd', [True, False])
def test_the_published_loop_learns_at_the_end_of_episodes(autograd: bool) -> None:
    torch.manual_seed(0)
    agent = TorchNrl((4, 8, 2), autograd=autograd)
    before = [weight.detach().clone() for weight in agent.weights]
    for _, _ in zip(range(150), loop(agent, seed=0), strict=False):
        pass
    assert all(not torch.equal(old, new) for old, new in zip(before, agent.weights, strict=True))


def test_reinforce_follows_the_gradient() -> None:
    agent = TorchReinforce((3, 6, 2), learning_rate=0.1)
    seen = torch.ones(4, 3)
    delta = torch.tensor([1.0, -1.0, 0.5, 2.0])
    before = [weight.detach().clone().requires_grad_() for weight in agent.weights]
    taken = agent.step(seen)
    hidden = torch.nn.functional.leaky_relu(seen @ before[0].T, 0.1)
    log_probability = torch.log_softmax(hidden @ before[1].T, 1).gather(1, taken)[:, 0]
    expected = torch.autograd.grad((log_probability * delta).sum(), before)
    agent.learn(delta)
    for new, old, gradient in zip(agent.weights, before, expected, strict=True):
        torch.testing.assert_close(new.detach(), old.detach() + 0.1 * gradient)
