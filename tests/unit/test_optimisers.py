"""Optimisers and the helpers of the step size: against torch, and by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from nrl_ros.base.errors import ConfigError
from nrl_ros.learning.noise import NoiseSettings
from nrl_ros.learning.optimisers import OPTIMISERS, Adam, AmsGrad, GradientAscent, LayerNormalised
from nrl_ros.learning.rules import NodePerturbation
from nrl_ros.learning.rules.settings import PlasticitySettings
from nrl_ros.learning.schedule import Schedule
from tests.unit.fakes import (
    feed,
    info_of,
    learner_of,
    learner_settings,
    message_flow,
    receive,
    reinforce,
    rpe_of,
    same,
    state_of,
)

SHAPES = [(4, 3), (2, 4)]


def totals_of(step: int, dtype: Any = np.float64) -> list[np.ndarray]:
    generator = np.random.default_rng([step, 17])
    return [generator.standard_normal(shape).astype(dtype) for shape in SHAPES]


@pytest.mark.parametrize('kind', [Adam, AmsGrad])
@pytest.mark.parametrize(('dtype', 'tolerance'), [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_adam_and_amsgrad_are_those_of_torch(dtype: Any, tolerance: float, kind: Any) -> None:
    weights = totals_of(99, dtype)
    parameters = [torch.tensor(weight, requires_grad=True) for weight in weights]
    theirs = torch.optim.Adam(parameters, lr=0.03, maximize=True, amsgrad=kind is AmsGrad)
    mine = kind()
    for step in range(20):
        totals = totals_of(step, dtype)
        if step == 7:
            totals = [np.zeros_like(total) for total in totals]
        for parameter, total in zip(parameters, totals, strict=True):
            parameter.grad = torch.tensor(total)
        theirs.step()
        mine.step(weights, totals, 0.03)
        for weight, parameter in zip(weights, parameters, strict=True):
            np.testing.assert_allclose(
                weight, parameter.detach().numpy(), rtol=tolerance, atol=tolerance
            )
            assert weight.dtype == dtype


def test_gradient_ascent() -> None:
    weights, before = totals_of(99), totals_of(99)
    GradientAscent().step(weights, totals_of(1), 0.25)
    for weight, start, total in zip(weights, before, totals_of(1), strict=True):
        np.testing.assert_array_equal(weight, start + 0.25 * total)


def test_layer_normalised_by_hand() -> None:
    optimiser, weights = LayerNormalised(), [np.zeros((1, 2)), np.zeros((1, 1))]
    # Squares 25 and 0: the first step of the first layer has length eta, the second layer rests.
    optimiser.step(weights, [np.array([[3.0, 4.0]]), np.array([[0.0]])], 0.1)
    np.testing.assert_allclose(weights[0], [[0.06, 0.08]], rtol=1e-15)
    assert weights[1][0, 0] == 0.0
    # 25 + 0.02 (100 - 25) = 26.5; and 0 + 0.02 * 4 = 0.08.
    optimiser.step(weights, [np.array([[10.0, 0.0]]), np.array([[2.0]])], 0.1)
    np.testing.assert_allclose(weights[0], [[0.06 + 1.0 / math.sqrt(26.5), 0.08]], rtol=1e-14)
    np.testing.assert_allclose(weights[1], [[0.2 / math.sqrt(0.08)]], rtol=1e-14)
    # Nothing at all does not count.
    kept = optimiser.snapshot()
    optimiser.step(weights, [np.zeros((1, 2)), np.zeros((1, 1))], 0.1)
    assert same(optimiser.snapshot(), kept)


@pytest.mark.parametrize('scale', [1e-6, 1.0, 1e6])
def test_layer_normalised_does_not_see_the_scale_of_a_layer(scale: float) -> None:
    one, other = (LayerNormalised() for _ in range(2))
    plain, scaled = totals_of(99), totals_of(99)
    for step in range(5):
        totals = totals_of(step)
        one.step(plain, [total.copy() for total in totals], 0.1)
        other.step(scaled, [totals[0] * scale, totals[1]], 0.1)
    for a, b in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize('at', [0, 1, 5])
@pytest.mark.parametrize('name', list(OPTIMISERS))
def test_optimisers_continue_bit_for_bit(name: str, at: int) -> None:
    one, weights = OPTIMISERS[name](), totals_of(99)
    for step in range(at):
        one.step(weights, totals_of(step), 0.1)
    saved, copies = one.snapshot(), [weight.copy() for weight in weights]
    other = OPTIMISERS[name]()
    other.restore(saved)
    for step in range(at, at + 5):
        one.step(weights, totals_of(step), 0.1)
    # Only now: what the first one did must not have reached the snapshot.
    for step in range(at, at + 5):
        other.step(copies, totals_of(step), 0.1)
    assert same(weights, copies)
    assert same(one.snapshot(), other.snapshot())


# -------------------------------------------------------------------- schedule


def test_rates_and_noise_halve_after_so_many_updates() -> None:
    schedule = Schedule(
        PlasticitySettings(learning_rate_decay=100.0), NoiseSettings(sigma_decay=50.0)
    )
    assert [schedule.rate_factor(n) for n in (0, 100, 300)] == [1.0, 0.5, 0.25]
    assert [schedule.sigma_factor(n) for n in (0, 50, 150)] == [1.0, 0.5, 0.25]
    assert Schedule(PlasticitySettings(), NoiseSettings()).rate_factor(10**9) == 1.0
    assert Schedule(PlasticitySettings(), NoiseSettings()).sigma_factor(10**9) == 1.0


def test_reward_prediction_errors_are_clipped_only_where_asked() -> None:
    rpe = np.array([-3.0, -0.5, 0.0, 2.0])
    clipped = Schedule(PlasticitySettings(rpe_clip=1.0), NoiseSettings()).clip(rpe)
    assert clipped.tolist() == [-1.0, -0.5, 0.0, 1.0]
    assert Schedule(PlasticitySettings(), NoiseSettings()).clip(rpe) is rpe


def test_silence_makes_noise_grow_and_others_take_it_back_within_limits() -> None:
    schedule = Schedule(PlasticitySettings(), NoiseSettings(silent_growth=2.0, silent_limit=10.0))
    factors = []
    for rpe in ([0.0, 0.0], [0.0, 1.0], [1.0], [0.0] * 5, [-1.0], [1.0] * 9):
        schedule.heard(np.array(rpe))
        factors.append(schedule.sigma_factor(0))
    np.testing.assert_allclose(factors, [4.0, 4.0, 2.0, 10.0, 5.0, 1.0], rtol=1e-12)
    other = Schedule(PlasticitySettings(), NoiseSettings(silent_growth=2.0))
    schedule.heard(np.zeros(2))
    other.restore(schedule.snapshot())
    assert other.sigma_factor(0) == pytest.approx(4.0, rel=1e-12)


@pytest.mark.parametrize('late', [False, True])
def test_the_learner_clips_decays_and_listens_in_late_windows_too(late: bool) -> None:
    """Two windows with RPE 5 and 0, clipped to 2; the learning rate has halved at the second."""
    info = info_of(1)
    schedule = {
        'rpe_clip': 2.0, 'learning_rate_decay': 1.0, 'sigma_decay': 3.0, 'silent_growth': 8.0
    }  # fmt: skip
    rule = NodePerturbation(sigma=0.1)
    learner = learner_of(info, **schedule, rule=rule)
    plain = learner_of(info, rule=rule)
    before = learner.weights
    changes, sigmas = [], []
    for one in (learner, plain):
        receive(one, state_of(info, 0))
        receive(one, state_of(info, 1, window=1, phase=2, ending=1))
        if late:
            # The window's trace is set aside when the next one begins.
            receive(one, state_of(info, 2, window=1, phase=0, episode=1))
    for one, rpe in ((learner, 5.0), (plain, 2.0)):
        reinforce(one, rpe_of(info, 1, 0, 0, rpe))
        changes.append([a - b for a, b in zip(one.weights, before, strict=True)])
        sigmas.append(one.roster.served('a').explorer._rule.sigma)
        assert one.counters['late_rpes'] == int(late)
    for mine, theirs in zip(*changes, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert np.abs(mine).max() > 0.0
    # One update: sigma 3 / 4; the RPE was not 0, and below its start noise does not go.
    np.testing.assert_allclose(sigmas, [0.075, 0.1], rtol=1e-12)
    if not late:
        receive(learner, state_of(info, 2, window=1, phase=0, episode=1))
    receive(learner, state_of(info, 3, window=2, phase=2, ending=1, episode=1))
    if late:
        receive(learner, state_of(info, 4, window=2, phase=0, episode=2))
    reinforce(learner, rpe_of(info, 3, 0, 1, 0.0))
    sigma = learner.roster.served('a').explorer._rule.sigma
    assert sigma == pytest.approx(0.1 * 0.6 * 8.0, rel=1e-12)


def test_the_learning_rate_halves_with_updates() -> None:
    info, changes = info_of(1), []
    for decay in (0.0, 1.0):
        learner = learner_of(info, learning_rate_decay=decay)
        # A first update of nothing: RPE 0.
        receive(learner, state_of(info, 0))
        receive(learner, state_of(info, 1, window=1, phase=2, ending=1))
        reinforce(learner, rpe_of(info, 1, 0, 0, 0.0))
        receive(learner, state_of(info, 2, window=1, phase=0, episode=1))
        before = learner.weights
        receive(learner, state_of(info, 3, window=2, phase=2, ending=1, episode=1))
        reinforce(learner, rpe_of(info, 3, 0, 1, 1.0))
        changes.append([a - b for a, b in zip(learner.weights, before, strict=True)])
    for constant, halved in zip(*changes, strict=True):
        np.testing.assert_allclose(halved, 0.5 * constant, rtol=1e-9)
        assert np.abs(constant).max() > 0.0


@pytest.mark.parametrize('optimiser', list(OPTIMISERS))
def test_learners_with_every_helper_continue_bit_for_bit(optimiser: str) -> None:
    info, flow = info_of(3), message_flow(info_of(3), steps=80, seed=6)
    settings = {
        'optimiser': optimiser,
        'rpe_clip': 0.8,
        'learning_rate_decay': 9.0,
        'sigma_decay': 7.0,
        'silent_growth': 1.5,
    }
    original = learner_of(info, **settings)
    feed(original, flow[:60])
    restored = learner_of(info, **settings)
    feed(restored, message_flow(info, steps=20, seed=1))
    restored.restore(original.snapshot())
    assert same(feed(original, flow[60:]), feed(restored, flow[60:]))
    assert same(original.snapshot(), restored.snapshot())
    assert original.updates > 20


@pytest.mark.parametrize(
    ('setting', 'received'),
    [
        ({'rpe_clip': -1.0}, '-1.0'),
        ({'learning_rate_decay': math.nan}, 'nan'),
        ({'sigma_decay': math.inf}, 'inf'),
        ({'silent_growth': 0.5}, '0.5'),
        ({'silent_limit': 0.0}, '0.0'),
    ],
)
def test_impossible_schedules_are_refused(setting: dict[str, float], received: str) -> None:
    [name] = setting
    with pytest.raises(ConfigError, match=rf'{name}: Input should be .*received {received}'):
        learner_settings(**setting)
