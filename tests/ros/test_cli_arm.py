"""The command ``nrl arm`` with real nodes and the simulated driver: episodes, words, its end."""

import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')
pytest.importorskip('mujoco')

from nrl_ros.base.config_files import find_config
from nrl_ros.base.records import AgentInfo, Delivery
from nrl_ros.cli.config import resolve
from nrl_ros.cli.runs import open_run
from nrl_ros.learning.learner import Learner
from nrl_ros.robots.arm.episode import ReachEpisodes
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.storage.checkpoint import write_checkpoint
from tests.ros.test_cli import TIMEOUT_S, children, environment, nrl, summary, wait_until

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures('domain')]

# A busy machine must not be what stops the arm.
PATIENT = dict.fromkeys(
    ('command_timeout_s', 'state_timeout_s', 'state_skew_s', 'tracking_time_s', 'max_tick_gap_s'),
    20.0,
) | {'listen_s': 0.0}


@pytest.fixture
def arm(tmp_path):
    """Starts the command on a patient planar arm with episodes of half a second."""
    description = yaml.safe_load(find_config('planar', 'robots').read_text()) | {
        'watchdog': PATIENT
    }
    file = tmp_path / 'patient.yaml'
    file.write_text(yaml.safe_dump(description))
    started = []

    def start(*more):
        options = 'environment.bridge.options'
        arguments = (
            'arm', '--robot', 'planar', '--robot-file', file, '--out', tmp_path / 'run',
            '--set', f'{options}.episode.steps=12', '--set', f'{options}.homing.speed_share=1.0',
            *more,
        )  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, '-m', 'nrl_ros.cli.main', *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment() | {'PYTHONUNBUFFERED': '1'},
        )
        process.written = ''
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def until(process, text):
    """Wait until a text is written; what was written up to it does not count again."""
    end = time.monotonic() + TIMEOUT_S
    while text not in process.written:
        ready, _, _ = select.select([process.stdout], [], [], max(end - time.monotonic(), 0.0))
        data = os.read(process.stdout.fileno(), 65536) if ready else b''
        assert data, f'{text!r} was not written:\n{process.written}'
        process.written += data.decode()
    process.written = process.written.partition(text)[2]


def the_rest(process):
    """All that is written until its end."""
    output, _ = process.communicate(timeout=TIMEOUT_S)
    return process.written + output.decode()


def gone(nodes):
    wait_until(
        lambda: not any(Path(f'/proc/{pid}').exists() for pid in nodes), 'nodes were left over'
    )


def test_episodes_end_it_and_its_folder_goes_on_in_simulation(arm, tmp_path):
    process = arm('--episodes', 3)
    output = the_rest(process)
    assert process.returncode == 0, output
    assert 'finished after' in output
    assert 'within 5 cm' in output
    told = summary(tmp_path / 'run')
    assert (told['ended'], told['episodes'], told['aborted']) == ('finished', 3, 0)
    assert all(0.0 <= metres < 1.4 for metres in told['final_distances_m'])
    run = open_run(tmp_path / 'run')
    assert len(run.metrics.read_text().splitlines()) - 1 == len(told['final_distances_m']) > 0
    assert list(run.checkpoints.glob('learner_*'))
    evaluated = nrl('eval', run.folder, '--episodes', 2)
    assert evaluated.returncode == 0, evaluated.stdout + evaluated.stderr


def test_an_arm_that_learns_alone_ends_when_it_has_learned_and_goes_home_once(arm, tmp_path):
    """Every place is within 5 m of the target, so that three episodes show that it has learned."""
    learned = '{mark: is_within_500_cm, share: 1.0, episodes: 3}'
    process = arm(
        '--from-nothing',
        '--set', 'environment.bridge.options.episode.success_radius_m=5.0',
        '--set', f'environment.stop.learned={learned}',
    )  # fmt: skip
    output = the_rest(process)
    assert process.returncode == 0, output
    run = open_run(tmp_path / 'run')
    told = summary(run.folder)
    assert (told['ended'], told['episodes'], told['aborted']) == ('finished', 3, 0)
    log = (run.log / 'environment.log').read_text()
    assert 'done: 36 steps, 3 episodes, learned: within 500 cm 100 % of 3 episodes' in log
    assert told['counters']['environment'].get('homings', 0) <= 1
    assert told['counters']['learner'].get('released_windows', 0) == 0


def test_words_stop_and_clear_and_ctrl_c_ends_every_node(arm, tmp_path):
    process = arm()
    until(process, 'acts')
    nodes = children(process)
    assert len(nodes) == 5

    def type_in(word):
        process.stdin.write(f'{word}\n'.encode())
        process.stdin.flush()

    type_in('hurry')
    until(process, "'hurry' is none of stop, clear, go")
    type_in('stop')
    until(process, 'service ~/stop; mend it, then type clear, then go')
    # Not the answer to the word, which says what safety_status will say.
    until(process, 'STOPPED  episodes')
    type_in('clear')
    until(process, 'clear: cleared')
    # The environment has to have heard of it before it takes a go.
    until(process, 'holding')
    type_in('go')
    until(process, 'go: going')
    until(process, 'acts')
    process.send_signal(signal.SIGINT)
    rest = the_rest(process)
    assert process.returncode == 0, rest
    gone(nodes)
    told = summary(tmp_path / 'run')
    assert told['ended'] == 'interrupted'
    assert list((tmp_path / 'run' / 'checkpoints').glob('learner_*'))


def test_a_node_that_dies_ends_it_and_is_named(arm, tmp_path):
    process = arm()
    until(process, 'acts')
    nodes = children(process)
    victim = next(
        pid for pid in nodes if b'nrl_ros.nodes.safety' in Path(f'/proc/{pid}/cmdline').read_bytes()
    )
    os.kill(victim, signal.SIGKILL)
    output = the_rest(process)
    assert process.returncode == 1
    assert 'safety ended unexpectedly with signal SIGKILL' in output
    # Not first after the start of another process.
    assert 'until another safety node is there it is commanded to stand' in output
    assert 'the arm was brought to rest by another safety node' in output
    gone(nodes)


def test_a_policy_that_the_learner_refuses_ends_it_with_both_sides_named(arm, tmp_path):
    """The model comes from the driver, so that only the learner can compare."""
    settings = resolve(find_config('planar'), (), {})
    task = ReachSettings.model_validate(dict(settings.environment.bridge.options))
    spec = ReachEpisodes(load_robot('planar'), task, 1).spec
    learned = spec.manifest.replace('1.5 rad/s', '1.25 rad/s', 1)
    learner = Learner(settings.learner)
    spec = replace(spec, instances=1, manifest=learned)
    learner.join(AgentInfo(settings.environment.agent, 1, spec, False, Delivery.EVERY_STEP))
    policy = tmp_path / 'learner_00000001.nrl'
    write_checkpoint(policy, 'learner', learner.snapshot() | {'number': 1})
    driver = subprocess.Popen(
        [sys.executable, '-m', 'sim_bridge.arm_driver', '--ros-args', '-p', 'robot:=planar',
         '-p', 'topics.description:=robot_description'],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        file = tmp_path / 'patient.yaml'
        described = yaml.safe_load(file.read_text()) | {'model': 'robot_description'}
        file.write_text(yaml.safe_dump(described))
        output = the_rest(process := arm('--real', '--load', policy))
    finally:
        driver.kill()
        driver.wait()
    assert process.returncode == 1
    assert 'the learner does not act for this arm' in output
    assert '1.25 rad/s' in output and '1.5 rad/s' in output
