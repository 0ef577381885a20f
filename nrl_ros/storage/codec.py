"""Convert plain data and arrays to bytes and back, without ever executing the bytes' content.

A checkpoint is, in this order and little endian::

    magic            4 bytes   b'NRL1'
    format version   uint16    FORMAT_VERSION
    header length    uint32
    payload length   uint64
    header           msgpack   {'kind': str, 'nrl_ros': str, 'info': {...}}
    payload          msgpack   the data
    checksum         32 bytes  BLAKE2b of everything before it

Data is None, bool, int of any size, float, str, bytes, list, dict with str keys, and arrays of
numbers. Arrays and integers beyond 64 bits (states of some generators) are msgpack extension types.
"""

from __future__ import annotations

import hashlib
import math
import struct
from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]
import numpy as np

from nrl_ros import __version__
from nrl_ros.base.errors import CheckpointError

MAGIC = b'NRL1'
FORMAT_VERSION = 3
# 2 GiB hold the dense traces of 10,000 instances of a network of 50,000 weights. A larger file was
# not written by nrl_ros, and a checkpoint that cannot be read back must not be written either.
MAX_BYTES = 2**31

_PREFIX = struct.Struct('<4sHIQ')
PREFIX_BYTES = _PREFIX.size
# A header holds a few words, far below this.
MAX_HEADER_BYTES = 2**16
_CHECKSUM_BYTES = 32
_MAX_DEPTH = 32
# Limit on the entries of lists and dicts; a policy's state has some hundred. One byte of a crafted
# file may become an object of 64 bytes, so the size of a file alone does not bound the memory.
_MAX_VALUES = 1_000_000
_MAX_INTEGER_BYTES = 1024
_EXT_ARRAY = 1
_EXT_INTEGER = 2
_ARRAY_HEAD = struct.Struct('<3sB')
_DTYPES = frozenset(
    ('|b1', '|i1', '|u1', '<i2', '<u2', '<i4', '<u4', '<i8', '<u8', '<f2', '<f4', '<f8')
)


class Header(NamedTuple):
    """The header of a checkpoint.

    Attributes:
        kind: what the data is of, as 'learner' or 'environment'.
        nrl_ros: version of the program that wrote it.
        info: whatever the writer added.
    """

    kind: str
    nrl_ros: str
    info: dict[str, Any]


def encode(kind: str, data: dict[str, Any], info: dict[str, Any] | None = None) -> bytes:
    """Return data as the bytes of a checkpoint; the same data gives the same bytes.

    Args:
        kind: what the data is of; ``decode`` must name the same.
        data: plain data and arrays; numpy's scalars become Python's.
        info: plain data on how it was made, readable through ``read_header``.

    Raises:
        CheckpointError: a value is of another type, naming where it stands.
    """
    header = _pack({'kind': kind, 'nrl_ros': __version__, 'info': info or {}}, 'header')
    payload = _pack(data, 'data')
    prefix = _PREFIX.pack(MAGIC, FORMAT_VERSION, len(header), len(payload))
    body = b''.join((prefix, header, payload))
    if len(body) + _CHECKSUM_BYTES > MAX_BYTES or len(header) > MAX_HEADER_BYTES:
        raise CheckpointError(
            f'the {kind} data takes {len(body)} bytes, expected at most {MAX_BYTES}; '
            'serve fewer instances, or set traces.kind to the smaller one'
        )
    return body + _checksum(body)


def decode(raw: bytes, kind: str) -> dict[str, Any]:
    """Return the data of a checkpoint.

    Args:
        raw: all bytes of the file.
        kind: what the data must be of.

    Raises:
        CheckpointError: not a checkpoint, damaged, of another version or kind.
    """
    header, payload = _open(raw)
    if header.kind != kind:
        raise CheckpointError(
            f'the checkpoint is of kind {header.kind!r}, expected {kind!r}; name the other file'
        )
    data = _unpack(payload, 'data')
    if not isinstance(data, dict):
        raise CheckpointError(
            f'the checkpoint holds a {type(data).__name__}, expected a dict: '
            'it was not written by nrl_ros'
        )
    return data


def read_header(raw: bytes) -> Header:
    """Return the header of a checkpoint, after the same checks as ``decode``.

    Raises:
        CheckpointError: not a checkpoint, damaged, or of another version.
    """
    return _open(raw)[0]


# ------------------------------------------------------------------ the frame


def _checksum(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECKSUM_BYTES).digest()


def check_prefix(head: bytes, size: int) -> None:
    """Check the first bytes of a file of ``size`` bytes, before the rest of it is read.

    Args:
        head: the first PREFIX_BYTES of the file, or all where it is shorter.
        size: of the whole file [byte].

    Raises:
        CheckpointError: not a checkpoint, damaged, too large, or of another version.
    """
    header_size, payload_size = _sizes(head)
    expected = _PREFIX.size + header_size + payload_size + _CHECKSUM_BYTES
    if size < expected:
        raise _truncated(size, expected)
    if size > expected or expected > MAX_BYTES:
        raise CheckpointError(
            f'the checkpoint is damaged: received {size} bytes, expected {expected}; '
            'use an earlier one'
        )


def header_in(head: bytes) -> Header:
    """Return the header found in the first bytes of a file, PREFIX_BYTES and MAX_HEADER_BYTES.

    Raises:
        CheckpointError: not a checkpoint, of another version, or without a header of nrl_ros.
    """
    header_size, _ = _sizes(head)
    return _header(head[_PREFIX.size : _PREFIX.size + header_size])


def _sizes(head: bytes) -> tuple[int, int]:
    """Return the sizes of header and payload [byte]."""
    magic = head[: len(MAGIC)]
    if magic != MAGIC[: max(len(head), 1)]:
        raise CheckpointError(
            f'not a checkpoint of nrl_ros: it begins with {magic!r}, expected {MAGIC!r}'
        )
    if len(head) < _PREFIX.size:
        raise _truncated(len(head), _PREFIX.size)
    _, version, header_size, payload_size = _PREFIX.unpack_from(head)
    if version != FORMAT_VERSION:
        mend = 'update nrl_ros' if version > FORMAT_VERSION else 'use it with the older nrl_ros'
        raise CheckpointError(
            f'the checkpoint has format {version}, this nrl_ros {__version__} reads '
            f'{FORMAT_VERSION}: {mend}'
        )
    if header_size > MAX_HEADER_BYTES:
        raise CheckpointError(
            f'the checkpoint is damaged: it has a header of {header_size} bytes, expected at most '
            f'{MAX_HEADER_BYTES}'
        )
    return int(header_size), int(payload_size)


def _header(packed: bytes | memoryview) -> Header:
    header = _unpack(packed, 'header')
    if not (
        isinstance(header, dict)
        and isinstance(header.get('kind'), str)
        and isinstance(header.get('nrl_ros'), str)
        and isinstance(header.get('info'), dict)
    ):
        raise CheckpointError(
            f'the checkpoint has the header {str(header)[:80]}, expected kind, nrl_ros and info: '
            'it was not written by nrl_ros'
        )
    return Header(header['kind'], header['nrl_ros'], header['info'])


def _open(raw: bytes) -> tuple[Header, memoryview]:
    """Check everything around the payload."""
    head = raw[: _PREFIX.size]
    check_prefix(head, len(raw))
    header_size, _ = _sizes(head)
    view = memoryview(raw)
    body, checksum = view[:-_CHECKSUM_BYTES], bytes(view[-_CHECKSUM_BYTES:])
    if _checksum(body) != checksum:
        raise CheckpointError(
            f'the checkpoint is damaged: its checksum is {checksum.hex()[:16]}..., '
            f'its content gives {_checksum(body).hex()[:16]}...; use an earlier one'
        )
    start = _PREFIX.size + header_size
    return _header(body[_PREFIX.size : start]), body[start:]


def _truncated(received: int, expected: int) -> CheckpointError:
    return CheckpointError(
        f'the checkpoint is cut off: received {received} bytes, expected {expected} or more; '
        'use an earlier one'
    )


# ---------------------------------------------------------------- the content


def _pack(data: dict[str, Any], name: str) -> bytes:
    if not isinstance(data, dict):
        raise CheckpointError(f'{name}: expected a dict, received {type(data).__name__}')
    plain = _plain(data, name, 0, _Values())
    try:
        packed: bytes = msgpack.packb(plain, use_bin_type=True)
    except (ValueError, OverflowError, TypeError) as error:
        raise CheckpointError(f'{name} cannot be saved: {error}') from error
    return packed


def _plain(value: Any, name: str, depth: int, values: _Values) -> Any:
    """Return the value as msgpack takes it; refuse what would not be read back equal."""
    if depth > _MAX_DEPTH:
        raise CheckpointError(f'{name} is nested deeper than {_MAX_DEPTH} levels; flatten it')
    if isinstance(value, np.ndarray):
        return msgpack.ExtType(_EXT_ARRAY, _array_bytes(value, name))
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        value = value.item()
    if value is None or isinstance(value, (bool, bytes)):
        return value
    if isinstance(value, int):
        return _integer(int(value), name)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, list):
        values.count(value)
        return [_plain(item, f'{name}[{i}]', depth + 1, values) for i, item in enumerate(value)]
    if isinstance(value, dict):
        values.count(value)
        for key in value:
            if not isinstance(key, str):
                raise CheckpointError(f'{name} has the key {key!r}, expected str keys')
        return {
            str(key): _plain(item, f'{name}.{key}', depth + 1, values)
            for key, item in value.items()
        }
    mend = '; use a list' if isinstance(value, (tuple, set, frozenset)) else ''
    raise CheckpointError(
        f'{name} is a {type(value).__name__}, expected None, bool, int, float, str, bytes, list, '
        f'dict or an array of numbers{mend}'
    )


def _integer(value: int, name: str) -> Any:
    if -(2**63) <= value < 2**64:
        return value
    size = value.bit_length() // 8 + 1
    if size > _MAX_INTEGER_BYTES:
        raise CheckpointError(
            f'{name} is an integer of {size} bytes, expected at most {_MAX_INTEGER_BYTES}'
        )
    return msgpack.ExtType(_EXT_INTEGER, value.to_bytes(size, 'little', signed=True))


def _array_bytes(array: np.ndarray[Any, Any], name: str) -> bytes:
    dtype = array.dtype.newbyteorder('<')
    if type(array) is not np.ndarray or dtype.str not in _DTYPES:
        raise CheckpointError(
            f'{name} is a {type(array).__name__} of {array.dtype}, expected a plain array of '
            f'numbers: one of {sorted(_DTYPES)}'
        )
    head = _ARRAY_HEAD.pack(dtype.str.encode(), array.ndim)
    shape = struct.pack(f'<{array.ndim}Q', *array.shape)
    return b''.join((head, shape, array.astype(dtype, copy=False).tobytes()))


class _Values:
    """Counts entries, so that a small file cannot allocate a large amount of memory."""

    def __init__(self) -> None:
        self._left = _MAX_VALUES

    def count(self, container: Any) -> Any:
        """Return the list or dict itself; refuse it if the data has too many entries with it."""
        self._left -= 1 + len(container)
        if self._left < 0:
            raise CheckpointError(
                f'more than {_MAX_VALUES} values, expected fewer: use arrays for numbers'
            )
        return container


def _unpack(packed: bytes | memoryview, name: str) -> Any:
    values = _Values()
    try:
        return msgpack.unpackb(
            packed,
            raw=False,
            strict_map_key=True,
            ext_hook=_extension,
            list_hook=values.count,
            object_hook=values.count,
            max_array_len=_MAX_VALUES,
            max_map_len=_MAX_VALUES,
        )
    except CheckpointError:
        raise
    except Exception as error:  # whatever a crafted file makes msgpack or numpy say
        raise CheckpointError(
            f'the {name} of the checkpoint cannot be read: {type(error).__name__}: {error}; '
            'it was not written by nrl_ros'
        ) from error


def _extension(code: int, content: bytes) -> Any:
    if code == _EXT_ARRAY:
        return _array(content)
    if code == _EXT_INTEGER and len(content) <= _MAX_INTEGER_BYTES:
        return int.from_bytes(content, 'little', signed=True)
    raise CheckpointError(
        f'the checkpoint holds a value of extension type {code} and {len(content)} bytes, expected '
        'an array or an integer: it was not written by nrl_ros'
    )


def _array(content: bytes) -> np.ndarray[Any, Any]:
    name, dimensions = _ARRAY_HEAD.unpack_from(content)
    text = name.decode('ascii')
    if text not in _DTYPES:
        raise CheckpointError(
            f'the checkpoint holds an array of {text!r}, expected {sorted(_DTYPES)}'
        )
    shape = struct.unpack_from(f'<{dimensions}Q', content, _ARRAY_HEAD.size)
    start = _ARRAY_HEAD.size + 8 * dimensions
    dtype = np.dtype(text)
    expected = math.prod(shape) * dtype.itemsize
    if len(content) - start != expected:
        raise CheckpointError(
            f'the checkpoint holds an array {shape} of {text} in {len(content) - start} bytes, '
            f'expected {expected}'
        )
    # The copy is needed because an array of frombuffer is read-only.
    array: np.ndarray[Any, Any] = np.frombuffer(content, dtype, offset=start).reshape(shape).copy()
    return array
