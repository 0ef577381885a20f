"""The compiled windows join traces and errors as plain numpy does, in whatever order they come."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_ros.base.errors import ProtocolError
from nrl_ros.base.records import Ending, Phase, StateBatch
from nrl_ros.base.state import take_snapshot
from nrl_ros.learning import credit, window_tracker
from nrl_ros.learning.credit import Creditable, CreditWindows
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.traces import make_store
from tests.oracles.credit_windows import ReferenceWindows
from tests.unit.fakes import info_of, same, state_of, uncompiled

B = 4
SPEC = NetworkSpec(1, (), 1)


def windows_of(kind: Any, counters: Counter[str], reset: bool) -> Any:
    store = make_store(
        'dense', SPEC, instances=B, samples=1, decay=1.0, window_steps=3, dtype=np.float64
    )
    return kind(store, B, counters, max_late=2, reset=reset)


class Walk:
    """Random states and errors of an agent, given to both; their answers have to be the same."""

    def __init__(self, seed: int, reset: bool) -> None:
        self.random = np.random.default_rng(seed)
        self.counters: list[Counter[str]] = [Counter(), Counter()]
        kinds = (CreditWindows, ReferenceWindows)
        self.both = [
            windows_of(kind, counters, reset)
            for kind, counters in zip(kinds, self.counters, strict=True)
        ]
        self.window, self.episode = np.zeros((2, B), np.int64)
        self.last = np.zeros(B, bool)
        self.sequence = 0
        self.info = info_of(B)

    def ask(self, method: str, *arguments: Any, **named: Any) -> None:
        """Call a method of both; compare answers, counters, and all that decides the future."""
        answers = []
        for windows in self.both:
            try:
                answers.append(plain(getattr(windows, method)(*arguments, **named)))
            except ProtocolError as error:
                answers.append(str(error))
        assert same(*answers), (method, arguments, answers)
        assert self.counters[0] == self.counters[1]
        one, two = self.both
        assert same(take_snapshot(one), two.snapshot()), (method, arguments)
        assert one.refused == two.refused and one.open_count == two.open_count
        assert one.waiting == two.waiting and one.has_late == two.has_late

    def state(self) -> StateBatch:
        """The next state: windows close, episodes end, some actions do not count, some run back."""
        random = self.random
        self.sequence += 1
        starting, closing = self.last.copy(), random.random(B) < 0.4
        self.last = ~starting & (random.random(B) < 0.25)
        self.window += (closing & ~starting) | self.last
        self.episode += starting
        window = self.window - (random.random(B) < 0.03)
        return state_of(
            self.info,
            self.sequence,
            window=np.maximum(window, 0),
            episode=self.episode,
            phase=np.where(self.last, Phase.LAST, np.where(starting, Phase.FIRST, Phase.MID)),
            ending=np.where(
                self.last, random.choice([Ending.TERMINATED, Ending.ABORTED], B), Ending.NONE
            ),
            applied=random.choice([0, 1, 2], B, p=[0.05, 0.9, 0.05]),
        )

    def step(self) -> None:
        """Observe a state and act upon it, perhaps without those that still wait."""
        state = self.state()
        self.ask('check', state)
        if (state.window < self.both[1]._window).any():
            return
        self.ask('observe', state)
        if self.random.random() < 0.3:
            self.ask('release_waiting')
        self.ask('record', self.random.random((1, B, 1)), np.ones((1, B, 1)), state)

    def errors(self) -> None:
        """Errors for some instances: of windows over, open, late, done, or never seen."""
        who = np.flatnonzero(self.random.random(B) < 0.6)
        window = np.maximum(self.window[who] + self.random.integers(-3, 2, len(who)), 0)
        early = bool(self.random.random() < 0.2)
        rpe = self.random.standard_normal(len(who))
        self.ask('reinforce', who, window.astype(np.uint32), rpe, is_early=early)


def plain(answer: Any) -> Any:
    """Lists and arrays, in place of what has no equality."""
    if isinstance(answer, Creditable):
        late = [[trace.dense, trace.post, trace.pre, rpe] for trace, rpe in answer.late]
        return [answer.instances, answer.rpe, late, answer.carried]
    return answer


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_compiled_windows_are_the_reference(seed: int, reset: bool) -> None:
    walk = Walk(seed, reset)
    for _ in range(40):
        chance = walk.random.random()
        if chance < 0.55:
            walk.step()
        elif chance < 0.95:
            walk.errors()
        elif chance < 0.98:
            walk.ask('forget_newest')
        else:
            walk.ask('release_all')


@pytest.mark.parametrize('reset', [True, False])
def test_their_text_uncompiled_is_the_reference(
    reset: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credit, 'WindowTracker', uncompiled(window_tracker).WindowTracker)
    walk = Walk(1, reset)
    assert type(walk.both[0].windows) is not window_tracker.WindowTracker
    for _ in range(60):
        walk.step()
        walk.errors()


@pytest.mark.parametrize('reset', [True, False])
def test_the_walk_meets_all_that_can_happen(reset: bool) -> None:
    walk = Walk(0, reset)
    for _ in range(400):
        walk.step()
        walk.errors()
    names = ('aborted_windows', 'late_rpes', 'duplicate_rpes', 'unknown_window_rpes', 'early_rpes')
    names += ('released_windows', 'unapplied_steps', 'limited_steps')
    assert min(walk.counters[0][name] for name in names) > 3, walk.counters[0]
