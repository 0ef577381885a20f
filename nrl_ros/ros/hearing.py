"""Subscriptions that survive any message: a faulty one is counted, and logged once.

A topic is open to everybody in its domain. A message may be cut off, contradict its own fields, or
simply be wrong. Whatever a callback raises because of it is refused here, for nodes and for
programs that only listen.
"""

from __future__ import annotations

import math
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message

from nrl_ros.base.errors import ConversionError, NrlError
from nrl_ros.base.health import UNKNOWN, Health
from nrl_ros.ros import qos
from nrl_ros.ros.rclpy_types import AnySubscription

# Each message begins with one of these: plain CDR, big or little endian. Two bytes of options
# follow.
_ENCAPSULATIONS = (b'\x00\x00', b'\x00\x01')
_HEADER_BYTES = 4
# A refusal that repeats is logged again after this time [s].
_AGAIN_S = 60.0
# Characters of an error that are shown.
_LONGEST = 1000
# Number of different refusals that are remembered; a topic has a handful.
_KEPT_KINDS = 256


def read_message(data: bytes, kind: Any) -> Any:
    """Return the message that some bytes hold.

    The header is checked first, since CycloneDDS reads beyond the end of fewer than four bytes.

    Raises:
        ConversionError: they hold no such message.
    """
    if len(data) < _HEADER_BYTES or bytes(data[:2]) not in _ENCAPSULATIONS:
        raise ConversionError(
            f'{len(data)} bytes are not a {kind.__name__}: they begin with '
            f'{bytes(data[:_HEADER_BYTES]).hex(" ") or "nothing"}, expected 00 00 or 00 01 and two '
            'more bytes'
        )
    try:
        return deserialize_message(data, kind)
    except Exception as error:
        raise ConversionError(f'{len(data)} bytes are not a {kind.__name__}: {error}') from error


def counters_of(message: Any) -> dict[str, int]:
    """Return the named counters of a status message.

    Raises:
        ConversionError: there are not as many values as names.
    """
    names, values = message.counter_name, message.counter_value
    if len(names) != len(values):
        raise ConversionError(
            f'{type(message).__name__}: {len(names)} names of counters and {len(values)} values, '
            'expected one value for each name'
        )
    return dict(zip(names, map(int, values), strict=True))


def health_of(message: Any) -> Health:
    """Return the plasticity health of a learner's status.

    A measure that it lacks is NaN, and one that is not known here is left out.

    Raises:
        ConversionError: there are not as many values or hints as names.
    """
    names, values, hints = message.health_name, message.health_value, message.health_hint
    if not len(names) == len(values) == len(hints):
        raise ConversionError(
            f'{type(message).__name__}: {len(names)} names of health, {len(values)} values and '
            f'{len(hints)} hints, expected one value and one hint for each name'
        )
    known = UNKNOWN.values
    found = {name: float(value) for name, value in zip(names, values, strict=True) if name in known}
    said = {name: hint for name, hint in zip(names, hints, strict=True) if hint and name in known}
    return Health({**known, **found}, said)


class Refusals:
    """Counts what is refused by kind of error, and logs it once for each topic and kind.

    Args:
        node: in whose log it is written.
        counters: where it is counted, as ``dropped_ShapeError`` and the like.
    """

    def __init__(self, node: Any, counters: Counter[str]) -> None:
        self._node, self._counters = node, counters
        # When a refusal was logged last, and how often it has come since.
        self._said: dict[tuple[str, str, int], tuple[float, int]] = {}

    def refuse(self, error: Exception, topic: str = '') -> None:
        """Count an error, and log it unless the same one was logged for the topic in this minute.

        An error that is not an NrlError is logged with its traceback: the message has found a fault
        of the program, which must stay visible but must not end anything.

        Args:
            error: why the message is dropped; errors raised at the same line count as the same.
            topic: where it came from; empty: it was no message.
        """
        kind = type(error).__name__
        self._counters[f'dropped_{kind}'] += 1
        key = (topic, kind, _raised_at(error))
        now = time.monotonic()
        said_at, more = self._said.get(key, (-math.inf, 0))
        if now - said_at < _AGAIN_S:
            self._said[key] = said_at, more + 1
            return
        if len(self._said) >= _KEPT_KINDS:
            self._said.clear()
        self._said[key] = now, 0
        where = f' on {self._node.resolve_topic_name(topic)}' if topic else ''
        often = f' ({more} more since the last log of this)' if more else ''
        if isinstance(error, NrlError):
            text = str(error)
            if len(text) > _LONGEST:
                # The text quotes what was received, which may be megabytes.
                text = f'{text[:_LONGEST]} … ({len(text) - _LONGEST} more characters)'
            self._node.get_logger().warning(f'dropped{where}: {text}{often}')
        else:
            self._node.get_logger().error(
                f'dropped{where}, an error that the program does not expect{often}:\n'
                + ''.join(traceback.format_exception(error)).rstrip()
            )


def _raised_at(error: Exception) -> int:
    """Return the line of the program at which an error was raised."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return 0 if place is None else place.tb_lineno


class Sender(NamedTuple):
    """The sender of a message, as far as the middleware tells it.

    Attributes:
        gid: of the publisher, as in ``graph.Endpoint``; empty if it is not told, as by rclpy of
            Jazzy.
        number: of the message, as its publisher counts; 0 if it is not told, as by CycloneDDS.
        sent_ns: when it was sent, by the clock of the publisher's machine [ns]; 0: not told.
    """

    gid: bytes = b''
    number: int = 0
    sent_ns: int = 0


def _sender(info: Any) -> Sender:
    info = info or {}
    gid = info.get('publisher_gid')
    return Sender(
        bytes(gid['data']) if gid else b'',
        info.get('publication_sequence_number') or 0,
        info.get('source_timestamp') or 0,
    )


class Topic(NamedTuple):
    """Topic to subscribe to.

    Attributes:
        kind: message class.
        name: of the topic.
        profile: quality of service.
    """

    kind: Any
    name: str
    profile: QoSProfile


def hear(
    node: Any,
    topic: Topic,
    callback: Callable[..., None],
    refusals: Refusals,
    *,
    raw: bool = False,
    with_sender: bool = False,
    read: Callable[[bytes], Any] | None = None,
    listens: Callable[[], bool] = lambda: True,
    events: SubscriptionEventCallbacks | None = None,
) -> AnySubscription:
    """Subscribe; an error of the callback drops the message and is counted and logged.

    The middleware hands over bytes, which are checked before anything reads them.

    Args:
        node: whose subscription it is.
        topic: what to subscribe to.
        callback: gets the message.
        refusals: where errors are counted and logged.
        raw: the callback gets the bytes and reads them itself, since it is in the path of a step.
            The executor handles these subscriptions first.
        with_sender: the callback gets the Sender too.
        read: makes of the bytes what the callback gets, in place of a message.
        listens: whether messages are wanted now; others are dropped without a word.
        events: as of ``create_subscription``.
    """
    kind, name, profile = topic
    if read is None:
        read = (lambda data: data) if raw else partial(read_message, kind=kind)

    def take(data: bytes, info: Any = None) -> None:
        if not listens():
            return
        try:
            message = read(data)
            if with_sender:
                callback(message, _sender(info))
            else:
                callback(message)
        except Exception as error:  # noqa: BLE001 - no message may end whoever hears it
            refusals.refuse(error, name)

    def take_with_sender(data: bytes, info: Any) -> None:
        take(data, info)

    made = node.create_subscription(
        kind,
        name,
        take_with_sender if with_sender else take,
        profile,
        event_callbacks=events,
        raw=True,
    )
    # The executor reads this mark. It cannot use ``raw``, which is set for all subscriptions here.
    made.on_step_path = raw
    return made


def hear_any(
    node: Any,
    kind: Any,
    name: str,
    callback: Callable[[Any], None],
    refusals: Refusals,
    *,
    listens: Callable[[], bool] = lambda: True,
) -> list[AnySubscription]:
    """Subscribe to what every publisher sends, latched or volatile, reliable or best effort.

    No single profile hears all of them: latched messages from before come only to a transient local
    subscription, which no volatile publisher matches, and a reliable subscription matches no best
    effort publisher. So there is one subscription of each kind, and a message may come more than
    once. Use it for states of which only the newest matters, such as whether a button is pressed.

    Args:
        node: whose subscriptions they are.
        kind: message class.
        name: of the topic.
        callback: gets the message; the same one may come up to three times.
        refusals: where errors are counted and logged.
        listens: whether messages are wanted now.
    """
    # Some of the profiles never match, as intended, so there is no warning about it.
    silent = SubscriptionEventCallbacks(use_default_callbacks=False)
    return [
        hear(node, Topic(kind, name, profile), callback, refusals, listens=listens, events=silent)
        for profile in (qos.latched(), qos.event(), qos.sensor())
    ]
