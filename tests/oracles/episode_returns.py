"""Returns of finished episodes in plain numpy, as ``learning/episode_returns.py`` gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import Applied, Ending, Phase, RpeBatch, StateBatch
from nrl_ros.base.state import Stateful

Array = NDArray[Any]

# Comparing arrays with plain integers is several times faster than with enumerations.
_FIRST, _MID = int(Phase.FIRST), int(Phase.MID)
_ABORTED, _PERSON = int(Ending.ABORTED), int(Applied.PERSON)
_NONE = -1
# Of each complete episode: its place among those of its instance, from 1 on, and its return.
Ended = list[tuple[int, float]]


@dataclass
class ReturnsState:
    """The newest two episodes of each instance [B, 2], by the parity of their numbers.

    The last reward of an episode may come after the first state of the next one.

    Attributes:
        episode: its number; -1: none that counts.
        first: its first credit window.
        windows: how many it has; -1 while it goes on.
        heard: how many of them were rewarded.
        total: sum of their rewards, task units.
        newest: newest window that was rewarded [B].
        complete: how many of its episodes were complete [B].
    """

    episode: Array
    first: Array
    windows: Array
    heard: Array
    total: Array
    newest: Array
    complete: Array


class ReferenceReturns(Stateful):
    """Sums the rewards of the episodes of one agent.

    Args:
        instances: B.

    Attributes:
        awaits: an episode has ended whose rewards have not all come.
    """

    def __init__(self, instances: int) -> None:
        shape, self.awaits = (instances, 2), False
        self.state: ReturnsState = ReturnsState(
            np.full(shape, _NONE),
            np.zeros(shape, np.int64),
            np.full(shape, _NONE),
            np.zeros(shape, np.int64),
            np.zeros(shape),
            np.full(instances, _NONE),
            np.zeros(instances, np.int64),
        )

    def forget(self) -> None:
        """Let the episodes under way not count, and count the complete ones from 0."""
        self.state.episode.fill(_NONE)
        self.state.complete.fill(0)
        self.awaits = False

    def release(self) -> None:
        """Let episodes not count whose rewards do not come."""
        self.state.episode[self.state.windows != _NONE] = _NONE
        self.awaits = False

    def after_restore(self) -> None:
        """Find out what is still awaited."""
        self._look()

    def _look(self) -> None:
        kept = self.state
        self.awaits = bool(((kept.windows != _NONE) & (kept.episode != _NONE)).any())

    def hear_state(self, state: StateBatch) -> Ended:
        """Note which episodes begin and end with a state; one that comes twice changes nothing.

        Returns:
            The episodes that are complete now.
        """
        if state.greedy:
            return []
        if state.applied.max() == _PERSON:
            # What a person did says nothing of the policy.
            self.state.episode[state.applied == _PERSON] = _NONE
        at_an_end = np.flatnonzero(state.phase != _MID)
        if not len(at_an_end):
            return []
        found: Ended = []
        # These are few, and numpy takes longer to begin than they take one by one.
        for instance in at_an_end.tolist():
            episode, window = int(state.episode[instance]), int(state.window[instance])
            if state.phase[instance] == _FIRST:
                self._begin(instance, episode, window)
            else:
                aborted = bool(state.ending[instance] == _ABORTED)
                found += self._end(instance, episode, window, aborted=aborted)
        self._look()
        return found

    def hear_rewards(self, rpe: RpeBatch) -> Ended:
        """Add rewards, which reward-prediction errors carry along; returns as ``hear_state``."""
        kept, index = self.state, rpe.instance.astype(np.int64)
        episode, window = rpe.episode.astype(np.int64), rpe.window.astype(np.int64)
        slot = episode & 1
        counts = (kept.episode[index, slot] == episode) & (window > kept.newest[index])
        if not counts.all():
            index, slot, window = index[counts], slot[counts], window[counts]
        kept.newest[index] = window
        kept.total[index, slot] += rpe.reward[counts]
        kept.heard[index, slot] += 1
        whole = (kept.heard[index, slot] == kept.windows[index, slot]).nonzero()[0].tolist()
        if not whole:
            return []
        found = [self._complete(int(index[one]), int(slot[one])) for one in whole]
        self._look()
        return found

    def _begin(self, instance: int, episode: int, window: int) -> None:
        at, kept = (instance, episode & 1), self.state
        if kept.episode[at] != episode:
            kept.episode[at], kept.first[at] = episode, window
            kept.windows[at], kept.heard[at], kept.total[at] = _NONE, 0, 0.0

    def _end(self, instance: int, episode: int, window: int, *, aborted: bool) -> Ended:
        at, kept = (instance, episode & 1), self.state
        if kept.episode[at] != episode:
            return []
        if aborted:
            kept.episode[at] = _NONE
            return []
        # A last state names the window after the last one.
        kept.windows[at] = window - kept.first[at]
        return [self._complete(*at)] if kept.heard[at] == kept.windows[at] else []

    def _complete(self, instance: int, slot: int) -> tuple[int, float]:
        """Return place and return of an episode that is whole, and let it not count again."""
        kept = self.state
        kept.episode[instance, slot] = _NONE
        kept.complete[instance] += 1
        return int(kept.complete[instance]), float(kept.total[instance, slot])
