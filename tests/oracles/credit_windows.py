"""Credit windows of all instances in whole arrays of numpy: which trace an error belongs to.

Written before the windows were compiled, and as it was then but for what spoke of the kernel.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ProtocolError
from nrl_ros.base.records import Applied, Ending, Phase, StateBatch
from nrl_ros.base.state import take_snapshot
from nrl_ros.learning.credit import Creditable
from nrl_ros.learning.traces import DetachedTrace, TraceStore

Array = NDArray[Any]

_NO_WINDOW = -1
# Comparing arrays with plain integers is several times faster than with enumerations.
_FIRST, _LAST, _ABORTED = int(Phase.FIRST), int(Phase.LAST), int(Ending.ABORTED)
_NOT, _LIMITED = int(Applied.NOT), int(Applied.LIMITED)


class ReferenceWindows:
    """Joins the traces of one agent with their reward-prediction errors.

    Args:
        store: traces of the agent's B instances.
        instances: B.
        counters: where windows and signals are counted, by name.
        max_late: detached traces kept for each instance; the oldest is released beyond that.
        reset: a trace ends with its window; otherwise it goes on until the episode's end, so that
            each RPE credits all steps of the episode so far, as far as they have not decayed.

    Attributes:
        store: as above.
        refused: which RPEs of the newest call of ``reinforce`` did not count.
    """

    def __init__(
        self,
        store: TraceStore,
        instances: int,
        counters: Counter[str],
        *,
        max_late: int,
        reset: bool = True,
    ) -> None:
        self.store = store
        self._counters = counters
        self._max_late = max_late
        self._reset = reset
        self._has_rows = np.zeros(instances, np.bool_)
        self._closed = np.zeros(instances, np.bool_)
        self._fresh = np.zeros(instances, np.bool_)
        self._window = np.full(instances, _NO_WINDOW, np.int64)
        self._done = np.full(instances, _NO_WINDOW, np.int64)
        self._held = np.zeros(instances, np.bool_)
        self._held_rpe = np.zeros(instances)
        self._carried = np.zeros(instances, np.bool_)
        self._episode = np.full(instances, -1, np.int64)
        self._late: dict[tuple[int, int], DetachedTrace] = {}
        self._as_sent = b'\x01' * instances
        self.refused: list[int] = []

    @property
    def has_late(self) -> bool:
        """Whether any trace is kept aside."""
        return bool(self._late)

    @property
    def waiting(self) -> int:
        """Closed windows whose trace waits in place for its RPE."""
        return int(np.count_nonzero(self._closed))

    @property
    def open_count(self) -> int:
        """Windows with a trace, open, closed or late."""
        return int(np.count_nonzero(self._has_rows)) + len(self._late)

    def check(self, state: StateBatch) -> None:
        """Refuse a state whose windows run backwards.

        Raises:
            ProtocolError: naming the instance and both windows.
        """
        backwards = state.window < self._window
        backwards |= self._closed & (state.window == self._window)
        if backwards.any():
            first = int(np.flatnonzero(backwards)[0])
            raise ProtocolError(
                f'agent {state.agent!r}, instance {first}: window {int(state.window[first])} '
                f'follows window {int(self._window[first])}; windows only grow'
            )

    def observe(self, state: StateBatch) -> Creditable | None:
        """Close the windows that a state says are over.

        Returns:
            Traces whose RPE had come before, None when there are none.
        """
        if state.applied.tobytes() != self._as_sent:
            self._retract(state)
        if not self._reset:
            goes_on = self._end_episodes(state)
        newly = self._has_rows & (state.window != self._window)
        newly &= ~self._closed
        if not newly.any():
            return None
        index = np.flatnonzero(newly)
        aborted = state.ending[index] == _ABORTED
        if aborted.any():
            self._drop(index[aborted], 'aborted_windows')
            index = index[~aborted]
        if not self._reset:
            self._carried[index] = goes_on[index]
        held = self._held[index]
        self._closed[index[~held]] = True
        if not held.any():
            return None
        index = index[held]
        rpe = self._held_rpe[index]
        self._finish(index)
        return Creditable(index, rpe, [], self._carried[index])

    def _end_episodes(self, state: StateBatch) -> Array:
        """Let no trace go on into another episode, even if the end of its own was never heard of.

        Returns:
            Whether the traces of windows that close now go on [B].
        """
        same: Array = self._episode == state.episode
        if not same.all():
            self._episode[:] = state.episode
            # With a window of its own, a trace lasts until that is learned from or set aside.
            self._carried &= same
            self.store.clear(np.flatnonzero(~same & ~self._has_rows))
        return np.asarray(same & (state.phase != _LAST))

    def forget_newest(self) -> None:
        """A state was lost: whether the newest actions were applied is not known: no credit."""
        self._take_back(np.ones_like(self._fresh))
        self._fresh[:] = False

    def _retract(self, state: StateBatch) -> None:
        # A first state follows no action of the learner.
        follows = state.phase != _FIRST
        self._take_back((state.applied == _NOT) & follows)
        # A limit is a part of the environment: the policy is credited with what it asked for.
        self._counters['limited_steps'] += int(
            np.count_nonzero((state.applied == _LIMITED) & follows)
        )

    def _take_back(self, which: Array) -> None:
        index = np.flatnonzero(which & self._fresh & self._has_rows & ~self._closed)
        self.store.retract(index)
        self._counters['unapplied_steps'] += len(index)

    def reinforce(
        self, instance: Array, window: Array, rpe: Array, *, is_early: bool = False
    ) -> Creditable | None:
        """Find the traces of RPEs; those for an open window are held.

        Args:
            instance: [K] each at most once.
            window: [K].
            rpe: [K].
            is_early: they answer rewards that cannot have closed a window that is still open:
                those for an open window are refused.

        Returns:
            Traces that may be learned from now, None when there are none.
        """
        self.refused = []
        if not len(instance):
            return None
        match = self._has_rows[instance] & (self._window[instance] == window)
        ready = match & self._closed[instance]
        if np.count_nonzero(ready) == len(ready):
            self._finish(instance)
            return Creditable(instance, rpe, [], self._carried[instance])
        late: list[tuple[DetachedTrace, float]] = []
        for entry in np.flatnonzero(~ready).tolist():
            who, which = int(instance[entry]), int(window[entry])
            if match[entry]:
                if is_early:
                    self._refuse(entry, 'early_rpes')
                elif self._held[who]:
                    self._refuse(entry, 'duplicate_rpes')
                else:
                    self._held[who], self._held_rpe[who] = True, rpe[entry]
            elif (who, which) in self._late:
                late.append((self._late.pop((who, which)), float(rpe[entry])))
                self._done[who] = max(self._done[who], which)
                self._counters['late_rpes'] += 1
            elif which <= self._done[who]:
                self._refuse(entry, 'duplicate_rpes')
            else:
                self._refuse(entry, 'unknown_window_rpes')
        index = instance[ready]
        if len(index):
            self._finish(index)
        if not len(index) and not late:
            return None
        return Creditable(index, rpe[ready], late, self._carried[index])

    def _refuse(self, entry: int, counter: str) -> None:
        self.refused.append(entry)
        self._counters[counter] += 1

    def _finish(self, index: Array) -> None:
        """Mark windows as done; whoever learns from their traces clears them."""
        self._done[index] = self._window[index]
        self._has_rows[index] = False
        self._closed[index] = False
        self._held[index] = False

    def _drop(self, index: Array, counter: str) -> None:
        """Give windows up; a trace that goes on is kept for the RPEs to come."""
        ends = index[~(self._carried[index] & self._closed[index])]
        self._finish(index)
        self.store.clear(ends)
        self._counters[counter] += len(index)

    def record(self, post: Array, pre: Array, state: StateBatch) -> None:
        """Add one step of the instances that act (all but those at an episode's end).

        Args:
            post: [K, B, N] postsynaptic rows.
            pre: [K, B, M] presynaptic rows.
            state: the state acted upon.
        """
        # What is left of a window that was given up half-way is no longer its trace.
        acting = (state.phase != _LAST) & (state.window > self._done)
        if self._closed.any():
            self._set_aside(np.flatnonzero(self._closed & acting))
        if acting.all():
            self.store.record(post, pre, None)
            self._has_rows[:] = True
            self._window[:] = state.window
        else:
            index = np.flatnonzero(acting)
            if len(index):
                self.store.record(post, pre, index)
            self._has_rows[index] = True
            self._window[index] = state.window[index]
        self._fresh[:] = acting

    def _set_aside(self, index: Array) -> None:
        kept: dict[int, list[tuple[int, int]]] = {}
        for key in self._late:
            kept.setdefault(key[0], []).append(key)
        for instance in index.tolist():
            key = (instance, int(self._window[instance]))
            self._late[key] = self.store.detach(instance, carried=bool(self._carried[instance]))
            mine = kept.setdefault(instance, [])
            mine.append(key)
            if len(mine) > self._max_late:
                self._release_late(mine.pop(0))
        self._has_rows[index] = False
        self._closed[index] = False

    def _release_late(self, key: tuple[int, int]) -> None:
        del self._late[key]
        self._done[key[0]] = max(self._done[key[0]], key[1])
        self._counters['released_windows'] += 1

    def release_waiting(self) -> int:
        """Give up the closed windows whose RPE has not come."""
        index = np.flatnonzero(self._closed)
        self._drop(index, 'released_windows')
        return len(index)

    def release_all(self) -> int:
        """Give up every window: the agent left, or learning stopped."""
        count = self.open_count
        index = np.flatnonzero(self._has_rows)
        self._drop(index, 'released_windows')
        self.store.clear(np.arange(len(self._carried)))
        for key in list(self._late):
            self._release_late(key)
        self._fresh[:] = False
        return count

    def snapshot(self) -> dict[str, Any]:
        """Windows and traces as plain data."""
        arrays = (
            '_has_rows',
            '_closed',
            '_fresh',
            '_window',
            '_done',
            '_held',
            '_held_rpe',
            '_carried',
            '_episode',
        )
        return {
            'windows': {name[1:]: getattr(self, name).copy() for name in arrays},
            'late': [
                {
                    'instance': instance,
                    'window': window,
                    'dense': trace.dense,
                    'post': trace.post,
                    'pre': trace.pre,
                }
                for (instance, window), trace in self._late.items()
            ],
            'store': take_snapshot(self.store),
        }
