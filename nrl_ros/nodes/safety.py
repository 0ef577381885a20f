"""The safety node: the only one that commands a robot arm; a thin shell around the supervisor.

Wanted joint velocities come in, limited commands go out to ros2_control's controllers, at a fixed
rate of the steady clock. Whatever happens to learner or environment, this process brings the arm to
a standstill. It is no certified safety function: docs/safety.md.
"""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Empty, Float64, String
from std_srvs.srv import SetBool, Trigger

from nrl_ros.base.arm_records import JointStateRecord
from nrl_ros.base.errors import BridgeError, ConfigError, NrlError
from nrl_ros.nodes.safety_commands import CommandIntake
from nrl_ros.nodes.safety_publishers import PublisherCheck
from nrl_ros.nodes.safety_status import SafetyPublishers, SafetyReports
from nrl_ros.robots.arm.clearance_checks import pair_lines
from nrl_ros.robots.arm.controller_facts import QUESTIONS, ControllerFacts, judge, state_problem
from nrl_ros.robots.arm.description import FROM_TOPIC, RobotDescription, read_robot
from nrl_ros.robots.arm.held_joints import MeasuredJoints
from nrl_ros.robots.arm.robot import Robot, make_robot
from nrl_ros.robots.arm.supervision import (
    ACTIVE,
    CONTROLLER,
    PROGRAM,
    SPEED_SCALING,
    supervisor_settings,
)
from nrl_ros.robots.safety.freedrive import BY_HAND
from nrl_ros.robots.safety.motion import MotionFilter
from nrl_ros.robots.safety.records import Mode, StopReason
from nrl_ros.robots.safety.standing import PRESS
from nrl_ros.robots.safety.supervisor import Supervisor
from nrl_ros.robots.safety.takeover import SHUT_DOWN
from nrl_ros.ros import conversion, graph, names, qos
from nrl_ros.ros.controller import ControllerCheck, ControllerState
from nrl_ros.ros.executor import take
from nrl_ros.ros.hearing import Sender
from nrl_ros.ros.interfaces import ArmCommand, SafetyState, SafetyStatus
from nrl_ros.ros.joints import JointReader, command_form, joint_state_from_wire
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.lifecycle import main as run_node
from nrl_ros.ros.rclpy_types import AnySubscription
from nrl_ros.ros.wire import NANOSECONDS
from nrl_ros.settings.safety import SafetyNodeSettings, loosened

_RELEASED = 'the emergency stop topic'
_HELD = 'the joints that are held'
_LOOK_S = 0.1
# Longest wait, besides the braking time, for the arm to stand before the node stops commanding it
# [s].
_REST_S = 1.0
# Longest time to bring an arm to rest whose safety node has died; after it, only a person can help
# [s].
_GIVE_UP_S = 30.0
# Longest wait until the controller has the command to stand still [s].
_LAST_COMMAND_S = 0.2


class SafetyNode(NrlNode[SafetyNodeSettings]):
    """Subscribes to ``arm_command`` and the joint states, publishes limited commands and its state.

    Services ``~/stop`` and ``~/clear``; a ``std_msgs/Bool`` that is true on ``emergency_stop``
    stops as well. Before the node ends, it brakes the arm and leaves it standing.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(names.SAFETY, SafetyNodeSettings, **options)
        self._robot: Robot | None = None
        self._supervisor: Supervisor | None = None
        self._reports: SafetyReports | None = None
        self._joint_states: AnySubscription | None = None
        self._leaving = False
        # The process ends, which cannot be refused; a shutdown by the node's service cannot be
        # refused either.
        self._ends = self._ends_at_rest = False
        # Requests that came before there was a model, and whether the emergency button is pressed.
        self._early_stop = ''
        self._pressed: bool | None = None
        # Once the node has commanded an arm, its limits stay for as long as the process lives.
        self._armed: SafetyNodeSettings | None = None
        self._node_settings.also_fixed = frozenset({'use_sim_time'})

    # ----------------------------------------------------------- lifecycle

    def configure(self) -> None:
        """Read the robot and make its topics; a model from a topic is waited for."""
        description = read_robot(self.settings.robot)
        self._ends_at_rest = self.settings.only_rest
        if self._ends_at_rest:
            self._early_stop = 'this safety node only brings the arm to rest'
            self.periodic(_GIVE_UP_S, self._give_up)
        self._told = SafetyPublishers(
            self.publisher(SafetyState, names.SAFETY_STATE, qos.step()),
            self.publisher(SafetyStatus, names.SAFETY_STATUS, qos.latched()),
            self.publisher(DiagnosticArray, names.DIAGNOSTICS, qos.event()),
        )
        self.hear_any(Bool, description.control.emergency_stop_topic, self._on_emergency)
        self.service(Trigger, names.STOP, self._on_stop)
        self.service(Trigger, names.CLEAR, self._on_clear)
        self.service(SetBool, names.FREEDRIVE, self._on_freedrive)
        if description.model == FROM_TOPIC:
            topic = self.resolve_topic_name(description.control.description_topic)

            def model_came(message: String) -> None:
                if self._robot is not None:
                    return
                try:
                    self._prepare(description, message.data)
                except NrlError as error:
                    name = self.resolve_topic_name(topic)
                    self.fail(f'the model on {name} cannot be used: {error}')

            self.hear_any(String, topic, model_came)
            self.get_logger().info(f'waiting for the model on {topic}')
        else:
            self._prepare(description, '')
        self.periodic(self.settings.status_period_s, self._publish_status)

    def _prepare(self, description: RobotDescription, xml: str) -> None:
        """Take the model now, or as soon as the held joints that are measured are known."""
        if self._joint_states is not None:
            return
        joints = MeasuredJoints(description.measured)

        def heard(message: JointStateRecord, sender: Sender) -> None:
            if self._robot is not None:
                self._on_joints(message, sender)
            elif joints.hear(message.name, message.position):
                try:
                    self._take(description, xml, joints.positions)
                except NrlError as error:
                    self.fail(f'held joints measured at {joints.positions}: {error}')

        if not description.measured:
            self._take(description, xml, {})
        topic = description.control.state_topic
        self._joint_states = self.subscription(
            JointState,
            topic,
            qos.sensor(),
            heard,
            with_sender=True,
            read=joint_state_from_wire,
        )
        if description.measured:
            where = self.resolve_topic_name(topic)
            self.get_logger().info(f'waiting for {", ".join(joints.missing)} on {where}')

    def _take(self, description: RobotDescription, xml: str, measured: Mapping[str, float]) -> None:
        """Make everything that needs the model."""
        self._robot = robot = make_robot(
            description, xml=xml, share=self.settings.speed_share, measured=measured
        )
        self._held = robot.held_joints()
        self._reader = JointReader(robot.joints, robot.continuous)
        state_topic = self.resolve_topic_name(description.control.state_topic)
        settings = supervisor_settings(
            robot, dry_run=self.settings.dry_run, state_topic=state_topic
        )
        self._standstill_s = settings.standstill_time_s(robot.limits, robot.period_s)
        self._supervisor = Supervisor(
            settings,
            MotionFilter(robot.limits, robot.period_s, guard=robot.guard()),
            robot.hard,
        )
        self._measured = np.zeros(len(robot.joints))
        self._commands = CommandIntake(self, robot, self._supervisor)
        self._reports = SafetyReports(
            self,
            self._told,
            robot,
            self._supervisor,
            self._commands,
            standstill_s=self._standstill_s,
        )
        control, watchdog = description.control, description.watchdog
        self._form = command_form(robot)
        self._publisher_check = self._check_publishers(robot)
        if self.settings.dry_run:
            # In this case others may command the arm.
            self._command = self.publisher(self._form.kind, control.command_topic, qos.step())
        else:
            self._command = self._publisher_check.publisher(self._form.kind, control.command_topic)
        self.subscription(
            ArmCommand,
            names.ARM_COMMAND,
            qos.step(),
            self._commands.on_command,
            with_sender=True,
            read=conversion.arm_command_from_wire,
        )
        self.subscription(Empty, names.HEARTBEAT, qos.event(), self._on_heartbeat)
        if watchdog.running_topic:
            self.hear_any(Bool, watchdog.running_topic, self._on_running)
        if watchdog.speed_scaling_topic:
            self.hear_any(Float64, watchdog.speed_scaling_topic, self._on_scaling)
        self.hear_any(Bool, control.freedrive_topic, self._on_robot_free)
        self._check_controller(robot)
        self.periodic(graph.LOOK_S, self._commands.look)
        self.periodic(robot.period_s, self._tick)
        self.get_logger().info(
            f'robot {description.name!r}, manifest {robot.digest()}, commands '
            f'{control.interface} on {self.resolve_topic_name(control.command_topic)}'
            f'{", dry run: nothing is sent" if self.settings.dry_run else ""}:\n{robot.manifest()}'
        )
        for line in pair_lines(robot.clearance):
            self.get_logger().info(f'clearance: {line}')
        for note in robot.notes:
            self.get_logger().warning(f'robot {description.name!r}: {note}')
        if self._early_stop:
            self._supervisor.stop(time.monotonic(), StopReason.EMERGENCY_STOP, self._early_stop)
        if self._pressed is not None:
            self._take_button(pressed=self._pressed)

    def _check_publishers(self, robot: Robot) -> PublisherCheck:
        """Check that nobody else publishes the arm's joint states or commands."""
        check = PublisherCheck(
            self,
            state_topic=robot.description.control.state_topic,
            silence_s=robot.description.watchdog.state_timeout_s,
            permit=lambda name, why: self._permit(name, granted=not why, why=why),
            has_sent=self._has_commanded,
        )
        self._made.append(check.close)
        self.periodic(graph.LOOK_S, check.look)
        return check

    def _check_controller(self, robot: Robot) -> None:
        """Ask the controller what commands it takes, and whether it is active."""
        control = robot.description.control
        topic = self.resolve_topic_name(control.command_topic)
        name = topic.rpartition('/')[0]

        def judged(wrong: str) -> None:
            assert self._supervisor is not None
            if wrong:
                self._supervisor.stop(time.monotonic(), StopReason.NOT_PERMITTED, wrong)
            self._permit(CONTROLLER, granted=not wrong, why=wrong)

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
            judged=lambda wrong: self._permit(ACTIVE, granted=not wrong, why=wrong),
        )
        self._made += [check.close, state.close]
        self.periodic(_LOOK_S, check.look)
        self.periodic(_LOOK_S, state.look)

    def settings_changed(self, settings: SafetyNodeSettings) -> None:
        """Refuse what would let an arm do more than it was allowed when it was first commanded.

        Raises:
            ConfigError: another robot, a larger share of speed, or the end of a dry run.
        """
        first = self._armed
        if first is not None and (wrong := loosened(first, settings)):
            raise ConfigError(
                f'{wrong}: what limits an arm that was commanded already stays as it '
                'is; end the safety node and start another one'
            )

    def activate(self) -> None:
        """Command the arm from now on; an earlier stop still has to be cleared."""
        self._leaving = False
        self._armed = self.settings

    def stop(self) -> None:
        """End the process in order, whatever the arm does."""
        self._ends = True
        if self._ends_at_rest and self.active:
            # The lifecycle is shut down already.
            self.deactivate()
            self.active = False
            return
        super().stop()

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Shut down at rest; an arm that moves is commanded to stand until it does.

        The lifecycle does not let a shutdown be refused. The process ends when the arm stands.
        """
        if self.active and not self._ends:
            result = self._transition('shut down', self.deactivate, state)
            if result != TransitionCallbackReturn.SUCCESS:
                self._ends_at_rest = True
                return result
            self.active = False
        return super().on_shutdown(state)

    def deactivate(self) -> None:
        """Brake to rest within this call, so that nothing moves when nobody commands it any more.

        Raises:
            BridgeError: the arm does not stand; it is commanded to stand as before. If the process
                ends, a log line says so instead.
        """
        supervisor, robot = self._supervisor, self._robot
        if supervisor is None or robot is None:
            return
        self._leaving = True
        why = SHUT_DOWN if self._ends else 'the safety node is deactivated'
        supervisor.stop(time.monotonic(), StopReason.EMERGENCY_STOP, why)
        end = time.monotonic() + self._standstill_s + _REST_S
        self._tick()
        while restless := supervisor.restless(time.monotonic()):
            if time.monotonic() > end:
                break
            time.sleep(robot.period_s)
            # During this call nothing else is received.
            while take(self._joint_states):
                pass
            self._tick()
        # The topic ends with the process, and if the last command were lost, the arm would go on
        # moving.
        self._command.wait_for_all_acked(Duration(seconds=_LAST_COMMAND_S))
        self._publish_status()
        if not restless:
            return
        if not self._ends:
            self._leaving = False
            raise BridgeError(f'the arm {restless}: it is commanded to stand as before')
        self.get_logger().error(f'ends, and the arm {restless}: {PRESS} if it moves')
        self.exit_code = 1

    def _give_up(self) -> None:
        """End with a failure: controller or joint states are gone, or the arm does not obey."""
        reports = self._reports
        why = 'its model has not come' if reports is None else reports.output.text
        self.fail(f'the arm was not brought to rest in {_GIVE_UP_S} s ({why}): {PRESS} if it moves')

    def cleanup(self) -> None:
        """Forget the robot; the next configuration reads its file again."""
        self._robot = self._supervisor = self._reports = self._joint_states = None
        self._early_stop, self._pressed = '', None

    # ------------------------------------------------------------- hearing

    def _on_joints(self, message: JointStateRecord, sender: Sender) -> None:
        assert self._supervisor is not None
        why = self._held.hear(message.name, message.position)
        if why is not None:
            self._permit(_HELD, granted=not why, why=why)
        now, now_ns = time.monotonic(), self.now_ns()
        # Delayed states come all at once; their stamps still tell how fast the arm moved.
        stamp = message.stamp_ns or now_ns
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
        self._supervisor.on_state(now, position, velocity, (now_ns - stamp) / NANOSECONDS)

    def _on_emergency(self, message: Bool) -> None:
        before, self._pressed = self._pressed, message.data
        if before is None and not message.data:
            self.get_logger().warning(
                f'{_RELEASED} says released, and was never seen pressed here: if somebody pressed '
                'it before this node was there, the arm was not stopped by this node'
            )
        self._take_button(pressed=message.data)

    def _take_button(self, *, pressed: bool) -> None:
        supervisor, now = self._supervisor, time.monotonic()
        if supervisor is None:
            return
        if pressed:
            supervisor.stop(now, StopReason.EMERGENCY_STOP, _RELEASED)
        # While the button is pressed, no stop can be cleared.
        supervisor.on_permission(now, _RELEASED, not pressed)

    def _on_heartbeat(self, _message: Empty) -> None:
        assert self._supervisor is not None
        self._supervisor.on_heartbeat(time.monotonic())

    def _on_running(self, message: Bool) -> None:
        self._permit(PROGRAM, granted=message.data)

    def _on_scaling(self, message: Float64) -> None:
        assert self._robot is not None
        least = self._robot.description.watchdog.least_speed_scaling_percent
        self._permit(SPEED_SCALING, granted=message.data >= least)

    def _permit(self, name: str, *, granted: bool, why: str = '') -> None:
        assert self._supervisor is not None
        self._supervisor.on_permission(time.monotonic(), name, granted, why)

    def _on_stop(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        supervisor, now = self._supervisor, time.monotonic()
        text = 'service ~/stop'
        if supervisor is None:
            self._early_stop = text
            why = 'the model of the arm has not come'
        else:
            supervisor.stop(now, StopReason.EMERGENCY_STOP, text)
            why = 'this node is not active'
        if supervisor is None or not self.active:
            response.message = f'nothing can be commanded, since {why}: {PRESS} if the arm moves'
            return response
        response.success, said = supervisor.standstill(now)
        response.message = f'{said}; ~/clear ends the stop'
        return response

    def _on_clear(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        refused = 'this node is not active, or its model has not come'
        if self._supervisor is not None and self.active:
            refused = self._supervisor.clear(time.monotonic())
        if self._leaving or self._ends_at_rest:
            refused = 'the safety node is being shut down'
        response.success = not refused
        response.message = refused or 'cleared; the arm moves with the next command'
        if not refused:
            # Bind to the next commander, since one of the two may have gone.
            self._commands.release()
        return response

    def _on_robot_free(self, message: Bool) -> None:
        assert self._supervisor is not None
        self._supervisor.on_freedrive(time.monotonic(), free=message.data)

    def _on_freedrive(self, request: SetBool.Request, response: SetBool.Response) -> Any:
        refused, now = 'this node is not active, or its model has not come', time.monotonic()
        if self._supervisor is not None and self.active:
            refused = ''
            if request.data:
                self._supervisor.begin_freedrive(now)
            else:
                refused = self._supervisor.end_freedrive(now)
        response.success = not refused
        done = BY_HAND if request.data else 'the arm moves with the next command'
        response.message = refused or done
        if not refused:
            self.get_logger().info(f'~/freedrive {request.data}: {done}')
        return response

    # ------------------------------------------------------------- commanding

    def _tick(self) -> None:
        assert self._supervisor is not None and self._reports is not None
        now = time.monotonic()
        output = self._supervisor.tick(now)
        message = None if self.settings.dry_run else self._form.message(output)
        if message is not None:
            self._command.publish(message)
        self._reports.tell(now, output, self._measured, leaving=self._leaving)
        if self._ends_at_rest and output.mode == Mode.STOPPED:
            self.exit_requested = True

    def _publish_status(self) -> None:
        if self._reports is not None:
            self._reports.publish_status()

    def _has_commanded(self) -> bool:
        return self._reports is not None and self._reports.output.velocity is not None


def main() -> int:
    """Run the node."""
    return run_node(SafetyNode, udp_only=True)


if __name__ == '__main__':
    raise SystemExit(main())
