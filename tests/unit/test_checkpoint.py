"""Checkpoint files: whole or not at all, found again, and kept few."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import CheckpointError
from nrl_ros.storage import files as storage_files
from nrl_ros.storage.checkpoint import (
    checkpoint_path,
    find_checkpoint,
    last_number,
    latest_checkpoint,
    make_folder,
    read_checkpoint,
    write_checkpoint,
)
from tests.unit.fakes import same

DATA = {'weights': [np.arange(6.0)], 'number': 3}


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = checkpoint_path(tmp_path, 'learner', 12)
    assert path == tmp_path / 'learner_00000012.nrl'
    write_checkpoint(path, 'learner', DATA)
    assert same(read_checkpoint(path, 'learner'), DATA)
    assert files(tmp_path) == ['learner_00000012.nrl']


def test_a_missing_folder_is_made_and_an_old_file_replaced(tmp_path: Path) -> None:
    path = tmp_path / 'run' / 'checkpoints' / 'x.nrl'
    write_checkpoint(path, 'learner', {'a': 1})
    write_checkpoint(path, 'learner', {'a': 2})
    assert read_checkpoint(path, 'learner') == {'a': 2}


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('environment_cartpole', 'environment_cartpole_00000001.nrl'),
        ('environment_/arm_0/left arm', 'environment_-arm_0-left-arm_00000001.nrl'),
        ('../../etc', '-..-etc_00000001.nrl'),
        ('', '-_00000001.nrl'),
    ],
)
def test_any_name_stays_within_the_folder(tmp_path: Path, name: str, expected: str) -> None:
    assert checkpoint_path(tmp_path, name, 1) == tmp_path / expected


@pytest.mark.parametrize('number', [-1, 2**32, True, 1.0, None, '7'])
def test_numbers_that_no_action_can_tell_are_refused(tmp_path: Path, number: Any) -> None:
    with pytest.raises(CheckpointError, match=str(number)):
        checkpoint_path(tmp_path, 'learner', number)
    (tmp_path / 'learner_99999999999.nrl').write_bytes(b'')
    assert last_number(tmp_path, 'learner') == 0


@pytest.mark.parametrize('step', ['write', 'fsync', 'replace'])
@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_failure_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    path = tmp_path / 'x.nrl'
    write_checkpoint(path, 'learner', {'a': 1})

    def fail(*arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    if step == 'write':
        real = storage_files._write_synced

        def half(where: Path, raw: bytes, old: Any) -> None:
            real(where, raw[: len(raw) // 2], old)
            fail()

        monkeypatch.setattr(storage_files, '_write_synced', half)
    else:
        monkeypatch.setattr(os, step, fail)
    with pytest.raises(CheckpointError, match=os.strerror(number)) as caught:
        write_checkpoint(path, 'learner', {'a': 2})
    assert str(path) in str(caught.value)
    if number == errno.ENOSPC:
        assert 'free some space' in str(caught.value)
    monkeypatch.undo()
    assert files(tmp_path) == ['x.nrl']
    assert read_checkpoint(path, 'learner') == {'a': 1}


def test_data_that_cannot_be_saved_touches_no_file(tmp_path: Path) -> None:
    path = tmp_path / 'sub' / 'x.nrl'
    with pytest.raises(CheckpointError, match=r'data\.a'):
        write_checkpoint(path, 'learner', {'a': object()})
    assert files(tmp_path) == []


def test_an_interrupt_while_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'fsync', interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path / 'x.nrl', 'learner', DATA)
    assert files(tmp_path) == []


def test_file_and_folder_are_synced_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(descriptor: int) -> None:
        target = os.readlink(f'/proc/self/fd/{descriptor}')
        seen.append('folder' if target == str(tmp_path) else 'file')
        real_sync(descriptor)

    def replace(source: Path, target: Path) -> None:
        assert source.parent == target.parent
        seen.append('replace')
        real_replace(source, target)

    monkeypatch.setattr(os, 'fsync', sync)
    monkeypatch.setattr(os, 'replace', replace)
    write_checkpoint(tmp_path / 'x.nrl', 'learner', DATA)
    assert seen == ['file', 'replace', 'folder']


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(CheckpointError, match='cannot be written'):
        write_checkpoint(tmp_path / 'file' / 'x.nrl', 'learner', DATA)


def test_a_lack_of_rights_says_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the system calls say it; root, who may do everything, would never see it."""
    path = tmp_path / 'x.nrl'
    write_checkpoint(path, 'learner', DATA)

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, 'open', refuse)
    with pytest.raises(CheckpointError, match='give this user the right'):
        read_checkpoint(path, 'learner')
    monkeypatch.undo()
    monkeypatch.setattr(os, 'replace', refuse)
    with pytest.raises(CheckpointError, match='give this user the right'):
        write_checkpoint(path, 'learner', DATA)
    assert files(tmp_path) == ['x.nrl']
    monkeypatch.setattr(Path, 'mkdir', refuse)
    with pytest.raises(CheckpointError, match='give this user the right'):
        make_folder(tmp_path / 'locked')


def test_a_missing_file_says_what_is_there_instead(tmp_path: Path) -> None:
    path = tmp_path / 'learner_00000009.nrl'
    with pytest.raises(CheckpointError, match='there are no checkpoints in'):
        read_checkpoint(path, 'learner')
    for number in range(12):
        write_checkpoint(checkpoint_path(tmp_path, 'arm', number), 'learner', {})
    with pytest.raises(CheckpointError, match='does not exist') as caught:
        read_checkpoint(path, 'learner')
    text = str(caught.value)
    assert str(path) in text and 'arm_00000011.nrl and 2 more' in text
    with pytest.raises(CheckpointError, match='cannot be listed'):
        read_checkpoint(tmp_path / 'no' / 'x.nrl', 'learner')


def test_a_folder_says_what_is_in_it(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / 'a.nrl', 'learner', {})
    with pytest.raises(CheckpointError, match=r'is a folder.*a\.nrl'):
        read_checkpoint(tmp_path, 'learner')


@pytest.mark.parametrize('raw', [b'', b'not a checkpoint', b'NRL1'])
def test_damage_is_reported_with_the_file(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / 'x.nrl'
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=str(path)):
        read_checkpoint(path, 'learner')


def test_another_kind_is_refused_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'x.nrl'
    write_checkpoint(path, 'environment', {})
    with pytest.raises(CheckpointError, match=r"x\.nrl.*'environment', expected 'learner'"):
        read_checkpoint(path, 'learner')


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / 'x.nrl'
    with path.open('wb') as file:
        file.truncate(2**33)
    with pytest.raises(CheckpointError, match='not a checkpoint'):
        read_checkpoint(path, 'learner')


def test_the_newest_readable_one_is_found_and_others_reported(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path, 'learner') is None
    assert latest_checkpoint(tmp_path / 'missing', 'learner') is None
    for number in (2, 10, 9):
        write_checkpoint(checkpoint_path(tmp_path, 'learner', number), 'learner', {})
    write_checkpoint(checkpoint_path(tmp_path, 'learner_b', 50), 'learner', {})
    (tmp_path / 'learner_99.nrl').write_bytes(b'of another naming')
    assert latest_checkpoint(tmp_path, 'learner') == checkpoint_path(tmp_path, 'learner', 10)
    damaged = checkpoint_path(tmp_path, 'learner', 123_456_789)
    damaged.write_bytes(b'NRL1 cut off')
    other = checkpoint_path(tmp_path, 'learner', 11)
    write_checkpoint(other, 'environment', {})
    skipped: list[tuple[Path, str]] = []
    found = latest_checkpoint(
        tmp_path, 'learner', skipped=lambda path, error: skipped.append((path, str(error)))
    )
    assert found == checkpoint_path(tmp_path, 'learner', 10)
    assert [path for path, _ in skipped] == [damaged, other]
    assert all(str(path) in text for path, text in skipped)


def test_the_kind_may_differ_from_the_name(tmp_path: Path) -> None:
    path = checkpoint_path(tmp_path, 'environment_arm/0', 1)
    write_checkpoint(path, 'environment', {})
    assert latest_checkpoint(tmp_path, 'environment_arm/0', 'environment') == path
    assert latest_checkpoint(tmp_path, 'environment_arm/0') is None


def test_a_folder_stands_for_its_newest_readable_checkpoint(tmp_path: Path) -> None:
    missing = tmp_path / 'not_yet'
    assert find_checkpoint(missing, 'learner') is None
    assert last_number(missing, 'learner') == 0
    assert find_checkpoint(tmp_path / 'x.nrl', 'learner') == tmp_path / 'x.nrl'
    good = checkpoint_path(tmp_path, 'learner', 7)
    write_checkpoint(good, 'learner', {})
    checkpoint_path(tmp_path, 'learner', 8).write_bytes(b'NRL1 cut off')
    assert find_checkpoint(tmp_path, 'learner') == good
    # The damaged one keeps its number: whoever looks into it later shall still find it.
    assert last_number(tmp_path, 'learner') == 8
