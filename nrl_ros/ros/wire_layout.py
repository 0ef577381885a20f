"""Where the fields of a message stand among its bytes, for lengths and names that stay the same."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

# Encapsulation header; positions for alignment count from its end.
PREAMBLE = 4
# Position of the frame_id in a header; its length stands before it.
FRAME = 12
# Of a string or an array.
LENGTH = struct.Struct('<I')


def picker(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that takes the values of some keys out of a mapping."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda values: tuple(values[key] for key in keys)


class Head(NamedTuple):
    """The part of a message before its arrays, for one length of frame_id and agent.

    Attributes:
        format: encapsulation, stamp, frame_id, agent and numbers.
        end: position after it.
    """

    format: struct.Struct
    end: int


# Of an array its length, of an array of names these.
Count = int | tuple[str, ...]


class Layout:
    """The places of all fields for one frame_id, one agent and one set of array lengths.

    Attributes:
        head: the part before the arrays.
        filled: numbers of the arrays that are not empty, each with the bytes before it.
        tail: bytes after the last of them.
        arrays: type, length and begin of each array; of names None, these, and 0.

    Raises:
        AttributeError, TypeError, ValueError or struct.error: a count or names that cannot be sent.
    """

    def __init__(
        self, head: Head, arrays: list[np.dtype[Any] | None], counts: tuple[Count, ...]
    ) -> None:
        self.head = head.format
        # Most messages have arrays that are always empty, such as one for each number format.
        self.filled: list[tuple[int, bytes]] = []
        self.tail = b''
        self.arrays: list[tuple[Any, Any, int]] = []
        self._known: list[tuple[slice, bytes]] = []
        self._end = head.end
        count: Any
        for number, (kind, count) in enumerate(zip(arrays, counts, strict=True)):
            if kind is None:
                self._put_names(count)
            else:
                self._put_array(number, kind, count)
        self._places_of = picker([place for place, _ in self._known])
        self._bytes_there = tuple([there for _, there in self._known])

    def _put(self, there: bytes) -> None:
        """Put a length, and text if it is that of a text, which are the same in each message."""
        self._align(4)
        begin = PREAMBLE + self._end
        self._known.append((slice(begin, begin + len(there)), there))
        self.tail += there
        self._end += len(there)

    def _align(self, size: int) -> None:
        self.tail += bytes(-self._end % size)
        self._end += -self._end % size

    def _put_array(self, number: int, kind: np.dtype[Any], count: int) -> None:
        self._put(struct.pack('<I', count))
        if count:
            self._align(kind.itemsize)
            self.filled.append((number, self.tail))
            self.tail = b''
        self.arrays.append((kind, count, PREAMBLE + self._end))
        self._end += count * kind.itemsize

    def _put_names(self, names: tuple[str, ...]) -> None:
        self._put(struct.pack('<I', len(names)))
        for name in names:
            if '\0' in name:
                raise ValueError(f'a name with a 0: {name!r}')
            text = name.encode() + b'\0'
            self._put(struct.pack('<I', len(text)) + text)
        self.arrays.append((None, names, 0))

    def fits(self, data: bytes) -> bool:
        """Return whether array lengths and names in a message are those of this layout."""
        return self._places_of(data) == self._bytes_there


def make_head(codes: str, frame_bytes: int, name_bytes: int) -> Head:
    """Return the head of a message with such numbers, and texts of such lengths, 0 included.

    Args:
        codes: of the numbers.
        frame_bytes: length of the frame_id.
        name_bytes: length of the agent's name; 0: the message has no agent.
    """
    text, position = f'<4siII{frame_bytes}s', FRAME + frame_bytes
    if name_bytes:
        padding = -position % 4
        text += f'{padding}xI{name_bytes}s'
        position += padding + 4 + name_bytes
    for code in codes:
        size = struct.calcsize('<' + code)
        padding = -position % size
        text += f'{padding}x{code}' if padding else code
        position += padding + size
    return Head(struct.Struct(text), position)
