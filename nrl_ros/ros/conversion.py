"""Messages to core records and back; arrays travel as whole buffers, never element by element.

The four messages of the step path go straight to and from their bytes (``wire``); the others, which
are rare, are ordinary message objects.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError, ConversionError
from nrl_ros.base.records import (
    ActionBatch,
    ActionKind,
    ActionSpace,
    AgentInfo,
    Delivery,
    Ending,
    EnvSpec,
    RewardBatch,
    RpeBatch,
    StateBatch,
)
from nrl_ros.environments.episodes import EpisodeEnds
from nrl_ros.ros.interfaces import (
    Action,
    EnvInfo,
    EnvState,
    EpisodeReport,
    Neuromodulation,
    Reward,
)
from nrl_ros.ros.wire import WireCodec

Array = NDArray[Any]

_NANOSECONDS = 1_000_000_000
_NOTHING = np.zeros(0)


def set_stamp(time: Time, stamp_ns: int) -> None:
    """Write nanoseconds into a time message."""
    time.sec, time.nanosec = divmod(stamp_ns, _NANOSECONDS)


def _f64(values: Array) -> array[float]:
    return array('d', np.ascontiguousarray(values, np.float64).tobytes())


def _u8(values: Array) -> array[int]:
    return array('B', np.ascontiguousarray(values, np.uint8).tobytes())


def _u32(values: Array) -> array[int]:
    return array('I', np.ascontiguousarray(values, np.uint32).tobytes())


def _u64(values: Array) -> array[int]:
    return array('Q', np.ascontiguousarray(values, np.uint64).tobytes())


def _shaped(agent: str, field: str, values: Array, *shape: int) -> Array:
    expected = 1
    for size in shape:
        expected *= size
    if values.size != expected:
        raise ConversionError(
            f'message of {agent!r}: {field} has {values.size} values, '
            f'expected {" x ".join(map(str, shape))} = {expected}'
        )
    return values.reshape(shape)


def info_to_msg(info: AgentInfo, stamp_ns: int) -> EnvInfo:
    """EnvInfo of an agent."""
    spec, action = info.spec, info.spec.action
    message = EnvInfo(
        agent=info.agent,
        session=info.session,
        active=info.active,
        instances=spec.instances,
        observation_size=spec.observation_size,
        observation_low=array('f', spec.observation_low or [-np.inf] * spec.observation_size),
        observation_high=array('f', spec.observation_high or [np.inf] * spec.observation_size),
        action_kind=int(action.kind),
        action_sizes=array('I', action.sizes),
        action_low=array('f', action.low),
        action_high=array('f', action.high),
        control_period_s=spec.control_period_s,
        lockstep=info.lockstep,
        delivery=int(info.delivery),
        delivery_steps=info.delivery_steps,
        max_episode_steps=spec.max_episode_steps,
        manifest=spec.manifest,
    )
    set_stamp(message.header.stamp, stamp_ns)
    return message


def info_from_msg(message: EnvInfo) -> AgentInfo:
    """The agent an EnvInfo describes.

    Raises:
        ConversionError: kinds, sizes or bounds that make no sense.
    """
    if not message.agent:
        raise ConversionError('EnvInfo without an agent name')
    try:
        action = ActionSpace(
            ActionKind(message.action_kind),
            tuple(message.action_sizes),
            tuple(message.action_low),
            tuple(message.action_high),
        )
        spec = EnvSpec(
            message.instances,
            message.observation_size,
            action,
            tuple(message.observation_low),
            tuple(message.observation_high),
            message.control_period_s,
            message.max_episode_steps,
            manifest=message.manifest,
        )
        delivery = Delivery(message.delivery)
    except (ConfigError, ValueError) as error:
        raise ConversionError(f'EnvInfo of {message.agent!r}: {error}') from error
    return AgentInfo(
        message.agent,
        message.session,
        spec,
        message.lockstep,
        delivery,
        message.delivery_steps,
        message.active,
    )


_STATE = WireCodec(EnvState)
_ACTION = WireCodec(Action)
_REWARD = WireCodec(Reward)
_RPE = WireCodec(Neuromodulation)


def state_to_wire(state: StateBatch) -> bytes:
    """EnvState of a state, as sent."""
    return _STATE.encode(
        state.stamp_ns,
        state.agent,
        (state.session, state.sequence, state.learner, *state.observation.shape),
        [
            state.episode,
            state.step,
            state.window,
            state.phase,
            state.ending,
            state.applied,
            state.observation,
        ],
    )


def state_from_wire(data: bytes) -> StateBatch:
    """The state of an EnvState as received; arrays are views of ``data``.

    Raises:
        ConversionError: not such a message, or the observation does not have the stated shape.
    """
    stamp_ns, agent, (session, sequence, learner, batch, size), arrays = _STATE.decode(data)
    arrays[6] = _shaped(agent, 'observation', arrays[6], batch, size)
    return StateBatch(agent, session, sequence, *arrays, stamp_ns, learner)


def action_to_wire(action: ActionBatch) -> bytes:
    """Action of a batch of actions, as sent."""
    values = action.action
    discrete = values.dtype == np.int32
    return _ACTION.encode(
        action.stamp_ns,
        action.agent,
        (action.session, action.sequence, action.learner, len(values), action.checkpoint),
        [
            action.episode,
            action.step,
            action.window,
            values if discrete else _NOTHING,
            _NOTHING if discrete else values,
        ],
    )


def action_from_wire(data: bytes, space: ActionSpace) -> ActionBatch:
    """The actions of an Action as received.

    Raises:
        ConversionError: not such a message, another kind of action, or another shape.
    """
    stamp_ns, agent, numbers, arrays = _ACTION.decode(data)
    session, sequence, learner, batch, checkpoint = numbers
    continuous = space.kind == ActionKind.CONTINUOUS
    field, values = ('continuous', arrays[4]) if continuous else ('discrete', arrays[3])
    shaped = _shaped(agent, field, values, batch, space.components)
    return ActionBatch(agent, session, sequence, *arrays[:3], shaped, checkpoint, stamp_ns, learner)


def reward_to_wire(reward: RewardBatch) -> bytes:
    """Reward of a batch of rewards, as sent."""
    return _REWARD.encode(
        reward.stamp_ns,
        reward.agent,
        (reward.session, reward.sequence, reward.instances),
        [reward.instance, reward.episode, reward.step, reward.window, reward.value],
    )


def reward_from_wire(data: bytes) -> RewardBatch:
    """The rewards of a Reward as received; arrays are views of ``data``.

    Raises:
        ConversionError: not such a message.
    """
    stamp_ns, agent, numbers, arrays = _REWARD.decode(data)
    return RewardBatch(agent, *numbers, *arrays, stamp_ns)


def rpe_to_wire(rpe: RpeBatch) -> bytes:
    """Neuromodulation of a batch of reward-prediction errors, as sent."""
    return _RPE.encode(
        rpe.stamp_ns,
        rpe.agent,
        (rpe.session, rpe.sequence, rpe.neuromodulator, rpe.instances),
        [rpe.instance, rpe.episode, rpe.step, rpe.window, rpe.reward, rpe.baseline, rpe.rpe],
    )


def rpe_from_wire(data: bytes) -> RpeBatch:
    """The reward-prediction errors of a Neuromodulation as received; views of ``data``.

    Raises:
        ConversionError: not such a message.
    """
    stamp_ns, agent, numbers, arrays = _RPE.decode(data)
    session, sequence, neuromodulator, instances = numbers
    return RpeBatch(agent, session, sequence, instances, *arrays, stamp_ns, neuromodulator)


def report_to_msg(info: AgentInfo, ends: list[EpisodeEnds], stamp_ns: int) -> EpisodeReport:
    """EpisodeReport of the episodes that ended in several steps."""
    totals = np.repeat(
        np.array([end.total_steps for end in ends], np.uint64), [len(end.instance) for end in ends]
    )
    message = EpisodeReport(
        agent=info.agent,
        session=info.session,
        total_steps=_u64(totals),
        instance=_u32(np.concatenate([end.instance for end in ends])),
        episode=_u32(np.concatenate([end.episode for end in ends])),
        length=_u32(np.concatenate([end.length for end in ends])),
        ending=_u8(np.concatenate([end.ending for end in ends])),
        episode_return=_f64(np.concatenate([end.episode_return for end in ends])),
        **_figures(info, ends),
    )
    set_stamp(message.header.stamp, stamp_ns)
    return message


def check_report(message: EpisodeReport) -> None:
    """Refuse a report of episodes whose arrays do not fit together.

    Raises:
        ConversionError: arrays of unequal length, or an ending that there is none of.
    """
    count = len(message.episode_return)
    expected = dict.fromkeys(('total_steps', 'instance', 'episode', 'length', 'ending'), count)
    expected['metric'] = count * len(message.metric_name)
    for name, length in expected.items():
        received = len(getattr(message, name))
        if received != length:
            raise ConversionError(
                f'EpisodeReport of {message.agent!r}: {name} has {received} values, expected '
                f'{length} for {count} episodes and {len(message.metric_name)} further figures'
            )
    if count and max(message.ending) > max(Ending):
        raise ConversionError(
            f'EpisodeReport of {message.agent!r}: an episode ended as {max(message.ending)}, '
            f'expected at most {int(max(Ending))}'
        )


def _figures(info: AgentInfo, ends: list[EpisodeEnds]) -> dict[str, Any]:
    """Names and values of an environment's further figures."""
    figures = [end.metrics for end in ends if end.metrics is not None]
    if not info.spec.metrics or len(figures) != len(ends):
        return {}
    return {'metric_name': list(info.spec.metrics), 'metric': _f64(np.concatenate(figures).ravel())}
