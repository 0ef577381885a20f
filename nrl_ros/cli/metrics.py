"""Tables of a run: one row per finished episode, and the progress of all nodes over time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from nrl_ros.base.records import Ending, FinishedEpisodes
from nrl_ros.cli.runs import Run, RunError, write_whole

METRICS = (
    'total_steps',
    'wall_time_s',
    'agent',
    'instance',
    'episode',
    'length',
    'ending',
    'return',
)


class EpisodeRow(NamedTuple):
    """One finished episode, as in ``metrics.csv``."""

    total_steps: int
    wall_time_s: float
    agent: str
    instance: int
    episode: int
    length: int
    ending: str
    episode_return: float


def episode_rows(
    ends: FinishedEpisodes, wall_time_s: float, earlier_steps: int = 0
) -> list[EpisodeRow]:
    """Return the rows of finished episodes.

    Args:
        ends: the episodes.
        wall_time_s: since the start of the run [s].
        earlier_steps: steps of the run that its environment does not count.
    """
    steps = ends.total_steps.astype(np.int64) + earlier_steps
    endings = [Ending(ending).name.lower() for ending in ends.ending]
    columns = (
        *(one.tolist() for one in (ends.instance, ends.episode, ends.length)),
        endings,
        ends.episode_return.tolist(),
    )
    return [
        EpisodeRow(total, wall_time_s, ends.agent, *row)
        for total, *row in zip(steps.tolist(), *columns, strict=True)
    ]


def read_metrics(run: Run) -> list[EpisodeRow]:
    """Return all finished episodes of a run.

    Raises:
        RunError: the file is missing, or a row of it is damaged.
    """
    if not run.metrics.is_file():
        raise RunError(f'{run.folder} has no metrics.csv: no episode was recorded')
    rows: list[EpisodeRow] = []
    with run.metrics.open(newline='', encoding='utf-8') as file:
        lines = csv.reader(file)
        if tuple(next(lines, ())) != METRICS:
            raise RunError(f'{run.metrics} is damaged: expected the columns {", ".join(METRICS)}')
        for number, line in enumerate(lines, start=2):
            try:
                steps, wall, agent, instance, episode, length, ending, value = line
                rows.append(
                    EpisodeRow(
                        int(steps),
                        float(wall),
                        agent,
                        int(instance),
                        int(episode),
                        int(length),
                        ending,
                        float(value),
                    )
                )
            except ValueError as error:
                raise RunError(f'{run.metrics}, line {number} is damaged: {line}') from error
    return rows


def write_metrics(run: Run, rows: Iterable[EpisodeRow]) -> None:
    """Replace all rows, for a run that is resumed from an earlier checkpoint."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(METRICS)
    table.writerows(rows)
    write_whole(run.metrics, text.getvalue())


def last_steps(run: Run) -> int:
    """Return the environment steps in a run's last line of progress; 0 if there is none."""
    if not run.progress.is_file():
        return 0
    with run.progress.open(newline='', encoding='utf-8') as file:
        steps = [row.get('steps') or '0' for row in csv.DictReader(file)]
    return int(steps[-1]) if steps and steps[-1].isdigit() else 0


class Table:
    """A CSV file to which rows are added; a new file gets the header first.

    A full disk does not end a training: rows are then lost and counted.

    Args:
        path: the file.
        columns: its header.
        held: keep rows until ``open`` is called, and write nothing before.

    Attributes:
        lost: number of rows that could not be written.
        reason: why.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, held: bool = False) -> None:
        self.lost = 0
        self.reason = ''
        self._path, self._columns = path, columns
        self._held: list[Sequence[Any]] = []
        self._file: TextIO | None = None
        if not held:
            self.open()

    def open(self) -> None:
        """Open the file, and write the rows that were held."""
        fresh = not self._path.exists() or self._path.stat().st_size == 0
        self._file = self._path.open('a', newline='', encoding='utf-8')
        rows, self._held = self._held, []
        self.add([*([self._columns] if fresh else []), *rows])

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows and flush them to the system."""
        rows = list(rows)
        if self._file is None:
            self._held += rows
            return
        try:
            csv.writer(self._file).writerows(rows)
            self._file.flush()
        except OSError as error:
            self.lost += len(rows)
            self.reason = error.strerror or str(error)

    def close(self) -> None:
        """Close the file, if it is open."""
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:
            self.reason = error.strerror or str(error)
