"""Tells a listener the messages on the topics of a run; the nodes do not know of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.qos import QoSProfile

from nrl_ros.base.records import ActionBatch, AgentInfo, RewardBatch, RpeBatch, StateBatch
from nrl_ros.environments.listening import Listener
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.hearing import Refusals, Topic, counters_of, hear
from nrl_ros.ros.interfaces import (
    Action,
    EnvInfo,
    EnvState,
    EnvStatus,
    EpisodeReport,
    HumanReward,
    LearnerStatus,
    Neuromodulation,
    NeuromodulatorStatus,
    Reward,
)

# Depth of the queues: the fastest loops send some thousand states a second, so a listener that is
# delayed by half a second loses nothing.
_DEPTH = 2000
# At most this many records are kept that came before the introduction of their environment, which
# is on another topic.
_MOST_HELD = 1000
_STATUS: dict[str, tuple[str, Any]] = {
    names.ENVIRONMENT: (names.ENV_STATUS, EnvStatus),
    names.LEARNER: (names.LEARNER_STATUS, LearnerStatus),
    names.NEUROMODULATOR: (names.NEUROMODULATOR_STATUS, NeuromodulatorStatus),
}
_Session = tuple[str, int]
_Batch = StateBatch | ActionBatch | RewardBatch | RpeBatch


class Listening:
    """Subscribes to all topics of the step path and of status, and tells a listener their records.

    Records are matched by their session. What comes before the introduction of its environment is
    told after it, and what is sent again is told once. Missed records are counted by their sequence
    numbers. A faulty message is dropped, counted and logged once, as by any node.

    Args:
        node: makes the subscriptions; its executor calls the listener.
        listener: is told each record.

    Attributes:
        counters: ``repeated_*`` and ``missed_*`` by topic, ``held_too_long``, and refusals.
    """

    def __init__(self, node: Any, listener: Listener) -> None:
        self._node, self._listener = node, listener
        self.counters: Counter[str] = Counter()
        self._refusals = Refusals(node, self.counters)
        self._infos: dict[_Session, AgentInfo] = {}
        self._held: dict[_Session, list[Callable[[], None]]] = {}
        # Sequence number of the newest record that was told, by topic and session.
        self._newest: dict[tuple[str, str, int], int] = {}
        latched = qos.latched(64)
        self._made = [
            self._hear(EnvInfo, names.ENV_INFO, latched, self._on_info),
            self._hear(EnvState, names.STATE, _deep(qos.step()), self._on_state, raw=True),
            self._hear(Reward, names.REWARD, _deep(qos.event()), self._on_reward, raw=True),
            self._hear(
                Neuromodulation, names.NEUROMODULATION, _deep(qos.event()), self._on_rpe, raw=True
            ),
            self._hear(Action, names.ACTION, _deep(qos.step()), self._on_action, raw=True),
            self._hear(
                HumanReward,
                names.HUMAN_REWARD_GIVEN,
                _deep(qos.event()),
                self._on_human_reward,
                raw=True,
            ),
            self._hear(EpisodeReport, names.EPISODES, _deep(qos.event()), self._on_report),
            *(
                self._hear(kind, topic, latched, self._on_status_of(name))
                for name, (topic, kind) in _STATUS.items()
            ),
        ]

    def close(self) -> None:
        """Stop listening: destroy the subscriptions."""
        while self._made:
            self._node.destroy_subscription(self._made.pop())

    def _hear(
        self,
        kind: Any,
        topic: str,
        profile: QoSProfile,
        callback: Callable[[Any], None],
        *,
        raw: bool = False,
    ) -> Any:
        heard = Topic(kind, topic, profile)
        return hear(self._node, heard, callback, self._refusals, raw=raw)

    # --------------------------------------------------------------- topics

    def _on_info(self, message: EnvInfo) -> None:
        info = conversion.info_from_msg(message)
        session = (info.agent, info.session)
        known = self._infos.get(session)
        if known is not None and known.active == info.active:
            # An environment introduces itself again if it was not answered for a while.
            return
        self._infos[session] = info
        self._listener.on_info(info)
        for tell in self._held.pop(session, ()):
            tell()

    def _on_state(self, data: bytes) -> None:
        state = conversion.state_from_wire(data)
        self._tell_once(names.STATE, state, lambda: self._listener.on_state(state))

    def _on_reward(self, data: bytes) -> None:
        reward = conversion.reward_from_wire(data)
        self._tell_once(names.REWARD, reward, lambda: self._listener.on_reward(reward))

    def _on_rpe(self, data: bytes) -> None:
        rpe = conversion.rpe_from_wire(data)
        self._tell_once(names.NEUROMODULATION, rpe, lambda: self._listener.on_rpe(rpe))

    def _on_action(self, data: bytes) -> None:
        session = conversion.session_of_action(data)
        self._when_known(session, lambda: self._on_known_action(session, data))

    def _on_known_action(self, session: _Session, data: bytes) -> None:
        action = conversion.action_from_wire(data, self._infos[session].spec.action)
        self._tell_once(names.ACTION, action, lambda: self._listener.on_action(action))

    def _on_human_reward(self, data: bytes) -> None:
        given = conversion.human_reward_from_wire(data)
        session = (given.agent, given.session)
        self._when_known(session, lambda: self._listener.on_human_reward(given))

    def _on_report(self, message: EpisodeReport) -> None:
        episodes = conversion.report_from_msg(message)
        session = (message.agent, message.session)
        self._when_known(session, lambda: self._listener.on_episodes(episodes))

    def _on_status_of(self, node: str) -> Callable[[Any], None]:
        def on_status(message: Any) -> None:
            status = {
                name: getattr(message, name)
                for name in conversion.declared_fields(type(message))
                if name not in ('header', 'counter_name', 'counter_value')
            }
            self._listener.on_status(node, status | counters_of(message))

        return on_status

    # -------------------------------------------------------------- sessions

    def _when_known(self, session: _Session, tell: Callable[[], None]) -> None:
        """Tell a record now, or later if the environment of its session was not introduced yet."""
        if session in self._infos:
            tell()
            return
        held = self._held.setdefault(session, [])
        if sum(map(len, self._held.values())) < _MOST_HELD:
            held.append(tell)
        else:
            self.counters['held_too_long'] += 1

    def _tell_once(self, topic: str, batch: _Batch, tell: Callable[[], None]) -> None:
        def new() -> None:
            key = (topic, batch.agent, batch.session)
            newest = self._newest.get(key)
            if newest is not None and batch.sequence <= newest:
                self.counters[f'repeated_{topic}'] += 1
                return
            if newest is not None and topic in (names.STATE, names.ACTION):
                # Each state has a number, and so has its answer; only some states come with
                # rewards, so gaps in rewards are normal.
                self.counters[f'missed_{topic}'] += batch.sequence - newest - 1
            self._newest[key] = batch.sequence
            tell()

        self._when_known((batch.agent, batch.session), new)


def _deep(profile: QoSProfile) -> QoSProfile:
    profile.depth = _DEPTH
    return profile
