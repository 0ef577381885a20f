"""Plain data and arrays to bytes and back, without ever running what the bytes say.

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
from nrl_ros.core.errors import CheckpointError

MAGIC = b'NRL1'
FORMAT_VERSION = 1
# Nothing of this project comes near; a larger file is not one of ours.
MAX_BYTES = 2**32 - 1

_PREFIX = struct.Struct('<4sHIQ')
_CHECKSUM_BYTES = 32
_MAX_DEPTH = 32
_MAX_INTEGER_BYTES = 1024
_EXT_ARRAY = 1
_EXT_INTEGER = 2
_ARRAY_HEAD = struct.Struct('<3sB')
_DTYPES = frozenset(
    ('|b1', '|i1', '|u1', '<i2', '<u2', '<i4', '<u4', '<i8', '<u8', '<f2', '<f4', '<f8')
)


class Header(NamedTuple):
    """What a checkpoint says of itself.

    Attributes:
        kind: what the data is of, as 'learner' or 'environment'.
        nrl_ros: version of the program that wrote it.
        info: whatever the writer added.
    """

    kind: str
    nrl_ros: str
    info: dict[str, Any]


def encode(kind: str, data: dict[str, Any], info: dict[str, Any] | None = None) -> bytes:
    """Data as the bytes of a checkpoint; the same data gives the same bytes.

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
    if len(body) + _CHECKSUM_BYTES > MAX_BYTES:
        raise CheckpointError(
            f'the {kind} data takes {len(body)} bytes, expected at most {MAX_BYTES}; '
            'serve fewer instances, or set traces.kind to the smaller one'
        )
    return body + _checksum(body)


def decode(raw: bytes, kind: str) -> dict[str, Any]:
    """Data of a checkpoint.

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
    """What a checkpoint says of itself, after the same checks as ``decode``.

    Raises:
        CheckpointError: not a checkpoint, damaged, or of another version.
    """
    return _open(raw)[0]


# ------------------------------------------------------------------ the frame


def _checksum(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECKSUM_BYTES).digest()


def _open(raw: bytes) -> tuple[Header, memoryview]:
    """Check everything around the payload."""
    if raw[: len(MAGIC)] != MAGIC[: max(len(raw), 1)]:
        raise CheckpointError(
            f'not a checkpoint of nrl_ros: it begins with {raw[: len(MAGIC)]!r}, expected {MAGIC!r}'
        )
    if len(raw) < _PREFIX.size:
        raise _truncated(len(raw), _PREFIX.size)
    _, version, header_size, payload_size = _PREFIX.unpack_from(raw)
    if version != FORMAT_VERSION:
        mend = 'update nrl_ros' if version > FORMAT_VERSION else 'it is damaged; use another one'
        raise CheckpointError(
            f'the checkpoint has format {version}, this nrl_ros {__version__} reads '
            f'{FORMAT_VERSION}: {mend}'
        )
    expected = _PREFIX.size + header_size + payload_size + _CHECKSUM_BYTES
    if len(raw) < expected:
        raise _truncated(len(raw), expected)
    if len(raw) > expected or expected > MAX_BYTES:
        raise CheckpointError(
            f'the checkpoint is damaged: received {len(raw)} bytes, expected {expected}; '
            'use an earlier one'
        )
    view = memoryview(raw)
    body, checksum = view[:-_CHECKSUM_BYTES], bytes(view[-_CHECKSUM_BYTES:])
    if _checksum(body) != checksum:
        raise CheckpointError(
            f'the checkpoint is damaged: its checksum is {checksum.hex()[:16]}..., '
            f'its content gives {_checksum(body).hex()[:16]}...; use an earlier one'
        )
    header = _unpack(body[_PREFIX.size : _PREFIX.size + header_size], 'header')
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
    return (
        Header(header['kind'], header['nrl_ros'], header['info']),
        body[_PREFIX.size + header_size :],
    )


def _truncated(received: int, expected: int) -> CheckpointError:
    return CheckpointError(
        f'the checkpoint is cut off: received {received} bytes, expected {expected} or more; '
        'use an earlier one'
    )


# ---------------------------------------------------------------- the content


def _pack(data: dict[str, Any], name: str) -> bytes:
    if not isinstance(data, dict):
        raise CheckpointError(f'{name}: expected a dict, received {type(data).__name__}')
    plain = _plain(data, name, 0)
    try:
        packed: bytes = msgpack.packb(plain, use_bin_type=True)
    except (ValueError, OverflowError, TypeError) as error:
        raise CheckpointError(f'{name} cannot be saved: {error}') from error
    return packed


def _plain(value: Any, name: str, depth: int) -> Any:
    """The value as msgpack takes it; refuses everything that would not come back as it was."""
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
        return [_plain(item, f'{name}[{i}]', depth + 1) for i, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise CheckpointError(f'{name} has the key {key!r}, expected str keys')
        return {str(key): _plain(item, f'{name}.{key}', depth + 1) for key, item in value.items()}
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


def _unpack(packed: memoryview, name: str) -> Any:
    try:
        return msgpack.unpackb(packed, raw=False, strict_map_key=True, ext_hook=_extension)
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
    # A copy, since what frombuffer gives cannot be written to.
    array: np.ndarray[Any, Any] = np.frombuffer(content, dtype, offset=start).reshape(shape).copy()
    return array
