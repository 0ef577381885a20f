"""A run's checkpoints in a folder: held against others, kept few, and rescued when it is full."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nrl_ros.base.errors import CheckpointError
from nrl_ros.storage import lock as storage_lock
from nrl_ros.storage.checkpoint import checkpoint_path, read_checkpoint, write_checkpoint
from nrl_ros.storage.lock import FolderLock
from nrl_ros.storage.rescue import rescue
from nrl_ros.storage.series import CheckpointSeries


def series(folder: Path, keep: int = 2, name: str = 'learner') -> CheckpointSeries:
    return CheckpointSeries(folder, name, 'learner', keep)


def save(one: CheckpointSeries, count: int = 1) -> Path:
    for _ in range(count):
        path = one.write(one.next_number(), {})
        one.prune()
    return path


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem.rpartition('_')[2]) for path in folder.glob('learner_*.nrl'))


def test_only_the_newest_of_a_run_stay(tmp_path: Path) -> None:
    mine = ['learner_x_00000001.nrl', 'learner_1.nrl', 'learner_00000001.nrl.bak', 'notes.txt']
    for name in mine:
        (tmp_path / name).write_text('')
    one = series(tmp_path)
    assert save(one, 4) == checkpoint_path(tmp_path, 'learner', 4)
    assert one.prune() == []
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted([*mine, 'learner_00000003.nrl', 'learner_00000004.nrl'])


def test_a_run_that_starts_anew_leaves_what_earlier_ones_have_learned(tmp_path: Path) -> None:
    write_checkpoint(checkpoint_path(tmp_path, 'learner', 1), 'learner', {})
    save(series(tmp_path), 3)
    save(series(tmp_path), 5)
    # That of a version that did not say its run, two of each run.
    assert numbers(tmp_path) == [1, 3, 4, 8, 9]


def test_a_run_that_continues_prunes_its_own(tmp_path: Path) -> None:
    save(series(tmp_path), 2)
    other = save(series(tmp_path, name='other'))
    last = save(series(tmp_path), 2)
    again = series(tmp_path)
    again.continue_from(last)
    save(again)
    assert numbers(tmp_path) == [1, 2, 4, 5]
    elsewhere = series(tmp_path)
    elsewhere.continue_from(other)
    save(elsewhere)
    assert numbers(tmp_path) == [1, 2, 4, 5, 6]


def test_a_branch_that_was_given_up_stays(tmp_path: Path) -> None:
    save(series(tmp_path, keep=9), 4)
    again = series(tmp_path)
    again.continue_from(checkpoint_path(tmp_path, 'learner', 2))
    save(again, 2)
    assert numbers(tmp_path) == [3, 4, 5, 6]
    # A load in between does not make a run forget what it has written.
    again.continue_from(checkpoint_path(tmp_path, 'learner', 3))
    save(again)
    assert numbers(tmp_path) == [3, 4, 6, 7]


@pytest.mark.parametrize('failing', ['unlink'])
def test_a_file_that_cannot_be_deleted_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    one = series(tmp_path, keep=1)
    save(one)
    path = one.write(one.next_number(), {})

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, failing, refuse)
    with pytest.raises(CheckpointError, match='learner_00000001.nrl cannot be deleted'):
        one.prune()
    assert read_checkpoint(path, 'learner') == {}


HOLDER = """
import sys
from pathlib import Path
from nrl_ros.storage.lock import FolderLock
print(repr(FolderLock(Path(sys.argv[1]), 'learner').hold()), flush=True)
sys.stdin.read()
"""


def test_a_folder_in_use_is_refused_until_its_user_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, '-c', HOLDER, str(tmp_path)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "''\n"
        one = FolderLock(tmp_path, 'learner')
        with pytest.raises(CheckpointError, match=f'in use: process {holder.pid} on .*its own'):
            one.hold()
        another = FolderLock(tmp_path, 'environment_a')
        assert another.hold() == ''
        another.release()
    finally:
        # As kill -9 does it: nothing is tidied up.
        holder.kill()
        holder.communicate()
    assert (tmp_path / '.learner.lock').exists()
    assert one.hold() == ''
    one.release()
    one.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_on_a_file_that_was_removed_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking its last user may have left."""
    path = tmp_path / '.learner.lock'
    real, removed = storage_lock.fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not removed:
            removed.append(path.unlink())
        real(descriptor, how)

    monkeypatch.setattr(storage_lock.fcntl, 'flock', late)
    one, two = FolderLock(tmp_path, 'learner'), FolderLock(tmp_path, 'learner')
    assert one.hold() == '' and path.exists()
    with pytest.raises(CheckpointError, match='in use'):
        two.hold()


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(storage_lock.fcntl, 'flock', none)
    assert 'has no locks (No locks available)' in FolderLock(tmp_path, 'learner').hold()


def test_a_lock_file_of_another_kind_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / 'thesis.tex').write_text('years of work')
    (tmp_path / '.learner.lock').symlink_to('thesis.tex')
    with pytest.raises(CheckpointError, match='cannot be locked'):
        FolderLock(tmp_path, 'learner').hold()
    os.mkfifo(tmp_path / '.critic.lock')
    with pytest.raises(CheckpointError, match='in use'):
        FolderLock(tmp_path, 'critic').hold()
    assert (tmp_path / 'thesis.tex').read_text() == 'years of work'


def test_what_finds_no_place_is_rescued_elsewhere(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    places = [tmp_path / 'missing', tmp_path / 'file', tmp_path]
    said = rescue('policy', 'learner', {'a': 1}, places)
    copies = list(tmp_path.glob('nrl_ros_rescued_*/policy.nrl'))
    assert len(copies) == 1 and str(copies[0]) in said
    assert read_checkpoint(copies[0], 'learner') == {'a': 1}
    assert copies[0].parent.stat().st_mode & 0o077 == 0
    said = rescue('policy', 'learner', {'a': 1}, places[:2])
    assert 'it is lost' in said and str(places[0]) in said
    said = rescue('policy', 'learner', {'a': object()}, places)
    assert 'it is lost' in said
    assert len(list(tmp_path.iterdir())) == 2
