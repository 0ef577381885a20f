"""Real runs that are recorded are learned again to the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')
pytest.importorskip('gymnasium')
pytest.importorskip('mcap')

from nrl_ros.cli.replay import Replay, replay
from nrl_ros.ros import names
from nrl_ros.ros.recorded import RunRecords
from nrl_ros.storage.checkpoint import read_checkpoint
from nrl_ros.storage.recordings import Recording

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures('domain')]

TIMEOUT_S = 90
# Checkpoints every half second, so that a recording that begins or ends anywhere has some.
SAVES = ('--set', 'learner.checkpoint.period_s=0.5', '--set', 'learner.checkpoint.keep=1000')


def nrl(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-m', 'nrl_ros.cli.main', *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'PYTHONSAFEPATH': '1',
        },
    )


# Without a limit a run is there for as long as a test needs it, however fast the machine is.
ENDLESS = ('--steps', 0, '--episodes', 0, '--plain', '--record')


def train(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    return nrl('train', 'cartpole', *ENDLESS, '--out', folder, *SAVES, *arguments)


def ended(process: subprocess.Popen[str]) -> str:
    """End a run as a person does; return what it has said."""
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, said
    return said


def goes_on(folder: Path, saves: int = 2, episodes: int = 100) -> None:
    """Wait until a run has saved so many further checkpoints, and done so many episodes."""

    def done() -> tuple[int, int]:
        metrics = folder / 'metrics.csv'
        lines = metrics.read_text().count('\n') if metrics.is_file() else 0
        return len(list((folder / 'checkpoints').glob('learner_*.nrl'))), lines

    before = done()
    until(lambda: done() >= (before[0] + saves, 0), 'checkpoints are saved')
    until(lambda: done()[1] >= before[1] + episodes, 'episodes end')


def until(holds: object, what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def weights_of(done: Replay) -> list[np.ndarray]:
    (life,) = done.lives
    assert life.replayer is not None
    return life.replayer.learner.weights


def newest(folder: Path) -> list[np.ndarray]:
    path = max((folder / 'checkpoints').glob('learner_*.nrl'))
    return list(read_checkpoint(path, 'learner')['network']['weights'])


def assert_equal(done: Replay, folder: Path) -> None:
    """All was recorded, and learning again ends with the weights of the run's last checkpoint."""
    assert done.exact, [life.result.lines() for life in done.lives] + done.gaps
    result = done.lives[0].result
    assert len(result.compared) >= 2 and result.updates > 10
    assert (result.missing_actions, done.gaps, done.cut_off) == (0, [], [])
    for mine, theirs in zip(weights_of(done), newest(folder), strict=True):
        assert mine.tobytes() == np.ascontiguousarray(theirs).tobytes()


def hold_up_recorder(run: subprocess.Popen[str], folder: Path) -> None:
    """Stop the recorder, as a busy machine does, for longer than the usual queues last."""
    until((folder / 'config.yaml').is_file, 'the run begins')
    children = Path(f'/proc/{run.pid}/task/{run.pid}/children').read_text().split()
    (recorder,) = (
        int(pid) for pid in children if b'recorder' in Path(f'/proc/{pid}/cmdline').read_bytes()
    )
    os.kill(recorder, signal.SIGSTOP)
    time.sleep(0.3)
    os.kill(recorder, signal.SIGCONT)


def assert_read_by_its_own_schemas(folder: Path) -> None:
    """A reader that knows none of our messages reads all of them by what the file says of them."""
    from mcap_ros2.reader import read_ros2_messages

    (file,) = folder.glob('*.mcap')
    read = [(one.channel.topic, one.ros_msg) for one in read_ros2_messages(str(file))]
    assert len(read) == len(list(Recording(folder).messages()))
    states = [message for topic, message in read if topic.endswith('/state')]
    mine = [one.record for one in RunRecords(Recording(folder)).only(names.STATE)]
    mine = [one for one in mine if not hasattr(one, 'spec')]
    assert [one.sequence for one in states] == [one.sequence for one in mine]
    assert states[-1].observation == mine[-1].observation.ravel().tolist()


def test_a_run_in_lockstep_is_recorded_and_learned_again(tmp_path: Path) -> None:
    folder = tmp_path / 'run'
    run = train(folder, '--instances', 8)
    hold_up_recorder(run, folder)
    goes_on(folder)
    said = ended(run)
    assert 'none dropped' in said and f'nrl replay {folder}' in said.replace('\n', '')
    assert json.loads((folder / 'summary.json').read_text())['recording']['dropped'] == 0
    done = replay(folder)
    assert_equal(done, folder)
    assert done.lives[0].result.began == 'as the run did, from nothing'
    heard = {one.topic for one in RunRecords(Recording(folder / 'recording'))}
    assert heard >= {
        names.ENV_INFO, names.STATE, names.ACTION, names.REWARD, names.NEUROMODULATION,
        names.EPISODES, names.ENV_STATUS, names.LEARNER_STATUS, names.NEUROMODULATOR_STATUS,
        names.LEARNER_START, names.LEARNER_ORDER,
    }  # fmt: skip
    assert_read_by_its_own_schemas(folder / 'recording')
    # The same run goes on, and its recording begins with what it had learned.
    run = nrl('train', '--resume', folder, *ENDLESS)
    goes_on(folder)
    ended(run)
    again = replay(folder)
    assert_equal(again, folder)
    assert again.lives[0].result.began.startswith('as the run did, from learner_')


@pytest.mark.alone
def test_a_run_in_real_time_and_a_recorder_that_is_killed(tmp_path: Path) -> None:
    """One recorder hears all of it; another one comes later, and is killed on the way."""
    folder, other = tmp_path / 'run', tmp_path / 'other'
    realtime = ('environment.mode=realtime', 'environment.control_period_s=0.008')
    settings = [part for text in realtime for part in ('--set', text)]
    run = train(folder, '--instances', 1, '--compose', *settings)
    until((folder / 'config.yaml').is_file, 'the run begins')
    late = nrl('record', folder, '--out', other)
    file = other / 'other_0.mcap'

    def grows() -> None:
        before = file.stat().st_size if file.is_file() else 0
        until(lambda: file.is_file() and file.stat().st_size > before, 'a chunk is closed')

    # The first chunk is closed after all has been subscribed. Of what a chunk says of checkpoints
    # that the learner has saved, the messages may be in the next one.
    grows()
    grows()
    goes_on(folder, saves=4, episodes=15)
    grows()
    grows()
    late.kill()
    late.wait(TIMEOUT_S)
    ended(run)
    assert_equal(replay(folder), folder)
    done = replay(other)
    (life,) = done.lives
    assert 'other_0.mcap ends early' in done.cut_off[0]
    # Or from one that was saved to find the best.
    assert life.result.began.startswith(('from learner_', 'from candidate'))
    assert life.result.compared and all(one.equal for one in life.result.compared)
    assert life.result.actions > 50 and life.result.different_actions == 0


def test_nothing_is_recorded_where_nobody_publishes(tmp_path: Path, domain: int) -> None:
    """Of a run that has ended its folder is left; a namespace may be a wrong one."""
    run = tmp_path / 'run'
    run.mkdir()
    (run / 'config.yaml').touch()
    where = {'ROS_DOMAIN_ID': domain, 'namespace': '/ended'}
    (run / 'ros.json').write_text(json.dumps(where))
    out = tmp_path / 'recording'
    of_a_folder = nrl('record', run)
    for command in (of_a_folder, nrl('record', '--namespace', '/ended', '--out', out)):
        said, _ = command.communicate(timeout=TIMEOUT_S)
        assert command.returncode == 2, said
        assert said.startswith(f'error: nobody publishes in /ended of ROS domain {domain}'), said
        assert said.count('\n') == 1
    assert sorted(path.name for path in tmp_path.rglob('*')) == ['config.yaml', 'ros.json', 'run']
