"""One arm whose nodes share a process, and the watchdog beside it."""

from __future__ import annotations

import signal

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

import yaml

from nrl_ros.robots.safety.records import StopReason
from nrl_ros.ros import names
from nrl_ros.ros.interfaces import SafetyState
from tests.ros.harness import JOINT_STATES, Ros, robot_file
from tests.ros.test_live_arm import LEARNER, NEUROMODULATOR, TASK

pytestmark = [pytest.mark.ros, pytest.mark.alone]


def composed(ros, robot):
    """The nodes of an arm in one process, each with its own settings."""
    nodes = {
        'learner': LEARNER,
        'neuromodulator': NEUROMODULATOR,
        'safety': {'robot': robot},
        'environment': {**TASK, 'bridge.options.robot': robot, 'bridge.options.episode.steps': 500},
    }
    told = {f'/**/{name}': {'ros__parameters': settings} for name, settings in nodes.items()}
    path = ros.folder / 'composed.yaml'
    path.write_text(yaml.safe_dump(told))
    return ros.start('composed_arm', params_file=str(path))


def speed(state):
    return max(map(abs, state.velocity))


def test_a_process_that_hangs_is_noticed_by_the_watchdog_which_stops_the_arm_alone(ros: Ros):
    # Shorter than the sleep of 0.33 s that shared memory would bring when the probe is discovered.
    robot = robot_file(ros.folder, watchdog={'max_tick_gap_s': 0.3})
    # A controller that keeps its last command for as long as nobody sends another one.
    ros.start('arm_driver', {'robot': robot, 'command_timeout_s': 0.0})
    watchdog = ros.start('watchdog', {'robot': robot})
    arm, probe = composed(ros, robot), ros.probe()
    probe.hear(names.SAFETY_STATE, names.STATE, JOINT_STATES)
    said, joints = (probe.heard[topic] for topic in (names.SAFETY_STATE, JOINT_STATES))
    probe.until(lambda: len(probe.heard[names.STATE]) > 5, 'actions')
    # Of a fast arm, the process that goes on would command a brake from its last, fast command.
    probe.until(lambda: joints and 0.2 < speed(joints[-1]) < 0.3, 'an arm that moves slowly')
    arm.send(signal.SIGSTOP)
    watchdog.until_logged('the arm is commanded to stand')
    assert watchdog.wait() == 0
    joints.clear()
    probe.until(lambda: joints and speed(joints[-1]) < 0.05, 'an arm at rest')
    # When the process goes on, it finds its periods too far apart and does not move the arm.
    fastest = speed(said[-1])
    said.clear()
    arm.send(signal.SIGCONT)
    probe.until(lambda: said and said[-1].mode == SafetyState.MODE_STOPPED, 'a stopped arm')
    # Or first that the arm, which went on meanwhile, has left its limits.
    assert said[-1].cause & (StopReason.OVERRUN | StopReason.OUT_OF_LIMITS)
    # At most it ends the period in which it was stopped, with 8 rad/s^2; then it brakes.
    assert all(max(map(abs, one.velocity), default=0.0) < fastest + 0.2 for one in said)
    assert arm.interrupt() >= 0.0 and arm.wait() == 0
