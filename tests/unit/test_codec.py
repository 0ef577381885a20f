"""Bytes that come back as they were, and damaged ones that never do."""

from __future__ import annotations

import contextlib
import math
import pickle
import struct
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nrl_ros import __version__
from nrl_ros.base.errors import CheckpointError
from nrl_ros.storage import codec
from nrl_ros.storage.codec import MAGIC, decode, encode, read_header
from tests.unit.fakes import same

numbers = hnp.arrays(
    st.sampled_from(['?', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8']).map(
        np.dtype
    ),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**300), 2**300)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | numbers,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
documents = st.dictionaries(st.text(max_size=5), plain, max_size=5)

SAMPLE: dict[str, Any] = {
    'weights': [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 3))],
    'generator': np.random.default_rng(3).bit_generator.state,
    'none': None,
    'name': 'ä',
    'raw': b'\x00\xff',
    'numbers': [1, -1, 2**64 - 1, -(2**63), 2**64, -(2**200), 0.1, True, math.inf],
}


@settings(max_examples=200, deadline=None)
@given(data=documents)
def test_all_plain_data_comes_back_as_it_was(data: dict[str, Any]) -> None:
    raw = encode('learner', data)
    assert same(decode(raw, 'learner'), data)
    assert encode('learner', data) == raw, 'the same data gives the same bytes'


def test_nan_infinity_and_negative_zero_come_back_to_the_bit() -> None:
    array = np.array([np.nan, -np.inf, -0.0, 5e-324])
    data = decode(encode('k', {'array': array, 'values': array.tolist()}), 'k')
    assert data['array'].tobytes() == array.tobytes()
    assert struct.pack('<4d', *data['values']) == array.tobytes()


@pytest.mark.parametrize('name', ['PCG64', 'SFC64', 'Philox', 'MT19937'])
def test_states_of_generators_come_back(name: str) -> None:
    generator = np.random.Generator(getattr(np.random, name)(5))
    generator.random(3, dtype=np.float32)
    data = decode(encode('k', {'state': dict(generator.bit_generator.state)}), 'k')
    other = np.random.Generator(getattr(np.random, name)(6))
    other.bit_generator.state = data['state']
    assert other.random(5).tobytes() == generator.random(5).tobytes()


def test_arrays_come_back_whatever_their_layout_and_can_be_written_to() -> None:
    base = np.arange(24.0).reshape(4, 6)
    arrays = {
        'transposed': base.T,
        'strided': base[::2, 1::2],
        'reversed': base[::-1],
        'big_endian': base.astype('>f4'),
        'scalar': np.array(3.5),
        'fortran': np.asfortranarray(base),
    }
    for name, received in decode(encode('k', arrays), 'k').items():
        np.testing.assert_array_equal(received, arrays[name])
        assert received.shape == arrays[name].shape
        received[...] = 0.0


def test_scalars_of_numpy_become_plain_ones() -> None:
    data = decode(
        encode('k', {'a': np.float32(0.1), 'b': np.uint64(2**64 - 1), 'c': np.bool_(True)}), 'k'
    )
    assert same(data, {'a': float(np.float32(0.1)), 'b': 2**64 - 1, 'c': True})


@pytest.mark.parametrize(
    'value',
    [
        (1, 2),
        {1},
        1j,
        object(),
        np.array([object()], dtype=object),
        np.array(['a']),
        np.array([1j]),
        np.array(['2020-01-01'], 'M8[D]'),
        np.zeros(1, [('a', 'f4')]),
        np.ma.masked_array([1.0]),
        np.longdouble(1.0),
        np.zeros(1, np.longdouble),
        {1: 2},
        2**10_000,
        '\ud800',
        lambda: None,
    ],
)
def test_other_values_are_refused_by_the_name_of_their_place(value: Any) -> None:
    with pytest.raises(CheckpointError, match=r'data\.outer\[1\]\.inner|data cannot be saved'):
        encode('learner', {'outer': [0, {'inner': value}]})


def test_data_without_end_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless['again'] = endless
    with pytest.raises(CheckpointError, match='deeper'):
        encode('learner', endless)
    with pytest.raises(CheckpointError, match='expected a dict'):
        encode('learner', [1])  # type: ignore[arg-type]


def test_header_says_kind_version_and_what_the_writer_added() -> None:
    header = read_header(encode('learner', {}, {'task': 'cartpole', 'created': 1.5}))
    assert header == ('learner', __version__, {'task': 'cartpole', 'created': 1.5})
    assert read_header(encode('learner', {})).info == {}


# -------------------------------------------------------------------- damage

RAW = encode('learner', SAMPLE, {'task': 'cartpole'})


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_is_found(data: st.DataObject) -> None:
    damaged = bytearray(RAW)
    for at in data.draw(st.sets(st.integers(0, 8 * len(RAW) - 1), min_size=1, max_size=3)):
        damaged[at // 8] ^= 1 << (at % 8)
    with pytest.raises(CheckpointError):
        decode(bytes(damaged), 'learner')
    with pytest.raises(CheckpointError):
        read_header(bytes(damaged))


def test_every_single_flipped_bit_of_the_frame_is_found() -> None:
    for at in [*range(8 * 80), *range(8 * (len(RAW) - 40), 8 * len(RAW))]:
        damaged = bytearray(RAW)
        damaged[at // 8] ^= 1 << (at % 8)
        with pytest.raises(CheckpointError):
            decode(bytes(damaged), 'learner')


def test_every_truncation_is_found() -> None:
    for size in range(len(RAW)):
        with pytest.raises(CheckpointError):
            decode(RAW[:size], 'learner')


@settings(max_examples=200, deadline=None)
@given(extra=st.binary(min_size=1, max_size=50))
def test_bytes_too_many_are_found(extra: bytes) -> None:
    with pytest.raises(CheckpointError):
        decode(RAW + extra, 'learner')


@settings(max_examples=300, deadline=None)
@given(raw=st.binary(max_size=200), magic=st.booleans())
def test_any_other_bytes_are_refused(raw: bytes, magic: bool) -> None:
    with pytest.raises(CheckpointError):
        decode(MAGIC + raw if magic else raw, 'learner')


def sealed(payload: bytes, header: Any = None, version: int = codec.FORMAT_VERSION) -> bytes:
    """A file with a right checksum around any content, as only a forger writes it."""
    if header is None:
        header = {'kind': 'learner', 'nrl_ros': '0', 'info': {}}
    packed = header if isinstance(header, bytes) else msgpack.packb(header)
    body = struct.pack('<4sHIQ', MAGIC, version, len(packed), len(payload)) + packed + payload
    return body + codec._checksum(body)


@settings(max_examples=300, deadline=None)
@given(payload=st.binary(max_size=60))
def test_content_that_is_not_ours_is_refused_even_with_a_right_checksum(payload: bytes) -> None:
    with contextlib.suppress(CheckpointError):
        assert isinstance(decode(sealed(payload), 'learner'), dict)
    with pytest.raises(CheckpointError):
        decode(sealed(msgpack.packb({}), payload), 'learner')


@settings(max_examples=300, deadline=None)
@given(code=st.integers(0, 127), content=st.binary(max_size=40))
def test_extension_values_that_are_not_ours_are_refused(code: int, content: bytes) -> None:
    raw = sealed(msgpack.packb({'x': msgpack.ExtType(code, content)}))
    try:
        value = decode(raw, 'learner')['x']
    except CheckpointError:
        return
    assert isinstance(value, (int, np.ndarray))


def array_extension(dtype: bytes, shape: tuple[int, ...], content: bytes) -> bytes:
    head = dtype + bytes([len(shape)]) + struct.pack(f'<{len(shape)}Q', *shape) + content
    return sealed(msgpack.packb({'x': msgpack.ExtType(1, head)}))


@pytest.mark.parametrize(
    'raw',
    [
        array_extension(b'|O8', (1,), bytes(8)),
        array_extension(b'<M8', (1,), bytes(8)),
        array_extension(b'>f8', (1,), bytes(8)),
        array_extension(b'<f8', (2,), bytes(8)),
        array_extension(b'<f8', (2**62, 2**62), b''),
        array_extension(b'<f8', (2**63, 0), b''),
        array_extension(b'<f8', (1,) * 200, bytes(8)),
        array_extension(b'\xff\xff\xff', (1,), bytes(8)),
        sealed(msgpack.packb({1: 2})),
        sealed(msgpack.packb([1])),
        sealed(b'\x91' * 5000 + b'\xc0'),
        sealed(b'\xdd\xff\xff\xff\xff'),
        sealed(msgpack.packb({}) + b'\x00'),
        sealed(msgpack.packb({}), {'kind': 'learner'}),
        sealed(msgpack.packb({}), {'kind': 1, 'nrl_ros': '0', 'info': {}}),
        sealed(pickle.dumps({'a': 1})),
        pickle.dumps({'a': 1}),
    ],
)
def test_forged_content_is_refused(raw: bytes) -> None:
    with pytest.raises(CheckpointError):
        decode(raw, 'learner')


# ------------------------------------------------------------------ the texts


@pytest.mark.parametrize(
    ('raw', 'text'),
    [
        (b'', 'not a checkpoint of nrl_ros'),
        (b'PK\x03\x04 some zip file', "begins with b'PK"),
        (RAW[:3], 'cut off: received 3 bytes'),
        (RAW[:-1], f'cut off: received {len(RAW) - 1} bytes, expected {len(RAW)}'),
        (RAW + b'x', f'received {len(RAW) + 1} bytes, expected {len(RAW)}'),
        (RAW[:-1] + bytes([RAW[-1] ^ 1]), 'damaged.*use an earlier one'),
        (sealed(b'\x80', version=4), 'format 4.* reads 3: update nrl_ros'),
        (sealed(b'\x80', version=2), 'format 2.* reads 3: use it with the older'),
        (encode('environment', {}), "kind 'environment', expected 'learner'"),
    ],
)
def test_errors_say_what_was_received_and_expected(raw: bytes, text: str) -> None:
    with pytest.raises(CheckpointError, match=text):
        decode(raw, 'learner')


def test_nothing_is_ever_unpickled() -> None:
    source = Path(codec.__file__).read_text()
    assert 'pickle' not in source and 'allow_pickle' not in source
