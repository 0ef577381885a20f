"""Driver node of a simulated arm: it replaces hardware and ros2_control on their topics.

An arm's node sees the same as with a real driver: joint states at a fixed rate, and controllers
that take velocities, positions or trajectories. Time is real, or simulated at the pace of real time
and published on ``/clock``.
"""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64, Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Float64 as Array
from nrl_ros.robots.arm.chain_parts import root_name
from nrl_ros.robots.arm.controller_facts import COMMAND_INTERFACES, INTERFACE_NAME, JOINTS
from nrl_ros.robots.arm.controllers import Controllers, JointSensor, Mode
from nrl_ros.robots.arm.description import read_robot
from nrl_ros.robots.arm.kinematics import Chain
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.plant import MujocoPlant, ServoPlant
from nrl_ros.robots.arm.robot import read_arm
from nrl_ros.robots.arm.trajectory import Trajectory
from nrl_ros.ros import qos
from nrl_ros.ros.controller import parameter_service
from nrl_ros.ros.conversion import time_of
from nrl_ros.ros.description import model_of
from nrl_ros.ros.diagnostics import OK, WARN, diagnostics
from nrl_ros.ros.executor import call_timer, take
from nrl_ros.ros.lifecycle import NrlNode
from nrl_ros.ros.lifecycle import main as run_node
from nrl_ros.ros.wire import NANOSECONDS, nanoseconds
from nrl_ros.settings.arm_driver import ArmDriverNodeSettings

NAME = 'arm_driver'
_MARKERS_S = 0.1
_DIAGNOSTICS_S = 1.0
# The driver stays at most this long after it was told to end, while somebody still commands it [s].
_LEAVES_LAST_S = 1.2
_PERMISSIONS_S = 0.1
# Periods that were missed because the machine was busy are made up for, up to this much time [s].
_MADE_UP_S = 0.1
# Clocks that are read within _AT_ONCE_NS count as read at one moment; there are _READINGS tries.
_AT_ONCE_NS, _READINGS = 200_000, 5


class ArmDriver(NrlNode[ArmDriverNodeSettings]):
    """One simulated arm behind the topics that its settings name.

    A command of the wrong length, or with a number that is not finite, is refused and counted, and
    the arm holds its position.
    """

    def __init__(self, **options: Any) -> None:
        self._plant: ServoPlant | MujocoPlant | None = None
        super().__init__(NAME, ArmDriverNodeSettings, **options)

    # ----------------------------------------------------------- lifecycle

    def configure(self) -> None:
        """Read the model, and make plant, controllers and topics."""
        self._used = settings = described(self.settings)
        # Held joints that an arm's nodes measure.
        self._standing: dict[str, float] = {}
        if settings.robot:
            robot = read_robot(settings.robot)
            self._model = read_arm(robot, model_of(robot))
            self._standing = {name: robot.held[name] for name in robot.measured}
        else:
            self._model = ArmModel.from_file(settings.model, settings.joints or None, settings.tool)
        self._period_s = 1.0 / settings.rate_hz
        self._plant = self._make_plant()
        self._chain = Chain(self._model)
        self._controllers = Controllers(self._model.joints, self._period_s)
        self._sensor = JointSensor(np.random.default_rng(settings.seed))
        self._frame = settings.frame_id or root_name(self._model)
        self._apply(settings)
        self._make_topics()
        self._timer = self.periodic(self._period_s, self._tick)

    def activate(self) -> None:
        """Hold the arm at its position."""
        self._controllers.hold()
        self._due_ns: int | None = None
        self._periods = 0

    def deactivate(self) -> None:
        """Stay for a moment while somebody commands the arm, as hardware does.

        Without this, nodes that are told to end together would find no arm to bring to rest.
        """
        topics = self._used.topics
        commands = [
            topic for topic in (topics.velocity, topics.position, topics.trajectory) if topic
        ]
        end = time.monotonic() + _LEAVES_LAST_S
        while time.monotonic() < end and any(map(self.count_publishers, commands)):
            for subscription in self.subscriptions:
                while take(subscription):
                    pass
            # The timer must go on, since each call computes which periods are due.
            if self._timer.handle.is_timer_ready():
                call_timer(self._timer.handle)
                self._tick()
            time.sleep(0.25 * self._period_s)

    def cleanup(self) -> None:
        """Release the arm's model and motors."""
        self._plant = None

    def settings_changed(self, settings: ArmDriverNodeSettings) -> None:
        """Apply changed faults, noise and timeout."""
        if self._plant is not None:
            self._apply(settings)

    def _make_plant(self) -> ServoPlant | MujocoPlant:
        settings, model = self._used, self._model
        plant: ServoPlant | MujocoPlant
        if settings.plant == 'mujoco':
            plant = MujocoPlant(model, 1, self._period_s)
        else:
            plant = ServoPlant(model, 1, self._period_s, settings.time_constant_s)
        if settings.start:
            plant.reset(self._per_joint(settings.start, 'start'))
        return plant

    def _apply(self, settings: ArmDriverNodeSettings) -> None:
        fault, plant = settings.fault, self._plant
        assert plant is not None
        plant.actuator_effectiveness = self._per_joint(
            fault.strength or (1.0,) * self._model.size, 'strength'
        )
        if isinstance(plant, MujocoPlant):
            plant.set_payload(fault.payload_kg)
        self._chain.tool_offset = np.array(fault.tool_offset_m)
        self._controllers.latency_s = fault.latency_s
        self._controllers.timeout_s = settings.command_timeout_s
        self._sensor.drop_share = fault.drop_share
        self._sensor.position_noise = settings.noise.position
        self._sensor.velocity_noise = settings.noise.velocity

    def _per_joint(self, values: tuple[float, ...], what: str) -> Array:
        if len(values) != self._model.size:
            raise ConfigError(
                f'{what}: expected {self._model.size} values, for {", ".join(self._model.joints)}; '
                f'received {len(values)}'
            )
        return np.array(values)

    def _make_topics(self) -> None:
        topics = self._used.topics
        self._states = self._optional(JointState, topics.joint_states)
        self._tool = self._optional(PointStamped, topics.tool)
        self._sim_clock = self._optional(Clock, topics.clock)
        self._diagnostics = self._optional(DiagnosticArray, topics.diagnostics)
        if topics.velocity:
            self._forward('velocity', topics.velocity, self._on_velocity)
        if topics.position:
            self._forward('position', topics.position, self._on_position)
        if topics.trajectory:
            self._commands(JointTrajectory, topics.trajectory, self._on_trajectory)
            self._offer(topics.trajectory, {COMMAND_INTERFACES: _texts(['position'])})
        if topics.description:
            description = self.publisher(String, topics.description, qos.latched())
            description.publish(String(data=self._model.text))
        if self._diagnostics is not None:
            self.periodic(_DIAGNOSTICS_S, self._publish_diagnostics)
        if topics.markers:
            self._make_markers(topics.markers)
        self._make_permissions()

    def _make_permissions(self) -> None:
        """Publish what a robot reports about whether it may be moved."""
        topics = self._used.topics
        running = self.publisher(Bool, topics.running, qos.latched()) if topics.running else None
        scale = topics.speed_scaling
        # Latched, so that subscribers with either durability match.
        scaling = self.publisher(Float64, scale, qos.latched()) if scale else None

        def publish() -> None:
            fault = self.settings.fault
            if running is not None:
                running.publish(Bool(data=not fault.program_stopped))
            if scaling is not None:
                scaling.publish(Float64(data=fault.speed_scaling))

        if running is not None or scaling is not None:
            self.periodic(_PERMISSIONS_S, publish)

    def _optional(self, kind: type, topic: str) -> Any:
        return self.publisher(kind, topic, qos.step()) if topic else None

    def _commands(self, kind: type, topic: str, take: Callable[[Any], None]) -> None:
        """Subscribe to commands; a bad one stops the arm, since its sender cannot be trusted."""

        def guarded(message: Any) -> None:
            try:
                take(message)
            except Exception:
                self._controllers.hold()
                raise

        self.subscription(kind, topic, qos.step(), guarded)

    def _forward(self, interface: str, topic: str, take: Callable[[Any], None]) -> None:
        """Offer a forward controller."""
        self._commands(Float64MultiArray, topic, take)
        kind = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=interface)
        self._offer(topic, {INTERFACE_NAME: kind})

    def _offer(self, topic: str, own: dict[str, ParameterValue]) -> None:
        """Offer the parameter service of a controller, with its joints and its own parameters."""
        parameters = {JOINTS: _texts(self._model.joints), **own}

        def answer(
            request: GetParameters.Request, response: GetParameters.Response
        ) -> GetParameters.Response:
            # As in rclcpp, a request with one name that is not declared gets no values at all.
            if parameters.keys() >= set(request.names):
                response.values = [parameters[name] for name in request.names]
            return response

        self.service(GetParameters, parameter_service(topic), answer)

    def _make_markers(self, topic: str) -> None:
        try:
            from visualization_msgs.msg import MarkerArray

            from nrl_ros.ros.arm_markers import ArmMarkers
        except ImportError as error:
            self.say_seldom(
                'no markers',
                f'no markers, since {error.name} is missing; install visualization_msgs to see the '
                'arm in RViz',
            )
            return
        self._markers = self.publisher(MarkerArray, topic, qos.step())
        self._shapes = ArmMarkers(self._model, self._frame)
        self.periodic(_MARKERS_S, self._publish_markers)

    # ------------------------------------------------------------- commands

    def _now_s(self) -> float:
        """Return the arm's own time: whole periods since activation."""
        return self._periods * self._period_s

    def _on_velocity(self, message: Float64MultiArray) -> None:
        self._controllers.command_velocity(message.data, self._now_s())

    def _on_position(self, message: Float64MultiArray) -> None:
        self._controllers.command_position(message.data, self._now_s())

    def _on_trajectory(self, message: JointTrajectory) -> None:
        points = message.points
        trajectory = Trajectory.of_points(
            self._model.joints,
            message.joint_names or self._model.joints,
            [nanoseconds(point.time_from_start) / NANOSECONDS for point in points],
            [point.positions for point in points],
            [point.velocities for point in points],
        )
        stamp_ns = nanoseconds(message.header.stamp)
        start_s = None
        if stamp_ns:
            start_s = self._now_s() + (stamp_ns - self._stamp_ns(self.now_ns())) / NANOSECONDS
        self._controllers.command_trajectory(trajectory, self._now_s(), start_s)

    # --------------------------------------------------------------- motion

    def _tick(self) -> None:
        """Advance the arm by the periods that are due: one, or more after the machine was busy."""
        period_ns = round(self._period_s * NANOSECONDS)
        steady_ns, until_next_ns, now_ns = self._clocks()
        # The timer keeps its grid even if it is called late; the time of its next call shows the
        # grid.
        late_ns = period_ns - until_next_ns
        due_ns = steady_ns - late_ns
        behind = 1 if self._due_ns is None else round((due_ns - self._due_ns) / period_ns)
        self._due_ns = due_ns
        most = max(1, round(_MADE_UP_S / self._period_s))
        if behind > most:
            self.counters['overrun_periods'] += behind - most
            behind = most
        for left in range(behind - 1, -1, -1):
            self._advance()
            self._publish(self._stamp_ns(now_ns - late_ns - left * period_ns))

    def _clocks(self) -> tuple[int, int, int]:
        """Read steady clock, time until the timer's next call, and the node's clock at once [ns].

        If the machine pauses between the readings they are repeated. Otherwise a period could be
        stamped later than the next one.
        """
        for _ in range(_READINGS):
            steady_ns = self.steady_clock.now().nanoseconds
            until_next_ns = self._timer.time_until_next_call()
            now_ns = self.now_ns()
            if self.steady_clock.now().nanoseconds - steady_ns < _AT_ONCE_NS:
                break
        assert until_next_ns is not None
        return steady_ns, until_next_ns, now_ns

    def _advance(self) -> None:
        plant = self._plant
        assert plant is not None
        order = self._controllers.update(self._now_s(), plant.position[0], plant.velocity[0])
        if order.mode is Mode.POSITION:
            plant.step(plant.velocity_toward(order.value))
        else:
            plant.step(order.value)
        self._periods += 1

    def _stamp_ns(self, now_ns: int) -> int:
        """Return the stamp of a moment: simulated time if that is published."""
        if self._sim_clock is not None:
            return round(self._periods * self._period_s * NANOSECONDS)
        return now_ns

    def _publish(self, stamp_ns: int) -> None:
        assert self._plant is not None
        stamp = time_of(stamp_ns)
        if self._sim_clock is not None:
            self._sim_clock.publish(Clock(clock=stamp))
        seen = self._sensor.read(self._plant.position[0], self._plant.velocity[0])
        if seen is None:
            self.counters['lost_states'] += 1
        elif self._states is not None and not self.settings.fault.freeze_states:
            message = JointState(
                name=[*self._model.joints, *self._standing],
                position=[*seen[0].tolist(), *self._standing.values()],
                velocity=[*seen[1].tolist(), *[0.0] * len(self._standing)],
            )
            message.header.stamp = stamp
            self._states.publish(message)
        if self._tool is not None:
            place = PointStamped()
            place.header.stamp, place.header.frame_id = stamp, self._frame
            x, y, z = self._chain.tool(self._plant.position)[0].tolist()
            place.point.x, place.point.y, place.point.z = x, y, z
            self._tool.publish(place)

    # ---------------------------------------------------------- for people

    def _publish_markers(self) -> None:
        if self._markers.get_subscription_count() and self._plant is not None:
            position = self._plant.position
            stamp_ns = self._stamp_ns(self.now_ns())
            stamp = time_of(stamp_ns)
            tool = self._chain.tool(position)[0]
            self._markers.publish(self._shapes.message(position[0], tool, stamp))

    def _publish_diagnostics(self) -> None:
        refused = sum(count for name, count in self.counters.items() if 'dropped' in name)
        self._diagnostics.publish(
            diagnostics(
                self.get_fully_qualified_name(),
                f'{refused} commands were refused' if refused else 'running',
                self.counters,
                level=WARN if refused else OK,
                hardware=self._model.name,
                stamp_ns=self.now_ns(),
            )
        )


def _texts(values: Sequence[str]) -> ParameterValue:
    """Return a parameter value that holds several texts."""
    return ParameterValue(
        type=ParameterType.PARAMETER_STRING_ARRAY, string_array_value=list(values)
    )


def described(settings: ArmDriverNodeSettings) -> ArmDriverNodeSettings:
    """Return the settings with the values of the robot's description filled in.

    Raises:
        ConfigError: the description is wrong.
    """
    if not settings.robot:
        return settings
    robot = read_robot(settings.robot)
    control, topics = robot.control, settings.topics
    taken = {'velocity': '', 'position': '', 'trajectory': ''}
    taken |= {control.interface: control.command_topic, 'joint_states': control.state_topic}
    for mine, topic in (
        ('running', robot.watchdog.running_topic),
        ('speed_scaling', robot.watchdog.speed_scaling_topic),
    ):
        taken |= {mine: topic} if topic else {}
    return settings.model_copy(
        update={
            'model': robot.model,
            'joints': robot.joints,
            'tool': robot.tool,
            'rate_hz': control.rate_hz,
            'start': settings.start or robot.home_rad,
            'topics': topics.model_copy(update=taken),
        }
    )


def main() -> int:
    """Run the node of the driver, and return its exit code."""
    return run_node(ArmDriver, udp_only=True)


if __name__ == '__main__':
    raise SystemExit(main())
