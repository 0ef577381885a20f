"""The live stack: driver of a simulated arm, safety node, environment, learner, neuromodulator.

Driver and safety node stay, as on a real arm; environments and learners come and go.
"""

from __future__ import annotations

import signal
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.msg')

from action_msgs.msg import GoalStatus
from geometry_msgs.msg import PointStamped
from rclpy.action import ActionClient
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from nrl_ros.base.records import ActionBatch, Applied, Ending
from nrl_ros.robots.arm.phases import Phase
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.safety.braking import Limited
from nrl_ros.robots.safety.records import StopReason
from nrl_ros.ros import conversion, names, qos
from nrl_ros.ros.interfaces import ArmCommand, EndEpisode, EnvState, Reach, SafetyState
from tests.ros.harness import (
    BY_HAND,
    EMERGENCY,
    JOINT_STATES,
    TARGET,
    Ros,
    counters,
    robot_file,
)

pytestmark = [pytest.mark.ros, pytest.mark.alone]

HOME = (0.4, 0.8)
# Of an episode; a step is two periods of 20 ms.
STEPS = 10
FOLLOWING, HOLDING = SafetyState.MODE_FOLLOWING, SafetyState.MODE_HOLDING
STOPPED = SafetyState.MODE_STOPPED
ASKS = 'waits for ~/go'
TASK = {
    'bridge.name': 'ros2_control_arm',
    'bridge.instances': 1,
    'bridge.options.action_every': 2,
    'bridge.options.observation.joints': 'sine',
    'bridge.options.target.low_m': [-0.6, -0.6, 0.0],
    'bridge.options.target.high_m': [0.6, 0.6, 0.001],
    'bridge.options.target.far_m': 0.6,
    'bridge.options.target.centre_m': [0.0, 0.0, 0.0],
    'bridge.options.episode.steps': STEPS,
    'bridge.options.homing.speed_share': 1.0,
    'bridge.options.homing.tolerance_rad': 0.05,
    'mode': 'realtime',
    'reward.delivery': 'every_step',
    'status_period_s': 0.1,
    'report_period_s': 0.1,
}
LEARNER = {
    'network.hidden_sizes': [8],
    # So wild that the limits of acceleration have something to do.
    'policy.action_std': 1.0,
    'plasticity.learning_rate': 0.01,
    'status_period_s': 0.1,
}
NEUROMODULATOR = {'rpe.rate': 0.05}


class Cell:
    """A driver, a safety node, and a probe that hears everything."""

    def __init__(self, ros):
        # Shorter than an episode: without a learner the arm holds in each.
        self.ros, self.robot = ros, robot_file(ros.folder, watchdog={'command_timeout_s': 0.3})
        self.driver = ros.start('arm_driver', {'robot': self.robot})
        self.start_safety()
        self.probe = ros.probe()
        self.probe.hear(names.SAFETY_STATE, names.ARM_COMMAND, JOINT_STATES)
        self.until(lambda state: state.mode == HOLDING, 'a safety node that hears the arm')
        self.probe.publisher(EMERGENCY)

    def start_safety(self):
        self.safety = self.ros.start('safety', {'robot': self.robot, 'status_period_s': 0.1})
        self.safety.until_logged('manifest')

    def environment(self, *arguments, **options):
        """Start one; options of the task have ``__`` for a dot, arguments are those of ROS."""
        more = {f'bridge.options.{key.replace("__", ".")}': item for key, item in options.items()}
        self.probe.heard = {}
        self.probe.hear(
            names.SAFETY_STATE, names.ARM_COMMAND, JOINT_STATES, names.STATE, names.EPISODES
        )
        settings = {**TASK, 'bridge.options.robot': self.robot, **more}
        return self.ros.start('environment', settings, *arguments)

    def until(self, holds, what):
        """Wait for a state of the safety node from now on."""
        states = self.probe.heard[names.SAFETY_STATE]
        seen = len(states)
        return self.probe.until(lambda: next(filter(holds, states[seen:]), None), what)

    def heard(self, topic, holds=lambda message: True, since=0):
        """Wait for a message that is not one of the first ``since``."""
        kept = self.probe.heard[topic]
        return self.probe.until(lambda: next(filter(holds, kept[since:]), None), topic)

    def number(self, topic):
        return len(self.probe.heard[topic])

    def periods(self, count=15):
        """Let some periods of the safety node pass; returns their states."""
        states = self.probe.heard[names.SAFETY_STATE]
        seen = len(states)
        self.probe.until(lambda: len(states) >= seen + count, 'further periods')
        return states[seen:]

    def go(self):
        self.probe.until(lambda: self.call('environment', names.GO).success, 'a go')

    def asks(self, process, text, episodes=0):
        """Whether it says what it waits for, and nothing moves before a go; then it goes on."""
        self.logged(process, text)
        since = self.number(names.STATE)
        commands = self.number(names.ARM_COMMAND)
        assert self.stays_still(25)
        assert self.number(names.STATE) == since
        sent = self.probe.heard[names.ARM_COMMAND][commands:]
        assert not [one for one in sent if one.purpose != ArmCommand.PURPOSE_HOLD]
        self.go()
        first = self.heard(names.STATE, since=since)
        assert (first.step[0], first.episode[0] >= episodes) == (0, True)

    def call(self, node, service):
        return self.probe.call(node, service, Trigger, Trigger.Request())

    def clear(self):
        self.probe.until(lambda: self.call('safety', names.CLEAR).success, 'a clear')

    def release(self):
        """End a stop that a test before has left."""
        self.probe.say(EMERGENCY, Bool(data=False))
        if self.until(lambda state: True, 'a state').mode == STOPPED:
            self.clear()

    def end(self, *processes):
        """End them as one does, so that none is heard of any more."""
        for process in processes:
            process.send(signal.SIGTERM)
        codes = []
        for process in processes:
            self.probe.until(lambda p=process: p.process.poll() is not None, 'its end')
            codes.append(process.wait())
            sys.stdout.write(process.output)
            self.ros.end(process)
        assert set(codes) == {0}, codes

    def logged(self, process, text):
        """Wait until a process has written a text; returns all that it has written."""
        self.probe.until(lambda: process.logged(text), f'the text {text!r}')
        return process.output

    def stays_still(self, count=15):
        """Whether, once it stands, it does so for that many periods."""
        self.until(lambda state: not any(state.velocity), 'standstill')
        return all(not any(state.velocity) for state in self.periods(count))


@pytest.fixture(scope='module')
def shared(tmp_path_factory):
    ros = Ros(tmp_path_factory.mktemp('cell'))
    try:
        yield Cell(ros)
    finally:
        ros.close()


@pytest.fixture
def cell(shared):
    """Whatever the test before has left; what its nodes said is shown if it fails."""
    shared.release()
    yield shared
    for process in (shared.driver, shared.safety):
        process.logged('')
        sys.stdout.write(process.output)


@pytest.fixture
def environment(cell):
    """Start environments that do not outlive the test."""
    made = []

    def start(*arguments, **options):
        made.append(cell.environment(*arguments, **options))
        return made[-1]

    yield start
    for process in made:
        # One that is killed stays known as a server for a while, and calls would wait for it.
        process.send(signal.SIGTERM)
        cell.probe.until(lambda p=process: p.process.poll() is not None, 'the end of it')
        process.wait()
        sys.stdout.write(process.output)
        cell.ros.end(process)


class Fleet:
    """An environment with learner and neuromodulator."""

    def __init__(self, cell):
        self.cell = cell
        self.environment = cell.environment()
        cell.probe.hear(names.ENV_STATUS, names.LEARNER_STATUS)
        self.neuromodulator = cell.ros.start('neuromodulator', NEUROMODULATOR)
        self.learn()

    def learn(self):
        self.learner = self.cell.ros.start('learner', LEARNER)

    def status(self, holds=lambda message: True):
        heard = self.cell.probe.heard[names.ENV_STATUS]
        self.cell.probe.until(lambda: heard and holds(heard[-1]), 'a status as wanted')
        return heard[-1]

    def learned(self, holds):
        """The newest status of the learner, once something holds for it."""
        heard = self.cell.probe.heard[names.LEARNER_STATUS]
        self.cell.probe.until(lambda: heard and holds(heard[-1]), 'a status of the learner')
        return heard[-1]

    def in_an_episode(self):
        """Wait until one is under way in which the learner's actions move the arm."""
        since = self.cell.number(names.STATE)
        return self.cell.heard(
            names.STATE, lambda m: m.step[0] == 3 and m.applied[0] != 0, since=since
        )


@pytest.fixture(scope='class')
def fleet(shared):
    made = Fleet(shared)
    yield made
    shared.end(made.learner, made.neuromodulator, made.environment)


class TestLearning:
    """One run, in which a learner does what it likes and people interfere."""

    def test_episodes_and_ways_home(self, cell, fleet):
        """Two episodes, from home, each with what it has come to; and it is learned from."""
        reports = cell.probe.heard[names.EPISODES]
        cell.probe.until(
            lambda: sum(list(r.ending).count(Ending.TRUNCATED) for r in reports) >= 2,
            'two episodes',
        )
        assert list(reports[0].metric_name) == [
            'final_distance_m',
            'nearest_m',
            'is_within_5_cm',
            'is_within_2_cm',
            'is_within_1_cm',
        ]
        for report in reports:
            whole = np.array(report.ending) == Ending.TRUNCATED
            assert set(np.array(report.ending)[~whole]) <= {Ending.ABORTED}
            assert set(np.array(report.length)[whole]) <= {STEPS}
            metric = np.reshape(list(report.metric), (len(whole), -1))[whole]
            final, nearest = metric[:, :2].T
            assert (nearest >= 0.0).all() and (nearest <= final).all() and (final < 1.4).all()
        for state in cell.probe.heard[names.STATE]:
            if state.step[0] == 0:
                sine, cosine = np.reshape(list(state.observation)[:4], (2, 2))
                place = np.arctan2(sine, cosine)
                assert np.abs(place - HOME).max() < 0.05
        status = fleet.status(lambda m: counters(m).get('homings', 0) >= 1)
        learned = fleet.learned(lambda m: m.updates > 0 and counters(m).get('limited_steps', 0) > 0)
        # Where the whole machine pauses, joint states stop, and the log says so.
        said = cell.logged(fleet.environment, Phase.RUNNING.value).split(Phase.RUNNING.value, 1)[1]
        pauses = said.count(Phase.WAITING.value)
        assert status.aborted <= pauses
        assert counters(learned).get('aborted_windows', 0) <= pauses
        # What the arm is told, and what for.
        purposes = {command.purpose for command in cell.probe.heard[names.ARM_COMMAND]}
        assert purposes == {
            ArmCommand.PURPOSE_ACTION,
            ArmCommand.PURPOSE_HOMING,
            ArmCommand.PURPOSE_HOLD,
        }

    def test_an_emergency_stop_ends_the_episode(self, cell, fleet):
        before = counters(fleet.learned(lambda m: True)).get('aborted_windows', 0)
        fleet.in_an_episode()
        since, reports = cell.number(names.STATE), cell.number(names.EPISODES)
        cell.probe.say(EMERGENCY, Bool(data=True))
        cell.heard(names.STATE, lambda m: m.ending[0] == Ending.ABORTED, since)
        report = cell.heard(names.EPISODES, lambda r: Ending.ABORTED in r.ending, reports)
        assert report.length[list(report.ending).index(Ending.ABORTED)] <= STEPS
        cell.until(lambda state: state.mode == STOPPED, 'a stop')
        status = fleet.status(lambda m: m.aborted >= 1)
        # The window that was cut off is given up; the learner does not learn while it stands.
        learned = fleet.learned(lambda m: counters(m).get('aborted_windows', 0) == before + 1)
        silent, updates = cell.number(names.STATE), learned.updates
        assert cell.stays_still(25)
        assert cell.number(names.STATE) == silent
        # An answer to go comes too early; a clear, too, is refused while it is pressed.
        refused = cell.call('environment', names.GO)
        assert not refused.success and '~/clear' in refused.message
        assert not cell.call('safety', names.CLEAR).success
        cell.probe.say(EMERGENCY, Bool(data=False))
        cell.clear()
        cell.logged(fleet.environment, 'cleared, waits for ~/go')
        assert cell.stays_still(25)
        assert cell.number(names.STATE) == silent
        assert fleet.status().steps == status.steps
        assert fleet.learned(lambda m: True).updates == updates
        commands = cell.number(names.ARM_COMMAND)
        assert cell.call('environment', names.GO).success
        first = cell.heard(names.STATE, since=silent)
        # It went home before.
        homing = ArmCommand.PURPOSE_HOMING
        cell.heard(names.ARM_COMMAND, lambda m: m.purpose == homing, commands)
        assert first.step[0] == 0
        cell.heard(names.STATE, lambda m: m.step[0] == STEPS - 1, since=silent)
        fleet.learned(lambda m: m.updates > updates)

    def test_a_learner_that_is_killed_is_missed_and_may_come_back(self, cell, fleet):
        fleet.in_an_episode()
        before = fleet.status()
        asked = fleet.environment.output.count(ASKS)
        fleet.learner.send(signal.SIGKILL)
        rest = cell.until(
            lambda state: (
                (state.mode == HOLDING and state.command_age_s > 0.3) or state.mode == STOPPED
            ),
            'an arm at rest',
        )
        # One that is killed amid a message may leave the middleware's memory locked for a second.
        if rest.mode == STOPPED:
            assert rest.cause == StopReason.STALE_STATE
            cell.clear()
        fleet.status(lambda m: m.missing_actions > before.missing_actions)
        since = cell.number(names.STATE)

        def goes_on():
            fleet.environment.logged('')
            if fleet.environment.output.count(ASKS) > asked:
                cell.call('environment', names.GO)
            states = cell.probe.heard[names.STATE][since:]
            return next((m for m in states if m.step[0] == 5), None)

        # Episodes end by time, and the arm stands at home meanwhile.
        cell.probe.until(goes_on, 'an episode without a learner')
        idle = [m for m in cell.probe.heard[names.STATE][since:] if m.step[0] > 1]
        assert {m.applied[0] for m in idle} == {0}
        cell.ros.end(fleet.learner)
        cell.probe.heard[names.LEARNER_STATUS].clear()
        fleet.learn()
        fleet.in_an_episode()
        fleet.learned(lambda m: m.updates > 0)
        cell.until(lambda state: state.mode == FOLLOWING, 'an arm that follows')

    def test_a_pause_holds_it_still(self, cell, fleet):
        fleet.in_an_episode()
        request = SetBool.Request(data=True)
        assert cell.probe.call('environment', names.PAUSE, SetBool, request).success
        cell.until(lambda state: not any(state.velocity), 'standstill')
        since = cell.number(names.STATE)
        assert cell.stays_still(25)
        assert cell.number(names.STATE) == since
        request = SetBool.Request(data=False)
        assert cell.probe.call('environment', names.PAUSE, SetBool, request).success
        # The same episode goes on; the step that was cut short is no step of the learner's.
        going = cell.heard(names.STATE, since=since)
        assert going.ending[0] == Ending.NONE and going.applied[0] == 0
        cell.until(lambda state: any(state.velocity), 'motion')


def test_it_waits_for_a_go_before_it_moves_and_at_home(cell, environment, tmp_path):
    home = [HOME[0] - 0.6, HOME[1]]
    process = environment(homing__wait_for_go=True, robot=robot_file(tmp_path, home_rad=home))
    cell.logged(process, 'waits for ~/go: before it first moves')
    assert cell.stays_still()
    assert not cell.number(names.ARM_COMMAND)
    cell.go()
    # Home is reached, and the next thing needs a go of its own.
    cell.until(lambda state: abs(state.measured[0] - home[0]) < 0.06, 'home')
    for episode in range(2):
        assert cell.stays_still()
        since = cell.number(names.STATE)
        cell.go()
        cell.heard(names.STATE, lambda m, e=episode: m.episode[0] == e and m.step[0] == 5, since)
        # It counts once, and not in an episode.
        refused = cell.call('environment', names.GO)
        assert refused.success or 'runs an episode' in refused.message
        if not refused.success:
            cell.heard(names.STATE, lambda m: m.ending[0] == Ending.TRUNCATED, since)


def test_joint_states_that_only_the_environment_loses_need_a_go(cell, environment):
    """The safety node hears them all the time, so that nothing else stops the arm."""
    passing = True
    relay = cell.probe.node.create_publisher(JointState, 'relayed', qos.step())
    hearing = cell.probe.node.create_subscription(
        JointState, JOINT_STATES, lambda m: relay.publish(m) if passing else None, qos.step()
    )
    process = environment('-r', f'{JOINT_STATES}:=relayed', episode__steps=1000)
    player = Player(cell, -1.0, 0.0)
    cell.heard(names.STATE, lambda m: m.step[0] >= 3)
    passing = False
    lost = cell.heard(names.STATE, lambda m: m.ending[0] == Ending.ABORTED)
    cell.logged(process, 'waits for joint states and the safety node: no joint states on')
    assert cell.until(lambda state: True, 'a state').mode in (FOLLOWING, HOLDING)
    passing = True
    cell.asks(process, 'mended: no joint states on joint_states, waits for ~/go', lost.episode[0])
    player.close()
    cell.probe.node.destroy_subscription(hearing)
    cell.probe.node.destroy_publisher(relay)


def test_a_stop_and_a_clear_during_a_pause_need_a_go(cell, environment):
    process = environment(episode__steps=1000)
    player = Player(cell, -1.0, 0.0)
    cell.heard(names.STATE, lambda m: m.step[0] >= 3)

    def pause(data):
        request = SetBool.Request(data=data)
        assert cell.probe.call('environment', names.PAUSE, SetBool, request).success

    pause(data=True)
    assert cell.call('safety', names.STOP).success
    cell.until(lambda state: state.mode == STOPPED, 'a stop')
    cell.clear()
    cell.until(lambda state: state.mode == HOLDING, 'an arm that holds')
    since = cell.number(names.STATE)
    pause(data=False)
    cell.heard(names.STATE, lambda m: m.ending[0] == Ending.ABORTED, since)
    cell.asks(process, 'cleared, waits for ~/go')
    player.close()


def test_a_safety_node_that_was_started_anew_needs_a_go(cell, environment):
    process = environment(episode__steps=1000)
    # One that has never moved its arm waits for nobody.
    player = Player(cell, -1.0, 0.0)
    cell.until(lambda state: any(state.velocity), 'motion')
    player.close()
    # A forward controller goes on with the last velocity when nobody commands it any more.
    assert cell.stays_still()
    killed = cell.safety
    killed.send(signal.SIGKILL)
    cell.logged(process, 'nothing on safety_state: start the safety node')
    cell.start_safety()
    cell.ros.end(killed)
    cell.until(lambda state: state.mode == HOLDING, 'an arm that holds')
    cell.asks(process, ', waits for ~/go')


def test_without_either_go_it_goes_on_by_itself(cell, environment):
    environment(homing__go_after_stop=False)
    cell.heard(names.STATE, lambda m: m.step[0] >= 3)
    assert cell.call('safety', names.STOP).success
    cell.until(lambda state: state.mode == STOPPED, 'a stop')
    since = cell.number(names.STATE)
    cell.clear()
    cell.heard(names.STATE, lambda m: m.step[0] == 0, since)


def aim(cell, x, y, z, frame='base_link'):
    message = PointStamped()
    message.header.frame_id = frame
    message.point.x, message.point.y, message.point.z = x, y, z
    cell.probe.say(TARGET, message)


def target_of(state):
    """The target of an observation [m]: the workspace reaches from -1 to 1 there."""
    scaled = np.array(list(state.observation)[9:12])
    return (scaled * (0.75, 0.75, 0.3) + (0.0, 0.0, 0.2)).tolist()


def test_targets_may_come_from_a_topic(cell, environment):
    process = environment(target__source='topic', target__topic=TARGET)
    cell.logged(process, f'waits for a target: none has come on {TARGET}')
    maker = cell.probe.publisher(TARGET)
    aim(cell, 0.3, 0.3, 0.0, frame='camera')
    cell.logged(process, "frame 'camera' is not in the model, expected one that stands still: ")
    cell.probe.hear(names.ENV_STATUS)
    for point in ((0.9, 0.0, 0.0), (0.0, 0.0, float('nan'))):
        aim(cell, *point)
    cell.probe.counter(names.ENV_STATUS, 'dropped_InvalidValueError', 3)
    assert not cell.number(names.STATE)
    aim(cell, 0.3, 0.2, 0.1)
    first = cell.heard(names.STATE, lambda m: m.step[0] == 1)
    assert target_of(first) == pytest.approx([0.3, 0.2, 0.1], abs=1e-6)
    since = cell.number(names.STATE)
    # No frame is the frame of the base. It counts from the next episode on.
    aim(cell, -0.3, 0.2, 0.1, frame='')
    episode = cell.heard(names.STATE, since=since).episode[0]
    last = cell.heard(names.STATE, lambda m: m.episode[0] > episode + 1, since)
    assert target_of(last) == pytest.approx([-0.3, 0.2, 0.1], abs=1e-6)
    # The next one may have begun before it came; in none of them does the target change.
    places = [(state.episode[0], target_of(state)[0]) for state in cell.probe.heard[names.STATE]]
    assert all(x == pytest.approx(0.3, abs=1e-6) for one, x in places if one <= episode)
    changed = [x for one, x in places if one == episode + 1]
    assert changed == pytest.approx([changed[0]] * len(changed), abs=1e-6)
    assert all(x == pytest.approx(-0.3, abs=1e-6) for one, x in places if one > episode + 1)
    cell.probe.node.destroy_publisher(maker)
    del cell.probe._publishers[TARGET]


def test_another_robot_than_the_safety_nodes_is_not_moved(cell, environment):
    limits = {'position_low_rad': [-2.0, -2.0]}
    process = environment(robot=robot_file(cell.ros.folder, name='other', limits=limits))
    output = cell.logged(process, 'start both with the same description')
    assert "the safety node limits robot 'planar', manifest " in output
    assert "this environment moves 'other', manifest " in output
    assert not cell.call('environment', names.GO).success
    cell.periods()
    assert not cell.number(names.ARM_COMMAND) and not cell.number(names.STATE)


def test_a_second_environment_on_the_same_arm_ends_and_says_who_is_followed(cell, environment):
    environment()
    first = cell.heard(names.ARM_COMMAND)
    cell.until(lambda state: state.session == first.session, 'an environment that is followed')
    name = cell.probe.node.resolve_topic_name(names.ARM_COMMAND)
    second = environment('-r', '__node:=second', '-p', 'agent:=second')
    cell.probe.until(lambda: second.process.poll() is not None, 'the end of the second one')
    assert second.wait() == 1
    assert f'follows session {first.session} of another commander' in second.output
    publishers = second.output.partition(f'publishers of {name}: ')[2]
    assert '/environment' in publishers and '/second' in publishers


def test_an_action_that_outlasts_its_command_is_refused(cell, environment):
    process = environment(action_every=15)
    assert process.wait() == 1
    assert 'an action lasts 0.300 s, and commands are followed for 0.3 s' in process.output


class Player:
    """Answers every state of an environment with the same velocities."""

    def __init__(self, cell, *velocity):
        self.cell, self.velocity = cell, np.array([velocity], np.float32)
        self.action = cell.probe.publisher(names.ACTION)
        node = cell.probe.node
        self.hearing = node.create_subscription(EnvState, names.STATE, self.answer, qos.step())

    def close(self):
        """Answer no more: others come after this one."""
        self.cell.probe.node.destroy_subscription(self.hearing)

    def answer(self, state):
        whose = (np.array(getattr(state, name)) for name in ('episode', 'step', 'window'))
        batch = ActionBatch(
            state.agent, state.session, state.sequence, *whose, self.velocity, learner=1
        )
        self.action.publish(conversion.action_to_wire(batch))


class Reacher(Player):
    """Answers with the way to joint positions, as a policy would that has learned to reach."""

    def __init__(self, cell):
        super().__init__(cell, 0.0, 0.0)
        self.aim = np.array(HOME)

    def answer(self, state):
        sine, cosine = np.reshape(list(state.observation)[:4], (2, 2))
        way = 4.0 * (self.aim - np.arctan2(sine, cosine))
        self.velocity = np.clip(way, -1.0, 1.0).astype(np.float32)[None]
        super().answer(state)


class Goals:
    """Sends goals of the action, whose targets are where joint positions lead."""

    def __init__(self, cell):
        self.cell, self.player = cell, Reacher(cell)
        self.chain = load_robot('planar').chain
        self.client = ActionClient(cell.probe.node, Reach, names.REACH)
        cell.probe.until(self.client.server_is_ready, 'the action')
        cell.probe.hear(names.REWARD)
        self.feedback = []

    def send(self, *joints, x=None, **fields):
        """Send a goal; returns its handle once the protocol has it."""
        self.player.aim = np.array(joints)
        goal = Reach.Goal(tolerance_m=0.005, time_limit_s=8.0, **fields)
        place = self.chain.tool(self.player.aim[None])[0]
        position = goal.target.pose.position
        position.x, position.y, position.z = place.tolist()
        position.x = position.x if x is None else x
        self.feedback.clear()
        sent = self.client.send_goal_async(goal, lambda m: self.feedback.append(m.feedback))
        self.cell.probe.until(sent.done, 'a goal that was taken')
        handle = sent.result()
        assert handle.accepted
        self.ending = handle.get_result_async()
        return handle

    def end(self, ending=None):
        """The result of the newest goal, or of another one."""
        ending = ending or self.ending
        self.cell.probe.until(ending.done, 'the end of a goal')
        return ending.result().result

    def moving(self):
        self.cell.probe.until(lambda: self.feedback, 'feedback')
        self.cell.until(lambda state: any(state.velocity), 'motion')

    def stands_at(self, *joints):
        place = self.cell.probe.heard[JOINT_STATES][-1].position
        return np.abs(np.array(place) - joints).max() < 0.05

    def close(self):
        self.client.destroy()
        self.player.close()


@pytest.fixture
def goals(cell, environment):
    cell.logged(environment(goals__serve='only'), Phase.RESTING.value)
    made = Goals(cell)
    yield made
    made.close()


def test_others_use_what_was_learned_by_the_action_reach(cell, goals):
    goals.send(0.8, 1.2)
    goals.moving()
    assert goals.feedback[0].doing == 'moves to the goal' and goals.feedback[0].distance_m > 0.005
    result = goals.end()
    assert (result.outcome, result.distance_m < 0.005) == (Reach.Result.OUTCOME_REACHED, True)
    assert goals.stands_at(0.8, 1.2)
    # The next pose begins there; nothing was learned, and nothing drives home between the two.
    handle = goals.send(0.2, 1.0)
    assert goals.end().outcome == Reach.Result.OUTCOME_REACHED
    assert handle.status == GoalStatus.STATUS_SUCCEEDED
    states = cell.probe.heard[names.STATE]
    assert states and all(state.greedy for state in states)
    assert not cell.probe.heard[names.REWARD] and not cell.probe.heard[names.EPISODES]
    purposes = {command.purpose for command in cell.probe.heard[names.ARM_COMMAND]}
    assert ArmCommand.PURPOSE_HOMING not in purposes
    # It says why where it does not move at all.
    for fields, why in (
        ({'x': 5.0}, 'expected within'),
        ({'x': -0.749}, 'no pose was found'),
        ({'use_orientation': True}, 'trained to reach points only'),
    ):
        goals.send(0.2, 1.0, **fields)
        refused = goals.end()
        assert refused.outcome == Reach.Result.OUTCOME_REFUSED and why in refused.reason
    assert cell.stays_still()


def test_a_goal_can_be_cancelled_replaced_stopped_and_refused(cell, goals):
    handle = goals.send(1.6, 1.6)
    goals.moving()
    cancelled = handle.cancel_goal_async()
    cell.probe.until(cancelled.done, 'a cancel that was taken')
    assert goals.end().outcome == Reach.Result.OUTCOME_CANCELLED
    assert not any(cell.until(lambda state: True, 'a state').velocity)
    assert not goals.stands_at(1.6, 1.6)
    goals.send(1.6, 1.6)
    first = goals.ending
    goals.send(-0.4, 1.2)
    assert 'does not ask to take its place' in goals.end().reason
    goals.send(-0.4, 1.2, preempt=True)
    assert goals.end(first).outcome == Reach.Result.OUTCOME_PREEMPTED
    goals.moving()
    cell.probe.say(EMERGENCY, Bool(data=True))
    stopped = goals.end()
    assert stopped.outcome == Reach.Result.OUTCOME_STOPPED and 'stopped' in stopped.reason
    goals.send(0.4, 0.8)
    refused = goals.end()
    assert refused.outcome == Reach.Result.OUTCOME_REFUSED and 'stopped' in refused.reason
    cell.probe.say(EMERGENCY, Bool(data=False))
    cell.clear()
    cell.go()
    request = SetBool.Request(data=True)
    assert cell.probe.call('environment', names.PAUSE, SetBool, request).success
    goals.send(0.4, 0.8)
    assert 'paused' in goals.end().reason
    request = SetBool.Request(data=False)
    assert cell.probe.call('environment', names.PAUSE, SetBool, request).success
    goals.send(0.4, 0.8)
    assert goals.end().outcome == Reach.Result.OUTCOME_REACHED


def test_a_person_moves_the_arm_within_its_limits_and_gives_it_back_by_silence(cell, environment):
    """Those steps are the person's; the episode goes on, and ends when the person says so."""
    process, (probe, heard) = environment(episode__steps=5000), (cell.probe, cell.heard)
    cell.heard(names.STATE)
    topic = f'{names.INTERVENTION}/agent'

    # It is heard best effort, so the first message may be lost.
    def refused():
        probe.say(topic, Float64MultiArray(data=[float('nan'), 0.0]))
        return process.logged('expected finite numbers')

    probe.until(refused, 'a refusal')
    since = len(probe.heard[names.STATE])

    def driven():
        probe.say(topic, Float64MultiArray(data=[-0.3, 1e6]))
        states = probe.heard[names.STATE][since:]
        return [state for state in states if list(state.applied) == [Applied.PERSON]]

    first = probe.until(driven, "a person's step")[0]
    command = heard(names.ARM_COMMAND, lambda m: m.purpose == ArmCommand.PURPOSE_PERSON)
    # The direction stays; no joint is asked to be faster than it can.
    assert 0.0 < command.velocity[1] < 10.0 and command.velocity[0] < 0.0
    moved = heard(JOINT_STATES, lambda m: len(m.velocity) and max(m.velocity) > 0.1)
    assert max(moved.velocity) < 10.0
    # After the last message the arm is commanded to stand, and then nobody drives it any more.
    sent = len(probe.heard[names.ARM_COMMAND])
    heard(
        names.ARM_COMMAND,
        lambda m: m.purpose == ArmCommand.PURPOSE_PERSON and not any(m.velocity),
        since=sent,
    )
    last = heard(
        names.STATE,
        lambda m: m.sequence > first.sequence and list(m.applied) == [Applied.NOT],
        since=since,
    )
    assert last.episode[0] == first.episode[0]
    request = EndEpisode.Request(outcome=EndEpisode.Request.OUTCOME_ABORT)
    answer = probe.call('environment', names.END_EPISODE, EndEpisode, request)
    assert answer.success, answer.message
    ended = heard(names.STATE, lambda m: m.ending[0] == Ending.ABORTED)
    assert ended.episode[0] == first.episode[0]


def test_an_arm_that_a_person_moves_by_hand_follows_nobody_and_its_steps_are_the_person_s(
    cell, environment
):
    """The episode goes on; who lets go of a button of the robot starts nothing."""
    environment(episode__steps=5000)
    player = Player(cell, -0.2, 0.2)
    probe, heard = cell.probe, cell.heard
    cell.heard(names.STATE)
    cell.until(lambda state: any(state.velocity), 'motion')
    probe.say(BY_HAND, Bool(data=True))
    free = cell.until(lambda s: s.limited & Limited.BY_HAND and not any(s.velocity), 'a hand')
    assert (free.mode, free.cause) == (HOLDING, 0)
    mine = heard(names.STATE, lambda m: list(m.applied) == [Applied.PERSON])
    asked = SetBool.Request(data=False)
    answer = probe.call(names.SAFETY, names.FREEDRIVE, SetBool, asked)
    assert not answer.success and 'the robot says that it is moved by hand' in answer.message
    probe.say(BY_HAND, Bool(data=False))
    # The player goes on to act, and is not followed.
    since = len(probe.heard[names.SAFETY_STATE])
    assert cell.stays_still()
    assert all(s.limited & Limited.BY_HAND for s in probe.heard[names.SAFETY_STATE][since:])
    answer = probe.call(names.SAFETY, names.FREEDRIVE, SetBool, asked)
    assert answer.success, answer.message
    later = heard(
        names.STATE, lambda m: m.sequence > mine.sequence and list(m.applied) != [Applied.PERSON]
    )
    assert later.episode[0] == mine.episode[0]
    cell.until(lambda state: state.mode == FOLLOWING and any(state.velocity), 'motion again')
    player.close()


def test_an_environment_that_is_killed_leaves_an_arm_at_rest(cell, environment):
    process = environment(episode__steps=1000)
    Player(cell, -1.0, 0.0)
    cell.until(lambda state: list(state.velocity) == pytest.approx([-1.0, 0.0]), 'motion')
    process.send(signal.SIGKILL)
    states = cell.probe.heard[names.SAFETY_STATE]
    rest = cell.until(lambda state: state.mode == HOLDING and not any(state.velocity), 'rest')
    assert rest.command_age_s > 0.3 and rest.cause == 0
    since = cell.number(JOINT_STATES)
    assert cell.stays_still()
    places = [list(state.position) for state in cell.probe.heard[JOINT_STATES][since + 1 :]]
    assert np.ptp(places, axis=0).max() < 1e-9
    assert states[-1].mode == HOLDING


def test_an_arm_that_does_not_go_home_is_an_error(cell, environment, tmp_path):
    """The driver ignores its commands, and home is somewhere else than where the arm is."""
    home = [-1.0, 1.2]
    fault = {'fault__strength': [0.0, 0.0]}
    assert cell.probe.set_parameter('arm_driver', **fault).successful
    process = environment(robot=robot_file(tmp_path, home_rad=home), homing__timeout_s=0.4)
    cell.probe.until(lambda: process.process.poll() is not None, 'the end of the environment')
    assert process.wait() == 1
    assert 'not at home within 0.4 s: joint1 is at' in process.output
    assert f'expected {home[0]:.3f}: is something in the way' in process.output
    assert 'this node ends; start it again after that is mended' in process.output
    # Nothing is asked for any more, and the arm is where it was. It may be stopped by then,
    # since it has not moved in so many commands.
    cell.until(lambda state: state.mode in (HOLDING, STOPPED) and not any(state.velocity), 'rest')
    cell.probe.set_parameter('arm_driver', fault__strength=[1.0, 1.0])
