"""The environment node by its topics: the test plays the learner."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from rclpy.qos import QoSProfile, ReliabilityPolicy

from nrl_ros.core.types import ActionBatch
from nrl_ros.ros import conversion, names
from nrl_ros.ros.interfaces import EnvState
from tests.ros.harness import counters

pytestmark = pytest.mark.ros

SCRIPTED = {
    'bridge.name': 'scripted',
    'bridge.instances': 2,
    'bridge.options.lengths': [1000],
    'status_period_s': 0.1,
}


class Player:
    """A probe that answers an environment."""

    def __init__(self, ros, settings):
        self.process = ros.start('environment', {**SCRIPTED, **settings})
        self.probe = ros.probe()
        self.probe.hear(names.STATE, names.ENV_STATUS)
        self.info = conversion.info_from_msg(self.probe.until_heard(names.ENV_INFO))
        self.probe.publisher(names.ACTION)

    def answer(self, state, values=(0, 0), session=None):
        action = np.array(values, np.int32).reshape(len(values), -1)
        batch = ActionBatch(
            state.agent,
            state.session if session is None else session,
            state.sequence,
            *(np.array(getattr(state, name)) for name in ('episode', 'step', 'window')),
            action,
            0,
            0,
        )
        self.probe.say(names.ACTION, conversion.action_to_wire(batch))

    def state(self, wanted):
        return self.probe.until_heard(names.STATE, wanted)


def test_a_bad_action_moves_nothing(ros):
    """Wrong shape, out of range, of a session before: counted, and the state stays as it is."""
    player = Player(ros, {'resend_period_s': 0.2})
    first = player.state(lambda m: m.sequence == 0)
    player.answer(first, (0, 0, 0))
    player.process.until_logged('shape')
    player.answer(first, (0, 7))
    player.process.until_logged('instance 1 received [7]')
    player.answer(first, session=first.session + 1)
    player.process.until_logged('it was sent before a restart')
    resent = player.probe.until_heard(names.ENV_STATUS, lambda m: m.resent_states > 0)
    assert resent.steps == 0
    assert sum(v for k, v in counters(resent).items() if k.startswith('dropped_')) == 3
    player.answer(first)
    assert list(player.state(lambda m: m.sequence == 1).applied) == [1, 1]
    player.answer(first)
    assert player.probe.counter(names.ENV_STATUS, 'duplicate_actions', 1) == 1


def test_in_real_time_it_never_waits(ros):
    """Without an answer the held action counts as not the learner's; a late one is counted."""
    player = Player(ros, {'mode': 'realtime', 'control_period_s': 0.05})
    held = player.state(lambda m: m.sequence >= 3)
    assert list(held.applied) == [0, 0]
    assert player.probe.counter(names.ENV_STATUS, 'missing_actions', 3) >= 3
    player.answer(held)  # More than a period ago by now, or soon: its state is not the newest.
    late = player.state(lambda m: m.sequence > held.sequence + 1)
    player.answer(held)
    assert player.probe.counter(names.ENV_STATUS, 'late_actions', 1) >= 1
    player.probe.heard[names.STATE].clear()

    def in_time():
        for state in player.probe.heard[names.STATE]:
            if list(state.applied) == [1, 1]:
                return True
        if player.probe.heard[names.STATE]:
            newest = player.probe.heard[names.STATE][-1]
            if newest.sequence > in_time.answered:
                in_time.answered = newest.sequence
                player.answer(newest)
        return False

    in_time.answered = late.sequence
    player.probe.until(in_time, 'an applied action')


def test_incompatible_qos_is_an_error_that_names_both_sides(ros):
    learner = ros.start('learner', {})
    probe = ros.probe()
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    probe.node.create_publisher(EnvState, names.STATE, best_effort)
    probe.until_heard(names.LEARNER_STATUS)
    output = learner.until_logged('incompatible QoS on /state')
    line = next(line for line in output.splitlines() if 'incompatible QoS' in line)
    assert '/learner' in line
    assert '/probe (BEST_EFFORT' in line
    assert 'RELIABILITY' in line.upper()
