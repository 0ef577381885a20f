"""Subscriptions that no message can end: what is wrong with one is counted and said once.

A topic is open to everybody in its domain. What comes there may be cut off, of another length than
its own fields say, or simply wrong; whatever a callback raises because of it is refused here, for
nodes and for whoever only listens alike.
"""

from __future__ import annotations

import math
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message

from nrl_ros.base.errors import ConversionError, NrlError
from nrl_ros.ros import qos
from nrl_ros.ros.rclpy_types import AnySubscription

# What begins each message: the encapsulation of plain CDR, big and little endian, and two bytes
# of options.
_ENCAPSULATIONS = (b'\x00\x00', b'\x00\x01')
_HEADER_BYTES = 4
# What is refused again and again is said again after this long.
_AGAIN_S = 60.0
# Characters of an error that are shown.
_LONGEST = 1000
# Kinds of refusals that are told apart; a topic has a handful.
_KEPT_KINDS = 256


def read_message(data: bytes, kind: Any) -> Any:
    """Return the message that some bytes are.

    The header is looked at first: CycloneDDS reads beyond the end of fewer than four bytes.

    Raises:
        ConversionError: they are not such a message.
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


class Refusals:
    """Counts what is refused, by the kind of error, and says it once for each topic and kind.

    Args:
        node: whose log says it.
        counters: where it is counted, as ``dropped_ShapeError`` and the like.
    """

    def __init__(self, node: Any, counters: Counter[str]) -> None:
        self._node, self._counters = node, counters
        # When it was said last, and how often it was refused since.
        self._said: dict[tuple[str, str, int], tuple[float, int]] = {}

    def refuse(self, error: Exception, topic: str = '') -> None:
        """Count an error, and say it unless the same one was said of the topic in this minute.

        What is not raised on purpose is an error in the log with its traceback: a message found a
        fault of the program, which must stay visible without ending anything.

        Args:
            error: why the message is dropped; the same one is one that is raised at the same place.
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
        often = f' ({more} more since this was said last)' if more else ''
        if isinstance(error, NrlError):
            text = str(error)
            if len(text) > _LONGEST:
                # It quotes what came, which may be megabytes.
                text = f'{text[:_LONGEST]} … ({len(text) - _LONGEST} more characters)'
            self._node.get_logger().warning(f'dropped{where}: {text}{often}')
        else:
            self._node.get_logger().error(
                f'dropped{where}, an error that the program does not expect{often}:\n'
                + ''.join(traceback.format_exception(error)).rstrip()
            )


def _raised_at(error: Exception) -> int:
    """Line of the program at which an error was raised."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return 0 if place is None else place.tb_lineno


class Sender(NamedTuple):
    """Who sent a message, as far as the middleware tells.

    Attributes:
        gid: of the publisher, as in ``graph.Endpoint``; empty where it is not told: by rclpy of
            Jazzy.
        number: of the message, by the publisher's own count; 0 where it is not told: by CycloneDDS.
    """

    gid: bytes = b''
    number: int = 0


def _sender(info: Any) -> Sender:
    info = info or {}
    gid = info.get('publisher_gid')
    return Sender(bytes(gid['data']) if gid else b'', info.get('publication_sequence_number') or 0)


class Topic(NamedTuple):
    """What is subscribed to.

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
    listens: Callable[[], bool] = lambda: True,
    events: SubscriptionEventCallbacks | None = None,
) -> AnySubscription:
    """Subscribe; whatever the callback raises drops the message and is counted and said.

    The middleware hands over bytes, which are checked before anything reads them.

    Args:
        node: whose subscription it is.
        topic: to what.
        callback: gets the message.
        refusals: where errors are counted and said.
        raw: the callback gets the bytes instead: it is in the path of a step, and reads them
            itself. The executor looks for these first.
        with_sender: the callback gets the Sender too.
        listens: whether messages are wanted now; others are dropped in silence.
        events: as of ``create_subscription``.
    """
    kind, name, profile = topic

    def take(data: bytes, info: Any = None) -> None:
        if not listens():
            return
        try:
            message = data if raw else read_message(data, kind)
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
    # Asked for by the executor; all are raw.
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
    """Subscribe to what every publisher says, latched or volatile, reliable or best effort.

    No one profile hears them all: what was latched before comes to a transient local subscription
    alone, which no volatile publisher matches, and a reliable one matches no best effort one. So
    there is one of each kind, and a message may come more than once: for states, of which the
    newest counts, such as whether a button is pressed.

    Args:
        node: whose subscriptions they are.
        kind: message class.
        name: of the topic.
        callback: gets the message; the same one may come up to three times.
        refusals: where errors are counted and said.
        listens: whether messages are wanted now.
    """
    # That some of the profiles do not match is meant, and nothing to warn of.
    silent = SubscriptionEventCallbacks(use_default_callbacks=False)
    return [
        hear(node, Topic(kind, name, profile), callback, refusals, listens=listens, events=silent)
        for profile in (qos.latched(), qos.event(), qos.sensor())
    ]
