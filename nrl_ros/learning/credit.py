"""Credit windows: find the trace that belongs to a reward-prediction error, however late it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import CheckpointError, ProtocolError
from nrl_ros.base.records import Applied, Phase, StateBatch
from nrl_ros.base.state import restore_snapshot, transient
from nrl_ros.learning.interfaces import Rows
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.traces import DetachedTrace, TraceStore
from nrl_ros.learning.window_tracker import EARLY, ELSEWHERE, TWICE, WindowTracker

Array = NDArray[Any]

# Comparing arrays with plain integers is several times faster than with enumerations.
_FIRST = int(Phase.FIRST)
_NOT, _LIMITED, _PERSON = int(Applied.NOT), int(Applied.LIMITED), int(Applied.PERSON)
# Counters of RPEs that do not count.
_REFUSED = {EARLY: 'early_rpes', TWICE: 'duplicate_rpes'}


class Creditable(NamedTuple):
    """Traces that may be learned from now; those in ``carried`` continue after it."""

    instances: Array
    rpe: Array
    late: list[tuple[DetachedTrace, float]]
    carried: Array


@dataclass
class CreditState:
    """What decides the future of credit.

    Attributes:
        windows: which windows of the instances are over.
        store: traces of the windows.
        late: traces of closed windows that are kept aside.
    """

    windows: WindowTracker
    store: TraceStore
    late: list[dict[str, Any]] | None = transient()


class CreditWindows:
    """Joins the traces of one agent with their reward-prediction errors.

    The newest step may be recorded later (``record_later``), since its rows take time that is
    better spent after the action was sent. Only this object knows the step until then: windows and
    traces are only reached through ``windows`` and ``store``, which record it first.

    Args:
        store: traces of the agent's B instances.
        instances: B.
        counters: where windows and signals are counted, by name.
        max_late: detached traces kept for each instance; the oldest is released beyond that.
        reset: a trace ends with its window; otherwise it continues until the episode's end, so that
            each RPE credits all steps of the episode so far, as far as they have not decayed.

    Attributes:
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
        self._store = store
        self._counters = counters
        self._max_late = max_late
        self._reset = reset
        self._windows = WindowTracker(instances, reset=reset)
        self._kept = CreditState(self._windows, store)
        self._unrecorded: tuple[Rows, StateBatch] | None = None
        self._late: dict[tuple[int, int], DetachedTrace] = {}
        self._as_sent = b'\x01' * instances
        self._none_carried = np.zeros(instances, np.bool_)
        # The state that the windows are compared with.
        self._state: StateBatch | None = None
        self.refused: list[int] = []

    @property
    def store(self) -> TraceStore:
        """Traces of the agent's B instances, up to the newest step."""
        if self._unrecorded is not None:
            self.prepare()
        return self._store

    @property
    def windows(self) -> WindowTracker:
        """The windows of all instances, up to the newest step."""
        if self._unrecorded is not None:
            self.prepare()
        return self._windows

    @property
    def state(self) -> CreditState:
        """What decides the future, up to the newest step."""
        self.prepare()
        return self._kept

    @property
    def resets(self) -> bool:
        """True if a trace ends with its window."""
        return self._reset

    @property
    def has_late(self) -> bool:
        """True if any trace is kept aside."""
        if self._unrecorded is not None:
            self.prepare()
        return bool(self._late)

    @property
    def waiting(self) -> int:
        """Number of closed windows whose trace waits in place for its RPE."""
        count: int = self.windows.waiting
        return count

    @property
    def open_count(self) -> int:
        """Number of windows with a trace: open, closed or late."""
        return int(np.count_nonzero(self.windows.state['has_rows'])) + len(self._late)

    def _look_at(self, state: StateBatch) -> None:
        windows = self.windows
        # A state is looked up several times in one step.
        if state is not self._state:
            self._state = state
            windows.receive(state.window, state.phase, state.ending)

    def look(self) -> None:
        """Take the state that the window tracker watches; call ``close`` next."""
        windows = self.windows
        self._state = None
        windows.look()

    def check(self, state: StateBatch) -> None:
        """Refuse a state whose windows run backwards.

        Raises:
            ProtocolError: naming the instance and both windows.
        """
        self._look_at(state)
        first = self.windows.backwards()
        if first >= 0:
            raise ProtocolError(
                f'agent {state.agent!r}, instance {first}: window {int(state.window[first])} '
                f'follows window {int(self.windows.state["window"][first])}; windows only grow'
            )

    def observe(self, state: StateBatch) -> Creditable | None:
        """Close the windows that a state says are over.

        Returns:
            Traces whose RPE had come before, None if there are none.
        """
        self._look_at(state)
        if state.applied.tobytes() != self._as_sent:
            self._retract(state)
        if not self._reset:
            ended = self.windows.follow(state.episode)
            if len(ended):
                self.store.clear(ended)
        return self.close()

    def close(self) -> Creditable | None:
        """Do what ``observe`` does after the windows have received the state."""
        windows = self.windows
        if not windows.close():
            return None
        if windows.aborted_count:
            self.store.clear(windows.aborted[: windows.aborted_count].copy())
            self._counters['aborted_windows'] += windows.aborted_count
        return self._ready([]) if windows.ready_count else None

    def _ready(self, late: list[tuple[DetachedTrace, float]]) -> Creditable:
        windows, count = self.windows, self.windows.ready_count
        index = windows.ready[:count].copy()
        carried = self._none_carried[:count] if self._reset else windows.state['carried'][index]
        return Creditable(index, windows.ready_rpe[:count].copy(), late, carried)

    def forget_newest(self) -> None:
        """Take back the newest step: a state was lost, so its action may not have been applied."""
        self._take_back(np.ones_like(self._none_carried), 'unapplied_steps')
        self.windows.forget_newest()

    def _retract(self, state: StateBatch) -> None:
        # A first state follows no action of the learner.
        follows = state.phase != _FIRST
        self._take_back((state.applied == _NOT) & follows, 'unapplied_steps')
        # What a person does in place of the policy counts as part of the environment.
        self._take_back((state.applied == _PERSON) & follows, 'intervened_steps')
        # A limit counts as part of the environment: the policy gets credit for the action that it
        # sent.
        self._counters['limited_steps'] += int(
            np.count_nonzero((state.applied == _LIMITED) & follows)
        )

    def _take_back(self, which: Array, counter: str) -> None:
        count = 0
        if which.any():
            kept = self.windows.state
            index = np.flatnonzero(which & kept['fresh'] & kept['has_rows'] & ~kept['closed'])
            self.store.retract(index)
            count = len(index)
        self._counters[counter] += count

    def reinforce(
        self, instance: Array, window: Array, rpe: Array, *, is_early: bool = False
    ) -> Creditable | None:
        """Find the traces of RPEs; RPEs for an open window are held.

        Args:
            instance: [K] each at most once.
            window: [K].
            rpe: [K].
            is_early: the rewards behind these RPEs cannot have closed a window that is still open,
                so RPEs for an open window are refused.

        Returns:
            Traces that may be learned from now, None if there are none.
        """
        self.refused = []
        if not len(instance):
            return None
        matched = self.windows.match(instance, window, rpe, is_early=is_early)
        return self.collect(instance, window, rpe, matched=matched)

    def collect(
        self, instance: Array, window: Array, rpe: Array, *, matched: bool
    ) -> Creditable | None:
        """Do what ``reinforce`` does after the windows have been matched with the RPEs.

        Args:
            instance: [K], as there.
            window: [K].
            rpe: [K].
            matched: True if all of them may be learned from.
        """
        self.refused = []
        late: list[tuple[DetachedTrace, float]] = []
        if not matched:
            outcomes = self.windows.outcomes(len(instance)).tolist()
            for entry, outcome in enumerate(outcomes):
                if outcome in _REFUSED:
                    self._refuse(entry, _REFUSED[outcome])
                elif outcome == ELSEWHERE:
                    late += self._find_late(
                        entry, int(instance[entry]), int(window[entry]), float(rpe[entry])
                    )
        return self._ready(late) if self.windows.ready_count or late else None

    def _find_late(
        self, entry: int, instance: int, window: int, rpe: float
    ) -> list[tuple[DetachedTrace, float]]:
        """Return the trace of a window that is kept aside, None if there is none."""
        trace = self._late.pop((instance, window), None)
        if trace is not None:
            self.windows.finish_late(instance, window)
            self._counters['late_rpes'] += 1
            return [(trace, rpe)]
        known = self.windows.is_done(instance, window)
        self._refuse(entry, 'duplicate_rpes' if known else 'unknown_window_rpes')
        return []

    def _refuse(self, entry: int, counter: str) -> None:
        self.refused.append(entry)
        self._counters[counter] += 1

    def _drop(self, index: Array, counter: str) -> None:
        """Release windows; a trace that continues is kept for later RPEs."""
        kept = self.windows.state
        ends = index[~(kept['carried'][index] & kept['closed'][index])]
        self.windows.finish(index)
        self.store.clear(ends)
        self._counters[counter] += len(index)

    def record_later(self, rows: Rows, state: StateBatch) -> None:
        """Add one step as ``record`` does, but only when there is time or the traces are needed.

        Args:
            rows: makes the rows of the step; called once, before the next step is added.
            state: the state acted upon.
        """
        self.prepare()
        self._unrecorded = (rows, state)

    def prepare(self) -> None:
        """Record the step that ``record_later`` has postponed, if there is one."""
        if self._unrecorded is not None:
            (rows, state), self._unrecorded = self._unrecorded, None
            self.record(*rows(), state)

    def record(self, post: Array, pre: Array, state: StateBatch) -> None:
        """Add one step of the instances that act (all but those at an episode's end).

        Args:
            post: [K, B, N] postsynaptic rows.
            pre: [K, B, M] presynaptic rows.
            state: the state acted upon.
        """
        self._look_at(state)
        if self.windows.waiting:
            self._set_aside()
        count = self.windows.note()
        if count == len(self._none_carried):
            self.store.record(post, pre, None)
        elif count:
            self.store.record(post, pre, self.windows.acting[:count])

    def _set_aside(self) -> None:
        """Detach the traces of closed windows whose instances are about to act."""
        kept: dict[int, list[tuple[int, int]]] = {}
        for key in self._late:
            kept.setdefault(key[0], []).append(key)
        state = self.windows.state
        for instance in self.windows.in_the_way().tolist():
            key = (instance, int(state['window'][instance]))
            self._late[key] = self.store.detach(instance, carried=bool(state['carried'][instance]))
            mine = kept.setdefault(instance, [])
            mine.append(key)
            if len(mine) > self._max_late:
                self._release_late(mine.pop(0))
            self.windows.vacate(instance)

    def _release_late(self, key: tuple[int, int]) -> None:
        del self._late[key]
        self.windows.finish_late(*key)
        self._counters['released_windows'] += 1

    def release_waiting(self) -> int:
        """Release the closed windows whose RPE has not come."""
        index = np.flatnonzero(self.windows.state['closed'])
        self._drop(index, 'released_windows')
        return len(index)

    def release_all(self) -> int:
        """Release every window: the agent left, or learning stopped."""
        count = self.open_count
        index = np.flatnonzero(self.windows.state['has_rows'])
        self._drop(index, 'released_windows')
        self.store.clear(np.arange(len(self._none_carried)))
        for key in list(self._late):
            self._release_late(key)
        self.windows.forget_newest()
        return count

    def clear_overflown(self, spec: NetworkSpec) -> None:
        """Clear traces that are not finite; one that continues would spoil every later update."""
        if self._reset:
            return
        for instance in range(len(self._none_carried)):
            total = [np.zeros(shape) for shape in spec.shapes]
            self.store.detach(instance, carried=True).add_to(total, 1.0, spec)
            if not all(np.isfinite(part).all() for part in total):
                self.store.clear(np.array([instance]))

    def before_snapshot(self) -> None:
        """Note the traces that are kept aside in the state."""
        self.state.late = [
            {
                'instance': instance,
                'window': window,
                'dense': trace.dense,
                'post': trace.post,
                'pre': trace.pre,
            }
            for (instance, window), trace in self._late.items()
        ]

    def check_snapshot(self, snapshot: dict[str, Any]) -> None:
        """Refuse late traces that are none.

        Raises:
            CheckpointError: naming what differs.
        """
        for entry in snapshot['late']:
            kinds = {'instance': 0, 'window': 0, 'dense': None, 'post': None, 'pre': None}
            restore_snapshot(kinds, entry, 'late')
            if not 0 <= entry['instance'] < len(self._none_carried):
                raise CheckpointError(
                    f'late.instance: expected 0 to {len(self._none_carried) - 1}, received '
                    f'{entry["instance"]}'
                )

    def after_restore(self) -> None:
        """Continue with the restored traces."""
        self._state = None
        self._late = {
            (entry['instance'], entry['window']): DetachedTrace(
                entry['dense'], entry['post'], entry['pre']
            )
            for entry in self._kept.late or ()
        }
