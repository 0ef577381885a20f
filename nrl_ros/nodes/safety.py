"""The safety node: the only one that commands a robot arm; a thin shell around the supervisor.

Wanted joint velocities come in, limited commands go out to ros2_control's controllers, at a fixed
rate of the steady clock. Whatever happens to learner or environment, this process brings the arm to
a standstill. It is no certified safety function: docs/safety.md.
"""

from __future__ import annotations

import math
import time
from math import inf
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.duration import Duration
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Empty, Float64, Float64MultiArray, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from nrl_ros.arm.controller_facts import QUESTIONS, ControllerFacts, judge, state_problem
from nrl_ros.arm.description import FROM_TOPIC, RobotDescription, read_robot
from nrl_ros.arm.robot import Robot, make_robot
from nrl_ros.core.errors import NrlError
from nrl_ros.core.safety.announcer import Announcer
from nrl_ros.core.safety.motion import MotionFilter
from nrl_ros.core.safety.records import Cause, Mode, SupervisorSettings, Verdict
from nrl_ros.core.safety.supervisor import Supervisor
from nrl_ros.nodes.safety_publishers import PublisherCheck
from nrl_ros.ros import conversion, graph, names, qos
from nrl_ros.ros.controller import ControllerCheck, ControllerState
from nrl_ros.ros.hearing import Sender
from nrl_ros.ros.interfaces import ArmCommand, SafetyState, SafetyStatus
from nrl_ros.ros.joints import JointReader, forward_command, trajectory
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.lifecycle import main as run_node
from nrl_ros.ros.wire import nanoseconds
from nrl_ros.schema.safety import SafetyNodeSettings

_GIGA = 1e9
_RUNNING, _SCALING = 'the robot program', 'full speed scaling'
_RELEASED = 'the emergency stop topic'
_CONTROLLER = 'the controller, whose joints and interface are asked for or wrong'
_ACTIVE = 'the controller, which is not active'
_LOOK_S = 0.1
# Of the distance between arm and reference, where velocities are commanded, in a period.
_ANCHOR_GAIN = 0.05
# Within so long after its last command an arm belongs to who commanded it.
_SAME_COMMANDER_S = 1.0
# What is waited for is said when it has been the same for so long.
_WAITS_S = 2.0
# Longest wait for the controller to have the command to stand still.
_LAST_COMMAND_S = 0.2


class SafetyNode(NrlNode[SafetyNodeSettings]):
    """Subscribes to ``arm_command`` and the joint states, publishes commands and what it made.

    Services ``~/stop`` and ``~/clear``; a ``std_msgs/Bool`` that is true on ``emergency_stop``
    stops as well. On its way out it brakes the arm and leaves it holding still.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(names.SAFETY, SafetyNodeSettings, **options)
        self._robot: Robot | None = None
        self._supervisor: Supervisor | None = None
        self._leaving = False

    # ----------------------------------------------------------- lifecycle

    def configure(self) -> None:
        """Read the robot, make its topics; a model from a topic is waited for."""
        description = read_robot(self.settings.robot)
        self._state = self.publisher(SafetyState, names.SAFETY_STATE, qos.step())
        self._status = self.publisher(SafetyStatus, names.SAFETY_STATUS, qos.latched())
        self._diagnostics = self.publisher(DiagnosticArray, names.DIAGNOSTICS, qos.event())
        if description.model == FROM_TOPIC:
            topic = self.resolve_topic_name(description.control.description_topic)

            def model_came(message: String) -> None:
                if self._robot is not None:
                    return
                try:
                    self._take(description, message.data)
                except NrlError as error:
                    name = self.resolve_topic_name(topic)
                    self.fail(f'the model on {name} cannot be used: {error}')

            self.subscription(String, topic, qos.latched(), model_came, inactive=True)
            self.get_logger().info(f'waiting for the model on {topic}')
        else:
            self._take(description, '')
        self.periodic(self.settings.status_period_s, self._publish_status)

    def _take(self, description: RobotDescription, xml: str) -> None:
        """Make everything that needs the model."""
        self._robot = robot = make_robot(description, xml=xml, share=self.settings.speed_share)
        self._reader = JointReader(robot.joints, robot.continuous)
        self._names = JointReader(robot.joints)
        state_topic = self.resolve_topic_name(description.control.state_topic)
        self._supervisor = Supervisor(
            supervisor_settings(robot, dry_run=self.settings.dry_run, state_topic=state_topic),
            MotionFilter(robot.limits, robot.period_s, guard=robot.guard()),
            robot.hard,
        )
        still = np.zeros(len(robot.joints))
        self._wanted, self._measured = still, still
        self._session = self._sequence = 0
        self._commanded_at = -math.inf
        self._verdict = Verdict(Mode.WAITING, Cause(0), '', None, None, 0, False, -1, inf, inf)
        self._periods: list[float] = []
        self._ticked_at = math.nan
        self._jitter_s = math.nan
        self._waits = Announcer(hold_s=_WAITS_S)
        control, watchdog = description.control, description.watchdog
        kind = JointTrajectory if control.interface == 'trajectory' else Float64MultiArray
        self._publisher_check = self._check_publishers(robot)
        if self.settings.dry_run:
            # Whoever commands the arm meanwhile may.
            self._command = self.publisher(kind, control.command_topic, qos.step())
        else:
            self._command = self._publisher_check.publisher(kind, control.command_topic)
        self.subscription(
            JointState, control.state_topic, qos.sensor(), self._on_joints, with_sender=True
        )
        self.subscription(ArmCommand, names.ARM_COMMAND, qos.step(), self._on_command)
        self.subscription(Bool, control.emergency_stop_topic, qos.event(), self._on_emergency)
        self.subscription(Empty, names.HEARTBEAT, qos.event(), self._on_heartbeat)
        if watchdog.running_topic:
            self.subscription(Bool, watchdog.running_topic, qos.latched(), self._on_running)
        if watchdog.speed_scaling_topic:
            self.subscription(Float64, watchdog.speed_scaling_topic, qos.event(), self._on_scaling)
        self.service(Trigger, names.STOP, self._on_stop)
        self.service(Trigger, names.CLEAR, self._on_clear)
        self._check_controller(robot)
        self.periodic(robot.period_s, self._tick)
        self.get_logger().info(
            f'robot {description.name!r}, manifest {robot.digest()}, commands '
            f'{control.interface} on {self.resolve_topic_name(control.command_topic)}'
            f'{", dry run: nothing is sent" if self.settings.dry_run else ""}:\n{robot.manifest()}'
        )
        for note in robot.notes:
            self.get_logger().warning(f'robot {description.name!r}: {note}')

    def _check_publishers(self, robot: Robot) -> PublisherCheck:
        """Nobody else tells where the arm is, nor commands it."""
        check = PublisherCheck(
            self,
            state_topic=robot.description.control.state_topic,
            silence_s=robot.description.watchdog.state_timeout_s,
            permit=lambda name, why: self._permit(name, granted=not why, why=why),
            has_sent=lambda: self._verdict.velocity is not None,
        )
        self._made.append(check.close)
        self.periodic(graph.LOOK_S, check.look)
        return check

    def _check_controller(self, robot: Robot) -> None:
        """Ask the controller whether it takes what it is sent, and whether it is active."""
        control = robot.description.control
        topic = self.resolve_topic_name(control.command_topic)
        name = topic.rpartition('/')[0]

        def judged(wrong: str) -> None:
            assert self._supervisor is not None
            if wrong:
                self._supervisor.stop(time.monotonic(), Cause.NOT_PERMITTED, wrong)
            self._permit(_CONTROLLER, granted=not wrong, why=wrong)

        check = ControllerCheck(
            self,
            topic,
            questions=QUESTIONS,
            judge=lambda listens, values, unheard: judge(
                ControllerFacts(name, topic, unheard, listens, **values),
                robot.joints,
                control.interface,
            ),
            judged=judged,
            patient=not self.settings.dry_run,
        )
        state = ControllerState(
            self,
            topic,
            problem=lambda states: state_problem(name, states),
            judged=lambda wrong: self._permit(_ACTIVE, granted=not wrong, why=wrong),
        )
        self._made += [check.close, state.close]
        self.periodic(_LOOK_S, check.look)
        self.periodic(_LOOK_S, state.look)

    def activate(self) -> None:
        """Say again what must be cleared."""
        self._leaving = False

    def deactivate(self) -> None:
        """Stop: brake within this call, so that nothing moves when the process has gone."""
        if self._supervisor is None or self._robot is None:
            return
        now, self._leaving = time.monotonic(), True
        self._supervisor.stop(now, Cause.EMERGENCY_STOP, 'the safety node is shut down')
        ticks = 2 + math.ceil(
            max(
                speed / brake
                for speed, brake in zip(
                    self._robot.limits.velocity, self._robot.limits.stop_acceleration, strict=True
                )
            )
            / self._robot.period_s
        )
        for _ in range(ticks):
            self._tick()
            if self._verdict.mode in (Mode.STOPPED, Mode.WAITING):
                break
            time.sleep(self._robot.period_s)
        # The topic goes with the process, and a last command that is lost leaves the arm moving.
        self._command.wait_for_all_acked(Duration(seconds=_LAST_COMMAND_S))
        self._publish_status()

    def cleanup(self) -> None:
        """Forget the robot: its file is read anew."""
        self._robot = self._supervisor = None

    # ------------------------------------------------------------- hearing

    def _on_joints(self, message: JointState, sender: Sender) -> None:
        assert self._supervisor is not None
        now, now_ns = time.monotonic(), self.now_ns()
        # Those that were held up come all at once: how fast the arm moved is in their stamps.
        stamp = nanoseconds(message.header.stamp) or now_ns
        if not self._reader.concerns(message):
            self.counters['states_passed_over'] += 1
            self._supervisor.on_foreign_state(now, message.name)
            return
        if not self._publisher_check.take_state(sender):
            return
        try:
            position, velocity = self._reader.read(message, self._supervisor.measured)
        except NrlError as error:
            self._supervisor.on_unusable_state(now, str(error))
            raise
        self._measured = position
        self._supervisor.on_state(now, position, velocity, (now_ns - stamp) / _GIGA)

    def _on_command(self, message: ArmCommand) -> None:
        assert self._supervisor is not None
        now = time.monotonic()
        wanted = self._names.take(list(message.joint), message.velocity, 'the arm command')
        if message.session != self._session:
            if now - self._commanded_at < _SAME_COMMANDER_S:
                self._refuse_a_second_commander(message.agent)
                return
            # An environment that was started anew counts from the start again.
            self._session, self._sequence = message.session, 0
            self._supervisor.on_commander(now)
        self._commanded_at = now
        if self._is_skewed(message):
            return
        if self._supervisor.on_command(now, wanted, int(message.sequence)):
            self._wanted, self._sequence = wanted, int(message.sequence)

    def _is_skewed(self, message: ArmCommand) -> bool:
        """Whether a command was held up on its way, or comes from another clock."""
        assert self._robot is not None
        stamp = nanoseconds(message.header.stamp)
        age_s = (self.now_ns() - stamp) / _GIGA if stamp else 0.0
        most_s = self._robot.description.watchdog.state_skew_s
        if abs(age_s) <= most_s:
            return False
        self.counters['commands_skewed'] += 1
        self.say_seldom(
            'skewed',
            f'a command of agent {message.agent!r} is not followed: by its stamp it is '
            f'{age_s:.3f} s old, expected at most {most_s} s (watchdog.state_skew_s): compare the '
            'clocks, and use_sim_time of both nodes',
            error=True,
        )
        return True

    def _refuse_a_second_commander(self, agent: str) -> None:
        self.counters['commands_foreign'] += 1
        self.say_seldom(
            'foreign',
            f'agent {agent!r} commands an arm that another one commands already on '
            f'{self.resolve_topic_name(names.ARM_COMMAND)}: stop one, or start it in another '
            'namespace; only the first is followed',
            error=True,
        )

    def _on_emergency(self, message: Bool) -> None:
        assert self._supervisor is not None
        now = time.monotonic()
        if message.data:
            self._supervisor.stop(now, Cause.EMERGENCY_STOP, 'the emergency stop topic')
        # While it is pressed nothing can be cleared.
        self._supervisor.on_permission(now, _RELEASED, not message.data)

    def _on_heartbeat(self, _message: Empty) -> None:
        assert self._supervisor is not None
        self._supervisor.on_heartbeat(time.monotonic())

    def _on_running(self, message: Bool) -> None:
        self._permit(_RUNNING, granted=message.data)

    def _on_scaling(self, message: Float64) -> None:
        assert self._robot is not None
        least = self._robot.description.watchdog.least_speed_scaling_percent
        self._permit(_SCALING, granted=message.data >= least)

    def _permit(self, name: str, *, granted: bool, why: str = '') -> None:
        assert self._supervisor is not None
        self._supervisor.on_permission(time.monotonic(), name, granted, why)

    def _on_stop(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        assert self._supervisor is not None
        self._supervisor.stop(time.monotonic(), Cause.EMERGENCY_STOP, 'service ~/stop')
        response.success, response.message = True, 'stopping; ~/clear ends the stop'
        return response

    def _on_clear(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        assert self._supervisor is not None
        refused = self._supervisor.clear(time.monotonic())
        response.success = not refused
        response.message = refused or 'cleared; the arm moves with the next command'
        return response

    # ------------------------------------------------------------- commanding

    def _tick(self) -> None:
        assert self._supervisor is not None and self._robot is not None
        now = time.monotonic()
        if not math.isnan(self._ticked_at):
            self._periods.append(now - self._ticked_at)
        self._ticked_at = now
        verdict = self._supervisor.tick(now)
        if not self.settings.dry_run:
            self._send(verdict)
        self._say(verdict)
        self._state.publish(self._state_message(verdict))

    def _send(self, verdict: Verdict) -> None:
        robot = self._robot
        assert robot is not None
        if verdict.position is None or verdict.velocity is None:
            return
        control = robot.description.control
        if control.interface == 'velocity':
            self._command.publish(forward_command(verdict.velocity))
        elif verdict.mode == Mode.STOPPED and self._is_elsewhere(verdict.position):
            # Whoever moved a stopped arm must not see it jump back when its program runs again.
            return
        elif control.interface == 'position':
            self._command.publish(forward_command(verdict.position))
        else:
            # The controller stops at the one point, should no other follow.
            still = np.zeros_like(verdict.velocity)
            seconds = control.trajectory_time_s
            self._command.publish(trajectory(robot.joints, verdict.position, still, seconds))

    def _is_elsewhere(self, position: Any) -> bool:
        """Whether the arm is further from there than it may be while it is commanded."""
        assert self._robot is not None
        most = self._robot.description.watchdog.tracking_error_rad
        return not np.abs(self._measured - position).max() <= most

    def _say(self, verdict: Verdict) -> None:
        before, self._verdict = self._verdict, verdict
        # What is waited for while programs are starting is not worth a line.
        waits = verdict.text if verdict.mode == Mode.WAITING else ''
        if self._waits.due(self._ticked_at, waits):
            self.get_logger().warning(f'WAITING: {verdict.text}')
            self._publish_status()
        if (verdict.mode, verdict.cause) == (before.mode, before.cause):
            return
        if verdict.cause and not self._leaving:
            self.get_logger().error(
                f'{verdict.mode.name}: {verdict.text}; when that is mended, call '
                f'{self.get_fully_qualified_name()}/clear'
            )
        else:
            self.get_logger().info(
                f'{verdict.mode.name}{": " if verdict.text else ""}{verdict.text}'
            )
        self._publish_status()

    def _state_message(self, verdict: Verdict) -> SafetyState:
        assert self._robot is not None
        message = SafetyState(
            session=self._session,
            sequence=self._sequence,
            mode=int(verdict.mode),
            cause=int(verdict.cause),
            limited=int(verdict.limited),
            dry_run=self.settings.dry_run,
            command_age_s=float(verdict.command_age_s),
            state_age_s=float(verdict.state_age_s),
            joint=list(self._robot.joints),
            wanted=self._wanted.tolist(),
            velocity=[] if verdict.velocity is None else verdict.velocity.tolist(),
            position=[] if verdict.position is None else verdict.position.tolist(),
            measured=self._measured.tolist(),
        )
        conversion.set_stamp(message.header.stamp, self.now_ns())
        return message

    # --------------------------------------------------------------- status

    def _publish_status(self) -> None:
        robot, supervisor = self._robot, self._supervisor
        if robot is None or supervisor is None:
            return
        if self._periods:
            self._jitter_s, self._periods = float(np.std(self._periods)), []
        counted = dict(supervisor.counters) | dict(self.counters)
        message = SafetyStatus(
            robot=robot.description.name,
            manifest=robot.digest(),
            mode=int(self._verdict.mode),
            why=self._verdict.text,
            dry_run=self.settings.dry_run,
            speed_share=self.settings.speed_share,
            standstill_s=supervisor_settings(robot).standstill_time_s(robot.limits, robot.period_s),
            jitter_s=self._jitter_s,
            counter_name=list(counted),
            counter_value=list(counted.values()),
        )
        conversion.set_stamp(message.header.stamp, self.now_ns())
        self._status.publish(message)
        self._diagnostics.publish(self._diagnostic(message))

    def _diagnostic(self, status: SafetyStatus) -> DiagnosticArray:
        mode, cause = self._verdict.mode, self._verdict.cause
        level, text = DiagnosticStatus.OK, mode.name.lower()
        if cause:
            level, text = DiagnosticStatus.ERROR, status.why
        elif mode in (Mode.WAITING, Mode.HOLDING):
            level = DiagnosticStatus.WARN
        values = {
            'robot': status.robot,
            'manifest': status.manifest,
            'notes': '; '.join(self._robot.notes if self._robot is not None else ()),
            'dry run': str(status.dry_run),
            'speed share': f'{status.speed_share:g}',
            'jitter of the control period [s]': f'{status.jitter_s:.6f}',
            'cause': ', '.join(kind.name or '' for kind in Cause if kind & cause),
            **dict(zip(status.counter_name, map(str, status.counter_value), strict=True)),
        }
        item = DiagnosticStatus(
            level=level,
            name=f'{self.get_fully_qualified_name().lstrip("/")}: arm',
            message=text,
            hardware_id=status.robot,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[item])
        message.header.stamp = status.header.stamp
        return message


def supervisor_settings(
    robot: Robot, *, dry_run: bool = False, state_topic: str = ''
) -> SupervisorSettings:
    """The watchdog of a robot's description, for the core."""
    watchdog, control = robot.description.watchdog, robot.description.control
    topics = {_RUNNING: watchdog.running_topic, _SCALING: watchdog.speed_scaling_topic}
    return SupervisorSettings(
        state_timeout_s=watchdog.state_timeout_s,
        command_timeout_s=watchdog.command_timeout_s,
        state_skew_s=watchdog.state_skew_s,
        tracking_error_rad=watchdog.tracking_error_rad,
        tracking_time_s=watchdog.tracking_time_s,
        heartbeat_timeout_s=watchdog.heartbeat_timeout_s,
        max_tick_gap_s=watchdog.max_tick_gap_s,
        settle_s=watchdog.settle_s,
        anchor_gain=_ANCHOR_GAIN if control.interface == 'velocity' else 0.0,
        permissions=(_CONTROLLER, *(name for name, topic in topics.items() if topic)),
        dry_run=dry_run,
        state_topic=state_topic,
    )


def main() -> int:
    """Run the node."""
    return run_node(SafetyNode, udp_only=True)


if __name__ == '__main__':
    raise SystemExit(main())
