"""A robot that is no arm trains through the same command, which shows its own figures."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from tests.unit.mobile_base import installed

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures('domain')]

TIMEOUT_S = 60
TASK = """
/**/learner:
  ros__parameters:
    network: {{hidden_sizes: [8]}}
    plasticity: {{optimiser: adam, learning_rate: 0.01}}
/**/environment:
  ros__parameters:
    agent: base
    mode: {mode}
    bridge: {{name: {bridge}}}
    reward: {{delivery: every_step}}
"""


def train(folder: Path, mode: str, bridge: str, *arguments: str) -> tuple[Path, str]:
    installed(folder)
    task = folder / 'base.yaml'
    task.write_text(TASK.format(mode=mode, bridge=bridge))
    run = folder / 'run'
    done = subprocess.run(
        [sys.executable, '-m', 'nrl_ros.cli.main', 'train', '--config', task, '--compose',
         '--plain', '--out', run, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={
            **os.environ,
            'PYTHONPATH': os.pathsep.join([str(folder), str(Path(__file__).parents[2])]),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search(r'\barms?\b|reach|within|\bcm\b|tool', done.stdout)
    return run, done.stdout


def test_many_simulated_bases(tmp_path: Path) -> None:
    sizes = ('--instances', '8', '--steps', '20000', '--episodes', '20', '--untrained')
    run, said = train(tmp_path, 'lockstep', 'mobile_base', *sizes)
    told = json.loads((run / 'summary.json').read_text())
    figures = told['trained']['figures']
    assert set(figures) == {'final_distance_m', 'is_parked'}
    assert f'trained   {100 * figures["is_parked"]:.1f} % parked' in said
    assert f'the ways of the base: {run}/ways.txt' in said
    assert (run / 'ways.txt').read_text() == '(21, 500, 2) (21, 500, 2)'
    assert re.search(r'  parked \d+ %  ', said)
    # It has learned: forwards, about as far as it has to.
    assert told['trained']['mean'] > told['untrained']['mean'] + 0.1


@pytest.mark.alone
def test_one_that_does_not_wait(tmp_path: Path) -> None:
    sizes = ('--steps', '150', '--episodes', '0')
    run, said = train(tmp_path, 'realtime', 'mobile_base_live', *sizes)
    assert json.loads((run / 'summary.json').read_text())['episodes'] >= 7
    assert re.search(r'  parked \d+ %  ', said)
