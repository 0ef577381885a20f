"""Recordings are whole up to their last chunk, and say what is missing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import yaml

pytest.importorskip('mcap')

from nrl_ros.cli.runs import recording_of
from nrl_ros.storage import recording_writer
from nrl_ros.storage.bag_metadata import METADATA, Topic
from nrl_ros.storage.recording_writer import (
    ABOUT,
    LOST,
    Attachment,
    RecordingError,
    RecordingWriter,
    Splitting,
    WriterThread,
)
from nrl_ros.storage.recordings import Recording

TOPIC = Topic('/a/text', 'std_msgs/msg/String', 'string data\n')
OTHER = Topic('/a/flag', 'std_msgs/msg/Bool', 'bool data\n', latched=True, depth=1)


def text(number: int) -> bytes:
    return b'\x00\x01\x00\x00' + number.to_bytes(4, 'little') * 50


def written(folder: Path, count: int, **splitting: float) -> RecordingWriter:
    """A recording of so many messages of two topics, a millisecond apart, not closed."""
    writer = RecordingWriter(folder, {'namespace': '/a'}, Splitting(**splitting), 'jazzy')
    for topic in (TOPIC, OTHER):
        writer.add_topic(topic)
    for number in range(count):
        name = TOPIC.name if number % 2 else OTHER.name
        writer.write(name, text(number), 1000 + number, 900 + number)
        writer.look(number / 1000.0)
    return writer


def test_messages_come_back_in_their_order_with_their_times(tmp_path: Path) -> None:
    writer = written(tmp_path / 'rec', 100)
    writer.keep_file(Attachment('checkpoints/x.nrl', b'weights'), 5)
    writer.close()
    recording = Recording(tmp_path / 'rec')
    found = list(recording.messages())
    assert [one.data for one in found] == [text(number) for number in range(100)]
    assert [one.received_ns for one in found] == list(range(1000, 1100))
    assert [one.sent_ns for one in found] == list(range(900, 1000))
    types = {TOPIC.name: TOPIC.type, OTHER.name: OTHER.type}
    assert {one.topic: one.type for one in found} == types
    assert recording.schemas == {TOPIC.type: TOPIC.schema, OTHER.type: OTHER.schema}
    assert recording.attachments() == {'checkpoints/x.nrl': b'weights'}
    assert (recording.namespace, recording.cut_off) == ('/a', {})
    assert [one.topic for one in recording.messages({OTHER.name})] == [OTHER.name] * 50


def test_files_are_split_by_size_and_by_time_and_read_as_one(tmp_path: Path) -> None:
    for name, limits in (('size', {'chunk_bytes': 500, 'file_bytes': 2000}), ('time', {})):
        splitting = limits or {'chunk_s': 0.001, 'file_s': 0.02}
        writer = RecordingWriter(tmp_path / name, {}, Splitting(**splitting))
        writer.add_topic(TOPIC)
        # The clock of the files runs from when the writer was made.
        writer._file_at = writer._chunk_at = 0.0
        for number in range(60):
            writer.write(TOPIC.name, text(number) + bytes(range(200)), number, number)
            writer.look(number / 1000.0)
        writer.close()
        recording = Recording(tmp_path / name)
        assert len(recording.files) > 2, name
        assert [one.received_ns for one in recording.messages()] == list(range(60))


def test_a_reader_that_seeks_finds_each_message_by_the_index(tmp_path: Path) -> None:
    """The package's own reader goes by the summary to the chunks that it needs."""
    from mcap.reader import SeekingReader

    writer = written(tmp_path / 'rec', 300, chunk_bytes=2000)
    writer.keep_file(Attachment('checkpoints/x.nrl', b'weights'), 5)
    writer.close({TOPIC.name: 2})
    with (tmp_path / 'rec' / 'rec_0.mcap').open('rb') as stream:
        reader = SeekingReader(stream, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None and summary.statistics is not None
        counts = summary.statistics
        assert (counts.message_count, counts.attachment_count, counts.metadata_count) == (300, 1, 2)
        assert (counts.message_start_time, counts.message_end_time) == (1000, 1299)
        assert counts.chunk_count == len(summary.chunk_indexes) > 20
        found = list(reader.iter_messages([TOPIC.name], reverse=True))
        assert [one.log_time for _, _, one in found] == list(range(1299, 1000, -2))
        assert [one.data for _, _, one in found[:2]] == [text(299), text(297)]
        assert [one.sequence for _, _, one in found] == list(range(149, -1, -1))
        (attachment,) = reader.iter_attachments()
        assert attachment.data == b'weights'
        assert {one.name for one in reader.iter_metadata()} == {ABOUT, LOST}


def test_metadata_has_what_rosbag2_reads(tmp_path: Path) -> None:
    written(tmp_path / 'rec', 10).close()
    data = yaml.safe_load((tmp_path / 'rec' / METADATA).read_text())
    bag = data['rosbag2_bagfile_information']
    assert (bag['version'], bag['storage_identifier'], bag['ros_distro']) == (9, 'mcap', 'jazzy')
    assert bag['relative_file_paths'] == ['rec_0.mcap']
    assert bag['message_count'] == bag['files'][0]['message_count'] == 10
    assert bag['starting_time']['nanoseconds_since_epoch'] == 1000
    assert bag['duration']['nanoseconds'] == 9
    one = bag['topics_with_message_count'][1]
    assert one['message_count'] == 5
    about = one['topic_metadata']
    assert (about['name'], about['type']) == (OTHER.name, OTHER.type)
    assert about['serialization_format'] == 'cdr'
    (offered,) = about['offered_qos_profiles']
    assert (offered['durability'], offered['depth']) == ('transient_local', 1)


def test_a_recorder_that_was_killed_leaves_all_chunks_that_were_closed(tmp_path: Path) -> None:
    """Nothing is closed here: what is on the disk is what a killed process leaves."""
    writer = written(tmp_path / 'rec', 300, chunk_bytes=2000)
    assert writer._stream is not None
    writer._stream.flush()
    recording = Recording(tmp_path / 'rec')
    found = [one.data for one in recording.messages()]
    assert 250 < len(found) < 300
    assert found == [text(number) for number in range(len(found))]
    assert 'ends early' in recording.cut_off['rec_0.mcap']
    assert (tmp_path / 'rec' / METADATA).is_file()


@pytest.mark.parametrize('kept', [0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off_is_read_up_to_its_last_whole_chunk(
    tmp_path: Path, kept: float
) -> None:
    written(tmp_path / 'rec', 300, chunk_bytes=2000).close()
    path = tmp_path / 'rec' / 'rec_0.mcap'
    whole = path.read_bytes()
    last = len(whole) * 2 // 3  # The summary is behind the messages.
    path.write_bytes(whole[: int(last * kept)])
    recording = Recording(tmp_path / 'rec')
    found = [one.data for one in recording.messages()]
    assert found == [text(number) for number in range(len(found))] and found
    assert list(recording.cut_off) == ['rec_0.mcap']


def test_a_damaged_chunk_is_one_error(tmp_path: Path) -> None:
    written(tmp_path / 'rec', 300, chunk_bytes=2000).close()
    path = tmp_path / 'rec' / 'rec_0.mcap'
    data = bytearray(path.read_bytes())
    inside = data.index(b'zstd', len(data) // 3) + 60
    data[inside : inside + 20] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(RecordingError, match=r'rec_0\.mcap is damaged after \d+ bytes'):
        list(Recording(tmp_path / 'rec').messages())


def test_what_is_no_recording_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match='there is no recording'):
        Recording(tmp_path / 'nothing')
    with pytest.raises(RecordingError, match='holds no recording'):
        Recording(tmp_path)
    path = tmp_path / 'x.mcap'
    path.write_bytes(b'some other file')
    with pytest.raises(RecordingError, match='is no MCAP file: it begins with 73 6f'):
        Recording(path)
    path.write_bytes(b'\x89MCAP0\r\n\x01')
    with pytest.raises(RecordingError, match='nothing was recorded'):
        Recording(path)


def test_a_missing_file_of_several_is_named(tmp_path: Path) -> None:
    writer = written(tmp_path / 'rec', 300, chunk_bytes=500, file_bytes=5000)
    writer.close()
    (tmp_path / 'rec' / 'rec_1.mcap').unlink()
    with pytest.raises(RecordingError, match=r'lacks rec_1\.mcap, which its metadata\.yaml lists'):
        Recording(tmp_path / 'rec')


def test_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_writer, 'FORMAT', 99)
    written(tmp_path / 'rec', 3).close()
    with pytest.raises(RecordingError, match='version 99 of the format of recordings, expected 1'):
        Recording(tmp_path / 'rec')
    assert ABOUT == 'nrl_ros'


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'mine.txt').write_text('mine')
    with pytest.raises(RecordingError, match='is not empty'):
        RecordingWriter(tmp_path, {})


def test_what_comes_faster_than_the_disk_is_dropped_and_counted(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / 'rec', {})
    held, entered = threading.Event(), threading.Event()
    write = writer.write

    def slow(*arguments: object) -> None:
        entered.set()
        assert held.wait(10.0)
        write(*arguments)  # type: ignore[arg-type]

    writer.write = slow  # type: ignore[method-assign]
    thread = WriterThread(writer, most_bytes=1000)
    thread.add_topic(TOPIC)
    thread.write(TOPIC.name, text(0), 0, 0)
    assert entered.wait(10.0)
    for number in range(1, 11):
        thread.write(TOPIC.name, text(number), number, number)
    # Four of 204 bytes fit beside the one that is being written.
    assert thread.lost == {TOPIC.name: 6}
    held.set()
    thread.close()
    thread.close()
    assert [one.received_ns for one in Recording(tmp_path / 'rec').messages()] == [0, 1, 2, 3, 4]
    assert thread.queued_bytes == 0


def test_a_disk_that_takes_nothing_is_a_fault_and_no_end(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / 'rec', {})

    def full(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    writer.write = full  # type: ignore[method-assign]
    thread = WriterThread(writer, most_bytes=10_000)
    thread.add_topic(TOPIC)
    thread.write(TOPIC.name, text(0), 0, 0)
    thread.close()
    thread.write(TOPIC.name, text(1), 0, 0)
    assert 'No space left' in thread.fault
    assert thread.lost[TOPIC.name] >= 1


def test_without_mcap_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'mcap.reader', None)
    with pytest.raises(RecordingError, match=r'pip install "nrl_ros\[record\]"'):
        recording_writer.mcap()


def test_the_newest_recording_of_a_run_is_one_with_messages(tmp_path: Path) -> None:
    (tmp_path / 'config.yaml').touch()
    for name, count in (('recording', 3), ('recording-2', 0)):
        written(tmp_path / name, count).close()
    assert recording_of(tmp_path) == tmp_path / 'recording'
    written(tmp_path / 'recording-3', 1).close()
    assert recording_of(tmp_path) == tmp_path / 'recording-3'


def test_a_recording_that_was_killed_at_once_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    """Its ``metadata.yaml`` does not know of its messages yet."""
    (tmp_path / 'config.yaml').touch()
    written(tmp_path / 'recording', 3).close()
    written(tmp_path / 'recording-2', 5)
    assert 'message_count: 0' in (tmp_path / 'recording-2' / METADATA).read_text()
    assert recording_of(tmp_path) == tmp_path / 'recording-2'
