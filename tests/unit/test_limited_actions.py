"""Where a limit changes an action: what learning from it means, against the exact gradient."""

from __future__ import annotations

import numpy as np
import pytest

from nrl_ros.base.records import ActionSpace, Applied, Delivery, Phase
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.rules import make_rule
from tests.unit.fakes import info_of, learner_settings, receive, reinforce, rpe_of, state_of

ARMS, STD, LIMIT, RATE = 40_000, 0.5, 0.2, 1e-4
SPACE = ActionSpace.continuous((-1.0,), (1.0,))
ONE = np.ones((ARMS, 1), np.float32)


def executed(action: np.ndarray) -> np.ndarray:
    """What a limit leaves of an action."""
    return np.minimum(np.clip(action, -1.0, 1.0), LIMIT)


def reward(action: np.ndarray) -> np.ndarray:
    """Best at 0.6, which the limit forbids."""
    return -np.square(executed(action) - 0.6)


def exact_slope(mean: float) -> tuple[float, float]:
    """Expected reward under N(mean, STD), and its derivative by the mean, by quadrature."""
    u = np.linspace(mean - 8.0 * STD, mean + 8.0 * STD, 200_001)
    density = np.exp(-0.5 * np.square((u - mean) / STD)) / (STD * np.sqrt(2.0 * np.pi))
    value = np.trapezoid(reward(u) * density, u)
    slope = np.trapezoid(reward(u) * (u - mean) / STD**2 * density, u)
    return float(value), float(slope)


def learned_slope(rule: str, limited: Applied) -> tuple[float, float, float, int]:
    """What one update of a learner amounts to, with its standard error, and the exact slope."""
    settings = learner_settings(
        hidden_sizes=(),
        precision='float64',
        action_std=STD,
        learning_rate=RATE,
        rule=make_rule(rule, {'sigma': 1e-6}),
        seed=3,
    )
    learner = Learner(settings)
    info = info_of(ARMS, action=SPACE, observations=1, lockstep=True, delivery=Delivery.EVERY_STEP)
    learner.join(info)
    before = float(learner.weights[0][0, 0])
    action = receive(learner, state_of(info, 0, phase=Phase.FIRST, observation=ONE))
    assert action is not None
    asked = action.action[:, 0].astype(np.float64)
    value, slope = exact_slope(before)
    applied = np.where(executed(asked) == asked, Applied.AS_SENT, limited)
    receive(learner, state_of(info, 1, window=1, applied=applied, observation=ONE))
    rpe = reward(asked) - value
    reinforce(learner, rpe_of(info, 1, np.arange(ARMS), 0, rpe))
    change = (float(learner.weights[0][0, 0]) - before) / RATE / ARMS
    error = float(np.std(rpe) / STD / np.sqrt(ARMS))
    return change, error, slope, learner.counters['limited_steps']


@pytest.mark.parametrize('rule', ['nrl', 'backpropagation'])
def test_credit_for_what_was_asked_is_unbiased(rule: str) -> None:
    """A limit is a part of the environment: log pi of the action drawn, whatever was executed."""
    change, error, slope, count = learned_slope(rule, Applied.LIMITED)
    assert 0.3 * ARMS < count < 0.7 * ARMS
    assert abs(change - slope) < 4.0 * error


@pytest.mark.parametrize('rule', ['nrl', 'backpropagation'])
def test_leaving_limited_steps_out_would_be_biased(rule: str) -> None:
    """Which steps are left out would depend on the action drawn: here even the sign is lost."""
    change, error, slope, count = learned_slope(rule, Applied.NOT)
    assert count == 0
    assert abs(change - slope) > 20.0 * error
