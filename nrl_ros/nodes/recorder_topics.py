"""Which topics a recorder records, and how it subscribes to them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from lifecycle_msgs.srv import GetState
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from nrl_ros.base.errors import NrlError
from nrl_ros.nodes.recorder_checkpoints import RecordedCheckpoints
from nrl_ros.ros import names, qos
from nrl_ros.ros.executor import take
from nrl_ros.ros.schemas import message_class, schema_of
from nrl_ros.storage.bag_metadata import Topic
from nrl_ros.storage.recording_writer import WriterThread

# Messages that the middleware keeps for the recorder: the fastest loops send some thousand a
# second, and a busy machine may hold the recorder up for half a second.
_DEPTH = 4000
_STEP, _EVENT, _LATCHED = qos.step(), qos.event(), qos.latched()
# Topics of every run, subscribed at once so that none of their messages is missed. The last ones
# are latched: a node whose status has come has been told of all subscriptions before it. So has an
# environment that answers: the middleware tells it of the client after the subscriptions.
_OF_A_RUN: tuple[tuple[str, str, QoSProfile], ...] = (
    (names.STATE, 'EnvState', _STEP),
    (names.ACTION, 'Action', _STEP),
    (names.REWARD, 'Reward', _EVENT),
    (names.HUMAN_REWARD_GIVEN, 'HumanReward', _EVENT),
    (names.NEUROMODULATION, 'Neuromodulation', _EVENT),
    (names.LEARNER_ORDER, 'LearnerOrder', _EVENT),
    (names.EPISODES, 'EpisodeReport', _EVENT),
    (names.LEARNER_START, 'LearnerStart', _LATCHED),
    (names.ENV_INFO, 'EnvInfo', _LATCHED),
    (names.ENV_STATUS, 'EnvStatus', _LATCHED),
    (names.LEARNER_STATUS, 'LearnerStatus', _LATCHED),
    (names.NEUROMODULATOR_STATUS, 'NeuromodulatorStatus', _LATCHED),
)
_OF_AN_ENVIRONMENT = (names.ENV_INFO, names.STATE, names.REWARD)
_TELLS = {
    names.LEARNER_STATUS: names.LEARNER,
    names.NEUROMODULATOR_STATUS: names.NEUROMODULATOR,
}
_RECEIVED_NS = itemgetter(2)
# Of all nodes, in every namespace.
_GLOBAL = ('/parameter_events', '/rosout')


class RecordedTopics:
    """Subscribes to all topics in the node's namespace, as they appear.

    Args:
        node: the recorder.
        thread: gets the messages.
        more: names of further topics.
        checkpoints: is told what the learner says of its checkpoints.

    Attributes:
        heard: nodes of the run whose topics are heard from now on.
    """

    def __init__(
        self, node: Any, thread: WriterThread, more: Sequence[str], checkpoints: RecordedCheckpoints
    ) -> None:
        self._node, self._thread, self._checkpoints = node, thread, checkpoints
        self._wanted = {node.resolve_topic_name(name) for name in (*more, *_GLOBAL)}
        self._own = node.resolve_topic_name(names.RECORDER_STATUS)
        self._below = f'{node.get_namespace().rstrip("/")}/'
        self._made: dict[str, Any] = {}
        # Topic, message, and when it was received and sent.
        self._came: list[tuple[str, bytes, int, int]] = []
        self._refused: set[str] = set()
        self.heard: set[str] = set()
        node.at_take_down(self.close)
        for name, kind, profile in _OF_A_RUN:
            topic = node.resolve_topic_name(name)
            self._subscribe(topic, f'nrl_ros/msg/{kind}', profile, _TELLS.get(name, ''))
        self._environment = node.create_client(GetState, f'{names.ENVIRONMENT}/get_state')
        node.at_take_down(lambda: node.destroy_client(self._environment))

    def look(self) -> None:
        """Subscribe to topics that have appeared."""
        self._ask_environment()
        for name, types in self._node.get_topic_names_and_types():
            mine = name in self._wanted or name.startswith(self._below)
            if not mine or name in self._made or name in self._refused or name == self._own:
                continue
            infos = self._node.get_publishers_info_by_topic(name)
            if infos:
                self._subscribe(name, types[0], _profile_of(infos), '')

    def _ask_environment(self) -> None:
        """Find out whether a configured environment knows of the subscriptions.

        It says nothing of itself before it is active, and then its first state must be heard
        already. That its publishers are known here does not yet mean that it knows who listens: on
        a busy machine the first states were lost between the two.
        """
        if names.ENVIRONMENT in self.heard or not self._environment.service_is_ready():
            return
        if all(self._node.count_publishers(name) for name in _OF_AN_ENVIRONMENT):
            # An answer may be lost, as long as it does not know of the client; then ask again.
            asked = self._environment.call_async(GetState.Request())
            asked.add_done_callback(lambda _: self.heard.add(names.ENVIRONMENT))

    def drain(self) -> None:
        """Take all that has come."""
        for subscription in self._made.values():
            while take(subscription):
                pass
        self.hand_over()

    def hand_over(self) -> None:
        """Give what was taken to the thread that writes it, in the order in which it came."""
        came, self._came = self._came, []
        came.sort(key=_RECEIVED_NS)
        for one in came:
            self._thread.write(*one)

    def close(self) -> None:
        """Destroy the subscriptions."""
        while self._made:
            self._node.destroy_subscription(self._made.popitem()[1])

    def _subscribe(self, topic: str, kind: str, profile: QoSProfile, tells: str) -> None:
        try:
            message, schema = message_class(kind), schema_of(kind)
        except NrlError as error:
            self._refused.add(topic)
            self._node.get_logger().warning(f'{topic} is not recorded: {error}')
            return
        reliable = profile.reliability == ReliabilityPolicy.RELIABLE
        latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        described = Topic(topic, kind, schema, reliable, latched, profile.depth)
        note = self._checkpoints.note_of(kind)
        known = False

        def on_message(data: bytes, info: Any) -> None:
            nonlocal known
            if not known:
                known = True
                self._thread.add_topic(self._with_hash(described))
                if tells:
                    self.heard.add(tells)
            self._came.append((topic, data, info['received_timestamp'], info['source_timestamp']))
            if note is not None:
                note(data)

        deep = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=_DEPTH,
            reliability=profile.reliability,
            durability=profile.durability,
        )
        self._made[topic] = self._node.create_subscription(
            message,
            topic,
            on_message,
            deep,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
            raw=True,
        )

    def _with_hash(self, topic: Topic) -> Topic:
        infos = self._node.get_publishers_info_by_topic(topic.name)
        found = getattr(infos[0], 'topic_type_hash', None) if infos else None
        if found is None or getattr(found, 'version', 0) != 1:
            return topic
        text = f'RIHS01_{bytes(found.value).hex()}'
        return Topic(**(vars(topic) | {'type_hash': text}))


def _profile_of(infos: Sequence[Any]) -> QoSProfile:
    """Return the strictest profile that hears every publisher."""
    profiles = [info.qos_profile for info in infos]
    reliable = all(one.reliability == ReliabilityPolicy.RELIABLE for one in profiles)
    latched = all(one.durability == DurabilityPolicy.TRANSIENT_LOCAL for one in profiles)
    return QoSProfile(
        depth=10,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
