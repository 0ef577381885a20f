"""A physical arm, or a simulated driver in its place, behind the topics of ros2_control.

The environment of one arm that reaches. It reads the joint states, asks the safety node for joint
velocities, and keeps episodes as the vectorised simulation does (``nrl_ros.robots.arm.episode``).
It never sends anything to a controller itself. Between episodes it drives home slowly. A stop, lost
joint states or an absent safety node end the episode as aborted; after any of them nothing moves
before a person calls ``~/go``. Goals of the action ``reach`` come before episodes, and are served
by the same policy (``nrl_ros.robots.arm.reach_goals``).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from nrl_ros.base.arm_records import ArmCommandRecord, JointStateRecord, SafetyStateRecord
from nrl_ros.base.errors import BridgeError, ConfigError, InvalidValueError
from nrl_ros.base.records import Applied, Float32, Int32, StepResult
from nrl_ros.environments.interfaces import Environment
from nrl_ros.nodes.arm_status import arm_diagnostics
from nrl_ros.nodes.arm_targets import ArmTargets
from nrl_ros.nodes.arm_teleoperation import ArmTeleoperation
from nrl_ros.nodes.arm_view import ArmView
from nrl_ros.nodes.reach_action import ReachAction
from nrl_ros.robots.arm.description import read_robot
from nrl_ros.robots.arm.episode import ReachEpisodes
from nrl_ros.robots.arm.joint_usage import JointUsage
from nrl_ros.robots.arm.phases import MOVING, ArmPhases, Names, Phase, Task
from nrl_ros.robots.arm.reach import remarks_of
from nrl_ros.robots.arm.reach_goals import Goal, ReachGoals
from nrl_ros.robots.arm.robot import make_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.arm.targets import Poses
from nrl_ros.robots.safety.announcer import Announcer
from nrl_ros.robots.safety.braking import Limited
from nrl_ros.robots.safety.commander import FollowedWatch
from nrl_ros.robots.safety.measured import JUDGED_PERIODS, SpeedEstimator
from nrl_ros.robots.safety.records import Mode, finite_row
from nrl_ros.ros import conversion, graph, names, qos
from nrl_ros.ros.description import model_of
from nrl_ros.ros.hearing import counters_of
from nrl_ros.ros.interfaces import ArmCommand, SafetyState, SafetyStatus
from nrl_ros.ros.joints import JointReader, joint_state_from_wire, measured_joints
from nrl_ros.ros.signals import told_to_end
from nrl_ros.ros.wire import NANOSECONDS

Array = NDArray[Any]

_DIAGNOSTICS_S = 1.0
_COMMANDED_MODES = (Mode.FOLLOWING, Mode.HOLDING)
# Longest wait for the name of the other commander that is followed instead [s].
_NAMED_S = 4.0
_ONE = np.ones(1, np.bool_)
_MODES = frozenset(map(int, Mode))


class ArmEnvironment:
    """Environment of one arm that reaches, in real time, and serves goals of others.

    Attributes:
        greedy: True while an episode is that of a goal from which nothing is learned.

    Args:
        instances: must be 1.
        options: the task, as of the bridge 'arm'.

    Raises:
        ConfigError: the robot's description, its model, or the task is wrong.
        BridgeError: no model came on the description topic.
    """

    def __init__(self, instances: int, options: ReachSettings) -> None:
        if instances != 1:
            raise ConfigError(
                f'bridge ros2_control_arm: one arm each, received instances {instances}; start an '
                'environment node for each arm'
            )
        description = read_robot(options.robot)
        measured = measured_joints(description)
        self.robot = make_robot(description, xml=model_of(description), measured=measured)
        self._held, self._held_problem = self.robot.held_joints(), ''
        self._options = options
        self.episodes = ReachEpisodes(self.robot, options, 1)
        self.spec = self.episodes.spec
        followed_s = description.watchdog.command_timeout_s
        if self.episodes.task.period_s >= followed_s:
            raise ConfigError(
                f'an action lasts {self.episodes.task.period_s:.3f} s, and commands are followed '
                f'for {followed_s} s: lower action_every, or raise watchdog.command_timeout_s of '
                f'robot {description.name!r}'
            )
        self.targets = ArmTargets(self.robot, options.target)
        topics = Names(description.control.state_topic, names.SAFETY_STATE, names.SAFETY_STATUS)
        self.phases = ArmPhases(self.robot, options, self.episodes.task.period_s, topics)
        self.goals = ReachGoals(options.goals)
        self.greedy = False
        # The goal that the present episode is for; None: it is one of the task's own.
        self._goal: Goal | None = None
        self._action: ReachAction | None = None
        self.usage = JointUsage(len(self.robot.joints))
        self._node: Any = None
        self._reader = JointReader(self.robot.joints, self.robot.continuous)
        self._speed = SpeedEstimator(
            np.array(self.robot.hard.velocity),
            JUDGED_PERIODS * self.robot.period_s,
            description.watchdog.state_timeout_s,
        )
        self._position: Array = np.zeros((1, len(self.robot.joints)))
        self._velocity = np.zeros_like(self._position)
        self._safety: SafetyStateRecord | None = None
        self._limited = 0
        self._sequence = 0
        self._sent: Array | None = None
        self._wanted = np.zeros_like(self._position)
        self._heard = self._aborted = self._begun = False
        self._episode = 0
        self._by_topic = options.target.source == 'topic'
        # Where the joints were at the step before.
        self._stepped = self._position
        self._told = Announcer(again_s=0.0)

    def on_configure(self, node: Any) -> None:
        """Make topics and services on the node that serves this environment."""
        self._node = node
        control = self.robot.description.control
        self._session = time.time_ns()
        self._followed = FollowedWatch(self._session)
        self._command = node.publisher(ArmCommand, names.ARM_COMMAND, qos.step())
        node.subscription(
            JointState,
            control.state_topic,
            qos.sensor(),
            self._on_joints,
            read=joint_state_from_wire,
        )
        node.subscription(
            SafetyState,
            names.SAFETY_STATE,
            qos.step(),
            self._on_safety,
            read=conversion.safety_state_from_wire,
        )
        node.subscription(
            SafetyStatus, names.SAFETY_STATUS, qos.latched(), self._on_status, inactive=True
        )
        self.targets.on_configure(node, by_topic=self._by_topic)
        self._person = ArmTeleoperation(node, self.robot)
        node.service(Trigger, names.GO, self._on_go)
        if self._options.goals.serve != 'never':
            self._action = ReachAction(
                node,
                self.goals,
                self._options,
                robot=self.robot,
                position=lambda: self._position,
                target_of=self.targets.of,
                refusal=self._refusal,
                brake=self.hold,
            )
        self._view = ArmView(node, self.robot, self._options.episode.success_radius_m)
        self._diagnostics = node.publisher(DiagnosticArray, names.DIAGNOSTICS, qos.event())
        node.periodic(_DIAGNOSTICS_S, self._publish_diagnostics)
        node.get_logger().info(f'manifest {self.robot.digest()}:\n{self.episodes.task.manifest()}')

    def _publish_diagnostics(self) -> None:
        """Publish what the arm does at present, and how much it has moved."""
        name = self._node.get_fully_qualified_name().lstrip('/')
        phases = self.phases
        self._diagnostics.publish(
            arm_diagnostics(
                name,
                self.robot,
                phases.phase,
                phases.about(),
                usage=self.usage,
                stamp_ns=self._node.now_ns(),
            )
        )

    # ------------------------------------------------------------- hearing

    def _on_joints(self, message: JointStateRecord) -> None:
        changed = self._held.hear(message.name, message.position)
        if changed is not None:
            self._held_problem = changed
        if not self._reader.concerns(message):
            return
        position, velocity = self._reader.read(message, self._near())
        joints = len(self.robot.joints)
        place, speed = finite_row(position, joints), finite_row(velocity, joints, absent=True)
        if place is None or speed is None:
            raise InvalidValueError(
                f'joint state with positions {position.tolist()} and velocities '
                f'{velocity.tolist()}, expected finite numbers'
            )
        stamp, now = message.stamp_ns or self._node.now_ns(), time.monotonic()
        self._speed.put(stamp / NANOSECONDS, place, speed)
        # Velocities that were not measured are taken from the positions.
        speed = np.where(np.isnan(speed), self._speed.velocity, speed)
        self.usage.moved(place, now)
        self._heard, self._position, self._velocity = True, place[None], speed[None]
        self.phases.hear_joints(now, place, speed)

    def _near(self) -> Array | None:
        """Return where the arm was, so that wrapped angles are in the safety node's turn."""
        state = self._safety
        if state is not None and len(state.measured) == len(self.robot.joints):
            return np.array(state.measured, np.float64)
        return self._position[0] if self._heard else None

    def _on_safety(self, message: SafetyStateRecord) -> None:
        if message.mode not in _MODES:
            raise InvalidValueError(
                f'mode {message.mode} of the safety node, expected one of {sorted(_MODES)}'
            )
        self._safety, now = message, time.monotonic()
        commands = self.phases.phase in (Phase.HOMING, Phase.RUNNING)
        self._followed.hear(now, message.session, message.command_age_s, commands=commands)
        if message.session == self._session and message.sequence == self._sequence:
            self._limited |= message.limited
        self.phases.hear_safety(
            now,
            Mode(message.mode),
            message.cause,
            dry_run=message.dry_run,
            by_hand=bool(message.limited & Limited.BY_HAND),
        )

    def _on_status(self, message: SafetyStatus) -> None:
        # The safety node stops the arm too; one that was started later may have measured anew.
        expected, wrong = self.robot.digest(), self._held_problem
        if message.manifest != expected:
            wrong = (
                f'the safety node limits robot {message.robot!r}, manifest {message.manifest}, and '
                f'this environment moves {self.robot.description.name!r}, manifest {expected}: '
                'start both with the same description'
            )
        self.phases.hear_status(wrong, counters_of(message).get('ticks', 0), message.why)

    def _refusal(self) -> str:
        """Return why no goal can be served now, in words; empty: one can."""
        if not self._node.active:
            return 'the environment is not active'
        if self._node.paused:
            return 'the environment is paused: call ~/pause of it with false'
        return self.phases.refusal()

    def _on_go(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self.phases.go()
        return response

    # ------------------------------------------------------------- periods

    def poll(self) -> bool:
        """Do what is due in this period; return True if an episode begins or continues.

        Raises:
            BridgeError: the arm is not at home in time, or another commander has it.
        """
        self._check_followed()
        phases, node, now = self.phases, self._node, time.monotonic()
        self._look_at_goal(now)
        try:
            step = phases.step(now, self._task(now))
        except BridgeError:
            self.hold()
            raise
        if self._told.due(now, phases.about()):
            node.get_logger().info(f'the arm {phases.about()}')
        if step.phase == Phase.HOMING and step.velocity is not None:
            self._publish(step.velocity, ArmCommand.PURPOSE_HOMING)
            node.counters['homings'] = phases.homings
            node.counters['homings_blocked'] = phases.way.blocked
        elif step.velocity is not None or (self.goals.serving and not self.goals.moves):
            self.hold()
        self._drive(running=step.phase == Phase.RUNNING)
        if step.phase != Phase.SERVING:
            self.goals.stop(now, f'the arm {phases.about()}')
        if self._action is not None:
            self._action.report(now)
        if self._heard:
            self._view.show(self._position[0], self._aim())
        # What something outside of the task has ended is reported by the next step.
        self._aborted |= step.interrupted
        return step.interrupted or step.phase in MOVING

    def _drive(self, *, running: bool) -> None:
        """Move the arm as a person wants who has taken over."""
        by_hand = self._is_limited(Limited.BY_HAND)
        velocity = self._person.look(
            self._position[0], running=running and not self._is_between(), by_hand=by_hand
        )
        if velocity is not None:
            self._wanted, self._sent = velocity[None], None
            self._publish(velocity, ArmCommand.PURPOSE_PERSON)

    def _look_at_goal(self, now: float) -> None:
        goal = self.goals.goal
        if goal is not None:
            distance, angle = self.episodes.away(self._position, goal.target)
            slow = self.robot.description.watchdog.still_rad_s
            still = bool(np.abs(self._velocity).max() < slow)
            away, guarded = (
                (float(distance[0]), float(angle[0])),
                self._is_limited(Limited.WORKSPACE),
            )
            self.goals.look(now, *away, still=still, guarded=guarded)

    def _is_limited(self, by: Limited) -> bool:
        return self._safety is not None and bool(self._safety.limited & by)

    def _aim(self) -> Poses | None:
        """Return what the arm moves to: its goal, or the target of the present episode."""
        if self.goals.goal is not None:
            return self.goals.goal.target
        state = self.episodes.state
        return None if self._is_between() else Poses(state.target, state.rotation)

    def _task(self, now: float) -> Task:
        goals, between = self.goals, self._is_between()
        return Task(
            self._episode,
            between,
            not self._by_topic or self.targets.newest is not None,
            # The episode of a goal ends in the period after its goal.
            goals.serving or (self._goal is not None and not between),
            goals.rests(now),
        )

    def interrupted(self, reason: str) -> None:
        """End the goal that is served: the node was paused, or has done its episodes."""
        now = time.monotonic()
        self.goals.stop(now, reason)
        if self._action is not None:
            self._action.interrupted(now, reason)

    def _is_between(self) -> bool:
        """Return whether an episode is over, or none has begun."""
        return not self._begun or bool(self.episodes.state.ended[0])

    def _check_followed(self) -> None:
        """Raise if the safety node follows another commander and refuses this one."""
        followed, node = self._followed, self._node
        if not followed.other:
            return
        there = graph.publishers(node, names.ARM_COMMAND)
        if len(there) < 2 and followed.lasted_s(time.monotonic()) < _NAMED_S:
            # A node that has just started does not see all others yet.
            return
        raise BridgeError(
            f'the safety node ({graph.named(graph.publishers(node, names.SAFETY_STATE))}) follows '
            f'session {followed.other} of another commander and refuses this one (agent '
            f'{node.settings.agent!r}, session {self._session}); publishers of '
            f'{node.resolve_topic_name(names.ARM_COMMAND)}: {graph.named(there)}: end the other '
            'one, or start one of the two in a namespace of its own'
        )

    def remarks(self) -> tuple[str, ...]:
        """Return what a person should know before the arm learns."""
        return remarks_of(self.robot, self._options)

    # --------------------------------------------------------------- acting

    def send(self, action: Array) -> None:
        """Command the velocities of an action [1, A] at once, unless no episode runs."""
        if self.phases.phase not in MOVING or self._is_between() or self._person.drives:
            return
        if self._goal is not None:
            self.goals.acted()
            if not self.goals.moves:
                return
        self._wanted = self.episodes.task.wanted_velocity(action)
        self._publish(self._wanted[0], ArmCommand.PURPOSE_ACTION)
        self._sent, self._limited = action, 0

    def hold(self) -> None:
        """Command zero velocities until the next action."""
        self._wanted = np.zeros_like(self._wanted)
        # An action that is cut short does not count as applied, and a pause not as homing.
        self._sent = None
        self.phases.paused()
        self._publish(self._wanted[0], ArmCommand.PURPOSE_HOLD)

    def shutdown(self) -> None:
        """Command zero velocities for good: the topics end after this call."""
        if not told_to_end():
            # Otherwise no result is sent any more, and callers see that the action has gone.
            self.interrupted('the environment ends')
        self.hold()

    def _publish(self, velocity: Array, purpose: int) -> None:
        self._sequence += 1
        self.phases.commanded(velocity)
        command = ArmCommandRecord(
            agent=self._node.settings.agent,
            session=self._session,
            sequence=self._sequence,
            episode=self._episode,
            step=int(self.episodes.state.steps[0]),
            purpose=purpose,
            joint=self.robot.joints,
            velocity=velocity,
            stamp_ns=self._node.now_ns(),
        )
        self._command.publish(conversion.arm_command_to_wire(command))

    def applied(self) -> NDArray[np.uint8]:
        """Return how the safety node applied the action sent since the last step [1]."""
        state, value = self._safety, Applied.NOT
        # The command may have come just after the safety node's newest period, so one may be
        # missing.
        if self._sent is not None and state is not None:
            followed = state.session == self._session and state.sequence >= self._sequence - 1
            if followed and state.mode in _COMMANDED_MODES and not state.dry_run:
                value = Applied.LIMITED if self._limited else Applied.AS_SENT
        self._sent = None
        if self._person.drove():
            value = Applied.PERSON
        return np.array([value], np.uint8)

    # ---------------------------------------------------------------- steps

    def reset(self, seed: int) -> Float32:
        """Start an episode with seeded targets at home; return the observation [1, O]."""
        self.episodes.seed(seed)
        self._begin()
        return self._observe()

    def _begin(self) -> None:
        target = self.targets.newest if self._by_topic else None
        self._goal = self.goals.goal
        self.greedy = self._goal is not None and not self._goal.learn
        if self._goal is not None:
            target = self._goal.target
        self.episodes.begin(_ONE, self._position, target)
        self._stepped = self._position
        self.usage.episodes += self._goal is None
        self._begun = True
        self.phases.begun()

    def _observe(self) -> Float32:
        return self.episodes.observe(self._position, self._velocity)

    def step(self, action: Int32 | Float32) -> StepResult:
        """Return the result of the action that was sent; the argument is not used."""
        started = self.episodes.state.ended.copy()
        if started[0]:
            self._begin()
        wanted = np.zeros_like(self._wanted) if started[0] else self._wanted
        over = None
        if self._goal is None and self._by_topic and self._options.target.moving:
            self._follow()
        elif self._goal is not None:
            over = np.array([self._goal is not self.goals.goal])
        result = self.episodes.finish(self._position, self._velocity, wanted, started, over=over)
        self._stepped = self._position
        if self._aborted:
            self._aborted = False
            self.episodes.state.ended = _ONE.copy()
            never = np.zeros(1, np.bool_)
            result = StepResult(
                result.observation, np.zeros(1), never, never, _ONE.copy(), result.metrics
            )
        if self.episodes.state.ended[0]:
            self._episode += 1
            self.hold()
        return result

    def end(self, which: Array) -> None:
        """End the episode with the newest step, as a person has told; the arm brakes."""
        if which[0] and not self.episodes.state.ended[0]:
            self.episodes.state.ended = _ONE.copy()
            self._episode += 1
            self.hold()

    def _follow(self) -> None:
        """Take the target where it is now, though the episode has begun with another one."""
        try:
            self.targets.look_again()
        except InvalidValueError as error:
            self._node.dropped(error)
        if self.targets.newest is not None:
            self.episodes.retarget(self.targets.newest, self._stepped)

    def close(self) -> None:
        """Do nothing: the topics end with the node."""


def make(instances: int, options: ReachSettings) -> Environment:
    """Make an ArmEnvironment, as the registry asks for it."""
    return ArmEnvironment(instances, options)


__all__ = ['ArmEnvironment', 'make']
