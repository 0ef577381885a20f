"""Encodes and decodes the messages of the step path without rclpy's message objects.

rclpy makes a Python object with a dozen fields out of every message and takes it apart again: 50 us
where the middleware itself needs 8 (benchmarks/ros_loop.py). ROS 2 sends CDR, in which the place of
every field follows from the lengths of its strings and arrays. Those hardly ever change within a
run, so a layout is computed once and kept. Messages that come in another encoding (big endian, a
frame_id) are read by rclpy and give the same fields.

References:
    OMG DDS-XTypes 1.3, section 7.4 (plain CDR, version 1).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConversionError
from nrl_ros.ros.hearing import read_message

Array = NDArray[Any]

_FLAG = 'boolean'  # There are no arrays of it.
# Codes of the struct and array modules, and types of numpy.
TYPES: dict[str, tuple[str, type[np.generic]]] = {
    'uint8': ('B', np.uint8),
    'uint32': ('I', np.uint32),
    'int32': ('i', np.int32),
    'uint64': ('Q', np.uint64),
    'float': ('f', np.float32),
    'double': ('d', np.float64),
    _FLAG: ('?', np.bool_),
}
_LITTLE_ENDIAN = b'\x00\x01\x00\x00'
_PREAMBLE = 4  # Encapsulation header; positions for alignment count from its end.
_AGENT = 16  # Position of the agent's length after a header with an empty frame_id.
_NO_FRAME = struct.pack('<I', 1) + b'\x00'
NANOSECONDS = 1_000_000_000  # In a second.
# Layouts of 2 KiB, the last ones used; they hold no values. States and actions have one length each
# throughout a run, rewards as many as windows can close in one step.
_KEPT_LAYOUTS = 256


def nanoseconds(stamp: Any) -> int:
    """Return a time or duration message as nanoseconds: the opposite of ``set_stamp``."""
    return int(stamp.sec * NANOSECONDS + stamp.nanosec)


def _picker(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that takes the values of some keys out of a mapping."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda values: tuple(values[key] for key in keys)


class _Head(NamedTuple):
    """The part of a message before its arrays, for one length of the agent's name.

    Attributes:
        format: encapsulation, stamp, empty frame_id, agent and numbers.
        end: position after it.
    """

    format: struct.Struct
    end: int


class _Layout:
    """The places of all fields for one agent name and one set of array lengths.

    Attributes:
        head: the part before the arrays.
        filled: numbers of the arrays that are not empty, each with the bytes before it.
        tail: bytes after the last of them.
        arrays: type, length and begin of each array.
    """

    def __init__(self, head: _Head, arrays: list[np.dtype[Any]], counts: tuple[int, ...]) -> None:
        self.head = head.format
        # Most messages have arrays that are always empty, such as one for each number format.
        self.filled: list[tuple[int, bytes]] = []
        self.tail = b''
        self.arrays: list[tuple[np.dtype[Any], int, int]] = []
        count_at: list[slice] = []
        count_bytes: list[bytes] = []
        position = head.end
        for number, (kind, count) in enumerate(zip(arrays, counts, strict=True)):
            before = -position % 4
            position += before + 4
            count_at.append(slice(_PREAMBLE + position - 4, _PREAMBLE + position))
            count_bytes.append(struct.pack('<I', count))
            after = -position % kind.itemsize if count else 0
            self.tail += bytes(before) + count_bytes[-1] + bytes(after)
            if count:
                self.filled.append((number, self.tail))
                self.tail = b''
            position += after
            self.arrays.append((kind, count, _PREAMBLE + position))
            position += count * kind.itemsize
        self._counts_of = _picker(count_at)
        self._counts = tuple(count_bytes)

    def fits(self, data: bytes) -> bool:
        """Return whether the array lengths in a message are those of this layout."""
        return self._counts_of(data) == self._counts


def _make_head(codes: str, name_bytes: int) -> _Head:
    """Return the head of a message with such numbers and so long an agent name, its 0 included."""
    text, position = f'<4siII4xI{name_bytes}s', _AGENT + 4 + name_bytes
    for code in codes:
        size = struct.calcsize('<' + code)
        padding = -position % size
        text += f'{padding}x{code}' if padding else code
        position += padding + size
    return _Head(struct.Struct(text), position)


class WireCodec:
    """Encodes and decodes messages made of a header, an agent name, plain numbers, and arrays.

    Fields have the names of the message's declaration; its header is ``stamp_ns`` [ns].

    Args:
        message: generated message class.

    Raises:
        ConversionError: the message is of another form.
    """

    def __init__(self, message: Any) -> None:
        self.message = message
        self._number_names: list[str] = []
        self._array_names: list[str] = []
        self._arrays: list[np.dtype[Any]] = []
        self._numbers = ''
        self._kinds = dict(message.get_fields_and_field_types())
        self._sort_fields()
        self._names = ('stamp_ns', 'agent', *self._number_names, *self._array_names)
        self._pick_numbers = _picker(self._number_names)
        self._pick_arrays = _picker(self._array_names)
        self._agent_bytes = lru_cache(_KEPT_LAYOUTS)(self._encode_agent)
        self._head = lru_cache(_KEPT_LAYOUTS)(partial(_make_head, self._numbers))
        self._layout = lru_cache(_KEPT_LAYOUTS)(self._make_layout)
        self._recent: dict[tuple[int, int], _Layout] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields that are encoded and decoded."""
        return self._names

    def _sort_fields(self) -> None:
        """Sort the message's fields into numbers and arrays."""
        (_, header), (_, agent), *others = self._kinds.items()
        bound = re.fullmatch(r'string<(\d+)>', agent)
        if header != 'std_msgs/Header' or bound is None:
            raise ConversionError(
                f'{self.message.__name__} begins with {header} and {agent}, expected '
                'std_msgs/Header and string<=N'
            )
        self._longest_agent = int(bound[1])
        for name, kind in others:
            element = kind.removeprefix('sequence<').removesuffix('>')
            if element not in TYPES or (element == _FLAG != kind):
                self._refuse(name, kind, f'one of {", ".join(TYPES)}, or an unbounded array of it')
            code, dtype = TYPES[element]
            if kind != element:
                self._array_names.append(name)
                self._arrays.append(np.dtype(dtype))
            elif self._array_names:
                self._refuse(
                    name, f'a number after {self._array_names[0]}', 'numbers before arrays'
                )
            else:
                self._number_names.append(name)
                self._numbers += code

    def _refuse(self, name: str, received: str, expected: str) -> NoReturn:
        raise ConversionError(
            f'{self.message.__name__}.{name}: received {received}, expected {expected}'
        )

    def _make_layout(self, name_bytes: int, counts: tuple[int, ...]) -> _Layout:
        return _Layout(self._head(name_bytes), self._arrays, counts)

    # --------------------------------------------------------------- encoding

    def encode(self, fields: Mapping[str, Any]) -> bytes:
        """Return the bytes of a message, as the middleware sends them.

        Args:
            fields: stamp_ns, agent, and numbers and arrays by name; others are ignored. The
                frame_id is empty. Arrays have any shape and are cast to the declared types.

        Raises:
            ConversionError: a field is missing, or its value does not fit the declared type.
        """
        try:
            name = self._agent_bytes(fields['agent'])
            arrays = self._pick_arrays(fields)
            counts = tuple([values.size for values in arrays])
            layout = self._layout(len(name) + 1, counts)
            seconds, fraction = divmod(fields['stamp_ns'], NANOSECONDS)
            numbers = self._pick_numbers(fields)
            head = layout.head.pack(
                _LITTLE_ENDIAN, seconds, fraction, 1, len(name) + 1, name, *numbers
            )
        except (KeyError, TypeError, AttributeError, struct.error):
            self._refuse_first(fields)
            raise
        parts = [head]
        for number, glue in layout.filled:
            values = arrays[number]
            if values.dtype != self._arrays[number]:
                values = self._converted(number, values)
            parts.append(glue)
            parts.append(values.tobytes())
        parts.append(layout.tail)
        return b''.join(parts)

    def _encode_agent(self, agent: str) -> bytes:
        try:
            name = agent.encode()
        except UnicodeEncodeError:
            self._refuse('agent', ascii(agent), 'text that UTF-8 can encode')
        if len(name) > self._longest_agent or 0 in name:
            shown = ascii(agent if len(agent) < 80 else agent[:80] + '...')
            self._refuse(
                'agent',
                f'{shown} of {len(name)} bytes',
                f'at most {self._longest_agent} bytes, none of them 0',
            )
        return name

    def _refuse_first(self, fields: Mapping[str, Any]) -> None:
        """Refuse the first field, in order of declaration, that cannot be encoded."""
        for name in self._names:
            if name not in fields:
                self._refuse(name, 'nothing', 'a value')
        if not isinstance(fields['agent'], str):
            self._refuse('agent', type(fields['agent']).__name__, 'str')
        if not -(2**31) <= fields['stamp_ns'] // NANOSECONDS < 2**31:
            self._refuse('stamp_ns', str(fields['stamp_ns']), 'seconds of 32 bits, as [ns]')
        for name, code in zip(self._number_names, self._numbers, strict=True):
            try:
                struct.pack(f'<{code}', fields[name])
            except (struct.error, OverflowError):
                self._refuse(name, repr(fields[name]), _range_of(self._kinds[name]))
        for name in self._array_names:
            if not isinstance(fields[name], np.ndarray):
                self._refuse(name, type(fields[name]).__name__, 'an array of numpy')

    def _converted(self, number: int, values: Array) -> Array:
        """Return an array in the declared type, or refuse a value that the type cannot hold."""
        name, dtype = self._array_names[number], self._arrays[number]
        if values.size == 0:
            return values.astype(dtype)
        allowed = 'biuf' if dtype.kind == 'f' else 'biu'
        if values.dtype.kind in allowed:
            with np.errstate(over='ignore'):
                converted = values.astype(dtype)
            if dtype.kind == 'f':
                fit = bool((np.isfinite(converted) == np.isfinite(values)).all())
            else:
                limits = np.iinfo(dtype)
                fit = limits.min <= int(values.min()) and int(values.max()) <= limits.max
            if fit:
                return converted
        kind = self._kinds[name].removeprefix('sequence<').removesuffix('>')
        received = f'{values.dtype} array'
        if values.dtype.kind in 'biuf':
            received += f' from {values.min()} to {values.max()}'
        self._refuse(name, received, _range_of(kind))

    # --------------------------------------------------------------- decoding

    def decode(self, data: bytes) -> dict[str, Any]:
        """Return the fields of a message by name; arrays are flat read-only views of ``data``.

        Raises:
            ConversionError: the bytes are not such a message.
        """
        at = _PREAMBLE + _AGENT
        regular = data[:2] == _LITTLE_ENDIAN[:2] and data[12:17] == _NO_FRAME and len(data) > at + 4
        if not regular:
            return self._decode_slowly(data)
        (name_bytes,) = struct.unpack_from('<I', data, at)
        layout = self._recent.get((name_bytes, len(data)))
        if layout is None or not layout.fits(data):
            counts = self._walk(data, name_bytes)
            if counts is None:
                return self._decode_slowly(data)
            if len(self._recent) >= _KEPT_LAYOUTS:
                self._recent.clear()
            layout = self._layout(name_bytes, counts)
            self._recent[name_bytes, len(data)] = layout
        _, seconds, fraction, _, _, name, *numbers = layout.head.unpack_from(data)
        if fraction >= NANOSECONDS:
            return self._decode_slowly(data)
        try:
            agent = name[:-1].decode()
        except UnicodeDecodeError as error:
            raise ConversionError(
                f'{len(data)} bytes are not a {self.message.__name__}: agent is no text: {error}'
            ) from error
        arrays = [np.frombuffer(data, *where) for where in layout.arrays]
        stamp_ns = seconds * NANOSECONDS + fraction
        return dict(zip(self._names, (stamp_ns, agent, *numbers, *arrays)))  # noqa: B905 - 0.3 us

    def _walk(self, data: bytes, name_bytes: int) -> tuple[int, ...] | None:
        """Return the array lengths of a message; None where they lead outside of it."""
        if name_bytes > len(data):
            return None
        position = self._head(name_bytes).end
        counts = []
        for kind in self._arrays:
            position += -position % 4
            if _PREAMBLE + position + 4 > len(data):
                return None
            (count,) = struct.unpack_from('<I', data, _PREAMBLE + position)
            position += 4
            if count:
                position += -position % kind.itemsize
            position += count * kind.itemsize
            counts.append(count)
        return tuple(counts) if _PREAMBLE + position <= len(data) else None

    def _decode_slowly(self, data: bytes) -> dict[str, Any]:
        return self.fields(read_message(data, self.message))

    def fields(self, message: Any) -> dict[str, Any]:
        """Return the fields of a message object by name.

        Raises:
            ConversionError: its stamp is not a valid time.
        """
        if message.header.stamp.nanosec >= NANOSECONDS:
            raise ConversionError(
                f'{self.message.__name__} with {message.header.stamp.nanosec} nanoseconds in its '
                'stamp, expected less than a second'
            )
        result = {'stamp_ns': nanoseconds(message.header.stamp), 'agent': message.agent}
        result |= {name: getattr(message, name) for name in self._number_names}
        for name, kind in zip(self._array_names, self._arrays, strict=True):
            value = getattr(message, name)
            result[name] = np.frombuffer(value, kind) if len(value) else np.zeros(0, kind)
        return result


def _range_of(kind: str) -> str:
    """Return the name and the range of a declared type of number in words."""
    dtype = np.dtype(TYPES[kind][1])
    if dtype.kind == 'b':
        return kind
    if dtype.kind == 'f':
        return f'{kind}, at most {np.finfo(dtype).max:.3g}'
    limits = np.iinfo(dtype)
    return f'{kind}, {limits.min} to {limits.max}'
