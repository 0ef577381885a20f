"""Noise shapes have the moments that the rule needs, and streams depend on nothing but the seed."""

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.learning.noise import (
    NOISE_SHAPES,
    NoiseSettings,
    NoiseStream,
    OrnsteinUhlenbeck,
    agent_generators,
)

DRAWS = 60_000
# Of some 40 z-scores of one test, the largest exceeds 4.5 about once in 4,000 seeds.
BOUND = 4.5


def draw(shape: str, components: int, seed: int = 3) -> np.ndarray:
    out = np.zeros((DRAWS, components))
    NOISE_SHAPES.make(shape).fill(np.random.default_rng(seed), out)
    return out


@pytest.mark.parametrize('shape', list(NOISE_SHAPES))
def test_components_have_mean_zero_and_variance_one(shape: str) -> None:
    z = draw(shape, 6)
    assert np.abs(z.mean(axis=0) * np.sqrt(DRAWS)).max() < BOUND
    square = z * z
    spread = square.std(axis=0) / np.sqrt(DRAWS)
    assert (np.abs(square.mean(axis=0) - 1.0) <= BOUND * spread + 1e-12).all()


@pytest.mark.parametrize('shape', list(NOISE_SHAPES))
def test_normalised_outer_product_has_mean_identity_over_n(shape: str) -> None:
    components = 8
    z = draw(shape, components)
    scaled = z / np.einsum('dn,dn->d', z, z)[:, None]
    mean = scaled.T @ z / DRAWS
    spread = np.sqrt(np.maximum((scaled**2).T @ z**2 / DRAWS - mean**2, 0.0) / DRAWS)
    off = np.abs(mean - np.eye(components) / components)
    assert (off <= BOUND * spread + 1e-12).all()
    # The bound is tight enough to see a scale that is 5 % wrong.
    assert (BOUND * spread < 0.05 / components).all()


@pytest.mark.parametrize('shape', list(NOISE_SHAPES))
def test_third_moment_vanishes(shape: str) -> None:
    cube = draw(shape, 4) ** 3
    assert np.abs(cube.mean(axis=0)).max() < BOUND * cube.std() / np.sqrt(DRAWS)


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('shape', list(NOISE_SHAPES))
def test_drawing_ahead_changes_no_number(shape: str, dtype: type) -> None:
    def stream() -> NoiseStream:
        generator = agent_generators(1, 'a', 1)[0]
        return NoiseStream(NoiseSettings(shape=shape), generator, rows=3, components=5, dtype=dtype)

    eager, lazy = stream(), stream()
    for step in range(6):
        if step % 2:
            eager.prepare()
            eager.prepare()
        first, second = eager.next().copy(), lazy.next().copy()
        assert first.dtype == dtype
        assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize('ahead', [False, True])
def test_stream_continues_from_snapshot(ahead: bool) -> None:
    def stream(seed: int) -> NoiseStream:
        return NoiseStream(NoiseSettings(), agent_generators(seed, 'a', 1)[0], rows=2, components=3)

    one, other = stream(1), stream(2)
    one.next()
    if ahead:
        one.prepare()
    other.prepare()
    other.restore(one.snapshot())
    for _ in range(3):
        assert one.next().tobytes() == other.next().tobytes()


def test_agents_seeds_and_streams_have_different_numbers() -> None:
    numbers = [
        generator.random()
        for seed in (0, 1)
        for agent in ('a', 'b')
        for generator in agent_generators(seed, agent, 2)
    ]
    assert len(set(numbers)) == 8


def test_unknown_shape_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match='gaussian'):
        NoiseSettings(shape='cauchy')


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('steps', [0.5, 3.0, 10.0])
def test_correlated_noise_has_unit_variance_and_forgets_exponentially(
    steps: float, dtype: type
) -> None:
    """At every step, from the first on: ``E[z_t z_(t+lag)] = exp(-lag / steps)``."""
    generator = np.random.default_rng(5)
    shape, count = OrnsteinUhlenbeck(steps), 40_000
    draws = np.zeros((13, count), dtype)
    for out in draws:
        shape.fill(generator, out.reshape(100, -1))
    draws = draws.astype(np.float64)
    received = draws @ draws.T / count
    expected = np.exp(-np.abs(np.subtract.outer(np.arange(13), np.arange(13))) / steps)
    # A product of two such numbers has a variance of at most 2: here, 5 standard errors.
    assert np.abs(received - expected).max() < 5.0 * np.sqrt(2.0 / count)
    assert np.abs(draws.mean(axis=1)).max() < 5.0 / np.sqrt(count)


def test_correlated_components_do_not_depend_on_each_other() -> None:
    generator = np.random.default_rng(6)
    shape, out = OrnsteinUhlenbeck(1.0), np.zeros((50, 8))
    draws = []
    for _ in range(400):
        shape.fill(generator, out)
        draws.append(out.copy())
    values = np.concatenate(draws)
    # Neighbours in time count less than independent ones: (1 + k^2) / (1 - k^2) = 1.31.
    off = np.abs(values.T @ values / len(values) - np.eye(8))
    assert off.max() < 5.0 * np.sqrt(1.31 * 2.0 / len(values))


@pytest.mark.parametrize('ahead', [False, True])
@pytest.mark.parametrize('at', [0, 4])
def test_correlated_noise_continues_from_a_snapshot(at: int, ahead: bool) -> None:
    def stream(seed: int) -> NoiseStream:
        generator = agent_generators(seed, 'a', 1)[0]
        settings = NoiseSettings(shape='ornstein_uhlenbeck', correlation_steps=4.0)
        return NoiseStream(settings, generator, rows=2, components=5)

    one, other = stream(1), stream(2)
    for _ in range(at):
        one.next()
    if ahead:
        one.prepare()
    other.next()
    snapshot = one.snapshot()
    expected = [one.next().copy() for _ in range(5)]
    other.restore(snapshot)
    for values in expected:
        assert other.next().tobytes() == values.tobytes()


@pytest.mark.parametrize('steps', [0.0, -1.0, float('nan'), float('inf')])
def test_impossible_correlation_times_are_refused(steps: float) -> None:
    with pytest.raises(ConfigError, match=f'correlation_steps: .*received {steps}'):
        NoiseSettings(correlation_steps=steps)
