"""The checkpoints that belong to a recording: from the first one on, it can be replayed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nrl_ros.base.errors import ConversionError
from nrl_ros.ros import names
from nrl_ros.ros.hearing import read_message
from nrl_ros.ros.interfaces import LearnerOrder, LearnerStart, SaveCheckpoint
from nrl_ros.storage.recording_writer import Attachment

# How often a checkpoint that is still being written is looked for, in looks of the recorder.
_TRIES = 20
_SERVICE = names.SAVE_CHECKPOINT.replace('~', names.LEARNER)


class RecordedCheckpoints:
    """Copies into a recording the checkpoint that it begins with.

    That is the one which the learner continued from, or the first one that it saves while it is
    recorded: later checkpoints of a run replace earlier ones on the disk.

    Args:
        node: the recorder.
        keep_file: puts a file into the recording.
        most_bytes: of a checkpoint that is copied.
        ask: ask the learner to save one at the begin.
    """

    def __init__(
        self, node: Any, keep_file: Callable[[Attachment], None], most_bytes: int, *, ask: bool
    ) -> None:
        self._node, self._keep_file, self._most_bytes = node, keep_file, most_bytes
        self._ask = node.create_client(SaveCheckpoint, _SERVICE) if ask else None
        self._asked = False
        # Files that are wanted, and how often each was looked for.
        self._wanted: dict[Path, int] = {}
        self._begins_with_zero = self._has_one = False
        if self._ask is not None:
            node.at_take_down(lambda: node.destroy_client(self._ask))

    def note_of(self, kind: str) -> Callable[[bytes], None] | None:
        """Return what has to be told of messages of a type; None: nothing."""
        if kind == 'nrl_ros/msg/LearnerOrder':
            return self._on_order
        return self._on_start if kind == 'nrl_ros/msg/LearnerStart' else None

    def look(self) -> None:
        """Ask for a checkpoint if that is wanted, and copy those that are written by now."""
        if self._ask is not None and not self._asked and self._ask.service_is_ready():
            self._asked = True
            self._ask.call_async(SaveCheckpoint.Request()).add_done_callback(self._on_saved)
        for path in list(self._wanted):
            self._copy(path)

    def end(self) -> None:
        """Copy what is still wanted."""
        for path in list(self._wanted):
            self._copy(path)

    def _on_start(self, data: bytes) -> None:
        message = self._read(data, LearnerStart)
        if message is not None and message.checkpoint:
            self._wanted[Path(message.checkpoint)] = 0

    def _on_order(self, data: bytes) -> None:
        message = self._read(data, LearnerOrder)
        if message is None:
            return
        self._begins_with_zero |= message.first == 0
        for number, text in zip(message.noted, message.text, strict=False):
            loaded = message.kind[number] == LearnerOrder.KIND_LOADED
            begins = self._ask is not None or not self._begins_with_zero
            if loaded or (begins and not self._has_one):
                self._has_one = True
                self._wanted[Path(text)] = 0

    def _read(self, data: bytes, kind: Any) -> Any:
        try:
            return read_message(data, kind)
        except ConversionError as error:
            self._node.dropped(error)
            return None

    def _on_saved(self, done: Any) -> None:
        answer = done.result()
        if not answer.success:
            self._node.get_logger().warning(
                f'the learner saved no checkpoint at the begin: {answer.message}; the recording '
                'can be replayed from the first one that the run saves by itself'
            )

    def _copy(self, path: Path) -> None:
        """Put a file into the recording; a checkpoint is renamed when it is whole."""
        self._wanted[path] += 1
        try:
            if path.stat().st_size > self._most_bytes:
                self._give_up(path, 'it is larger than attached_mib')
                return
            data = path.read_bytes()
        except OSError as error:
            if self._wanted[path] >= _TRIES:
                self._give_up(path, str(error.strerror))
            return
        del self._wanted[path]
        self._keep_file(Attachment(f'checkpoints/{path.name}', data))

    def _give_up(self, path: Path, why: str) -> None:
        del self._wanted[path]
        self._node.get_logger().warning(
            f'{path} is not in the recording: {why}; a replay needs it where it is'
        )
