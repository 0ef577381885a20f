"""Repeats what one learner of a recording did, and compares it with the run."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from nrl_ros.base.errors import CheckpointError
from nrl_ros.base.records import ActionBatch
from nrl_ros.base.settings import flatten, load, parse
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.replay import Did, Entry, Replayer
from nrl_ros.learning.snapshots import weights_digest
from nrl_ros.learning.what_if import Soundness, WhatIf
from nrl_ros.ros import names
from nrl_ros.ros.recorded import PATIENCE_NS, LearnerLife, OrderedRun, Step, place_of
from nrl_ros.settings.learner import LearnerNodeSettings
from nrl_ros.storage.checkpoint import read_checkpoint
from nrl_ros.storage.codec import decode
from nrl_ros.storage.recording_writer import RecordingError
from nrl_ros.storage.recordings import Recording

_FORCED = {'plasticity.learning_rate': Did.LEARNING_RATE, 'noise.sigma': Did.NOISE_SIGMA}


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
        what_if: how sound it was to ask for other settings, now and then; empty: nobody asked.
        what_if_ended: why other settings were given up; empty: they were not.
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
    what_if: list[Soundness] = field(default_factory=list)
    what_if_ended: str = ''

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
        other: settings of a learner that is asked what it would have learned, dotted; empty: none.
    """

    def __init__(
        self,
        life: LearnerLife,
        run: OrderedRun,
        snapshots: Snapshots,
        other: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.result = Replayed(life.identity)
        self.replayer: Replayer | None = None
        self.what_if: WhatIf | None = None
        self._other = other
        self._life, self._run, self._snapshots = life, run, snapshots
        self._infos: dict[str, Any] = {}
        self._newest: dict[str, Any] = {}
        self._modes: dict[Did, bool] = {}
        self._begun = False
        # A checkpoint was saved since entries or messages were missing last.
        self._saved = False
        # Answers whose recorded action has not come yet, and since when they wait [ns]: a recorder
        # that was held up receives the actions of its pause after all states of it.
        self._given: deque[tuple[ActionBatch, int]] = deque()

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
            self._forget()
            self._leave(f'{step.skipped:,} entries of its order are missing before {entry.number}')
        if step.missing is not None:
            self._forget()
            self._leave(f'{step.missing.line()} is missing')
        self._note(entry, step.record)
        if self.replayer is None:
            if entry.kind == Did.SAVED:
                self._resume(entry)
                self._saved = True
            return
        record = step.record
        if entry.kind == Did.LOADED:
            record = self._snapshots.find(entry.text)
            if record is None:
                self._leave(f'{entry.text}, which it loaded, is not there any more')
                return
        self._repeat(entry, record)
        if entry.kind == Did.SAVED:
            self._compare_weights(entry)

    def _repeat(self, entry: Entry, record: Any) -> None:
        assert self.replayer is not None
        answers = self.replayer.apply(entry, record)
        self._compare_actions(answers)
        if self.what_if is not None:
            acted = [(answer, self._newest[answer.agent]) for answer in answers]
            self.what_if.apply(entry, record, acted)

    def end(self) -> None:
        """Note what it came to."""
        while self._given:
            self._compare_action(self._given.popleft()[0])
        replayer = self.replayer
        if replayer is not None:
            self.result.states, self.result.updates = (
                replayer.learner.states,
                replayer.learner.updates,
            )
            self.result.refused = dict(replayer.refused)
            if self.what_if is not None:
                self.result.what_if = [*self.what_if.course, self.what_if.now()]
                self.result.what_if_ended = self.what_if.ended

    # --------------------------------------------------------------- beginning

    def new_learner(self, other: Mapping[str, Any] = MappingProxyType({})) -> Learner:
        """Return a learner as the recorded one was configured.

        Args:
            other: dotted settings that replace the recorded ones.

        Raises:
            ConfigError: one of them is wrong.
            RecordingError: the settings were not recorded.
        """
        start = self._life.start
        if start is None:
            raise RecordingError(
                f'{self._run.records.recording.path} lacks the settings of the learner '
                f'({self._run.records.absolute(names.LEARNER_START)}): it cannot be replayed'
            )
        nested = yaml.safe_load(start.settings)
        settings = parse(LearnerNodeSettings, nested, source='settings in the recording')
        if other:
            settings = load(LearnerNodeSettings, flatten(settings) | dict(other), source='--set')
        learner = Learner(settings, settings.limits)
        learner.identity = self._life.identity
        learner.evaluating = settings.evaluate
        return learner

    def _ask(self, learner: Learner) -> None:
        """Make the learner with other settings, beside a new one that repeats the run."""
        if self._other:
            forced = {
                _FORCED[name]: value for name, value in self._other.items() if name in _FORCED
            }
            self.what_if = WhatIf(learner, self.new_learner(self._other), forced)

    def _begin(self) -> None:
        learner = self.new_learner()
        self._ask(learner)
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
            if self.what_if is not None:
                self.what_if.resume((), data)
            self.result.began = f'as the run did, from {Path(start.checkpoint).name}'
        self.replayer = Replayer(learner)

    def _resume(self, entry: Entry) -> None:
        """Begin from a checkpoint that was saved meanwhile, if it is kept."""
        data = self._snapshots.find(entry.text, entry.detail)
        if data is None:
            return
        # Environments that were introduced before the recording began have a latched message.
        latched = self._run.records.infos.values()
        infos = {one.agent: one for one in latched if one.active} | self._infos
        # A learner may take a state, save, and act upon the state afterwards. Where such a state
        # may have come before the entries that are known, the next checkpoint is taken: by then the
        # learner has acted upon the state. An agent that is silent until then stands idle.
        if not self._saved and not infos.keys() & data['agents'].keys() <= self._newest.keys():
            return
        learner = self.new_learner()
        self._ask(learner)
        status = self._run.status
        learner.frozen = self._modes.get(Did.FROZEN, status is not None and status.frozen)
        learner.evaluating = self._modes.get(
            Did.EVALUATING, status.evaluating if status is not None else learner.evaluating
        )
        self.replayer = Replayer(learner)
        self.replayer.resume(infos.values(), data)
        if self.what_if is not None:
            self.what_if.learner.frozen = learner.frozen
            self.what_if.learner.evaluating = learner.evaluating
            self.what_if.resume(infos.values(), data)
        began = f'from {Path(entry.text).name}, at entry {entry.number:,}'
        self.result.began = f'{self.result.began}, and {began}' if self.result.began else began
        for name, state in self._newest.items():
            # The learner had taken these before it saved, and acted upon them afterwards.
            agent = learner.served(name)
            known = agent is not None and agent.info.session == state.session
            if not known or (agent is not None and agent.sequence < state.sequence):
                taken = Entry(entry.number, Did.STATE, name, state.session, state.sequence)
                self._repeat(taken, state)

    def _forget(self) -> None:
        """Forget the newest states: those that follow them may be missing."""
        self._newest.clear()
        self._saved = False

    def _leave(self, why: str) -> None:
        if self.replayer is not None:
            self.end()
            self.replayer = self.what_if = None
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
        now_ns = self._run.last_ns
        self._given.extend((action, now_ns) for action in given)
        while self._given:
            action, since_ns = self._given[0]
            if self._recorded(action) is None and now_ns - since_ns < PATIENCE_NS:
                break
            self._given.popleft()
            self._compare_action(action)

    def _recorded(self, action: ActionBatch) -> ActionBatch | None:
        return self._run.actions.get((action.agent, action.session, action.sequence))

    def _compare_action(self, action: ActionBatch) -> None:
        recorded = self._recorded(action)
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
