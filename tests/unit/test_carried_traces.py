"""Traces that go on after a reward: each RPE credits all steps of its episode so far."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_ros.base.records import Ending, Phase
from nrl_ros.learning.rules import NodePerturbation, RandomPolicy
from nrl_ros.storage.codec import decode, encode
from tests.unit.fakes import feed, info_of, learner_of, message_flow, release, same
from tests.unit.trace_bench import DECAY, KINDS, Bench, acted, settings_of


@pytest.mark.parametrize('when', ['in lockstep', 'early', 'late'])
@pytest.mark.parametrize('kind', KINDS)
def test_each_reward_credits_all_earlier_steps_of_its_episode(kind: str, when: str) -> None:
    """``sum_t row_t sum_(k >= t) d^(k - t) delta_k``, and nothing of the episode before."""
    bench = Bench(kind, lockstep=when == 'in lockstep')
    deltas = np.random.default_rng(0).standard_normal((2, 6))
    for episode in range(2):
        bench.state(Phase.FIRST)
        for step in range(6):
            last = step == 5
            if when == 'early':
                bench.rpe(bench.window, deltas[episode, step])
            # The last state is not acted upon: six steps an episode.
            bench.state(
                Phase.LAST if last else Phase.MID, Ending.TERMINATED if last else Ending.NONE
            )
            if when != 'early':
                bench.rpe(bench.window - 1, deltas[episode, step])
        taken = acted(bench)[6 * episode :]
        assert len(taken) == 6
        for t, row in enumerate(taken):
            factor = sum(DECAY ** (k - t) * deltas[episode, k] for k in range(t, 6))
            bench.expected += 0.01 * factor * row
        bench.check()
    assert bench.learner.updates == 12
    # In place in lockstep and where held; otherwise set aside, but for each episode's last.
    assert bench.learner.counters['late_rpes'] == (10 if when == 'late' else 0)


@pytest.mark.parametrize('kind', KINDS)
def test_a_late_rpe_meets_the_trace_as_it_was_when_its_window_closed(kind: str) -> None:
    bench = Bench(kind)
    bench.state(Phase.FIRST)
    for _ in range(4):
        bench.state()
    for window, delta in ((1, 2.0), (3, -1.0), (0, 0.5)):
        bench.rpe(window, delta)
        bench.credit(delta, bench.steps[: window + 1])
    bench.check()
    assert bench.learner.counters['late_rpes'] == 3
    # Beyond the episode's end, the last window has all of its episode and the next one nothing.
    bench.state(Phase.LAST, Ending.TERMINATED)
    bench.state(Phase.FIRST)
    bench.state()
    taken = acted(bench)
    bench.rpe(5, 3.0)
    bench.credit(3.0, taken[5:6])
    bench.rpe(4, 1.5)
    bench.credit(1.5, taken[:5])
    bench.check()


@pytest.mark.parametrize('kind', KINDS)
def test_a_released_window_leaves_the_trace_that_goes_on(kind: str) -> None:
    bench = Bench(kind, max_late_windows=1)
    bench.state(Phase.FIRST)
    for _ in range(4):
        bench.state()
    bench.rpe(3, 1.0)
    bench.credit(1.0, bench.steps[:4])
    bench.check()
    assert bench.learner.counters['released_windows'] == 3


@pytest.mark.parametrize('kind', KINDS)
def test_waiting_that_is_given_up_leaves_the_trace_that_goes_on(kind: str) -> None:
    bench = Bench(kind, lockstep=True)
    bench.state(Phase.FIRST)
    for _ in range(3):
        bench.state()
        assert release(bench.learner, 'a') is not None
    bench.state()
    bench.rpe(3, 1.0)
    bench.credit(1.0, bench.steps[:4])
    bench.check()
    assert bench.learner.counters['released_windows'] == 3
    # At the end of an episode a released window takes its trace along.
    bench.state(Phase.LAST, Ending.TERMINATED)
    assert release(bench.learner, 'a') is not None
    bench.state(Phase.FIRST)
    bench.state()
    bench.rpe(5, 1.0)
    bench.credit(1.0, bench.steps[-1:])
    bench.check()


@pytest.mark.parametrize('kind', KINDS)
def test_an_aborted_episode_takes_its_trace_along(kind: str) -> None:
    bench = Bench(kind)
    bench.state(Phase.FIRST)
    bench.state()
    bench.rpe(0, 1.0)
    bench.credit(1.0, bench.steps[:1])
    bench.state()
    bench.state(Phase.LAST, Ending.ABORTED)
    bench.rpe(2, 50.0)
    bench.state(Phase.FIRST)
    bench.state()
    bench.rpe(3, 1.0)
    bench.credit(1.0, bench.steps[-2:-1])
    bench.check()
    assert bench.learner.counters['aborted_windows'] == 1


@pytest.mark.parametrize('how', ['in time', 'early', 'late', 'never'])
@pytest.mark.parametrize('kind', KINDS)
def test_an_episode_s_end_that_was_lost_ends_its_trace_all_the_same(kind: str, how: str) -> None:
    """The last state never came; the next one heard of is of another episode."""
    bench = Bench(kind)
    bench.state(Phase.FIRST)
    bench.state()
    bench.rpe(0, 1.0)
    bench.credit(1.0, bench.steps[:1])
    acted(bench)
    if how == 'early':
        bench.rpe(1, 2.0)
    # Two states are lost: the last one of the episode and the first one of the next.
    bench.sequence += 2
    bench.window += 1
    bench.episode += 1
    start = len(bench.steps)
    bench.state(step=1)
    if how == 'in time':
        bench.rpe(1, 2.0)
    bench.state()
    if how == 'late':
        bench.rpe(1, 2.0)
    if how != 'never':
        # The newest step before the loss earns nothing, but its time has passed.
        bench.credit(2.0, [bench.steps[0], np.zeros_like(bench.steps[0])])
    bench.rpe(bench.window - 1, 1.0)
    bench.credit(1.0, bench.steps[start : start + 1])
    bench.check()


@pytest.mark.parametrize('kind', KINDS)
def test_a_lost_end_of_an_episode_that_had_been_paid_ends_its_trace_too(kind: str) -> None:
    """In lockstep: the trace has no window of its own when the other episode begins."""
    bench = Bench(kind, lockstep=True)
    bench.state(Phase.FIRST)
    bench.rpe(0, 1.0)
    # What answers this state is never recorded: the learner stops learning for a moment.
    bench.learner._frozen = True
    bench.state()
    bench.learner._frozen = False
    if bench.learner.awaiting('a') is not None:
        bench.rpe(0, 1.0)
    bench.credit(1.0, bench.steps[:1])
    bench.sequence += 2
    bench.window += 1
    bench.episode += 1
    bench.state(step=1)
    bench.state()
    bench.rpe(bench.window - 1, 1.0)
    bench.credit(1.0, bench.steps[1:2])
    bench.check()


@pytest.mark.parametrize('lockstep', [False, True])
@pytest.mark.parametrize('kind', KINDS)
def test_an_overflow_does_not_stay_until_the_episode_ends(kind: str, lockstep: bool) -> None:
    bench = Bench(kind, lockstep=lockstep)
    bench.state(Phase.FIRST)
    acted(bench)
    store: Any = bench.learner.roster.served('a').credit.store
    newest = {'whole': '_newest', 'dense': 'post', 'factored': '_post'}[kind]
    getattr(store, newest)[...] = np.inf
    counters = bench.learner.counters
    with np.errstate(invalid='ignore', over='ignore'):
        bench.state()
        bench.rpe(0, 1.0)
        assert counters['rejected_updates'] == 1
        before = bench.flat()
        # What had been added to the overflow is lost with it; what comes after is not.
        for window in (1, 2):
            bench.state()
            bench.rpe(window, 1.0)
    assert counters['rejected_updates'] == 1
    assert (bench.flat() != before).any()


@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 10_000),
    at=st.integers(0, 60),
    through_bytes=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_learners_continue_bit_for_bit_in_mid_episode(
    kind: str, seed: int, at: int, through_bytes: bool
) -> None:
    info = info_of(3)
    flow = message_flow(info, steps=40, seed=seed, longest_delay=5)
    original = learner_of(info, **settings_of(kind))
    feed(original, flow[:at])
    snapshot = original.snapshot()
    if through_bytes:
        snapshot = decode(encode('learner', snapshot), 'learner')
    restored = learner_of(info, **settings_of(kind))
    feed(restored, message_flow(info, steps=9, seed=3))
    restored.restore(snapshot)
    assert same(feed(original, flow[at:]), feed(restored, flow[at:]))
    for learner in (original, restored):
        # Noise may have been drawn ahead by one of them only; then it is by both.
        learner.prepare()
    assert same(original.snapshot(), restored.snapshot())


@given(seed=st.integers(0, 10_000), samples=st.integers(1, 2), steps=st.sampled_from([0, 5]))
@settings(max_examples=25, deadline=None)
def test_dense_and_factored_traces_that_go_on_learn_the_same(
    seed: int, samples: int, steps: int
) -> None:
    """A short ring folds at almost every step, a long one never."""
    info = info_of(3, max_episode_steps=steps)
    flow = message_flow(info, steps=60, seed=seed, longest_delay=5)
    rule = NodePerturbation(sigma=0.1, samples=samples)
    learners = [learner_of(info, **settings_of(kind, rule=rule)) for kind in ('dense', 'factored')]
    actions = [feed(learner, flow) for learner in learners]
    assert same(*actions)
    for one, other in zip(*(learner.weights for learner in learners), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-11)
    assert learners[0].counters == learners[1].counters


@pytest.mark.parametrize('kind', KINDS)
def test_a_learner_that_resets_ends_the_traces_of_one_that_did_not(kind: str) -> None:
    """Loaded in mid episode: from its next window on every trace is its window's own."""
    bench = Bench(kind, lockstep=True)
    bench.state(Phase.FIRST)
    for _ in range(3):
        bench.state()
        bench.rpe(bench.window - 1, 1.0)
    saved = bench.learner.snapshot()
    bench.learner = learner_of(bench.info, **settings_of(kind, trace_reset=True))
    bench.learner.restore(saved)
    bench.listen()
    bench.state()
    bench.rpe(3, 1.0)
    bench.before, bench.expected[...] = bench.flat(), 0.0
    for window in (4, 5):
        bench.state()
        bench.rpe(window, 1.0)
        bench.credit(1.0, bench.steps[window : window + 1])
    bench.check()


def test_random_rows_are_zero_however_long_they_last() -> None:
    info = info_of(2)
    learner = learner_of(info, rule=RandomPolicy(), trace_reset=False)
    before = learner.weights
    feed(learner, message_flow(info, steps=60, seed=0))
    assert same(learner.weights, before) and learner.updates > 5
