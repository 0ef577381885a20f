"""Checkpoint files: written whole or not at all, found again, and kept few."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nrl_ros.core.errors import CheckpointError
from nrl_ros.storage.codec import MAX_BYTES, decode, encode

SUFFIX = '.nrl'
_LISTED = 10
# A file system that cannot sync a folder says one of these; the file itself is synced by then.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)

Skipped = Callable[[Path, CheckpointError], None]


def checkpoint_path(folder: Path, name: str, number: int) -> Path:
    """File of a numbered checkpoint, as ``folder/learner_00000012.nrl``.

    Args:
        folder: of the checkpoints.
        name: first part of the file name, as 'learner' or 'environment_cartpole'; characters that
            do not belong into a file name are replaced.
        number: counts up from 0.

    Raises:
        CheckpointError: the number is negative.
    """
    if number < 0:
        raise CheckpointError(f'checkpoint number: expected 0 or more, received {number}')
    return folder / f'{_safe(name)}_{number:08d}{SUFFIX}'


def make_folder(folder: Path) -> None:
    """Make a folder for checkpoints now, so that a lack of rights is told before there is a need.

    Raises:
        CheckpointError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f'checkpoint folder {folder} cannot be made: {_reason(error)}'
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CheckpointError(f'checkpoint folder {folder} cannot be written to by this user')


def write_checkpoint(
    path: Path, kind: str, data: dict[str, Any], info: dict[str, Any] | None = None
) -> None:
    """Write a checkpoint so that after a crash either the whole new file is there or the old one.

    Args:
        path: of the file; its folder is made where it is missing, an old file is replaced.
        kind: what the data is of; ``read_checkpoint`` must name the same.
        data: plain data and arrays, see ``nrl_ros.storage.codec``.
        info: plain data on how it was made.

    Raises:
        CheckpointError: the data or the disk does not allow it; no part of a file is left behind.
    """
    raw = encode(kind, data, info)
    # In the same folder, since only there the renaming is atomic; hidden, not ending in SUFFIX.
    unfinished = path.parent / f'.{path.name}.{secrets.token_hex(4)}.tmp'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_synced(unfinished, raw)
            os.replace(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise CheckpointError(
            f'checkpoint {path} of {len(raw)} bytes cannot be written: {_reason(error)}'
        ) from error


def read_checkpoint(path: Path, kind: str) -> dict[str, Any]:
    """Data of a checkpoint file.

    Raises:
        CheckpointError: missing, not readable, damaged, of another version or kind; names it.
    """
    if path.is_dir():
        raise CheckpointError(
            f'{path} is a folder, expected a checkpoint file; {_what_is_in(path)}'
        )
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise CheckpointError(
                f'{path} has {size} bytes, expected at most {MAX_BYTES}: it is not a checkpoint'
            )
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(
            f'checkpoint {path} does not exist; {_what_is_in(path.parent)}'
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f'checkpoint {path} cannot be read: {_reason(error)}') from error
    try:
        return decode(raw, kind)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error


def latest_checkpoint(
    folder: Path, name: str, kind: str | None = None, skipped: Skipped | None = None
) -> Path | None:
    """Newest checkpoint of a name that can be read.

    Args:
        folder: of the checkpoints.
        name: as in ``checkpoint_path``.
        kind: what the data must be of; None: the same as the name.
        skipped: called for each newer one that cannot be read, with the reason.

    Returns:
        Its file, None where there is none.
    """
    for path in reversed(_numbered(folder, name)):
        try:
            read_checkpoint(path, name if kind is None else kind)
        except CheckpointError as error:
            if skipped is not None:
                skipped(path, error)
        else:
            return path
    return None


def find_checkpoint(path: Path, name: str, skipped: Skipped | None = None) -> Path | None:
    """The file meant by a path: itself, or the newest checkpoint that can be read in a folder.

    Args:
        path: a file, or a folder of checkpoints.
        name: as in ``checkpoint_path``.
        skipped: called for each newer one that cannot be read, with the reason.

    Returns:
        None for a folder without any, and for one that does not exist yet.
    """
    if path.is_dir() or not (path.suffix == SUFFIX or path.exists()):
        return latest_checkpoint(path, name, skipped=skipped)
    return path


def last_number(folder: Path, name: str) -> int:
    """Number of the newest checkpoint of a name, readable or not; 0 where there is none."""
    numbered = _numbered(folder, name)
    return int(numbered[-1].stem.rpartition('_')[2]) if numbered else 0


def prune_checkpoints(folder: Path, name: str, keep: int) -> list[Path]:
    """Delete all but the newest checkpoints of a name.

    Args:
        folder: of the checkpoints.
        name: as in ``checkpoint_path``; others are left alone.
        keep: how many stay, at least 1.

    Returns:
        What was deleted.

    Raises:
        CheckpointError: keep is less than 1, or a file cannot be deleted.
    """
    if keep < 1:
        raise CheckpointError(f'checkpoints to keep: expected at least 1, received {keep}')
    old = _numbered(folder, name)[:-keep]
    for path in old:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(
                f'old checkpoint {path} cannot be deleted: {_reason(error)}'
            ) from error
    return old


def _safe(name: str) -> str:
    return re.sub(r'[^A-Za-z0-9_.-]', '-', name).lstrip('.') or '-'


def _numbered(folder: Path, name: str) -> list[Path]:
    """Checkpoints of a name, the newest last."""
    pattern = re.compile(rf'{re.escape(_safe(name))}_(\d{{8,}}){re.escape(SUFFIX)}')
    found = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            match = pattern.fullmatch(path.name)
            if match is not None:
                found.append((int(match[1]), path))
    return [path for _, path in sorted(found)]


def _write_synced(path: Path, raw: bytes) -> None:
    with path.open('xb') as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def _reason(error: OSError | ValueError) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f'{text}; free some space or name a folder on another disk'
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f'{text}; give this user the right to it or name another folder'
    return text


def _what_is_in(folder: Path) -> str:
    """The checkpoints of a folder, for an error's text."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix == SUFFIX)
    except OSError as error:
        return f'its folder {folder} cannot be listed: {_reason(error)}'
    if not names:
        return f'there are no checkpoints in {folder}'
    shown = ', '.join(names[-_LISTED:])
    more = f' and {len(names) - _LISTED} more' if len(names) > _LISTED else ''
    return f'in {folder} there are {shown}{more}'
