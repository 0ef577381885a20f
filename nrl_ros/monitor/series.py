"""Figures over a run of any length in a bounded number of rows: old ones are thinned out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Row = tuple[float, ...]


class Part(NamedTuple):
    """Rows of a series that somebody does not have yet.

    Attributes:
        generation: of the series; if it is another one than before, all earlier rows are replaced.
        start: number of the first row.
        rows: from there on.
    """

    generation: int
    start: int
    rows: list[Row]


class Series:
    """Keeps rows of figures; when there are too many, every second one, and from then on as few.

    Args:
        columns: names of the figures.
        most: rows that are kept, at least 2.
    """

    def __init__(self, columns: Sequence[str], most: int) -> None:
        self.columns, self.most = tuple(columns), most
        self.rows: list[Row] = []
        self.generation = 0
        self._stride, self._offered = 1, 0

    def add(self, row: Row) -> bool:
        """Take a row, unless so many are thinned out that it is not kept; return if it is."""
        offered, self._offered = self._offered, self._offered + 1
        if offered % self._stride:
            return False
        self.rows.append(row)
        if len(self.rows) >= self.most:
            self.rows = self.rows[::2]
            self._stride *= 2
            self.generation += 1
        return True

    def follow(self, rows: Sequence[Row]) -> None:
        """Take over all rows as they are kept elsewhere; a row is known by its first number."""
        before = [row[0] for row in self.rows]
        if [row[0] for row in rows[: len(before)]] != before:
            self.generation += 1
        self.rows = list(rows)

    def clear(self) -> None:
        """Begin anew."""
        self.rows, self._stride, self._offered = [], 1, 0
        self.generation += 1

    def since(self, generation: int, count: int) -> Part:
        """Return what somebody lacks who had so many rows of a generation; all, if it is over."""
        start = count if generation == self.generation else 0
        return Part(self.generation, start, self.rows[start:])
