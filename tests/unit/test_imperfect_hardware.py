"""Weights of few levels, uneven updates and noisy reading: exact in what they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Delivery
from nrl_ros.environments.episodes import Episodes
from nrl_ros.learning import loop
from nrl_ros.learning.health.monitor import HealthMonitor
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.networks.hardware import Hardware, hardware_of
from nrl_ros.learning.networks.settings import NetworkSettings
from nrl_ros.learning.neuromodulator import Neuromodulator, RpeSettings
from tests.unit.fakes import ScriptedEnvironment, learner_settings, same

SHAPES = [(6, 4), (3, 6)]


def hardware(seed: int = 0, **settings: Any) -> Hardware:
    made = hardware_of(NetworkSettings(**settings), SHAPES, seed)
    assert made is not None
    return made


def scale_of(shape: tuple[int, int], weight_range: float = 6.0) -> float:
    return weight_range * float(np.sqrt(2.0 / sum(shape)))


def levels_of(weights: list[Any], bits: int) -> list[Any]:
    most = 2 ** (bits - 1) - 1
    return [
        weight.astype(np.float64) / scale_of(shape) * most
        for weight, shape in zip(weights, SHAPES, strict=True)
    ]


def first_weights(seed: int = 1) -> list[Any]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape) * 0.3 for shape in SHAPES]


@pytest.mark.parametrize('bits', [2, 4, 8, 16])
def test_weights_are_levels_of_their_layer_before_and_after_an_update(bits: int) -> None:
    kept, weights = hardware(weight_bits=bits), first_weights()
    first = [weight.copy() for weight in weights]
    kept.begin(weights)
    most, change = 2 ** (bits - 1) - 1, np.random.default_rng(3)
    for level, exact in zip(levels_of(weights, bits), levels_of(first, bits), strict=True):
        assert np.abs(level - exact.clip(-most, most)).max() <= 0.5 + 1e-9, 'the nearest level'
    for _ in range(5):
        before = [weight.copy() for weight in weights]
        for weight in weights:
            weight += change.standard_normal(weight.shape)
        kept.write(weights, before)
        for level in levels_of(weights, bits):
            assert np.abs(level - np.rint(level)).max() < 1e-9
            assert np.abs(level).max() <= most + 1e-9


def test_the_expected_change_of_a_rounded_update_is_the_update() -> None:
    kept, weights = hardware(weight_bits=6), first_weights()
    kept.begin(weights)
    before = [weight.copy() for weight in weights]
    update = [0.2 * 0.03 * np.random.default_rng(4).standard_normal(shape) for shape in SHAPES]
    draws, total = 4000, [np.zeros(shape) for shape in SHAPES]
    for _ in range(draws):
        weights = [old + change for old, change in zip(before, update, strict=True)]
        kept.write(weights, before)
        for sums, weight, old in zip(total, weights, before, strict=True):
            sums += weight - old
    for sums, change, shape in zip(total, update, SHAPES, strict=True):
        step = scale_of(shape) / 31
        # The variance of one rounding is p (1 - p) step^2, at most step^2 / 4.
        assert np.abs(sums / draws - change).max() < 4.5 * 0.5 * step / np.sqrt(draws)
        assert np.abs(change).max() < 0.2 * step, 'far less than a level'


def test_a_weight_stays_within_its_levels() -> None:
    kept = hardware(weight_bits=4)
    weights = [np.zeros(shape) for shape in SHAPES]
    kept.write([weight.__iadd__(100.0) for weight in weights], [np.zeros(s) for s in SHAPES])
    for weight, shape in zip(weights, SHAPES, strict=True):
        assert np.allclose(weight, scale_of(shape))


def test_updates_upwards_and_downwards_differ_by_the_asymmetry() -> None:
    kept = hardware(update_asymmetry=0.25)
    old = [np.zeros(shape) for shape in SHAPES]
    up, down = ([np.full(shape, sign) for shape in SHAPES] for sign in (1.0, -1.0))
    kept.write(up, old)
    kept.write(down, old)
    assert all((weight == 1.25).all() for weight in up)
    assert all((weight == -0.75).all() for weight in down)


def test_each_weight_takes_a_share_of_its_own_which_stays() -> None:
    kept, old = hardware(update_spread=0.3), [np.zeros((200, 50))]
    kept = Hardware(NetworkSettings(update_spread=0.3), [(200, 50)], 0)
    first, again, down = [np.ones((200, 50))], [np.ones((200, 50))], [-np.ones((200, 50))]
    for weights in (first, again, down):
        kept.write(weights, old)
    assert np.array_equal(first[0], again[0])
    assert abs(first[0].mean() - 1.0) < 0.02
    assert abs(first[0].std() - 0.3) < 0.02
    assert first[0].min() >= 0.0
    assert abs(np.corrcoef(first[0].ravel(), down[0].ravel())[0, 1]) < 0.05


def test_reading_is_noisy_and_leaves_the_weights_as_they_are() -> None:
    kept, weights = hardware(read_noise=0.1), first_weights()
    own = [weight.copy() for weight in weights]
    seen = []
    for _ in range(400):
        with kept.read(weights):
            seen.append([weight - old for weight, old in zip(weights, own, strict=True)])
        assert same(weights, own)
    for layer, shape in enumerate(SHAPES):
        noise = np.array([one[layer] for one in seen])
        deviation = 0.1 * scale_of(shape)
        assert abs(noise.std() / deviation - 1.0) < 0.03
        assert np.abs(noise.mean(axis=0)).max() < 5.0 * deviation / np.sqrt(400)


def test_the_seed_fixes_everything() -> None:
    found = []
    for seed in (1, 1, 2):
        kept = hardware(seed, weight_bits=5, update_spread=0.2, read_noise=0.1)
        weights = first_weights()
        kept.begin(weights)
        before = [weight.copy() for weight in weights]
        for weight in weights:
            weight += 0.01
        kept.write(weights, before)
        with kept.read(weights):
            found.append([weight.copy() for weight in weights])
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


# -------------------------------------------------------------------- in a learner

KINDS: dict[str, dict[str, Any]] = {
    'dense': {},
    'dense, layer normalised': {'plasticity.optimiser': 'layer_normalised'},
    'spiking': {'network.neuron': 'spiking', 'noise.sigma': 0.2},
    'backpropagation': {'plasticity.rule': 'backpropagation', 'plasticity.optimiser': 'adam'},
    'weight_perturbation': {'plasticity.rule': 'weight_perturbation'},
    'torch': {'network.kind': 'torch'},
    'torch that remembers': {'network.kind': 'torch', 'network.factory': 'recurrent'},
    'torch, backpropagation': {'network.kind': 'torch', 'plasticity.rule': 'backpropagation'},
}
IMPERFECT = {
    'network.weight_bits': 6,
    'network.read_noise': 0.02,
    'network.update_spread': 0.2,
    'network.update_asymmetry': 0.1,
    'plasticity.learning_rate': 0.01,
}


class Run:
    """A learner with imperfect weights, message by message."""

    def __init__(self, **settings: Any) -> None:
        self.environment = ScriptedEnvironment([4, 3, 5])
        self.episodes = Episodes(
            self.environment, agent='a', session=7, lockstep=True, delivery=Delivery.EVERY_STEP
        )
        self.learner = Learner(learner_settings(**settings))
        self.neuromodulator = Neuromodulator(RpeSettings())
        self.learner.join(self.episodes.info)
        self.state, self.reward = self.episodes.begin(3), None

    def steps(self, count: int) -> None:
        for _ in range(count):
            action, _ = loop.answer(self.learner, self.neuromodulator, self.state, self.reward)
            advance = self.episodes.advance(action.action)
            self.state, self.reward = advance.state, advance.reward


@pytest.mark.parametrize('name', KINDS)
def test_any_rule_learns_on_levels_and_continues_bit_for_bit(name: str) -> None:
    run = Run(**IMPERFECT, **KINDS[name])
    first = run.learner.weights
    run.steps(9)
    saved = run.learner.snapshot()
    assert not same(run.learner.weights, first)
    network = run.learner.roster.policy.network  # type: ignore[union-attr]
    for weight, scale in zip(network.weights, network.hardware._scales, strict=True):
        levels = weight.astype(np.float64) / scale * 31
        assert np.abs(levels - np.rint(levels)).max() < 1e-4
    run.steps(7)
    expected = run.learner.weights
    again = Run(**IMPERFECT, **KINDS[name])
    again.steps(9)
    # What was drawn since is drawn again.
    again.learner.roster.policy.network.hardware.state.writing.random(5)  # type: ignore[union-attr]
    again.learner.restore(saved)
    again.steps(7)
    assert same(again.learner.weights, expected)


def test_to_look_at_the_health_of_a_run_changes_nothing() -> None:
    runs = [Run(**IMPERFECT) for _ in range(2)]
    monitor = HealthMonitor(runs[1].learner)
    for _ in range(12):
        for run in runs:
            run.steps(1)
        monitor.look()
    assert same(runs[0].learner.weights, runs[1].learner.weights)


def test_without_imperfections_nothing_is_drawn_or_rounded() -> None:
    run = Run()
    assert run.learner.roster.policy.network.hardware is None  # type: ignore[union-attr]
    assert 'hardware' not in run.learner.snapshot()


@pytest.mark.parametrize(
    ('name', 'value', 'match'),
    [
        ('weight_bits', 1, r'weight_bits is 1, expected 2 to 16, or 0'),
        ('weight_bits', 17, 'weight_bits'),
        ('read_noise', -0.1, 'read_noise'),
        ('update_spread', float('nan'), 'update_spread'),
        ('update_asymmetry', 1.5, 'update_asymmetry'),
    ],
)
def test_what_no_hardware_has_is_refused(name: str, value: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        learner_settings(**{f'network.{name}': value})
