"""Reads recordings: the messages of a run in the order in which they were received.

It needs no ROS. ``ros/recorded.py`` makes the records of a run of them, and ``mcap_ros2`` reads any
message by the schema that the recording has of it.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from nrl_ros.storage.bag_metadata import METADATA, listed_files
from nrl_ros.storage.recording_writer import ABOUT, FORMAT, LOST, RecordingError, mcap

SUFFIX = '.mcap'
_MAGIC = b'\x89MCAP0\r\n'


class Recorded(NamedTuple):
    """A message as it was recorded.

    Attributes:
        topic: absolute name.
        type: such as nrl_ros/msg/EnvState.
        data: the message in CDR.
        received_ns: when the recorder got it.
        sent_ns: when it was sent, as far as the middleware tells.
    """

    topic: str
    type: str
    data: bytes
    received_ns: int
    sent_ns: int


@dataclass
class Recording:
    """A recording: its folder, or one file of it.

    Attributes:
        path: folder or file.
        files: in the order in which they were written.
        about: what the recorder kept of it besides messages, by name; namespace, run and the like.
        schemas: definition of each type that was read so far.
        cut_off: how the recording ends early, file by file; empty: it was closed in order.

    Raises:
        RecordingError: there is no recording, it is damaged, or of another version.
    """

    path: Path
    files: list[Path] = field(init=False)
    about: dict[str, str] = field(init=False)
    schemas: dict[str, str] = field(init=False, default_factory=dict)
    cut_off: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Find the files and check the first one."""
        self.files = _files_of(self.path)
        self.about = _about(self.files[0])
        check_format(self.about, self.path)

    @property
    def folder(self) -> Path:
        """Folder of the files."""
        return self.files[0].parent

    @property
    def namespace(self) -> str:
        """Namespace of the run; empty: none."""
        return self.about.get('namespace', '').rstrip('/')

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Recorded]:
        """Yield the messages in the order in which they were received.

        A file that ends early is read up to its last whole chunk, and noted in ``cut_off``.

        Args:
            topics: absolute names; None: all.

        Raises:
            RecordingError: a file is damaged before its end.
        """
        for path in self.files:
            channels: dict[int, tuple[str, str] | None] = {}
            types: dict[int, str] = {}
            for record in self._records(path):
                kind = type(record).__name__
                if kind == 'Message':
                    named = channels.get(record.channel_id)
                    if named is not None:
                        yield Recorded(*named, record.data, record.log_time, record.publish_time)
                elif kind == 'Schema':
                    types[record.id] = record.name
                    self.schemas[record.name] = record.data.decode(errors='replace')
                elif kind == 'Channel':
                    wanted = topics is None or record.topic in topics
                    named = record.topic, types.get(record.schema_id, '')
                    channels[record.id] = named if wanted else None

    def attachments(self) -> dict[str, bytes]:
        """Return the files that lie in the recording, by name; of two of one name the later one."""
        found = {}
        for path in self.files:
            for record in self._records(path, chunks=False):
                if type(record).__name__ == 'Attachment':
                    found[record.name] = bytes(record.data)
        return found

    def lost(self) -> dict[str, int] | None:
        """Return how many messages of each topic its recorder dropped; None: it has not said."""
        found = None
        for record in self._records(self.files[-1], chunks=False):
            if type(record).__name__ == 'Metadata' and record.name == LOST:
                found = {name: int(count) for name, count in record.metadata.items()}
        return found

    def _records(self, path: Path, *, chunks: bool = True) -> Iterator[Any]:
        package = mcap()
        exceptions = package.exceptions
        with path.open('rb') as stream:
            reader = package.stream_reader.StreamReader(
                stream, emit_chunks=not chunks, validate_crcs=chunks
            )
            records = reader.records
            while True:
                at = stream.tell()
                try:
                    record = next(records, None)
                except exceptions.EndOfFile:
                    self._note_end(path, at)
                    return
                except (exceptions.McapError, ValueError, struct.error, OSError) as error:
                    if stream.read(1):
                        raise RecordingError(
                            f'{path} is damaged after {at} bytes: {error}; what is before can be '
                            'read with `mcap recover`'
                        ) from error
                    self._note_end(path, at)
                    return
                except Exception as error:  # zstandard's error is of the package's own kind
                    raise RecordingError(f'{path} is damaged after {at} bytes: {error}') from error
                if record is None:
                    return
                yield record

    def _note_end(self, path: Path, at: int) -> None:
        self.cut_off[path.name] = (
            f'{path.name} ends early, after {at:,} bytes: its recorder was killed, still writes, '
            'or the file was cut off; it is read up to its last whole chunk'
        )


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RecordingError(f'there is no recording {path}')
    found = {one.name: one for one in path.glob(f'*{SUFFIX}')}
    missing = [name for name in listed_files(path) if name not in found]
    if missing:
        raise RecordingError(
            f'{path} lacks {", ".join(missing)}, which its {METADATA} lists: copy the whole folder'
        )
    if not found:
        raise RecordingError(f'{path} holds no recording: expected files that end with {SUFFIX}')
    return sorted(found.values(), key=lambda one: (len(one.name), one.name))


def _about(path: Path) -> dict[str, str]:
    """Return what the recorder has written of the recording at the begin of a file."""
    package = mcap()
    with path.open('rb') as stream:
        head = stream.read(len(_MAGIC))
        if head != _MAGIC:
            raise RecordingError(
                f'{path} is no MCAP file: it begins with {head.hex(" ") or "nothing"}, expected '
                f'{_MAGIC.hex(" ")}'
            )
        stream.seek(0)
        reader = package.stream_reader.StreamReader(stream, emit_chunks=True)
        try:
            for record in reader.records:
                if type(record).__name__ == 'Metadata' and record.name == ABOUT:
                    return dict(record.metadata)
                if type(record).__name__ == 'Chunk':
                    break
        except (package.exceptions.McapError, ValueError, struct.error) as error:
            raise RecordingError(
                f'{path} is cut off in its first bytes: nothing was recorded ({error})'
            ) from error
    return {}


def check_format(about: dict[str, str], path: Path) -> None:
    """Refuse a recording of another version.

    Raises:
        RecordingError: it is of another version; a recording of another program has none.
    """
    found = about.get('format', '')
    if found not in ('', str(FORMAT)):
        raise RecordingError(
            f'{path} has version {found} of the format of recordings, expected {FORMAT}: it was '
            f'made by nrl_ros {about.get("nrl_ros", "of another version")}; read it with that one'
        )
