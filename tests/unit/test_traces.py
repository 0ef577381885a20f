"""Dense and factored traces against plain sums, under any order of operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_ros.base.errors import CheckpointError, ConfigError
from nrl_ros.base.state import restore_snapshot, take_snapshot
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.traces import (
    DenseTraces,
    FactoredTraces,
    TraceStore,
    choose_kind,
    make_store,
)
from tests.unit.fakes import same

SPEC = NetworkSpec(2, (3,), 2, bias=True)
INSTANCES = 3


class PlainTraces:
    """The definition: a list of steps for each instance, summed when asked."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.steps: list[list[Any]] = [[] for _ in range(INSTANCES)]

    def record(self, post: Any, pre: Any, index: Any) -> None:
        for i in range(INSTANCES) if index is None else index:
            self.steps[i].append((post[:, i].copy(), pre[:, i].copy()))

    def retract(self, index: Any) -> None:
        for i in index:
            if self.steps[i]:
                post, pre = self.steps[i][-1]
                self.steps[i][-1] = (post * 0.0, pre)

    def take(self, i: int) -> list[Any]:
        total = [np.zeros(shape) for shape in SPEC.shapes]
        for age, (post, pre) in enumerate(reversed(self.steps[i])):
            for layer, (out, where) in enumerate(
                zip(SPEC.noise_slices, SPEC.input_slices, strict=True)
            ):
                total[layer] += self.decay**age * post[:, out].T @ pre[:, where]
        self.steps[i] = []
        return total


def stores(
    decay: float, samples: int, ring_steps: int, dtype: Any = np.float64
) -> list[TraceStore]:
    return [
        DenseTraces(SPEC, INSTANCES, samples, decay, dtype),
        FactoredTraces(SPEC, INSTANCES, samples, decay, dtype, ring_steps=ring_steps),
    ]


def zeros(dtype: Any = np.float64) -> list[Any]:
    return [np.zeros(shape, dtype) for shape in SPEC.shapes]


subsets = st.sets(st.integers(0, INSTANCES - 1)).map(lambda chosen: np.array(sorted(chosen), int))
operations = st.lists(
    st.one_of(
        st.tuples(st.just('record'), st.one_of(st.none(), subsets)),
        st.tuples(st.just('record'), st.none()),
        st.tuples(st.just('retract'), subsets),
        st.tuples(st.just('add'), subsets),
        st.tuples(st.just('detach'), st.integers(0, INSTANCES - 1)),
        st.tuples(st.just('clear'), subsets),
        st.tuples(st.just('reload'), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(
    steps=operations,
    decay=st.sampled_from([1.0, 0.6]),
    samples=st.sampled_from([1, 3]),
    ring_steps=st.sampled_from([1, 2, 3, 7]),
    dtype=st.sampled_from([np.float64, np.float32]),
    seed=st.integers(0, 1000),
)
def test_both_stores_equal_the_definition(
    steps: list[tuple[str, Any]],
    decay: float,
    samples: int,
    ring_steps: int,
    dtype: Any,
    seed: int,
) -> None:
    generator = np.random.default_rng(seed)
    plain = PlainTraces(decay)
    both = stores(decay, samples, ring_steps, dtype)
    close = 1e-10 if dtype == np.float64 else 2e-4
    newest = np.zeros(INSTANCES, bool)
    for what, argument in [*steps, ('add', np.arange(INSTANCES))]:
        if what == 'record':
            post = generator.standard_normal((samples, INSTANCES, SPEC.noise_components))
            pre = generator.standard_normal((samples, INSTANCES, SPEC.input_components))
            post, pre = post.astype(dtype), pre.astype(dtype)
            for store in [plain, *both]:
                store.record(post.copy(), pre.copy(), argument)
            newest[:] = argument is None
            newest[slice(None) if argument is None else argument] = True
        elif what == 'retract':
            # Only the newest step is ever taken back, as the interface says.
            index = argument[newest[argument]]
            for store in [plain, *both]:
                store.retract(index)
        elif what == 'add':
            weight = generator.standard_normal(len(argument))
            expected = zeros()
            for i, factor in zip(argument.tolist(), weight, strict=True):
                for total, part in zip(expected, plain.take(i), strict=True):
                    total += factor * part
            for store in both:
                total = zeros(dtype)
                store.add_to(total, argument, weight)
                for mine, theirs in zip(total, expected, strict=True):
                    np.testing.assert_allclose(mine, theirs, rtol=close, atol=close)
            newest[argument] = False
        elif what == 'detach':
            expected = plain.take(argument)
            for store in both:
                total = zeros(dtype)
                store.detach(argument).add_to(total, -2.0, SPEC)
                for mine, theirs in zip(total, expected, strict=True):
                    np.testing.assert_allclose(mine, -2.0 * theirs, rtol=close, atol=close)
            newest[argument] = False
        elif what == 'clear':
            for store in both:
                store.clear(argument)
            for i in argument.tolist():
                plain.take(i)
            newest[argument] = False
        else:
            fresh = stores(decay, samples, ring_steps, dtype)
            for new, old in zip(fresh, both, strict=True):
                restore_snapshot(new, take_snapshot(old))
            both = fresh


def used(kind: str, window_steps: int = 3) -> TraceStore:
    """Traces of a few steps, one of them folded where they are factored."""
    store = make_store(
        kind, SPEC, instances=INSTANCES, samples=1, decay=0.9, window_steps=window_steps
    )
    rows = np.ones((1, INSTANCES, SPEC.noise_components), np.float32)
    inputs = np.ones((1, INSTANCES, SPEC.input_components), np.float32)
    for _ in range(window_steps + 1):
        store.record(rows, inputs, np.array([0, 2]))
    return store


@pytest.mark.parametrize(
    ('kind', 'changes', 'told'),
    [
        ('dense', {'trace': np.zeros((2, 5), np.float32)}, 'trace: expected float32'),
        ('dense', take_snapshot(used('factored')), "kind: expected 'dense', received 'factored'"),
        ('factored', take_snapshot(used('factored', 4)), 'kept for 4 steps, expected 3'),
        ('factored', {'post': np.zeros((1, 5), np.float32)}, r'post: expected float32 \[2, 5\]'),
        ('factored', {'count': np.array([9, 0, 0])}, 'count: expected 0 to 3'),
        ('factored', {'dense': [np.zeros(3)]}, 'dense: expected'),
    ],
)
def test_traces_of_another_size_are_refused_and_change_nothing(
    kind: str, changes: dict[str, Any], told: str
) -> None:
    store = used(kind)
    before = take_snapshot(store)
    with pytest.raises(CheckpointError, match=told):
        restore_snapshot(store, before | changes)
    assert same(take_snapshot(store), before)


@pytest.mark.parametrize('kind', ['dense', 'factored'])
def test_a_detached_trace_is_not_touched_by_later_steps(kind: str) -> None:
    store = make_store(
        kind, SPEC, instances=INSTANCES, samples=1, decay=1.0, window_steps=2, dtype=np.float64
    )
    generator = np.random.default_rng(0)

    def record() -> None:
        store.record(
            generator.standard_normal((1, INSTANCES, SPEC.noise_components)),
            generator.standard_normal((1, INSTANCES, SPEC.input_components)),
            None,
        )

    for _ in range(5):
        record()
    detached = store.detach(1)
    before, after = zeros(), zeros()
    detached.add_to(before, 1.0, SPEC)
    for _ in range(5):
        record()
    detached.add_to(after, 1.0, SPEC)
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    assert np.abs(before[0]).max() > 0.0


def test_long_windows_agree_in_float32() -> None:
    generator = np.random.default_rng(0)
    totals = []
    for store in stores(1.0, 1, 16, np.float32):
        generator = np.random.default_rng(0)
        for _ in range(500):
            post = generator.standard_normal((1, INSTANCES, SPEC.noise_components))
            pre = generator.standard_normal((1, INSTANCES, SPEC.input_components))
            store.record(post.astype(np.float32), pre.astype(np.float32), None)
        total = zeros(np.float32)
        store.add_to(total, np.arange(INSTANCES), np.array([1.0, -0.5, 0.1]))
        totals.append(total)
    for dense, factored in zip(*totals, strict=True):
        np.testing.assert_allclose(dense, factored, rtol=2e-4, atol=2e-3)


@pytest.mark.parametrize('kind', ['dense', 'factored'])
def test_a_trace_that_overflowed_is_gone_once_cleared(kind: str) -> None:
    store = make_store(
        kind, SPEC, instances=INSTANCES, samples=1, decay=1.0, window_steps=4, dtype=np.float32
    )
    post = np.ones((1, INSTANCES, SPEC.noise_components), np.float32)
    pre = np.ones((1, INSTANCES, SPEC.input_components), np.float32)
    everyone = np.arange(INSTANCES)
    with np.errstate(all='ignore'):
        store.record(post, pre * np.float32(np.inf), None)
        store.add_to(zeros(np.float32), everyone, np.ones(INSTANCES))
        store.record(post, pre, None)
        total = zeros(np.float32)
        store.add_to(total, everyone, np.ones(INSTANCES))
    assert all((part == INSTANCES).all() for part in total)


def test_the_kind_is_chosen_by_size_and_can_be_named() -> None:
    small, large = NetworkSpec(3, (2,), 1), NetworkSpec(4, (64, 64), 2)
    # Windows of one step with much to touch: factored.
    assert choose_kind(large, 1, 100_000) == 'factored'
    # Otherwise dense while its traces stay in the cache.
    assert choose_kind(large, 500, 64) == choose_kind(large, 0, 64) == 'dense'
    assert choose_kind(large, 20, 8) == choose_kind(large, 1, 8) == 'dense'
    # Where a number of a row stands for many weights, windows whose rows stay in the cache as well.
    deep = NetworkSpec(4, (64,) * 4, 2)
    assert choose_kind(deep, 10, 64) == 'factored'
    assert choose_kind(deep, 10, 8) == 'dense'
    assert choose_kind(large, 500, 1000) == 'factored'
    assert choose_kind(small, 0, 2) == 'dense'
    arguments: dict[str, Any] = {
        'instances': 2,
        'samples': 1,
        'decay': 1.0,
        'window_steps': 3,
    }
    for kind in ('dense', 'factored'):
        assert make_store(kind, small, **arguments).kind == kind
    chosen = choose_kind(small, 3, 2)
    assert make_store('auto', small, **arguments).kind == chosen
    with pytest.raises(ConfigError, match='sparse'):
        make_store('sparse', small, **arguments)
    for decay in (0.0, -0.5, 1.1, float('nan')):
        with pytest.raises(ConfigError, match='decay'):
            make_store('dense', small, **(arguments | {'decay': decay}))
