"""Results on disk: one file a cell, written whole or not at all, found by the cell's key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nrl_ros.core.errors import CheckpointError
from nrl_ros.storage.checkpoint import SUFFIX, make_folder, read_checkpoint, write_checkpoint
from nrl_ros.study.cells import Cell

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
        self._checked: set[str] = set()
        for path in sorted((folder / 'cells').glob(f'*{SUFFIX}')):
            try:
                self._records[path.stem] = read_checkpoint(path, _KIND)
            except CheckpointError as error:
                # It is made again and written over.
                self.damaged.append(str(error))

    def get(self, cell: Cell) -> Record | None:
        """The record of a cell, None while it has none, or one made with other defaults."""
        record = self._records.get(cell.key)
        if record is None or cell.key in self._checked:
            return record
        if not cell.made_with(record['settings']):
            del self._records[cell.key]
            return None
        self._checked.add(cell.key)
        return record

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
        self._checked.add(cell.key)
