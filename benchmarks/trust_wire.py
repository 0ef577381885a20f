"""A wire between nodes that loses, doubles, reorders and makes up messages; for trust.py."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import rclpy
from rclpy.serialization import deserialize_message, serialize_message

from nrl_ros.ros import names, qos
from nrl_ros.ros.executor import StepExecutor
from nrl_ros.ros.interfaces import (
    Action,
    EnvState,
    LearnerStatus,
    Neuromodulation,
    NeuromodulatorStatus,
    Reward,
)

# What a node says goes to SENT/topic; the wire brings it to the topic.
SENT = 'sent'
TOPICS: dict[str, tuple[Any, Callable[[], Any]]] = {
    names.STATE: (EnvState, qos.step),
    names.ACTION: (Action, qos.step),
    names.REWARD: (Reward, qos.event),
    names.NEUROMODULATION: (Neuromodulation, qos.event),
}
# That a node lives is told by its status.
STATUS = {
    names.LEARNER_STATUS: LearnerStatus,
    names.NEUROMODULATOR_STATUS: NeuromodulatorStatus,
}
# Topics that each node speaks on.
SPOKEN = {
    'environment': (names.STATE, names.REWARD),
    'learner': (names.ACTION,),
    'neuromodulator': (names.NEUROMODULATION,),
}
MESSAGE_FAULTS = ('duplicate', 'late duplicate', 'reorder', 'garbage')
_LITTLE_ENDIAN = b'\x00\x01\x00\x00'
_LARGEST = 2**32 - 1


class _Held(NamedTuple):
    """A message that goes out after so many others of its topic."""

    after: int
    data: bytes


def remappings(node: str) -> list[str]:
    """Return the ROS arguments that send what a node says through the wire."""
    arguments = []
    for topic in SPOKEN[node]:
        arguments += ['-r', f'{topic}:={SENT}/{topic}']
    return arguments


def garbage(kind: type, data: bytes, choose: random.Random) -> bytes:
    """Return a message that is wrong in one way, made from a true one.

    Args:
        kind: type of the message.
        data: the true message, serialised.
        choose: random numbers.
    """
    way = choose.choice(('cut off', 'short', 'noise', 'length', 'instances', 'agent', 'session'))
    if way == 'cut off':
        # The middleware fills a message up to whole words of 4 bytes. One that lacks fewer bytes
        # arrives whole, with another reward or error than was sent, as if somebody lied.
        return data[: choose.randrange(4, len(data) - 3)]
    if way == 'short':
        return data[: choose.randrange(1, 4)]
    if way == 'noise':
        return _LITTLE_ENDIAN + choose.randbytes(len(data) - 4)
    message: Any = deserialize_message(data, kind)
    if way == 'length':
        name = choose.choice(['episode', 'step', 'window'])
        values = list(getattr(message, name))
        setattr(message, name, choose.choice([[], values[:-1], [*values, 1]]))
    elif way == 'instances':
        message.instances = choose.choice([0, message.instances + 1, _LARGEST])
    elif way == 'agent':
        message.agent = choose.choice(['', 'nobody', 'x' * 250])
    else:
        message.session ^= choose.randrange(1, 2**63)
    return bytes(serialize_message(message))


class Wire:
    """Brings messages from SENT/topic to topic, faults included.

    Args:
        domain: ROS domain.
        choose: random numbers, which fix the faults.

    Attributes:
        done: number of faults by kind.
        brought: number of messages by topic.
    """

    def __init__(self, domain: int, choose: random.Random) -> None:
        self._choose = choose
        self._context = rclpy.Context()
        self._context.init(domain_id=domain)
        self._node = rclpy.create_node('wire', context=self._context)
        self._executor = StepExecutor(self._node)
        self.done: Counter[str] = Counter()
        self.brought: Counter[str] = Counter()
        self._cut_until = 0.0
        self._due: dict[str, deque[str]] = {topic: deque() for topic in TOPICS}
        self._held: dict[str, list[_Held]] = {topic: [] for topic in TOPICS}
        self._out: dict[str, Any] = {}
        for topic, (kind, profile) in TOPICS.items():
            self._out[topic] = self._node.create_publisher(kind, topic, profile())
            self._node.create_subscription(
                kind, f'{SENT}/{topic}', self._bringer(topic), profile(), raw=True
            )

        for topic, kind in STATUS.items():
            self._node.create_subscription(
                kind, topic, self._counter(topic), qos.latched(), raw=True
            )

    def _counter(self, topic: str) -> Callable[[bytes], None]:
        def count(_data: bytes) -> None:
            self.brought[topic] += 1

        return count

    def _bringer(self, topic: str) -> Callable[[bytes], None]:
        def bring(data: bytes) -> None:
            self._bring(topic, data)

        return bring

    def add(self, fault: str) -> None:
        """Let a fault of MESSAGE_FAULTS befall the next message of a topic."""
        self._due[self._choose.choice(list(TOPICS))].append(fault)

    def cut(self, seconds: float) -> None:
        """Lose every message for so long [s]."""
        self._cut_until = time.monotonic() + seconds
        self.done['cut'] += 1

    def _bring(self, topic: str, data: bytes) -> None:
        if time.monotonic() < self._cut_until:
            self.done['messages lost in cuts'] += 1
            return
        due = self._due[topic]
        fault = due.popleft() if due else ''
        if fault == 'reorder':
            # It comes after messages that were sent later; lockstep sends it again meanwhile.
            self._held[topic].append(_Held(self._choose.randrange(1, 4), data))
            self.done[fault] += 1
            return
        if fault == 'garbage':
            self._out[topic].publish(garbage(TOPICS[topic][0], data, self._choose))
        self._out[topic].publish(data)
        self.brought[topic] += 1
        if fault == 'duplicate':
            for _ in range(self._choose.randrange(1, 4)):
                self._out[topic].publish(data)
        elif fault == 'late duplicate':
            self._held[topic].append(_Held(self._choose.randrange(1, 8), data))
        if fault:
            self.done[fault] += 1
        self._release(topic)

    def _release(self, topic: str) -> None:
        """Send what was held for long enough."""
        if not self._held[topic]:
            return
        waiting = [one._replace(after=one.after - 1) for one in self._held[topic]]
        self._held[topic] = [one for one in waiting if one.after > 0]
        for one in waiting:
            if one.after <= 0:
                self._out[topic].publish(one.data)

    def forget(self) -> None:
        """Drop what is held and due: the nodes have been started anew."""
        for topic in TOPICS:
            self._held[topic].clear()
            self._due[topic].clear()

    def spin(self, seconds: float) -> None:
        """Bring messages for so long [s]."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.run_once()

    def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Bring messages until something holds, for so long at most; returns whether it does."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                return False
            self._executor.run_once()
        return True

    def close(self) -> None:
        """Leave."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()
