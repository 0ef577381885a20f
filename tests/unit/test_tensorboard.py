"""TensorBoard shows what ``progress.csv`` says."""

from __future__ import annotations

import csv
import math
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import nrl_ros
from nrl_ros.cli.main import app
from nrl_ros.cli.runs import Run
from nrl_ros.cli.tensorboard import progress_table
from nrl_ros.monitor.progress import Progress

event_pb2 = pytest.importorskip('tensorboardX.proto.event_pb2')


def events(folder: Path) -> list[Any]:
    """Return the events of the only event file of a folder."""
    (path,) = folder.glob('events.out.tfevents.*')
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        (length,) = struct.unpack('<Q', data[at : at + 8])
        # A length with its checksum, the event, and a checksum of that.
        found.append(event_pb2.Event.FromString(data[at + 12 : at + 12 + length]))
        at += 16 + length
    return found


def as_rows(folder: Path) -> list[dict[str, float]]:
    return [
        {'steps': one.step, **{value.tag: value.simple_value for value in one.summary.value}}
        for one in events(folder)
        if one.HasField('summary')
    ]


def csv_rows(run: Run) -> list[dict[str, float]]:
    with run.progress.open(newline='') as file:
        return [
            {name: float(cell) for name, cell in row.items() if cell}
            for row in csv.DictReader(file)
        ]


def test_event_files_say_what_progress_csv_says(tmp_path: Path) -> None:
    run = Run(tmp_path)
    table = progress_table(run, tensorboard=True)
    progress = Progress(steps=100, weight_norm=2.5)
    table.add([progress.row(1.0)])
    assert list(tmp_path.iterdir()) == [], 'a run that has not begun leaves nothing'
    table.open()
    progress.add_episodes(200, [3.0, 5.0], [10, 10])
    progress.steps = 200
    table.add([progress.row(2.0)])
    table.close()
    shown = as_rows(tmp_path)
    # Event files hold numbers of 32 bits.
    for one, row in zip(shown, csv_rows(run), strict=True):
        assert one == pytest.approx(row)
    assert 'mean_return' not in shown[0] and math.isclose(shown[1]['mean_return'], 4.0)
    # What an earlier file says of later steps, before a resume, is not shown any more.
    (start,) = [one for one in events(tmp_path) if one.HasField('session_log')]
    assert (start.step, start.session_log.status) == (100, event_pb2.SessionLog.START)


def test_a_run_from_python_has_an_event_file(tmp_path: Path) -> None:
    run = nrl_ros.train('cartpole', steps=2000, out=tmp_path / 'run', tensorboard=True, say=None)
    shown = as_rows(run.folder)
    assert [row['steps'] for row in shown] == [row['steps'] for row in csv_rows(Run(run.folder))]
    assert shown[-1]['mean_return'] == pytest.approx(run.summary['mean_return_last_100'], rel=1e-5)


@pytest.mark.parametrize('command', [['train', 'cartpole'], ['arm']])
def test_a_missing_package_is_named_before_anything_starts(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'tensorboardX', None)
    told = CliRunner().invoke(app, [*command, '--tensorboard', '--out', str(tmp_path / 'run')])
    assert told.exit_code == 2
    assert 'pip install "nrl_ros[tensorboard]"' in told.output
    assert not (tmp_path / 'run').exists()
