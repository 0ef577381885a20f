"""A physical arm, or a simulated driver in its place, behind the topics of ros2_control.

The environment of one arm that reaches. It reads the joint states, asks the safety node for joint
velocities, and keeps episodes as the vectorised simulation does (``nrl_ros.robots.arm.episode``).
It never sends anything to a controller itself. Between episodes it drives home slowly. A stop, lost
joint states or an absent safety node end the episode as aborted; after any of them nothing moves
before a person calls ``~/go``.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
from numpy.typing import NDArray
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from nrl_ros.base.errors import BridgeError, ConfigError, InvalidValueError
from nrl_ros.base.records import Applied, Float32, Int32, StepResult
from nrl_ros.environments.interfaces import Environment
from nrl_ros.nodes.arm_status import Phase, arm_diagnostics
from nrl_ros.robots.arm.chain_parts import Pose
from nrl_ros.robots.arm.description import FROM_TOPIC, read_robot
from nrl_ros.robots.arm.episode import ReachEpisodes
from nrl_ros.robots.arm.homing import Homing
from nrl_ros.robots.arm.joint_usage import JointUsage
from nrl_ros.robots.arm.robot import make_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.safety.announcer import Announcer
from nrl_ros.robots.safety.commander import FollowedWatch
from nrl_ros.robots.safety.measured import JUDGED_PERIODS, SpeedEstimator
from nrl_ros.robots.safety.records import STOPPED_MODES, Mode
from nrl_ros.ros import conversion, graph, names, qos
from nrl_ros.ros.description import wait_for_description
from nrl_ros.ros.hearing import counters_of
from nrl_ros.ros.interfaces import ArmCommand, SafetyState, SafetyStatus
from nrl_ros.ros.joints import JointReader
from nrl_ros.ros.wire import NANOSECONDS, nanoseconds

Array = NDArray[Any]

_STILL_RAD_S = 0.02
_DIAGNOSTICS_S = 1.0
# A state of the safety node that is older than this plus three control periods is no answer.
_SAFETY_SLACK_S = 0.1
_COMMANDED_MODES = (Mode.FOLLOWING, Mode.HOLDING)
# A silence of joint states or of the safety node above this is more than a short delay [s].
_LOST_S = 0.5
# Longest wait for the name of the other commander that is followed instead [s].
_NAMED_S = 4.0
_ONE = np.ones(1, np.bool_)
_FIRST, _CLEARED = 'before it first moves', 'cleared'


class ArmEnvironment:
    """Environment of one arm that reaches, in real time.

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
        xml = ''
        if description.model == FROM_TOPIC:
            xml = wait_for_description(description.control.description_topic)
        self.robot = make_robot(description, xml=xml)
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
        # A missing frame is reported now, not with the first target.
        self.robot.from_frame(options.target.frame)
        self.phase = Phase.WAITING
        self.usage = JointUsage(len(self.robot.joints))
        self._way = Homing(
            self.robot.home, np.array(self.robot.hard.velocity), options.homing.speed_share
        )
        self._node: Any = None
        self._reader = JointReader(self.robot.joints, self.robot.continuous)
        self._speed = SpeedEstimator(
            np.array(self.robot.hard.velocity),
            JUDGED_PERIODS * self.robot.period_s,
            description.watchdog.state_timeout_s,
        )
        self._position: Array = np.zeros((1, len(self.robot.joints)))
        self._velocity = np.zeros_like(self._position)
        self._heard_at = self._safety_at = -math.inf
        self._looked_at = math.inf
        self._safety: SafetyState | None = None
        self._limited = 0
        self._sequence = 0
        self._sent: Array | None = None
        self._wanted = np.zeros_like(self._position)
        self._aborted = self._begun = self._go = False
        # Why a person must call ~/go before anything moves; empty: no need.
        self._asks = _FIRST if options.homing.wait_for_go else ''
        # Whether the arm has been commanded to move: from then on, what is missing has been lost.
        self._moved = False
        self._safety_ticks = 0
        self._homed_for = -1
        self._episode = 0
        self._homing_since: float | None = None
        self._target: Array | None = None
        self._trouble = self._why = self._safety_why = ''
        self._told = Announcer(again_s=0.0)
        self._compared = False

    def on_configure(self, node: Any) -> None:
        """Make topics and services on the node that serves this environment."""
        self._node = node
        control = self.robot.description.control
        self._session = time.time_ns()
        self._followed = FollowedWatch(self._session)
        self._command = node.publisher(ArmCommand, names.ARM_COMMAND, qos.step())
        node.subscription(JointState, control.state_topic, qos.sensor(), self._on_joints)
        node.subscription(SafetyState, names.SAFETY_STATE, qos.step(), self._on_safety)
        node.subscription(
            SafetyStatus, names.SAFETY_STATUS, qos.latched(), self._on_status, inactive=True
        )
        if self._options.target.source == 'topic':
            node.subscription(
                PointStamped, self._options.target.topic, qos.event(), self._on_target
            )
        node.service(Trigger, names.GO, self._on_go)
        self._diagnostics = node.publisher(DiagnosticArray, names.DIAGNOSTICS, qos.event())
        node.periodic(_DIAGNOSTICS_S, self._publish_diagnostics)
        node.get_logger().info(f'manifest {self.robot.digest()}:\n{self.episodes.task.manifest()}')

    def _publish_diagnostics(self) -> None:
        """Publish what the arm does at present, and how much it has moved."""
        name = self._node.get_fully_qualified_name().lstrip('/')
        self._diagnostics.publish(
            arm_diagnostics(
                name,
                self.robot,
                self.phase,
                self._about(),
                usage=self.usage,
                stamp_ns=self._node.now_ns(),
            )
        )

    def _about(self) -> str:
        """Return in words what the arm does at present."""
        return f'{self.phase.value}: {self._why}' if self._why else self.phase.value

    # ------------------------------------------------------------- hearing

    def _on_joints(self, message: JointState) -> None:
        if not self._reader.concerns(message):
            return
        position, velocity = self._reader.read(message, self._near())
        if not np.isfinite(position).all() or np.isinf(velocity).any():
            raise InvalidValueError(
                f'joint state with positions {position.tolist()} and velocities '
                f'{velocity.tolist()}, expected finite numbers'
            )
        stamp = nanoseconds(message.header.stamp) or self._node.now_ns()
        self._speed.put(stamp / NANOSECONDS, position, velocity)
        # Velocities that were not measured are taken from the positions.
        velocity = np.where(np.isnan(velocity), self._speed.velocity, velocity)
        self.usage.moved(position, time.monotonic())
        self._position, self._velocity = position[None], velocity[None]
        if self.phase == Phase.RUNNING:
            self._way.note(position)
        self._heard_at = time.monotonic()

    def _near(self) -> Array | None:
        """Return where the arm was, so that wrapped angles are in the safety node's turn."""
        state = self._safety
        if state is not None and len(state.measured) == len(self.robot.joints):
            return np.array(state.measured, np.float64)
        return self._position[0] if math.isfinite(self._heard_at) else None

    def _on_safety(self, message: SafetyState) -> None:
        self._safety, self._safety_at = message, time.monotonic()
        commands = self.phase in (Phase.HOMING, Phase.RUNNING)
        self._followed.hear(
            self._safety_at, message.session, message.command_age_s, commands=commands
        )
        if message.session == self._session and message.sequence == self._sequence:
            self._limited |= message.limited
        # Checked here too, since ``poll`` is not called while the node is paused.
        if message.mode in STOPPED_MODES:
            self._interrupt(_CLEARED)

    def _on_status(self, message: SafetyStatus) -> None:
        expected, ticks = self.robot.digest(), counters_of(message).get('ticks', 0)
        self._trouble, self._compared, self._safety_why = '', True, message.why
        if ticks < self._safety_ticks and self._moved:
            self._interrupt('the safety node was started anew')
        self._safety_ticks = ticks
        if message.manifest != expected:
            self._trouble = (
                f'the safety node limits robot {message.robot!r}, manifest {message.manifest}, and '
                f'this environment moves {self.robot.description.name!r}, manifest {expected}: '
                'start both with the same description'
            )

    def _on_target(self, message: PointStamped) -> None:
        box, frame = self.robot.description.workspace, message.header.frame_id.lstrip('/')
        point = np.array([message.point.x, message.point.y, message.point.z])
        point = self._targets_from(frame).of(point)
        if not ((point >= box.low_m) & (point <= box.high_m)).all():
            raise InvalidValueError(
                f'target {point.round(4).tolist()} m in the frame of the workspace, expected '
                f'within {box.low_m} to {box.high_m} m'
            )
        self._target = point

    def _targets_from(self, frame: str) -> Pose:
        """Return the pose that converts targets of a frame to the workspace's frame."""
        try:
            return self.robot.from_frame(frame or self._options.target.frame)
        except ConfigError as error:
            raise InvalidValueError(f'a target is refused: {error}; transform it before') from None

    def _on_go(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self.phase in (Phase.ASKING, Phase.STOPPED) and not self._stopped()
        self._go = response.success
        response.message = 'going' if response.success else f'refused: the arm {self.phase.value}'
        if self.phase == Phase.STOPPED and not response.success:
            response.message += f' {self._why}; call ~/clear of the safety node first'
        return response

    def _interrupt(self, what: str) -> None:
        """Note what took the arm away from the task: a person must look before it moves again."""
        group = self._options.homing
        self._go = False
        if group.go_after_stop or group.wait_for_go:
            # A stop is the most important reason; otherwise the first one is kept.
            self._asks = what if what == _CLEARED else self._asks or what

    # ------------------------------------------------------------- periods

    def poll(self) -> bool:
        """Do what is due in this period; return True if an episode begins or continues.

        Raises:
            BridgeError: the arm is not at home in time, or another commander has it.
        """
        self._check_followed()
        before = self.phase
        self.phase = self._next_phase()
        if self._told.due(time.monotonic(), self._about()):
            self._node.get_logger().info(f'the arm {self._about()}')
        if self.phase != Phase.HOMING:
            self._homing_since = None
        if before == Phase.RUNNING != self.phase and self._begun and not self.episodes.ended[0]:
            # Something outside of the task ended the episode; the next step reports that.
            self._aborted = True
            return True
        return self.phase == Phase.RUNNING

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

    def _next_phase(self) -> Phase:
        now = time.monotonic()
        # Time in which this node itself was delayed is no silence of others: their messages wait.
        held_up_s = max(now - self._looked_at - 2.0 * self.episodes.task.period_s, 0.0)
        self._looked_at = now
        self._heard_at = min(self._heard_at + held_up_s, now)
        self._safety_at = min(self._safety_at + held_up_s, now)
        self._why = ''
        if self._stopped():
            self._interrupt(_CLEARED)
            return Phase.STOPPED
        if not self._connected(now):
            # A silence that only this node notices, as of a faulty network, counts if it lasts. The
            # safety node judges its own silence sooner and stops the arm.
            heard = now - min(self._heard_at, self._safety_at) < _LOST_S
            if self._moved and (self._trouble or self._waits() or not heard):
                self._interrupt(f'mended: {self._why}')
            return Phase.WAITING
        if self._asks and not self._go:
            if self._asks == _FIRST:
                self._why = _FIRST
                return Phase.ASKING
            self._why = f'{self._asks}, waits for ~/go'
            return Phase.STOPPED
        self._asks = ''
        running = self.phase == Phase.RUNNING
        if running and not self._between():
            return Phase.RUNNING
        if not running or self._home_is_due():
            if not self._home(now):
                # With wait_for_go, that ~/go was for the way home; an episode needs another one.
                self._go = self._go and not self._options.homing.wait_for_go
                return Phase.HOMING
            self._homed_for = self._episode
        if self._options.homing.wait_for_go and not self._go:
            self.hold()
            return Phase.ASKING
        if self._options.target.source == 'topic' and self._target is None:
            self._why = f'none has come on {self._options.target.topic}'
            return Phase.AIMING
        return Phase.RUNNING

    def _between(self) -> bool:
        """Return whether an episode is over, or none has begun."""
        return not self._begun or bool(self.episodes.ended[0])

    def _home_is_due(self) -> bool:
        every = self._options.episode.home_every
        return bool(every) and self._episode % every == 0 and self._homed_for != self._episode

    def _stopped(self) -> bool:
        if self._safety is None:
            return False
        if self._safety.mode in STOPPED_MODES:
            self._why = f'by the safety node, cause {self._safety.cause:#x}; its log says more'
            return True
        return False

    def _waits(self) -> bool:
        """Return whether the safety node waits; after the arm has moved, it has been restarted."""
        return self._safety is not None and self._safety.mode == Mode.WAITING

    def _connected(self, now: float) -> bool:
        slack = _SAFETY_SLACK_S + 3.0 * self.robot.period_s
        stale_s = self.robot.description.watchdog.state_timeout_s
        if self._trouble:
            self._why = self._trouble
        elif now - self._heard_at > stale_s:
            self._why = f'no joint states on {self.robot.description.control.state_topic}'
        elif now - self._safety_at > slack:
            self._why = f'nothing on {names.SAFETY_STATE}: start the safety node'
        elif not self._compared:
            self._why = f'nothing on {names.SAFETY_STATUS}: which robot is limited is not known'
        elif self._waits():
            self._why = f'the safety node waits: {self._safety_why or "its log says for what"}'
        else:
            return True
        return False

    @property
    def _dry_run(self) -> bool:
        """Whether nothing moves, however long one waits."""
        return self._safety is not None and self._safety.dry_run

    def _home(self, now: float) -> bool:
        """Drive home; return whether the arm is there and at rest.

        Raises:
            BridgeError: it is not there in time.
        """
        group = self._options.homing
        position, home = self._position[0], self.robot.home
        there = np.abs(position - home).max() < group.tolerance_rad
        if there and np.abs(self._velocity).max() < _STILL_RAD_S:
            self.hold()
            self._way.arrived()
            return True
        if self._homing_since is None or self._dry_run:
            self._way.paused()
            self._node.counters['homings'] += self._homing_since is None
            self._homing_since = now
        if now - self._homing_since > group.timeout_s:
            self.hold()
            worst = int(np.abs(position - home).argmax())
            raise BridgeError(
                f'not at home within {group.timeout_s} s: {self.robot.joints[worst]} is at '
                f'{position[worst]:.3f} {self.robot.hard.units[worst]}, expected '
                f'{home[worst]:.3f}: is something in the way, is the controller active?'
            )
        blocked = self._way.blocked
        self._publish(self._way.velocity(position, now), ArmCommand.PURPOSE_HOMING)
        self._node.counters['homings_blocked'] += self._way.blocked - blocked
        return False

    # --------------------------------------------------------------- acting

    def send(self, action: Array) -> None:
        """Command the velocities of an action [1, A] at once, unless no episode runs."""
        if self.phase != Phase.RUNNING or self._between():
            return
        self._wanted = self.episodes.task.wanted_velocity(action)
        self._publish(self._wanted[0], ArmCommand.PURPOSE_ACTION)
        self._sent, self._limited = action, 0

    def hold(self) -> None:
        """Command zero velocities until the next action."""
        self._wanted = np.zeros_like(self._wanted)
        # An action that is cut short does not count as applied, and a pause does not count as
        # homing.
        self._sent = self._homing_since = None
        self._publish(self._wanted[0], ArmCommand.PURPOSE_HOLD)

    def shutdown(self) -> None:
        """Command zero velocities for good: the topics end after this call."""
        self.hold()

    def _publish(self, velocity: Array, purpose: int) -> None:
        self._sequence += 1
        self._moved |= bool(velocity.any())
        message = ArmCommand(
            agent=self._node.settings.agent,
            session=self._session,
            sequence=self._sequence,
            episode=self._episode,
            step=int(self.episodes.steps[0]),
            purpose=purpose,
            joint=list(self.robot.joints),
            velocity=velocity.tolist(),
        )
        conversion.set_stamp(message.header.stamp, self._node.now_ns())
        self._command.publish(message)

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
        return np.array([value], np.uint8)

    # ---------------------------------------------------------------- steps

    def reset(self, seed: int) -> Float32:
        """Start an episode with seeded targets at home; return the observation [1, O]."""
        self.episodes.seed(seed)
        self._begin()
        return self._observe()

    def _begin(self) -> None:
        target = None if self._options.target.source != 'topic' else self._target
        given = None if target is None else target[None]
        self.episodes.begin(_ONE, self.robot.chain.tool(self._position), given)
        self.usage.episodes += 1
        self._begun, self._go = True, False

    def _observe(self) -> Float32:
        tool = self.robot.chain.tool(self._position)
        return self.episodes.observe(self._position, self._velocity, tool)

    def step(self, action: Int32 | Float32) -> StepResult:
        """Return the result of the action that was sent; the argument is not used."""
        started = self.episodes.ended.copy()
        if started[0]:
            self._begin()
        tool = self.robot.chain.tool(self._position)
        wanted = np.zeros_like(self._wanted) if started[0] else self._wanted
        result = self.episodes.finish(self._position, self._velocity, tool, wanted, started)
        if self._aborted:
            self._aborted = False
            self.episodes.ended = _ONE.copy()
            never = np.zeros(1, np.bool_)
            result = StepResult(
                result.observation, np.zeros(1), never, never, _ONE.copy(), result.metrics
            )
        if self.episodes.ended[0]:
            self._episode += 1
            self.hold()
        return result

    def close(self) -> None:
        """Do nothing: the topics end with the node."""


def make(instances: int, options: ReachSettings) -> Environment:
    """Make an ArmEnvironment, as the registry asks for it."""
    return ArmEnvironment(instances, options)


__all__ = ['ArmEnvironment', 'Phase', 'make']
