"""What cannot be recorded or read is told in one line, and what was written before stays."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')
pytest.importorskip('mcap')

from mcap.writer import Writer

from nrl_ros.cli.convert import convert
from nrl_ros.cli.recording import RecorderWatch
from nrl_ros.cli.replay import replay
from nrl_ros.ros.schemas import UnknownTypeError, message_class
from nrl_ros.storage.bag_metadata import METADATA, BagFacts, Topic
from nrl_ros.storage.recording_writer import RecordingError, RecordingWriter


def foreign(path: Path, kind: str, encoding: str) -> None:
    """Write an MCAP file as another program does."""
    with path.open('wb') as stream:
        writer = Writer(stream)
        writer.start('other', 'another program')
        schema = writer.register_schema(kind, 'jsonschema', b'{}')
        channel = writer.register_channel('/t', encoding, schema)
        for at in range(10):
            writer.add_message(channel, at, b'{"a": 1}', at)
        writer.finish()


@pytest.mark.parametrize('kind', ['demo', '', 'foxglove.Pose', '.x/msg/Y', 'absent_msgs/msg/A'])
def test_a_file_of_another_program_has_no_tables_and_no_replay(tmp_path: Path, kind: str) -> None:
    path, said = tmp_path / 'x.mcap', list[str]()
    foreign(path, kind, 'json')
    out = convert(path, 'csv', tmp_path / 'tables', said.append)
    assert said[0] == f'no table: {path} has nothing of a run with numbers'
    assert said[1].startswith('t was left out: ') and not out.exists()
    with pytest.raises(RecordingError, match='it cannot be replayed'):
        replay(path)
    with pytest.raises(UnknownTypeError):
        message_class(kind)


def test_a_replay_of_a_file_that_was_cut_off_says_so(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / 'rec', {'namespace': '/a'})
    writer.add_topic(Topic('/a/text', 'std_msgs/msg/String', 'string data\n'))
    writer.write('/a/text', b'\x00\x01\x00\x00\x02\x00\x00\x00a\x00', 1, 1)
    writer.close()
    path = tmp_path / 'rec' / 'rec_0.mcap'
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(RecordingError, match=r'cannot be replayed; .*rec_0\.mcap ends early'):
        replay(path)


def test_a_folder_in_which_no_file_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    # A folder may have this name; its files, which are named like it, are longer than names may be.
    for folder in (tmp_path / 'file', tmp_path / 'file' / 'rec', tmp_path / ('x' * 253)):
        with pytest.raises(RecordingError, match=f'the recording {folder} cannot be made: '):
            RecordingWriter(folder, {})


def test_no_half_of_the_metadata_is_left(tmp_path: Path) -> None:
    (tmp_path / METADATA).mkdir()
    with pytest.raises(OSError):
        BagFacts().write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [METADATA]


def test_a_recorder_that_cannot_write_is_not_called_too_slow(tmp_path: Path) -> None:
    heard: list[Any] = []
    said: list[str] = []
    monitor: Any = SimpleNamespace(hear=lambda *parts: heard.append(parts[-1]))
    watch = RecorderWatch(monitor, tmp_path, said.append)
    status = SimpleNamespace(dropped=3, fault='No space left', topic=['/state'], lost=[3])
    heard[0](status)
    assert said == []
    watch.ended('exit code 1', 'nothing can be recorded any more: No space left')
    assert len(said) == 2 and 'the run goes on without a recording' in said[0]
    status.fault = ''
    heard[0](status)
    assert 'too slow' in said[-1] and '/state 3' in said[-1]
