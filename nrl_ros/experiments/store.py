"""Store results on disk: one file per trial, written whole or not at all, found by its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nrl_ros.base.errors import CheckpointError
from nrl_ros.experiments.trials import Trial, key_of
from nrl_ros.storage.checkpoint import SUFFIX, make_folder, read_checkpoint, write_checkpoint

Record = dict[str, Any]
# These names on disk are older than the word trial; with them, earlier results stay readable.
_KIND = 'study_cell'
_FOLDER = 'cells'


class Store:
    """Records of finished trials.

    Args:
        folder: of the study; made when the first record is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []
        self._records: dict[str, Record] = {}
        for path in sorted((folder / _FOLDER).glob(f'*{SUFFIX}')):
            try:
                record = read_checkpoint(path, _KIND)
            except CheckpointError as error:
                # The trial runs again, and its file is replaced.
                self.damaged.append(str(error))
            else:
                # The key is computed anew, since defaults may have changed since the file was
                # named.
                self._records[key_of(record['kind'], record['settings'])] = record

    def get(self, trial: Trial) -> Record | None:
        """Return the record of a trial, None if it has none."""
        return self._records.get(trial.key)

    def prepare(self) -> None:
        """Make the folder at once, so that missing rights show before hours of work."""
        make_folder(self.folder / _FOLDER)

    def put(self, trial: Trial, record: Record) -> None:
        """Keep a record.

        Raises:
            CheckpointError: the disk does not allow it.
        """
        write_checkpoint(self.folder / _FOLDER / f'{trial.key}{SUFFIX}', _KIND, record)
        self._records[trial.key] = record
