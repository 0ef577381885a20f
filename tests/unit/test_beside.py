"""What is written beside a program that must not wait for the disk."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy')

from nrl_ros.base.errors import CheckpointError
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.nodes.learner_checkpoints import LearnerCheckpoints
from nrl_ros.settings.learner import LearnerNodeSettings
from nrl_ros.storage.beside import WriterBeside
from nrl_ros.storage.series import CheckpointSeries


def test_the_program_goes_on_while_a_file_is_written_and_hears_of_a_fault_once() -> None:
    beside, may_end = WriterBeside(), threading.Event()

    def slow() -> None:
        assert may_end.wait(10.0)
        raise CheckpointError('the disk is full')

    beside.start(slow)
    assert beside.is_busy
    may_end.set()
    with pytest.raises(CheckpointError, match='the disk is full'):
        beside.finish()
    beside.finish()
    assert not beside.is_busy
    beside.close()


def checkpoints(folder: Path, said: list[str]) -> LearnerCheckpoints:
    settings = LearnerNodeSettings(checkpoint={'folder': str(folder), 'period_s': 1.0})
    log = SimpleNamespace(error=said.append, warning=said.append, info=said.append)
    node: Any = SimpleNamespace(
        settings=settings, get_logger=lambda: log, at_take_down=lambda undo: None
    )
    return LearnerCheckpoints(node, Learner(LearnerSettings()), lambda *_, **__: None, beside=True)


def test_a_disk_that_is_slow_holds_nothing_up_and_a_checkpoint_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    saving, may_end = checkpoints(tmp_path, said), threading.Event()
    write = CheckpointSeries.write

    def slow(self: CheckpointSeries, number: int, data: dict[str, Any]) -> Path:
        assert may_end.wait(10.0)
        return write(self, number, data)

    monkeypatch.setattr(CheckpointSeries, 'write', slow)
    numbers = []
    for at_s in (1e6, 2e6):
        saving.look(at_s)
        numbers.append(saving.save_if_due())
    # Both calls came back, although nothing is written yet.
    assert numbers == [1, 0] and not list(tmp_path.glob('*.nrl'))
    may_end.set()
    saving.save('')
    assert sorted(path.name for path in tmp_path.glob('*.nrl')) == [
        'learner_00000001.nrl',
        'learner_00000002.nrl',
    ]
    assert not said


def test_what_cannot_be_written_is_logged_as_of_a_learner_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    saving = checkpoints(tmp_path, said)

    def full(*_: Any) -> Path:
        raise CheckpointError('the disk is full')

    monkeypatch.setattr(CheckpointSeries, 'write', full)
    saving.look(1e6)
    assert saving.save_if_due() == 1
    saving._finish()
    assert said == ['checkpoint not written: the disk is full']
