"""People beside an environment, by its topics: they reward, take over and end episodes."""

from __future__ import annotations

import math
import sys

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from sensor_msgs.msg import Joy
from std_msgs.msg import Float32, Float64MultiArray

from nrl_ros.base.records import Applied, Ending
from nrl_ros.ros import names
from nrl_ros.ros.interfaces import EndEpisode
from tests.ros.harness import ROOT
from tests.ros.test_environment_node import Player

pytestmark = pytest.mark.ros

REWARD, TAKE_OVER = f'{names.HUMAN_REWARD}/agent', f'{names.INTERVENTION}/agent'
BUTTONS = {'human_reward.buttons': [2], 'human_reward.button_values': [-1.0]}


def test_people_reward_take_over_and_end_an_episode(ros):
    """In lockstep the test decides when the environment steps, so all of it is exact."""
    player = Player(
        ros,
        {
            **BUTTONS,
            'human_reward.weight': 0.5,
            'intervention.timeout_s': 30.0,
            'intervention.resume_s': 30.0,
        },
    )
    probe = player.probe
    probe.hear(names.HUMAN_REWARD_GIVEN, names.REWARD)
    given = probe.heard[names.HUMAN_REWARD_GIVEN]
    player.state(lambda m: m.sequence == 0)
    probe.say(REWARD, Float32(data=math.nan))
    probe.say(REWARD, Float32(data=0.5))
    probe.until(lambda: len(given) == 1, 'a reward')
    probe.say(names.HUMAN_REWARD, Float32(data=7.0))
    probe.until(lambda: len(given) == 2, 'both rewards')

    # These two topics are heard best effort, so the first messages may be lost.
    def pressed():
        for button in (0, 1):
            probe.say(names.JOY, Joy(buttons=[0, 0, button]))
        return len(given) > 2

    probe.until(pressed, 'a button')
    assert [list(one.value) for one in given[:3]] == [[0.25] * 2, [0.5] * 2, [-0.5] * 2]
    assert [list(one.received) for one in given[:3]] == [[0.5] * 2, [7.0] * 2, [-1.0] * 2]
    assert all(one.sequence == 0 and list(one.window) == [0, 0] for one in given)
    assert probe.counter(names.ENV_STATUS, 'human_rewards_refused', 1) == 1

    def refused():
        probe.say(TAKE_OVER, Float64MultiArray(data=[0.5]))
        return player.process.logged('expected whole numbers')

    probe.until(refused, 'a refusal')
    # The answer must not overtake the person.
    [answered] = probe.until(lambda: taken(player), 'steps of a person')
    # That answer must not come after the request below, and end the episode by itself.
    player.state(lambda m: m.sequence == answered + 1)

    request = EndEpisode.Request(outcome=EndEpisode.Request.OUTCOME_SUCCESS, instance=[1])
    answer = probe.call('environment', names.END_EPISODE, EndEpisode, request)
    assert answer.success and answer.message.startswith('1 of 2 episodes end')
    last = probe.heard[names.STATE][-1]
    player.answer(last)
    ended = player.state(lambda m: m.sequence == last.sequence + 1)
    assert list(ended.ending) == [int(Ending.NONE), int(Ending.TERMINATED)]
    closed = probe.until_heard(names.REWARD, lambda m: m.sequence == ended.sequence)
    assert list(closed.instance) == [1]
    # What the task has given is whole, and so is a success; people gave 0.25 and multiples of 0.5.
    assert closed.value[0] % 0.5 == pytest.approx(0.25)
    assert given[-1].source == given[-1].SOURCE_END and list(given[-1].value) == [1.0]
    request = EndEpisode.Request(outcome=9)
    answer = probe.call('environment', names.END_EPISODE, EndEpisode, request)
    assert not answer.success and 'outcome 9, expected one of' in answer.message


COMMAND = ('scripts/nodes/nrl',)
# The command, which looks for an environment for a shorter time.
IMPATIENT = (
    '-c',
    'from nrl_ros.cli import people\nfrom nrl_ros.cli.main import app\npeople._FIND_S = 3.0\napp()',
)


def nrl(ros, *words, program=COMMAND):
    """Run the command; return its exit code and what it prints."""
    command = [sys.executable, *program, *words, '--domain-id', str(ros.domain)]
    process = ros.start_command(command)
    return process.wait(), process.output


def test_the_command_finds_the_only_environment(ros):
    player = Player(ros, {'agent': 'taught'})
    player.probe.hear(names.HUMAN_REWARD_GIVEN)
    player.state(lambda m: m.sequence == 0)
    code, said = nrl(ros, 'reward', '-0.5')
    assert code == 0 and '-0.5 on /human_reward/taught' in said
    given = player.probe.until_heard(names.HUMAN_REWARD_GIVEN)
    assert given.agent == 'taught' and list(given.received) == [-0.5, -0.5]
    code, said = nrl(ros, 'end', 'abort', '--instance', '0')
    assert code == 0 and '1 of 2 episodes end with the next step: abort' in said
    code, said = nrl(ros, 'reward', '1', '--agent', 'another', program=IMPATIENT)
    assert code == 1 and 'no environment that hears people' in said


@pytest.mark.alone
def test_a_person_who_watches_a_run_is_all_that_teaches_it(ros):
    """The scripted one of the example, over topics, in real time."""
    more = ('environment:mode:=realtime', 'environment:bridge.instances:=1')
    arguments = [word for one in more for word in ('-p', one)]
    ros.start('app', None, *arguments, params_file=str(ROOT / 'examples/taught_car.yaml'))
    probe = ros.probe()
    probe.hear(names.HUMAN_REWARD_GIVEN, names.NEUROMODULATION)
    probe.until_heard(names.NEUROMODULATION)
    ros.start_command([sys.executable, 'examples/human_teacher.py', '--ros'])
    taught = probe.until_heard(names.NEUROMODULATION, lambda m: any(m.rpe))

    def place(message):
        return message.episode[0], message.window[0]

    def given():
        # Two presses may fall into one window, or on one moment.
        said = probe.heard[names.HUMAN_REWARD_GIVEN]
        return sum(one.value[0] for one in said if place(one) == place(taught))

    assert probe.until(lambda: given() == taught.reward[0] and given(), 'what was given') % 1.0 == 0
    assert place(probe.heard[names.HUMAN_REWARD_GIVEN][0]) == place(taught)


def taken(player):
    """Take over and answer the newest state; return its number if it is after a person's step."""
    player.probe.say(TAKE_OVER, Float64MultiArray(data=[1.0]))
    newest = player.probe.heard[names.STATE][-1]
    player.answer(newest, (0, 0))
    return [newest.sequence] if list(newest.applied) == [int(Applied.PERSON)] * 2 else None
