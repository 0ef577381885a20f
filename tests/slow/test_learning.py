"""What the first command promises: over real topics, in three processes, policies learn.

Lockstep makes each run the same on every machine of one kind; the bounds leave room for others.
With spread over seeds: scripts/learning_curves.py, docs/results/learning.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from nrl_ros.cli.config import parameter_file

pytestmark = [pytest.mark.ros, pytest.mark.slow]

TIMEOUT_S = 240


def train(folder, task, steps, *more):
    command = [
        sys.executable, '-m', 'nrl_ros.cli.main', 'train', task, '--seed', '1', '--plain',
        '--untrained', '--steps', str(steps), '--out', str(folder), *more,
    ]  # fmt: skip
    environment = os.environ | {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'PYTHONSAFEPATH': '1'}
    environment.pop('ROS_DOMAIN_ID', None)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / 'summary.json').read_text())


@pytest.mark.parametrize(
    ('task', 'steps', 'untrained_below', 'exploring_above', 'greedy_above'),
    [
        ('reaching', 500_000, 80.0, 160.0, 120.0),
        ('cartpole', 1_000_000, 100.0, 200.0, 200.0),
        ('acrobot', 500_000, -200.0, -150.0, -200.0),
    ],
)
def test_a_policy_learns(tmp_path, task, steps, untrained_below, exploring_above, greedy_above):
    summary = train(tmp_path / 'run', task, steps)
    assert summary['ended'] == 'finished'
    assert summary['untrained']['mean'] < untrained_below
    assert summary['mean_return_last_100'] > exploring_above
    assert summary['trained']['mean'] > greedy_above
    # What is late on a busy machine is sent again, and counts once.
    counts = summary['counters']['learner']
    wrong = ('lost_states', 'out_of_order_states', 'late_rpes', 'unknown_window_rpes')
    assert not any(counts.get(name) for name in wrong), counts
    assert summary['health']['sentences'] == []


def test_a_continuous_policy_learns(tmp_path):
    """Gaussian head: the sign of two actions must follow the first number observed."""
    settings = {
        'learner': {'plasticity': {'learning_rate': 2e-4}},
        'environment': {
            'agent': 'scripted',
            'bridge': {
                'name': 'scripted',
                'instances': 64,
                'options': {'action': 'continuous', 'lengths': [20]},
            },
            'reward': {'delivery': 'every_step'},
        },
    }
    path = tmp_path / 'continuous.yaml'
    path.write_text(parameter_file(settings))
    summary = train(tmp_path / 'run', 'continuous', 300_000, '--config', str(path))
    # Chance gives 10 of 20.
    assert summary['untrained']['mean'] < 15.0
    assert summary['trained']['mean'] > 18.0
    assert summary['health']['sentences'] == []


def test_without_a_learning_rate_nothing_is_learned(tmp_path):
    """The same run with eta 0: what the others gain comes from the rule, not from the task."""
    summary = train(
        tmp_path / 'run', 'reaching', 200_000, '--set', 'learner.plasticity.learning_rate=0'
    )
    assert summary['trained']['mean'] == summary['untrained']['mean']
    assert summary['mean_return_last_100'] < 80.0
