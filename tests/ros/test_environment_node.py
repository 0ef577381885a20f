"""The environment node by its topics: the test plays the learner."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_srvs.srv import SetBool

from nrl_ros.base.records import ActionBatch, Delivery
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.interfaces import EnvInfo, EnvState
from nrl_ros.storage.checkpoint import write_checkpoint
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

    def answer(self, state, values=(0, 0), session=None, learner=1):
        action = np.array(values, np.int32).reshape(len(values), -1)
        batch = ActionBatch(
            state.agent,
            state.session if session is None else session,
            state.sequence,
            *(np.array(getattr(state, name)) for name in ('episode', 'step', 'window')),
            action,
            learner=learner,
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

    def dropped(status):
        return sum(v for k, v in counters(status).items() if k.startswith('dropped_'))

    resent = player.probe.until_heard(
        names.ENV_STATUS, lambda m: m.resent_states > 0 and dropped(m) == 3
    )
    assert resent.steps == 0
    player.answer(first)
    assert list(player.state(lambda m: m.sequence == 1).applied) == [1, 1]
    player.answer(first)
    assert player.probe.counter(names.ENV_STATUS, 'duplicate_actions', 1) == 1


@pytest.mark.alone
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


@pytest.mark.alone
def test_in_real_time_a_bad_action_is_never_held(ros):
    """It is refused when it comes; the environment goes on with what it held before."""
    player = Player(ros, {'mode': 'realtime', 'control_period_s': 0.3})
    states = player.probe.heard[names.STATE]
    player.probe.until(lambda: states, 'a state')

    def refused(values, why):
        # One that comes after its period is not looked at.
        player.answer(states[-1], values)
        return player.process.logged(why)

    player.probe.until(lambda: refused((0, 7), 'instance 1 received [7]'), 'a refused number')
    player.probe.until(lambda: refused((0, 0, 0), 'shape'), 'a refused shape')
    count = len(states)
    player.probe.until(lambda: len(states) >= count + 3, 'further states')
    assert list(states[-1].applied) == [0, 0]


def test_two_learners_are_told_of_and_only_one_is_believed(ros):
    player = Player(ros, {})
    first = player.state(lambda m: m.sequence == 0)
    assert first.learner == 0
    player.answer(first, learner=11)
    assert player.state(lambda m: m.sequence == 1).learner == 11
    player.answer(first, learner=12)
    player.process.until_logged('two learners answer')
    assert player.probe.counter(names.ENV_STATUS, 'foreign_actions', 1) == 1
    # A learner that was started again is another one, and is believed.
    player.answer(player.state(lambda m: m.sequence == 1), learner=12)
    assert player.state(lambda m: m.sequence == 2).learner == 12


def test_a_second_environment_of_one_name_leaves(ros):
    """The one that came first goes on, and is introduced again to whoever was confused."""
    player = Player(ros, {'resend_period_s': 0.2})
    second = ros.start('environment', SCRIPTED)
    assert second.wait() == 1
    assert 'is already the name of another environment' in second.output

    def again():
        return [m for m in infos if m.active and m.session == player.info.session]

    infos = []
    player.probe.node.create_subscription(EnvInfo, names.ENV_INFO, infos.append, qos.latched())
    player.probe.until(again, 'introduced again')
    player.answer(player.state(lambda m: m.sequence == 0))
    player.state(lambda m: m.sequence == 1)
    player.process.interrupt()


def test_who_gets_no_answer_says_so(ros):
    settings = {**SCRIPTED, 'agent': 'alone'}
    # Another namespace, in which nobody hears anything.
    alone = ros.start('environment', settings, '-r', '__ns:=/elsewhere')
    player = Player(ros, {'agent': 'unheard'})
    player.probe.until_heard(names.STATE, lambda m: m.agent == 'unheard')
    player.process.until_logged('a learner hears /state and does not answer')
    alone.until_logged('nobody hears /elsewhere/state: start a learner')


def test_a_bridge_that_fails_ends_the_node_with_one_line(ros):
    player = Player(ros, {'bridge.options.faults': ['2:0:raise']})
    for sequence in (0, 1):
        player.answer(player.state(lambda m, n=sequence: m.sequence == n))
    failed_as_expected(player.process)
    left = player.probe.until_heard(names.ENV_STATUS, lambda m: not m.active)
    assert left.steps == 2


def test_a_bridge_that_fails_in_real_time(ros):
    settings = {'bridge.options.faults': ['2:0:raise'], 'mode': 'realtime'}
    failed_as_expected(ros.start('environment', {**SCRIPTED, **settings}))


def failed_as_expected(process):
    assert process.wait() == 1
    assert 'scripted: fault at call 2; this node ends' in process.output
    assert 'Traceback' not in process.output


def test_periods_that_are_too_short_are_counted(ros):
    player = Player(ros, {'mode': 'realtime', 'control_period_s': 1e-5})
    assert player.probe.counter(names.ENV_STATUS, 'overrun_periods', 10) >= 10
    player.process.until_logged('control periods of 1e-05 s were missed')


def test_paused_before_it_is_active(ros):
    process = ros.start('environment', {**SCRIPTED, 'autostart': False})
    probe = ros.probe()
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    assert probe.call('environment', '~/change_state', ChangeState, request).success
    for on in (True, False):
        answer = probe.call('environment', names.PAUSE, SetBool, SetBool.Request(data=on))
        assert answer.success
    process.interrupt()


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


def test_a_restored_session_waits_for_a_learner_that_is_still_starting(ros, tmp_path):
    """A learner may take its time to start; one that hears and does not answer has not loaded it.

    The 3 s that it is given are made 1 s here, the only change to the node.
    """
    episodes = Episodes(
        make_bridge('cartpole', 2, {}),
        agent='pole',
        session=7,
        lockstep=True,
        delivery=Delivery.EPISODE,
    )
    episodes.begin(5, 0)
    saved = tmp_path / 'environment_pole_1.nrl'
    write_checkpoint(saved, 'environment', episodes.snapshot())
    hurried = (
        'from nrl_ros.environments import session\n'
        'from nrl_ros.nodes import environment\n'
        'session.RESTORED_S = 1.0\n'
        'raise SystemExit(environment.main())'
    )
    settings = {
        'agent': 'pole',
        'bridge.name': 'cartpole',
        'bridge.instances': 2,
        'resend_period_s': 0.1,
        'checkpoint.load': saved,
    }
    given = [part for name, value in settings.items() for part in ('-p', f'{name}:={value}')]
    process = ros.start_command([sys.executable, '-c', hurried, '--ros-args', *given])
    probe = ros.probe()
    probe.hear(names.ENV_INFO)
    told = probe.heard[names.ENV_INFO]
    # It introduces itself each 0.1 s while nobody answers.
    probe.until(lambda: len(told) > 20, 'more than 1 s without anybody who hears its states')
    unheard = len(told)
    probe.hear(names.STATE)
    probe.until(lambda: probe.heard[names.STATE], 'a state')
    probe.until(lambda: told[-1].session != 7, 'a new session')
    process.until_logged('a new session begins')
    # Some come in the second that a learner has to answer; a busy machine may take most of it.
    assert [info.session for info in told[: unheard + 3]] == [7] * (unheard + 3)


LISTENER = """
import rclpy
from nrl_ros.ros import names, qos
from nrl_ros.ros.interfaces import EpisodeReport

rclpy.init()
node = rclpy.create_node('listener')
heard = lambda report: print('heard', *report.total_steps, flush=True)
node.create_subscription(EpisodeReport, names.EPISODES, heard, qos.event())
rclpy.spin(node)
"""


def test_the_last_episode_is_told_to_a_listener_that_is_held_up(ros):
    """Reports come once: who gets no time on a busy machine for a while misses none of them."""
    episodes = 40
    settings = {'bridge.options.lengths': [1], 'stop.episodes': episodes, 'stop.exit': True}
    player = Player(ros, {**settings, 'report_period_s': 0.05})
    listener = ros.start_command([sys.executable, '-c', LISTENER])
    statuses, sequence = player.probe.heard[names.ENV_STATUS], 0

    def go_on():
        nonlocal sequence
        player.answer(player.state(lambda m: m.sequence == sequence))
        sequence += 1

    # What is told before the environment knows of the listener is lost.
    while not listener.logged('heard'):
        go_on()
        after = len(statuses) + 2
        player.probe.until(lambda seen=after: len(statuses) >= seen, 'time for a report')
    listener.send(signal.SIGSTOP)
    while sequence < episodes:
        go_on()
    player.probe.until_heard(names.ENV_STATUS, lambda m: m.finished and not m.active)
    # It waits for 2 s; the listener needs some of them, on a busy machine more.
    with pytest.raises(subprocess.TimeoutExpired):
        player.process.process.wait(0.5)
    listener.send(signal.SIGCONT)
    # Both instances end an episode in each step.
    heard = listener.until_logged(f' {episodes}\n').replace('heard', '').split()
    assert heard == [str(steps) for steps in range(int(heard[0]), episodes + 1, 2) for _ in 'ab']
    assert player.process.wait() == 0
