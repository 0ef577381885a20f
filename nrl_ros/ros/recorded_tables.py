"""A recording as tables with named columns: steps, episodes, and every status."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import (
    ActionBatch,
    AgentInfo,
    Applied,
    Ending,
    Phase,
    RpeBatch,
    StateBatch,
)
from nrl_ros.robots.arm.number_names import arm_names
from nrl_ros.ros import conversion, names
from nrl_ros.ros.recorded import RunRecords, Timed
from nrl_ros.ros.wire import nanoseconds
from nrl_ros.storage.recordings import Recording

Array = NDArray[Any]
_Session = tuple[str, int]

# A state waits so long for its action, the next state and its RPEs [ns], and so many rows at least
# are given at once.
_PATIENCE_NS = 10_000_000_000
_ROWS = 20_000
# Each topic comes to the recorder in its order, and another one may be ahead by so much [ns].
_EARLY_NS = 2_000_000_000
# States back in which the step of a reward is looked for.
_BACK = 8
# These have tables of their own form, or no numbers.
_APART = (names.LEARNER_ORDER, names.LEARNER_START, names.ENV_INFO, names.REWARD)
_NO_NUMBERS = ('visualization_msgs/msg/MarkerArray', 'rcl_interfaces/msg/ParameterEvent')
# Arrays of a message whose entries are named by another one, by that one's name.
_NAMED = {
    'counter_name': ('counter_value',),
    'health_name': ('health_value',),
    'joint': ('wanted', 'velocity', 'position', 'measured'),
    'name': ('position', 'velocity', 'effort'),
}
# Scalars, and arrays of at most this length, are columns of a status.
_MOST = 32
# An observation of more numbers, as an image, is one column of lists.
_WIDE = 512


def _has_numbers(_topic: str, kind: str) -> bool:
    """Return False for types that have no columns, and would take long to read."""
    return kind not in _NO_NUMBERS


class Block(NamedTuple):
    """Rows of a table.

    Attributes:
        table: its name.
        columns: by name, all of one length; a table has the columns of its first block.
    """

    table: str
    columns: dict[str, Array]


@dataclass
class _Waiting:
    """A state that waits for what belongs to it."""

    state: StateBatch
    times: tuple[int, int]
    action: ActionBatch | None = None
    action_ns: int = -1
    applied: Array | None = None
    figures: dict[str, Array] = field(default_factory=dict)


class RunTables:
    """Makes the tables of a run.

    Args:
        recording: of the run.

    Attributes:
        records: of the run.
        unplaced: rewards whose step was not found, by environment.
        left_out: columns that a table got later than its first block has them, by table.
    """

    def __init__(self, recording: Recording) -> None:
        self.unplaced: dict[str, int] = {}
        self.left_out: dict[str, set[str]] = {}
        self.records = RunRecords(recording, _has_numbers)
        self._waiting: dict[_Session, dict[int, _Waiting]] = {}
        self._order: deque[tuple[_Session, int]] = deque()
        self._done: list[_Waiting] = []
        self._rows = 0
        self._early: deque[tuple[int, Any]] = deque()
        self._spaces: dict[tuple[int, int], str] = {}
        self._others: dict[str, list[dict[str, Any]]] = {}
        self._columns: dict[str, list[str]] = {}

    def blocks(self) -> Iterator[Block]:
        """Yield all tables in pieces, while the recording is read.

        Raises:
            RecordingError: it is damaged, or of another version of the messages.
        """
        for one in self.records:
            self._take(one)
            self._place(one.received_ns - _EARLY_NS)
            while self._order and self._is_old(one.received_ns):
                self._finish()
            if self._rows >= _ROWS:
                yield from self._steps()
            yield from self._full(_ROWS)
        self._place(None)
        while self._order:
            self._finish()
        yield from self._steps()
        yield from self._full(1)

    # ------------------------------------------------------------------ taking

    def _take(self, one: Timed) -> None:
        record = one.record
        if isinstance(record, StateBatch):
            self._take_state(record, one)
        elif isinstance(record, ActionBatch | RpeBatch) or one.topic == names.HUMAN_REWARD_GIVEN:
            self._early.append((one.received_ns, record))
        elif one.topic == names.EPISODES:
            self._take_episodes(one)
        elif isinstance(record, bytes):
            return
        elif one.topic not in _APART and not one.topic.startswith('/'):
            row = flattened(record)
            if len(row) > 1:
                # A name of a file, as of environment/transition_event.
                table = one.topic.replace('/', '.')
                self._others.setdefault(table, []).append({**_times(one), **row})

    def _take_state(self, state: StateBatch, one: Timed) -> None:
        session = (state.agent, state.session)
        kept = self._waiting.setdefault(session, {})
        if state.sequence in kept:
            return
        kept[state.sequence] = _Waiting(state, (one.received_ns, one.sent_ns))
        self._order.append((session, state.sequence))
        before = kept.get(state.sequence - 1)
        if before is not None:
            before.applied = state.applied
        after = kept.get(state.sequence + 1)
        if after is not None:
            kept[state.sequence].applied = after.state.applied

    def _place(self, until_ns: int | None) -> None:
        """Bring actions, RPEs and rewards of people to their steps.

        The recorder may hear them before the states.

        Args:
            until_ns: those that were received until then; None: all.
        """
        while self._early and (until_ns is None or self._early[0][0] <= until_ns):
            received_ns, record = self._early.popleft()
            if isinstance(record, RpeBatch):
                self._take_rpes(record)
                continue
            waiting = self._find(record, record.sequence)
            if waiting is None:
                continue
            if not isinstance(record, ActionBatch):
                given = waiting.figures.setdefault(
                    'human_reward', np.zeros(len(waiting.state.step))
                )
                np.add.at(given, np.asarray(record.instance), np.asarray(record.value))
            elif waiting.action is None:
                waiting.action, waiting.action_ns = record, received_ns

    def _take_rpes(self, rpes: RpeBatch) -> None:
        left = np.arange(len(rpes.instance))
        for back in range(1, _BACK + 1):
            waiting = self._find(rpes, rpes.sequence - back)
            if waiting is None or not len(left):
                continue
            state, at = waiting.state, rpes.instance[left]
            same = (state.episode[at] == rpes.episode[left]) & (state.step[at] == rpes.step[left])
            rows = left[same]
            for name in ('reward', 'baseline', 'rpe'):
                column = waiting.figures.setdefault(name, np.full(len(state.step), np.nan))
                column[rpes.instance[rows]] = getattr(rpes, name)[rows]
            left = left[~same]
        if len(left):
            self.unplaced[rpes.agent] = self.unplaced.get(rpes.agent, 0) + len(left)

    def _take_episodes(self, one: Timed) -> None:
        ends = conversion.report_from_msg(one.record)
        rows = self._others.setdefault('episodes', [])
        for at in range(len(ends.instance)):
            rows.append(
                {
                    **_times(one),
                    'environment': ends.agent,
                    'session': ends.session,
                    'instance': int(ends.instance[at]),
                    'episode': int(ends.episode[at]),
                    'total_steps': int(ends.total_steps[at]),
                    'length': int(ends.length[at]),
                    'ending': Ending(ends.ending[at]).name.lower(),
                    'return': float(ends.episode_return[at]),
                    **{name: float(values[at]) for name, values in ends.figures.items()},
                }
            )

    def _find(self, record: ActionBatch | RpeBatch, sequence: int) -> _Waiting | None:
        return self._waiting.get((record.agent, record.session), {}).get(sequence)

    # ------------------------------------------------------------------ giving

    def _is_old(self, now_ns: int) -> bool:
        session, sequence = self._order[0]
        return now_ns - self._waiting[session][sequence].times[0] > _PATIENCE_NS

    def _finish(self) -> None:
        session, sequence = self._order.popleft()
        done = self._waiting[session].pop(sequence)
        self._done.append(done)
        self._rows += len(done.state.step)

    def _steps(self) -> Iterator[Block]:
        """Yield the rows of finished states, those of equal spaces in one table."""
        parts: dict[str, list[_Waiting]] = {}
        for one in self._done:
            info = self.records.infos.get((one.state.agent, one.state.session))
            parts.setdefault(self._table_of(one.state, info), []).append(one)
        self._done, self._rows = [], 0
        for table, done in parts.items():
            info = self.records.infos.get((done[0].state.agent, done[0].state.session))
            pieces = [_step_columns(one, info) for one in done]
            yield Block(
                table,
                {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]},
            )

    def _table_of(self, state: StateBatch, info: AgentInfo | None) -> str:
        space = (state.observation.shape[1], info.spec.action.components if info else 0)
        if space not in self._spaces:
            self._spaces[space] = f'steps_{state.agent}' if self._spaces else 'steps'
        return self._spaces[space]

    def _full(self, most: int) -> Iterator[Block]:
        """Yield the rows of all other tables that have so many."""
        for table, rows in self._others.items():
            if len(rows) < most:
                continue
            first = table not in self._columns
            found = list(dict.fromkeys(name for row in rows for name in row))
            columns = self._columns.setdefault(table, found)
            late = set(found) - set(columns)
            if late and not first:
                self.left_out.setdefault(table, set()).update(late)
            yield Block(table, {name: _column([row.get(name) for row in rows]) for name in columns})
            rows.clear()


def _times(one: Timed) -> dict[str, int]:
    return {'received_ns': one.received_ns, 'sent_ns': one.sent_ns}


def _column(values: list[Any]) -> Array:
    """Return a column; a missing number is NaN."""
    known = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in known):
        return np.array(['' if value is None else str(value) for value in values])
    if len(known) == len(values) and all(isinstance(value, int | bool) for value in known):
        return np.array(values)
    return np.array([np.nan if value is None else value for value in values], np.float64)


_PHASES = np.array([one.name.lower() for one in Phase])
_ENDINGS = np.array([one.name.lower() for one in Ending])
# The last one stands for what is not known: the next state is missing.
_APPLIED = np.array([*(one.name.lower() for one in Applied), ''])


def _step_columns(one: _Waiting, info: AgentInfo | None) -> dict[str, Array]:
    state, count = one.state, len(one.state.step)
    applied = np.full(count, len(_APPLIED) - 1) if one.applied is None else one.applied
    columns: dict[str, Array] = {
        'received_ns': np.full(count, one.times[0]),
        'sent_ns': np.full(count, one.times[1]),
        'stamp_ns': np.full(count, state.stamp_ns),
        'action_received_ns': np.full(count, one.action_ns),
        'environment': np.full(count, state.agent),
        'session': np.full(count, state.session),
        'sequence': np.full(count, state.sequence),
        'instance': np.arange(count),
        'episode': state.episode,
        'step': state.step,
        'window': state.window,
        'phase': _PHASES[state.phase],
        'ending': _ENDINGS[state.ending],
        'greedy': np.full(count, state.greedy),
        'applied': _APPLIED[applied],
    }
    observed, acted = names_of(info, state.observation.shape[1])
    if len(observed) > _WIDE:
        columns['observation'] = state.observation
        observed = []
    for at, name in enumerate(observed):
        columns[name] = state.observation[:, at]
    for at, name in enumerate(acted):
        value = np.full(count, np.nan) if one.action is None else one.action.action[:, at]
        columns[name] = value.astype(np.float64)
    for name in ('reward', 'baseline', 'rpe'):
        columns[name] = one.figures.get(name, np.full(count, np.nan))
    columns['human_reward'] = one.figures.get('human_reward', np.zeros(count))
    return columns


def names_of(info: AgentInfo | None, size: int) -> tuple[list[str], list[str]]:
    """Return the columns of an environment's observations and actions.

    Args:
        info: its introduction; None: it is missing in the recording.
        size: numbers in an observation.
    """
    components = 0 if info is None else info.spec.action.components
    observed = [f'observation_{at}' for at in range(size)]
    acted = [f'action_{at}' for at in range(components)]
    told = arm_names(info.spec.manifest) if info is not None else None
    if told is not None and (len(told[0]), len(told[1])) == (size, components):
        observed = [f'observation.{name}' for name in told[0]]
        acted = [f'action.{name}' for name in told[1]]
    return observed, acted


def flattened(message: Any) -> dict[str, Any]:
    """Return the numbers, switches and texts of a message as columns.

    An array whose entries another array names has a column for each of them, ``counter.late_rpes``;
    other short arrays of numbers have columns ``effort[0]``.
    """
    found: dict[str, Any] = {}
    fields = message.get_fields_and_field_types()
    stamp = getattr(getattr(message, 'header', None), 'stamp', None)
    if stamp is not None:
        found['stamp_ns'] = nanoseconds(stamp)
    named = _named_arrays(message, fields)
    for name in fields:
        value = getattr(message, name)
        if isinstance(value, bool | int | float | str):
            found[name] = value
        elif name in named:
            prefix, keys = named[name]
            found |= {f'{prefix}.{key}': _plain(one) for key, one in zip(keys, value, strict=False)}
        elif hasattr(value, '__len__') and 0 < len(value) <= _MOST and name not in _NAMED:
            numbers = [_plain(one) for one in value]
            if all(isinstance(one, bool | int | float) for one in numbers):
                found |= {f'{name}[{at}]': one for at, one in enumerate(numbers)}
    return found


def _named_arrays(message: Any, fields: Mapping[str, str]) -> dict[str, tuple[str, list[str]]]:
    """Return the prefix and the names of the entries of each array that has names."""
    found = {}
    for keys, arrays in _NAMED.items():
        if 'string' in fields.get(keys, '') and 'sequence' in fields[keys]:
            for array in arrays:
                if array in fields:
                    prefix = array.removesuffix('_value')
                    found[array] = prefix, list(getattr(message, keys))
    return found


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, 'item') else value
