"""Holds back what a start writes into a run folder until the run has begun."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from nrl_ros.base.errors import CheckpointError
from nrl_ros.cli.runs import STARTING, Run, RunError, write_whole
from nrl_ros.storage.checkpoint import SUFFIX
from nrl_ros.storage.lock import FolderLock


def _nothing() -> None:
    """Do nothing."""


class Start:
    """A start of a run, for a ``with`` block: it begins, or it leaves the folder as it was.

    Its files wait in a hidden folder, where the nodes read them. ``begin`` copies them into the run
    folder, once the first step is done; the hidden folder stays until the block ends, since a node
    that is started later, such as one that brings an arm to rest, reads the same files. A start
    that ends before has written nothing but the logs of its nodes, so that a failed resume spoils
    no run and a failed command can be given again.

    Args:
        run: its folder; it is locked against other starts until the block ends.
        fresh: the run is new, so that nothing of it stays if it does not begin.
        meanwhile: changes what is in the folder already, when the run begins.

    Attributes:
        fresh: as given.
        folder: where files wait; all of it is copied into the run folder.
        begun: True if the files are in the run folder.

    Raises:
        RunError: another start uses the folder.
    """

    def __init__(self, run: Run, *, fresh: bool, meanwhile: Callable[[], None] = _nothing) -> None:
        self._run, self.fresh, self._meanwhile = run, fresh, meanwhile
        self.begun = False
        self._lock = FolderLock(run.folder, 'start')
        try:
            # What a file system without locks says is said by the nodes, for the checkpoints.
            self._lock.hold()
        except CheckpointError as error:
            raise RunError(
                f'{run.folder} is in use: another command has started a run there, or it cannot '
                'be written to; choose another folder, or end that run'
            ) from error
        self.folder = run.folder / STARTING
        # A start that was killed may have left it.
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self._checkpoints = self._saved()

    def write(self, texts: Mapping[str, str]) -> list[Path]:
        """Write files by their names in the run folder; return where they are until it begins."""
        written = []
        for name, text in texts.items():
            path = self.folder / name
            path.write_text(text, encoding='utf-8')
            written.append(path)
        return written

    def begin(self) -> None:
        """Copy the files into the run folder, which makes it a run; do so once."""
        if self.begun:
            return
        self.begun = True
        self._meanwhile()
        for path in list(self.folder.iterdir()):
            if path.is_dir():
                shutil.copytree(path, self._run.folder / path.name, dirs_exist_ok=True)
            else:
                write_whole(self._run.folder / path.name, path.read_text(encoding='utf-8'))

    def _saved(self) -> set[str]:
        return {path.name for path in self._run.checkpoints.glob(f'*{SUFFIX}')}

    def __enter__(self) -> Start:
        """Begin the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the folder as it was, unless the run has begun or something was saved."""
        try:
            if not self.begun and self._saved() - self._checkpoints:
                self.begin()
            if not self.begun:
                self._give_up()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.release()
            if not self.begun and self.fresh:
                with contextlib.suppress(OSError):
                    # The logs tell why the start has failed; they do not block another one.
                    self._run.folder.rmdir()

    def _give_up(self) -> None:
        if self.fresh:
            shutil.rmtree(self._run.checkpoints, ignore_errors=True)
            with contextlib.suppress(OSError):
                self._run.log.rmdir()
