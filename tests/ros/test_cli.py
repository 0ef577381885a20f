"""The command ``nrl train`` with real nodes: a short run, its folder, and how it ends."""

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

from rclpy.context import Context

from nrl_ros.base.records import FinishedEpisodes
from nrl_ros.cli.metrics import read_metrics
from nrl_ros.cli.monitor import Monitor
from nrl_ros.cli.processes import COMPOSED, Processes, Started
from nrl_ros.cli.runs import Run
from nrl_ros.monitor.progress import Progress
from nrl_ros.ros import conversion
from nrl_ros.ros.interfaces import EnvStatus
from nrl_ros.storage.checkpoint import read_checkpoint

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures('domain')]

TIMEOUT_S = 90


def environment():
    return {
        **os.environ,
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'PYTHONSAFEPATH': '1',
    }


COMMAND = ('-m', 'nrl_ros.cli.main')
# The command, which gives up sooner.
IMPATIENT = (
    '-c',
    'from nrl_ros.cli import watch\n'
    'from nrl_ros.cli.main import app\n'
    'watch._STALLED_S = 3.0\n'
    'watch._GONE_S = 1.0\n'
    'app()',
)


def command(*arguments, program=COMMAND):
    return [sys.executable, *program, *map(str, arguments)]


def nrl(*arguments, program=COMMAND):
    return subprocess.run(
        command(*arguments, program=program),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=environment(),
        check=False,
    )


def summary(folder):
    return json.loads((folder / 'summary.json').read_text())


def short_run(folder, *arguments, program=COMMAND):
    return nrl(
        'train', 'cartpole', '--instances', 8, '--steps', 4000, '--episodes', 5, '--plain',
        '--out', folder, *arguments, program=program,
    )  # fmt: skip


def children(process):
    path = Path(f'/proc/{process.pid}/task/{process.pid}/children')
    return [int(pid) for pid in path.read_text().split()]


def wait_until(holds, what):
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def started(folder, arguments=(), **variables):
    """A run without limit that has finished its first episodes."""
    process = subprocess.Popen(
        command(
            'train', 'cartpole', '--instances', 4, '--steps', 0, '--episodes', 2,
            '--quiet', '--out', folder, *arguments,
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment(), **variables},
    )  # fmt: skip
    metrics = folder / 'metrics.csv'
    try:
        wait_until(
            lambda: metrics.is_file() and len(metrics.read_text().splitlines()) > 5,
            'no episode was recorded',
        )
    except BaseException:
        process.terminate()
        process.wait(TIMEOUT_S)
        raise
    return process


def test_run_leaves_everything_and_is_the_same_composed(tmp_path):
    results = {}
    for name, extra in (('three', ()), ('one', ('--compose',))):
        folder = tmp_path / name
        done = short_run(folder, *extra)
        assert done.returncode == 0, done.stdout + done.stderr
        results[name] = summary(folder)
        for file in ('config.yaml', 'versions.json', 'metrics.csv', 'learning_curve.png'):
            assert (folder / file).stat().st_size > 0
        assert list((folder / 'checkpoints').glob('learner_*'))
        # No report was lost: the table has as many rows as the environment counted episodes.
        rows = (folder / 'metrics.csv').read_text().splitlines()
        assert len(rows) - 1 == results[name]['episodes']
        assert results[name]['ended'] == 'finished'
        assert results[name]['steps'] >= 4000
        # The first state is handled before the introduction that came with it, and is not lost.
        assert 'dropped_ProtocolError' not in results[name]['counters']['learner']
    # Lockstep is deterministic: the same seed gives the same policy, however the nodes are run.
    assert results['three']['trained'] == results['one']['trained']
    evaluated = nrl('eval', tmp_path / 'three', '--episodes', 5)
    assert f'{results["three"]["trained"]["mean"]:,.1f}' in evaluated.stdout


def test_reports_of_another_session_are_not_recorded(domain):
    """Another environment of the same name, in a namespace that is shared."""
    context, rows, progress = Context(), [], Progress()
    context.init(domain_id=domain)
    monitor = Monitor('agent', progress, rows.extend, sessions={7}, context=context)
    try:
        for session in (8, 7):
            numbers = (np.ones(1, kind) for kind in ('u8', 'u4', 'u4', 'u4', 'u1', 'f8'))
            ends = FinishedEpisodes('agent', session, *numbers, figures={})
            monitor._on_report(conversion.report_to_msg([ends], 0))
            monitor._on_env(EnvStatus(agent='agent', session=session, steps=session))
            assert (len(rows), progress.steps) == ((0, 0) if session == 8 else (1, 7))
    finally:
        monitor.destroy_node()
        context.try_shutdown()


def test_runs_in_one_domain_do_not_meet(tmp_path):
    """Started at once: each has its own episodes, and learns what it learns alone."""
    folders = {seed: tmp_path / f'seed_{seed}' for seed in (0, 1)}
    started_at_once = {
        seed: subprocess.Popen(
            command(
                'train', 'cartpole', '--instances', 8, '--steps', 4000, '--episodes', 5,
                '--quiet', '--seed', seed, '--compose', '--out', folder,
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        for seed, folder in folders.items()
    }  # fmt: skip
    for seed, process in started_at_once.items():
        output, _ = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, output
        found, rows = summary(folders[seed]), read_metrics(Run(folders[seed]))
        assert found['seed'] == seed
        assert len(rows) == found['episodes']
        assert len({(row.instance, row.episode) for row in rows}) == len(rows)
        log = (folders[seed] / 'log' / 'app.log').read_text()
        assert 'already the name' not in log and 'two learners' not in log


def test_resume_adds_to_the_run(tmp_path):
    folder = tmp_path / 'run'
    assert short_run(folder).returncode == 0
    before = summary(folder)
    done = nrl(
        'train', '--resume', folder, '--steps', 8000, '--episodes', 0, '--quiet',
        '--set', 'learner.plasticity.learning_rate=0.0001',
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    after = summary(folder)
    assert after['steps'] >= 8000
    assert after['resumed_from'] == 1
    rows = (folder / 'metrics.csv').read_text().splitlines()
    assert len(rows) - 1 > before['episodes']
    # A setting given anew wins over the one that the checkpoint was written with.
    assert ',0.0001,' in (folder / 'progress.csv').read_text().splitlines()[-1]


def test_a_policy_that_cannot_be_saved_is_no_finished_run(tmp_path):
    """Two interrupts, one end; the folder has become a file, the copy lies where it is said."""
    folder, temporary = tmp_path / 'run', tmp_path / 'temporary'
    temporary.mkdir()
    process = started(folder, TMPDIR=str(temporary))
    checkpoints = folder / 'checkpoints'
    # While it runs it can be taken up by nobody else.
    refused = nrl('train', '--resume', folder)
    assert refused.returncode == 1 and 'is in use: process' in refused.stderr
    checkpoints.rename(folder / 'moved')
    checkpoints.write_text('')
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    shown = process.communicate(timeout=TIMEOUT_S)[0]
    assert process.returncode == 1, shown
    (copy,) = temporary.glob('nrl_ros_rescued_*/policy.nrl')
    ended = summary(folder)
    assert ended['ended'] == 'failed' and ended['steps'] > 0
    for text in (shown, ended['reason']):
        assert 'could not be saved' in text and str(copy) in text
    assert read_checkpoint(copy, 'learner')['steps'] > 0


@pytest.mark.parametrize('name', ['SIGINT', 'SIGTERM', 'SIGHUP'])
def test_signal_stops_all_nodes(name, tmp_path):
    folder = tmp_path / 'run'
    process = started(folder)
    nodes = children(process)
    assert len(nodes) == 3
    process.send_signal(getattr(signal, name))
    output, _ = process.communicate(timeout=TIMEOUT_S)
    # Without a limit, being stopped is how a run ends.
    assert process.returncode == 0, output
    assert summary(folder)['ended'] == 'interrupted'
    assert not [pid for pid in nodes if Path(f'/proc/{pid}').exists()]
    assert list((folder / 'checkpoints').glob('learner_*'))


def test_a_node_that_dies_ends_the_run(tmp_path):
    folder = tmp_path / 'run'
    process = started(folder)
    nodes = children(process)
    lines = {pid: Path(f'/proc/{pid}/cmdline').read_bytes() for pid in nodes}
    victim = next(pid for pid, line in lines.items() if b'nrl_ros.nodes.learner' in line)
    os.kill(victim, signal.SIGKILL)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert 'learner ended unexpectedly with signal SIGKILL' in output
    assert not [pid for pid in nodes if Path(f'/proc/{pid}').exists()]


def test_a_namespace_that_another_run_has_is_refused(tmp_path):
    process = started(tmp_path / 'run', arguments=('--namespace', 'taken'))
    try:
        refused = short_run(tmp_path / 'other', '--namespace', 'taken', program=IMPATIENT)
        assert refused.returncode == 1
        # Which of its nodes is found first depends on the middleware.
        assert 'of another run are in namespace /taken' in refused.stdout
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=TIMEOUT_S)
    # The other one was not disturbed.
    assert process.returncode == 0, output
    assert 'foreign' not in str(summary(tmp_path / 'run')['counters'])


def test_a_killed_command_takes_its_nodes_along(tmp_path):
    process = started(tmp_path / 'run')
    nodes = children(process)
    process.kill()
    process.communicate(timeout=TIMEOUT_S)
    wait_until(
        lambda: not [pid for pid in nodes if Path(f'/proc/{pid}').exists()], 'nodes were left over'
    )


def test_a_critic_is_saved_beside_the_learner_and_goes_on(tmp_path):
    folder = tmp_path / 'run'
    run = ('train', 'acrobot', '--instances', 4, '--episodes', 0, '--plain', '--out', folder)
    assert nrl(*run, '--steps', 3000).returncode == 0
    file = folder / 'checkpoints' / 'critic.nrl'
    saved = read_checkpoint(file, 'critic')
    assert any(np.abs(weight).max() > 0.0 for weight in saved['weights'][-1:])
    refused = nrl('train', '--resume', folder, '--steps', 6000, '--episodes', 0, '--exact')
    assert refused.returncode != 0
    assert 'a critic continues from its last save' in refused.stdout + refused.stderr
    went_on = nrl('train', '--resume', folder, '--steps', 6000, '--episodes', 0, '--plain')
    assert went_on.returncode == 0, went_on.stdout
    log = (folder / 'log' / 'neuromodulator.log').read_text()
    assert f'critic from {file}' in log
    # Its Adam counts updates: they were not counted from 0 again.
    count = read_checkpoint(file, 'critic')['optimiser']['count']
    assert count > 1.5 * saved['optimiser']['count']


def test_a_run_whose_states_are_never_answered_ends_and_says_why(tmp_path):
    """A checkpoint of another task: the learner refuses the agent, and its log tells."""
    folder = tmp_path / 'run'
    assert short_run(folder).returncode == 0
    saved = max((folder / 'checkpoints').glob('learner_*'))
    done = nrl(
        'train', 'acrobot', '--instances', 4, '--episodes', 0, '--quiet',
        '--out', tmp_path / 'other', '--set', f'learner.checkpoint.load={saved}',
        '--set', 'learner.plasticity.samples=1', program=IMPATIENT,
    )  # fmt: skip
    assert done.returncode == 1
    assert 'is not answered: no step for 3 s' in done.stdout
    assert 'has 6 observations' in done.stdout


def test_a_start_that_fails_is_shown_and_leaves_the_folder_as_it_was(tmp_path):
    """A task of which there is one instance: with two, the environment's node cannot start."""
    folder = tmp_path / 'run'

    def one_only(*arguments):
        return nrl('train', *arguments, '--episodes', 0, '--quiet')

    task = (
        'cartpole', '--steps', 200, '--out', folder,
        '--set', 'environment.bridge.name=gymnasium',
        '--set', 'environment.bridge.options={id: "tests.unit.foreign:OnlyOne-v0"}',
    )  # fmt: skip
    failed = one_only(*task, '--instances', 2)
    assert failed.returncode == 1
    assert 'environment could not be started' in failed.stdout
    assert 'OSError: in use' in failed.stdout
    # Its logs tell why, and do not block the same command.
    assert [path.name for path in folder.iterdir()] == ['log']
    done = one_only(*task, '--instances', 1)
    assert done.returncode == 0, done.stdout + done.stderr

    def content():
        files = (path for path in folder.rglob('*') if path.is_file() and path.suffix != '.log')
        return {path: path.read_bytes() for path in files}

    before = content()
    assert one_only('--resume', folder, '--steps', 400, '--instances', 2).returncode == 1
    assert content() == before


def test_nodes_of_one_process_have_its_log(tmp_path):
    """A failure of a node that is no process of its own ended in a StopIteration."""
    processes = Processes([], tmp_path, namespace='', environment={})
    assert processes.last_lines('environment') == ''
    (tmp_path / 'app.log').write_text('one\ntwo\n')
    process = subprocess.Popen([sys.executable, '-c', ''])
    processes._started.append(Started(COMPOSED, process, tmp_path / 'app.log'))
    process.wait(TIMEOUT_S)
    assert processes.last_lines('environment') == 'one\ntwo'
