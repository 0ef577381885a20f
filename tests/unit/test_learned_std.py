"""One learned standard deviation for each action: its eligibility, and its entropy bonus."""

import math

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import ActionSpace, Phase
from nrl_ros.learning.heads import GaussianHead
from tests.unit.fakes import (
    feed,
    info_of,
    learner_of,
    learner_settings,
    message_flow,
    receive,
    reinforce,
    rpe_of,
    state_of,
)

SPACE = ActionSpace.continuous((-1.0, -1.0), (1.0, 1.0))
INFO = info_of(3, action=SPACE)
ONE_STD = {'bias': True, 'learn_std': True, 'std_of_state': False, 'precision': 'float64'}
STD = 0.2


def biases(learner):
    return learner.weights[-1][2:, -1]


def learned_from_one_step(rpe, **settings):
    """Let a learner act once and hear an RPE; return means, actions and the change of biases."""
    learner = learner_of(
        INFO,
        **ONE_STD,
        action_std=STD,
        **settings,
    )
    mean = learner.roster.policy.head.greedy(_outputs(learner))
    action = receive(learner, state_of(INFO, 0, phase=Phase.FIRST)).action
    receive(learner, state_of(INFO, 1, window=1))
    for instance in range(3):
        reinforce(learner, rpe_of(INFO, 10 + instance, instance, 0, rpe))
    return mean, action, biases(learner)


def _outputs(learner):
    weights, activity = learner.weights, state_of(INFO, 0).observation.astype(np.float64)
    for layer, weight in enumerate(weights):
        activity = np.maximum(activity, 0.1 * activity) if layer else activity
        activity = np.c_[activity, np.ones(len(activity))] @ weight.T
    return activity


def test_the_eligibility_of_the_log_deviation_is_its_closed_form():
    """``((u - m) / std)^2 - 1``: deviations grow if a far action was better than expected."""
    mean, action, change = learned_from_one_step(
        0.7, **{'plasticity.rule': 'backpropagation', 'plasticity.learning_rate': 0.01}
    )
    assert (np.abs(action) < 1.0).all(), 'an action at its bound would not tell what was drawn'
    closed = (((action - mean) / STD) ** 2 - 1.0).sum(axis=0)
    assert change == pytest.approx(0.01 * 0.7 * closed, rel=1e-4)


@pytest.mark.parametrize('bias', [-3.5, -1.0, 0.4, 1.5])
def test_the_entropy_bonus_is_the_gradient_of_the_entropy(bias):
    """Beyond its limits the deviation does not change, and neither does the entropy."""
    one = ActionSpace.continuous((-1.0,), (1.0,))
    head = GaussianHead(one, learn_std=True, std_of_state=False, entropy_bonus=0.3)

    def entropy(log_ratio):
        u = np.linspace(-40.0, 40.0, 400_001)[:, None]
        z = np.tile([0.2, log_ratio], (len(u), 1))
        log = head.log_probability(z, u)
        return -float((np.exp(log) * log).sum() * (u[1, 0] - u[0, 0]))

    slope = (entropy(bias + 1e-4) - entropy(bias - 1e-4)) / 2e-4
    total = np.ones((2, 4))
    head.amend(np.array([[0.0] * 4, [0.0, 0.0, 0.0, bias]]), total, windows=5)
    assert total[0].tolist() == [1.0] * 4
    assert total[1, :3].tolist() == [0.0] * 3
    assert total[1, 3] == pytest.approx(1.0 + 5 * 0.3 * slope, abs=1e-5)


def test_without_reward_the_bonus_alone_moves_the_deviations():
    *_, change = learned_from_one_step(
        0.0,
        entropy_bonus=0.5,
        **{'plasticity.rule': 'backpropagation', 'plasticity.learning_rate': 0.01},
    )
    assert change == pytest.approx([3 * 0.5 * 0.01] * 2)


def test_the_deviation_is_the_same_in_every_state_however_it_is_learned():
    learner = learner_of(INFO, **ONE_STD, learning_rate=0.01, entropy_bonus=0.1)
    feed(learner, message_flow(INFO, steps=40, seed=2))
    assert not learner.weights[-1][2:, :-1].any()
    assert biases(learner).all()
    assert not math.isclose(*biases(learner))


@pytest.mark.parametrize(
    ('settings', 'said'),
    [
        ({'std_of_state': False, 'bias': True}, 'expected policy.learn_std: true'),
        ({'learn_std': True, 'std_of_state': False}, 'expected network.bias: true'),
        ({'learn_std': True, 'entropy_bonus': 0.1}, 'expected policy.std_of_state: false'),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        learner_settings(**settings)
