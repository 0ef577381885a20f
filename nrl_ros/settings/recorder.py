"""Settings of the recorder node."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nrl_ros.base.settings import Settings, at_start


class SplitGroup(Settings):
    """When chunks and files of a recording end."""

    chunk_kib: int = Field(1024, ge=1, description='Size of a chunk before compression [KiB]')
    chunk_s: float = Field(
        1.0,
        gt=0,
        description='Longest time until a chunk is closed: so much is lost if the recorder is '
        'killed [s]',
    )
    file_mib: int = Field(1024, ge=0, description='Size of a file; 0: no limit [MiB]')
    file_s: float = Field(3600.0, ge=0, description='Length of a file; 0: no limit [s]')


class RecorderNodeSettings(Settings):
    """Settings of the recorder node."""

    node: ClassVar[str] = 'recorder'

    autostart: bool = Field(
        True, description='Configure and activate without waiting for a command'
    )
    folder: str = at_start(
        '', 'Folder of the recording, which must be empty; empty: recording-DATE in root'
    )
    root: str = at_start('', 'Where such a folder is made; empty: the present folder')
    topics: list[str] = Field(
        [], description='Further topics, beside all those in the namespace of the node'
    )
    checkpoint: bool = Field(
        False,
        description='Ask the learner for a checkpoint at the begin, from which the recording of a '
        'run that goes on already can be replayed',
    )
    queue_mib: int = Field(
        64, ge=1, description='Messages that wait for the disk; more are dropped [MiB]'
    )
    attached_mib: int = Field(
        256, ge=0, description='Largest checkpoint that is copied into the recording [MiB]'
    )
    status_period_s: float = Field(0.5, gt=0, description='Time between status messages [s]')
    split: SplitGroup = SplitGroup()
