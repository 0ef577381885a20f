"""Encodes and decodes the messages of each step and control period without rclpy's objects.

rclpy makes a Python object with a dozen fields out of every message and takes it apart again: 50 us
where the middleware itself needs 8 (benchmarks/ros_loop.py). ROS 2 sends CDR, in which the place of
every field follows from the lengths of its strings and arrays. Those hardly ever change within a
run, nor do the names of an arm's joints, so a layout is computed once and kept with the names.
Messages that come in another encoding (big endian) are read by rclpy and give the same fields.

References:
    OMG DDS-XTypes 1.3, section 7.4 (plain CDR, version 1).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConversionError
from nrl_ros.ros.hearing import read_message
from nrl_ros.ros.wire_layout import FRAME, LENGTH, PREAMBLE, Count, Layout, make_head, picker

Array = NDArray[Any]

_FLAG = 'boolean'  # There are no arrays of it.
# Codes of the struct and array modules, and types of numpy.
TYPES: dict[str, tuple[str, type[np.generic]]] = {
    'uint8': ('B', np.uint8),
    'uint16': ('H', np.uint16),
    'uint32': ('I', np.uint32),
    'int32': ('i', np.int32),
    'uint64': ('Q', np.uint64),
    'float': ('f', np.float32),
    'double': ('d', np.float64),
    _FLAG: ('?', np.bool_),
}
_LITTLE_ENDIAN = b'\x00\x01\x00\x00'
_NO_FRAME = 1  # Length of an empty one, its 0 included.
NANOSECONDS = 1_000_000_000  # In a second.
# Layouts of 2 KiB, the last ones used; they hold no values but names. States and actions have one
# length each throughout a run, rewards as many as windows can close in one step.
_KEPT_LAYOUTS = 256
# Names that take more bytes, and longer frame_ids, are read by rclpy, so that layouts stay small.
_LONGEST_NAMES, _LONGEST_FRAME = 2048, 256


def nanoseconds(stamp: Any) -> int:
    """Return a time or duration message as nanoseconds: the opposite of ``set_stamp``."""
    return int(stamp.sec * NANOSECONDS + stamp.nanosec)


class WireCodec:
    """Encodes and decodes messages made of a header, plain numbers, and arrays of numbers or names.

    An agent's name may stand after the header. Fields have the names of the message's declaration;
    its header is ``stamp_ns`` [ns].

    Args:
        message: generated message class.

    Raises:
        ConversionError: the message is of another form.
    """

    def __init__(self, message: Any) -> None:
        self.message = message
        self._number_names: list[str] = []
        self._array_names: list[str] = []
        # Types; None: names.
        self._arrays: list[np.dtype[Any] | None] = []
        self._longest_name = 0
        self._numbers = ''
        self._kinds = dict(message.get_fields_and_field_types())
        self._sort_fields()
        agent = ('agent',) * bool(self._longest_agent)
        self._names = ('stamp_ns', *agent, *self._number_names, *self._array_names)
        self._pick_numbers = picker(self._number_names)
        self._pick_arrays = picker(self._array_names)
        self._agent_bytes = lru_cache(_KEPT_LAYOUTS)(self._encode_agent)
        self._head = lru_cache(_KEPT_LAYOUTS)(partial(make_head, self._numbers))
        self._layout = lru_cache(_KEPT_LAYOUTS)(self._make_layout)
        self._recent: dict[tuple[int, int, int], Layout] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields that are encoded and decoded."""
        return self._names

    def _sort_fields(self) -> None:
        """Sort the message's fields into numbers and arrays."""
        (_, header), *others = self._kinds.items()
        if header != 'std_msgs/Header':
            raise ConversionError(
                f'{self.message.__name__} begins with {header}, expected std_msgs/Header'
            )
        bound = re.fullmatch(r'string<(\d+)>', others[0][1]) if others[0][0] == 'agent' else None
        self._longest_agent = int(bound[1]) if bound else 0
        for name, kind in others[bool(bound) :]:
            element = kind.removeprefix('sequence<').removesuffix('>')
            names = re.fullmatch(r'sequence<string(?:<(\d+)>)?>', kind)
            if names:
                self._array_names.append(name)
                self._arrays.append(None)
                self._longest_name = int(names[1] or _LONGEST_NAMES)
                continue
            if element not in TYPES or (element == _FLAG != kind):
                self._refuse(
                    name,
                    kind,
                    f'one of {", ".join(TYPES)}, or an unbounded array of it or of strings',
                )
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

    def _make_layout(self, frame_bytes: int, name_bytes: int, counts: tuple[Count, ...]) -> Layout:
        return Layout(self._head(frame_bytes, name_bytes), self._arrays, counts)

    # --------------------------------------------------------------- encoding

    def encode(self, fields: Mapping[str, Any]) -> bytes:
        """Return the bytes of a message, as the middleware sends them.

        Args:
            fields: stamp_ns, agent, and numbers and arrays by name; others are ignored. The
                frame_id is empty. Arrays have any shape and are cast to the declared types; names
                are tuples.

        Raises:
            ConversionError: a field is missing, or its value does not fit the declared type.
        """
        try:
            arrays = self._pick_arrays(fields)
            counts = tuple([one if type(one) is tuple else one.size for one in arrays])
            seconds, fraction = divmod(fields['stamp_ns'], NANOSECONDS)
            before = (_LITTLE_ENDIAN, seconds, fraction, _NO_FRAME, b'')
            numbers = self._pick_numbers(fields)
            if self._longest_agent:
                name = self._agent_bytes(fields['agent'])
                layout = self._layout(_NO_FRAME, len(name) + 1, counts)
                head = layout.head.pack(*before, len(name) + 1, name, *numbers)
            else:
                layout = self._layout(_NO_FRAME, 0, counts)
                head = layout.head.pack(*before, *numbers)
        except (KeyError, TypeError, AttributeError, ValueError, struct.error):
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
        if self._longest_agent and not isinstance(fields['agent'], str):
            self._refuse('agent', type(fields['agent']).__name__, 'str')
        if not -(2**31) <= fields['stamp_ns'] // NANOSECONDS < 2**31:
            self._refuse('stamp_ns', str(fields['stamp_ns']), 'seconds of 32 bits, as [ns]')
        for name, code in zip(self._number_names, self._numbers, strict=True):
            try:
                struct.pack(f'<{code}', fields[name])
            except (struct.error, OverflowError):
                self._refuse(name, repr(fields[name]), _range_of(self._kinds[name]))
        for name, kind in zip(self._array_names, self._arrays, strict=True):
            value = fields[name]
            if kind is None and not _are_names(value):
                self._refuse(name, repr(value)[:80], 'a tuple of strings that UTF-8 can encode')
            if kind is not None and not isinstance(value, np.ndarray):
                self._refuse(name, type(value).__name__, 'an array of numpy')

    def _converted(self, number: int, values: Array) -> Array:
        """Return an array in the declared type, or refuse a value that the type cannot hold."""
        name, dtype = self._array_names[number], self._arrays[number]
        assert dtype is not None
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
        lengths = self._lengths(data)
        if lengths is None:
            return self._decode_slowly(data)
        key = (*lengths, len(data))
        layout = self._recent.get(key)
        if layout is None or not layout.fits(data):
            counts = self._walk(data, *lengths)
            if counts is None:
                return self._decode_slowly(data)
            if len(self._recent) >= _KEPT_LAYOUTS:
                self._recent.clear()
            layout = self._layout(*lengths, counts)
            self._recent[key] = layout
        _, seconds, fraction, _, frame, *values = layout.head.unpack_from(data)
        if fraction >= NANOSECONDS:
            return self._decode_slowly(data)
        if self._longest_agent:
            # The agent takes the place of its length.
            values[:2] = [self._text('agent', values[1], len(data))]
        if len(frame) > _NO_FRAME:
            self._text('frame_id', frame, len(data))
        arrays = [
            count if kind is None else np.frombuffer(data, kind, count, begin)
            for kind, count, begin in layout.arrays
        ]
        stamp_ns = seconds * NANOSECONDS + fraction
        return dict(zip(self._names, (stamp_ns, *values, *arrays)))  # noqa: B905 - 0.3 us

    def _lengths(self, data: bytes) -> tuple[int, int] | None:
        """Return the lengths of frame_id and agent; None where rclpy has to read the message."""
        if data[:2] != _LITTLE_ENDIAN[:2] or len(data) < PREAMBLE + FRAME + 1:
            return None
        (frame_bytes,) = LENGTH.unpack_from(data, PREAMBLE + FRAME - 4)
        if not _NO_FRAME <= frame_bytes <= _LONGEST_FRAME:
            return None
        if not self._longest_agent:
            return frame_bytes, 0
        at = PREAMBLE + FRAME + frame_bytes
        at += -at % 4
        if len(data) < at + 4:
            return None
        (name_bytes,) = LENGTH.unpack_from(data, at)
        return (frame_bytes, name_bytes) if name_bytes else None

    def _text(self, field: str, data: bytes, size: int) -> str:
        try:
            return data[:-1].decode()
        except UnicodeDecodeError as error:
            raise ConversionError(
                f'{size} bytes are not a {self.message.__name__}: {field} is no text: {error}'
            ) from error

    def _walk(self, data: bytes, frame_bytes: int, name_bytes: int) -> tuple[Count, ...] | None:
        """Return lengths of arrays, and names; None where they lead outside of the message."""
        if name_bytes > len(data):
            return None
        position = self._head(frame_bytes, name_bytes).end
        counts: list[Count] = []
        for kind in self._arrays:
            position += -position % 4
            if PREAMBLE + position + 4 > len(data):
                return None
            (count,) = LENGTH.unpack_from(data, PREAMBLE + position)
            position += 4
            if kind is None:
                found = self._walk_names(data, position, count)
                if found is None:
                    return None
                names, position = found
                counts.append(names)
                continue
            if count:
                position += -position % kind.itemsize
            position += count * kind.itemsize
            counts.append(count)
        return tuple(counts) if PREAMBLE + position <= len(data) else None

    def _walk_names(
        self, data: bytes, position: int, count: int
    ) -> tuple[tuple[str, ...], int] | None:
        """Return names and the position after them; None where rclpy has to judge."""
        names, most = [], position + _LONGEST_NAMES
        for _ in range(count):
            position += -position % 4
            if position > most or PREAMBLE + position + 4 > len(data):
                return None
            (length,) = LENGTH.unpack_from(data, PREAMBLE + position)
            begin = PREAMBLE + position + 4
            text = data[begin : begin + length]
            fits = 0 < length <= self._longest_name + 1 and len(text) == length
            if not fits or text.find(b'\0') != length - 1:
                return None
            try:
                names.append(text[:-1].decode())
            except UnicodeDecodeError:
                return None
            position += 4 + length
        return tuple(names), position

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
        result: dict[str, Any] = {'stamp_ns': nanoseconds(message.header.stamp)}
        if self._longest_agent:
            result['agent'] = message.agent
        result |= {name: getattr(message, name) for name in self._number_names}
        for name, kind in zip(self._array_names, self._arrays, strict=True):
            value = getattr(message, name)
            if kind is None:
                result[name] = tuple(value)
            else:
                result[name] = np.frombuffer(value, kind) if len(value) else np.zeros(0, kind)
        return result


def _are_names(value: Any) -> bool:
    """Return whether a value is a tuple of strings that can be sent."""
    try:
        return isinstance(value, tuple) and all(b'\0' not in name.encode() for name in value)
    except (AttributeError, UnicodeEncodeError):
        return False


def _range_of(kind: str) -> str:
    """Return the name and the range of a declared type of number in words."""
    dtype = np.dtype(TYPES[kind][1])
    if dtype.kind == 'b':
        return kind
    if dtype.kind == 'f':
        return f'{kind}, at most {np.finfo(dtype).max:.3g}'
    limits = np.iinfo(dtype)
    return f'{kind}, {limits.min} to {limits.max}'
