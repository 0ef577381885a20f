"""The recorder beside a run: started before its nodes, heard, and ended after them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from nrl_ros.cli.monitor import Monitor
from nrl_ros.ros import names, qos
from nrl_ros.ros.interfaces import RecorderStatus

_MIB = 1 << 20


class RecorderWatch:
    """Hears what the recorder of a run says of itself.

    Args:
        monitor: of the run.
        run: folder of the run.
        warn: prints what a person has to know at once.

    Attributes:
        folder: of the recording.
        gone: the recorder has ended before the run.
    """

    def __init__(self, monitor: Monitor, run: Path, warn: Callable[[str], None]) -> None:
        self.folder = free_folder(run)
        self.gone = False
        self._status: Any = None
        self._warn = warn
        self._said_lost = False
        monitor.hear(RecorderStatus, names.RECORDER_STATUS, qos.latched(), self._on_status)

    def hears(self, nodes: Collection[str]) -> bool:
        """Return whether all topics of these nodes are recorded; True if there is no recorder."""
        return self.gone or (self._status is not None and {*nodes} <= {*self._status.heard})

    def ended(self, code: str, lines: str) -> None:
        """Note that the recorder has ended early: the run goes on without it."""
        if not self.gone:
            self.gone = True
            self._warn(f'the run goes on without a recording: the recorder ended with {code}')
            if lines:
                self._warn(lines)

    def closed(self) -> bool:
        """Return whether the recorder has said that the recording is complete."""
        return self.gone or (self._status is not None and not self._status.recording)

    def data(self) -> dict[str, Any]:
        """Return what was recorded, for the summary of the run."""
        status = self._status
        found: dict[str, Any] = {'folder': self.folder.name, 'complete': not self.gone}
        if status is not None:
            found |= {
                'messages': status.messages,
                'file_bytes': status.file_bytes,
                'dropped': status.dropped,
            }
        return found

    def line(self) -> str:
        """Return what was recorded, in one line."""
        status = self._status
        if status is None:
            return ''
        lost = f'{status.dropped:,} dropped' if status.dropped else 'none dropped'
        return (
            f'recording: {self.folder}, {status.messages:,} messages, {lost}, '
            f'{status.file_bytes / _MIB:.1f} MiB; learn again from it: nrl replay {self.folder}'
        )

    def forget(self) -> None:
        """Remove the recording of a start of which nothing is kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _on_status(self, message: RecorderStatus) -> None:
        self._status = message
        # After a fault the recorder ends, and says why.
        if message.dropped and not message.fault and not self._said_lost:
            self._said_lost = True
            lost = [
                f'{name} {count:,}'
                for name, count in zip(message.topic, message.lost, strict=False)
                if count
            ]
            self._warn(
                f'the recorder is too slow, messages are missing in the recording: '
                f'{", ".join(lost)}'
            )


def free_folder(run: Path) -> Path:
    """Return the first folder for a recording in a run's folder that does not exist yet."""
    folder, number = run / 'recording', 1
    while folder.exists():
        number += 1
        folder = run / f'recording-{number}'
    return folder
