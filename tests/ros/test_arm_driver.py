"""The driver of the simulated arm by its topics: the test stands where an arm's node stands."""

from __future__ import annotations

import math
import signal
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

import rclpy
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
from rclpy.lifecycle import TransitionCallbackReturn
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64, Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from visualization_msgs.msg import MarkerArray

from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.ros import qos
from sim_bridge.arm_driver import ArmDriver
from tests.ros.harness import EACH, EXIT_S

pytestmark = [pytest.mark.ros, pytest.mark.alone]

UR_JOINTS = list(ArmModel.from_file('ur5e').joints)
VELOCITY = 'forward_velocity_controller/commands'
POSITION = 'forward_position_controller/commands'
TRAJECTORY = 'joint_trajectory_controller/joint_trajectory'


class Arm:
    """A driver, and a probe that commands it and keeps its joint states."""

    def __init__(self, ros, *more: str, **settings):
        flat = {name.replace('__', '.'): value for name, value in settings.items()}
        self.process = ros.start('arm_driver', flat, *more)
        self.probe = ros.probe()
        self.states = self.hear(JointState, 'joint_states')
        self._made = {}

    def hear(self, kind, topic, profile=None):
        kept = []
        # After a pause many states come at once.
        self.probe.node.create_subscription(kind, topic, kept.append, profile or EACH)
        return kept

    def say(self, kind, topic, message):
        if topic not in self._made:
            made = self._made[topic] = self.probe.node.create_publisher(kind, topic, qos.step())
            self.probe.until(lambda: made.get_subscription_count() > 0, f'who hears {topic}')
        self._made[topic].publish(message)

    def send(self, topic, *values):
        self.say(Float64MultiArray, topic, Float64MultiArray(data=values))

    def follow(self, *points, names=None):
        message = JointTrajectory(joint_names=names or [])
        for time_s, position in points:
            whole = int(time_s)
            moment = Duration(sec=whole, nanosec=round((time_s - whole) * 1e9))
            message.points.append(JointTrajectoryPoint(positions=position, time_from_start=moment))
        self.say(JointTrajectory, TRAJECTORY, message)

    def until(self, holds, what='joint states as wanted'):
        """Wait for a joint state for which something holds; those heard before do not count."""
        seen = len(self.states)
        return self.probe.until(
            lambda: next((state for state in self.states[seen:] if holds(state)), None), what
        )

    def counters(self, name, least=1):
        kept = self.hear(DiagnosticArray, 'diagnostics')

        def reached():
            values = {pair.key: pair.value for m in kept[-1:] for pair in m.status[0].values}
            return int(values.get(name, 0)) >= least

        self.probe.until(reached, f'{name} of {least}')
        return kept[-1].status[0]


def moment(state) -> float:
    return state.header.stamp.sec + 1e-9 * state.header.stamp.nanosec


def positions(states) -> np.ndarray:
    return np.array([list(state.position) for state in states])


def moving(state) -> bool:
    return any(value != 0.0 for value in state.velocity)


@pytest.mark.parametrize('plant', ['servo', 'mujoco'])
def test_a_velocity_moves_the_named_joint_at_that_speed(ros, plant):
    arm = Arm(ros, model='ur5e', plant=plant)
    first = arm.until(lambda state: True)
    assert list(first.name) == UR_JOINTS
    assert list(first.position) == pytest.approx([0.0] * 6, abs=1e-9)
    arm.send(VELOCITY, 0.0, 0.0, 0.4, 0.0, 0.0, 0.0)
    start = arm.until(lambda state: state.position[2] > 0.1)
    end = arm.until(lambda state: moment(state) > moment(start) + 1.0)
    way = positions([end])[0] - positions([start])[0]
    assert way[2] / (moment(end) - moment(start)) == pytest.approx(0.4, rel=0.01)
    # The other joints feel the dynamics, no more.
    assert np.abs(np.delete(way, 2)).max() < 0.02


def test_states_come_at_the_rate_without_drift_and_in_their_order(ros):
    arm = Arm(ros, model='planar', rate_hz=200.0)
    first = arm.until(lambda state: True)
    last = arm.until(lambda state: moment(state) > moment(first) + 3.0)
    stamps = np.array([moment(state) for state in arm.states])
    begin, end = stamps.tolist().index(moment(first)), stamps.tolist().index(moment(last))
    assert np.all(np.diff(stamps) > 0.0)
    # Over half a second each; a pause of the machine is in few of them.
    kept = stamps[begin : end + 1]
    assert np.median(kept[100:] - kept[:-100]) / 100 == pytest.approx(0.005, rel=0.02)


def test_a_velocity_ends_at_its_timeout(ros):
    arm = Arm(ros, model='planar', command_timeout_s=0.2)
    arm.until(lambda state: True)
    arm.send(VELOCITY, 0.5, 0.0)
    arm.until(moving)
    arm.until(lambda state: not moving(state), 'an end of the motion')
    # 25 periods of 8 ms: those are 0.2 s.
    assert arm.states[-1].position[0] == pytest.approx(0.5 * 0.2, abs=1e-9)


def test_a_trajectory_ends_at_its_goal_and_at_its_time(ros):
    arm = Arm(ros, model='ur5e')
    arm.until(lambda state: True)
    goal = [0.1, -0.2, 0.3, -0.4, 0.5, -0.6]
    # The message may name the joints in any order.
    arm.follow((0.4, [0.0] * 6), (1.0, goal[::-1]), names=UR_JOINTS[::-1])
    end = arm.until(
        lambda state: np.allclose(list(state.position), goal, rtol=0, atol=1e-9), 'the goal'
    )
    begin = next(state for state in arm.states if moving(state))
    # It stands still for 0.4 s, then goes for 0.6 s.
    assert moment(end) - moment(begin) == pytest.approx(0.6, abs=0.02)
    arm.until(lambda state: moment(state) > moment(end) + 0.1)
    np.testing.assert_allclose(list(arm.states[-1].position), goal, rtol=0, atol=1e-9)


def test_a_position_is_taken_up_at_the_joints_own_speed(ros):
    arm = Arm(ros, model='planar')
    arm.until(lambda state: True)
    arm.send(POSITION, 0.9, -0.3)
    arm.until(lambda state: list(state.position) == pytest.approx([0.9, -0.3], abs=1e-9))
    fastest = max(abs(state.velocity[0]) for state in arm.states)
    assert fastest == pytest.approx(3.0, rel=1e-9)


@pytest.mark.parametrize(
    ('bad', 'kind'),
    [
        ((1.0,), 'ShapeError'),
        ((0.1, 0.2, 0.3), 'ShapeError'),
        ((0.1, math.nan), 'InvalidValueError'),
        ((math.inf, 0.0), 'InvalidValueError'),
    ],
)
def test_garbage_is_refused_and_counted_and_the_arm_holds(ros, bad, kind):
    arm = Arm(ros, model='planar')
    arm.until(lambda state: True)
    arm.send(VELOCITY, 0.2, 0.2)
    arm.until(moving)
    arm.send(VELOCITY, *bad)
    held = arm.until(lambda state: not moving(state), 'a held arm')
    status = arm.counters(f'dropped_{kind}')
    assert status.level == status.WARN
    assert list(arm.states[-1].position) == list(held.position)
    assert 'velocity command: expected' in arm.process.until_logged('dropped')
    # It is not offended: the next command is followed.
    arm.send(VELOCITY, 0.0, 0.1)
    arm.until(moving)


def test_a_trajectory_of_other_joints_is_refused(ros):
    arm = Arm(ros, model='planar')
    arm.until(lambda state: True)
    arm.follow((1.0, [0.1, 0.2]), names=['joint1', 'joint9'])
    arm.counters('dropped_InvalidValueError')
    assert not any(moving(state) for state in arm.states)


def test_faults_come_and_go_while_it_runs(ros):
    arm = Arm(ros, model='planar', topics__tool='tool_point')
    arm.until(lambda state: True)
    tool = arm.hear(PointStamped, 'tool_point')
    arm.send(VELOCITY, 0.4, 0.0)
    arm.until(lambda state: state.velocity[0] == 0.4)
    assert arm.probe.set_parameter('arm_driver', fault__strength=[0.5, 1.0]).successful
    arm.until(lambda state: state.velocity[0] == 0.2, 'a weak joint')
    refused = arm.probe.set_parameter('arm_driver', fault__strength=[0.5])
    assert not refused.successful
    assert 'strength: expected 2 values, for joint1, joint2; received 1' in refused.reason
    # Tool: from 0.7 m to 0.8 m from the axis.
    arm.probe.until(lambda: tool, 'the tool')
    assert math.hypot(tool[-1].point.x, tool[-1].point.y) == pytest.approx(0.7)
    assert arm.probe.set_parameter('arm_driver', fault__tool_offset_m=[0.1, 0.0, 0.0]).successful

    def reach() -> float:
        return math.hypot(tool[-1].point.x, tool[-1].point.y)

    # What was published before may still be on its way.
    arm.probe.until(lambda: reach() == pytest.approx(0.8), 'the longer tool')
    # Frozen states: the arm goes on unseen, as its tool shows.
    assert arm.probe.set_parameter('arm_driver', fault__freeze_states=True).successful
    places = len(tool)
    arm.probe.until(lambda: len(tool) > places + 25, 'an arm that goes on')
    count, places = len(arm.states), len(tool)
    arm.probe.until(lambda: len(tool) > places + 25, 'an arm that goes on')
    assert len(arm.states) == count
    assert tool[-1].point.y != tool[places].point.y
    assert arm.probe.set_parameter('arm_driver', fault__freeze_states=False).successful
    arm.until(lambda state: True)


def test_lost_states_are_counted_and_their_share_is_that_asked_for(ros):
    arm = Arm(ros, model='planar', rate_hz=500.0, fault__drop_share=0.5)
    status = arm.counters('lost_states', least=300)
    first, last = arm.states[0], arm.states[-1]
    periods = (moment(last) - moment(first)) * 500.0
    assert status.hardware_id == 'planar'
    # Five standard errors of a fair coin.
    assert len(arm.states) / periods == pytest.approx(0.5, abs=2.5 / math.sqrt(periods))


def test_commands_act_after_their_latency(ros):
    arm = Arm(ros, model='planar', fault__latency_s=0.4)
    arm.until(lambda state: True)
    arm.send(VELOCITY, 0.1, 0.0)
    arm.send(VELOCITY, 0.2, 0.0)
    sent = moment(arm.states[-1])
    begin = arm.until(moving)
    # To a period; how long a message is under way is not the driver's.
    assert moment(begin) - sent >= 0.4 - 0.008
    assert begin.velocity[0] == 0.2


def test_it_says_of_a_described_robot_whether_it_may_be_moved(ros):
    """The topics that the safety node watches on hardware, so that both start with one file."""
    arm = Arm(ros, robot='ur5e')
    running = arm.hear(Bool, 'io_and_status_controller/robot_program_running', qos.latched())
    scaling = arm.hear(Float64, 'speed_scaling_state_broadcaster/speed_scaling')
    arm.probe.until(lambda: running and scaling, 'program and speed scaling')
    assert running[-1].data
    assert scaling[-1].data == 100.0
    changed = {'fault__program_stopped': True, 'fault__speed_scaling': 40.0}
    assert arm.probe.set_parameter('arm_driver', **changed).successful
    arm.probe.until(lambda: not running[-1].data and scaling[-1].data == 40.0, 'both changed')


def test_markers_description_and_clock(ros):
    arm = Arm(
        ros,
        model='ur5e',
        start=[0.0, -1.5707963267948966, 0.0, 0.0, 0.0, 0.0],
        topics__description='robot_description',
        topics__clock='/clock',
    )
    markers = arm.hear(MarkerArray, 'markers')
    text = arm.hear(String, 'robot_description', qos.latched())
    clock = arm.hear(Clock, '/clock')
    arm.probe.until(lambda: markers and text and clock, 'markers, description and clock')
    state = arm.until(lambda state: True)
    arm.probe.until(lambda: state.header.stamp in [m.clock for m in clock], 'its time')
    assert ArmModel.from_text(text[0].data).joints == tuple(UR_JOINTS)
    # Simulated time counts periods.
    assert state.header.stamp.nanosec % 8_000_000 == 0
    shown = markers[0].markers
    assert len({marker.id for marker in shown}) == len(shown)
    assert {marker.header.frame_id for marker in shown} == {'base_link'}
    # Straight up, where d5, which points down when the arm lies, points forward.
    tool = shown[-1].pose.position
    assert [tool.x, tool.y, tool.z] == pytest.approx([0.0997, 0.2329, 0.9797], abs=1e-9)


def test_names_are_relative_and_of_ones_own_choice(ros):
    arm = Arm(ros, '-r', '__ns:=/left', model='planar', topics__velocity='jog', topics__markers='')
    states = arm.hear(JointState, '/left/joint_states')
    arm.probe.until(lambda: states, 'states in the namespace')
    arm.send('/left/jog', 0.3, 0.0)
    arm.probe.until(lambda: states[-1].velocity[0] == 0.3, 'motion')


@pytest.mark.parametrize(
    ('settings', 'said'),
    [
        ({'model': 'ur5'}, "no arm model 'ur5'"),
        ({'model': 'ur5e', 'joints': ['elbow']}, "did you mean 'elbow_joint'"),
        ({'start': [0.0]}, 'start: expected 2 values'),
        ({'fault.strength': [1.0, -0.5]}, 'fault.strength'),
        ({'fault.payload_kg': 1.0}, 'needs plant: mujoco'),
        ({'topics.velocty': 'x'}, 'topics.velocity'),
    ],
)
def test_settings_that_do_not_fit_end_it_and_are_named(ros, settings, said):
    process = ros.start('arm_driver', settings)
    assert process.wait() == 1
    assert said in process.output
    assert 'Traceback' not in process.output


def test_without_messages_for_markers_all_else_works(monkeypatch, capfd, domain):
    monkeypatch.setitem(sys.modules, 'visualization_msgs.msg', None)
    context = rclpy.Context()
    context.init(domain_id=domain)
    node = ArmDriver(context=context)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    topics = {publisher.topic_name for publisher in node.publishers}
    node.destroy_node()
    context.try_shutdown()
    assert '/joint_states' in topics
    assert '/markers' not in topics
    assert 'install visualization_msgs' in capfd.readouterr().err


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_leaves_at_once_when_told_to(ros, number):
    arm = Arm(ros, model='ur5e', plant='mujoco')
    arm.until(lambda state: True)
    assert arm.process.interrupt(number) < EXIT_S
    assert 'Traceback' not in arm.process.output
