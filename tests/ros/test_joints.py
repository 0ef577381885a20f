"""Joint states and commands: joints are found by name, and what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('sensor_msgs')

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from nrl_ros.base.errors import ConversionError
from nrl_ros.ros.joints import JointReader, forward_command, trajectory

pytestmark = pytest.mark.ros

ARM = ('shoulder', 'elbow', 'wrist')


def state(names, position, velocity=()):
    return JointState(name=names, position=position, velocity=velocity)


@pytest.mark.parametrize('seed', range(5))
def test_joints_are_found_wherever_they_stand(seed):
    random = np.random.default_rng(seed)
    names = [*ARM, 'finger', 'wheel']
    values = dict(zip(names, random.normal(size=(5, 2)), strict=True))
    random.shuffle(names)
    position, velocity = JointReader(ARM).read(
        state(names, [values[name][0] for name in names], [values[name][1] for name in names])
    )
    assert position.tolist() == [values[name][0] for name in ARM]
    assert velocity.tolist() == [values[name][1] for name in ARM]


def test_names_may_change_from_one_message_to_the_next():
    reader = JointReader(ARM)
    assert reader.read(state(list(ARM), [1.0, 2.0, 3.0]))[0].tolist() == [1.0, 2.0, 3.0]
    turned = state(list(ARM[::-1]), [1.0, 2.0, 3.0])
    assert reader.read(turned)[0].tolist() == [3.0, 2.0, 1.0]
    assert reader.read(turned)[0].tolist() == [3.0, 2.0, 1.0]


def test_velocities_that_are_not_sent_are_not_invented():
    _, velocity = JointReader(ARM).read(state(list(ARM), [0.0] * 3))
    assert np.isnan(velocity).all() and velocity.shape == (3,)


def test_a_missing_joint_is_named_with_one_that_sounds_like_it():
    with pytest.raises(ConversionError, match="lacks joint 'wrist', did you mean 'wrist_1'"):
        JointReader(ARM).read(state(['shoulder', 'elbow', 'wrist_1'], [0.0] * 3))


def test_a_grippers_messages_do_not_concern_the_arm():
    reader = JointReader(ARM)
    gripper = state(['finger', 'thumb'], [0.0] * 2)
    assert not reader.concerns(gripper)
    # Half an arm is a mistake and no stranger, and so is a message that names nobody.
    assert all(reader.concerns(state(names, [])) for names in (['wrist', 'finger'], [], list(ARM)))
    reader.read(state(list(ARM), [0.0] * 3))
    assert reader.concerns(state(list(ARM), [0.0] * 3)) and not reader.concerns(gripper)


def test_angles_of_continuous_joints_are_in_the_turn_where_the_joint_was():
    reader = JointReader(ARM, np.array([True, False, True]))
    told = state(list(ARM[::-1]), [-3.1, -3.1, -3.1])
    assert reader.read(told)[0].tolist() == [-3.1] * 3
    position, _ = reader.read(told, np.array([3.1, 3.1, -9.5]))
    assert position == pytest.approx([2 * np.pi - 3.1, -3.1, -3.1 - 2 * np.pi])


def test_a_message_without_any_joint_is_refused_even_as_the_first():
    with pytest.raises(ConversionError, match="lacks joint 'shoulder'"):
        JointReader(ARM).read(state([], []))


def test_a_refused_message_leaves_the_reader_as_it_was():
    reader = JointReader(ARM)
    reader.read(state(list(ARM), [1.0, 2.0, 3.0]))
    with pytest.raises(ConversionError, match="lacks joint 'elbow'"):
        reader.read(state(['shoulder', 'wrist'], [1.0, 3.0]))
    assert reader.read(state(list(ARM), [4.0, 5.0, 6.0]))[0].tolist() == [4.0, 5.0, 6.0]


def test_a_joint_named_twice_is_refused():
    with pytest.raises(ConversionError, match="'elbow' more than once"):
        JointReader(ARM).read(state([*ARM, 'elbow'], [0.0] * 4))


@pytest.mark.parametrize(
    ('position', 'velocity', 'what'),
    [([0.0] * 2, [], 'position: expected 3'), ([0.0] * 3, [0.0] * 4, 'velocity: expected 3')],
)
def test_arrays_that_do_not_fit_the_names_are_refused(position, velocity, what):
    with pytest.raises(ConversionError, match=what):
        JointReader(ARM).read(state(list(ARM), position, velocity))


def test_values_of_a_command_are_taken_by_name():
    taken = JointReader(ARM).take(('wrist', 'elbow', 'shoulder'), [3.0, 2.0, 1.0], 'the command')
    assert taken.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ConversionError, match="the command lacks joint 'shoulder'"):
        JointReader(ARM).take(('a', 'b', 'c'), [3.0, 2.0, 1.0], 'the command')


def test_a_forward_command_keeps_every_bit():
    values = np.random.default_rng(0).normal(size=(6, 2))[:, 1]
    for sent in (values, np.float32([0.5, -0.25])):
        message = deserialize_message(forward_command(sent), Float64MultiArray)
        assert list(message.data) == sent.tolist()


@pytest.mark.parametrize(('seconds', 'parts'), [(0.1, (0, 100_000_000)), (2.5, (2, 500_000_000))])
def test_a_trajectory_is_one_point_that_is_due_later(seconds, parts):
    position, velocity = np.array([0.1, 0.2, 0.3]), np.zeros(3)
    made = trajectory(ARM, position, velocity, seconds)
    (point,) = made.points
    assert made.joint_names == list(ARM)
    assert list(point.positions) == position.tolist() and list(point.velocities) == [0.0] * 3
    assert (point.time_from_start.sec, point.time_from_start.nanosec) == parts
    # Stamp 0: it starts when it arrives, whatever the clocks say.
    assert (made.header.stamp.sec, made.header.stamp.nanosec) == (0, 0)


def test_a_trajectory_never_has_a_whole_second_of_nanoseconds():
    made = trajectory(ARM, np.zeros(3), np.zeros(3), 0.9999999999)
    moment = made.points[0].time_from_start
    assert (moment.sec, moment.nanosec) == (1, 0)
