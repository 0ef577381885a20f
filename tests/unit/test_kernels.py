"""The compiled step computes what numpy does, with the same bits on every processor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.records import ActionSpace
from nrl_ros.learning.heads import SoftmaxHead
from nrl_ros.learning.kernels import library as kernels
from nrl_ros.learning.kernels import traces as kernel_traces
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec, Passes, xavier_normal
from nrl_ros.learning.noise import NoiseSettings, NoiseStream, agent_generators
from nrl_ros.learning.rules import NodePerturbation
from tests.unit.fakes import feed, info_of, learner_of, message_flow, same

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


def network_of(spec: NetworkSpec) -> Network:
    generator = np.random.default_rng(0)
    weights = xavier_normal(spec, generator)
    for weight in weights:
        weight += generator.standard_normal(weight.shape, np.float32) * 0.1
    return Network(spec, weights)


@pytest.mark.parametrize('spec', SPECS, ids=str)
@pytest.mark.parametrize('samples', [1, 3])
@pytest.mark.parametrize('instances', [1, 5])
def test_passes(spec: NetworkSpec, samples: int, instances: int) -> None:
    generator = np.random.default_rng(1)
    network = network_of(spec)
    plain, native = (make(network, instances, samples) for make in (Passes, kernels.NativePasses))
    for _ in range(2):
        observation = generator.standard_normal((instances, spec.inputs)).astype(np.float32)
        noise = generator.standard_normal(
            (samples * instances, spec.noise_components), dtype=np.float32
        )
        expected, received = (p.run(observation, noise, 0.3) for p in (plain, native))
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=2e-6)
        np.testing.assert_allclose(native.presynaptic(), plain.presynaptic(), rtol=1e-5, atol=2e-6)
        network.weights[0] += np.float32(0.1)  # in place, as plasticity does
    quiet = kernels.NativePasses(network, instances, 0).run(observation, None, 0.0)
    expected = Passes(network, instances, 0).run(observation, None, 0.0)
    np.testing.assert_allclose(quiet, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize('sizes', [(2,), (5,), (1,), (3, 2, 4)])
@pytest.mark.parametrize('source', [0, 1])
def test_softmax(sizes: tuple[int, ...], source: int) -> None:
    instances, samples = 500, 2
    head = SoftmaxHead(ActionSpace.multi_discrete(sizes))
    generator = np.random.default_rng(1)
    z = generator.standard_normal((1 + samples, instances, head.outputs), dtype=np.float32) * 3
    native = kernels.NativeSoftmax(sizes, instances, samples)
    choice, impact = native.draw(z, np.random.default_rng(2), source)
    expected = head.draw(z[source], np.random.default_rng(2))
    # A number on the border between two choices may fall to either side.
    assert (choice != expected).mean() < 0.005
    log_probability = head.log_probability(z.astype(float), choice)
    np.testing.assert_allclose(
        impact, log_probability[1:] - log_probability[0], rtol=1e-9, atol=1e-9
    )


def test_softmax_of_extreme_outputs() -> None:
    z = np.array([1e4, -1e4, 0.0, -1e4], np.float32)
    z = np.ascontiguousarray(np.broadcast_to(z, (2, 2000, 4)))
    z[1] *= -1.0
    choice, impact = kernels.NativeSoftmax((2, 2), 2000, 1).draw(z, np.random.default_rng(0), 0)
    assert (choice == 0).all()
    assert (impact == -3e4).all()


@pytest.mark.parametrize('norm', ['network', 'layer'])
@pytest.mark.parametrize('spec', SPECS[4:10], ids=str)
def test_eligibility(spec: NetworkSpec, norm: str) -> None:
    generator = np.random.default_rng(1)
    rule = NodePerturbation(sigma=0.2, norm=norm, samples=2)
    noise = generator.standard_normal((2 * 3, spec.noise_components), dtype=np.float32)
    impact = generator.standard_normal((2, 3))
    native = kernels.NativeEligibility(rule.norm_ends(spec), 6)
    received = native.rows(noise, impact, 1.0 / (rule.sigma * rule.samples))
    expected = rule.postsynaptic_(noise.astype(float).reshape(2, 3, -1), impact, spec)
    np.testing.assert_allclose(received, expected.reshape(6, -1), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize('shape', [(1, 1), (2, 64), (64, 4), (9, 17), (33, 3)])
def test_accumulate(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(1)
    post = generator.standard_normal((40, shape[0] + 5), dtype=np.float32)
    pre = generator.standard_normal((40, shape[1] + 7), dtype=np.float32)
    rows = generator.permutation(40)[:23].astype(np.int64)
    weight = generator.standard_normal(23, dtype=np.float32)
    start = generator.standard_normal(shape, dtype=np.float32)
    total = start.copy()
    kernel_traces.accumulate(total, rows, weight, post, pre, at_post=3, at_pre=2)
    a, x = post[rows, 3 : 3 + shape[0]], pre[rows, 2 : 2 + shape[1]]
    expected = start + np.einsum('r,ri,rj->ij', weight, a, x)
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=2e-5)


# -------------------------------------------------------------- normal numbers

COUNT = 400_000


def numbers(seed: int = 1) -> np.ndarray[Any, Any]:
    state = np.random.default_rng(seed).integers(1, 2**32, 64, dtype=np.uint32)
    out = np.zeros(COUNT, np.float32)
    kernels.NativeNormal(state, out).draw()
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

    state = np.random.default_rng(count).integers(1, 2**32, 64, dtype=np.uint32)
    reference, out = state.copy(), np.full(count + 3, 9.0, np.float32)
    stream = kernels.NativeNormal(state, out[:count])
    for _ in range(2):
        stream.draw()
        # A started block of sixteen is used up.
        whole = xoshiro(reference, -(-count // 16))
        assert (state == reference).all()
        probability = ((whole[:count] >> 9) + 0.5) / 2**23
        expected = [NormalDist().inv_cdf(p) for p in probability.tolist()]
        np.testing.assert_allclose(out[:count], expected, rtol=2e-6, atol=1e-6)
    assert (out[count:] == 9.0).all()


def test_normal_numbers_of_other_seeds_are_others() -> None:
    assert abs((numbers(1) * numbers(2)).mean()) < 4.5 / np.sqrt(COUNT)
    assert (numbers(1) == numbers(1)).all()


@pytest.mark.parametrize('components', [1, 7, 66])
def test_streams_of_compiled_noise_continue_from_a_snapshot(components: int) -> None:
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


# ---------------------------------------------------------------- whole learner


@pytest.mark.parametrize('kind', ['dense', 'factored'])
@pytest.mark.parametrize('samples', [1, 3])
@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize(
    'space',
    [
        ActionSpace.discrete(3),
        ActionSpace.multi_discrete((2, 3)),
        ActionSpace.continuous((-1.0,), (1.0,)),
    ],
    ids=lambda space: space.kind.name,
)
def test_a_learner_with_the_kernel_learns_as_one_without(
    space: ActionSpace, bias: bool, samples: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = info_of(3, action=space)
    flow = message_flow(info, steps=40, seed=samples)
    settings: dict[str, Any] = {
        'precision': 'float32',
        'shape': 'uniform',  # normal numbers are drawn by the kernel alone
        'hidden_sizes': (9, 4),
        'bias': bias,
        'trace': kind,
        'trace_decay': 0.9,
        'learning_rate': 1e-3,
        'rule': NodePerturbation(sigma=0.1, samples=samples),
    }
    native = learner_of(info, **settings)
    actions = feed(native, flow)
    with monkeypatch.context() as patch:
        patch.setattr(kernels, '_LIBRARY', None)
        plain = learner_of(info, **settings)
        expected = feed(plain, flow)
    assert native.updates == plain.updates > 5
    for mine, theirs in zip(actions, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)
    for mine, theirs in zip(native.weights, plain.weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-3, atol=2e-4)
    assert not same(native.weights, learner_of(info, **settings).weights)
