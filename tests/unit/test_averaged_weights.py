"""Averaged weights: greedy actions follow their running mean, exploring ones the newest weights."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.records import ActionSpace
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning import loop
from nrl_ros.learning.learner import Learner
from nrl_ros.settings.run import check
from tests.unit.fakes import feed, info_of, learner_of, message_flow, same

AVERAGING = 4
LEARNS: dict[str, Any] = {'optimiser': 'adam', 'learning_rate': 0.05, 'averaging': AVERAGING}


def means_of(learner: Learner) -> list[Any]:
    network = learner.roster.policy.network  # type: ignore[union-attr]
    assert network.averaged is not None
    return [weight.copy() for weight in network.averaged.weights]


def test_the_mean_is_plain_at_first_and_exponential_later() -> None:
    info = info_of()
    learner = learner_of(info, **LEARNS)
    expected, seen = learner.weights, 0
    for message in message_flow(info, steps=60, seed=3):
        feed(learner, [message])
        assert learner.updates - seen <= 1
        if learner.updates > seen:
            seen = learner.updates
            share = 1.0 / min(seen, AVERAGING)
            expected = [
                mean + share * (weight - mean)
                for mean, weight in zip(expected, learner.weights, strict=True)
            ]
            assert same(means_of(learner), expected)
    assert seen > 3 * AVERAGING


def test_only_greedy_actions_use_the_mean() -> None:
    info = info_of(action=ActionSpace.continuous((-1.0,), (1.0,)))
    flow = message_flow(info, steps=60, seed=3)
    learner, plain = learner_of(info, **LEARNS), learner_of(info, **LEARNS | {'averaging': 0})
    assert same(feed(learner, flow), feed(plain, flow))
    assert same(learner.weights, plain.weights)
    observation = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    agent = learner.served(info.agent)
    assert agent is not None
    network = learner.roster.policy.network  # type: ignore[union-attr]
    before = agent.explorer.greedy(observation)
    for weight in network.weights:
        weight[...] = -weight
    assert same(agent.explorer.greedy(observation), before)
    for mean in network.averaged.weights:  # type: ignore[union-attr]
        mean[...] = -mean
    assert not same(agent.explorer.greedy(observation), before)


@pytest.mark.parametrize('averaged_before', [True, False])
def test_a_run_goes_on_with_its_mean_or_begins_one(averaged_before: bool) -> None:
    info = info_of()
    flow = message_flow(info, steps=60, seed=3)
    first = learner_of(info, **LEARNS | {'averaging': AVERAGING * averaged_before})
    feed(first, flow[:70])
    second = learner_of(info, **LEARNS)
    second.restore(first.snapshot())
    assert same(means_of(second), means_of(first) if averaged_before else first.weights)
    feed(first, flow[70:])
    feed(second, flow[70:])
    assert same(first.weights, second.weights)
    if averaged_before:
        assert same(means_of(first), means_of(second))


def test_the_fused_loop_averages_too() -> None:
    """Plain gradient ascent may be fused with the step; a run that averages must not be."""
    settings = check(
        {
            'learner': {'plasticity.averaging': AVERAGING, 'plasticity.learning_rate': 0.05},
            'neuromodulator': {},
            'environment': {'bridge.name': 'cartpole', 'bridge.instances': 2},
        },
        source='test',
    )
    run = InProcessRun(settings)
    list(islice(loop.run(run.episodes, run.learner, run.neuromodulator, seed=0), 200))
    run.close()
    assert run.learner.updates > AVERAGING
    means = means_of(run.learner)
    initial = Learner(settings.learner)
    initial.join(run.episodes.info)
    assert not any(np.array_equal(*pair) for pair in zip(means, initial.weights, strict=True))
