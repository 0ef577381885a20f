"""Write checkpoint files so that each is whole or absent, and find and read them again."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nrl_ros.base.errors import CheckpointError
from nrl_ros.storage.codec import (
    MAX_BYTES,
    MAX_HEADER_BYTES,
    PREFIX_BYTES,
    Header,
    check_prefix,
    decode,
    encode,
    header_in,
)
from nrl_ros.storage.files import read_head, read_regular, reason, replace_whole, shown

SUFFIX = '.nrl'
# Of a critic, beside the checkpoints of its learner.
CRITIC_FILE = f'critic{SUFFIX}'
# An action message carries the number in 32 bits.
MAX_NUMBER = 2**32 - 1
NUMBERED = re.compile(rf'.+_\d{{8,}}{re.escape(SUFFIX)}')
_LISTED = 10

Skipped = Callable[[Path, CheckpointError], None]


def checkpoint_path(folder: Path, name: str, number: int) -> Path:
    """Return the file of a numbered checkpoint, such as ``folder/learner_00000012.nrl``.

    Args:
        folder: of the checkpoints.
        name: first part of the file name, such as 'learner' or 'environment_cartpole'; characters
            that may not occur in a file name are replaced.
        number: counts up from 0.

    Raises:
        CheckpointError: an action message cannot carry the number.
    """
    return folder / f'{file_name(name)}_{check_number(number):08d}{SUFFIX}'


def check_number(number: Any) -> int:
    """Return the number of a checkpoint as it was saved, or refuse it.

    Raises:
        CheckpointError: an action message cannot carry it.
    """
    if type(number) is not int or not 0 <= number <= MAX_NUMBER:
        raise CheckpointError(
            f'checkpoint number: expected 0 to {MAX_NUMBER}, received {shown(str(number))}'
        )
    return number


def make_folder(folder: Path) -> None:
    """Make a folder for checkpoints now, so that missing rights show before the first save.

    Raises:
        CheckpointError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f'checkpoint folder {folder} cannot be made: {reason(error)}'
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CheckpointError(f'checkpoint folder {folder} cannot be written to by this user')


def write_checkpoint(
    path: Path, kind: str, data: dict[str, Any], info: dict[str, Any] | None = None
) -> None:
    """Write a checkpoint so that a crash leaves either the whole new file or the old one.

    Args:
        path: of the file; its folder is made where it is missing. An old checkpoint of this kind is
            replaced, with its mode and owner; nothing else ever is.
        kind: what the data is of; ``read_checkpoint`` must name the same.
        data: plain data and arrays, see ``nrl_ros.storage.codec``.
        info: plain data on how it was made.

    Raises:
        CheckpointError: the data or the disk does not allow it; no part of a file is left behind.
    """
    raw = encode(kind, data, info)
    try:
        replace_whole(path, raw, lambda old: _refuse_another(old, kind))
    except CheckpointError as error:
        raise CheckpointError(f'checkpoint {path} cannot be written: {error}') from error
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f'checkpoint {path} of {len(raw)} bytes cannot be written: {reason(error)}'
        ) from error


def read_checkpoint(path: Path, kind: str) -> dict[str, Any]:
    """Return the data of a checkpoint file.

    Raises:
        CheckpointError: missing, not readable, damaged, of another version or kind; names it.
    """
    if _is_folder(path):
        raise CheckpointError(
            f'{path} is a folder, expected a checkpoint file; {_what_is_in(path)}'
        )
    try:
        raw = read_regular(path, _check_size, PREFIX_BYTES)
        return decode(raw, kind)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    except FileNotFoundError as error:
        raise CheckpointError(
            f'checkpoint {path} does not exist; {_what_is_in(path.parent)}'
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f'checkpoint {path} cannot be read: {reason(error)}') from error


def checkpoint_header(path: Path) -> Header:
    """Return the header of a checkpoint file without reading its data.

    Raises:
        CheckpointError: the file cannot be read, or nrl_ros did not write its header. The data
            behind the header is not checked.
    """
    try:
        head = read_head(path, PREFIX_BYTES + MAX_HEADER_BYTES)
        return header_in(head)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f'{path} cannot be read: {reason(error)}') from error


def _check_size(head: bytes, size: int) -> None:
    if size > MAX_BYTES:
        raise CheckpointError(
            f'it has {size} bytes, expected at most {MAX_BYTES}: it is not a checkpoint'
        )
    check_prefix(head, size)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def latest_checkpoint(
    folder: Path, name: str, kind: str | None = None, skipped: Skipped | None = None
) -> Path | None:
    """Return the newest readable checkpoint of a name.

    Args:
        folder: of the checkpoints.
        name: as in ``checkpoint_path``.
        kind: what the data must be of; None: the same as the name.
        skipped: called for each newer one that cannot be read, with the reason.

    Returns:
        Its file, None where there is none.
    """
    for _, path in reversed(numbered(folder, name)):
        try:
            read_checkpoint(path, name if kind is None else kind)
        except CheckpointError as error:
            if skipped is not None:
                skipped(path, error)
        else:
            return path
    return None


def find_checkpoint(path: Path, name: str, skipped: Skipped | None = None) -> Path | None:
    """Return the file that a path means: itself, or the newest readable checkpoint of a folder.

    Args:
        path: a file, or a folder of checkpoints.
        name: as in ``checkpoint_path``.
        skipped: called for each newer one that cannot be read, with the reason.

    Returns:
        None for a folder without any, and for one that does not exist yet.
    """
    if _is_folder(path) or not (path.suffix == SUFFIX or os.path.exists(path)):
        return latest_checkpoint(path, name, skipped=skipped)
    return path


def last_number(folder: Path, name: str) -> int:
    """Return the number of the newest checkpoint of a name, readable or not; 0 if there is none."""
    found = numbered(folder, name)
    return found[-1][0] if found else 0


def numbered(folder: Path, name: str) -> list[tuple[int, Path]]:
    """Return numbers and files of all checkpoints of a name, readable or not, the newest last."""
    pattern = re.compile(rf'{re.escape(file_name(name))}_(\d{{8,10}}){re.escape(SUFFIX)}')
    found = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            match = pattern.fullmatch(path.name)
            if match is not None and int(match[1]) <= MAX_NUMBER:
                found.append((int(match[1]), path))
    return sorted(found)


def file_name(name: str) -> str:
    """Return a name with each character replaced that may not occur in a file name."""
    return re.sub(r'[^A-Za-z0-9_.-]', '-', name).lstrip('.') or '-'


def _refuse_another(path: Path, kind: str) -> None:
    """Refuse to replace a file that is no checkpoint of the same kind."""
    try:
        found = checkpoint_header(path).kind
    except CheckpointError as error:
        raise CheckpointError(f'it is not written over: {error}') from error
    if found != kind:
        raise CheckpointError(
            f'{path} is a checkpoint of kind {found!r}: it is not written over with {kind!r}'
        )


def _what_is_in(folder: Path) -> str:
    """Return the list of a folder's checkpoints, for an error's text."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix == SUFFIX)
    except OSError as error:
        return f'its folder {folder} cannot be listed: {reason(error)}'
    if not names:
        return f'there are no checkpoints in {folder}'
    shown = ', '.join(names[-_LISTED:])
    more = f' and {len(names) - _LISTED} more' if len(names) > _LISTED else ''
    return f'in {folder} there are {shown}{more}'
