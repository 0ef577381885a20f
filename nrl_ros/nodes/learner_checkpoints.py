"""The checkpoints of a learner node: when they are saved, under which number, what is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.parameter import Parameter

from nrl_ros.base.errors import CheckpointError, NrlError
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.snapshots import weights_digest
from nrl_ros.nodes.saving import not_saved, open_series, prune
from nrl_ros.ros import names
from nrl_ros.ros.interfaces import LearnerOrder
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.settings.learner import LearnerNodeSettings
from nrl_ros.storage.beside import WriterBeside
from nrl_ros.storage.checkpoint import (
    NUMBERED,
    check_number,
    find_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from nrl_ros.storage.files import path_below, shown
from nrl_ros.storage.save_schedule import SaveSchedule
from nrl_ros.storage.series import CheckpointSeries


class LearnerCheckpoints:
    """Saves and loads a learner for its node.

    Args:
        node: the learner's, while it is configured.
        core: the learner.
        note: notes for recordings what is saved and loaded, as ``OrderNotes.note``.
        beside: write in a thread of its own while the node goes on.

    Raises:
        CheckpointError: the folder cannot be made or written to, or is in use.
    """

    def __init__(
        self,
        node: NrlNode[LearnerNodeSettings],
        core: Learner,
        note: Callable[..., None],
        *,
        beside: bool = False,
    ) -> None:
        self._node, self._core, self._note = node, core, note
        self._beside = WriterBeside() if beside else None
        if self._beside is not None:
            node.at_take_down(self._beside.close)
        self._series = open_series(node, node.settings.checkpoint, names.LEARNER, names.LEARNER)
        self._schedule = SaveSchedule(time.monotonic())
        self._number = 0
        # States acted upon and updates, as they were loaded.
        self._loaded = (core.states, core.updates)

    # ------------------------------------------------------------------ saving

    def _data(self) -> dict[str, Any]:
        return self._core.snapshot() | {'number': self._number}

    def _save_numbered(self) -> Path:
        if self._series is None:
            raise CheckpointError('no path given and checkpoint.folder is not set')
        self._finish()
        self._number = self._series.next_number(self._number)
        data = self._data()
        path = self._series.write(self._number, data)
        self._note_saved(path, data)
        prune(self._node, self._series)
        return path

    def _note_saved(self, path: Path, data: dict[str, Any]) -> None:
        self._note(LearnerOrder.KIND_SAVED, text=str(path.resolve()), detail=weights_digest(data))

    def look(self, now_s: float) -> None:
        """Note whether it is time to save."""
        checkpoint = self._node.settings.checkpoint
        self._schedule.look(now_s, checkpoint.period_s if checkpoint.folder else 0.0)
        if self._beside is not None and not self._beside.is_busy:
            self._finish()

    def save_if_due(self) -> int:
        """Save if it is time to; return the number of the checkpoint, 0 if none was saved."""
        if not self._schedule.take():
            return 0
        if self._beside is not None and self._series is not None:
            return self._save_beside(self._beside, self._series)
        try:
            self._save_numbered()
        except NrlError as error:
            self._node.get_logger().error(f'checkpoint not written: {error}')
            return 0
        return self._number

    def _save_beside(self, beside: WriterBeside, series: CheckpointSeries) -> int:
        """Begin to save, and return the number; 0 if the one before is not on the disk yet."""
        if beside.is_busy:
            return 0
        self._finish()
        self._number = series.next_number(self._number)
        # A copy: what is learned meanwhile is not in it.
        number, data = self._number, self._data()
        self._note_saved(series.path(number), data)

        def write() -> None:
            series.write(number, data)
            series.prune()

        beside.start(write)
        return number

    def _finish(self) -> None:
        """Wait for what is written beside the node; log why it could not be written."""
        if self._beside is None:
            return
        try:
            self._beside.finish()
        except NrlError as error:
            self._node.get_logger().error(f'checkpoint not written: {error}')

    def save(self, text: str) -> Path:
        """Save to the path that a client has asked for; if that is empty, under the next number.

        Raises:
            CheckpointError: the settings do not allow the path, or it cannot be written to.
        """
        if not text:
            return self._save_numbered()
        path = self._allowed(text)
        if NUMBERED.fullmatch(path.name):
            raise CheckpointError(
                f'path {shown(text)}: numbered names are given by the learner itself; give no '
                'path, or another name'
            )
        data = self._data()
        write_checkpoint(path, names.LEARNER, data)
        self._note_saved(path, data)
        return path

    def save_last(self) -> None:
        """Save what was learned at the end; if that fails, keep a copy elsewhere and log it."""
        self._finish()
        if self._series is None or self._is_as_loaded():
            return
        self._number = self._series.next_number(self._number)
        data = self._data()
        try:
            path = self._series.write(self._number, data)
        except NrlError as error:
            not_saved(self._node, 'policy', names.LEARNER, data, error)
        else:
            self._note_saved(path, data)
            self._node.get_logger().info(f'saved {path}')
            prune(self._node, self._series)

    def _is_as_loaded(self) -> bool:
        """Return True if nothing was done but perhaps to act once, which taught nothing.

        A start that fails then leaves the checkpoints as they were.
        """
        states, updates = self._loaded
        return self._core.updates == updates and self._core.states <= states + 1

    # ----------------------------------------------------------------- loading

    def _allowed(self, text: str) -> Path:
        checkpoint = self._node.settings.checkpoint
        return path_below(text, checkpoint.folder, anywhere=checkpoint.anywhere)

    def load_asked(self, text: str) -> Path:
        """Load the file or folder that a client has asked for; return the file.

        Raises:
            CheckpointError: the settings do not allow the path, there is no checkpoint, or it does
                not fit.
        """
        path = self._allowed(text)
        file = self.load(path)
        if file is None:
            raise CheckpointError(f'there is no checkpoint in {path}')
        return file

    def load(self, path: Path) -> Path | None:
        """Load a file, or the newest readable one of a folder; return None if it has none.

        Raises:
            CheckpointError: it does not fit.
        """
        file = find_checkpoint(path, names.LEARNER, self._skipped)
        if file is None:
            return None
        data = read_checkpoint(file, names.LEARNER)
        number = check_number(data.get('number'))
        keep_settings = self._node.settings.checkpoint.keep_settings
        self._core.restore(data, keep_settings=keep_settings)
        self._note(LearnerOrder.KIND_LOADED, value=keep_settings, text=str(file.resolve()))
        self._show_settings_in_force()
        self._number = max(self._number, number)
        self._loaded = (self._core.states, self._core.updates)
        if self._series is not None:
            self._series.continue_from(file)
        self._node.get_logger().info(f'continues from {file}: {self._core.steps} steps so far')
        return file

    def _show_settings_in_force(self) -> None:
        """Set the parameters to the values that came with a checkpoint."""
        found = {
            'plasticity.learning_rate': self._core.settings.plasticity.learning_rate,
            'noise.sigma': self._core.settings.noise.sigma,
        }
        for name, value in found.items():
            before = self._node.get_parameter(name).value
            if value != before:
                self._node.set_parameters([Parameter(name, value=value)])
                self._node.get_logger().warning(
                    f'{name} is {value} as in the checkpoint, not {before} as in the parameters; '
                    'to have these instead, set it now, or start with checkpoint.keep_settings'
                )

    def _skipped(self, _path: Path, error: CheckpointError) -> None:
        self._node.get_logger().warning(f'skipped: {error}')
