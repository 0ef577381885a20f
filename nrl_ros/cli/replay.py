"""The command ``nrl replay``: learns again from a recording, and compares with the run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nrl_ros.base.errors import CheckpointError
from nrl_ros.base.records import ActionBatch
from nrl_ros.base.settings import parse
from nrl_ros.cli.runs import recording_of, write_json
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.replay import Did, Entry, Replayer
from nrl_ros.learning.snapshots import weights_digest
from nrl_ros.ros import names
from nrl_ros.ros.recorded import Gap, LearnerLife, OrderedRun, RunRecords, Step, place_of
from nrl_ros.ros.wire import NANOSECONDS
from nrl_ros.settings.learner import LearnerNodeSettings
from nrl_ros.storage.checkpoint import read_checkpoint
from nrl_ros.storage.codec import decode
from nrl_ros.storage.recording_writer import RecordingError
from nrl_ros.storage.recordings import Recording

# So many recorded actions may come later than the entry of the learner that they belong to.
_LATE_ACTIONS = 200
_SHOWN_GAPS = 20


@dataclass
class Compared:
    """A checkpoint of the run beside the replay.

    Attributes:
        file: of the checkpoint.
        entry: number of the learner's entry that says it was saved.
        equal: the weights were equal, bit for bit.
        states: that were acted upon by then.
    """

    file: str
    entry: int
    equal: bool
    states: int


@dataclass
class Replayed:
    """What a replay came to.

    Attributes:
        learner: identity of the recorded learner.
        began: with what the replay began, in words.
        compared: checkpoints of the run.
        actions: that the run's learner was recorded to give.
        different_actions: how many of them the replay gave otherwise.
        missing_actions: that were not recorded.
        first_difference: the first of them; empty: none.
        left: where the replay had to leave the run, and why; it goes on at the next checkpoint.
        states: acted upon in the end.
        updates: weight changes in the end.
        refused: messages that both refused, by kind of error.
    """

    learner: int
    began: str = ''
    compared: list[Compared] = field(default_factory=list)
    actions: int = 0
    different_actions: int = 0
    missing_actions: int = 0
    first_difference: str = ''
    left: list[str] = field(default_factory=list)
    states: int = 0
    updates: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """True if all of it was repeated and the last checkpoint has the same weights."""
        return bool(
            self.compared
            and all(one.equal for one in self.compared)
            and not (self.different_actions or self.left)
        )

    def lines(self) -> list[str]:
        """Return the result in words."""
        found = [f'began {self.began or "nowhere"}']
        found += [f'left the run: {text}' for text in self.left]
        found.append(
            f'{self.states:,} states, {self.updates:,} updates; {self.actions:,} recorded actions, '
            f'{self.different_actions:,} of them came out otherwise'
        )
        if self.first_difference:
            found.append(f'first: {self.first_difference}')
        if not self.compared:
            found.append('no checkpoint was saved in what could be replayed: nothing to compare')
        else:
            equal = sum(one.equal for one in self.compared)
            last = self.compared[-1]
            found.append(
                f'{equal} of {len(self.compared)} checkpoints have equal weights, bit for bit; the '
                f'last one, {Path(last.file).name}: {"equal" if last.equal else "DIFFERENT"}'
            )
        return found


class Snapshots:
    """Finds the checkpoints of a run: in the recording, where they were written, beside it.

    Args:
        recording: of the run.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._attached: dict[str, bytes] | None = None

    def find(self, file: str, digest: str = '') -> dict[str, Any] | None:
        """Return the data of a checkpoint; None if it is nowhere.

        Args:
            file: as the learner has said.
            digest: of its weights; empty: not known.
        """
        name = Path(file).name
        beside = self._recording.folder.parent / 'checkpoints' / name
        for path in (None, Path(file), beside):
            try:
                found = self._attached_one(name) if path is None else _read(path)
            except CheckpointError:
                continue
            if found is not None and digest in ('', weights_digest(found)):
                return found
        return None

    def _attached_one(self, name: str) -> dict[str, Any] | None:
        if self._attached is None:
            self._attached = self._recording.attachments()
        raw = self._attached.get(f'checkpoints/{name}')
        return None if raw is None else decode(raw, names.LEARNER)


def _read(path: Path) -> dict[str, Any]:
    return read_checkpoint(path, names.LEARNER)


class LifeReplay:
    """Repeats what one learner did, and leaves it where messages are missing.

    Args:
        life: of the learner.
        run: the recording in its order.
        snapshots: finds checkpoints.
    """

    def __init__(self, life: LearnerLife, run: OrderedRun, snapshots: Snapshots) -> None:
        self.result = Replayed(life.identity)
        self.replayer: Replayer | None = None
        self._life, self._run, self._snapshots = life, run, snapshots
        self._infos: dict[str, Any] = {}
        self._newest: dict[str, Any] = {}
        self._modes: dict[Did, bool] = {}
        self._begun = False
        # Actions that are not compared yet: the recorder may have received them later.
        self._given: deque[ActionBatch] = deque()

    def step(self, step: Step) -> None:
        """Repeat one entry of the learner's order.

        Raises:
            RecordingError: it cannot be said with which settings the learner began.
        """
        entry = Entry(kind=Did(step.kind), **step.entry)
        if not self._begun:
            self._begun = True
            if entry.number == 0 and not step.skipped:
                self._begin()
            else:
                self.result.left.append(
                    f'the recording begins after {step.skipped:,} entries of the learner: it is '
                    'replayed from the first checkpoint that is kept'
                )
        elif step.skipped:
            self._leave(f'{step.skipped:,} entries of its order are missing before {entry.number}')
        if step.missing is not None:
            self._leave(f'{step.missing.line()} is missing')
        self._note(entry, step.record)
        if self.replayer is None:
            if entry.kind == Did.SAVED:
                self._resume(entry)
            return
        record = step.record
        if entry.kind == Did.LOADED:
            record = self._snapshots.find(entry.text)
            if record is None:
                self._leave(f'{entry.text}, which it loaded, is not there any more')
                return
        self._compare_actions(self.replayer.apply(entry, record))
        if entry.kind == Did.SAVED:
            self._compare_weights(entry)

    def end(self) -> None:
        """Note what it came to."""
        while self._given:
            self._compare_action(self._given.popleft())
        replayer = self.replayer
        if replayer is not None:
            self.result.states, self.result.updates = (
                replayer.learner.states,
                replayer.learner.updates,
            )
            self.result.refused = dict(replayer.refused)

    # --------------------------------------------------------------- beginning

    def new_learner(self) -> Learner:
        """Return a learner as the recorded one was configured.

        Raises:
            RecordingError: it was not recorded.
        """
        start = self._life.start
        if start is None:
            raise RecordingError(
                f'{self._run.records.recording.path} lacks the settings of the learner '
                f'({self._run.records.absolute(names.LEARNER_START)}): it cannot be replayed'
            )
        nested = yaml.safe_load(start.settings)
        settings = parse(LearnerNodeSettings, nested, source='settings in the recording')
        learner = Learner(settings, settings.limits)
        learner.identity = self._life.identity
        learner.evaluating = settings.evaluate
        return learner

    def _begin(self) -> None:
        learner = self.new_learner()
        start = self._life.start
        self.result.began = 'as the run did, from nothing'
        if start.checkpoint:
            data = self._snapshots.find(start.checkpoint)
            if data is None:
                self.result.left.append(
                    f'{start.checkpoint}, from which the run went on, is not there any more'
                )
                return
            learner.restore(data, keep_settings=start.keep_settings)
            self.result.began = f'as the run did, from {Path(start.checkpoint).name}'
        self.replayer = Replayer(learner)

    def _resume(self, entry: Entry) -> None:
        """Begin from a checkpoint that was saved meanwhile, if it is kept."""
        data = self._snapshots.find(entry.text, entry.detail)
        if data is None:
            return
        learner = self.new_learner()
        status = self._run.status
        learner.frozen = self._modes.get(Did.FROZEN, status is not None and status.frozen)
        learner.evaluating = self._modes.get(
            Did.EVALUATING, status.evaluating if status is not None else learner.evaluating
        )
        self.replayer = Replayer(learner)
        self.replayer.resume(self._infos.values(), data)
        began = f'from {Path(entry.text).name}, at entry {entry.number:,}'
        self.result.began = f'{self.result.began}, and {began}' if self.result.began else began
        for name, state in self._newest.items():
            # The learner had taken these before it saved, and acted upon them afterwards.
            agent = learner.served(name)
            known = agent is not None and agent.info.session == state.session
            if not known or (agent is not None and agent.sequence < state.sequence):
                taken = Entry(entry.number, Did.STATE, name, state.session, state.sequence)
                self._compare_actions(self.replayer.apply(taken, state))

    def _leave(self, why: str) -> None:
        if self.replayer is not None:
            self.end()
            self.replayer = None
            self.result.left.append(why)

    def _note(self, entry: Entry, record: Any) -> None:
        """Note what a learner that begins at a later checkpoint has to know."""
        if entry.kind == Did.STATE and record is not None:
            self._newest[entry.agent] = record
        elif entry.kind == Did.INTRODUCED and record is not None:
            self._infos[entry.agent] = record
        elif entry.kind == Did.LEFT:
            self._infos.pop(entry.agent, None)
            self._newest.pop(entry.agent, None)
        elif entry.kind in (Did.FROZEN, Did.EVALUATING):
            self._modes[entry.kind] = bool(entry.value)

    # --------------------------------------------------------------- comparing

    def _compare_actions(self, given: list[ActionBatch]) -> None:
        self._given.extend(given)
        while len(self._given) > _LATE_ACTIONS:
            self._compare_action(self._given.popleft())

    def _compare_action(self, action: ActionBatch) -> None:
        recorded = self._run.actions.get((action.agent, action.session, action.sequence))
        if recorded is None:
            self.result.missing_actions += 1
            return
        self.result.actions += 1
        if recorded.action.tobytes() != action.action.tobytes():
            self.result.different_actions += 1
            if not self.result.first_difference:
                self.result.first_difference = place_of(action).line(most=1)

    def _compare_weights(self, entry: Entry) -> None:
        assert self.replayer is not None
        equal = self.replayer.digest() == entry.detail
        states = self.replayer.learner.states
        self.result.compared.append(Compared(entry.text, entry.number, equal, states))


@dataclass
class Replay:
    """A whole replay.

    Attributes:
        lives: one for each learner of the recording.
        gaps: messages that are missing.
        cut_off: how the recording ends early; empty: it does not.
        recorded_s: length of the recording [s].
        seconds: that the replay took [s].
    """

    lives: list[LifeReplay]
    gaps: list[Gap]
    cut_off: list[str]
    recorded_s: float
    seconds: float

    @property
    def exact(self) -> bool:
        """True if every learner was repeated to equal weights."""
        return all(life.result.exact for life in self.lives)

    def data(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {
            'exact': self.exact,
            'recorded_s': self.recorded_s,
            'seconds': self.seconds,
            'cut_off': self.cut_off,
            'gaps': [asdict(gap) for gap in self.gaps],
            'learners': [asdict(life.result) for life in self.lives],
        }


def replay(path: Path, seen: Callable[[LifeReplay, Step], None] | None = None) -> Replay:
    """Learn again from a recording.

    Args:
        path: folder or file of the recording, or folder of a run that was recorded.
        seen: is called after each entry.

    Raises:
        NrlError: it cannot be read, or holds no learning.
    """
    begin = time.monotonic()
    recording = Recording(recording_of(path))
    run = OrderedRun(RunRecords(recording))
    snapshots = Snapshots(recording)
    lives: dict[int, LifeReplay] = {}
    for step in run.steps():
        life = lives.get(step.life.identity)
        if life is None:
            life = lives[step.life.identity] = LifeReplay(step.life, run, snapshots)
        life.step(step)
        if seen is not None:
            seen(life, step)
    for life in lives.values():
        life.end()
    recorded_s = (run.last_ns - run.first_ns) / NANOSECONDS
    cut_off = list(recording.cut_off.values())
    return Replay([*lives.values()], run.gaps, cut_off, recorded_s, time.monotonic() - begin)


def run_replay(path: Path, say: Callable[[str], None], json: Path | None = None) -> int:
    """Replay and say what it came to.

    Args:
        path: as of ``replay``.
        say: prints a line.
        json: file for the result; None: none.

    Returns:
        Exit code: 0 if all weights came out equal.
    """
    done = replay(path)
    if json is not None:
        write_json(json, done.data())
    for life in done.lives:
        for line in life.result.lines():
            say(line)
    for gap in done.gaps[:_SHOWN_GAPS]:
        say(f'missing: {gap.line()}')
    if len(done.gaps) > _SHOWN_GAPS:
        say(f'missing: {len(done.gaps) - _SHOWN_GAPS:,} more; --json FILE has all of them')
    for text in done.cut_off:
        say(text)
    say(
        f'{done.recorded_s:.1f} s of the run in {done.seconds:.2f} s, '
        f'{done.recorded_s / max(done.seconds, 1e-9):.0f} times as fast'
    )
    return 0 if done.exact else 1
