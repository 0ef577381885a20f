"""Tables of a recording as files: Parquet, which pandas and others read by column, or CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError

Columns = Mapping[str, NDArray[Any]]


class ParquetTables:
    """Writes each table into ``NAME.parquet``, piece by piece.

    Args:
        folder: of the files; exists.

    Attributes:
        rows: of each table so far.

    Raises:
        ConfigError: pyarrow is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise ConfigError(
                f'--to parquet needs pyarrow ({error}): pip install "nrl_ros[parquet]"; --to csv '
                'needs nothing'
            ) from None
        self.rows: dict[str, int] = {}
        self._folder, self._arrow, self._parquet = folder, pa, pq
        self._open: dict[str, Any] = {}

    def add(self, table: str, columns: Columns) -> None:
        """Append rows; later ones have the columns of the first, with numbers of the same kind."""
        made = self._arrow.table(
            {
                name: self._arrow.array(list(column)) if column.ndim > 1 else column
                for name, column in columns.items()
            }
        )
        if table not in self._open:
            schema = self._arrow.schema([_as_number(field, self._arrow) for field in made.schema])
            path = self._folder / f'{table}.parquet'
            self._open[table] = self._parquet.ParquetWriter(path, schema, compression='zstd')
        self._open[table].write_table(made.cast(self._open[table].schema))
        self.rows[table] = self.rows.get(table, 0) + made.num_rows

    def close(self) -> None:
        """Close the files; nothing is written after that."""
        for writer in self._open.values():
            writer.close()


def _as_number(field: Any, pa: Any) -> Any:
    """Return a field for all pieces of a table: numbers that are whole at first need not stay so.

    Stamps, places and identities have 64 bits, of which a float would lose some.
    """
    wide = pa.types.is_integer(field.type) and field.type.bit_width == 64
    keeps = field.name.endswith('_ns') or field.name in _WHOLE
    return pa.field(field.name, pa.float64()) if wide and not keeps else field


# As the messages name them, a column of whatever message it is.
_IDENTITIES = ('learner', 'neuromodulator', 'session', 'sequence')
_WHOLE = (*_IDENTITIES, 'instance', 'episode', 'length', 'total_steps', 'step', 'window')


class CsvTables:
    """Writes each table into ``NAME.csv``.

    Args:
        folder: of the files; exists.

    Attributes:
        rows: of each table so far.
    """

    def __init__(self, folder: Path) -> None:
        self.rows: dict[str, int] = {}
        self._folder = folder
        self._open: dict[str, TextIO] = {}

    def add(self, table: str, columns: Columns) -> None:
        """Append rows; later ones have the columns of the first."""
        if table not in self._open:
            path = self._folder / f'{table}.csv'
            self._open[table] = path.open('w', newline='', encoding='utf-8')
            csv.writer(self._open[table]).writerow(columns)
        lists = [
            _texts(column) if column.ndim > 1 else column.tolist() for column in columns.values()
        ]
        csv.writer(self._open[table]).writerows(zip(*lists, strict=True))
        self.rows[table] = self.rows.get(table, 0) + len(lists[0])

    def close(self) -> None:
        """Close the files; nothing is written after that."""
        for file in self._open.values():
            file.close()


def _texts(rows: NDArray[Any]) -> list[str]:
    """Return rows of several numbers as texts, with a blank between two numbers."""
    return [' '.join(map(repr, row)) for row in rows.tolist()]
