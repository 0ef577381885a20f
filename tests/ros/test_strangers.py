"""Strangers on the topics of a run: it goes on, learns nothing from them, and names them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from nrl_ros.ros import conversion, names
from tests.ros.harness import counters
from tests.unit.fakes import info_of, reward_of, rpe_of, state_of

pytestmark = pytest.mark.ros

ENVIRONMENT = {
    'agent': 'a',
    'bridge.name': 'scripted',
    'bridge.instances': 2,
    'bridge.options.lengths': [5, 9],
    'reward.delivery': 'episode',
    'resend_period_s': 0.3,
    'status_period_s': 0.1,
}


class Run:
    """The three nodes of a run, and a probe."""

    def __init__(self, ros):
        self.learner = ros.start('learner', {'status_period_s': 0.1})
        self.neuromodulator = ros.start('neuromodulator', {'status_period_s': 0.1})
        self.environment = ros.start('environment', ENVIRONMENT)
        self.probe = ros.probe()
        self.info = self.probe.until_heard(names.ENV_INFO)
        self.status(lambda status: status.updates > 5)

    def status(self, wanted):
        """Wait for a status of the learner that is newer than now."""
        self.probe.hear(names.LEARNER_STATUS)
        self.probe.heard[names.LEARNER_STATUS].clear()
        return self.probe.until_heard(names.LEARNER_STATUS, wanted)

    def goes_on(self):
        """It learns on, from now on."""
        before = self.status(lambda _status: True)
        after = self.status(lambda status: status.updates > before.updates + 20)
        for process in (self.learner, self.neuromodulator, self.environment):
            assert process.process.poll() is None, process.output
        return after


def test_two_neuromodulators_are_told_of_and_one_is_learned_from(ros):
    run = Run(ros)
    first = run.status(lambda status: status.neuromodulator).neuromodulator
    second = ros.start('neuromodulator', {}, '-r', '__node:=second')
    output = run.learner.until_logged('two neuromodulators answer on /neuromodulation')
    [line] = [line for line in output.splitlines() if 'two neuromodulators' in line]
    assert '/neuromodulator' in line and '/second' in line
    status = run.status(lambda status: counters(status).get('foreign_rpes', 0) > 5)
    assert status.neuromodulator == first
    # The first one is killed: the second one takes its place.
    run.neuromodulator.kill()
    run.status(lambda status: status.neuromodulator not in (0, first))
    assert run.learner.process.poll() is None
    second.kill()


def test_a_storm_of_hostile_messages_changes_nothing(ros):
    """Each kind of message, with what is most harmful in it, many times, and the run goes on."""
    run = Run(ros)
    heard = run.probe
    norm = run.status(lambda _status: True).weight_norm
    older = replace(conversion.info_from_msg(run.info), session=7)
    ghost = info_of(2, agent='ghost', session=7)
    huge = replace(ghost, spec=replace(ghost.spec, instances=2**32 - 1))
    mine = conversion.info_from_msg(run.info)
    rows = len(mine.spec.observation_low)
    for number in range(30):
        window = np.arange(number, number + 2)
        forged = rpe_of(mine, number, [0, 1], window, 1e3, baseline=1e6)
        heard.say(names.NEUROMODULATION, conversion.rpe_to_wire(forged))
        silent = replace(forged, neuromodulator=0)
        heard.say(names.NEUROMODULATION, conversion.rpe_to_wire(silent))
        for info in (older, huge, replace(ghost, agent=f'ghost{number}')):
            heard.say(names.ENV_INFO, conversion.info_to_msg(info, 1))
        reward = reward_of(number, [0], 0, [1.0], agent='ghost', instances=2**32 - 1)
        heard.say(names.REWARD, conversion.reward_to_wire(reward))
        heard.say(names.STATE, conversion.state_to_wire(state_of(replace(mine, session=7), number)))
        heard.say(names.STATE, b'\0\1\0\0')
        heard.say(names.REWARD, b'\0')
    assert rows == mine.spec.observation_size
    after = run.goes_on()
    assert after.weight_norm < 2.0 * norm + 1.0
    # Each kind is counted, though maybe only after the learner has heard the last message.
    expected = {'foreign_infos', 'foreign_rpes', 'dropped_LimitError'}
    run.status(lambda status: expected <= counters(status).keys())
    assert run.learner.until_logged('limits.instances').count('limits.instances') == 1, 'said once'
    assert heard.counter(names.ENV_STATUS, 'foreign_infos', 1) > 0
    assert heard.counter(names.NEUROMODULATOR_STATUS, 'dropped_LimitError', 1) > 0
