"""What a recording says of its run: rates, latencies, what was lost, late or stopped, and why."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nrl_ros.base.records import ActionBatch, Applied, RewardBatch, RpeBatch, StateBatch
from nrl_ros.robots.safety.records import STOPPED_MODES
from nrl_ros.robots.safety.takeover import SHUT_DOWN
from nrl_ros.ros import names
from nrl_ros.ros.hearing import counters_of
from nrl_ros.ros.recorded import RunRecords, Timed
from nrl_ros.ros.wire import NANOSECONDS
from nrl_ros.storage.recordings import Recording

_MS = 1e-6
# So many missing messages, stops and counters are named; all are counted.
_NAMED = 5


@dataclass
class _Stream:
    """One kind of message of one session: which came, and when."""

    seen: dict[int, int] = field(default_factory=dict)
    highest: int = -1
    again: int = 0
    reordered: int = 0

    def take(self, sequence: int, received_ns: int) -> bool:
        """Note a message; return False if it came before."""
        if sequence in self.seen:
            self.again += 1
            return False
        self.reordered += sequence < self.highest
        self.highest = max(self.highest, sequence)
        self.seen[sequence] = received_ns
        return True

    def missing(self, upto: int) -> list[int]:
        """Return the sequences from the first one on that did not come."""
        if not self.seen:
            return []
        return [one for one in range(min(self.seen), upto + 1) if one not in self.seen]


@dataclass
class _Session:
    """An environment from its activation to its end."""

    agent: str
    states: _Stream = field(default_factory=_Stream)
    actions: _Stream = field(default_factory=_Stream)
    rewards: _Stream = field(default_factory=_Stream)
    rpes: _Stream = field(default_factory=_Stream)
    applied: dict[int, int] = field(default_factory=dict)


@dataclass
class _Topic:
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    longest_ns: int = 0

    def take(self, received_ns: int) -> None:
        if self.count:
            self.longest_ns = max(self.longest_ns, received_ns - self.last_ns)
        else:
            self.first_ns = received_ns
        self.count, self.last_ns = self.count + 1, received_ns


class RecordingReport:
    """Reads a recording once, and says in one page what happened.

    Args:
        recording: of the run.

    Raises:
        RecordingError: it is damaged, or of another version of the messages.
    """

    def __init__(self, recording: Recording) -> None:
        self._records = records = RunRecords(recording, lambda topic, _type: topic in _READ)
        self._topics: dict[str, _Topic] = {}
        self._sessions: dict[tuple[str, int], _Session] = {}
        self._status: dict[str, Any] = {}
        self._env_status: dict[str, Any] = {}
        self._stops: list[tuple[int, str]] = []
        self._why = ''
        self._first_ns = self._last_ns = 0
        for one in records:
            self._take(one)

    def _take(self, one: Timed) -> None:
        self._first_ns = self._first_ns or one.received_ns
        self._last_ns = max(self._last_ns, one.received_ns)
        self._topics.setdefault(one.topic, _Topic()).take(one.received_ns)
        record = one.record
        if isinstance(record, StateBatch):
            session = self._session_of(record)
            if session.states.take(record.sequence, one.received_ns) and record.sequence:
                kinds, counts = np.unique(record.applied, return_counts=True)
                for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
                    session.applied[kind] = session.applied.get(kind, 0) + count
        elif isinstance(record, ActionBatch):
            session = self._session_of(record)
            session.actions.take(record.sequence, one.received_ns)
        elif isinstance(record, RewardBatch):
            self._session_of(record).rewards.take(record.sequence, one.received_ns)
        elif isinstance(record, RpeBatch):
            self._session_of(record).rpes.take(record.sequence, one.received_ns)
        elif one.topic == names.ENV_STATUS:
            self._env_status[record.agent] = record
        elif one.topic == names.SAFETY_STATUS:
            self._take_safety(one)
        elif one.topic in _KEPT:
            self._status[one.topic] = record

    def _session_of(self, record: Any) -> _Session:
        key = (record.agent, record.session)
        return self._sessions.setdefault(key, _Session(record.agent))

    def _take_safety(self, one: Timed) -> None:
        status = one.record
        # A safety node that ends with its arm at rest has not stopped it for a fault.
        stopped = status.mode in STOPPED_MODES and status.why != SHUT_DOWN
        why = status.why if stopped else ''
        if why and why != self._why:
            self._stops.append((one.received_ns, why))
        self._why = why
        self._status[one.topic] = status

    # ------------------------------------------------------------------ words

    def lines(self) -> list[str]:
        """Return the page."""
        seconds = (self._last_ns - self._first_ns) / NANOSECONDS
        count = sum(topic.count for topic in self._topics.values())
        begin = time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self._first_ns / NANOSECONDS))
        recording = self._records.recording
        files = f'{len(recording.files)} file{"s" * (len(recording.files) != 1)}'
        said = [f'{recording.path}: {count:,} messages in {seconds:.1f} s from {begin}, {files}']
        said += [*self._recorder_lines(), '']
        for (_, number), session in self._sessions.items():
            said += _session_lines(session, number, self._env_status.get(session.agent))
        said += self._stop_lines()
        said += self._learner_lines()
        said += ['', *self._topic_lines()]
        return said

    def _recorder_lines(self) -> list[str]:
        said = list(self._records.recording.cut_off.values())
        lost = self._records.recording.lost()
        if lost is None:
            said.append('how many messages its recorder dropped is not known')
        elif lost:
            parts = [f'{topic} {count:,}' for topic, count in lost.items()]
            said.append(f'its recorder dropped {sum(lost.values()):,} messages: {", ".join(parts)}')
        else:
            said.append('its recorder dropped nothing')
        said += [f'{topic} was not read: {why}' for topic, why in self._records.unreadable.items()]
        return said

    def _stop_lines(self) -> list[str]:
        safety = self._status.get(names.SAFETY_STATUS)
        if safety is None:
            return []
        said = [f'safety: {len(self._stops)} stop{"s" * (len(self._stops) != 1)}']
        said += [
            f'  after {(at - self._first_ns) / NANOSECONDS:.1f} s: {why}'
            for at, why in self._stops[:_NAMED]
        ]
        if len(self._stops) > _NAMED:
            said.append(f'  and {len(self._stops) - _NAMED} more')
        counted = _counted(counters_of(safety))
        return [*said, f'  counted: {counted}'] if counted else said

    def _learner_lines(self) -> list[str]:
        said = []
        learner = self._status.get(names.LEARNER_STATUS)
        if learner is not None:
            said.append(
                f'learner: {learner.updates:,} updates of {learner.windows_learned:,} windows, '
                f'busy {100 * learner.busy_share:.0f} %, |W| {learner.weight_norm:.4g}'
            )
            counted = _counted(counters_of(learner))
            said += [f'  counted: {counted}'] if counted else []
            said += [f'  {hint}' for hint in learner.health_hint if hint]
        other = self._status.get(names.NEUROMODULATOR_STATUS)
        counted = '' if other is None else _counted(counters_of(other))
        return [*said, f'neuromodulator: counted {counted}'] if counted else said

    def _topic_lines(self) -> list[str]:
        said = [f'{"topic":<32}{"messages":>12}{"a second":>12}{"longest gap":>14}']
        for name, topic in sorted(self._topics.items()):
            span_s = (topic.last_ns - topic.first_ns) / NANOSECONDS
            rate = f'{(topic.count - 1) / span_s:,.1f}' if span_s > 0.0 else '–'
            gap = f'{topic.longest_ns * _MS:,.1f} ms' if topic.count > 1 else '–'
            said.append(f'{name:<32}{topic.count:>12,}{rate:>12}{gap:>14}')
        return said


_READ = (
    names.ENV_STATUS,
    names.LEARNER_STATUS,
    names.NEUROMODULATOR_STATUS,
    names.SAFETY_STATUS,
)
_KEPT = (names.LEARNER_STATUS, names.NEUROMODULATOR_STATUS)
# Counters that count no trouble.
_HARMLESS = ('rewards', 'states', 'ticks', 'followed', 'commands', 'homings')


def _session_lines(session: _Session, number: int, status: Any) -> list[str]:
    states, actions = session.states, session.actions
    name = f'environment {session.agent!r}, session {number}'
    said = [f'{name}: {len(states.seen):,} states']
    said.append(f'  answered after {_latency(states.seen, actions.seen)}')
    if session.rewards.seen:
        said.append(f'  RPEs after {_latency(session.rewards.seen, session.rpes.seen)}')
    streams = {
        'states': (states, states.missing(states.highest)),
        'actions': (actions, actions.missing(states.highest - 1)),
        'RPEs': (session.rpes, sorted(session.rewards.seen.keys() - session.rpes.seen.keys())),
    }
    for name, (stream, missing) in streams.items():
        parts = {'missing': len(missing), 'again': stream.again, 'reordered': stream.reordered}
        shown = [f'{count:,} {what}' for what, count in parts.items() if count]
        if shown:
            where = ', '.join(map(str, missing[:_NAMED])) + ', ...' * (len(missing) > _NAMED)
            said.append(f'  {name}: {", ".join(shown)}' + f' (sequence {where})' * bool(missing))
    total = sum(session.applied.values())
    parts = {
        'changed by a limit': session.applied.get(Applied.LIMITED, 0),
        'not applied': session.applied.get(Applied.NOT, 0),
        'replaced by those of a person': session.applied.get(Applied.PERSON, 0),
    }
    shown = [f'{100 * n / total:.2f} % {what}' for what, n in parts.items() if total and n]
    if shown:
        said.append(f'  of the actions {", ".join(shown)}')
    if status is not None:
        said.append(_status_line(status))
    return said


def _status_line(status: Any) -> str:
    figures = {
        'late': status.late_actions,
        'missing': status.missing_actions,
        'states sent again': status.resent_states,
        'aborted episodes': status.aborted,
    }
    shown = [f'{name} {count:,}' for name, count in figures.items() if count]
    counted = _counted(counters_of(status))
    text = f'  at its end {status.steps:,} steps, {status.episodes:,} episodes'
    return ', '.join([text, *shown, *([counted] if counted else [])])


def _latency(asked: Mapping[int, int], answered: Mapping[int, int]) -> str:
    """Return how long answers took, as the recorder heard both, in words."""
    times = [answered[one] - at for one, at in asked.items() if one in answered]
    if not times:
        return 'nothing: no answer was recorded'
    half, most = np.percentile(times, [50, 99]) * _MS
    return f'{half:.2f} ms (half of them), {most:.2f} ms (99 %), at most {max(times) * _MS:.2f} ms'


def _counted(counters: Mapping[str, int]) -> str:
    """Return counters of what went wrong, the largest first."""
    found = sorted(
        ((n, name) for name, n in counters.items() if n and name not in _HARMLESS), reverse=True
    )
    shown: Iterable[str] = (f'{name} {count:,}' for count, name in found[: 2 * _NAMED])
    return ', '.join(shown)
