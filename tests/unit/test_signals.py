"""What tells a process to end: noted once for all, and nothing is left half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nrl_ros.cli import processes
from nrl_ros.cli.display import LastingStream
from nrl_ros.cli.processes import Processes
from nrl_ros.ros.signals import ENDING, Signals


@pytest.mark.parametrize('number', ENDING)
def test_each_signal_is_noted_and_given_back(number: signal.Signals) -> None:
    # The tests themselves may run under nohup, which ignores hangups.
    outside = signal.signal(number, signal.SIG_DFL)
    try:
        with Signals() as signals:
            assert signals.received == 0
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            assert signals.received == number
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, outside)


def test_a_slash_stands_for_no_namespace(tmp_path: Path) -> None:
    """ROS takes no empty name of one."""
    for namespace, arguments in (('/', []), ('', []), ('/a/', ['-r', '__ns:=/a'])):
        made = Processes([], tmp_path, namespace=namespace, environment={})
        assert made._arguments[1:] == arguments


def test_a_hangup_that_nohup_has_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.received == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_may_be_skipped_is_left_and_the_rest_is_done() -> None:
    done = []
    with Signals() as signals:
        with signals.skipping():
            os.kill(os.getpid(), signal.SIGINT)
            done.append('what takes long')
        done.append('summary')
        os.kill(os.getpid(), signal.SIGINT)
        done.append('report')
    assert done == ['summary', 'report']


def test_the_last_ones_ignore_what_comes_while_python_takes_itself_down() -> None:
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        with Signals(last=True):
            pass
        assert all(signal.getsignal(number) == signal.SIG_IGN for number in ENDING)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_screen_that_is_gone_ends_nothing() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, 'w') as stream:
        lasting = LastingStream(stream)
        assert lasting.write('seen\n') == 5
        lasting.flush()
        assert os.read(reading, 100) == b'seen\n'
        os.close(reading)
        for _ in range(3):
            assert lasting.write('x' * 10_000) == 10_000
            lasting.flush()
        assert lasting.encoding == stream.encoding


@pytest.mark.parametrize(
    ('code', 'said'),
    [
        ('', ''),
        ('signal.signal(2, signal.SIG_DFL)', ''),
        ('code = 1; print("full disk", flush=True)', 'learner ended with exit code 1\nfull disk'),
        (
            'signal.signal(2, signal.SIG_IGN)',
            'learner did not end when it was told to, and was killed: what it has not saved '
            'is lost',
        ),
    ],
    ids=['well', 'not yet begun', 'failed', 'killed'],
)
def test_what_goes_wrong_at_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    lines = (
        'import pathlib, signal, sys, threading',
        'code = 0',
        'end = threading.Event()',
        'signal.signal(2, lambda *_: end.set())',
        code,
        'pathlib.Path(__file__).with_name("ready").touch()',
        'end.wait(10)',
        'sys.exit(code)',
    )
    (tmp_path / 'stub.py').write_text('\n'.join(lines))
    monkeypatch.setitem(processes.MODULES, 'learner', 'stub')
    if 'SIG_IGN' in code:
        # One that ends well has the usual time, on a busy machine too.
        monkeypatch.setattr(processes, '_SAVING_S', 0.3)
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    started = Processes([], tmp_path, namespace='', environment=environment)
    started.start('learner')
    while not (tmp_path / 'ready').exists():
        assert not started.ended()
    assert started.failed() == ''
    started.stop()
    assert started.failed() == said
    started.stop()
    assert started.failed() == said
    assert started.was_killed('learner') == ('was killed' in said)


def test_an_environment_has_time_to_wait_for_who_hears_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one of them was killed, it waits for more than 3 s, and was killed itself after 5."""
    lines = (
        'import pathlib, signal, threading',
        'end = threading.Event()',
        'signal.signal(2, lambda *_: end.set())',
        'pathlib.Path(__file__).with_name("ready").touch()',
        'end.wait(10)',
        'threading.Event().wait(0.3)',
    )
    (tmp_path / 'stub.py').write_text('\n'.join(lines))
    monkeypatch.setitem(processes.MODULES, 'environment', 'stub')
    monkeypatch.setattr(processes, '_GRACE_S', 0.1)
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    started = Processes([], tmp_path, namespace='', environment=environment)
    started.start('environment')
    while not (tmp_path / 'ready').exists():
        assert not started.ended()
    started.stop()
    assert started.failed() == ''


def test_ctrl_c_just_ends_a_node_from_its_first_import_on() -> None:
    """Before, it left a traceback, or was lost within a callback of the import system's."""
    code = (
        'import signal, sys\n'
        'from nrl_ros.nodes.process import prepare_process\n'
        'sys.modules["nrl_ros.base.installed"] = None\n'
        'try:\n'
        '    prepare_process()\n'
        'except ImportError:\n'
        '    print(signal.getsignal(signal.SIGINT) is signal.SIG_DFL)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout == 'True\n'
