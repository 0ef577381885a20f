"""Says in which order the learner heard what it learns from, for recordings.

States and reward-prediction errors come on topics of their own, and a recorder receives them in
another order than the learner does. With this order a recording decides every weight.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rclpy.duration import Duration

from nrl_ros import __version__
from nrl_ros.base.records import AgentInfo, RpeBatch, StateBatch
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.interfaces import LearnerOrder, LearnerStart
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.settings.learner import LearnerNodeSettings

# A piece is sent after so many entries, or with the next look at the clock.
_MOST = 4096
# The first piece waits so often for somebody who listens: some seconds.
_WAITS = 10
# Longest wait for the last piece to arrive, where somebody listens [s].
_LAST_S = 1.0
# Kind, agent, session, sequence, value, text and detail, as in LearnerOrder.
OrderEntry = tuple[int, str, int, int, float, str, str]


class OrderNotes:
    """Notes what a learner does, and publishes it in pieces.

    To note something takes less than a microsecond; nothing is sent where nobody listens.

    Args:
        node: the learner's.
        identity: of the learner.
    """

    def __init__(self, node: NrlNode[LearnerNodeSettings], identity: int) -> None:
        self._node, self._identity = node, identity
        self._publisher: Any = node.publisher(LearnerOrder, names.LEARNER_ORDER, qos.event())
        self._start: Any = node.publisher(LearnerStart, names.LEARNER_START, qos.latched())
        self._entries: list[OrderEntry] = []
        self._first = self._neuromodulator = 0
        self._waits = _WAITS

    def begin(self, settings: str, checkpoint: str, *, keep_settings: bool) -> None:
        """Publish what the learner begins with; what was noted before is part of it.

        Args:
            settings: as YAML.
            checkpoint: file that was loaded; empty: none.
            keep_settings: learning rate and noise of the settings were kept.
        """
        self._entries.clear()
        message = LearnerStart(
            learner=self._identity,
            version=__version__,
            settings=settings,
            checkpoint=checkpoint,
            keep_settings=keep_settings,
        )
        conversion.set_stamp(message.header.stamp, self._node.now_ns())
        self._start.publish(message)

    # ------------------------------------------------------------------- notes

    def state(self, state: StateBatch) -> None:
        """Note that a state is taken."""
        self._entries.append((0, state.agent, state.session, state.sequence, 0.0, '', ''))
        if len(self._entries) >= _MOST:
            self.publish()

    def rpe(self, rpe: RpeBatch) -> None:
        """Note that reward-prediction errors are taken."""
        if rpe.neuromodulator != self._neuromodulator:
            self._neuromodulator = rpe.neuromodulator
            self.note(LearnerOrder.KIND_NEUROMODULATOR, sequence=rpe.neuromodulator)
        self._entries.append((1, rpe.agent, rpe.session, rpe.sequence, 0.0, '', ''))

    def info(self, info: AgentInfo) -> None:
        """Note that an agent is introduced, or leaves."""
        kind = LearnerOrder.KIND_INTRODUCED if info.active else LearnerOrder.KIND_LEFT
        self.note(kind, info.agent, session=info.session)

    def note(
        self,
        kind: int,
        agent: str = '',
        *,
        session: int = 0,
        sequence: int = 0,
        value: float = 0.0,
        text: str = '',
        detail: str = '',
    ) -> None:
        """Note anything else that changes weights or noise; see LearnerOrder for its fields."""
        self._entries.append((kind, agent, session, sequence, value, text, detail))

    # ----------------------------------------------------------------- sending

    def publish(self) -> None:
        """Send what was noted, if somebody listens."""
        entries = self._entries
        if not entries:
            return
        heard = self._publisher.get_subscription_count() > 0
        if not heard and self._first == 0 and self._waits > 0 and len(entries) < _MOST:
            # A recorder that was started along may not have been found yet.
            self._waits -= 1
            return
        if heard:
            message = order_message(entries)
            message.learner, message.first = self._identity, self._first
            conversion.set_stamp(message.header.stamp, self._node.now_ns())
            self._publisher.publish(message)
        self._first += len(entries)
        entries.clear()

    def end(self) -> None:
        """Send the last piece, and wait a moment until listeners have it."""
        self.publish()
        if self._publisher.get_subscription_count():
            self._publisher.wait_for_all_acked(Duration(seconds=_LAST_S))


def pieces_of(entries: Sequence[OrderEntry], identity: int, most: int) -> Iterator[LearnerOrder]:
    """Yield messages of entries that count from 0, so many in each at most."""
    for first in range(0, len(entries), most):
        message = order_message(entries[first : first + most])
        message.learner, message.first = identity, first
        yield message


def order_message(entries: Iterable[OrderEntry]) -> LearnerOrder:
    """Return entries as a message, without the learner and the number of the first one."""
    kinds, agents, sessions, sequences, values, texts, details = zip(*entries, strict=True)
    owners = list(zip(agents, sessions, strict=True))
    known = dict.fromkeys(owner for owner in owners if owner[0])
    place = {owner: number for number, owner in enumerate(known)}
    message = LearnerOrder(
        agent=[agent for agent, _ in known],
        session=array('Q', [session for _, session in known]),
        kind=array('B', kinds),
        who=array('I', [place.get(owner, len(known)) for owner in owners]),
        sequence=array('Q', sequences),
        value=array('d', values if any(values) else ()),
    )
    noted = [number for number, text in enumerate(texts) if text]
    message.noted = array('I', noted)
    message.text = [texts[number] for number in noted]
    message.detail = [details[number] for number in noted]
    return message
