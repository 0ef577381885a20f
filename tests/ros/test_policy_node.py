"""The policy node plays an exported policy for environments, and refuses one that does not fit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nrl_ros.base.records import ActionSpace
from nrl_ros.environments.registry import make_bridge
from tests.unit.test_bundles import bundle_of, policy_of

pytestmark = pytest.mark.ros

ENVIRONMENT = {
    'agent': 'a',
    'seed': 5,
    'bridge.name': 'scripted',
    'bridge.instances': 3,
    'bridge.options.action': 'continuous',
    'reward.delivery': 'every_step',
    'stop.steps': 600,
    'resend_period_s': 0.3,
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A policy of the spaces of the scripted environment."""
    spec = make_bridge('scripted', 1, {'action': 'continuous'}).spec
    policy = policy_of('dense', spec.action, inputs=spec.observation_size)
    return bundle_of(policy, tmp_path)


def test_it_answers_in_the_place_of_a_learner(ros, bundle):
    playing = ros.start('policy', {'bundle': str(bundle)})
    playing.until_logged('plays ')
    acting = ros.start('environment', ENVIRONMENT)
    assert acting.wait() == 0, acting.output
    playing.until_logged("agent 'a' joined: 3 instances")
    playing.interrupt()
    # Of 600 steps and 60 resets, whose actions the environment ignores. A state whose answer takes
    # long is sent again, and answered with the same action.
    said = r"660 actions; (all in order|{'duplicate_states': \d+})\n"
    assert re.search(said, playing.output), playing.output


def test_an_environment_that_does_not_fit_is_refused(ros, tmp_path):
    bundle_of(policy_of('dense', ActionSpace.continuous((-1.0,), (1.0,))), tmp_path)
    playing = ros.start('policy', {'bundle': str(tmp_path)})
    playing.until_logged('plays ')
    ros.start('environment', ENVIRONMENT)
    playing.until_logged('the policy expects 32')
    assert 'joined' not in playing.output
    playing.interrupt()


def test_without_a_bundle_it_says_what_is_missing(ros):
    process = ros.start('policy', {})
    assert process.wait() != 0
    assert 'expected the folder that `nrl export RUN` has written' in process.output
