"""Lock that lets one process at a time write the checkpoints of a name into a folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
from pathlib import Path

from nrl_ros.base.errors import CheckpointError
from nrl_ros.storage.files import reason

# Another process holds the lock. All other errors mean that the file system has no locks.
_HELD = (errno.EWOULDBLOCK, errno.EACCES)
_MOST_BYTES = 200
_TRIES = 10


class FolderLock:
    """Keeps other processes from writing checkpoints of the same name into the same folder.

    It is a ``flock`` on a hidden file: the system releases it when the process ends, however it
    ends. Over NFS it holds between hosts if the server supports locks (NFS 4, or 3 with lockd).
    Other network file systems may hold it on one host only, or have no locks, which ``hold``
    reports.

    Args:
        folder: of the checkpoints.
        name: first part of their file names.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._path = folder / f'.{name}.lock'
        self._name = name
        self._descriptor: int | None = None

    def hold(self) -> str:
        """Take the lock.

        Returns:
            Empty, or why this file system cannot tell whether somebody else writes here.

        Raises:
            CheckpointError: another process has it, or the folder cannot be written to.
        """
        for _ in range(_TRIES):
            try:
                descriptor = os.open(
                    self._path,
                    os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK,
                    0o644,
                )
            except OSError as error:
                raise CheckpointError(
                    f'checkpoint folder {self._folder} cannot be locked: {reason(error)}'
                ) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                owner = self._owner(descriptor)
                os.close(descriptor)
                if error.errno in _HELD:
                    raise self._taken(owner) from error
                return (
                    f'the file system of {self._folder} has no locks ({reason(error)}): let no '
                    'other run save there'
                )
            if self._is_there(descriptor):
                self._sign(descriptor)
                self._descriptor = descriptor
                return ''
            # The former owner removed the file between opening and locking. A lock on a removed
            # file excludes nobody, so try again.
            os.close(descriptor)
        raise self._taken('others that come and go')

    def release(self) -> None:
        """Release the lock if it is held, and remove its file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        if self._is_there(descriptor):
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(descriptor)

    def _taken(self, owner: str) -> CheckpointError:
        return CheckpointError(
            f'checkpoint folder {self._folder} is in use: {owner} saves {self._name!r} there, and '
            'two would delete what the other has learned; end that one, or give this one a folder '
            'of its own (checkpoint_folder:= of the launch files)'
        )

    def _owner(self, descriptor: int) -> str:
        with contextlib.suppress(OSError):
            text = os.pread(descriptor, _MOST_BYTES, 0).decode(errors='replace').strip()
            if text and text.isprintable():
                return text
        return 'another process'

    def _is_there(self, descriptor: int) -> bool:
        """Return whether the path still names the file that is open, and a regular one."""
        mine = os.fstat(descriptor)
        try:
            found = os.lstat(self._path)
        except OSError:
            return False
        same = (mine.st_dev, mine.st_ino) == (found.st_dev, found.st_ino)
        return same and stat.S_ISREG(mine.st_mode)

    def _sign(self, descriptor: int) -> None:
        # On a full disk the owner cannot be written down, but the lock holds all the same.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f'process {os.getpid()} on {socket.gethostname()}\n'.encode(), 0)
