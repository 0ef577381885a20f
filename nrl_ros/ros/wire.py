"""The messages of the step path straight to and from their bytes on the wire.

rclpy makes a Python object with a dozen fields out of every message and takes it apart again: 50 us
where the middleware itself needs 8 (benchmarks/ros_loop.py). ROS 2 sends CDR, in which the place of
every field follows from the lengths of its strings and arrays; those hardly ever change within a
run, so a layout is worked out once and kept. Messages that come in another encoding (big endian, a
frame_id) take rclpy's way and give the same fields.

References:
    OMG DDS-XTypes 1.3, section 7.4 (plain CDR, version 1).
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConversionError
from nrl_ros.ros.hearing import read_message

Array = NDArray[Any]

_TYPES = {
    'uint8': ('B', np.uint8),
    'uint32': ('I', np.uint32),
    'int32': ('i', np.int32),
    'uint64': ('Q', np.uint64),
    'float': ('f', np.float32),
    'double': ('d', np.float64),
}
_LITTLE_ENDIAN = b'\x00\x01'
_PREAMBLE = 4  # Encapsulation header; positions for alignment count from its end.
_AGENT = 16  # Position of the agent's length after a header with an empty frame_id.
_NO_FRAME = struct.pack('<I', 1) + b'\x00'
_NANOSECONDS = 1_000_000_000
_KEPT_LAYOUTS = 4096


def nanoseconds(stamp: Any) -> int:
    """A time message as nanoseconds; the opposite of ``conversion.set_stamp``."""
    return int(stamp.sec * _NANOSECONDS + stamp.nanosec)


class Fields(NamedTuple):
    """Content of a message: its stamp, agent, plain numbers and arrays, in order of declaration."""

    stamp_ns: int
    agent: str
    numbers: tuple[int, ...]
    arrays: list[Array]


class _Layout:
    """Where everything stands for one agent name and one set of array lengths."""

    def __init__(
        self, numbers: str, arrays: list[type[np.generic]], name_bytes: int, counts: tuple[int, ...]
    ) -> None:
        position = _AGENT + 4 + name_bytes
        position, self.numbers_at, self.numbers = _place_numbers(numbers, position)
        self.counts = counts
        self.count_at: list[int] = []
        self.count_bytes: list[bytes] = []
        self.array_at: list[int] = []
        for kind, count in zip(arrays, counts, strict=True):
            position += -position % 4
            self.count_at.append(_PREAMBLE + position)
            self.count_bytes.append(struct.pack('<I', count))
            position += 4
            size = np.dtype(kind).itemsize
            if count:
                position += -position % size
            self.array_at.append(_PREAMBLE + position)
            position += count * size
        self.size = _PREAMBLE + position
        self._arrays = arrays
        # To write into; a message that is only read needs none.
        self.buffer = bytearray()
        self.views: list[Array] = []

    def prepare(self) -> None:
        """Make the buffer that messages are written into."""
        self.buffer = bytearray(self.size)
        self.buffer[:2] = _LITTLE_ENDIAN
        for at, count in zip(self.count_at, self.count_bytes, strict=True):
            self.buffer[at : at + 4] = count
        self.views = [
            np.frombuffer(self.buffer, kind, count, at)
            for kind, count, at in zip(self._arrays, self.counts, self.array_at, strict=True)
        ]

    def fits(self, data: bytes) -> bool:
        """Whether the array lengths in a message are those of this layout."""
        for at, count in zip(self.count_at, self.count_bytes, strict=True):
            if data[at : at + 4] != count:
                return False
        return True


def _place_numbers(codes: str, position: int) -> tuple[int, int, struct.Struct]:
    """End, start (in the whole message) and format of plain numbers that begin at ``position``."""
    text, start = '<', position
    for code in codes:
        size = struct.calcsize('<' + code)
        padding = -position % size
        text += f'{padding}x{code}' if padding else code
        position += padding + size
    return position, _PREAMBLE + start, struct.Struct(text)


class WireCodec:
    """Encodes and decodes messages made of a header, an agent name, plain numbers, and arrays.

    Args:
        message: generated message class.

    Raises:
        ConversionError: the message is of another form.
    """

    def __init__(self, message: Any) -> None:
        self.message = message
        self._names: list[str] = []
        self._arrays: list[Any] = []
        self._numbers = ''
        fields = dict(message.get_fields_and_field_types())
        kinds = list(fields.values())
        if kinds[0] != 'std_msgs/Header' or not kinds[1].startswith('string'):
            raise ConversionError(f'{message.__name__} does not begin with header and agent')
        for name, kind in list(fields.items())[2:]:
            self._names.append(name)
            if kind.startswith('sequence<'):
                self._arrays.append(_TYPES[kind[len('sequence<') : -1]][1])
            elif self._arrays:
                raise ConversionError(f'{message.__name__}.{name}: numbers must precede arrays')
            else:
                self._numbers += _TYPES[kind][0]
        self._layouts: dict[tuple[int, tuple[int, ...]], _Layout] = {}
        self._recent: dict[tuple[int, int], _Layout] = {}

    def _layout(self, name_bytes: int, counts: tuple[int, ...]) -> _Layout:
        layout = self._layouts.get((name_bytes, counts))
        if layout is None:
            if len(self._layouts) >= _KEPT_LAYOUTS:
                self._layouts.clear()
                self._recent.clear()
            layout = _Layout(self._numbers, self._arrays, name_bytes, counts)
            self._layouts[name_bytes, counts] = layout
        return layout

    def encode(
        self, stamp_ns: int, agent: str, numbers: tuple[int, ...], arrays: list[Array]
    ) -> bytes:
        """Bytes of a message, as the middleware sends them.

        Args:
            stamp_ns: header stamp [ns]; the frame_id is empty.
            agent: name of the agent.
            numbers: plain numbers, in order of declaration.
            arrays: arrays of any shape, in order of declaration; cast to the declared types.
        """
        name = agent.encode()
        layout = self._layout(len(name) + 1, tuple([values.size for values in arrays]))
        if not layout.buffer:
            layout.prepare()
        buffer = layout.buffer
        seconds, nanoseconds = divmod(stamp_ns, _NANOSECONDS)
        struct.pack_into('<iII', buffer, _PREAMBLE, seconds, nanoseconds, 1)
        at = _PREAMBLE + _AGENT
        struct.pack_into(f'<I{len(name)}s', buffer, at, len(name) + 1, name)
        layout.numbers.pack_into(buffer, layout.numbers_at, *numbers)
        for view, values in zip(layout.views, arrays, strict=True):
            view[:] = values.reshape(-1)
        return bytes(buffer)

    def decode(self, data: bytes) -> Fields:
        """Fields of a message; arrays are read-only views of ``data``.

        Raises:
            ConversionError: the bytes are not such a message.
        """
        at = _PREAMBLE + _AGENT
        regular = data[:2] == _LITTLE_ENDIAN and data[12:17] == _NO_FRAME and len(data) > at + 4
        if not regular:
            return self._decode_slowly(data)
        seconds, fraction = struct.unpack_from('<iI', data, _PREAMBLE)
        if fraction >= _NANOSECONDS:
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
        try:
            name = data[at + 4 : at + 3 + name_bytes].decode()
        except UnicodeDecodeError as error:
            raise ConversionError(
                f'{len(data)} bytes are not a {self.message.__name__}: agent is no text: {error}'
            ) from error
        arrays = [
            np.frombuffer(data, kind, count, where)
            for kind, count, where in zip(self._arrays, layout.counts, layout.array_at, strict=True)
        ]
        numbers = layout.numbers.unpack_from(data, layout.numbers_at)
        return Fields(seconds * _NANOSECONDS + fraction, name, numbers, arrays)

    def _walk(self, data: bytes, name_bytes: int) -> tuple[int, ...] | None:
        """Array lengths of a message, None where they lead outside of it."""
        position, _, _ = _place_numbers(self._numbers, _AGENT + 4 + name_bytes)
        counts = []
        for kind in self._arrays:
            position += -position % 4
            if _PREAMBLE + position + 4 > len(data):
                return None
            (count,) = struct.unpack_from('<I', data, _PREAMBLE + position)
            position += 4
            size = np.dtype(kind).itemsize
            if count:
                position += -position % size
            position += count * size
            counts.append(count)
        return tuple(counts) if _PREAMBLE + position <= len(data) else None

    def _decode_slowly(self, data: bytes) -> Fields:
        return self.fields(read_message(data, self.message))

    def fields(self, message: Any) -> Fields:
        """Fields of a message object.

        Raises:
            ConversionError: its stamp is none.
        """
        if message.header.stamp.nanosec >= _NANOSECONDS:
            raise ConversionError(
                f'{self.message.__name__} with {message.header.stamp.nanosec} nanoseconds in its '
                'stamp, expected less than a second'
            )
        values = [getattr(message, name) for name in self._names]
        split = len(self._numbers)
        return Fields(
            nanoseconds(message.header.stamp),
            message.agent,
            tuple(values[:split]),
            [
                np.frombuffer(value, kind) if len(value) else np.zeros(0, kind)
                for value, kind in zip(values[split:], self._arrays, strict=True)
            ],
        )
