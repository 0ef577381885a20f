"""The wire codec against rclpy's own serialisation: the same bytes mean the same message."""

from __future__ import annotations

import tracemalloc
from dataclasses import make_dataclass, replace

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import JointState

from nrl_ros.base.arm_records import ArmCommandRecord, JointStateRecord, SafetyStateRecord
from nrl_ros.base.errors import ConversionError
from nrl_ros.base.records import (
    ActionBatch,
    ActionKind,
    ActionSpace,
    Applied,
    Delivery,
    Ending,
    Phase,
    RewardBatch,
)
from nrl_ros.robots.safety.records import Mode
from nrl_ros.ros import conversion
from nrl_ros.ros.interfaces import (
    Action,
    ArmCommand,
    EnvInfo,
    EnvState,
    Neuromodulation,
    Reward,
    SafetyState,
)
from nrl_ros.ros.joints import joint_state_from_wire
from nrl_ros.ros.wire import WireCodec, nanoseconds
from tests.unit.fakes import info_of, reward_of, rpe_of, same, state_of

pytestmark = pytest.mark.ros

INSTANCES = (1, 2, 3, 17)
AGENTS = ('a', 'ab', 'abc', 'arm_of_four')


def batches(instances, agent):
    info = info_of(instances, agent=agent)
    who = list(range(instances))
    state = state_of(info, 5, window=3, phase=1, episode=4, step=9)
    pixels = np.random.default_rng(0).integers(0, 256, (instances, 3), np.uint8)
    picture = replace(state, observation=pixels)
    action = ActionBatch(
        agent,
        info.session,
        5,
        state.episode,
        state.step,
        state.window,
        np.arange(instances, dtype=np.int32)[:, None] % 2,
        0,
        1_700_000_000_123_456_789,
    )
    reward = reward_of(6, who, 3, 0.5, instances=instances, agent=agent)
    return [
        (EnvState, conversion.state_to_wire(state), conversion.state_from_wire, state),
        (EnvState, conversion.state_to_wire(picture), conversion.state_from_wire, picture),
        (
            Action,
            conversion.action_to_wire(action),
            lambda data: conversion.action_from_wire(data, ActionSpace.discrete(2)),
            action,
        ),
        (Reward, conversion.reward_to_wire(reward), conversion.reward_from_wire, reward),
        (
            Neuromodulation,
            conversion.rpe_to_wire(rpe_of(info, 6, who, 3, -0.25)),
            conversion.rpe_from_wire,
            rpe_of(info, 6, who, 3, -0.25),
        ),
    ]


def same_batch(one, other):
    return all(
        same(np.asarray(getattr(one, name)), np.asarray(getattr(other, name)))
        if isinstance(getattr(one, name), np.ndarray)
        else getattr(one, name) == getattr(other, name)
        for name in vars(other)
    )


@pytest.mark.parametrize('agent', AGENTS)
@pytest.mark.parametrize('instances', INSTANCES)
def test_rclpy_reads_what_is_written_and_the_other_way_round(instances, agent):
    for kind, data, read, batch in batches(instances, agent):
        message = deserialize_message(data, kind)
        assert message.agent == agent
        assert message.session == batch.session
        theirs = bytes(serialize_message(message))
        assert same_batch(read(data), batch)
        assert same_batch(read(theirs), batch)
        # What stands between the fields as padding is the middleware's own affair.
        assert abs(len(theirs) - len(data)) < 4


def test_a_frame_id_takes_the_other_way_and_gives_the_same(instances=3):
    for kind, data, read, batch in batches(instances, 'arm'):
        message = deserialize_message(data, kind)
        message.header.frame_id = 'somewhere'
        assert same_batch(read(bytes(serialize_message(message))), batch)


def test_a_picture_travels_as_its_bytes_once():
    state = state_of(info_of(2), 5)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1728), np.uint8)
    data = conversion.state_to_wire(replace(state, observation=pixels))
    head = len(conversion.state_to_wire(state)) - state.observation.nbytes
    assert abs(len(data) - head - pixels.nbytes) < 4
    received = conversion.state_from_wire(data).observation
    assert received.dtype == np.uint8
    assert received.tobytes() == pixels.tobytes() in data
    assert np.shares_memory(received, np.frombuffer(data, np.uint8)), 'no copy is made'


def test_a_state_with_observations_in_two_formats_is_refused():
    fields = fields_of(EnvState) | {'observation_uint8': np.zeros((2, 3), np.uint8)}
    data = WireCodec(EnvState).encode(fields)
    with pytest.raises(ConversionError, match='both observation and observation_uint8'):
        conversion.state_from_wire(data)


@pytest.mark.parametrize('agent', ['a', 'abcd'])
def test_every_truncation_is_refused(agent):
    """No prefix of a message is taken for one."""
    for _kind, data, read, _batch in batches(2, agent):
        read(data)
        for length in range(len(data) - 4):
            with pytest.raises(ConversionError):
                read(data[:length])


def test_random_bytes_are_refused_or_read_but_never_crash():
    random = np.random.default_rng(0)
    for _kind, data, read, _batch in batches(2, 'a'):
        refused = 0
        for _ in range(300):
            broken = bytearray(data)
            for place in random.integers(0, len(data), 8):
                broken[place] = random.integers(0, 256)
            try:
                read(bytes(broken))
            except ConversionError:
                refused += 1
        assert refused > 0


def fields_of(kind):
    """Fields of a message of two instances that can be encoded."""
    data = next(data for one, data, *_ in batches(2, 'a') if one is kind)
    return WireCodec(kind).decode(data)


@pytest.mark.parametrize(
    ('field', 'value', 'received', 'expected'),
    [
        ('agent', 'a' * 257, "'aaa.* of 257 bytes", 'at most 256 bytes'),
        ('agent', 'a\0b', r"'a\\x00b' of 3 bytes", 'none of them 0'),
        ('agent', '\ud800', r"'\\ud800'", 'UTF-8'),
        ('agent', None, 'NoneType', 'str'),
        ('session', 2**64, '18446744073709551616', 'uint64, 0 to 18446744073709551615'),
        ('sequence', -1, '-1', 'uint64, 0 to'),
        ('instances', 1.5, '1.5', 'uint32, 0 to 4294967295'),
        ('stamp_ns', 2**62, '4611686018427387904', 'seconds of 32 bits'),
        ('episode', np.array([0, -1]), 'int64 array from -1 to 0', 'uint32, 0 to 4294967295'),
        ('phase', np.array([0, 256]), 'int64 array from 0 to 256', 'uint8, 0 to 255'),
        ('window', np.array([0.0, 1.0]), 'float64 array from 0.0 to 1.0', 'uint32, 0 to'),
        ('window', [0, 1], 'list', 'an array of numpy'),
        ('observation', np.array([0.0, 1e39]), r'float64 array from 0.0 to 1e\+39', r'3.4e\+38'),
        ('observation', np.array(['x']), '<U1 array', 'float'),
    ],
)
def test_what_cannot_be_encoded_is_refused_by_name(field, value, received, expected):
    fields = fields_of(EnvState) | {field: value}
    with pytest.raises(
        ConversionError,
        match=rf'^EnvState\.{field}: received .*{received}.*, expected .*{expected}',
    ):
        WireCodec(EnvState).encode(fields)


def test_a_field_that_is_missing_is_named():
    for name, value in fields_of(Reward).items():
        fields = fields_of(Reward)
        del fields[name]
        with pytest.raises(ConversionError, match=rf'^Reward\.{name}: received nothing'):
            WireCodec(Reward).encode(fields)
        assert WireCodec(Reward).encode(fields | {name: value})


def test_arrays_of_other_types_whose_values_fit_are_cast():
    fields = fields_of(EnvState)
    fields |= {
        'episode': np.array([3, 2**32 - 1]),
        'observation': np.array([[0.5, np.nan, np.inf]]),
    }
    read = WireCodec(EnvState).decode(WireCodec(EnvState).encode(fields))
    assert read['episode'].tolist() == [3, 2**32 - 1]
    assert read['observation'].dtype == np.float32
    np.testing.assert_array_equal(read['observation'], [0.5, np.nan, np.inf])


@pytest.mark.parametrize('declared', ['bool', 'string', 'sequence<wstring>', 'float[3]'])
def test_a_message_that_the_codec_cannot_encode_is_refused_by_name(declared):
    kind = message_with(Reward, gain=declared)
    with pytest.raises(ConversionError, match=r'^Reward\.gain: received .*, expected one of uint8'):
        WireCodec(kind)


def test_numbers_after_arrays_are_refused_by_name():
    with pytest.raises(ConversionError, match=r'^Reward\.gain: received a number after instance'):
        WireCodec(message_with(Reward, gain='double'))


def test_the_codec_keeps_no_message_whatever_lengths_come():
    """With a buffer for each length, those of 4,096 instances took 336 MB."""
    lengths = range(0, 4096, 4)
    fields = fields_of(Neuromodulation)
    names = [name for name, value in fields.items() if isinstance(value, np.ndarray)]
    codec = WireCodec(Neuromodulation)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for length in lengths:
            arrays = {name: np.zeros(length, fields[name].dtype) for name in names}
            codec.decode(codec.encode(fields | arrays))
        del arrays
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert kept < 2e6


# ------------------------------------------------------- names in messages


STAMP_NS = 1_700_000_000_123_456_789


def arm_messages(joints, agent='arm'):
    """The messages of a control period: kind, bytes, what reads them, and what they say."""
    random = np.random.default_rng(0)
    first, second, third = random.normal(size=(3, len(joints)))
    command = ArmCommandRecord(agent, 2**63 + 1, 7, 8, 9, 3, joints, first, STAMP_NS)
    state = SafetyStateRecord(
        5, 6, 1, 1 << 31, 65_535, True, np.inf, 0.25, joints, first, np.zeros(0), second, third,
        STAMP_NS,
    )  # fmt: skip
    measured = JointStateRecord(joints, first, second, np.zeros(0), STAMP_NS)
    joint_state = WireCodec(JointState)
    return [
        (
            ArmCommand,
            conversion.arm_command_to_wire(command),
            conversion.arm_command_from_wire,
            command,
        ),
        (
            SafetyState,
            conversion.safety_state_to_wire(state),
            conversion.safety_state_from_wire,
            state,
        ),
        (
            JointState,
            joint_state.encode(vars(measured)),
            joint_state_from_wire,
            measured,
        ),
    ]


def joints_of(message):
    return getattr(message, 'name' if isinstance(message, JointState) else 'joint')


@pytest.mark.parametrize('frame', ['', 'base', 'base_link', 'größe'])
@pytest.mark.parametrize(
    'joints', [(), ('a',), ('shoulder_pan', 'elbow', 'é'), tuple(f'joint{n}' for n in range(17))]
)
def test_names_of_any_length_are_read_and_written_as_rclpy_does(joints, frame):
    for kind, data, read, record in arm_messages(joints):
        message = deserialize_message(data, kind)
        assert tuple(joints_of(message)) == joints
        assert same_batch(read(data), record)
        message.header.frame_id = frame
        theirs = bytes(serialize_message(message))
        assert same_batch(read(theirs), record)
        # The middleware reserves some bytes more at the end.
        assert frame or 0 <= len(theirs) - len(data) <= 16


def test_names_that_change_are_read_although_all_lengths_stay():
    for one, two in zip(arm_messages(('ab', 'cd')), arm_messages(('cd', 'ab')), strict=True):
        for _, data, read, record in (one, two, one):
            assert same_batch(read(data), record)


def test_what_stands_between_names_as_padding_does_not_matter():
    """The middleware does not write there, and so leaves what was in its memory."""
    for kind, data, read, record in arm_messages(('a', 'bcd')):
        codec = WireCodec(kind)
        calls = []
        codec._walk = lambda *given, walk=codec._walk, calls=calls: calls.append(1) or walk(*given)
        for filled in (0, 0xA5, 0x5A):
            # Length 2, 'a', its 0, and two bytes up to the next length.
            begin = data.index(b'\x02\0\0\0a\0') + 6
            other = data[:begin] + bytes([filled] * 2) + data[begin + 2 :]
            assert same_batch(read(other), record)
            codec.decode(other)
        assert len(calls) == 1


def test_messages_with_names_are_read_whole_or_refused():
    random = np.random.default_rng(1)
    for kind, data, read, _record in arm_messages(('shoulder', 'elbow')):
        for length in range(len(data) - 4):
            with pytest.raises(ConversionError):
                read(data[:length])
        refused = 0
        for _ in range(500):
            broken = bytearray(data)
            for place in random.integers(0, len(data), 4):
                broken[place] = random.integers(0, 256)
            # Options of the encoding tell nothing: Jazzy takes all of them, Kilted only these.
            broken[2:4] = data[2:4]
            try:
                mine = read(bytes(broken))
            except ConversionError:
                refused += 1
                continue
            theirs = deserialize_message(bytes(broken), kind)
            assert mine.stamp_ns == nanoseconds(theirs.header.stamp)
            key = 'name' if kind is JointState else 'joint'
            assert getattr(mine, key) == tuple(joints_of(theirs))
        assert refused > 0


@pytest.mark.parametrize(
    ('names', 'received'),
    [
        (['a', 'b'], r"\['a', 'b'\]"),
        (('a', 3), r"\('a', 3\)"),
        (('a\0b',), r"\('a\\x00b',\)"),
        (('\ud800',), 'ud800'),
        (np.zeros(2), 'array'),
    ],
)
def test_names_that_cannot_be_sent_are_refused(names, received):
    record = arm_messages(('a', 'b'))[0][3]
    with pytest.raises(ConversionError, match=rf'^ArmCommand\.joint: received .*{received}'):
        conversion.arm_command_to_wire(replace(record, joint=names))


def test_layouts_keep_no_names_without_end():
    """Whoever sends other names in each message would otherwise fill the memory."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(100):
            joints = tuple(f'{number}_{joint}' * 20 for joint in range(200))
            data = bytes(serialize_message(JointState(name=joints)))
            assert joint_state_from_wire(data).name == joints
        del joints, data
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert kept < 1e6


# ------------------------------------------------- one declaration of each


def message_with(kind, **more):
    """A message class that declares further fields."""
    declared = dict(kind.get_fields_and_field_types()) | more
    return type(kind.__name__, (), {'get_fields_and_field_types': staticmethod(lambda: declared)})


def test_a_field_of_a_message_that_its_record_has_not_is_named():
    message = message_with(Reward, gain='sequence<double>')
    with pytest.raises(ConversionError, match=r'Reward\.msg has gain, which RewardBatch has not'):
        conversion.RecordCodec(message, RewardBatch, {})


def test_a_field_of_a_record_that_its_message_has_not_is_named():
    record = make_dataclass('Other', [('gain', float)], bases=(RewardBatch,), kw_only=True)
    with pytest.raises(ConversionError, match=r'Other has gain, which Reward\.msg has not'):
        conversion.RecordCodec(Reward, record, {})


def test_a_new_field_travels_once_it_is_in_the_message_and_in_the_record():
    """Nothing else names it: no order, no conversion of its own."""
    message = message_with(Reward, confidence='sequence<double>')
    record = make_dataclass('Other', [('confidence', object)], bases=(RewardBatch,), kw_only=True)
    codec = conversion.RecordCodec(message, record, {})
    reward = reward_of(6, [0, 1], 3, 0.5, instances=2)
    sent = record(**vars(reward), confidence=np.array([0.25, 0.75]))
    received = codec.record(codec.fields(codec.encode(sent)))
    assert same_batch(received, sent)


@pytest.mark.parametrize(
    ('record', 'message', 'prefix'),
    [
        (Phase, EnvState, 'PHASE_'),
        (Ending, EnvState, 'ENDING_'),
        (Applied, EnvState, 'APPLIED_'),
        (ActionKind, EnvInfo, 'ACTION_'),
        (Delivery, EnvInfo, 'DELIVERY_'),
        (Mode, SafetyState, 'MODE_'),
    ],
)
def test_enumerations_are_the_constants_of_their_message(record, message, prefix):
    constants = {
        name.removeprefix(prefix): getattr(message, name)
        for name in dir(type(message))
        if name.startswith(prefix)
    }
    assert constants == {one.name: int(one) for one in record}
