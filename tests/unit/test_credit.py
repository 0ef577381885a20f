"""Which trace an RPE belongs to: a one-weight network, where a trace is one number."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_ros.base.errors import NrlError, ProtocolError
from nrl_ros.base.records import Ending, Phase, StateBatch
from nrl_ros.base.state import take_snapshot
from nrl_ros.learning.credit import Creditable, CreditWindows
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.traces import make_store
from tests.unit.fakes import (
    feed,
    info_of,
    learner_of,
    message_flow,
    receive,
    reinforce,
    rpe_of,
    same,
    state_of,
)

SPEC = NetworkSpec(1, (), 1)


class Bench:
    """Credit windows of some instances, whose every step has a number of our choice."""

    def __init__(
        self, instances: int, *, kind: str = 'dense', max_late: int = 2, reset: bool = True
    ) -> None:
        self.info = info_of(instances)
        self.counters: Counter[str] = Counter()
        store = make_store(
            kind,
            SPEC,
            instances=instances,
            samples=1,
            decay=1.0,
            window_steps=3,
            dtype=np.float64,
        )
        self.credit = CreditWindows(store, instances, self.counters, max_late=max_late, reset=reset)
        # (instance, RPE) -> trace
        self.learned: list[tuple[int, float, float]] = []
        self._sequence = 0

    def state(self, **fields: Any) -> StateBatch:
        self._sequence += 1
        return state_of(self.info, self._sequence, **fields)

    def act(self, value: Any, **fields: Any) -> None:
        """Observe a state and record a step of that value, as the learner does."""
        state = self.state(**fields)
        self.credit.check(state)
        self.learn(self.credit.observe(state))
        post = np.broadcast_to(np.asarray(value, float), (self.info.spec.instances,))
        self.credit.record(post[None, :, None], np.ones((1, len(post), 1)), state)

    def rpe(self, instance: Any, window: Any, value: Any) -> None:
        rpe = rpe_of(self.info, 0, instance, window, value)
        self.learn(self.credit.reinforce(rpe.instance, rpe.window, rpe.rpe))

    def learn(self, creditable: Creditable | None) -> None:
        if creditable is None:
            return
        for instance, delta in zip(
            creditable.instances.tolist(), creditable.rpe.tolist(), strict=True
        ):
            total = [np.zeros((1, 1))]
            self.credit.store.add_to(total, np.array([instance]), np.ones(1))
            self.learned.append((instance, delta, float(total[0][0, 0])))
        for trace, delta in creditable.late:
            total = [np.zeros((1, 1))]
            trace.add_to(total, 1.0, SPEC)
            self.learned.append((-1, delta, float(total[0][0, 0])))


def ask(credit: CreditWindows, name: str, state: StateBatch) -> None:
    """Ask for one of its public names, with arguments of what may come next."""
    window, error = np.zeros(1, np.int64), np.ones(1)
    rows = np.ones((1, 1, 1))
    arguments: dict[str, tuple[Any, ...]] = {
        'look': (),
        'check': (state,),
        'observe': (state,),
        'reinforce': (window, window, error),
        'record': (rows, rows, state),
        'record_later': (lambda: (rows, rows), state),
        'clear_overflown': (SPEC,),
    }
    found = getattr(credit, name)
    if name == 'collect':
        matched = credit.windows.match(window, window, error, is_early=False)
        found(window, window, error, matched=matched)
    elif callable(found) and name not in ('store', 'windows', 'state'):
        found(*arguments.get(name, ()))


# These do not depend on the newest step, or are called when the state has been put back.
CONSTANT = {'resets', 'refused', 'check_snapshot', 'after_restore'}
ASKED = sorted({name for name in dir(CreditWindows) if not name.startswith('_')} - CONSTANT)


@pytest.mark.parametrize('kind', ['dense', 'factored'])
@pytest.mark.parametrize('name', ASKED)
def test_a_step_left_for_later_is_recorded_before_anything_else(name: str, kind: str) -> None:
    """Also where recording it sets the trace of a window aside that waits for its RPE."""
    # Traces that end with their windows are cleared there, not here.
    reset = name != 'clear_overflown'
    benches = [Bench(1, kind=kind, reset=reset) for _ in range(2)]
    for bench, later in zip(benches, (False, True), strict=True):
        bench.act(2.0)
        now, following = bench.state(window=1), bench.state(window=2)
        bench.credit.observe(now)
        rows, asked = np.full((1, 1, 1), 3.0), []

        def make(rows: Any = rows, asked: list[Any] = asked) -> tuple[Any, Any]:
            asked.append(rows)
            return rows, np.ones((1, 1, 1))

        if later:
            bench.credit.record_later(make, now)
            assert not asked
            ask(bench.credit, name, following)
            assert len(asked) == 1
        else:
            bench.credit.record(*make(), now)
            ask(bench.credit, name, following)
    eager, lazy = (take_snapshot(bench.credit) for bench in benches)
    assert same(eager, lazy)


@pytest.fixture(params=['dense', 'factored'])
def bench(request: Any) -> Bench:
    return Bench(1, kind=request.param)


def test_in_order_a_window_learns_from_the_sum_of_its_steps(bench: Bench) -> None:
    for value in (1.0, 10.0, 100.0):
        bench.act(value)
    bench.credit.observe(bench.state(window=1))
    assert bench.credit.waiting == 1 and bench.credit.open_count == 1
    bench.rpe(0, 0, 0.5)
    assert bench.learned == [(0, 0.5, 111.0)]
    assert bench.credit.waiting == 0 and bench.credit.open_count == 0
    assert not +bench.counters


def test_an_rpe_that_comes_before_the_state_that_closes_its_window_is_held(bench: Bench) -> None:
    bench.act(1.0)
    bench.rpe(0, 0, 0.5)
    assert bench.learned == []
    bench.act(10.0)
    assert bench.learned == []
    bench.act(100.0, window=1)
    assert bench.learned == [(0, 0.5, 11.0)]
    bench.act(0.0, window=2)
    assert bench.learned == [(0, 0.5, 11.0)], 'the held RPE is used once'


def test_a_late_rpe_learns_from_its_own_window(bench: Bench) -> None:
    bench.act(1.0)
    bench.act(10.0, window=1)
    bench.act(100.0, window=1)
    bench.act(1000.0, window=2)
    bench.rpe(0, 0, 0.5)
    assert bench.learned == [(-1, 0.5, 1.0)]
    bench.rpe(0, 1, 0.25)
    assert bench.learned[1:] == [(-1, 0.25, 110.0)]
    bench.credit.observe(bench.state(window=3))
    bench.rpe(0, 2, 0.125)
    assert bench.learned[2:] == [(0, 0.125, 1000.0)]
    assert +bench.counters == {'late_rpes': 2}


def test_a_duplicate_is_counted_and_dropped_whatever_became_of_the_first(bench: Bench) -> None:
    bench.act(1.0)
    bench.rpe(0, 0, 0.5)
    bench.rpe(0, 0, 0.6)
    assert bench.counters['duplicate_rpes'] == 1, 'held'
    bench.act(2.0, window=1)
    bench.rpe(0, 0, 0.7)
    assert bench.counters['duplicate_rpes'] == 2, 'learned'
    bench.act(3.0, window=2)
    bench.rpe(0, 1, 0.8)
    bench.rpe(0, 1, 0.9)
    assert bench.counters['duplicate_rpes'] == 3, 'learned late'
    assert bench.learned == [(0, 0.5, 1.0), (-1, 0.8, 2.0)]
    assert bench.counters['unknown_window_rpes'] == 0


def test_an_rpe_of_a_window_never_seen_is_counted_as_unknown(bench: Bench) -> None:
    bench.rpe(0, 0, 0.5)
    bench.act(1.0)
    bench.rpe(0, 3, 0.5)
    assert bench.learned == []
    assert +bench.counters == {'unknown_window_rpes': 2}


def test_an_aborted_window_teaches_nothing(bench: Bench) -> None:
    bench.act(1.0)
    bench.rpe(0, 0, 0.5)
    bench.act(2.0, window=1, phase=Phase.LAST, ending=Ending.ABORTED)
    bench.rpe(0, 0, 0.5)
    bench.act(4.0, window=1, phase=Phase.FIRST)
    bench.act(8.0, window=2)
    bench.rpe(0, 1, 0.25)
    assert bench.learned == [(-1, 0.25, 4.0)]
    assert bench.counters['aborted_windows'] == 1 and bench.counters['duplicate_rpes'] == 1


def test_a_last_state_is_not_acted_upon(bench: Bench) -> None:
    bench.act(1.0)
    bench.act(2.0, window=1, phase=Phase.LAST, ending=Ending.TERMINATED)
    bench.act(4.0, window=1, phase=Phase.FIRST)
    bench.act(8.0, window=2)
    bench.rpe(0, 0, 1.0)
    bench.rpe(0, 1, 1.0)
    assert [entry[2] for entry in bench.learned] == [1.0, 4.0]


def test_beyond_max_late_the_oldest_is_released(bench: Bench) -> None:
    for window in range(5):
        bench.act(10.0**window, window=window)
    # Window 4 is open, 3 and 2 wait, 1 and 0 were released.
    assert bench.credit.open_count == 3
    assert bench.counters['released_windows'] == 2
    for window in range(4):
        bench.rpe(0, window, window + 1.0)
    assert bench.learned == [(-1, 3.0, 100.0), (-1, 4.0, 1000.0)]
    assert bench.counters['duplicate_rpes'] == 2 and bench.counters['late_rpes'] == 2


def test_without_room_for_late_windows_they_are_released_at_once() -> None:
    bench = Bench(1, max_late=0)
    bench.act(1.0)
    bench.act(2.0, window=1)
    bench.rpe(0, 0, 1.0)
    assert bench.learned == [] and bench.counters['released_windows'] == 1


def test_waiting_can_be_given_up(bench: Bench) -> None:
    bench.act(1.0)
    bench.credit.observe(bench.state(window=1))
    assert bench.credit.release_waiting() == 1
    bench.act(2.0, window=1)
    bench.rpe(0, 0, 1.0)
    assert bench.learned == []
    assert +bench.counters == {'released_windows': 1, 'duplicate_rpes': 1}


def test_release_of_all_leaves_nothing_behind(bench: Bench) -> None:
    bench.act(1.0)
    bench.act(2.0, window=1)
    bench.act(4.0, window=2)
    assert bench.credit.release_all() == 3
    assert bench.credit.open_count == 0 and bench.counters['released_windows'] == 3
    for window in range(3):
        bench.rpe(0, window, 1.0)
    assert bench.learned == []
    bench.act(8.0, window=3)
    bench.act(16.0, window=4)
    bench.rpe(0, 3, 1.0)
    assert bench.learned == [(-1, 1.0, 8.0)], 'old steps are not in the new trace'


def test_a_window_that_runs_backwards_is_refused(bench: Bench) -> None:
    bench.act(1.0, window=3)
    with pytest.raises(ProtocolError, match='window 2 follows window 3'):
        bench.credit.check(bench.state(window=2))
    bench.credit.observe(bench.state(window=4))
    with pytest.raises(ProtocolError, match='window 3 follows'):
        bench.credit.check(bench.state(window=3))
    bench.rpe(0, 3, 1.0)
    with pytest.raises(ProtocolError, match='window 2 follows'):
        bench.credit.check(bench.state(window=2))


def test_an_unapplied_step_is_taken_back_before_its_window_is_learned(bench: Bench) -> None:
    bench.act(1.0)
    bench.act(2.0)
    bench.rpe(0, 0, 0.5)
    bench.act(4.0, window=1, applied=0)
    assert bench.learned == [(0, 0.5, 1.0)]
    assert bench.counters['unapplied_steps'] == 1
    bench.act(8.0, window=2, phase=Phase.FIRST, applied=0)
    bench.rpe(0, 1, 0.5)
    assert bench.learned[1:] == [(-1, 0.5, 4.0)], 'a first state follows no action'


def test_instances_close_their_windows_by_themselves() -> None:
    bench = Bench(3)
    bench.act([1.0, 10.0, 100.0])
    bench.act([2.0, 20.0, 200.0], window=[0, 1, 0])
    bench.act([4.0, 40.0, 400.0], window=[1, 1, 0])
    bench.rpe([0, 1, 2], [0, 0, 0], [0.1, 0.2, 0.3])
    assert bench.learned == [(-1, 0.1, 3.0), (-1, 0.2, 10.0)]
    bench.act([8.0, 80.0, 800.0], window=[1, 2, 1])
    assert bench.learned[2:] == [(2, 0.3, 700.0)]
    bench.rpe([0, 1], [1, 1], [0.4, 0.5])
    assert bench.learned[3:] == [(-1, 0.5, 60.0)]
    assert bench.credit.open_count == 3


class Model:
    """What an environment would send, and what each window's trace ought to be."""

    def __init__(self, instances: int) -> None:
        self.window = [0] * instances
        self.phase = [int(Phase.FIRST)] * instances
        self.trace: dict[tuple[int, int], float] = {}
        self.aborted: set[tuple[int, int]] = set()
        self.newest: list[tuple[tuple[int, int], float] | None] = [None] * instances

    def advance(self, choices: list[tuple[str, int]], at: int) -> tuple[dict, list]:
        """Fields of the next state, and windows whose reward is now due."""
        ending, applied, due = [], [], []
        for i, (what, was_applied) in enumerate(choices):
            how = int(Ending.NONE)
            if at and self.phase[i] == Phase.LAST:
                self.phase[i] = int(Phase.FIRST)
            elif at:
                if what != 'stay':
                    if what == 'abort':
                        self.aborted.add((i, self.window[i]))
                    else:
                        due.append((i, self.window[i]))
                    self.window[i] += 1
                self.phase[i] = int(Phase.LAST if what in ('end', 'abort') else Phase.MID)
                how = int({'end': Ending.TERMINATED, 'abort': Ending.ABORTED}.get(what, 0))
                step = self.newest[i]
                if not was_applied and step is not None:
                    self.trace[step[0]] -= step[1]
            ending.append(how)
            applied.append(was_applied)
            value = float(2 ** (at % 40) + i)
            self.newest[i] = None
            if self.phase[i] != Phase.LAST:
                key = (i, self.window[i])
                self.trace[key] = self.trace.get(key, 0.0) + value
                self.newest[i] = (key, value)
        fields = {
            'window': list(self.window),
            'phase': list(self.phase),
            'ending': ending,
            'applied': applied,
        }
        return fields, due


steps = st.lists(
    st.tuples(
        st.lists(
            st.tuples(
                st.sampled_from(['stay', 'stay', 'next', 'end', 'abort']),
                st.sampled_from([1, 1, 1, 0]),
            ),
            min_size=2,
            max_size=2,
        ),
        # For each reward that falls due: lost, before the state, or so many states later; twice.
        st.lists(
            st.tuples(st.sampled_from([None, 0, 0, 1, 1, 2, 3, 5]), st.booleans()),
            min_size=2,
            max_size=2,
        ),
    ),
    min_size=1,
    max_size=35,
)


@settings(max_examples=300, deadline=None)
@given(
    script=steps,
    kind=st.sampled_from(['dense', 'factored']),
    max_late=st.integers(0, 3),
    noise=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 40)), max_size=10),
)
def test_whatever_the_order_each_window_is_learned_at_most_once_and_from_its_own_trace(
    script: list[Any], kind: str, max_late: int, noise: list[tuple[int, int]]
) -> None:
    bench, model = Bench(2, kind=kind, max_late=max_late), Model(2)
    mail: list[tuple[int, int, int]] = []
    sent = 0
    for at, (choices, deliveries) in enumerate(script):
        fields, due = model.advance(choices, at)
        for (i, window), (delay, twice) in zip(due, deliveries, strict=False):
            if delay is not None:
                mail.append((at + delay, i, window))
                mail += [(at + delay + 2, i, window)] * twice
        for _, i, window in [entry for entry in mail if entry[0] == at]:
            sent += 1
            bench.rpe(i, window, 1000.0 * i + window + 1.0)
        if at < len(noise):  # of windows that may exist or not; worth nothing if they do
            i, window = noise[at]
            if (i, window) not in model.trace:
                sent += 1
                bench.rpe(i, window, -1.0)
        bench.act([2.0 ** (at % 40), 2.0 ** (at % 40) + 1.0], **fields)
    learned = [(int(delta - 1) // 1000, int(delta - 1) % 1000) for _, delta, _ in bench.learned]
    assert len(set(learned)) == len(learned)
    assert not set(learned) & model.aborted
    for key, (where, _, trace) in zip(learned, bench.learned, strict=True):
        assert where in (-1, key[0])
        assert trace == model.trace[key]
    counters = bench.counters
    accounted = len(learned) + counters['aborted_windows'] + counters['released_windows']
    assert accounted + bench.credit.open_count == len(model.trace)
    # Every signal is accounted for too.
    held = int(take_snapshot(bench.credit)['windows']['held'].sum())
    dropped = counters['duplicate_rpes'] + counters['unknown_window_rpes']
    assert len(learned) + held + dropped == sent


# ------------------------------------------------------------ through the learner


@pytest.mark.parametrize('kind', ['dense', 'factored'])
def test_a_late_rpe_changes_weights_as_the_one_in_time_does(kind: str) -> None:
    info = info_of(2)
    learners = [learner_of(info, trace=kind, max_late_windows=4) for _ in range(2)]
    closing, after = state_of(info, 3, window=1), state_of(info, 4, window=1)
    signal = rpe_of(info, 3, [0, 1], [0, 0], [0.7, -0.3])
    for learner in learners:
        for sequence in range(3):
            receive(learner, state_of(info, sequence))
    in_time, late = learners
    before = in_time.weights
    reinforce(in_time, signal)
    receive(in_time, closing)
    receive(late, closing)
    receive(late, after)
    assert all((a == b).all() for a, b in zip(late.weights, before, strict=True))
    reinforce(late, signal)
    for a, b, start in zip(in_time.weights, late.weights, before, strict=True):
        np.testing.assert_allclose(a - start, b - start, rtol=1e-12, atol=1e-15)
        assert np.abs(a - start).max() > 0.0
    assert late.counters['late_rpes'] == 2 and in_time.counters['late_rpes'] == 0


@pytest.mark.parametrize('seed', range(5))
def test_dense_and_factored_learners_learn_the_same(seed: int) -> None:
    info = info_of(4)
    flow = message_flow(info, steps=80, seed=seed)
    results = []
    for kind in ('dense', 'factored'):
        learner = learner_of(info, trace=kind, trace_decay=0.9, learning_rate=1e-3)
        actions = feed(learner, flow)
        results.append((learner, actions))
    (dense, first), (factored, second) = results
    assert dense.windows_learned > 20
    assert dense.counters == factored.counters and dense.updates == factored.updates
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    for a, b in zip(dense.weights, factored.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    junk=st.lists(
        st.tuples(
            st.sampled_from(['state', 'rpe']),
            st.integers(0, 12),
            st.integers(0, 4),
            st.sampled_from(list(Phase)),
            st.sampled_from(list(Ending)),
            st.sampled_from([7, 7, 7, 8]),
            st.integers(0, 3),
        ),
        max_size=40,
    ),
    lockstep=st.booleans(),
)
def test_any_order_of_messages_gives_answers_or_errors_of_ours(
    junk: list[Any], lockstep: bool
) -> None:
    info = info_of(2, lockstep=lockstep)
    learner = learner_of(info)
    for what, sequence, window, phase, ending, session, extra in junk:
        from_there = info_of(2, session=session, lockstep=lockstep)
        try:
            if what == 'state':
                state = state_of(
                    from_there,
                    sequence,
                    window=[window, max(window - extra, 0)],
                    phase=phase,
                    ending=ending,
                    applied=[1, extra % 2],
                )
                receive(learner, state)
            else:
                who = [[0], [1], [0, 1], [0, 2]][extra]
                reinforce(learner, rpe_of(from_there, sequence, who, window, 0.1))
        except NrlError:
            pass
    assert all(np.isfinite(weight).all() for weight in learner.weights)
