"""What comes on a topic is checked before anything reads it, and refused without ending anybody."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from rclpy.serialization import serialize_message

from nrl_ros.base.errors import ConversionError
from nrl_ros.ros import conversion, hearing
from nrl_ros.ros.hearing import Refusals, Topic, counters_of, hear, read_message
from nrl_ros.ros.interfaces import Action, EnvStatus, EpisodeReport
from nrl_ros.ros.qos import event
from nrl_ros.ros.wire import WireCodec

pytestmark = pytest.mark.ros


class FakeNode:
    """Takes subscriptions, and keeps what is logged."""

    def __init__(self):
        self.said = []

    def create_subscription(self, kind, topic, callback, profile, *, event_callbacks, raw):
        assert raw
        return FakeSubscription(callback)

    def resolve_topic_name(self, topic):
        return f'/{topic}'

    def get_logger(self):
        return self

    def warning(self, text):
        self.said.append(('warning', text))

    def error(self, text):
        self.said.append(('error', text))


class FakeSubscription:
    """Its callback, to be called with bytes."""

    def __init__(self, callback):
        self.callback = callback


STATUS = bytes(serialize_message(EnvStatus(agent='a')))


@pytest.mark.parametrize('data', [b'', b'\0', b'\0\1', b'\0\1\0', b'\x07\x07\0\0' + STATUS[4:]])
def test_what_has_no_header_of_a_message_never_reaches_a_deserialiser(monkeypatch, data):
    def fail(*_):
        raise AssertionError('it would read beyond the end')

    monkeypatch.setattr(hearing, 'deserialize_message', fail)
    with pytest.raises(ConversionError, match='expected 00 00 or 00 01'):
        read_message(data, EnvStatus)
    with pytest.raises(ConversionError, match='expected 00 00 or 00 01'):
        WireCodec(Action).decode(data)


def test_an_error_is_said_once_and_always_counted():
    node, counters = FakeNode(), Counter()
    refusals = Refusals(node, counters)

    def take(message):
        if message.steps == 1:
            raise ConversionError('x' * 100_000)
        counters_of(message)
        return 1 // message.steps

    made = hear(node, Topic(EnvStatus, 'env_status', event()), take, refusals)
    for steps in (1, 1, 0, 0, 0):
        made.callback(bytes(serialize_message(EnvStatus(steps=steps))))
    made.callback(bytes(serialize_message(EnvStatus(counter_name=['a']))))
    made.callback(STATUS[:20])
    assert counters == {'dropped_ConversionError': 4, 'dropped_ZeroDivisionError': 3}
    levels = [level for level, _text in node.said]
    assert levels == ['warning', 'error', 'warning', 'warning']
    refused, unexpected, unequal, cut_off = (text for _level, text in node.said)
    assert len(refused) < 2000
    assert 'Traceback' in unexpected
    assert '1 names of counters and 0 values' in unequal
    assert '20 bytes are not a EnvStatus' in cut_off


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        ({'ending': [4]}, 'ended as 4'),
        ({'ending': []}, 'ending has 0 values'),
        ({'instance': [0, 1]}, 'instance has 2 values'),
        ({'metric_name': ['a', 'b'], 'metric': [1.0]}, 'metric has 1 values, expected 2'),
    ],
)
def test_a_report_whose_arrays_do_not_fit_is_refused(change, expected):
    right = {
        'total_steps': [9],
        'instance': [0],
        'episode': [0],
        'length': [9],
        'ending': [1],
        'episode_return': [1.0],
    }
    conversion.check_report(EpisodeReport(**right))
    with pytest.raises(ConversionError, match=expected):
        conversion.check_report(EpisodeReport(**right | change))
