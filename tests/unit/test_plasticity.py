"""The update of a tiny network, computed by hand."""

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import StateBatch
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.rules import NodePerturbation
from tests.unit.fakes import info_of, learner_of, receive, reinforce, rpe_of, state_of

SPEC = NetworkSpec(3, (4,), 2)


def test_rows_are_impact_times_noise_over_its_square() -> None:
    rule = NodePerturbation(sigma=0.5)
    z = np.array([[[3.0, 4.0, 0.0, 0.0, 0.0, 0.0]]])
    rows = rule.postsynaptic_(z.copy(), np.array([[2.0]]), SPEC)
    # xi = (1.5, 2), |xi|^2 = 6.25, rho xi / |xi|^2 = 2 * (1.5, 2) / 6.25
    np.testing.assert_allclose(rows[0, 0], [0.48, 0.64, 0, 0, 0, 0], rtol=1e-15)


def test_norm_per_layer_takes_each_layer_by_itself() -> None:
    rule = NodePerturbation(sigma=0.5, norm='layer')
    z = np.array([[[3.0, 4.0, 0.0, 0.0, 0.0, 2.0]]])
    rows = rule.postsynaptic_(z.copy(), np.array([[2.0]]), SPEC)
    np.testing.assert_allclose(rows[0, 0], [0.48, 0.64, 0, 0, 0, 2.0], rtol=1e-15)


def test_samples_are_averaged() -> None:
    z = np.random.default_rng(0).standard_normal((4, 2, 6))
    impact = np.random.default_rng(1).standard_normal((4, 2))
    four = NodePerturbation(samples=4).postsynaptic_(z.copy(), impact, SPEC)
    one = NodePerturbation().postsynaptic_(z.copy(), impact, SPEC)
    np.testing.assert_allclose(four, one / 4.0, rtol=1e-14)


@pytest.mark.parametrize(
    ('step_scale', 'norm', 'expected'),
    [
        ('one', 'network', [1.0, 1.0]),
        ('one', 'layer', [1.0, 1.0]),
        ('layer_width', 'network', [4.0, 2.0]),
        ('layer_width', 'layer', [4.0, 2.0]),
        ('noise_dimensions', 'network', [6.0, 6.0]),
        ('noise_dimensions', 'layer', [4.0, 2.0]),
    ],
)
def test_scales(step_scale: str, norm: str, expected: list[float]) -> None:
    assert NodePerturbation(step_scale=step_scale, norm=norm).scales(SPEC) == expected


@pytest.mark.parametrize(
    'setting',
    [
        {'sigma': 0.0},
        {'sigma': -1.0},
        {'sigma': float('nan')},
        {'norm': 'all'},
        {'step_scale': 'two'},
        {'samples': 0},
    ],
)
def test_impossible_settings_are_refused(setting: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        NodePerturbation(**setting)


def by_hand(
    weights: list[np.ndarray],
    noises: list[np.ndarray],
    states: list[StateBatch],
    actions: list[np.ndarray],
    rule: NodePerturbation,
    decay: float,
) -> list[np.ndarray]:
    """The trace of instance 0 after some steps, neuron by neuron; 3-4-2 network, no bias, K = 1."""
    first, second = weights
    traces = [np.zeros_like(first), np.zeros_like(second)]

    def log_pi(z: list[float], a: int) -> float:
        return float(z[a] - np.log(np.exp(z[0]) + np.exp(z[1])))

    for z, state, action in zip(noises, states, actions, strict=True):
        x0 = state.observation[0].astype(float)
        a = int(action[0, 0])
        xi = rule.sigma * z[0]
        clean = [max(v, 0.1 * v) for v in first @ x0]
        noisy = [max(v, 0.1 * v) for v in first @ x0 + xi[:4]]
        rho = log_pi(second @ noisy + xi[4:], a) - log_pi(second @ clean, a)
        if rule.norm == 'network':
            squares = [float(xi @ xi)] * 2
        else:
            squares = [float(xi[:4] @ xi[:4]), float(xi[4:] @ xi[4:])]
        traces[0] = decay * traces[0] + rho * np.outer(xi[:4], x0) / squares[0]
        traces[1] = decay * traces[1] + rho * np.outer(xi[4:], noisy) / squares[1]
    return traces


@pytest.mark.parametrize('step_scale', ['one', 'noise_dimensions', 'layer_width'])
@pytest.mark.parametrize('norm', ['network', 'layer'])
@pytest.mark.parametrize('decay', [1.0, 0.7])
@pytest.mark.parametrize('kind', ['dense', 'factored'])
def test_update_over_three_steps_equals_the_rule(
    step_scale: str, norm: str, decay: float, kind: str
) -> None:
    rule = NodePerturbation(sigma=0.1, norm=norm, step_scale=step_scale)
    info = info_of(1)
    settings = {'rule': rule, 'trace_decay': decay, 'trace': kind, 'learning_rate': 0.05}
    learner = learner_of(info, **settings)
    shadow = learner_of(info, **settings)
    noise = shadow.roster.served('a').noise  # the same numbers, drawn by a twin
    before = learner.weights
    states = [state_of(info, sequence) for sequence in range(3)]
    actions = [receive(learner, state).action for state in states]
    noises = [noise.next().copy() for _ in range(3)]
    receive(learner, state_of(info, 3, window=1, phase=2, ending=1))
    reinforce(learner, rpe_of(info, 3, 0, 0, -1.7))
    traces = by_hand(before, noises, states, actions, rule, decay)
    scale = {'one': [1, 1], 'layer_width': [4, 2], 'noise_dimensions': [6, 6]}[step_scale]
    if norm == 'layer' and step_scale == 'noise_dimensions':
        scale = [4, 2]
    for after, start, trace, c in zip(learner.weights, before, traces, scale, strict=True):
        np.testing.assert_allclose(after - start, 0.05 * c * -1.7 * trace, rtol=1e-9, atol=1e-13)
        assert np.abs(trace).max() > 1e-3
