"""A small real study: stopped and taken up again, over processes and over Ray, all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from nrl_ros.experiments.driver import State, drive
from nrl_ros.experiments.engine import ProcessEngine
from nrl_ros.experiments.plan import read_study
from nrl_ros.experiments.run import run_trial
from nrl_ros.experiments.schedule import Schedule
from nrl_ros.experiments.store import Store
from nrl_ros.storage.checkpoint import read_checkpoint

NRL = Path(__file__).parents[2] / 'scripts/nodes/nrl'

if sys.version_info >= (3, 15):
    # There are no wheels of Ray for these yet; for the others it is part of requirements/test.txt.
    pytest.importorskip('ray')

pytestmark = pytest.mark.slow

TIMEOUT_S = 60.0
TINY = {
    'name': 'tiny',
    # So long that a test that is held up for a second or two finds it still at work.
    'tasks': [{'name': 'reaching', 'instances': 8, 'width': 16, 'budget': {'episodes': 96}}],
    'rules': [
        {'name': 'nrl'},
        {'name': 'bp', 'learner': {'plasticity.rule': 'backpropagation'}},
        {'name': 'random', 'learner': {'plasticity.rule': 'random'}, 'grid': {}},
    ],
    'seeds': [0, 1],
    'search': {'seeds': [100], 'grid': {'plasticity.learning_rate': [1e-3, 3e-3]}},
    'gradients': {'states': 5},
}
CELLS = 2 * (2 + 2) + 2 + 1
# What depends on the clock.
CLOCK = ('seconds', 'steps_per_second')


class Unwatched:
    def update(self, state: State) -> None:
        """Nobody looks."""


@pytest.fixture(scope='module')
def study_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('study') / 'tiny.yaml'
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.fixture(scope='module')
def uninterrupted(study_file, tmp_path_factory) -> dict:
    """Records of a study that nobody stopped."""
    root = tmp_path_factory.mktemp('uninterrupted')
    schedule = Schedule(read_study(str(study_file)), Store(root))
    engine = ProcessEngine(2, run_trial)
    try:
        drive(schedule, engine, Unwatched())
    finally:
        engine.close()
    assert not schedule.failed
    return records(root)


def records(folder: Path) -> dict:
    paths = (folder / 'cells').glob('*.nrl')
    return {path.stem: read_checkpoint(path, 'study_cell') for path in paths}


def same(one, two) -> bool:
    """Equal to the bit, arrays included."""
    if isinstance(one, dict):
        keys = [key for key in one if key not in CLOCK]
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in keys)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and np.array_equal(one, two, equal_nan=True)
    return type(one) is type(two) and one == two


def assert_same(found: dict, expected: dict) -> None:
    assert len(found) == CELLS
    assert found.keys() == expected.keys()
    assert [key for key in found if not same(found[key], expected[key])] == []


def start(study_file: Path, folder: Path) -> subprocess.Popen:
    # The script that is installed: workers import it once more.
    command = [
        sys.executable, str(NRL), 'study', str(study_file), '--workers', '2',
        '--plain', '--root', str(folder), '--out', str(folder / 'report'),
    ]  # fmt: skip
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {'PYTHONUNBUFFERED': '1'}, start_new_session=True,
    )  # fmt: skip


def alive(session: int) -> list[int]:
    """Processes of a session that have not ended; zombies have."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != 'Z':
            found.append(int(stat.parent.name))
    return found


def until_gone(session: int) -> None:
    end = time.monotonic() + TIMEOUT_S
    while alive(session):
        assert time.monotonic() < end, f'still there: {alive(session)}'
        os.sched_yield()


def test_a_stopped_study_goes_on_where_it_was(study_file, uninterrupted, tmp_path):
    kept = 0
    for number, to_all in ((signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGKILL, False)):
        process = start(study_file, tmp_path)
        assert process.stdout is not None
        for line in process.stdout:
            if ' left, ' in line:
                break
        begun = time.monotonic()
        # A terminal's Ctrl-C goes to the workers too.
        (os.killpg if to_all else os.kill)(process.pid, number)
        rest = process.stdout.read()
        code = process.wait(TIMEOUT_S)
        assert time.monotonic() - begun < 10.0
        assert code == (-9 if number == signal.SIGKILL else 128 + number), rest
        assert 'Traceback' not in rest
        assert ('trials are kept' in rest) == (number != signal.SIGKILL)
        until_gone(process.pid)
        now = len(records(tmp_path / 'tiny'))
        assert kept < now < CELLS
        kept = now
    process = start(study_file, tmp_path)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, output
    assert output.count(' left, ') <= CELLS - kept
    assert_same(records(tmp_path / 'tiny'), uninterrupted)
    assert '| reaching | 1 | bp |' in (tmp_path / 'report' / 'report.md').read_text()


def test_a_killed_worker_costs_a_cell_its_first_try_only(study_file, uninterrupted, tmp_path):
    schedule = Schedule(read_study(str(study_file)), Store(tmp_path))
    engine = ProcessEngine(2, run_trial)

    class Killer(Unwatched):
        done = False

        def update(self, state: State) -> None:
            if not self.done and state.done >= 2 and state.running:
                self.done = True
                os.kill(next(w for w in engine._pool if w.key).process.pid, signal.SIGKILL)

    killer = Killer()
    try:
        drive(schedule, engine, killer)
    finally:
        engine.close()
    assert killer.done and not schedule.failed
    assert_same(records(tmp_path), uninterrupted)


@pytest.mark.alone
def test_over_ray_a_killed_worker_loses_no_cell(study_file, uninterrupted, tmp_path):
    from nrl_ros.experiments.ray_engine import RayEngine

    pids, victim = tmp_path / 'pids', tmp_path / 'victim'
    pids.mkdir()

    def work(job):
        """Runs in a worker: the first one to run a nrl trial waits there for its end."""
        (pids / str(os.getpid())).touch()
        if 'nrl' in job['label']:
            try:
                with victim.open('x') as file:
                    file.write(f'{os.getpid()}\n')
            except FileExistsError:
                return run_trial(job)
            while True:
                signal.pause()
        return run_trial(job)

    killed = []

    def kill():
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            text = victim.read_text() if victim.exists() else ''
            if text.endswith('\n'):
                os.kill(int(text), signal.SIGKILL)
                killed.append(int(text))
                return
            time.sleep(0.05)

    schedule = Schedule(read_study(str(study_file)), Store(tmp_path / 'store'))
    engine = RayEngine(2, work)
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        drive(schedule, engine, Unwatched())
    finally:
        thread.join()
        engine.close()
    assert killed and not schedule.failed
    others = {int(path.name) for path in pids.iterdir()} - set(killed)
    # Whether one comes in the place of the killed one in time depends on how fast the other is.
    assert others, 'a worker that lived on'
    assert_same(records(tmp_path / 'store'), uninterrupted)
