"""Returns as the learner hears them: compiled as in plain numpy, and handed over together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ShapeError
from nrl_ros.base.records import Applied, Ending, Phase, RpeBatch, StateBatch
from nrl_ros.base.state import restore_snapshot, take_snapshot
from nrl_ros.learning import episode_returns
from nrl_ros.learning.checks import check_rpe
from nrl_ros.learning.episode_returns import MOST, EpisodeReturns
from tests.oracles.episode_returns import ReferenceReturns
from tests.unit.fakes import info_of, rpe_of, same, state_of, uncompiled

B = 3
INFO = info_of(B)


class Walk:
    """Random episodes of two or three windows; messages are lost, doubled and out of order."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.episode, self.window, self.step = np.zeros((3, B), np.int64)
        self.length = self.random.integers(2, 5, B)
        self.phase = np.full(B, int(Phase.FIRST))
        self.sequence = 0
        self.held: list[RpeBatch] = []

    def messages(self) -> list[Any]:
        """What comes with one step, in the order in which it is heard."""
        random = self.random
        ends = self.step == self.length
        aborted = ends & (random.random(B) < 0.2)
        self.phase = np.where(ends, Phase.LAST, np.where(self.step == 0, Phase.FIRST, Phase.MID))
        closes = (self.step > 0) & ((self.step == 2) | ends)
        of, window = self.episode.copy(), self.window.copy()
        self.window += closes
        ending = np.where(aborted, Ending.ABORTED, np.where(ends, Ending.TERMINATED, Ending.NONE))
        state = state_of(
            INFO,
            self.sequence,
            episode=self.episode,
            window=self.window,
            phase=self.phase,
            ending=ending,
            applied=np.where(random.random(B) < 0.05, Applied.PERSON, Applied.AS_SENT),
        )
        found: list[Any] = [state]
        paid = np.flatnonzero(closes & ~aborted)
        if len(paid):
            rpe = rpe_of(INFO, self.sequence, paid, window[paid], 0.0)
            value = random.normal(size=len(paid))
            found.append(replace(rpe, episode=of[paid].astype(np.uint32), reward=value))
        self.sequence += 1
        self.step += 1
        self.episode += ends
        self.step[ends] = 0
        self.length[ends] = random.integers(2, 5, int(ends.sum()))
        if random.random() < 0.1:
            found.pop(int(random.integers(len(found))))
        if random.random() < 0.1:
            found += found[-1:]
        if random.random() < 0.2:
            found.reverse()
        return found


def hear(returns: Any, message: StateBatch | RpeBatch) -> list[tuple[int, float]]:
    """What a message completes."""
    heard = returns.hear_state if isinstance(message, StateBatch) else returns.hear_rewards
    return list(heard(message))


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('compiled', [True, False])
def test_it_is_what_plain_numpy_gives(seed: int, compiled: bool) -> None:
    module = episode_returns if compiled else uncompiled(episode_returns)
    mine, other = module.EpisodeReturns(B), ReferenceReturns(B)
    walk, completed = Walk(seed), 0
    for step in range(400):
        for message in walk.messages():
            found = hear(mine, message)
            assert found == hear(other, message)
            completed += len(found)
        assert mine.awaits == other.awaits
        told = take_snapshot(mine)
        assert all(same(told[name], value) for name, value in take_snapshot(other).items())
        count = other.state.complete
        assert mine.completed() == (B, count.min(), count.sum())
        if step % 150 == 149:
            for one in (mine, other):
                one.release() if step % 300 == 149 else one.forget()
    assert completed > 100


def test_what_is_watched_counts_as_what_is_heard() -> None:
    walk, mine, watching = Walk(1), EpisodeReturns(B), EpisodeReturns(B)
    state = [np.zeros(B, kind) for kind in (np.uint32, np.uint32, np.uint8, np.uint8)]
    closed = [np.zeros(B, kind) for kind in (np.uint32, np.uint32, np.uint32, np.float64)]
    watching.watch(state, closed)
    for _ in range(300):
        for message in walk.messages():
            if isinstance(message, StateBatch):
                message = replace(message, applied=np.ones(B, np.uint8))
                names, arrays = ('episode', 'window', 'phase', 'ending'), state
            else:
                names, arrays = ('instance', 'episode', 'window', 'reward'), closed
            for name, array in zip(names, arrays, strict=True):
                value = getattr(message, name)
                array[: len(value)] = value
            is_due = watching.look() if arrays is state else watching.count(len(message.rpe))
            expected = hear(mine, message)
            assert (watching.hand_over() if is_due else []) == expected
    assert mine.completed().total > 100
    with pytest.raises(ShapeError, match='expected arrays of shape'):
        watching.watch(state, [array[:1] for array in closed])


def test_episodes_are_handed_over_together_also_after_a_checkpoint() -> None:
    walk, single, together = Walk(2), EpisodeReturns(B), EpisodeReturns(B, 7)
    one_by_one: list[tuple[int, float]] = []
    handed: list[list[tuple[int, float]]] = []
    for step in range(300):
        for message in walk.messages():
            one_by_one += hear(single, message)
            found = hear(together, message)
            handed += [found] if found else []
        if step == 150:
            saved, together = take_snapshot(together), EpisodeReturns(B, 7)
            restore_snapshot(together, saved)
    joined = [one for some in handed for one in some]
    assert joined == one_by_one[: len(joined)] and len(one_by_one) - len(joined) < 7
    assert all(7 <= len(some) < 7 + B for some in handed)
    # What has gathered was of other weights.
    together.forget()
    assert together.hand_over() == []


def test_more_than_fit_are_never_handed_over_together() -> None:
    walk, returns = Walk(3), EpisodeReturns(B, 10_000)
    sizes = [len(hear(returns, message)) for _ in range(600) for message in walk.messages()]
    assert MOST <= max(sizes) < MOST + B


def test_errors_without_their_episodes_are_refused_before() -> None:
    """Compiled code reads as many episodes as there are instances."""
    rpe = rpe_of(INFO, 0, [0, 1], 0, 0.0)
    with pytest.raises(ShapeError, match='expected 2 values of episode, received 1'):
        check_rpe(replace(rpe, episode=rpe.episode[:1]), INFO)
