"""State as data: what is copied, what is put back, and what is refused without a change."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import CheckpointError
from nrl_ros.base.state import Stateful, restore_snapshot, take_snapshot, transient
from nrl_ros.storage.codec import decode, encode
from tests.unit.fakes import same


@dataclass
class InnerState:
    values: np.ndarray
    last: np.ndarray | None = None
    count: int = 0
    share: float = 0.5
    over: bool = False
    moments: list[np.ndarray] = field(default_factory=list)
    parts: dict[str, Any] | None = None
    kind: str = 'dense'


class Inner(Stateful):
    """Its array is seen through a view, as compiled code sees it."""

    def __init__(self, size: int = 3) -> None:
        self.state = InnerState(np.zeros(size))
        self.view = self.state.values[1:]


class Forgetful(Stateful):
    """Remembers nothing."""


class Hooked(Stateful):
    """Keeps its number elsewhere."""

    def __init__(self) -> None:
        self.elsewhere = 0
        self.state = {'number': 0}

    def before_snapshot(self) -> None:
        self.state['number'] = self.elsewhere

    def after_restore(self) -> None:
        self.elsewhere = self.state['number']


@dataclass
class ListState:
    entries: list[Any] | None = transient()


class Listed(Stateful):
    """Keeps its entries elsewhere, more or fewer each time."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.state = ListState()

    def before_snapshot(self) -> None:
        self.state.entries = list(self.entries)

    def check_snapshot(self, snapshot: dict[str, Any]) -> None:
        if any(entry is None for entry in snapshot['entries']):
            raise CheckpointError('an entry is none')

    def after_restore(self) -> None:
        self.entries = self.state.entries or []


class Even(Stateful):
    """Its number is even, which no kind tells."""

    def __init__(self) -> None:
        self.state = {'number': 2}

    def check_snapshot(self, snapshot: dict[str, Any]) -> None:
        if snapshot['number'] % 2:
            raise CheckpointError('not even')


class Foreign:
    """An object of another package, whose attribute ``state`` means something else."""

    state = 'busy'

    def __init__(self, refuses: bool = False) -> None:
        self.number, self.refuses = 1, refuses

    def snapshot(self) -> dict[str, Any]:
        return {'number': self.number}

    def restore(self, snapshot: dict[str, Any]) -> None:
        self.number = snapshot['number']
        if self.refuses and self.number != 1:
            raise ValueError('not mine')


class Outer(Stateful):
    def __init__(self, seed: int = 0, refuses: bool = False) -> None:
        self.inner, self.hooked, self.foreign = Inner(), Hooked(), Foreign()
        self.listed = Listed()
        self.state = {
            'inner': self.inner,
            'nothing': Forgetful(),
            'even': Even(),
            'listed': self.listed,
            'hooked': self.hooked,
            'foreign': self.foreign,
            'picky': Foreign(refuses),
            'random': np.random.Generator(np.random.SFC64(seed)),
            'each': [np.random.default_rng(seed), np.random.default_rng(seed + 1)],
            'counts': {'a': 1, 'b': 2},
        }


def used() -> Outer:
    """An object that has moved on."""
    outer = Outer(5)
    state = outer.inner.state
    state.values[:] = [1.0, 2.0, 3.0]
    state.last, state.moments = np.ones(2, np.float32), [np.ones((2, 2)), np.zeros(1)]
    state.parts = {'a': [np.arange(2), 'text', None]}
    state.count, state.share, state.over = 7, 0.25, True
    outer.listed.entries = [{'a': np.arange(3)}, 'x', 4.0]
    outer.hooked.elsewhere, outer.foreign.number = 4, 9
    outer.state['random'].random(3)
    outer.state['each'][1].random(3)
    outer.state['counts']['b'] = 5
    return outer


@pytest.mark.parametrize('through_bytes', [False, True])
def test_a_snapshot_brings_another_object_to_the_same_state(through_bytes: bool) -> None:
    one, other = used(), Outer()
    saved = one.snapshot()
    if through_bytes:
        saved = decode(encode('x', saved), 'x')
    other.restore(saved)
    assert same(one.snapshot(), other.snapshot())
    assert one.state['random'].random() == other.state['random'].random()
    assert one.state['each'][1].random() == other.state['each'][1].random()
    assert other.inner.view.tolist() == [2.0, 3.0]
    assert other.hooked.elsewhere == 4 and other.foreign.number == 9


def test_a_snapshot_shares_nothing_with_either_object() -> None:
    one, other = used(), Outer()
    saved = one.snapshot()
    before = encode('x', saved)
    other.restore(saved)
    for it in (one, other):
        it.inner.state.values += 1.0
        it.inner.state.last += 1.0
        it.inner.state.moments[0] += 1.0
        it.inner.state.parts['a'][0] += 1
        it.state['random'].random()
    assert encode('x', saved) == before


def test_what_is_not_there_yet_may_come_and_go() -> None:
    fresh, later = Outer().snapshot(), used()
    later.restore(fresh)
    assert later.inner.state.last is None and later.inner.state.moments == []
    assert later.inner.state.parts is None


def test_transient_values_have_any_size_and_are_not_kept() -> None:
    one, other = used(), used()
    one.listed.entries, other.listed.entries = [np.zeros(2)], [np.zeros(3), 'y']
    other.restore(one.snapshot())
    assert same(other.listed.entries, [np.zeros(2)])
    assert one.listed.state.entries is other.listed.state.entries is None


def test_lists_that_have_grown_are_checked_and_written_in_place() -> None:
    one, other = used(), used()
    one.inner.state.moments[0][:] = 8.0
    kept = other.inner.state.moments[0]
    other.restore(one.snapshot())
    assert other.inner.state.moments[0] is kept and (kept == 8.0).all()


def changed(snapshot: Any, *path: Any, put: Any = SimpleNamespace) -> Any:
    """Return a snapshot with another value at a path, or without it."""
    if not path:
        return put
    copy = list(snapshot) if isinstance(snapshot, list) else dict(snapshot)
    copy[path[0]] = changed(copy[path[0]], *path[1:], put=put)
    if copy[path[0]] is SimpleNamespace:
        del copy[path[0]]
    return copy


@pytest.mark.parametrize(
    ('path', 'put', 'told'),
    [
        (('inner', 'values'), np.zeros(2), r'inner.values: expected float64 \[3\], received'),
        (('inner', 'values'), np.zeros(3, np.float32), r'received float32 \[3\]'),
        (('inner', 'values'), None, 'inner.values: .*received none'),
        (('inner', 'values'), [0.0] * 3, 'inner.values: .*received list'),
        (('inner', 'count'), 1.0, 'inner.count: expected int, received float'),
        (('inner', 'count'), True, 'inner.count: expected int, received bool'),
        (('inner', 'share'), 1, 'inner.share: expected float, received int'),
        (('inner', 'over'), 1, 'inner.over: expected bool, received int'),
        (('inner', 'kind'), np.zeros(2), r"inner.kind: expected 'dense', received float64 \[2\]"),
        (('inner', 'kind'), 'factored', "inner.kind: expected 'dense', received 'factored'"),
        (('inner',), {'kind': 'other'}, "inner.kind: expected 'dense', received 'other'"),
        (('inner', 'moments'), 3, 'inner.moments: expected a list, received int'),
        (('inner', 'moments'), [np.zeros(1)], 'inner.moments: expected 2 entries, received 1'),
        (('inner', 'moments', 1), np.zeros(2), r'inner.moments\[1\]: expected float64 \[1\]'),
        (('inner', 'share'), SimpleNamespace, 'inner: expected values, .*share.*, received'),
        (('inner',), 3, 'inner: expected values by name, received int'),
        (('counts',), {'a': 1, 'b': 2, 'c': 3}, 'counts: expected a, b, received a, b, c'),
        (('even', 'number'), 3, '^even: not even'),
        (('listed', 'entries'), [1, None], '^listed: an entry is none'),
        (('listed', 'entries'), 3, 'listed: expected that of a Listed, .*TypeError'),
        (('listed',), {}, 'listed: expected entries, received nothing'),
        (('nothing',), {}, 'nothing: expected none, received dict'),
        (('random',), {'bit_generator': 'PCG64'}, 'random: expected the state of .* SFC64'),
        (('each', 0), 3, r'each\[0\]: expected the state of a generator PCG64'),
        (('foreign',), {}, "foreign: Foreign does not take its snapshot: KeyError: 'number'"),
        (('picky',), {'number': 2}, 'picky: Foreign does not take .*ValueError: not mine'),
    ],
)
def test_what_does_not_fit_is_told_with_its_path_and_changes_nothing(
    path: tuple[Any, ...], put: Any, told: str
) -> None:
    target = used()
    target.state['picky'].refuses = True
    before = encode('x', target.snapshot())
    saved = Outer(3).snapshot()
    saved['inner']['moments'] = [np.zeros((2, 2)), np.zeros(1)]
    with pytest.raises(CheckpointError, match=told):
        target.restore(changed(saved, *path, put=put))
    assert encode('x', target.snapshot()) == before


def test_states_alone_are_copied_and_put_back_too() -> None:
    state = {'at': 3, 'where': np.arange(2)}
    saved = take_snapshot(state)
    state['at'] = 4
    state['where'] += 1
    restore_snapshot(state, saved)
    assert state['at'] == 3 and state['where'].tolist() == [0, 1]
    with pytest.raises(CheckpointError, match=r'^arm.at: expected int, received str'):
        restore_snapshot(state, {**saved, 'at': 'x'}, 'arm')


def test_what_no_state_may_hold_is_told_where_it_stands() -> None:
    with pytest.raises(TypeError, match=r'agents.a\[1\] is a object, expected None, a number'):
        take_snapshot({'agents': {'a': [1, object()]}})
