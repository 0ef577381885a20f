"""The safety node by its topics: the test plays both the arm and whoever commands it.

Waits are for states of the node, which come once a period of 20 ms: what must not happen is looked
for in a number of them.
"""

from __future__ import annotations

import itertools
import math
import signal

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Empty, Float64MultiArray, String
from std_srvs.srv import Trigger

from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.safety.records import StopReason
from nrl_ros.ros import names, qos
from nrl_ros.ros.interfaces import ArmCommand, SafetyState
from tests.ros.harness import (
    EACH,
    EMERGENCY,
    JOINT_STATES,
    POSITION,
    RUNNING,
    TRAJECTORY,
    VELOCITY,
    Ros,
    counters,
    robot_file,
)

pytestmark = [pytest.mark.ros, pytest.mark.alone]

PERIOD = 0.02
HOME = (0.4, 0.8)
WAITING, FOLLOWING, HOLDING = (
    SafetyState.MODE_WAITING,
    SafetyState.MODE_FOLLOWING,
    SafetyState.MODE_HOLDING,
)
STOPPING, STOPPED = SafetyState.MODE_STOPPING, SafetyState.MODE_STOPPED
# Periods in which something that must not happen would have happened.
LONG_ENOUGH = 10
_SESSIONS = itertools.count(1)


class Arm:
    """An obedient arm of velocities, with a wheel and its joints in another order, and its boss."""

    def __init__(self, ros, *, settings=None, **groups):
        robot = robot_file(ros.folder, **groups)
        flat = {'robot': robot, 'status_period_s': 0.1, **(settings or {})}
        self.process = ros.start('safety', flat)
        # Whoever comes second is found at once; who comes at the same time, seconds later.
        self.process.until_logged('manifest')
        self.probe = ros.probe()
        self.probe.hear(names.SAFETY_STATUS, names.DIAGNOSTICS, VELOCITY, POSITION, TRAJECTORY)
        self.states = self.probe.heard.setdefault(names.SAFETY_STATE, [])
        self.sent = self.probe.heard[VELOCITY]
        self.joint_states = self.probe.publisher(JOINT_STATES)
        self.commands = self.probe.publisher(names.ARM_COMMAND)
        self.place, self.speed = np.array(HOME), np.zeros(2)
        self.connected = self.beating = False
        self.obeys = True
        # What is said of position and velocity instead of the truth.
        self.lie = ()
        self.wish = None
        self.mark = 0
        self.stamp = Time()
        self.restart()
        node = self.probe.node
        node.create_subscription(SafetyState, names.SAFETY_STATE, self._on_state, EACH)

    def restart(self):
        """Whoever commands counts anew."""
        self.session, self.sequence, self.wish = next(_SESSIONS), 0, None

    def _on_state(self, state):
        self.states.append(state)
        self.speed = np.zeros(2)
        if self.obeys and len(state.position):
            self.place, self.speed = np.array(state.position), np.array(state.velocity)
        self.stamp = state.header.stamp
        if self.connected:
            self.tell(*self.lie)
        if self.beating:
            self.probe.say(names.HEARTBEAT, Empty())
        if self.wish is not None:
            self.command(self.wish)

    def tell(self, position=None, velocity=None, joints=('wheel', 'joint2', 'joint1')):
        """Publish a joint state; velocities are in the order of the joints."""
        place = self.place if position is None else position
        values = dict(zip(('joint1', 'joint2', 'wheel'), (*place, 77.0), strict=True))
        speeds = dict(zip(('joint1', 'joint2', 'wheel'), (*self.speed, 0.0), strict=True))
        message = JointState(name=joints, position=[values[name] for name in joints])
        message.velocity = [speeds[name] for name in joints] if velocity is None else velocity
        message.header.stamp = self.stamp
        self.joint_states.publish(message)

    def command(self, velocity, joints=('joint1', 'joint2'), sequence=None, late_s=None):
        """Ask for velocities once; ``wish`` asks again and again."""
        self.sequence += 1
        message = ArmCommand(
            session=self.session,
            sequence=self.sequence if sequence is None else sequence,
            joint=joints,
            velocity=velocity,
        )
        if late_s is not None:
            message.header.stamp.sec = self.stamp.sec - late_s
        self.commands.publish(message)

    def now(self):
        """From here on states count."""
        self.mark = len(self.states)

    def since(self):
        """States since then."""
        return self.states[self.mark :]

    def until(self, holds, what):
        try:
            return self.probe.until(lambda: next(filter(holds, self.since()), None), what)
        except AssertionError as error:
            self.process.logged('')
            last = self.states[-1] if self.states else None
            raise AssertionError(f'{error}; {last}\n{self.process.output}') from error

    def mode(self, mode):
        return self.until(lambda state: state.mode == mode, f'mode {mode}')

    def go_on(self, periods=LONG_ENOUGH):
        """Let some periods pass; returns their states."""
        self.now()
        self.probe.until(lambda: len(self.since()) >= periods, 'further periods')
        return self.since()

    def run(self, *velocity):
        """Command until it moves that fast."""
        self.wish = velocity
        fast = pytest.approx(velocity, abs=1e-9)
        self.until(lambda state: list(state.velocity) == fast, f'a velocity of {velocity}')
        self.now()

    def stop(self):
        return self.probe.call('safety', names.STOP, Trigger, Trigger.Request())

    def clear(self):
        return self.probe.call('safety', names.CLEAR, Trigger, Trigger.Request())

    def stopped_for(self, cause, seen=True):
        """Wait until it stands because of that; returns the states until then.

        Without joint states that can be used, it is commanded to stand and is not seen to.
        """

        def stands(state):
            if seen:
                return state.mode == STOPPED
            return state.mode == STOPPING and not any(state.velocity)

        self.until(stands, 'standing')
        until = [*itertools.takewhile(lambda state: not stands(state), self.since())]
        last = self.since()[len(until)]
        assert StopReason(last.cause) == cause
        assert not any(last.velocity)
        return [*until, last]

    def status(self, holds):
        """The newest status, once something holds for it."""
        heard = self.probe.heard[names.SAFETY_STATUS]
        self.probe.until(lambda: heard and holds(heard[-1]), 'a status as wanted')
        return heard[-1]

    def count(self, name):
        heard = self.probe.heard[names.SAFETY_STATUS]
        return counters(heard[-1]).get(name, 0) if heard else 0

    def counted(self, name, least):
        """Wait until a counter is that high."""
        self.status(lambda message: counters(message).get(name, 0) >= least)


def speeds(states):
    return [list(state.velocity) for state in states]


def still(states, mode):
    """It stood in that mode, in all these states."""
    return all(state.mode == mode and not any(state.velocity) for state in states)


@pytest.fixture(scope='module')
def shared(tmp_path_factory):
    ros = Ros(tmp_path_factory.mktemp('safety'))
    try:
        made = Arm(ros)
        made.connected = True
        made.mode(HOLDING)
        made.probe.publisher(EMERGENCY)
        yield made
    finally:
        ros.close()


@pytest.fixture
def arm(shared):
    """At rest at home, cleared of what the test before has done."""
    shared.connected, shared.lie = True, ()
    shared.restart()
    shared.probe.say(EMERGENCY, Bool(data=False))
    shared.stop()
    shared.now()
    shared.mode(STOPPED)
    # Moved by hand, as one that is stopped may be.
    shared.obeys, shared.place = False, np.array(HOME)
    home = pytest.approx(HOME)
    shared.until(lambda state: list(state.measured) == home, 'home')
    shared.probe.until(lambda: shared.clear().success, 'a clear that succeeds')
    shared.now()
    shared.until(lambda state: state.mode == HOLDING and list(state.position) == home, 'a hold')
    shared.obeys = True
    shared.now()
    return shared


@pytest.mark.parametrize('interface', ['velocity', 'position', 'trajectory'])
def test_the_first_command_is_where_the_arm_is(ros, interface):
    """Nothing before a joint state; then what each kind of controller takes."""
    topic = {'velocity': VELOCITY, 'position': POSITION, 'trajectory': TRAJECTORY}[interface]
    arm = Arm(ros, control={'interface': interface, 'command_topic': topic})
    sent = arm.probe.heard[topic]
    arm.wish = (0.5, 0.0)
    silent = arm.go_on()
    assert all(state.mode == WAITING and not len(state.velocity) for state in silent)
    assert not sent and math.isinf(silent[-1].state_age_s)
    arm.wish = None
    arm.connected = True
    arm.now()
    assert list(arm.mode(HOLDING).position) == pytest.approx(HOME, abs=1e-12)
    arm.probe.until(lambda: sent, 'a command')
    # What was asked for before it began is not followed.
    assert still([state for state in arm.go_on() if state.mode != WAITING], HOLDING)
    arm.run(0.5, 0.0)
    arm.go_on(5)
    if interface == 'trajectory':
        points = [message.points[0] for message in sent]
        assert all(message.joint_names == ['joint1', 'joint2'] for message in sent)
        assert {(point.time_from_start.sec, point.time_from_start.nanosec) for point in points} == {
            (0, 100_000_000)
        }
        # The controller stops there, should no other follow.
        assert all(list(point.velocities) == [0.0, 0.0] for point in points)
        values = np.array([list(point.positions) for point in points])
    else:
        values = np.array([list(message.data) for message in sent])
    if interface == 'velocity':
        assert list(values[0]) == [0.0, 0.0]
        assert np.abs(np.diff(values, axis=0)).max() <= 8.0 * PERIOD + 1e-9
        assert values.max() == pytest.approx(0.5)
    else:
        assert list(values[0]) == pytest.approx(HOME, abs=1e-12)
        steps = np.diff(values[:, 0])
        assert steps.max() == pytest.approx(0.5 * PERIOD, abs=1e-9)
        assert np.abs(np.diff(steps, prepend=0.0)).max() <= 8.0 * PERIOD**2 + 1e-9
    assert not any(arm.probe.heard[other] for other in {VELOCITY, POSITION, TRAJECTORY} - {topic})


def test_a_command_is_followed_within_its_limits_and_by_name(arm):
    """Its joints are in another order than the description's, and so are the arm's."""
    arm.sent.clear()
    arm.wish = None
    for _ in range(100):
        arm.command((-0.4, 9.0), joints=('joint2', 'joint1'))
        state = arm.go_on(1)[-1]
        if list(state.velocity) == pytest.approx([1.5, -0.4]):
            break
    # 1.5 rad/s is the limit of joint1, and 8 rad/s^2 that of both.
    assert list(state.velocity) == pytest.approx([1.5, -0.4])
    assert list(state.wanted) == [9.0, -0.4]
    assert list(state.joint) == ['joint1', 'joint2']
    assert state.mode == FOLLOWING and state.session == arm.session and state.limited & 1
    arm.probe.until(
        lambda: arm.sent and list(arm.sent[-1].data) == pytest.approx([1.5, -0.4]), 'a command'
    )
    way = np.diff([list(message.data) for message in arm.sent], axis=0)
    assert np.abs(way).max() <= 8.0 * PERIOD + 1e-9
    rest = arm.until(lambda state: state.mode == HOLDING and not any(state.velocity), 'standstill')
    assert rest.position[0] > HOME[0] and rest.position[1] < HOME[1]
    arm.until(lambda state: list(state.measured) == pytest.approx(list(rest.position)), 'the place')


def test_without_commands_it_ramps_to_zero_and_holds(arm):
    arm.run(0.8, 0.0)
    arm.wish = None
    arm.until(lambda state: state.mode == HOLDING and not any(state.velocity), 'standstill')
    held = [state for state in arm.since() if state.mode == HOLDING]
    followed = [state for state in arm.since() if state.mode == FOLLOWING]
    assert all(state.command_age_s <= 0.5 for state in followed)
    assert held[0].command_age_s > 0.5
    # 8 rad/s^2 in periods of 20 ms.
    ramp = [state.velocity[0] for state in held][:5]
    assert ramp == pytest.approx([0.64, 0.48, 0.32, 0.16, 0.0], abs=1e-9)
    assert still(arm.go_on(), HOLDING)


def test_an_emergency_stop_is_latched_while_it_is_pressed(arm):
    arm.run(0.8, 0.0)
    arm.probe.say(EMERGENCY, Bool(data=True))
    states = arm.stopped_for(StopReason.EMERGENCY_STOP)
    brake = [state for state in states if state.mode not in (FOLLOWING, HOLDING)]
    speed = [state.velocity[0] for state in brake]
    # 16 rad/s^2, all joints on one line; then it is waited for until it is seen to stand.
    assert speed[:3] == pytest.approx([0.48, 0.16, 0.0], abs=1e-9) and not any(speed[3:])
    # Whatever is commanded.
    assert still(arm.go_on(), STOPPED)
    arm.probe.until(lambda: list(arm.sent[-1].data) == [0.0, 0.0], 'a command to stand still')
    refused = arm.clear()
    assert not refused.success and 'no permission of the emergency stop' in refused.message
    arm.wish = None
    arm.probe.say(EMERGENCY, Bool(data=False))
    assert still(arm.go_on(), STOPPED)
    assert arm.clear().success
    arm.now()
    arm.mode(HOLDING)
    assert still(arm.go_on(), HOLDING)
    # The newest one again is not a new one.
    arm.command((0.8, 0.0), sequence=arm.sequence)
    assert still(arm.go_on(), HOLDING)
    arm.run(0.5, 0.0)


def test_stop_and_clear_are_services(arm):
    refused = arm.clear()
    assert not refused.success and refused.message == 'the arm is not stopped'
    arm.run(0.8, 0.0)
    answer = arm.stop()
    assert answer.success and '~/clear' in answer.message
    arm.stopped_for(StopReason.EMERGENCY_STOP)
    status = arm.status(lambda message: message.mode == STOPPED)
    assert status.why == 'service ~/stop'
    arm.wish = None
    # Until it is seen to stand.
    arm.go_on()
    assert arm.clear().success
    arm.now()
    arm.mode(HOLDING)


@pytest.mark.parametrize(('moved', 'silent'), [(0.05, False), (0.7, True)])
def test_a_stopped_arm_that_was_moved_is_not_called_back(ros, moved, silent):
    """Positions are held where it stopped, unless somebody has taken the arm elsewhere."""
    arm = Arm(ros, control={'interface': 'position', 'command_topic': POSITION})
    arm.connected = True
    arm.mode(HOLDING)
    arm.stop()
    arm.mode(STOPPED)
    arm.obeys, arm.place = False, np.array(HOME) + [0.0, moved]
    arm.now()
    arm.until(lambda state: list(state.measured) == pytest.approx(list(arm.place)), 'the new place')
    arm.go_on()
    sent = arm.probe.heard[POSITION]
    before = len(sent)
    arm.go_on()
    assert (len(sent) == before) == silent
    assert arm.clear().success
    arm.now()
    arm.mode(HOLDING)
    arm.until(lambda _: len(sent) > before, 'commands')
    arm.go_on()
    assert list(sent[-1].data) == pytest.approx(list(arm.place))


def test_joint_states_that_do_not_come_stop_it_and_people_are_told(arm):
    arm.run(0.5, 0.0)
    arm.probe.heard[names.DIAGNOSTICS].clear()
    arm.connected = False
    states = arm.stopped_for(StopReason.STALE_STATE, seen=False)
    assert states[-1].state_age_s > 1.0
    found = arm.probe.until_heard(
        names.DIAGNOSTICS, lambda message: message.status[0].level == DiagnosticStatus.ERROR
    ).status[0]
    assert 'joint state is' in found.message and found.hardware_id == 'planar'
    assert found.name == 'safety: arm'
    values = {pair.key: pair.value for pair in found.values}
    assert values['cause'] == 'STALE_STATE' and int(values['stop_stale_state']) >= 1
    refused = arm.clear()
    assert not refused.success and 'joint state is' in refused.message
    arm.connected, arm.wish = True, None
    arm.probe.until(lambda: arm.clear().success, 'a clear')
    arm.probe.heard[names.DIAGNOSTICS].clear()
    arm.probe.until_heard(
        names.DIAGNOSTICS, lambda message: message.status[0].level == DiagnosticStatus.WARN
    )


@pytest.mark.parametrize(('milliseconds', 'stops'), [(100, False), (10, True)])
def test_a_driver_without_velocities_is_judged_by_its_stamps(arm, milliseconds, stops):
    """0.2 rad to and fro, eight states each, whenever they come: 0.25 rad/s, or 2.5."""
    arm.connected = False
    begin = arm.stamp.sec * 1_000_000_000 + arm.stamp.nanosec
    arm.now()
    for number in range(1, 3 * LONG_ENOUGH):
        at = begin + number * milliseconds * 1_000_000
        arm.stamp = Time(sec=at // 1_000_000_000, nanosec=at % 1_000_000_000)
        place = 0.0245 * (abs((number + 4) % 16 - 8) - 4)
        arm.tell((HOME[0] + place, HOME[1]), velocity=())
        arm.probe.until(lambda n=number: len(arm.since()) >= n, 'a period')
    if stops:
        arm.stopped_for(StopReason.OUT_OF_LIMITS, seen=False)
    else:
        assert still(arm.since(), HOLDING)


def test_a_joint_state_without_one_of_the_joints_is_dropped(arm):
    before = arm.count('dropped_ConversionError')
    logged = len(arm.process.until_logged('manifest'))
    for _ in range(3):
        arm.tell(joints=('joint1', 'wheel'))
        arm.go_on(1)
    # One of them may be lost on its way.
    arm.counted('dropped_ConversionError', before + 2)
    said = arm.process.until_logged("the joint state lacks joint 'joint2'")[logged:]
    assert said.count('lacks joint') == 1
    assert "received ['joint1', 'wheel']" in said
    # The others are still good.
    assert still(arm.go_on(), HOLDING)


@pytest.mark.parametrize(
    ('position', 'velocity'),
    [((math.nan, 0.8), ()), ((0.4, 0.8), (0.0, math.inf, 0.0)), ((math.inf, 0.8), ())],
)
def test_a_joint_state_that_is_no_numbers_stops_it(arm, position, velocity):
    arm.run(0.5, 0.0)
    arm.lie = (position, velocity)
    arm.stopped_for(StopReason.BAD_STATE, seen=False)
    arm.lie, arm.wish = (), None
    # Good states later, and once it is seen to stand, it may be cleared.
    arm.probe.until(lambda: arm.clear().success, 'a clear')


@pytest.mark.parametrize(
    ('name', 'velocity', 'joints', 'step'),
    [
        ('commands_refused', (math.nan, 0.0), ('joint1', 'joint2'), 1),
        ('dropped_ConversionError', (0.5, 0.0), ('joint1', 'joint3'), 1),
        ('dropped_ConversionError', (0.5,), ('joint1', 'joint2'), 1),
        ('commands_reordered', (0.5, 0.0), ('joint1', 'joint2'), 0),
        ('commands_reordered', (0.5, 0.0), ('joint1', 'joint2'), -1),
    ],
    ids=['nan', 'joints', 'length', 'again', 'old'],
)
def test_a_bad_command_moves_nothing_and_is_counted(arm, name, velocity, joints, step):
    before = arm.count(name)
    arm.run(0.5, 0.0)
    arm.wish = None
    arm.until(lambda state: state.mode == HOLDING and not any(state.velocity), 'standstill')
    newest = arm.sequence
    arm.now()
    arm.command(velocity, joints, sequence=newest + step)
    arm.counted(name, before + 1)
    arm.probe.until(lambda: len(arm.since()) >= LONG_ENOUGH, 'further periods')
    assert still(arm.since(), HOLDING)
    # What is published is still the command that counts.
    last = arm.states[-1]
    assert (last.session, last.sequence) == (arm.session, newest)
    assert list(last.wanted) == [0.5, 0.0]
    arm.run(0.5, 0.0)


@pytest.mark.parametrize('late_s', [60, -60])
def test_a_command_of_another_time_is_not_followed(arm, late_s):
    before = arm.count('commands_skewed')
    arm.run(0.5, 0.0)
    arm.wish = None
    arm.until(lambda state: state.mode == HOLDING and not any(state.velocity), 'standstill')
    arm.now()
    arm.command((0.5, 0.0), late_s=late_s)
    arm.counted('commands_skewed', before + 1)
    assert still(arm.go_on(), HOLDING)
    arm.process.until_logged('is not followed: by its stamp it is')


def test_a_second_commander_is_refused_while_the_first_one_commands(arm):
    before = arm.count('commands_foreign')
    arm.run(0.5, 0.0)
    first, arm.session = arm.session, arm.session + 1_000_000
    arm.wish = None
    arm.command((-0.5, 0.0))
    arm.counted('commands_foreign', before + 1)
    assert all(state.session == first for state in arm.since())
    assert all(state.velocity[0] >= 0.0 for state in arm.since())
    # Once the first one is silent, the other may.
    arm.run(-0.5, 0.0)
    assert arm.states[-1].session == arm.session


class Stranger:
    """Another node that publishes on a topic of the arm, and nothing to begin with."""

    def __init__(self, arm, name, kind, topic):
        self.node = rclpy.create_node(name, context=arm.probe.context)
        self.publisher = self.node.create_publisher(kind, topic, EACH)

    def close(self):
        self.node.destroy_node()


def test_a_second_publisher_of_joint_states_is_named_and_not_believed(arm):
    stranger = Stranger(arm, 'joint_state_publisher', JointState, JOINT_STATES)
    arm.probe.until(lambda: stranger.publisher.get_subscription_count() > 0, 'the safety node')
    arm.run(0.5, 0.0)
    # A gripper has its own publisher, which is lawful.
    for _ in range(10):
        stranger.publisher.publish(JointState(name=['gripper'], position=[0.1]))
        assert all(state.mode == FOLLOWING for state in arm.go_on(2))
    lie = JointState(name=['joint2', 'joint1'], position=[2.0, 2.0], velocity=[0.0, 0.0])
    lie.header.stamp = arm.stamp
    stranger.publisher.publish(lie)
    states = arm.stopped_for(StopReason.NOT_PERMITTED)
    assert all(state.measured[1] != 2.0 for state in states)
    why = arm.status(lambda message: message.mode == STOPPED).why
    assert '/joint_state_publisher' in why and '/probe' in why
    assert 'publish joint states of this arm on /joint_states' in why
    arm.counted('states_foreign', 1)
    assert not arm.clear().success
    stranger.close()
    arm.probe.until(lambda: arm.clear().success, 'a clear')


def test_a_second_publisher_of_commands_is_named_and_stops_the_arm(arm):
    arm.run(0.5, 0.0)
    stranger = Stranger(arm, 'rqt', Float64MultiArray, VELOCITY)
    arm.stopped_for(StopReason.NOT_PERMITTED)
    why = arm.status(lambda message: message.mode == STOPPED).why
    assert '/rqt may publish commands on /forward_velocity_controller/commands' in why
    stranger.close()
    arm.probe.until(lambda: arm.clear().success, 'a clear')


class Controller:
    """A node like a controller of ros2_control, for as much as its parameters tell."""

    def __init__(self, arm, joints, interface='velocity'):
        self.probe = arm.probe
        self.node = rclpy.create_node('forward_velocity_controller', context=self.probe.context)
        self.node.declare_parameter('joints', joints)
        self.node.declare_parameter('interface_name', interface)
        self.probe.executor.add_node(self.node)

    def load(self, joints):
        self.node.set_parameters([rclpy.parameter.Parameter('joints', value=joints)])

    def close(self):
        self.probe.executor.remove_node(self.node)
        self.node.destroy_node()


def test_a_controller_with_its_joints_in_another_order_is_not_commanded(ros):
    arm = Arm(ros)
    controller = Controller(arm, ['joint2', 'joint1'])
    arm.connected = True
    arm.mode(STOPPED)
    text = "received ['joint2', 'joint1'] from its parameter joints, expected ['joint1', 'joint2']"
    status = arm.status(lambda message: message.mode == STOPPED)
    assert 'controller /forward_velocity_controller takes joints in another order' in status.why
    assert text in status.why
    arm.go_on()
    refused = arm.clear()
    assert not refused.success and text in refused.message
    assert not arm.sent
    # It is asked again, and may go on once that is mended.
    controller.load(['joint1', 'joint2'])
    arm.probe.until(lambda: arm.clear().success, 'a clear')
    arm.now()
    arm.mode(HOLDING)
    arm.run(0.5, 0.0)
    # One that comes anew, in another order, stops the arm.
    controller.close()
    arm.go_on(30)
    controller = Controller(arm, ['joint1'])
    arm.stopped_for(StopReason.NOT_PERMITTED)
    status = arm.status(lambda message: message.mode == STOPPED)
    assert "moves other joints: received ['joint1']" in status.why
    controller.close()


def test_a_controller_of_another_interface_is_never_commanded(ros):
    """Zeros, which hold an arm by its velocity, are where a position controller drives it to."""
    arm = Arm(ros)
    controller = Controller(arm, ['joint1', 'joint2'], 'position')
    arm.connected = True
    arm.mode(STOPPED)
    status = arm.status(lambda message: message.mode == STOPPED)
    assert "takes 'position' by its parameter interface_name" in status.why
    assert 'the robot description has interface: velocity' in status.why
    arm.go_on()
    assert not arm.clear().success
    assert not arm.sent
    controller.close()


def test_a_controller_with_the_same_joints_is_commanded(ros):
    arm = Arm(ros)
    controller = Controller(arm, ['joint1', 'joint2'])
    arm.connected = True
    arm.mode(HOLDING)
    arm.run(0.5, 0.0)
    assert not arm.process.logged('could not be checked')
    controller.close()


def test_a_controller_that_cannot_be_asked_is_said_once(arm):
    said = arm.process.until_logged('could not be checked, since there is no service')
    assert said.count('could not be checked') == 1
    assert 'controller on /forward_velocity_controller/commands' in said
    # One that can be asked at last takes it back.
    controller = Controller(arm, ['joint1', 'joint2'])
    arm.probe.until(lambda: arm.process.logged('has answered at last'), 'that it is taken back')
    controller.close()


def test_nothing_begins_while_nobody_listens(ros):
    arm = Arm(ros, control={'command_topic': 'elsewhere/commands'})
    arm.connected = True
    arm.process.until_logged('nobody listens on /elsewhere/commands: is the controller loaded')
    assert all(state.mode == WAITING for state in arm.go_on())
    arm.probe.node.create_subscription(Float64MultiArray, 'elsewhere/commands', print, EACH)
    arm.mode(HOLDING)


def test_a_permission_that_is_withdrawn_stops_it(ros):
    arm = Arm(ros, watchdog={'running_topic': RUNNING})
    arm.connected = True
    assert all(state.mode == WAITING for state in arm.go_on())
    arm.status(lambda message: message.why == 'no permission of the robot program')
    arm.probe.say(RUNNING, Bool(data=True))
    arm.mode(HOLDING)
    arm.run(0.8, 0.0)
    arm.probe.say(RUNNING, Bool(data=False))
    arm.stopped_for(StopReason.NOT_PERMITTED)
    arm.wish = None
    refused = arm.clear()
    assert not refused.success and 'the robot program' in refused.message
    arm.probe.say(RUNNING, Bool(data=True))
    assert still(arm.go_on(), STOPPED)
    assert arm.clear().success


def test_a_heartbeat_that_is_lost_stops_it(ros):
    arm = Arm(ros, watchdog={'heartbeat_timeout_s': 0.5})
    arm.probe.publisher(names.HEARTBEAT)
    arm.connected = True
    assert all(state.mode == WAITING for state in arm.go_on())
    arm.beating = True
    arm.now()
    arm.mode(HOLDING)
    arm.run(0.5, 0.0)
    arm.beating = False
    arm.stopped_for(StopReason.HEARTBEAT_LOST)


def test_a_dry_run_shows_what_it_would_send(ros):
    arm = Arm(ros, settings={'dry_run': True, 'speed_share': 0.5})
    arm.connected = True
    # Half of the speed, as it was asked to.
    arm.wish = (1.5, 0.0)
    shown = arm.until(
        lambda state: list(state.velocity) == pytest.approx([0.75, 0.0]), 'a velocity'
    )
    assert shown.dry_run and shown.mode == FOLLOWING
    arm.go_on()
    assert not arm.sent
    assert arm.probe.node.count_publishers(VELOCITY) == 1


def test_the_end_of_the_process_is_a_stop(ros):
    """SIGTERM: it brakes before it goes, and the last command is to stand still."""
    arm = Arm(ros)
    arm.connected = True
    arm.run(0.8, 0.0)
    arm.process.send(signal.SIGTERM)
    arm.probe.until(lambda: arm.process.process.poll() is not None, 'the end of the process')
    assert arm.process.wait() == 0
    arm.stopped_for(StopReason.EMERGENCY_STOP)
    arm.probe.until(lambda: list(arm.sent[-1].data) == [0.0, 0.0], 'a last command')
    values = np.array([list(message.data) for message in arm.sent])
    assert np.abs(np.diff(values, axis=0)).max() <= 16.0 * PERIOD + 1e-9


def test_the_model_may_come_from_the_driver(ros):
    topic = '/cell/robot_description'
    driver = {'model': 'planar', 'rate_hz': 50.0, 'start': list(HOME), 'topics.description': topic}
    ros.start('arm_driver', driver)
    arm = Arm(ros, model='robot_description', control={'description_topic': topic})
    arm.mode(HOLDING)
    assert f'waiting for the model on {topic}' in arm.process.until_logged('manifest')
    arm.run(0.5, 0.0)
    status = arm.status(lambda message: message.mode == FOLLOWING)
    # The same as of the file that the driver has it from.
    assert status.manifest == load_robot(robot_file(ros.folder)).digest()
    arm.probe.until_heard(JOINT_STATES, lambda state: list(state.velocity) == [0.5, 0.0])


def test_a_model_that_cannot_be_used_ends_the_node(ros):
    arm_file = robot_file(ros.folder, model='robot_description')
    process = ros.start('safety', {'robot': arm_file})
    probe = ros.probe()
    model = probe.node.create_publisher(String, '/robot_description', qos.latched())
    model.publish(String(data='<mujoco><worldbody/></mujoco>'))
    assert process.wait() == 1
    assert 'the model on /robot_description cannot be used' in process.output


def test_an_arm_that_runs_on_is_brought_to_rest_by_a_node_that_does_nothing_else(ros):
    """Whoever commanded it has died, and its controller keeps the last command."""
    robot = robot_file(ros.folder)
    ros.start('arm_driver', {'robot': robot})
    probe = ros.probe()
    probe.hear(JOINT_STATES)
    before = rclpy.create_node('before', context=probe.context)
    publisher = before.create_publisher(Float64MultiArray, VELOCITY, EACH)
    probe.until(lambda: publisher.get_subscription_count() > 0, 'the driver')
    publisher.publish(Float64MultiArray(data=[0.3, 0.0]))

    def speed():
        states = probe.heard[JOINT_STATES]
        return max(map(abs, states[-1].velocity)) if states else 0.0

    probe.until(lambda: speed() > 0.29, 'an arm in motion')
    before.destroy_node()
    process = ros.start('safety', {'robot': robot, 'only_rest': True})
    probe.until(lambda: speed() < 1e-3, 'rest')
    assert process.wait() == 0, process.output
    assert 'STOPPED: this safety node only brings the arm to rest' in process.output


def test_nobody_changes_an_active_node_nor_leaves_an_arm_that_does_not_stand(ros):
    arm = Arm(ros)
    arm.connected = True
    arm.mode(HOLDING)
    assert not arm.probe.set_parameter('safety', speed_share=0.5).successful
    assert not arm.probe.set_parameter('safety', robot='ur5e').successful
    arm.run(0.5, 0.0)
    # It runs on whatever it is told.
    arm.obeys, arm.lie = False, ((0.5, 0.5), (0.0, 0.0, 0.3))
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
    assert not arm.probe.call('safety', '~/change_state', ChangeState, request).success
    arm.now()
    state = arm.mode(STOPPING)
    assert list(state.velocity) == [0.0, 0.0]
    assert 'press the hardware emergency stop' in arm.status(lambda said: said.alarm).alarm
    arm.lie = ((0.5, 0.5), (0.0, 0.0, 0.0))
    arm.mode(STOPPED)
    assert arm.probe.call('safety', '~/change_state', ChangeState, request).success
