"""A model on a topic is heard by commands and by the simulated driver."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')
pytest.importorskip('mujoco')

from std_msgs.msg import String

from nrl_ros.robots.arm.model_files import MODELS_FOLDER
from nrl_ros.ros import names, qos
from tests.ros.harness import JOINT_STATES, robot_file

pytestmark = pytest.mark.ros


def test_the_model_of_a_description_publisher_is_taken(ros) -> None:
    """No driver runs: a robot_state_publisher alone is enough for doctor and rehearsal."""
    probe = ros.probe()
    latched = probe.node.create_publisher(String, '/robot_description', qos.latched())
    latched.publish(String(data=(MODELS_FOLDER / 'planar.xml').read_text()))
    file = robot_file(ros.folder, model='robot_description')
    doctor = ros.start_command(
        [sys.executable, '-m', 'nrl_ros.cli.main', 'doctor', '--robot', file]
    )
    ros.start('arm_driver', {'robot': file})
    probe.hear(JOINT_STATES)
    state = probe.until_heard(JOINT_STATES)
    assert list(state.name) == ['joint1', 'joint2'] and list(state.position) == [0.4, 0.8]
    # By hand: 0.4 cos 0.4 + 0.3 cos 1.2, and the same with sines.
    assert 'tool tool at home: 0.477, 0.435, 0.000 m' in doctor.until_logged('tool tool at home')
    assert doctor.wait() == 0


def test_an_environment_of_simulated_arms_waits_for_the_model(ros) -> None:
    """As train.launch.py starts it; the model comes from a volatile publisher, later."""
    probe = ros.probe()
    file = robot_file(ros.folder, model='robot_description')
    options = {
        'bridge.options.robot': file,
        'bridge.options.target.low_m': [0.2, -0.3, 0.0],
        'bridge.options.target.high_m': [0.5, 0.3, 0.1],
    }
    ros.start('environment', {'autostart': True, 'bridge.name': 'arm', **options})
    probe.hear(names.ENV_INFO)
    model = String(data=(MODELS_FOLDER / 'planar.xml').read_text())
    publisher = probe.node.create_publisher(String, '/robot_description', qos.event())

    def heard():
        publisher.publish(model)
        return probe.heard[names.ENV_INFO]

    probe.until(heard, 'an introduction')
    assert 'the tool is at 0.7, 0, 0 m' in probe.heard[names.ENV_INFO][-1].manifest
