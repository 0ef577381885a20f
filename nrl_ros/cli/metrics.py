"""Tables of a run: one row per finished episode, and the progress of all nodes over time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TextIO

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
    """One finished episode, as in ``metrics.csv``, where each of its figures is a column."""

    total_steps: int
    wall_time_s: float
    agent: str
    instance: int
    episode: int
    length: int
    ending: str
    episode_return: float
    figures: Mapping[str, float] = MappingProxyType({})

    def cells(self, figures: Sequence[str]) -> list[Any]:
        """Return the cells of the row; those of figures that it does not have are empty."""
        values = (self.figures.get(name) for name in figures)
        return [*self[: len(METRICS)], *('' if one is None else f'{one:.6g}' for one in values)]


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
    values = [one.tolist() for one in ends.figures.values()]
    figures = (
        [dict(zip(ends.figures, row, strict=True)) for row in zip(*values, strict=True)]
        if values
        else [{}] * len(endings)
    )
    return [
        EpisodeRow(total, wall_time_s, ends.agent, *row)
        for total, *row in zip(steps.tolist(), *columns, figures, strict=True)
    ]


def read_metrics(run: Run) -> list[EpisodeRow]:
    """Return all finished episodes of a run.

    Raises:
        RunError: the file is missing, or a row of it is damaged.
    """
    if not run.metrics.is_file():
        raise RunError(f'{run.folder} has no metrics.csv: no episode was recorded')
    with run.metrics.open(newline='', encoding='utf-8') as file:
        lines = csv.reader(file)
        header = tuple(next(lines, ()))
        if header[: len(METRICS)] != METRICS:
            raise RunError(f'{run.metrics} is damaged: expected the columns {", ".join(METRICS)}')
        rows: list[EpisodeRow] = []
        for number, line in enumerate(lines, start=2):
            try:
                rows.append(_read_row(line, header))
            except ValueError as error:
                raise RunError(f'{run.metrics}, line {number} is damaged: {line}') from error
    return rows


def _read_row(line: Sequence[str], header: Sequence[str]) -> EpisodeRow:
    """Return the row of a line.

    Raises:
        ValueError: it is damaged.
    """
    cells = dict(zip(header, line, strict=True))
    steps, wall, agent, instance, episode, length, ending, value = (cells.pop(n) for n in METRICS)
    return EpisodeRow(
        int(steps),
        float(wall),
        agent,
        int(instance),
        int(episode),
        int(length),
        ending,
        float(value),
        {name: float(cell) for name, cell in cells.items() if cell},
    )


def write_metrics(run: Run, rows: Iterable[EpisodeRow]) -> None:
    """Replace all rows, for a run that is resumed from an earlier checkpoint."""
    text = io.StringIO()
    table, rows = csv.writer(text), list(rows)
    figures = tuple(rows[0].figures) if rows else ()
    table.writerow((*METRICS, *figures))
    table.writerows(row.cells(figures) for row in rows)
    write_whole(run.metrics, text.getvalue())


def last_steps(run: Run) -> int:
    """Return the environment steps in a run's last line of progress; 0 if there is none."""
    if not run.progress.is_file():
        return 0
    with run.progress.open(newline='', encoding='utf-8') as file:
        steps = [row.get('steps') or '0' for row in csv.DictReader(file)]
    return int(steps[-1]) if steps and steps[-1].isdigit() else 0


class Copy(Protocol):
    """Gets the rows of a table too, when they are written.

    Attributes:
        lost: number of rows that could not be written.
        reason: why.
    """

    lost: int
    reason: str

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows, without the header."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class Table:
    """A CSV file to which rows are added; it is made with the first row, after its header.

    A file that an earlier version has begun keeps its columns: a run that is resumed gives it what
    it has of them.

    A full disk does not end a training: rows are then lost and counted.

    Args:
        path: the file.
        columns: its header.
        held: keep rows until ``open`` is called, and write nothing before.
        copy: gets the same rows.

    Attributes:
        lost: number of rows that could not be written.
        reason: why.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        *,
        held: bool = False,
        copy: Copy | None = None,
    ) -> None:
        self.lost = 0
        self.reason = ''
        self._path, self._columns, self._copy = path, columns, copy
        self._held: list[Sequence[Any]] | None = [] if held else None
        self._file: TextIO | None = None
        # Places of the file's columns in a row, None if it lacks one; empty: they are the same.
        self._places: list[int | None] = []

    def open(self) -> None:
        """Write the rows that were held, and later ones at once."""
        rows, self._held = self._held or [], None
        self.add(rows)

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows and flush them to the system."""
        rows = list(rows)
        if self._held is not None:
            self._held += rows
        elif rows:
            self._write(rows)
            if self._copy is not None:
                self._copy.add(rows)

    def _write(self, rows: Sequence[Sequence[Any]]) -> None:
        try:
            if self._file is None:
                fresh = not self._path.exists() or self._path.stat().st_size == 0
                self._places = [] if fresh else self._found_places()
                self._file = self._path.open('a', newline='', encoding='utf-8')
                rows = [self._columns, *rows] if fresh else rows
            csv.writer(self._file).writerows(self._placed(row) for row in rows)
            self._file.flush()
        except OSError as error:
            self.lost += len(rows)
            self.reason = error.strerror or str(error)

    def _found_places(self) -> list[int | None]:
        with self._path.open(newline='', encoding='utf-8') as file:
            found = next(csv.reader(file), [])
        if found == list(self._columns):
            return []
        places = {name: place for place, name in enumerate(self._columns)}
        return [places.get(name) for name in found]

    def _placed(self, row: Sequence[Any]) -> Sequence[Any]:
        if not self._places:
            return row
        return ['' if place is None else row[place] for place in self._places]

    def close(self) -> None:
        """Close the file, if it is open, and the copy."""
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:
            self.reason = error.strerror or str(error)
        if self._copy is not None:
            self._copy.close()
            if not self.reason:
                self.lost, self.reason = self._copy.lost, self._copy.reason


class EpisodeTable:
    """The table of finished episodes, ``metrics.csv``, with a column for each of their figures.

    Which figures an environment gives is known with its first episode, or from an earlier start.

    Args:
        run: its folder.
        held: as of Table.
    """

    def __init__(self, run: Run, *, held: bool = False) -> None:
        self._path = run.metrics
        self._figures: tuple[str, ...] | None = None
        self._columns = list(METRICS)
        self._table = Table(run.metrics, self._columns, held=held)

    @property
    def lost(self) -> int:
        """Number of rows that could not be written."""
        return self._table.lost

    @property
    def reason(self) -> str:
        """Why rows could not be written; empty if all were."""
        return self._table.reason

    def open(self) -> None:
        """Write the rows that were held, and later ones at once."""
        self._table.open()

    def add(self, rows: Sequence[EpisodeRow]) -> None:
        """Append rows and flush them to the system."""
        if not rows:
            return
        if self._figures is None:
            self._figures = self._found() or tuple(rows[0].figures)
            self._columns += self._figures
        figures = self._figures
        self._table.add([row.cells(figures) for row in rows])

    def _found(self) -> tuple[str, ...]:
        """Return the figures that the file has already; empty if there is none."""
        if not self._path.is_file():
            return ()
        with self._path.open(newline='', encoding='utf-8') as file:
            return tuple(next(csv.reader(file), ()))[len(METRICS) :]

    def close(self) -> None:
        """Close the file."""
        self._table.close()
