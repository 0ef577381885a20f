"""What somebody else names as a checkpoint: only such files are read or written, in one folder."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nrl_ros.base.errors import CheckpointError
from nrl_ros.storage.checkpoint import (
    checkpoint_header,
    find_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from nrl_ros.storage.codec import MAGIC, MAX_BYTES, encode
from nrl_ros.storage.files import path_below

DATA = {'a': 1}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint folder with links that lead out, and a file outside."""
    made = tmp_path / 'checkpoints'
    (made / 'sub').mkdir(parents=True)
    (tmp_path / 'checkpoints_of_others').mkdir()
    (tmp_path / 'thesis.tex').write_text('years of work')
    (made / 'out').symlink_to(tmp_path)
    (made / 'thesis').symlink_to(tmp_path / 'thesis.tex')
    (made / 'nowhere').symlink_to(tmp_path / 'new.nrl')
    (made / 'round').symlink_to(made / 'round')
    write_checkpoint(made / 'mine.nrl', 'learner', DATA)
    (made / 'link.nrl').symlink_to('mine.nrl')
    return made


@pytest.mark.parametrize(
    'text', ['now.nrl', 'sub/now.nrl', 'a/b/c.nrl', 'sub/../now.nrl', '.', 'ä']
)
def test_names_below_the_folder_are_taken(folder: Path, text: str) -> None:
    expected = Path(os.path.normpath(folder / text))
    assert path_below(text, str(folder)) == expected
    assert path_below(str(expected), str(folder)) == expected


@pytest.mark.parametrize(
    'text',
    [
        '',
        '..',
        '../thesis.tex',
        'sub/../../thesis.tex',
        '/etc/passwd',
        '/',
        'out/thesis.tex',
        'thesis',
        'nowhere',
        '../checkpoints_of_others/x.nrl',
        'a\0b',
        '~/../../x',
        '/proc/self/fd/0',
    ],
)
def test_all_else_is_refused_in_one_line(folder: Path, text: str) -> None:
    if text.startswith('~'):
        # A tilde is a name like any other.
        assert path_below('~/x', str(folder)) == folder / '~' / 'x'
    with pytest.raises(CheckpointError, match='path') as caught:
        path_below(text, str(folder))
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 700
    with pytest.raises(CheckpointError, match='path'):
        path_below(text, '')
    if text.startswith('/etc'):
        assert path_below(text, str(folder), anywhere=True) == Path(os.path.realpath(text))


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(st.sampled_from(['..', '.', '', 'sub', 'out', 'x' * 300, 'a\n', '/', 'é'])))
@example(parts=['x' * 5000])
@example(parts=['../' * 3000])
def test_no_path_leads_out(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    base = tmp_path_factory.getbasetemp() / 'held'
    base.mkdir(exist_ok=True)
    (base / 'out').exists() or (base / 'out').symlink_to('/')
    try:
        path = path_below('/'.join(parts), str(base))
    except CheckpointError:
        return
    assert os.path.realpath(path) == str(path)
    assert path == base or base in path.parents
    # However odd, it is written or refused with an error of ours, never with another.
    try:
        write_checkpoint(path, 'learner', DATA)
        assert read_checkpoint(path, 'learner') == DATA
        assert find_checkpoint(path, 'learner') == path
    except CheckpointError:
        pass


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


OTHERS: list[tuple[str, Callable[[Path], Any]]] = [
    ('a named pipe', make_pipe),
    ('a socket', make_socket),
    ('a folder', Path.mkdir),
    ('a symbolic link', lambda path: path.symlink_to('/dev/null')),
    ('begins with', lambda path: path.write_text('years of work')),
    ('begins with', lambda path: path.write_bytes(b'')),
    ('cut off', lambda path: path.write_bytes(MAGIC + b' is how my text begins')),
    ('cut off', lambda path: path.write_bytes(MAGIC)),
    ("kind 'critic'", lambda path: write_checkpoint(path, 'critic', DATA)),
]


@pytest.mark.parametrize(('said', 'make'), OTHERS, ids=range(len(OTHERS)))
def test_what_is_no_checkpoint_of_the_kind_is_neither_written_over_nor_read(
    tmp_path: Path, said: str, make: Callable[[Path], Any]
) -> None:
    path = tmp_path / 'x.nrl'
    make(path)
    before = os.lstat(path)
    content = path.read_bytes() if path.is_file() else None
    with pytest.raises(CheckpointError, match='cannot be written') as caught:
        write_checkpoint(path, 'learner', DATA)
    # A header that ends early cannot be told from one that never was one.
    assert said in str(caught.value) or said == 'cut off'
    after = os.lstat(path)
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (
        before.st_ino,
        before.st_mode,
        before.st_mtime_ns,
    )
    assert content is None or path.read_bytes() == content
    assert os.listdir(tmp_path) == ['x.nrl']
    with pytest.raises(CheckpointError):
        read_checkpoint(path, 'learner')


def test_devices_are_not_opened(tmp_path: Path) -> None:
    for path in (Path('/dev/zero'), Path('/dev/tty')):
        if not path.exists():
            continue
        for attempt in (read_checkpoint, lambda one, _: checkpoint_header(one)):
            with pytest.raises(CheckpointError, match='is a device'):
                attempt(path, 'learner')  # type: ignore[operator]


def test_a_damaged_checkpoint_of_ours_is_replaced(tmp_path: Path) -> None:
    """A critic whose file was cut off must be saved again."""
    path = tmp_path / 'critic.nrl'
    write_checkpoint(path, 'critic', {'weights': list(range(1000))})
    path.write_bytes(path.read_bytes()[:-50])
    write_checkpoint(path, 'critic', DATA)
    assert read_checkpoint(path, 'critic') == DATA


def test_mode_and_owner_are_kept(tmp_path: Path) -> None:
    path = tmp_path / 'x.nrl'
    write_checkpoint(path, 'learner', DATA)
    for mode in (0o600, 0o640, 0o666):
        path.chmod(mode)
        if os.getuid() == 0:
            os.chown(path, 1234, 4321)
        before = path.stat()
        write_checkpoint(path, 'learner', {'mode': mode})
        after = path.stat()
        assert (after.st_mode, after.st_uid, after.st_gid) == (
            before.st_mode,
            before.st_uid,
            before.st_gid,
        )
        assert read_checkpoint(path, 'learner') == {'mode': mode}


def framed(payload: bytes) -> bytes:
    """A payload in a frame that is all right."""
    header = msgpack.packb({'kind': 'learner', 'nrl_ros': '1', 'info': {}})
    body = struct.pack('<4sHIQ', MAGIC, 1, len(header), len(payload)) + header + payload
    return body + hashlib.blake2b(body, digest_size=32).digest()


@pytest.mark.parametrize(
    'payload',
    [
        b'\xdc\xff\xff' + b'\x80' * 65_535 + b'\x80',
        b'\x91' * 100_000 + b'\xc0',
        b'\xdd\xff\xff\xff\xff',
        b'\xdf\x7f\xff\xff\xff',
        b'\xdd\x00\x20\x00\x00' + b'\x80' * 2**21,
        b'\x82' + 2 * (b'\xa1a\xdd\x00\x08\x00\x00' + b'\xc0' * 2**19),
        b'\xc7\x0a\x01|b1\xff' + b'\xff' * 6,
        b'\xc7\x14\x01<f8\x02' + struct.pack('<QQ', 2**62, 4),
    ],
    ids=['trailing', 'deep', 'list', 'map', 'maps', 'many in all', 'dimensions', 'shape'],
)
def test_a_crafted_file_takes_no_more_memory_than_it_may(tmp_path: Path, payload: bytes) -> None:
    path = tmp_path / 'x.nrl'
    path.write_bytes(framed(payload))
    with pytest.raises(CheckpointError, match=str(path)):
        read_checkpoint(path, 'learner')


def test_more_values_than_are_read_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match='1000000 values'):
        encode('learner', {'a': [[0] * 600_000, [0] * 600_000]})


@pytest.mark.parametrize('size', [MAX_BYTES - 1, MAX_BYTES + 1, 2**40])
def test_the_size_is_checked_before_anything_is_read(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'x.nrl'
    head = struct.pack('<4sHIQ', MAGIC, 1, 10, 2**50)
    path.write_bytes(head)
    os.truncate(path, size)
    real, read = os.fdopen, []

    def watched(*arguments: Any) -> Any:
        file = real(*arguments)

        class Watched:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def read(self, count: int) -> bytes:
                read.append(count)
                return bytes(file.read(count))

        return Watched()

    monkeypatch.setattr(os, 'fdopen', watched)
    with pytest.raises(CheckpointError):
        read_checkpoint(path, 'learner')
    assert sum(read) == len(head)
