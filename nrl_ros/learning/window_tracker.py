"""The credit windows of an agent's instances, joined with reward-prediction errors.

Compiled by Cython. The text is plain Python and gives the same numbers if it is not compiled.
``credit.py`` says what becomes of the traces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled
from nrl_ros.base.records import Ending, Phase
from nrl_ros.learning.checks import check_sizes

require_compiled(__name__, cython.compiled)

Array = NDArray[Any]

_LAST = cython.declare(cython.uchar, int(Phase.LAST))
_ABORTED = cython.declare(cython.uchar, int(Ending.ABORTED))

# The arrays [B] that decide the future of the windows; a checkpoint holds them by name.
#
# has_rows: the window has a trace. closed: it is over, and waits for its RPE. fresh: the newest
# step was recorded. window: the newest window with recorded steps. done: the newest window that is
# finished. held, held_rpe: its RPE came before it was over. carried: its trace continues after it.
# episode: of the newest state.
STATE: dict[str, Any] = {
    'has_rows': np.bool_,
    'closed': np.bool_,
    'fresh': np.bool_,
    'window': np.int64,
    'done': np.int64,
    'held': np.bool_,
    'held_rpe': np.float64,
    'carried': np.bool_,
    'episode': np.int64,
}
_NONE_YET = ('window', 'done', 'episode')

# What was done with an RPE: its window may be learned from; it is held; it is refused as early,
# since its window cannot be over yet; it is refused, since another RPE of its window is held; its
# window has no trace in place.
READY, HELD, EARLY, TWICE, ELSEWHERE = range(5)


@cython.cclass
class WindowTracker:
    """Credit windows of B instances, one each: open, or closed and waiting for its RPE.

    Args:
        instances: B.
        reset: a trace ends with its window; otherwise it continues until the episode's end.

    Attributes:
        state: the arrays of ``STATE`` by name; only this class changes them.
        acting: int64 [B], the instances that act; the first entries count, as ``note`` returns.
        ready: int64 [B], the instances whose windows may be learned from; the first ``ready_count``
            entries count.
        ready_rpe: float64 [B], their reward-prediction errors.
        aborted: int64 [B], the instances whose windows were aborted; the first ``aborted_count``
            entries count.
        waiting: closed windows that wait for their RPEs.
        ready_count: entries of ``ready``.
        aborted_count: entries of ``aborted``.
    """

    state = cython.declare(object, visibility='readonly')
    acting = cython.declare(object, visibility='readonly')
    ready = cython.declare(object, visibility='readonly')
    ready_rpe = cython.declare(object, visibility='readonly')
    aborted = cython.declare(object, visibility='readonly')
    waiting = cython.declare(cython.Py_ssize_t, visibility='readonly')
    ready_count = cython.declare(cython.Py_ssize_t, visibility='readonly')
    aborted_count = cython.declare(cython.Py_ssize_t, visibility='readonly')

    _resets: cython.bint

    _has_rows: cython.uchar[::1]
    _closed: cython.uchar[::1]
    _fresh: cython.uchar[::1]
    _window: cython.longlong[::1]
    _done: cython.longlong[::1]
    _held: cython.uchar[::1]
    _held_rpe: cython.double[::1]
    _carried: cython.uchar[::1]
    _episode: cython.longlong[::1]

    _acting: cython.longlong[::1]
    _ready: cython.longlong[::1]
    _ready_rpe: cython.double[::1]
    _aborted: cython.longlong[::1]

    _seen_arrays: Any
    _seen_window: cython.uint[::1]
    _seen_phase: cython.uchar[::1]
    _seen_ending: cython.uchar[::1]
    _same_episode: cython.uchar[::1]

    _rpe_arrays: Any
    _instance: cython.longlong[::1]
    _named: cython.longlong[::1]
    _rpe: cython.double[::1]
    _outcome: cython.uchar[::1]

    _watched_window: cython.uint[::1]
    _watched_phase: cython.uchar[::1]
    _watched_ending: cython.uchar[::1]
    _watched_instance: cython.uint[::1]
    _watched_closed: cython.uint[::1]
    _watched_rpe: cython.double[::1]

    def __init__(self, instances: int, *, reset: bool) -> None:
        self._resets = reset
        self.waiting = self.ready_count = self.aborted_count = 0
        state: dict[str, Any] = {name: np.zeros(instances, kind) for name, kind in STATE.items()}
        for name in _NONE_YET:
            state[name].fill(-1)
        self.state = state
        self._has_rows = state['has_rows'].view(np.uint8)
        self._closed, self._fresh = state['closed'].view(np.uint8), state['fresh'].view(np.uint8)
        self._held, self._carried = state['held'].view(np.uint8), state['carried'].view(np.uint8)
        self._held_rpe, self._window = state['held_rpe'], state['window']
        self._done, self._episode = state['done'], state['episode']
        self._bind(instances)

    def _bind(self, instances: int) -> None:
        """Make the arrays of inputs and outputs."""
        self.acting, self.ready, self.aborted = np.zeros((3, instances), np.int64)
        self.ready_rpe = np.zeros(instances)
        self._acting, self._ready, self._aborted = self.acting, self.ready, self.aborted
        self._ready_rpe = self.ready_rpe
        window, (phase, ending) = np.zeros(instances, np.uint32), np.zeros((2, instances), np.uint8)
        self._seen_arrays = (window, phase, ending)
        self._seen_window, self._seen_phase, self._seen_ending = window, phase, ending
        self._same_episode = np.zeros(instances, np.uint8)
        (instance, named), rpe = np.zeros((2, instances), np.int64), np.zeros(instances)
        outcome = np.zeros(instances, np.uint8)
        self._rpe_arrays = (instance, named, rpe, outcome)
        self._instance, self._named, self._rpe, self._outcome = instance, named, rpe, outcome
        # Until others are watched.
        self.watch((window, phase, ending), (window, window, rpe))

    def receive(self, window: Array, phase: Array, ending: Array) -> None:
        """Copy the parts of a state, [B] each, to which the next calls refer."""
        seen = self._seen_arrays
        seen[0][:], seen[1][:], seen[2][:] = window, phase, ending

    def watch(self, state: Sequence[Array], closed: Sequence[Array]) -> None:
        """Read inputs from these arrays, which stay the same ones, when they are asked for.

        To hand over eleven arrays in each step took 5 % of a step of CartPole with one instance
        (``benchmarks/core.py``).

        Args:
            state: window uint32 [B], phase uint8 [B] and ending uint8 [B], for ``look``.
            closed: instance uint32 [B], window uint32 [B] and reward-prediction error float64 [B]
                of windows that closed, for ``match_watched``.

        Raises:
            ShapeError: an array has another size.
        """
        check_sizes(len(self._window), *state, *closed)
        self._watched_window, self._watched_phase, self._watched_ending = state
        self._watched_instance, self._watched_closed, self._watched_rpe = closed

    def look(self) -> None:
        """Do what ``receive`` does with the watched arrays."""
        b: cython.Py_ssize_t
        for b in range(self._seen_window.shape[0]):
            self._seen_window[b] = self._watched_window[b]
            self._seen_phase[b] = self._watched_phase[b]
            self._seen_ending[b] = self._watched_ending[b]

    def backwards(self) -> int:
        """Return the first instance whose window runs backwards, -1 if none does."""
        b: cython.Py_ssize_t
        seen: cython.longlong
        for b in range(self._seen_window.shape[0]):
            seen = self._seen_window[b]
            if seen < self._window[b] or (self._closed[b] and seen == self._window[b]):
                return int(b)
        return -1

    def follow(self, episode: Array) -> Array:
        """Take the episodes of the state, [B]; needed only if traces continue after their windows.

        No trace continues into another episode, even if the end of its own was lost. While its
        window is open or waits, a trace stays until it is learned from or set aside.

        Returns:
            The instances whose traces end now, as indices.
        """
        same = self.state['episode'] == episode
        self._same_episode = same.view(np.uint8)
        if same.all():
            return np.zeros(0, np.int64)
        self.state['episode'][:] = episode
        self.state['carried'][:] &= same
        return np.flatnonzero(~same & ~self.state['has_rows'])

    def close(self) -> bool:
        """Close the windows that the state says are over.

        A window whose RPE is held is finished and is in ``ready``; a window of an aborted episode
        is finished and is in ``aborted``.

        Returns:
            True if ``ready`` or ``aborted`` has entries.
        """
        b: cython.Py_ssize_t
        self.ready_count = self.aborted_count = 0
        for b in range(self._has_rows.shape[0]):
            if not self._has_rows[b] or self._closed[b]:
                continue
            if cython.cast(cython.longlong, self._seen_window[b]) == self._window[b]:
                continue
            if self._seen_ending[b] == _ABORTED:
                self._aborted[self.aborted_count] = b
                self.aborted_count += 1
                self._finish(b)
                continue
            if not self._resets:
                self._carried[b] = self._same_episode[b] and self._seen_phase[b] != _LAST
            if self._held[b]:
                self._ready[self.ready_count] = b
                self._ready_rpe[self.ready_count] = self._held_rpe[b]
                self.ready_count += 1
                self._finish(b)
            else:
                self._closed[b] = True
                self.waiting += 1
        return bool(self.ready_count + self.aborted_count)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def _finish(self, b: cython.Py_ssize_t) -> cython.void:
        """Mark a window as done; the caller that learns from its trace clears the trace."""
        self._done[b] = self._window[b]
        self.waiting -= self._closed[b]
        self._has_rows[b] = self._closed[b] = self._held[b] = False

    def match(self, instance: Array, window: Array, rpe: Array, *, is_early: bool) -> bool:
        """Match RPEs with windows; those that may be learned from are finished and in ``ready``.

        Args:
            instance: [K], K at most B, each at most once.
            window: [K].
            rpe: [K].
            is_early: the rewards behind these RPEs cannot have closed a window that is still open,
                so RPEs for an open window are refused.

        Returns:
            True if all of them are ready; if not, ``outcomes`` says what the others are.
        """
        count: cython.Py_ssize_t = len(instance)
        arrays = self._rpe_arrays
        arrays[0][:count], arrays[1][:count], arrays[2][:count] = instance, window, rpe
        return bool(self._match(count, is_early))

    def match_watched(self, count: cython.Py_ssize_t) -> bool:
        """Do what ``match`` does with the first entries of the watched arrays.

        The RPEs answer rewards of windows that closed with the state received last.
        """
        c: cython.Py_ssize_t
        for c in range(count):
            self._instance[c] = self._watched_instance[c]
            self._named[c] = self._watched_closed[c]
            self._rpe[c] = self._watched_rpe[c]
        return bool(self._match(count, True))

    @cython.cfunc
    def _match(self, count: cython.Py_ssize_t, early: cython.bint) -> cython.bint:
        c: cython.Py_ssize_t
        b: cython.Py_ssize_t
        self.ready_count = 0
        for c in range(count):
            b = self._instance[c]
            if not self._has_rows[b] or self._window[b] != self._named[c]:
                self._outcome[c] = ELSEWHERE
            elif self._closed[b]:
                self._outcome[c] = READY
                self._ready[self.ready_count] = b
                self._ready_rpe[self.ready_count] = self._rpe[c]
                self.ready_count += 1
                self._finish(b)
            elif early:
                self._outcome[c] = EARLY
            elif self._held[b]:
                self._outcome[c] = TWICE
            else:
                self._outcome[c] = HELD
                self._held[b] = True
                self._held_rpe[b] = self._rpe[c]
        return self.ready_count == count

    def outcomes(self, count: int) -> Array:
        """Return what was done with the RPEs of the newest ``match``, [K]."""
        outcome: Array = self._rpe_arrays[3][:count]
        return outcome

    def in_the_way(self) -> Array:
        """Return as indices the instances that will act while their closed window waits."""
        b: cython.Py_ssize_t
        found = []
        for b in range(self._closed.shape[0]):
            if self._closed[b] and self._acts(b):
                found.append(b)
        return np.array(found, np.int64)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def _acts(self, b: cython.Py_ssize_t) -> cython.bint:
        # Rows that remain of a window that was released half-way are not its trace any more.
        return (
            self._seen_phase[b] != _LAST
            and cython.cast(cython.longlong, self._seen_window[b]) > self._done[b]
        )

    def note(self) -> int:
        """Note a step of the instances that act: all but those at an episode's end.

        Returns:
            How many instances act; ``acting`` says which.
        """
        b: cython.Py_ssize_t
        count: cython.Py_ssize_t = 0
        for b in range(self._fresh.shape[0]):
            if self._acts(b):
                self._fresh[b] = self._has_rows[b] = True
                self._window[b] = self._seen_window[b]
                self._acting[count] = b
                count += 1
            else:
                self._fresh[b] = False
        return int(count)

    def finish(self, index: Array) -> None:
        """Record that the windows of these instances are done."""
        for b in index.tolist():
            self._finish(b)

    def vacate(self, instance: int) -> None:
        """Take an instance's window out of its place; the caller keeps its trace."""
        b: cython.Py_ssize_t = instance
        self.waiting -= self._closed[b]
        self._has_rows[b] = self._closed[b] = False

    def finish_late(self, instance: int, window: int) -> None:
        """Record that a window which was taken out of its place is done."""
        b: cython.Py_ssize_t = instance
        if window > self._done[b]:
            self._done[b] = window

    def is_done(self, instance: int, window: int) -> bool:
        """Return True if a window is done; an RPE for it is a duplicate."""
        return bool(window <= self._done[instance])

    def forget_newest(self) -> None:
        """Forget that the newest step was recorded."""
        self.state['fresh'].fill(False)

    def after_restore(self) -> None:
        """Compute what follows from the restored ``state``."""
        # If traces end with their windows, nothing else would reset this.
        self.state['carried'][:] &= not self._resets
        self.waiting = int(np.count_nonzero(self.state['closed']))
