"""The records of a run, out of a recording: with their times, or in the order of the learner."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from nrl_ros.base.errors import ConversionError
from nrl_ros.base.records import ActionBatch, AgentInfo, RewardBatch, RpeBatch, StateBatch
from nrl_ros.ros import conversion, names
from nrl_ros.ros.hearing import read_message
from nrl_ros.ros.interfaces import EnvInfo, LearnerOrder
from nrl_ros.ros.schemas import (
    UnknownTypeError,
    message_class,
    schema_of,
    without_string_bounds,
)
from nrl_ros.storage.recording_writer import RecordingError
from nrl_ros.storage.recordings import Recorded, Recording

# An entry of the learner's order, and the learner's answer to it, wait so long for their message,
# which another queue may bring later; messages are kept so long for entries that come later [ns].
PATIENCE_NS = 5_000_000_000
_KEPT_NS = 30_000_000_000
_OWN = 'nrl_ros/msg/'
_Key = tuple[str, str, int, int]


class Timed(NamedTuple):
    """A record with its times.

    Attributes:
        topic: name in the run's namespace, as in ``ros.names``; absolute where it is not in it.
        record: StateBatch, ActionBatch, RewardBatch, RpeBatch, AgentInfo, or else the message;
            its bytes where it was not asked for.
        received_ns: when the recorder got it.
        sent_ns: when it was sent.
    """

    topic: str
    record: Any
    received_ns: int
    sent_ns: int


class RunRecords:
    """Reads the records of a run in the order in which they were received.

    Args:
        recording: of the run.
        reads: says of a topic and its type whether its messages are read; others are given as
            bytes. None: all are.

    Attributes:
        recording: as given.
        infos: agents that were introduced so far, by name and session.
        unreadable: messages that could not be read, by topic.
    """

    def __init__(
        self, recording: Recording, reads: Callable[[str, str], bool] | None = None
    ) -> None:
        self.recording, self._reads = recording, reads
        self.infos: dict[tuple[str, int], AgentInfo] = {}
        self.unreadable: dict[str, str] = {}
        self._below = f'{recording.namespace}/'
        self._checked: set[str] = set()
        self._held: dict[tuple[str, int], list[Timed]] = {}
        self._readers: dict[str, Callable[[bytes], Any]] = {
            names.STATE: conversion.state_from_wire,
            names.REWARD: conversion.reward_from_wire,
            names.NEUROMODULATION: conversion.rpe_from_wire,
        }

    def __iter__(self) -> Iterator[Timed]:
        """Yield all records; an action comes after the introduction of its environment.

        Raises:
            RecordingError: damaged, or of another version of the messages.
        """
        return self.only()

    def only(self, *topics: str) -> Iterator[Timed]:
        """Yield the records of some topics, or of all if none is named.

        Args:
            topics: as in ``ros.names``; ``env_info`` is read in any case.

        Raises:
            RecordingError: damaged, or of another version of the messages.
        """
        wanted = {self.absolute(name) for name in (*topics, names.ENV_INFO)} if topics else None
        for message in self.recording.messages(wanted):
            self._check(message)
            topic = self._short(message.topic)
            try:
                yield from self._read(topic, message)
            except (ConversionError, UnknownTypeError) as error:
                self.unreadable[topic] = str(error)

    def absolute(self, name: str) -> str:
        """Return the absolute name of a topic of the run."""
        return name if name.startswith('/') else self._below + name

    def _short(self, name: str) -> str:
        inside = name.startswith(self._below)
        return name[len(self._below) :] if inside else name

    def _read(self, topic: str, message: Recorded) -> Iterator[Timed]:
        times = message.received_ns, message.sent_ns
        reader = self._readers.get(topic)
        if reader is not None:
            yield Timed(topic, reader(message.data), *times)
        elif topic == names.ENV_INFO:
            info = conversion.info_from_msg(read_message(message.data, EnvInfo))
            session = (info.agent, info.session)
            self.infos[session] = info
            yield Timed(topic, info, *times)
            for held in self._held.pop(session, ()):
                action = conversion.action_from_wire(held.record, info.spec.action)
                yield held._replace(record=action)
        elif topic == names.ACTION:
            session = conversion.session_of_action(message.data)
            known = self.infos.get(session)
            if known is None:
                self._held.setdefault(session, []).append(Timed(topic, message.data, *times))
                return
            action = conversion.action_from_wire(message.data, known.spec.action)
            yield Timed(topic, action, *times)
        elif self._reads is None or self._reads(topic, message.type):
            yield Timed(topic, read_message(message.data, message_class(message.type)), *times)
        else:
            yield Timed(topic, message.data, *times)

    def _check(self, message: Recorded) -> None:
        """Refuse a message of ours whose definition was another one when it was recorded."""
        kind = message.type
        if kind in self._checked:
            return
        self._checked.add(kind)
        if not kind.startswith(_OWN):
            return
        recorded = without_string_bounds(self.recording.schemas.get(kind, ''))
        mine = schema_of(kind)
        if recorded and recorded != mine:
            then, now = set(recorded.splitlines()), set(mine.splitlines())
            raise RecordingError(
                f'{self.recording.path} was recorded with other messages: {kind} had '
                f'{sorted(then - now) or "all that it has now"} and lacked '
                f'{sorted(now - then) or "nothing"}; read it with nrl_ros '
                f'{self.recording.about.get("nrl_ros", "of that time")}'
            )


@dataclass(frozen=True)
class Gap:
    """A message that is missing in a recording.

    Attributes:
        topic: where it was.
        agent: environment of which it was.
        session: of the environment.
        sequence: of the message.
        place: episode, step and window of each instance concerned, [K, 4] with the instance first;
            empty: not known.
    """

    topic: str
    agent: str
    session: int
    sequence: int
    place: tuple[tuple[int, int, int, int], ...] = ()

    def line(self, most: int = 3) -> str:
        """Return the gap in words, with so many instances at most."""
        shown = [
            f'instance {one}: episode {episode}, step {step}, window {window}'
            for one, episode, step, window in self.place[:most]
        ]
        if len(self.place) > most:
            shown.append(f'and {len(self.place) - most} more instances')
        where = '; '.join(shown) or 'its place is not known'
        return f'{self.topic} {self.sequence} of environment {self.agent!r} ({where})'


def place_of(record: ActionBatch | RewardBatch) -> Gap:
    """Return the place of a record, as a gap where it is missing."""
    instances = getattr(record, 'instance', np.arange(len(record.episode)))
    columns = (instances, record.episode, record.step, record.window)
    place = tuple(zip(*(column.tolist() for column in columns), strict=True))
    topic = names.ACTION if isinstance(record, ActionBatch) else names.REWARD
    return Gap(topic, record.agent, record.session, record.sequence, place)


@dataclass
class LearnerLife:
    """What one learner of a recording did, from its start to its end.

    Attributes:
        identity: of the learner.
        start: its LearnerStart; None: it was not recorded.
    """

    identity: int
    start: Any = None


@dataclass
class Step:
    """An entry of the learner's order with what it stands for.

    Attributes:
        life: of the learner.
        kind: KIND_* of LearnerOrder.
        entry: fields of an ``learning.replay.Entry`` by name.
        record: the state, RPEs or introduction; None: of no message, or missing.
        missing: the message that is missing.
        skipped: entries before this one that are missing themselves.
    """

    life: LearnerLife
    kind: int
    entry: dict[str, Any]
    record: Any = None
    missing: Gap | None = None
    skipped: int = 0


@dataclass
class _Waiting:
    step: Step
    received_ns: int


@dataclass
class OrderedRun:
    """Reads what a learner heard in the order in which it heard it.

    Attributes:
        records: of the run.
        actions: recorded answers of the learner, by agent, session and sequence; kept a while.
        gaps: messages that are missing, so far.
        status: newest LearnerStatus.
    """

    records: RunRecords
    actions: dict[tuple[str, int, int], ActionBatch] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    status: Any = None

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self._lives: dict[int, LearnerLife] = {}
        self._next: dict[int, int] = {}
        self._states: dict[tuple[str, int, int], StateBatch] = {}
        self._rewards: dict[tuple[str, int, int], RewardBatch] = {}
        self._rpes: dict[tuple[str, int, int], list[RpeBatch]] = {}
        self._infos: dict[tuple[str, int, bool], list[AgentInfo]] = {}
        self._kept: deque[tuple[int, dict[Any, Any], Any]] = deque()
        self._neuromodulator = 0
        self.first_ns = self.last_ns = 0

    def steps(self) -> Iterator[Step]:
        """Yield what the learner did.

        Raises:
            RecordingError: damaged, of another version, or without the learner's order.
        """
        waiting: deque[_Waiting] = deque()
        heard = False
        for one in self.records.only(*_NEEDED):
            self.first_ns = self.first_ns or one.received_ns
            self.last_ns = max(self.last_ns, one.received_ns)
            if one.topic == names.LEARNER_ORDER:
                heard = True
                entries = self._entries(one.record)
                waiting.extend(_Waiting(step, one.received_ns) for step in entries)
            else:
                self._keep(one)
            yield from self._ready(waiting, one.received_ns)
        yield from self._ready(waiting, self.last_ns + 2 * PATIENCE_NS)
        if not heard:
            ends_early = ''.join(f'; {one}' for one in self.records.recording.cut_off.values())
            raise RecordingError(
                f'{self.records.recording.path} lacks the order in which the learner heard what it '
                f'learned from ({self.records.absolute(names.LEARNER_ORDER)}): it cannot be '
                f'replayed; record with `nrl train --record` or `nrl record`{ends_early}'
            )

    # ------------------------------------------------------------------ order

    def _entries(self, message: LearnerOrder) -> Iterator[Step]:
        life = self._lives.setdefault(message.learner, LearnerLife(message.learner))
        skipped = message.first - self._next.get(message.learner, message.first)
        if message.learner not in self._next:
            skipped = message.first
        self._next[message.learner] = message.first + len(message.kind)
        texts = zip(message.text, message.detail, strict=True)
        noted = dict(zip(message.noted, texts, strict=True))
        owners = [*zip(message.agent, message.session, strict=True), ('', 0)]
        values = message.value or [0.0] * len(message.kind)
        rows = zip(message.kind, message.who, message.sequence, values, strict=True)
        for number, (kind, who, sequence, value) in enumerate(rows):
            text, detail = noted.get(number, ('', ''))
            agent, session = owners[who]
            entry = {
                'number': message.first + number,
                'agent': agent,
                'session': session,
                'sequence': sequence,
                'value': value,
                'text': text,
                'detail': detail,
            }
            yield Step(life, kind, entry, skipped=0 if number else skipped)

    def _ready(self, waiting: deque[_Waiting], now_ns: int) -> Iterator[Step]:
        while waiting:
            one = waiting[0]
            step = one.step
            found, needed = self._find(step)
            if needed and found is None:
                if now_ns - one.received_ns < PATIENCE_NS:
                    return
                step.missing = self._gap(step)
                self.gaps.append(step.missing)
            step.record = found
            waiting.popleft()
            yield step
        self._forget(now_ns)

    def _find(self, step: Step) -> tuple[Any, bool]:
        """Return the message of an entry, None if it is not there, and whether it needs one."""
        kind, entry = step.kind, step.entry
        key = (entry['agent'], entry['session'], entry['sequence'])
        if kind == LearnerOrder.KIND_STATE:
            return self._states.get(key), True
        if kind == LearnerOrder.KIND_RPE:
            found = self._rpes.get(key, ())
            mine = (one for one in found if self._neuromodulator in (0, one.neuromodulator))
            return next(mine, None), True
        if kind == LearnerOrder.KIND_INTRODUCED:
            infos = self._infos.get((entry['agent'], entry['session'], True), [])
            # An introduction that changes nothing is no entry, so that they come one by one.
            return (infos.pop(0) if len(infos) > 1 else infos[0] if infos else None), True
        if kind == LearnerOrder.KIND_NEUROMODULATOR:
            self._neuromodulator = entry['sequence']
        return None, False

    # --------------------------------------------------------------- messages

    def _keep(self, one: Timed) -> None:
        record, at = one.record, one.received_ns
        if one.topic == names.LEARNER_START:
            self._lives.setdefault(record.learner, LearnerLife(record.learner)).start = record
        elif one.topic == names.LEARNER_STATUS:
            self.status = record
        elif one.topic == names.ENV_INFO:
            known = self._infos.setdefault((record.agent, record.session, record.active), [])
            if record not in known:
                known.append(record)
        elif one.topic == names.NEUROMODULATION:
            key = (record.agent, record.session, record.sequence)
            self._rpes.setdefault(key, []).append(record)
            self._kept.append((at, self._rpes, key))
        else:
            held = _HELD[one.topic]
            kept: dict[Any, Any] = getattr(self, held)
            key = (record.agent, record.session, record.sequence)
            kept.setdefault(key, record)
            self._kept.append((at, kept, key))

    def _forget(self, now_ns: int) -> None:
        while self._kept and self._kept[0][0] < now_ns - _KEPT_NS:
            _, kept, key = self._kept.popleft()
            kept.pop(key, None)

    def _gap(self, step: Step) -> Gap:
        """Return what is missing, with its place where another message tells it."""
        entry = step.entry
        agent, session, sequence = key = entry['agent'], entry['session'], entry['sequence']
        topic, other = _MISSING[step.kind]
        # The learner's answer repeats the place of a state, and a reward that of its RPEs.
        told: Any = getattr(self, other).get(key) if other else None
        if told is None:
            return Gap(topic, agent, session, sequence)
        return replace(place_of(told), topic=topic)


_NEEDED = (
    names.STATE,
    names.ACTION,
    names.REWARD,
    names.NEUROMODULATION,
    names.LEARNER_ORDER,
    names.LEARNER_START,
    names.LEARNER_STATUS,
)
_HELD = {names.STATE: '_states', names.ACTION: 'actions', names.REWARD: '_rewards'}
_MISSING = {
    LearnerOrder.KIND_STATE: (names.STATE, 'actions'),
    LearnerOrder.KIND_RPE: (names.NEUROMODULATION, '_rewards'),
    LearnerOrder.KIND_INTRODUCED: (names.ENV_INFO, ''),
}
