"""The wire codec against rclpy's own serialisation: the same bytes mean the same message."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from rclpy.serialization import deserialize_message, serialize_message

from nrl_ros.base.errors import ConversionError
from nrl_ros.base.records import ActionBatch, ActionSpace
from nrl_ros.ros import conversion
from nrl_ros.ros.interfaces import Action, EnvState, Neuromodulation, Reward
from tests.unit.fakes import info_of, reward_of, rpe_of, same, state_of

pytestmark = pytest.mark.ros

INSTANCES = (1, 2, 3, 17)
AGENTS = ('a', 'ab', 'abc', 'arm_of_four')


def batches(instances, agent):
    info = info_of(instances, agent=agent)
    who = list(range(instances))
    state = state_of(info, 5, window=3, phase=1, episode=4, step=9)
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
