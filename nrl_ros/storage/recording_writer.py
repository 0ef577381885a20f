"""Writes recordings: MCAP files with ROS 2 schemas, split by size and time, as rosbag2 has them.

What was written is whole up to the last chunk, whatever ends the process: a chunk is closed and
given to the operating system after a size or a time. Messages are given to a thread that
compresses and writes; what comes faster than that is dropped and counted, so that nothing waits for
a disk.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from nrl_ros import __version__
from nrl_ros.base.errors import NrlError
from nrl_ros.storage.bag_metadata import BagFacts, FileFacts, Topic, offered_text
from nrl_ros.storage.mcap_file import Channel, McapFile

# Of what recordings hold besides messages; a reader of an older one refuses newer ones.
FORMAT = 1
ABOUT = 'nrl_ros'
# Metadata of the last file: messages of each topic that were dropped.
LOST = 'nrl_ros/lost'
_METADATA_S = 5.0
# Messages wait so long for the thread that writes them: to wake it for each one takes longer than
# to write it. Where a quarter of the room is filled, it is woken.
_WAIT_S = 0.05
_WAKES_AT = 0.25
# Of zstd: 3, its usual one, takes a quarter longer for a recording that is 2 % smaller.
_LEVEL = 1


class RecordingError(NrlError):
    """A recording is missing, damaged or of another version, or cannot be written."""


def mcap() -> Any:
    """Return the package mcap.

    Raises:
        RecordingError: it is not installed.
    """
    try:
        import mcap.data_stream
        import mcap.opcode
        import mcap.reader
        import mcap.records
        import mcap.stream_reader
        import mcap.writer
        import zstandard  # noqa: F401 - chunks are compressed by it
    except ImportError as error:
        raise RecordingError(
            f'recordings need mcap, which is not installed ({error}): '
            'python -m pip install "nrl_ros[record]"'
        ) from error
    return mcap


@dataclass(frozen=True)
class Splitting:
    """When chunks and files end.

    Attributes:
        chunk_bytes: of messages in a chunk, before compression.
        chunk_s: longest time until a chunk is closed [s].
        file_bytes: after which a file is closed and the next one begun; 0: no limit.
        file_s: the same as a time [s]; 0: no limit.
    """

    chunk_bytes: int = 1 << 20
    chunk_s: float = 1.0
    file_bytes: int = 1 << 30
    file_s: float = 3600.0


class Attachment(NamedTuple):
    """A file that lies in a recording, such as the checkpoint that a run began with."""

    name: str
    data: bytes


class RecordingWriter:
    """Writes one recording into a folder of its own.

    Args:
        folder: is made; must not hold a recording yet.
        about: what is kept of the recording besides its messages, by name.
        splitting: when chunks and files end.
        distribution: of ROS.

    Attributes:
        facts: what was written so far.
        bytes: of messages, before compression.

    Raises:
        RecordingError: the folder holds something already, or cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        about: dict[str, str],
        splitting: Splitting = Splitting(),
        distribution: str = '',
    ) -> None:
        self._mcap = mcap()
        self._zstandard: Any = importlib.import_module('zstandard')
        self.folder = folder
        self._about = {'format': str(FORMAT), 'nrl_ros': __version__, **about}
        self._splitting = splitting
        self.facts = BagFacts(distribution=distribution)
        self.bytes = self._finished_bytes = 0
        self._stream: IO[bytes] | None = None
        self._file: McapFile
        self._channels: dict[str, Channel] = {}
        compressor = self._zstandard.ZstdCompressor(level=_LEVEL)
        self._compress: Callable[[bytes], bytes] = compressor.compress
        self._chunk_at = self._file_at = self._metadata_at = 0.0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise RecordingError(f'{folder} is not empty: choose a new folder for a recording')
            self._begin(time.monotonic())
        except OSError as error:
            raise RecordingError(
                f'the recording {folder} cannot be made: {error.strerror or error}'
            ) from error

    @property
    def file_bytes(self) -> int:
        """Bytes on the disk so far."""
        return self._finished_bytes + (self._file.size if self._stream else 0)

    def add_topic(self, topic: Topic) -> None:
        """Record a topic from now on; one that is known already stays as it is."""
        self.facts.topics.setdefault(topic.name, topic)

    def write(self, topic: str, data: bytes, received_ns: int, sent_ns: int) -> None:
        """Write a message of a topic that was added.

        Args:
            topic: its name.
            data: the message in CDR.
            received_ns: when it came.
            sent_ns: when it was sent.

        Raises:
            OSError: the disk does not take it.
        """
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._channel(self.facts.topics[topic])
        count = self.facts.counts.get(topic, 0)
        self._file.add(channel, data, received_ns, sent_ns, count)
        self.facts.counts[topic] = count + 1
        self.facts.files[-1].add(received_ns)
        self.bytes += len(data)

    def keep_file(self, attachment: Attachment, now_ns: int) -> None:
        """Put a file into the recording."""
        self._file.add_attachment(attachment.name, attachment.data, now_ns)

    def look(self, now_s: float) -> None:
        """Close the chunk or the file if it is time to; call it often.

        Args:
            now_s: by a steady clock [s].

        Raises:
            OSError: the disk does not take it.
        """
        limits = self._splitting
        if now_s - self._chunk_at >= limits.chunk_s:
            self._chunk_at = now_s
            self._file.flush()
        too_large = 0 < limits.file_bytes <= self._file.size
        if too_large or 0.0 < limits.file_s <= now_s - self._file_at:
            self._end()
            self._begin(now_s)
        if now_s - self._metadata_at >= _METADATA_S:
            self._metadata_at = now_s
            self.facts.write(self.folder)

    def close(self, lost: Mapping[str, int] | None = None) -> None:
        """End the last file and write ``metadata.yaml``.

        Args:
            lost: messages of each topic that were dropped before they came here; None: not known.

        Raises:
            OSError: the disk does not take it.
        """
        if lost is not None and self._stream is not None:
            self._file.add_metadata(LOST, {name: str(count) for name, count in lost.items()})
        self._end()
        self.facts.write(self.folder)

    def _begin(self, now_s: float) -> None:
        name = f'{self.folder.name}_{len(self.facts.files)}.mcap'
        self._stream = (self.folder / name).open('wb')
        self._file = McapFile(
            self._mcap,
            self._stream,
            f'nrl_ros {__version__}',
            self._splitting.chunk_bytes,
            self._compress,
        )
        self._file.add_metadata(ABOUT, self._about)
        self._file.flush()
        self._channels = {}
        self._chunk_at = self._file_at = now_s
        self.facts.files.append(FileFacts(name))
        self.facts.write(self.folder)

    def _end(self) -> None:
        if self._stream is None:
            return
        stream, self._stream = self._stream, None
        with stream:
            self._file.finish()
            self._finished_bytes += self._file.size

    def _channel(self, topic: Topic) -> Channel:
        about = {'offered_qos_profiles': offered_text(topic), 'topic_type_hash': topic.type_hash}
        channel = self._file.channel(topic.name, topic.type, topic.schema, about)
        self._channels[topic.name] = channel
        return channel


class _Waiting(NamedTuple):
    topic: str
    data: bytes
    received_ns: int
    sent_ns: int


class WriterThread:
    """Writes messages in a thread of its own; whoever gives them never waits.

    Args:
        writer: what they are written by; only the thread uses it from now on.
        most_bytes: of messages that wait; more are dropped.

    Attributes:
        lost: messages of each topic that were dropped.
        fault: why nothing can be written any more; empty: no fault.
    """

    def __init__(self, writer: RecordingWriter, most_bytes: int) -> None:
        self._writer, self._most_bytes = writer, most_bytes
        self._waiting: deque[_Waiting | Attachment | Topic] = deque()
        self._queued = self._taken = 0
        self.lost: Counter[str] = Counter()
        self.fault = ''
        self._ending = threading.Event()
        self._filled = threading.Event()
        self._thread = threading.Thread(target=self._run, name='recording', daemon=True)
        self._thread.start()

    @property
    def queued_bytes(self) -> int:
        """Bytes of messages that wait."""
        return self._queued - self._taken

    def add_topic(self, topic: Topic) -> None:
        """Record a topic from now on."""
        self._waiting.append(topic)

    def write(self, topic: str, data: bytes, received_ns: int, sent_ns: int) -> None:
        """Give a message; it is dropped and counted if too many wait or nothing can be written."""
        if self.fault or self.queued_bytes + len(data) > self._most_bytes:
            self.lost[topic] += 1
            return
        # Each of the two sums is changed by one thread only.
        self._queued += len(data)
        self._waiting.append(_Waiting(topic, data, received_ns, sent_ns))
        if self.queued_bytes > self._most_bytes * _WAKES_AT:
            self._filled.set()

    def keep_file(self, attachment: Attachment) -> None:
        """Give a file."""
        self._waiting.append(attachment)

    def close(self) -> None:
        """Write what waits, and end the recording; a second call does nothing."""
        self._ending.set()
        self._filled.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                ending = self._ending.is_set()
                self._write_all()
                self._writer.look(time.monotonic())
                if ending:
                    break
                self._filled.wait(_WAIT_S)
                self._filled.clear()
            self._writer.close(self.lost)
        except OSError as error:
            self.fault = f'{error.filename or self._writer.folder}: {error.strerror or error}'
            self._drop_all()

    def _write_all(self) -> None:
        while self._waiting:
            one = self._waiting.popleft()
            if isinstance(one, _Waiting):
                self._taken += len(one.data)
                self._writer.write(*one)
                self._writer.look(time.monotonic())
            elif isinstance(one, Attachment):
                self._writer.keep_file(one, time.time_ns())
            else:
                self._writer.add_topic(one)

    def _drop_all(self) -> None:
        while self._waiting:
            one = self._waiting.popleft()
            if isinstance(one, _Waiting):
                self._taken += len(one.data)
                self.lost[one.topic] += 1
