"""The compiled arithmetic computes what plain numpy does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.records import ActionSpace
from nrl_ros.learning.heads import SoftmaxHead
from nrl_ros.learning.networks import forward_pass
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec, xavier_normal
from nrl_ros.learning.networks.forward_pass import ForwardPass
from nrl_ros.learning.noise import NoiseSettings, NoiseStream, agent_generators
from nrl_ros.learning.noise.normal_numbers import NormalNumbers
from nrl_ros.learning.rules import NodePerturbation
from nrl_ros.learning.rules.eligibility import EligibilityRows
from nrl_ros.learning.traces.outer_products import OuterProducts
from tests.oracles import eligibility, softmax
from tests.oracles.passes import Passes

Array = np.ndarray[Any, Any]
KINDS = [np.float32, np.float64]
# Of float32 and float64: sums run in another order than numpy's.
CLOSE = {np.float32: {'rtol': 1e-5, 'atol': 2e-6}, np.float64: {'rtol': 1e-13, 'atol': 1e-14}}

# Widths on both sides of what the loops are cut into.
SPECS = [
    NetworkSpec(observations, hidden, outputs, bias=bias, leak=0.1)
    for observations, hidden, outputs in [
        (1, (), 1),
        (3, (), 9),
        (4, (64,), 2),
        (5, (7,), 3),
        (17, (8, 16), 8),
        (2, (33, 5, 31), 4),
    ]
    for bias in (False, True)
]


def network_of(spec: NetworkSpec, kind: Any) -> Network:
    generator = np.random.default_rng(0)
    weights = xavier_normal(spec, generator, kind)
    for weight in weights:
        weight += generator.standard_normal(weight.shape, kind) * 0.1
    return Network(spec, weights)


@pytest.mark.parametrize('spec', SPECS, ids=str)
@pytest.mark.parametrize('samples', [0, 1, 3])
@pytest.mark.parametrize('instances', [1, 5, 37])
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('largest', [20_000, 60, 0])
def test_passes(
    spec: NetworkSpec,
    samples: int,
    instances: int,
    kind: Any,
    largest: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With each product compiled, with the larger ones left to numpy, and with all of them."""
    monkeypatch.setattr(forward_pass, '_LARGEST', largest)
    generator = np.random.default_rng(1)
    network = network_of(spec, kind)
    plain = Passes(network, instances, samples)
    passes = ForwardPass(network, instances, samples, keeps_preactivation=samples > 0)
    for _ in range(2):
        observation = generator.standard_normal((instances, spec.inputs)).astype(np.float32)
        noise: Array | None = None
        if samples:
            noise = generator.standard_normal((samples * instances, spec.noise_components), kind)
        expected, received = (p.run(observation, noise, 0.3) for p in (plain, passes))
        np.testing.assert_allclose(received, expected, **CLOSE[kind])
        np.testing.assert_allclose(passes.presynaptic(), plain.presynaptic(), **CLOSE[kind])
        if samples:
            np.testing.assert_allclose(passes.preactivation(), plain.preactivation(), **CLOSE[kind])
        network.weights[0] += kind(0.1)  # in place, as plasticity does


def test_passes_write_rows_where_they_are_told_and_read_what_they_watch() -> None:
    spec = NetworkSpec(4, (9,), 2, bias=True)
    passes, other = (ForwardPass(network_of(spec, np.float32), 3, 2) for _ in range(2))
    generator = np.random.default_rng(0)
    observation = generator.standard_normal((3, 4), np.float32)
    noise = generator.standard_normal((6, spec.noise_components), np.float32)
    rows = np.zeros((2, 3, spec.input_components), np.float32)
    passes.watch(observation)
    for _ in range(2):
        z = passes.run(observation, noise, 0.3, rows)
        assert z.tobytes() == other.run(observation.copy(), noise, 0.3).tobytes()
        assert rows.tobytes() == other.presynaptic().tobytes()
        observation += 1.0


@pytest.mark.parametrize(
    ('noise', 'rows'),
    [
        (np.zeros((2, 11), np.float64), None),
        (np.zeros((3, 11), np.float32), None),
        (np.zeros((2, 22), np.float32)[:, ::2], None),
        (np.zeros((2, 11), np.float32), np.zeros((1, 2, 4), np.float32)),
    ],
)
def test_what_is_no_such_array_is_refused_not_read_beyond(noise: Array, rows: Any) -> None:
    network = network_of(NetworkSpec(3, (9,), 2), np.float32)
    with pytest.raises((ValueError, BufferError)):
        ForwardPass(network, 2, 1).run(np.zeros((2, 3)), noise, 0.3, rows)


@pytest.mark.parametrize('sizes', [(2,), (5,), (1,), (3, 2, 4), (40,)])
@pytest.mark.parametrize('source', [0, 1])
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('instances', [1, 6, 500])
def test_softmax(sizes: tuple[int, ...], source: int, kind: Any, instances: int) -> None:
    samples = 2
    space = ActionSpace.multi_discrete(sizes)
    head, plain = SoftmaxHead(space), softmax.SoftmaxHead(space)
    generator = np.random.default_rng(1)
    z = generator.standard_normal((1 + samples, instances, head.outputs), kind) * 3
    log_probability = np.zeros((1 + samples, instances))
    choice = head.sample(z, source, np.random.default_rng(2), log_probability)
    assert choice.tobytes() == head.draw(z[source], np.random.default_rng(2)).tobytes()
    # A number on the border between two choices may fall to either side.
    assert (choice != plain.draw(z[source], np.random.default_rng(2))).mean() < 0.005
    expected = plain.log_probability(z.astype(float), choice)
    np.testing.assert_allclose(log_probability, expected, rtol=1e-12, atol=1e-12)
    assert (head.log_probability(z, choice) == log_probability).all()
    np.testing.assert_allclose(
        head.gradient(z[0], choice), plain.gradient(z[0], choice), **CLOSE[kind]
    )


def test_softmax_of_extreme_outputs() -> None:
    z = np.array([1e4, -1e4, 0.0, -1e4], np.float32)
    z = np.ascontiguousarray(np.broadcast_to(z, (2, 2000, 4)))
    z[1] *= -1.0
    log_probability = np.zeros((2, 2000))
    head = SoftmaxHead(ActionSpace.multi_discrete((2, 2)))
    choice = head.sample(z, 0, np.random.default_rng(0), log_probability)
    assert (choice == 0).all()
    assert (log_probability[1] - log_probability[0] == -3e4).all()


@pytest.mark.parametrize('choice', [-1, 3, 2**31 - 1])
def test_a_choice_that_there_is_not_is_refused(choice: int) -> None:
    head = SoftmaxHead(ActionSpace.discrete(3))
    z, chosen = np.zeros((2, 3), np.float32), np.array([[0], [choice]], np.int32)
    for call in (head.log_probability, head.gradient):
        with pytest.raises(IndexError, match=f'choice {choice} of instance 1'):
            call(z, chosen)


@pytest.mark.parametrize('norm', ['network', 'layer'])
@pytest.mark.parametrize('spec', SPECS[4:10], ids=str)
@pytest.mark.parametrize('kind', KINDS)
def test_eligibility(spec: NetworkSpec, norm: str, kind: Any) -> None:
    generator = np.random.default_rng(1)
    rule = NodePerturbation(sigma=0.2, norm=norm, samples=2)
    noise = generator.standard_normal((2, 3, spec.noise_components), kind)
    log_probability = generator.standard_normal((3, 3))
    ends = rule.norm_ends(spec)
    expected = eligibility.EligibilityRows(ends).compare_over(
        noise.astype(float), log_probability, rule.row_scale
    )
    rows, other = noise.copy(), noise.copy()
    assert EligibilityRows(ends).compare_over(rows, log_probability, rule.row_scale) is rows
    np.testing.assert_allclose(rows, expected, rtol=2e-6, atol=1e-7)
    rule.postsynaptic_(other, log_probability[1:] - log_probability[0], spec)
    assert other.tobytes() == rows.tobytes()


@pytest.mark.parametrize('hidden', [(1,), (2, 64), (64, 4), (9, 17), (33, 3)])
@pytest.mark.parametrize('kind', KINDS)
def test_outer_products(hidden: tuple[int, ...], kind: Any) -> None:
    spec = NetworkSpec(3, hidden, 2, bias=True)
    generator = np.random.default_rng(1)
    post = generator.standard_normal((40, spec.noise_components), kind)
    pre = generator.standard_normal((40, spec.input_components), kind)
    rows = generator.permutation(40)[:23].astype(np.int64)
    weight = generator.standard_normal(23, kind)
    total = [generator.standard_normal(shape, kind) for shape in spec.shapes]
    expected = [
        start + np.einsum('r,ri,rj->ij', weight, post[rows][:, out], pre[rows][:, where])
        for start, out, where in zip(total, spec.noise_slices, spec.input_slices, strict=True)
    ]
    OuterProducts(spec, post, pre).add_to(total, rows, weight)
    for mine, theirs in zip(total, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=2e-5)


# -------------------------------------------------------------- normal numbers

COUNT = 400_000


def stream_of(generator: np.random.Generator) -> NormalNumbers:
    stream = NormalNumbers()
    stream.state.lanes[:] = generator.integers(1, 2**32, 64, dtype=np.uint32)
    stream.state.seeded = True
    return stream


def numbers(seed: int = 1) -> np.ndarray[Any, Any]:
    out = np.zeros(COUNT, np.float32)
    stream_of(np.random.default_rng(seed)).fill(np.random.default_rng(0), out)
    return out.astype(float)


def test_normal_numbers_have_the_moments_of_the_normal_distribution() -> None:
    z = numbers()
    assert np.isfinite(z).all()
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)]:
        off = (z**power).mean() - moment
        assert abs(off) < 4.5 * np.sqrt(variance / COUNT), f'moment {power}'


def test_normal_numbers_have_the_distribution_function_of_the_normal_one() -> None:
    from math import erf

    z = np.sort(numbers())
    at = np.linspace(-4.5, 4.5, 400)
    expected = np.array([0.5 * (1.0 + erf(value / np.sqrt(2.0))) for value in at])
    received = np.searchsorted(z, at) / COUNT
    # Kolmogorov's statistic exceeds 2.2 / sqrt(n) about once in 8,000 seeds.
    assert np.abs(received - expected).max() < 2.2 / np.sqrt(COUNT)
    assert 4.0 < np.abs(z).max() < 6.5


@pytest.mark.parametrize('lag', [1, 2, 8, 16, 32, 33, 64, 128])
def test_normal_numbers_do_not_depend_on_earlier_ones(lag: int) -> None:
    z = numbers()
    bound = 4.5 / np.sqrt(COUNT - lag)
    assert abs((z[lag:] * z[:-lag]).mean()) < bound
    square = (z * z - 1.0) / np.sqrt(2.0)
    assert abs((square[lag:] * square[:-lag]).mean()) < bound
    assert abs((square[lag:] * z[:-lag]).mean()) < bound


def xoshiro(state: np.ndarray[Any, Any], blocks: int) -> np.ndarray[Any, Any]:
    """The generator as its authors publish it, sixteen at a time; the state moves on."""

    def rotated(x: np.ndarray[Any, Any], k: int) -> np.ndarray[Any, Any]:
        return (x << np.uint32(k)) | (x >> np.uint32(32 - k))

    s, out = state.reshape(4, 16), np.zeros((blocks, 16), np.uint32)
    for block in range(blocks):
        out[block] = rotated(s[0] + s[3], 7) + s[0]
        shifted = s[1] << np.uint32(9)
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= shifted
        s[3] = rotated(s[3], 11)
    return out.ravel()


@pytest.mark.parametrize('count', [1, 15, 16, 17, 64, 100, 1023, 1025, 5000])
def test_normal_numbers_are_the_quantiles_of_the_published_generator(count: int) -> None:
    from statistics import NormalDist

    generator, out = np.random.default_rng(count), np.full(count + 3, 9.0, np.float32)
    stream = stream_of(generator)
    reference = stream.state.lanes.copy()
    for _ in range(2):
        stream.fill(generator, out[:count])
        # A started block of sixteen is used up.
        whole = xoshiro(reference, -(-count // 16))
        assert (stream.state.lanes == reference).all()
        probability = ((whole[:count] >> 9) + 0.5) / 2**23
        expected = [NormalDist().inv_cdf(p) for p in probability.tolist()]
        np.testing.assert_allclose(out[:count], expected, rtol=2e-6, atol=1e-6)
    assert (out[count:] == 9.0).all()


def test_normal_numbers_of_other_seeds_are_others() -> None:
    assert abs((numbers(1) * numbers(2)).mean()) < 4.5 / np.sqrt(COUNT)
    assert (numbers(1) == numbers(1)).all()


@pytest.mark.parametrize('components', [1, 7, 66])
def test_streams_of_noise_continue_from_a_snapshot(components: int) -> None:
    def stream(seed: int) -> NoiseStream:
        generator = agent_generators(seed, 'a', 1)[0]
        return NoiseStream(NoiseSettings(), generator, rows=3, components=components)

    one, other = stream(1), stream(2)
    for ahead in (False, True):
        one.next()
        if ahead:
            one.prepare()
        other.restore(one.snapshot())
        for _ in range(3):
            assert one.next().tobytes() == other.next().tobytes()
    draws = np.concatenate([one.next().copy() for _ in range(3000)]).astype(float)
    scaled = draws / np.einsum('dn,dn->d', draws, draws)[:, None]
    mean = scaled.T @ draws / len(draws)
    off = np.abs(mean - np.eye(components) / components)
    assert off.max() < 7.0 / components / np.sqrt(len(draws))
