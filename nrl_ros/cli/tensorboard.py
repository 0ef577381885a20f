"""TensorBoard event files: the rows of ``progress.csv`` as scalars of the same names and values.

tensorboardX writes them, and is imported only when a run is asked for them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli.metrics import Table
from nrl_ros.cli.runs import Run
from nrl_ros.monitor.progress import PROGRESS

# Rows between two flushes, each of which waits for the disk; TensorBoard looks every 30 s.
_FLUSH_ROWS = 10


def require_tensorboard() -> None:
    """Check that event files can be written.

    Raises:
        ConfigError: tensorboardX is not installed.
    """
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f'--tensorboard needs tensorboardX ({error}): pip install "nrl_ros[tensorboard]", or '
            'pip install tensorboardX'
        ) from None


class EventFile:
    """Writes rows of numbers as scalars, one for each column that has a value.

    A full disk does not end a training: events are then lost and counted.

    Args:
        folder: where the file is made with the first row; TensorBoard names the run after it.
        columns: names of the scalars; ``steps`` is their step.

    Attributes:
        lost: number of rows that could not be written.
        reason: why.
    """

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self.lost = 0
        self.reason = ''
        self._folder, self._columns = folder, tuple(columns)
        self._step = self._columns.index('steps')
        self._writer: Any = None
        self._rows = 0

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write rows, each with a cell for every column; an empty cell is no scalar."""
        for row in rows:
            try:
                self._add(row)
            except OSError as error:
                self.lost += 1
                self.reason = error.strerror or str(error)

    def _add(self, row: Sequence[Any]) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.proto.summary_pb2 import Summary

        step, now = int(row[self._step]), time.time()
        if self._writer is None:
            self._writer = EventsWriter(str(self._folder / 'events'))
            # A run that goes on from an earlier step replaces what an earlier file says from there.
            start = SessionLog(status=SessionLog.START)
            self._writer.write_event(Event(wall_time=now, step=step, session_log=start))
        values = [
            Summary.Value(tag=name, simple_value=float(cell))
            for name, cell in zip(self._columns, row, strict=True)
            if cell != '' and name != 'steps'
        ]
        self._writer.write_event(Event(wall_time=now, step=step, summary=Summary(value=values)))
        self._rows += 1
        if self._rows % _FLUSH_ROWS == 1:
            self._writer.flush()

    def close(self) -> None:
        """Write what is left, and close the file if there is one."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()


def progress_table(run: Run, tensorboard: bool) -> Table:
    """Return the table of a run's progress, which holds its rows until it is opened.

    Args:
        run: its folder.
        tensorboard: write the rows into an event file too.
    """
    copy = EventFile(run.folder, PROGRESS) if tensorboard else None
    return Table(run.progress, PROGRESS, held=True, copy=copy)
