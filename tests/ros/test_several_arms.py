"""Several arms, each in a namespace of its own, teach one learner at rates of their own."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from std_srvs.srv import Trigger

from nrl_ros.cli.arms_watch import found_in
from nrl_ros.ros import names
from tests.ros.harness import Ros, robot_file
from tests.ros.test_live_arm import LEARNER, NEUROMODULATOR, TASK

pytestmark = [pytest.mark.ros, pytest.mark.alone]

LEARNING_TOPICS = (
    names.ENV_INFO,
    names.STATE,
    names.ACTION,
    names.REWARD,
    names.NEUROMODULATION,
    names.EPISODES,
    names.ENV_STATUS,
)


def start(ros, arm, robot, every):
    """The nodes of one arm, as arm.launch.py learner:=/fleet starts them."""
    below = ('-r', f'__ns:=/fleet/{arm}')
    parts = [ros.start('arm_driver', {'robot': robot}, *below)]
    parts.append(ros.start('safety', {'robot': robot}, *below))
    remapped = [text for topic in LEARNING_TOPICS for text in ('-r', f'{topic}:=/fleet/{topic}')]
    settings = {
        **TASK,
        'agent': arm,
        'bridge.options.robot': robot,
        'bridge.options.action_every': every,
    }
    return [*parts, ros.start('environment', settings, *below, *remapped)]


def test_arms_of_other_rates_join_a_learner_under_way_and_leave_it(ros: Ros):
    robot = robot_file(ros.folder)
    fleet = ('-r', '__ns:=/fleet')
    ros.start('learner', LEARNER, *fleet)
    ros.start('neuromodulator', NEUROMODULATOR, *fleet)
    probe = ros.probe('/fleet')
    probe.hear(names.STATE, names.ACTION, names.LEARNER_STATUS)
    actions, status = probe.heard[names.ACTION], probe.heard[names.LEARNER_STATUS]
    start(ros, 'arm_0', robot, 2)
    probe.until(lambda: [one for one in actions if one.agent == 'arm_0'], 'actions of the first')
    second = start(ros, 'arm_1', robot, 3)
    probe.until(
        lambda: len([one for one in actions if one.agent == 'arm_1']) > 10, 'actions of the second'
    )
    probe.until(lambda: set(status[-1].agent) == {'arm_0', 'arm_1'}, 'both are served')
    topics = probe.node.get_topic_names_and_types()
    assert found_in(topics).arms == {'/fleet/arm_0', '/fleet/arm_1'}
    second[-1].interrupt()
    probe.until(lambda: list(status[-1].agent) == ['arm_0'], 'the second has left')
    since = len(actions)
    # Where the machine is busy, the start of the second arm's nodes has stopped the first one.
    probe.call('fleet/arm_0/environment', names.GO, Trigger, Trigger.Request())
    probe.until(lambda: len(actions) > since + 10, 'the first goes on')
