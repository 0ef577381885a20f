"""Writes one MCAP file at the rate of a fast loop: a message costs a header and two appends.

The writer of the package mcap builds each message and each entry of the index by a dozen calls,
which takes longer than to compress them. With it a recorder beside CartPole with 256 instances left
0.89 of its steps per second, with this one 0.94 (six and nine pairs of runs, two cores). Its
records are used for all that is rare.

References:
    https://mcap.dev/spec
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

# Opcode, length of what follows, channel, sequence, log time, publish time.
_MESSAGE = struct.Struct('<BQHIQQ')
_IS_MESSAGE, _OPCODE_BYTES = 5, 9
# Opcode, length of what follows, channel, length of the entries.
_INDEX = struct.Struct('<BQHI')
# What the checksum of the summary covers of the footer: opcode, length, and both offsets.
_FOOTER = struct.Struct('<BQQQ')
_FOOTER_BYTES = 20
_COUNTER = 0xFFFFFFFF


class Channel(NamedTuple):
    """A topic in a file.

    Attributes:
        number: in the file, from 1.
        places: time and place of each of its messages in the open chunk, one behind the other.
    """

    number: int
    places: list[int]


class McapFile:
    """One MCAP file: messages in compressed chunks with an index, and a summary at its end.

    Args:
        mcap: the package.
        stream: where it is written.
        library: who writes it.
        chunk_bytes: of messages in a chunk, before compression; then it is closed.
        compress: makes a chunk smaller, by zstd.

    Attributes:
        size: of the file so far.
    """

    def __init__(
        self,
        mcap: Any,
        stream: IO[bytes],
        library: str,
        chunk_bytes: int,
        compress: Callable[[bytes], bytes],
    ) -> None:
        self._records: Any = mcap.records
        self._opcode: Any = mcap.opcode.Opcode
        self._builder: Any = mcap.data_stream.RecordBuilder
        self._magic: bytes = mcap.writer.MCAP0_MAGIC
        self._stream, self._compress = stream, compress
        self._chunk_bytes = chunk_bytes
        self._parts: list[bytes] = []
        self._part_bytes = 0
        self._channels: list[Channel] = []
        self._schemas: dict[str, int] = {}
        self._counts: list[int] = []
        # Records that the summary says again, and those that say where something is.
        self._schema_records: list[Any] = []
        self._channel_records: list[Any] = []
        self._chunk_indexes: list[Any] = []
        self._attachment_indexes: list[Any] = []
        self._metadata_indexes: list[Any] = []
        self._start_ns = self._end_ns = self.size = 0
        self._put(self._magic)
        self._record(self._records.Header('ros2', library))

    # -------------------------------------------------------------- messages

    def channel(self, topic: str, kind: str, schema: str, about: Mapping[str, str]) -> Channel:
        """Begin a topic.

        Args:
            topic: its name.
            kind: of its messages.
            schema: the definition of the kind, as ``ros2msg``.
            about: what is kept of the topic, by name.
        """
        number = self._schemas.get(kind)
        if number is None:
            number = self._schemas[kind] = len(self._schemas) + 1
            self._describe(
                self._records.Schema(
                    id=number, data=schema.encode(), encoding='ros2msg', name=kind
                ),
                self._schema_records,
            )
        made = Channel(len(self._channels) + 1, [])
        self._channels.append(made)
        self._counts.append(0)
        self._describe(
            self._records.Channel(
                id=made.number,
                topic=topic,
                message_encoding='cdr',
                schema_id=number,
                metadata=dict(about),
            ),
            self._channel_records,
        )
        return made

    def add(
        self, channel: Channel, data: bytes, received_ns: int, sent_ns: int, count: int
    ) -> None:
        """Add a message, and close the chunk when it is full.

        Args:
            channel: of its topic.
            data: the message in CDR.
            received_ns: when it came.
            sent_ns: when it was sent.
            count: of messages of the topic before it.
        """
        size = _MESSAGE.size + len(data)
        channel.places.append(received_ns)
        channel.places.append(self._part_bytes)
        self._parts.append(
            _MESSAGE.pack(
                _IS_MESSAGE,
                size - _OPCODE_BYTES,
                channel.number,
                count & _COUNTER,
                received_ns,
                sent_ns,
            )
        )
        self._parts.append(data)
        self._part_bytes += size
        if self._part_bytes > self._chunk_bytes:
            self.end_chunk()

    def flush(self) -> None:
        """Close the open chunk, and give all to the operating system."""
        self.end_chunk()
        self._stream.flush()

    def end_chunk(self) -> None:
        """Close the open chunk, if it holds a message."""
        filled = [one for one in self._channels if one.places]
        if not filled:
            return
        whole = b''.join(self._parts)
        self._parts.clear()
        self._part_bytes = 0
        start_ns = min(min(one.places[::2]) for one in filled)
        end_ns = max(max(one.places[::2]) for one in filled)
        first = not any(self._counts)
        self._start_ns = start_ns if first else min(self._start_ns, start_ns)
        self._end_ns = max(self._end_ns, end_ns)
        data, at = self._compress(whole), self.size
        self._record(
            self._records.Chunk(
                compression='zstd',
                data=data,
                message_start_time=start_ns,
                message_end_time=end_ns,
                uncompressed_crc=zlib.crc32(whole),
                uncompressed_size=len(whole),
            )
        )
        behind = self.size
        found = self._put_indexes(filled, behind)
        self._chunk_indexes.append(
            self._records.ChunkIndex(
                chunk_length=behind - at,
                chunk_start_offset=at,
                compression='zstd',
                compressed_size=len(data),
                message_end_time=end_ns,
                message_index_length=self.size - behind,
                message_index_offsets=found,
                message_start_time=start_ns,
                uncompressed_size=len(whole),
            )
        )

    def _put_indexes(self, filled: list[Channel], at: int) -> dict[int, int]:
        """Write where the messages of a chunk are, and return where that is written."""
        found = {}
        for channel in filled:
            entries = struct.pack(f'<{len(channel.places)}Q', *channel.places)
            self._counts[channel.number - 1] += len(channel.places) // 2
            channel.places.clear()
            found[channel.number] = at
            head = _INDEX.pack(
                self._opcode.MESSAGE_INDEX, 6 + len(entries), channel.number, len(entries)
            )
            at += len(head) + len(entries)
            self._put(head)
            self._put(entries)
        return found

    def _describe(self, record: Any, kept: list[Any]) -> None:
        """Write a schema or channel into the open chunk, before the messages that need it."""
        kept.append(record)
        part = self._bytes_of(record)
        self._parts.append(part)
        self._part_bytes += len(part)

    # -------------------------------------------------------------- all else

    def add_attachment(self, name: str, data: bytes, now_ns: int) -> None:
        """Put a file into this one."""
        kind, at = 'application/octet-stream', self.size
        self._record(
            self._records.Attachment(
                create_time=now_ns, log_time=now_ns, name=name, media_type=kind, data=data
            )
        )
        self._attachment_indexes.append(
            self._records.AttachmentIndex(
                offset=at,
                length=self.size - at,
                log_time=now_ns,
                create_time=now_ns,
                data_size=len(data),
                name=name,
                media_type=kind,
            )
        )

    def add_metadata(self, name: str, data: Mapping[str, str]) -> None:
        """Put names and values into the file."""
        at = self.size
        self._record(self._records.Metadata(name=name, metadata=dict(data)))
        self._metadata_indexes.append(
            self._records.MetadataIndex(offset=at, length=self.size - at, name=name)
        )

    def finish(self) -> None:
        """Close the open chunk, and write the summary."""
        self.end_chunk()
        self._record(self._records.DataEnd(data_section_crc=0))
        start = self.size
        summary = b''
        offsets = []
        for records in self._summary():
            group = b''.join(map(self._bytes_of, records))
            if group:
                offsets.append(
                    self._records.SummaryOffset(
                        group_opcode=group[0],
                        group_start=start + len(summary),
                        group_length=len(group),
                    )
                )
                summary += group
        offset_start = start + len(summary)
        summary += b''.join(map(self._bytes_of, offsets))
        head = _FOOTER.pack(self._opcode.FOOTER, _FOOTER_BYTES, start, offset_start)
        self._put(summary)
        self._record(
            self._records.Footer(
                summary_start=start,
                summary_offset_start=offset_start,
                summary_crc=zlib.crc32(head, zlib.crc32(summary)),
            )
        )
        self._put(self._magic)

    def _summary(self) -> tuple[list[Any], ...]:
        statistics = self._records.Statistics(
            attachment_count=len(self._attachment_indexes),
            channel_count=len(self._channels),
            channel_message_counts={
                one.number: count for one, count in zip(self._channels, self._counts, strict=True)
            },
            chunk_count=len(self._chunk_indexes),
            message_count=sum(self._counts),
            message_end_time=self._end_ns,
            message_start_time=self._start_ns,
            metadata_count=len(self._metadata_indexes),
            schema_count=len(self._schemas),
        )
        return (
            self._schema_records,
            self._channel_records,
            [statistics],
            self._chunk_indexes,
            self._attachment_indexes,
            self._metadata_indexes,
        )

    def _bytes_of(self, record: Any) -> bytes:
        builder = self._builder()
        record.write(builder)
        made: bytes = builder.end()
        return made

    def _record(self, record: Any) -> None:
        self._put(self._bytes_of(record))

    def _put(self, data: bytes) -> None:
        self._stream.write(data)
        self.size += len(data)
