"""What a learner computes in each step is noted as it was, and nothing changes by looking."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import ActionSpace, AgentInfo, Delivery, EnvSpec, RpeBatch, StateBatch
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.tracing import StepTraces, Tracer, eligibility_norms
from nrl_ros.settings.learner import LearnerNodeSettings

B, STEPS = 3, 6
INFO = AgentInfo(
    'bandit', 9, EnvSpec(B, 4, ActionSpace.discrete(3)), lockstep=True, delivery=Delivery.EVERY_STEP
)


def learner_of(rule: str, samples: int = 1) -> Learner:
    return Learner(
        LearnerNodeSettings.model_validate(
            {
                'network': {'hidden_sizes': [5]},
                'plasticity': {'rule': rule, 'samples': samples},
                'noise': {'sigma': 0.1},
            }
        )
    )


def state(number: int) -> StateBatch:
    random = np.random.default_rng(number)
    where = np.full(B, number, np.uint32)
    return StateBatch(
        'bandit', 9, number, np.zeros(B, np.uint32), where, where,
        np.full(B, min(number, 1), np.uint8), np.zeros(B, np.uint8), np.ones(B, np.uint8),
        random.normal(size=(B, 4)).astype(np.float32),
    )  # fmt: skip


def run(learner: Learner, instances: tuple[int, ...] | None) -> tuple[list[Any], list[StepTraces]]:
    """Let a learner act and learn; return its weights, and its traces if it is looked at."""
    tracer = None if instances is None else Tracer(learner, instances)
    assert learner.join(INFO)
    found: list[StepTraces] = []
    for number in range(STEPS):
        learner.observe(state(number))
        if number:
            before = np.arange(B, dtype=np.uint32)
            where = np.full(B, number - 1, np.uint32)
            rpe = np.array([0.5, -1.0, 2.0])
            learner.reinforce(
                RpeBatch(
                    'bandit', 9, number, B, before, np.zeros(B, np.uint32), where, where,
                    rpe, np.zeros(B), rpe,
                )
            )  # fmt: skip
        learner.act('bandit')
        if tracer is not None:
            found += tracer.look()
    return [one.copy() for one in learner.weights], found


@pytest.mark.parametrize(('rule', 'samples'), [('nrl', 1), ('nrl', 4), ('antithetic', 2)])
def test_looking_changes_nothing_and_impacts_are_those_of_the_noise(
    rule: str, samples: int
) -> None:
    plain, _ = run(learner_of(rule, samples), None)
    watched = learner_of(rule, samples)
    weights, traces = run(watched, (2, 0))
    for one, other in zip(plain, weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [one.sequence for one in traces] == list(range(STEPS))
    for one in traces:
        assert one.instance.tolist() == [2, 0] and one.step.tolist() == [one.sequence] * 2
        assert one.noise.shape == (2, samples, 5 + 3) and one.impact.shape == (2, samples)
        # To first order the impact follows the noise, whose standard deviation is 0.1.
        assert (np.abs(one.impact) > 0.0).all() and np.abs(one.impact).max() < 1.0
        assert (one.eligibility_norm > 0.0).all() and one.eligibility_norm.shape == (2, 2)
    assert np.std([one.noise for one in traces]) == pytest.approx(1.0, abs=0.25)


def test_an_impact_is_the_change_of_the_log_probability() -> None:
    learner = learner_of('nrl', 3)
    tracer = Tracer(learner)
    learner.join(INFO)
    learner.observe(state(0))
    learner.act('bandit')
    agent: Any = learner.served('bandit')
    (one,) = tracer.look()
    log_probability = agent.explorer._inner._log_probability
    expected = (log_probability[1:] - log_probability[0]).T
    np.testing.assert_allclose(one.impact, expected, rtol=2e-4, atol=2e-6)


def test_a_norm_is_that_of_the_summed_outer_products() -> None:
    spec: Any = learner_of('nrl')
    spec.join(INFO)
    sizes = spec.roster.policy.network.spec
    random = np.random.default_rng(0)
    post = random.normal(size=(2, 3, sizes.noise_components))
    pre = random.normal(size=(2, 3, sizes.input_components))
    norms = eligibility_norms(post, pre, sizes)
    for at, (after, before) in enumerate(zip(sizes.noise_slices, sizes.input_slices, strict=True)):
        whole = np.einsum('ckn,ckm->cnm', post[..., after], pre[..., before])
        np.testing.assert_allclose(norms[:, at], np.linalg.norm(whole, axis=(1, 2)))


@pytest.mark.parametrize('rule', ['rmhl', 'backpropagation', 'weight_perturbation'])
def test_what_a_rule_does_not_have_is_not_a_number(rule: str) -> None:
    plain, _ = run(learner_of(rule), None)
    weights, traces = run(learner_of(rule), (1,))
    for one, other in zip(plain, weights, strict=True):
        np.testing.assert_array_equal(one, other)
    compares = rule == 'weight_perturbation'
    for one in traces:
        assert np.isfinite(one.impact).all() == compares
        assert np.isnan(one.eligibility_norm).all() == compares


def test_an_instance_that_does_not_exist_is_refused() -> None:
    learner = learner_of('nrl')
    Tracer(learner, (3,))
    with pytest.raises(ConfigError, match="'bandit' has the instances 0 to 2, received 3"):
        learner.join(INFO)
