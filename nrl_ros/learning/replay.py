"""Learns again from a recording: repeats what a learner did, in the order in which it did it.

The learner node notes each message that it takes, and all else that it does to weights or noise.
These entries and the messages decide every weight, so that a learner of the same settings ends with
the same ones, bit for bit. There is no second form of the rule here: ``Learner`` learns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from nrl_ros.base.errors import NrlError
from nrl_ros.base.records import ActionBatch, AgentInfo, RpeBatch, StateBatch
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.snapshots import digest_of


class Did(IntEnum):
    """What a learner did (LearnerOrder.KIND_*)."""

    STATE = 0
    RPE = 1
    INTRODUCED = 2
    LEFT = 3
    RELEASED = 4
    STARTED_OVER = 5
    FROZEN = 6
    EVALUATING = 7
    LEARNING_RATE = 8
    NOISE_SIGMA = 9
    NEUROMODULATOR = 10
    LOADED = 11
    SAVED = 12
    APPROVED = 13


# Entries of these kinds need the message that they stand for.
OF_A_MESSAGE = (Did.STATE, Did.RPE, Did.INTRODUCED)


@dataclass(frozen=True)
class Entry:
    """One thing that a learner did (LearnerOrder).

    Attributes:
        number: counts from 0 since the learner was configured.
        kind: what it did.
        agent: of which it was; empty: of none.
        session: of the agent.
        sequence: of the message; of NEUROMODULATOR its identity.
        value: as LearnerOrder says.
        text: the checkpoint of LOADED and SAVED.
        detail: digest of the weights of SAVED.
    """

    number: int
    kind: Did
    agent: str = ''
    session: int = 0
    sequence: int = 0
    value: float = 0.0
    text: str = ''
    detail: str = ''


class Replayer:
    """Does to a learner what was done to the one that was recorded.

    Args:
        learner: of the same settings, as it was configured.

    Attributes:
        learner: as given.
        refused: messages that it refused, as the recorded one did, by kind of error.
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.refused: Counter[str] = Counter()

    def apply(self, entry: Entry, record: Any = None) -> list[ActionBatch]:
        """Repeat one entry.

        Args:
            entry: what was done.
            record: the StateBatch, RpeBatch or AgentInfo that it stands for; of LOADED the snapshot
                that was loaded; otherwise None.

        Returns:
            The actions that the learner gave to states upon this, the newest last.
        """
        try:
            given = self._apply(entry, record)
            if entry.kind == Did.APPROVED or self.learner.take_events():
                # The guard has released windows, so that states of other agents wait no longer.
                for name in self.learner.roster.infos:
                    given += self._act(name)
            return given
        except NrlError as error:
            # The recorded learner refused it too: the entry is noted before the learner looks.
            self.refused[type(error).__name__] += 1
            return []

    def digest(self) -> str:
        """Return the digest of the weights, as of a checkpoint; empty if there are none yet."""
        policy = self.learner.roster.policy
        networks = [] if policy is None else [policy.network, policy.candidate]
        return digest_of([weight for one in networks if one is not None for weight in one.weights])

    def resume(self, infos: Iterable[AgentInfo], snapshot: dict[str, Any]) -> None:
        """Continue from a checkpoint that was saved in the middle of a run.

        Args:
            infos: agents that were known.
            snapshot: as saved.

        Raises:
            NrlError: it does not fit.
        """
        for info in infos:
            self.learner.roster.introduce(info)
        self.learner.restore(snapshot)
        for name in snapshot['agents']:
            agent = self.learner.served(name)
            if agent is not None:
                # The recorded learner went on, and was not started anew.
                agent.restored = False

    # ---------------------------------------------------------------- entries

    def _apply(self, entry: Entry, record: Any) -> list[ActionBatch]:
        learner, name = self.learner, entry.agent
        if entry.kind == Did.STATE:
            return self._state(record)
        if entry.kind == Did.RPE:
            return self._rpe(record)
        if entry.kind == Did.INTRODUCED:
            learner.roster.introduce(record)
        elif entry.kind == Did.LEFT:
            learner.leave(name)
        elif entry.kind == Did.RELEASED:
            return self._release([name])
        elif entry.kind == Did.STARTED_OVER:
            learner.roster.start_over(name)
        elif entry.kind == Did.FROZEN:
            learner.frozen = bool(entry.value)
            return self._release(learner.roster.infos)
        elif entry.kind == Did.EVALUATING:
            learner.evaluating = bool(entry.value)
            return self._release(learner.roster.infos)
        else:
            self._settings(entry, record)
        return []

    def _settings(self, entry: Entry, record: Any) -> None:
        if entry.kind == Did.LEARNING_RATE:
            self.learner.set_learning_rate(entry.value)
        elif entry.kind == Did.NOISE_SIGMA:
            self.learner.set_sigma(entry.value)
        elif entry.kind == Did.APPROVED:
            self.learner.approve(yes=bool(entry.value))
        elif entry.kind == Did.LOADED:
            self.learner.restore(record, keep_settings=bool(entry.value))

    def _state(self, state: StateBatch) -> list[ActionBatch]:
        if self.learner.observe(state) is not None:
            return []
        return self._act(state.agent)

    def _rpe(self, rpe: RpeBatch) -> list[ActionBatch]:
        self.learner.reinforce(rpe)
        return self._act(rpe.agent)

    def _release(self, names: Iterable[str]) -> list[ActionBatch]:
        given = []
        for name in names:
            self.learner.release_waiting(name)
            given += self._act(name)
        return given

    def _act(self, name: str) -> list[ActionBatch]:
        return [self.learner.act(name)] if self.learner.may_act(name) else []
