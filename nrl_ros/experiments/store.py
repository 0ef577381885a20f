"""Results on disk: one file a cell, written whole or not at all, found by the cell's key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nrl_ros.base.errors import CheckpointError
from nrl_ros.experiments.trials import Cell, key_of
from nrl_ros.storage.checkpoint import SUFFIX, make_folder, read_checkpoint, write_checkpoint

Record = dict[str, Any]
_KIND = 'study_cell'


class Store:
    """Records of finished cells.

    Args:
        folder: of the study; made when the first record is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []
        self._records: dict[str, Record] = {}
        for path in sorted((folder / 'cells').glob(f'*{SUFFIX}')):
            try:
                record = read_checkpoint(path, _KIND)
            except CheckpointError as error:
                # It is made again and written over.
                self.damaged.append(str(error))
            else:
                # Not by the file's name: defaults may have changed since it was written.
                self._records[key_of(record['kind'], record['settings'])] = record

    def get(self, cell: Cell) -> Record | None:
        """The record of a cell, None while it has none."""
        return self._records.get(cell.key)

    def prepare(self) -> None:
        """Make the folder now, so that a lack of rights is told before hours have passed."""
        make_folder(self.folder / 'cells')

    def put(self, cell: Cell, record: Record) -> None:
        """Keep a record.

        Raises:
            CheckpointError: the disk does not allow it.
        """
        write_checkpoint(self.folder / 'cells' / f'{cell.key}{SUFFIX}', _KIND, record)
        self._records[cell.key] = record
