"""Bad input gets one clear error and is counted; nodes leave at once when told to."""

from __future__ import annotations

import signal
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from nrl_ros.ros import conversion, names
from tests.ros.harness import EXIT_S, counters
from tests.unit.fakes import info_of, reward_of, state_of

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(
    ('node', 'settings', 'expected'),
    [
        ('learner', {'plasticity.learning_rte': 0.1}, 'plasticity.learning_rate'),
        ('learner', {'plasticity.learning_rate': -0.1}, 'plasticity.learning_rate'),
        ('learner', {'noise.shape': 'pink'}, 'noise.shape'),
        ('environment', {'bridge.name': 'nothing'}, 'unknown bridge'),
        ('environment', {'agent': 'a b'}, 'agent'),
        ('neuromodulator', {'rpe.rate': 0.0}, 'rpe.rate'),
    ],
)
def test_bad_settings_end_the_node_with_the_name_of_the_setting(ros, node, settings, expected):
    process = ros.start(node, settings)
    assert process.wait() == 1
    assert expected in process.output
    assert 'Traceback' not in process.output


def test_a_file_that_is_no_checkpoint(ros, tmp_path):
    path = tmp_path / 'learner_00000001.nrl'
    path.write_bytes(b'not a checkpoint')
    process = ros.start('learner', {'checkpoint.load': str(path)})
    assert process.wait() == 1
    assert str(path) in process.output


def test_states_that_must_not_teach(ros):
    """Unknown agent, NaN, wrong shape: dropped, counted, and the next good state is answered."""
    info = info_of(2)
    learner = ros.start('learner', {'status_period_s': 0.1})
    probe = ros.probe()
    probe.hear(names.ACTION, names.LEARNER_STATUS)
    # Who hears its status hears its answers: the middleware tells it of subscriptions in order.
    probe.until_heard(names.LEARNER_STATUS)
    probe.say(names.ENV_INFO, conversion.info_to_msg(info, 0))
    learner.until_logged('joined')

    def send(state):
        probe.say(names.STATE, conversion.state_to_wire(state))

    send(replace(state_of(info, 0), agent='nobody'))
    learner.until_logged("unknown agent 'nobody'")
    bad = state_of(info, 0)
    bad.observation[1, 0] = np.nan
    send(bad)
    learner.until_logged('finite')
    other = replace(info, spec=replace(info.spec, observation_size=info.spec.observation_size + 1))
    send(state_of(other, 0))
    learner.until_logged('expected')
    send(state_of(info, 0))
    assert probe.until_heard(names.ACTION).sequence == 0
    status = probe.until_heard(names.LEARNER_STATUS, lambda m: m.states == 1)
    assert counters(status)['unknown_agent_messages'] == 1
    assert counters(status)['invalid_states'] == 2
    learner.interrupt()


def test_a_reward_that_is_not_a_number(ros):
    """It gets no reward-prediction error; the other instance of the message does."""
    node = ros.start('neuromodulator', {'status_period_s': 0.1})
    probe = ros.probe()
    probe.hear(names.NEUROMODULATION, names.NEUROMODULATOR_STATUS)
    # That it is found here does not mean that it has found this one, and what it says comes once.
    probe.until_heard(names.NEUROMODULATOR_STATUS)
    reward = reward_of(1, [0, 1], 0, [np.nan, 2.0])
    probe.say(names.REWARD, conversion.reward_to_wire(reward))
    heard = probe.until_heard(names.NEUROMODULATION)
    assert list(heard.instance) == [1]
    assert probe.counter(names.NEUROMODULATOR_STATUS, 'invalid_rewards', 1) == 1
    node.until_logged('those windows do not train')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('node', ['learner', 'neuromodulator', 'environment'])
def test_nodes_leave_at_once(ros, node, number):
    settings = {'bridge.name': 'scripted'} if node == 'environment' else {}
    process = ros.start(node, settings)
    probe = ros.probe()
    topic = {
        'learner': names.LEARNER_STATUS,
        'neuromodulator': names.NEUROMODULATOR_STATUS,
        'environment': names.ENV_STATUS,
    }[node]
    probe.until_heard(topic)
    assert process.interrupt(number) < EXIT_S
