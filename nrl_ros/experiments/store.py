"""Results on disk: one file a trial, written whole or not at all, found by the trial's key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nrl_ros.base.errors import CheckpointError
from nrl_ros.experiments.trials import Trial, key_of
from nrl_ros.storage.checkpoint import SUFFIX, make_folder, read_checkpoint, write_checkpoint

Record = dict[str, Any]
# Names on disk, older than the word trial: what was computed before stays readable.
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
                # It is made again and written over.
                self.damaged.append(str(error))
            else:
                # Not by the file's name: defaults may have changed since it was written.
                self._records[key_of(record['kind'], record['settings'])] = record

    def get(self, trial: Trial) -> Record | None:
        """The record of a trial, None while it has none."""
        return self._records.get(trial.key)

    def prepare(self) -> None:
        """Make the folder now, so that a lack of rights is told before hours have passed."""
        make_folder(self.folder / _FOLDER)

    def put(self, trial: Trial, record: Record) -> None:
        """Keep a record.

        Raises:
            CheckpointError: the disk does not allow it.
        """
        write_checkpoint(self.folder / _FOLDER / f'{trial.key}{SUFFIX}', _KIND, record)
        self._records[trial.key] = record
