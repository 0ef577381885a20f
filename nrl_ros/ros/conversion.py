"""Messages to records and back, field by field by name; arrays travel as whole buffers.

The messages of each step and each control period go straight to and from their bytes (``wire``);
the others, which are rare, are ordinary message objects. What a message and its record do not share
is declared here once; any other field that only one of them has is an error at import.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from typing import Any, Generic, TypeVar

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray

from nrl_ros.base.arm_records import ArmCommandRecord, SafetyStateRecord
from nrl_ros.base.errors import ConfigError, ConversionError
from nrl_ros.base.records import (
    ActionBatch,
    ActionKind,
    ActionSpace,
    AgentInfo,
    Delivery,
    Ending,
    EnvSpec,
    FinishedEpisodes,
    HumanRewardBatch,
    ObservationFormat,
    RewardBatch,
    RpeBatch,
    StateBatch,
)
from nrl_ros.ros.interfaces import (
    Action,
    ArmCommand,
    EnvInfo,
    EnvState,
    EpisodeReport,
    HumanReward,
    Neuromodulation,
    Reward,
    SafetyState,
)
from nrl_ros.ros.wire import NANOSECONDS, TYPES, WireCodec

Array = NDArray[Any]
Record = TypeVar('Record')
Message = TypeVar('Message')

_NOTHING = np.zeros(0)
_NO_FLOATS, _NO_BYTES = np.zeros(0, np.float32), np.zeros(0, np.uint8)


def set_stamp(time: Time, stamp_ns: int) -> None:
    """Write nanoseconds into a time message."""
    time.sec, time.nanosec = divmod(stamp_ns, NANOSECONDS)


def time_of(stamp_ns: int) -> Time:
    """Return nanoseconds as a time message."""
    time = Time()
    set_stamp(time, stamp_ns)
    return time


def declared_fields(kind: Any) -> dict[str, str]:
    """Return the declared types of a message's fields by name."""
    return dict(kind.get_fields_and_field_types())


def check_names(what: str, record: str, message: set[str], known: set[str]) -> None:
    """Check that a message and its record have the same fields.

    Args:
        what: name of the message.
        record: name of the record.
        message: fields of the message.
        known: fields that the record has, or that are computed from it.

    Raises:
        ConversionError: one of them has a field that the other one does not have.
    """
    for names, has, lacks in ((message - known, what, record), (known - message, record, what)):
        if names:
            raise ConversionError(
                f'{has} has {", ".join(sorted(names))}, which {lacks} has not: add the field '
                'there, or declare in nrl_ros/ros/conversion.py how it is worked out'
            )


class RecordCodec(Generic[Record]):
    """Converts a record to the bytes of its message and back; fields are matched by name.

    The message's header is the record's ``stamp_ns``.

    Args:
        message: generated message class.
        record: dataclass.
        computed: fields of the message that the record does not have; they are computed from it.
        restored: fields of the record that the message does not have; the caller of ``record`` adds
            them.

    Raises:
        ConversionError: a field is in only one of the two, and is not declared here.
    """

    def __init__(
        self,
        message: Any,
        record: type[Record],
        computed: Mapping[str, Callable[[Record], Any]],
        restored: frozenset[str] = frozenset(),
    ) -> None:
        self._wire = WireCodec(message)
        self._record = record
        self._computed = tuple(computed.items())
        own = {one.name for one in fields_of(record)}  # type: ignore[arg-type]
        known = (own - restored) | computed.keys()
        check_names(f'{message.__name__}.msg', record.__name__, set(self._wire.names), known)
        self._only_in_message = tuple(set(self._wire.names) - own)

    def encode(self, record: Record) -> bytes:
        """Return the bytes of a record's message, as sent.

        Raises:
            ConversionError: a value does not fit the message's type; the field is named.
        """
        fields = dict(vars(record))
        for name, compute in self._computed:
            fields[name] = compute(record)
        return self._wire.encode(fields)

    def fields(self, data: bytes) -> dict[str, Any]:
        """Return the fields of a message as received; arrays are flat views of ``data``.

        Raises:
            ConversionError: the bytes are not such a message.
        """
        return self._wire.decode(data)

    def record(self, fields: dict[str, Any]) -> Record:
        """Return the record of these fields; fields that only the message has are removed."""
        for name in self._only_in_message:
            del fields[name]
        return self._record(**fields)


def _message(kind: type[Message], fields: Mapping[str, Any], stamp_ns: int) -> Message:
    """Return a message object that has these fields; arrays become whole buffers.

    Args:
        kind: generated message class.
        fields: values of all its fields but the header.
        stamp_ns: time of its header [ns].
    """
    message: Any = kind()
    for name, declared in declared_fields(kind).items():
        if name == 'header':
            set_stamp(message.header.stamp, stamp_ns)
            continue
        value = fields[name]
        element = declared.removeprefix('sequence<').removesuffix('>')
        if element != declared and element in TYPES:
            code, dtype = TYPES[element]
            value = array(code, np.ascontiguousarray(value, dtype).tobytes())
        setattr(message, name, value)
    return message  # type: ignore[no-any-return]


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


def _info_fields(info: AgentInfo) -> dict[str, Any]:
    """Return everything that is known of an agent by the names that EnvInfo has for it."""
    spec, action = info.spec, info.spec.action
    fields = {**vars(spec), **vars(info)}
    fields |= {f'action_{name}': value for name, value in vars(action).items()}
    fields['observation_low'] = spec.observation_low or [-np.inf] * spec.observation_size
    fields['observation_high'] = spec.observation_high or [np.inf] * spec.observation_size
    return fields


def info_to_msg(info: AgentInfo, stamp_ns: int) -> EnvInfo:
    """Return the EnvInfo of an agent."""
    fields = _info_fields(info)
    fields |= {
        'action_kind': int(info.spec.action.kind),
        'delivery': int(info.delivery),
        'observation_format': int(info.spec.observation_format),
    }
    return _message(EnvInfo, fields, stamp_ns)


def _own(kind: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some fields that a record has."""
    return {one.name: fields[one.name] for one in fields_of(kind) if one.name in fields}


def info_from_msg(message: EnvInfo) -> AgentInfo:
    """Return the agent that an EnvInfo describes.

    Raises:
        ConversionError: kinds, sizes or bounds that make no sense.
    """
    if not message.agent:
        raise ConversionError('EnvInfo without an agent name')
    fields = {name: getattr(message, name) for name in declared_fields(EnvInfo)}
    fields = {
        name: tuple(value) if isinstance(value, array) else value for name, value in fields.items()
    }
    action = {name.removeprefix('action_'): value for name, value in fields.items()}
    try:
        action['kind'] = ActionKind(action['kind'])
        fields['action'] = ActionSpace(**_own(ActionSpace, action))
        fields['delivery'] = Delivery(fields['delivery'])
        fields['observation_format'] = ObservationFormat(fields['observation_format'])
        fields['spec'] = EnvSpec(**_own(EnvSpec, fields))
    except (ConfigError, ValueError) as error:
        raise ConversionError(f'EnvInfo of {message.agent!r}: {error}') from error
    return AgentInfo(**_own(AgentInfo, fields))


# The figures of an episode do not concern its learner; the environment's own records name them.
_NOT_SENT = {'spec', 'action', 'metrics'}


def check_info() -> None:
    """Check that EnvInfo has the fields of the records that it is made of.

    Raises:
        ConversionError: it lacks one, or has one that the records do not have.
    """
    known = {one.name for kind in (AgentInfo, EnvSpec) for one in fields_of(kind)} - _NOT_SENT
    known |= {f'action_{one.name}' for one in fields_of(ActionSpace)}
    sent = declared_fields(EnvInfo).keys() - {'header'}
    check_names('EnvInfo.msg', 'AgentInfo', sent, known)


check_info()


def _is_discrete(action: ActionBatch) -> bool:
    return action.action.dtype == np.int32


def _is_bytes(state: StateBatch) -> bool:
    return state.observation.itemsize == 1


_STATE = RecordCodec(
    EnvState,
    StateBatch,
    {
        'observation': lambda state: _NO_FLOATS if _is_bytes(state) else state.observation,
        'observation_uint8': lambda state: state.observation if _is_bytes(state) else _NO_BYTES,
        'instances': lambda state: state.observation.shape[0],
        'observation_size': lambda state: state.observation.shape[1],
    },
)
_ACTION = RecordCodec(
    Action,
    ActionBatch,
    {
        'instances': lambda action: len(action.action),
        'discrete': lambda action: action.action if _is_discrete(action) else _NOTHING,
        'continuous': lambda action: _NOTHING if _is_discrete(action) else action.action,
    },
    restored=frozenset({'action'}),
)
_REWARD = RecordCodec(Reward, RewardBatch, {})
_RPE = RecordCodec(Neuromodulation, RpeBatch, {})
_HUMAN_REWARD = RecordCodec(HumanReward, HumanRewardBatch, {})
_ARM_COMMAND = RecordCodec(ArmCommand, ArmCommandRecord, {})
_SAFETY_STATE = RecordCodec(SafetyState, SafetyStateRecord, {})

state_to_wire = _STATE.encode
action_to_wire = _ACTION.encode
reward_to_wire = _REWARD.encode
rpe_to_wire = _RPE.encode
human_reward_to_wire = _HUMAN_REWARD.encode
arm_command_to_wire = _ARM_COMMAND.encode
safety_state_to_wire = _SAFETY_STATE.encode


def state_from_wire(data: bytes) -> StateBatch:
    """Return the state of an EnvState as received; arrays are views of ``data``.

    Raises:
        ConversionError: not such a message, or the observation does not have the stated shape.
    """
    fields = _STATE.fields(data)
    name = 'observation'
    if fields['observation_uint8'].size:
        name = 'observation_uint8'
        if fields['observation'].size:
            raise ConversionError(
                f'message of {fields["agent"]!r}: received both observation and '
                f'{name}, expected the one that observation_format of its EnvInfo says'
            )
    fields['observation'] = _shaped(
        fields['agent'],
        name,
        fields[name],
        fields['instances'],
        fields['observation_size'],
    )
    return _STATE.record(fields)


def action_from_wire(data: bytes, space: ActionSpace) -> ActionBatch:
    """Return the actions of an Action as received.

    Raises:
        ConversionError: not such a message, another kind of action, or another shape.
    """
    fields = _ACTION.fields(data)
    name = 'continuous' if space.kind == ActionKind.CONTINUOUS else 'discrete'
    fields['action'] = _shaped(
        fields['agent'], name, fields[name], fields['instances'], space.components
    )
    return _ACTION.record(fields)


def session_of_action(data: bytes) -> tuple[str, int]:
    """Return the agent and the session of an Action, whatever the agent's action space is.

    Raises:
        ConversionError: not such a message.
    """
    fields = _ACTION.fields(data)
    return fields['agent'], fields['session']


def reward_from_wire(data: bytes) -> RewardBatch:
    """Return the rewards of a Reward as received; arrays are views of ``data``.

    Raises:
        ConversionError: not such a message.
    """
    return _REWARD.record(_REWARD.fields(data))


def rpe_from_wire(data: bytes) -> RpeBatch:
    """Return the reward-prediction errors of a Neuromodulation as received; views of ``data``.

    Raises:
        ConversionError: not such a message.
    """
    return _RPE.record(_RPE.fields(data))


def human_reward_from_wire(data: bytes) -> HumanRewardBatch:
    """Return the reward of a person of a HumanReward as received; arrays are views of ``data``.

    Raises:
        ConversionError: not such a message.
    """
    return _HUMAN_REWARD.record(_HUMAN_REWARD.fields(data))


def arm_command_from_wire(data: bytes) -> ArmCommandRecord:
    """Return the command of an ArmCommand as received; arrays are views of ``data``.

    Raises:
        ConversionError: not such a message.
    """
    return _ARM_COMMAND.record(_ARM_COMMAND.fields(data))


def safety_state_from_wire(data: bytes) -> SafetyStateRecord:
    """Return the state of a SafetyState as received; arrays are views of ``data``.

    Raises:
        ConversionError: not such a message.
    """
    return _SAFETY_STATE.record(_SAFETY_STATE.fields(data))


# Figures of episodes travel as names and one array.
_FIGURES = {'metric_name', 'metric'}
_EPISODE_FIELDS = {one.name for one in fields_of(FinishedEpisodes)} - {'figures'}
_EPISODE_ARRAYS = _EPISODE_FIELDS - {'agent', 'session'}
check_names(
    'EpisodeReport.msg',
    'FinishedEpisodes',
    declared_fields(EpisodeReport).keys() - _FIGURES - {'header'},
    _EPISODE_FIELDS,
)


def report_to_msg(ends: list[FinishedEpisodes], stamp_ns: int) -> EpisodeReport:
    """Return the EpisodeReport of the episodes of an agent that ended in one or more steps."""
    fields: dict[str, Any] = {
        name: np.concatenate([getattr(end, name) for end in ends]) for name in _EPISODE_ARRAYS
    }
    names = list(ends[0].figures)
    if any(list(end.figures) != names for end in ends):
        names = []
    figures = [np.concatenate([end.figures[name] for end in ends]) for name in names]
    fields |= {
        'agent': ends[0].agent,
        'session': ends[0].session,
        'metric_name': names,
        'metric': np.column_stack(figures).ravel() if figures else _NOTHING,
    }
    return _message(EpisodeReport, fields, stamp_ns)


def report_from_msg(message: EpisodeReport) -> FinishedEpisodes:
    """Return the episodes of an EpisodeReport.

    Raises:
        ConversionError: arrays of unequal length, or an ending that does not exist.
    """
    check_report(message)
    names = list(message.metric_name)
    figures = np.reshape(message.metric, (-1, max(len(names), 1))).T
    return FinishedEpisodes(
        agent=message.agent,
        session=message.session,
        figures=dict(zip(names, figures, strict=False)),
        **{name: np.asarray(getattr(message, name)) for name in _EPISODE_ARRAYS},
    )


def check_report(message: EpisodeReport) -> None:
    """Refuse a report of episodes whose arrays do not fit together.

    Raises:
        ConversionError: arrays of unequal length, or an ending that does not exist.
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
