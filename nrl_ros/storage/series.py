"""Numbered checkpoints of one run: the newest few stay, those of other runs are never deleted."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import Any

from nrl_ros.base.errors import CheckpointError
from nrl_ros.storage.checkpoint import (
    checkpoint_header,
    checkpoint_path,
    file_name,
    last_number,
    make_folder,
    numbered,
    write_checkpoint,
)
from nrl_ros.storage.files import reason
from nrl_ros.storage.lock import FolderLock

# The header of a checkpoint holds the id of its run under this key.
_RUN = 'run'


class CheckpointSeries:
    """The checkpoints that a node writes into a folder; only the newest few stay.

    Each holds the id of its run. A node that continues from a checkpoint belongs to the same run.
    Only checkpoints of the node's own run are deleted, so a run that starts anew in a folder leaves
    there what earlier runs have learned.

    Args:
        folder: of the checkpoints; is made if it is missing.
        name: first part of the file names.
        kind: what the data is of.
        keep: how many checkpoints of the run stay, at least 1.

    Raises:
        CheckpointError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, name: str, kind: str, keep: int) -> None:
        make_folder(folder)
        self._folder = folder
        self._name, self._kind, self._keep = name, kind, keep
        self._run = secrets.token_hex(8)
        self._mine: list[Path] = []
        self._number = 0
        self._lock = FolderLock(folder, file_name(name))

    def hold(self) -> str:
        """Lock the series against other processes; returns and raises as FolderLock.hold."""
        return self._lock.hold()

    def release(self) -> None:
        """Release the lock, so that other processes can write here."""
        self._lock.release()

    def continue_from(self, file: Path) -> None:
        """Continue the run of a checkpoint, unless this series has written checkpoints already.

        Args:
            file: the checkpoint that was loaded; one of another folder changes nothing.
        """
        files = numbered(self._folder, self._name)
        number = next((n for n, path in files if path.resolve() == file.resolve()), None)
        if number is None or self._mine:
            return
        run = _run_of(file)
        if run:
            self._run = run
            # Later checkpoints belong to a branch that was given up. They stay, and are never
            # deleted here.
            self._mine = [path for n, path in files if n <= number and _run_of(path) == run]

    def next_number(self, least: int = 0) -> int:
        """Return the next number, above all in the folder, so that nothing is overwritten.

        Args:
            least: the last number that is known from elsewhere; the result is above it.
        """
        self._number = 1 + max(self._number, least, last_number(self._folder, self._name))
        return self._number

    def path(self, number: int) -> Path:
        """Return the file of a number."""
        return checkpoint_path(self._folder, self._name, number)

    def write(self, number: int, data: dict[str, Any]) -> Path:
        """Write a checkpoint and return its file.

        Raises:
            CheckpointError: the data or the disk does not allow it.
        """
        path = self.path(number)
        write_checkpoint(path, self._kind, data, {_RUN: self._run})
        if path not in self._mine:
            self._mine.append(path)
        return path

    def prune(self) -> list[Path]:
        """Delete all but the newest checkpoints of this run, and return the deleted files.

        Raises:
            CheckpointError: one cannot be deleted.
        """
        old, self._mine = self._mine[: -self._keep], self._mine[-self._keep :]
        for path in old:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise CheckpointError(
                    f'old checkpoint {path} cannot be deleted: {reason(error)}'
                ) from error
        return old


def _run_of(path: Path) -> str:
    """Return the run that a file belongs to, or an empty text if its header does not say."""
    with contextlib.suppress(CheckpointError):
        return str(checkpoint_header(path).info.get(_RUN, ''))
    return ''
