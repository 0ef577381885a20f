"""Read and replace files, each one whole; those of checkpoints only if they are regular files."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from nrl_ros.base.errors import CheckpointError

# A file system that cannot sync a folder raises one of these. The file itself is synced by then.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, 'a folder'),
    (stat.S_ISLNK, 'a symbolic link'),
    (stat.S_ISFIFO, 'a named pipe'),
    (stat.S_ISSOCK, 'a socket'),
    (stat.S_ISCHR, 'a device'),
    (stat.S_ISBLK, 'a device'),
)
_SHOWN = 200


def path_below(text: str, folder: str, *, anywhere: bool = False) -> Path:
    """Return the path that a client asks for, checked to lie in the folder that clients may use.

    Symbolic links and ``..`` are resolved first, so the check is made on the real place of the
    file.

    Args:
        text: path as received; a relative one is taken from the folder.
        folder: the path must be this folder or lie in it; empty: no folder is set.
        anywhere: True allows every path.

    Raises:
        CheckpointError: the path lies elsewhere, or the text is no path.
    """
    if not folder and not anywhere:
        raise CheckpointError(
            f'path {shown(text)}: checkpoint.folder is not set, and only paths in it are taken '
            'unless checkpoint.anywhere is true'
        )
    if not text or '\0' in text:
        raise CheckpointError(f'path {shown(text)}: expected the name of a file')
    try:
        base = os.path.realpath(folder)
        path = os.path.realpath(os.path.join(base, text))
    except (OSError, ValueError) as error:
        raise CheckpointError(f'path {shown(text)} cannot be used: {reason(error)}') from error
    if not anywhere and path != base and not path.startswith(base.rstrip(os.sep) + os.sep):
        raise CheckpointError(
            f'path {shown(text)} lies outside of the checkpoint folder {folder}: name a file in '
            'it, or start the node with checkpoint.anywhere: true'
        )
    return Path(path)


def read_regular(path: Path, check: Callable[[bytes, int], object], head_bytes: int) -> bytes:
    """Return all bytes of a regular file.

    Args:
        path: of the file; a symbolic link is followed.
        check: called with the first bytes and the size of the file before the rest is read. It may
            raise for a file that is too large or that nrl_ros did not write.
        head_bytes: how many first bytes the check gets.

    Raises:
        CheckpointError: it is no regular file; opening a pipe or a device could wait for ever.
        OSError: it cannot be read.
        ValueError: it is no path.
    """
    _check_regular(path, os.stat(path).st_mode)
    # With O_NONBLOCK, opening does not wait even if a pipe has replaced the file since the check.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, 'rb') as file:
        found = os.fstat(descriptor)
        _check_regular(path, found.st_mode)
        head = file.read(head_bytes)
        check(head, found.st_size)
        # A file that grows meanwhile is read only up to the size that was checked.
        return head + file.read(max(found.st_size - len(head), 0))


def read_head(path: Path, most_bytes: int) -> bytes:
    """Return the first bytes of a regular file; raises the errors of ``read_regular``."""
    _check_regular(path, os.stat(path).st_mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, 'rb') as file:
        _check_regular(path, os.fstat(descriptor).st_mode)
        return file.read(most_bytes)


def replace_whole(path: Path, raw: bytes, check: Callable[[Path], object]) -> None:
    """Write a file so that after a crash either the whole new one is there or the old one.

    The new one has mode, owner and group of the old one, as far as this user may give them.

    Args:
        path: of the file; its folder is made where it is missing.
        raw: its content.
        check: called with the path of a regular file that would be replaced; may raise.

    Raises:
        CheckpointError: there is something that is no regular file.
        OSError: the disk or its rights do not allow it; no part of a file is left behind.
        ValueError: it is no path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    old = _state(path)
    if old is not None:
        _check_regular(path, old.st_mode)
        check(path)
    # The unfinished file lies in the same folder, since renaming is atomic only there. It is hidden
    # and has another suffix, so that nobody takes it for a checkpoint.
    unfinished = path.parent / f'.{path.name}.{secrets.token_hex(4)}.tmp'
    try:
        _write_synced(unfinished, raw, old)
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
    _sync_folder(path.parent)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Make a temporary path for a ``with`` block to write, and then give the file its own name.

    A block that fails or is interrupted leaves what was there before.
    """
    temporary = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def reason(error: OSError | ValueError) -> str:
    """Return why a file could not be used, and how to mend it where that is known."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f'{text}; free some space or name a folder on another disk'
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f'{text}; give this user the right to it or name another folder'
    return text


def shown(text: str) -> str:
    """Return a text from outside quoted, on one line and not too long, for an error."""
    return repr(text if len(text) <= _SHOWN else f'{text[:_SHOWN]}... ({len(text)} characters)')


def _state(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _check_regular(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((name for holds, name in _KINDS if holds(mode)), 'no regular file')
    raise CheckpointError(f'{path} is {kind}, expected a regular file')


def _write_synced(path: Path, raw: bytes, old: os.stat_result | None) -> None:
    with path.open('xb') as file:
        if old is not None:
            _take_over(file.fileno(), old)
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def _take_over(descriptor: int, old: os.stat_result) -> None:
    """Give a new file the owner, group and mode of the file that it replaces."""
    made = os.fstat(descriptor)
    for user, group in ((old.st_uid, -1), (-1, old.st_gid)):
        # Only root may change the owner, and other users may set only groups that they belong to.
        with contextlib.suppress(PermissionError):
            if (user, group) not in ((made.st_uid, -1), (-1, made.st_gid)):
                os.fchown(descriptor, user, group)
    # The mode is set after the owner, since a change of the owner may clear some of its bits.
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


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
