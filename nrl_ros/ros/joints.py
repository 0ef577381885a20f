"""Joint states and commands of ros2_control; joints are matched by name, never by place."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from numpy.typing import NDArray
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from nrl_ros.base.arm_records import JointStateRecord
from nrl_ros.base.errors import BridgeError, ConversionError, nearest
from nrl_ros.robots.arm.description import RobotDescription
from nrl_ros.robots.arm.held_joints import MeasuredJoints
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.safety.measured import unwrap
from nrl_ros.robots.safety.records import SupervisorOutput
from nrl_ros.ros.conversion import RecordCodec
from nrl_ros.ros.description import wait_for
from nrl_ros.ros.wire import NANOSECONDS

Array = NDArray[Any]

_JOINT_STATE = RecordCodec(JointState, JointStateRecord, {})
# Encapsulation; of the layout no dimensions and no offset; the number of values.
_FORWARD = struct.Struct('<2s2xIII4x')


def joint_state_from_wire(data: bytes) -> JointStateRecord:
    """Return the joints of a JointState as received; arrays are views of ``data``.

    Raises:
        ConversionError: not such a message.
    """
    return _JOINT_STATE.record(_JOINT_STATE.fields(data))


def measured_joints(description: RobotDescription) -> dict[str, float]:
    """Wait for the positions of the held joints that are measured; return them by name.

    Raises:
        BridgeError: a joint is named by no message.
    """
    if not description.measured:
        return {}
    joints, topic = MeasuredJoints(description.measured), description.control.state_topic
    if wait_for(JointState, topic, lambda state: joints.hear(state.name, state.position)) is None:
        raise BridgeError(
            f'no message on {topic} names {", ".join(joints.missing)}, whose position is to be '
            'measured: start its driver, or take it out of measured, so that held says where it is'
        )
    return joints.positions


class JointReader:
    """Reads the joints of one arm from messages that name joints in any order, with others.

    Args:
        joints: names, in the order wanted.
        continuous: which joints turn without end, so that their angles may be wrapped; None: none.
    """

    def __init__(self, joints: tuple[str, ...], continuous: Array | None = None) -> None:
        self._joints = joints
        self._continuous = continuous if continuous is not None and continuous.any() else None
        # The names hardly ever change from one message to the next, so the last index is kept.
        self._names: tuple[str, ...] | None = None
        self._index: Array = np.zeros(0, np.int64)

    def index(self, names: tuple[str, ...], what: str) -> Array:
        """Return where each joint stands among ``names`` [J].

        Raises:
            ConversionError: a joint is missing or named twice.
        """
        if names == self._names:
            return self._index
        missing = [joint for joint in self._joints if joint not in names]
        if missing:
            raise ConversionError(
                f'{what} lacks joint {missing[0]!r}{nearest(missing[0], names)}: received '
                f'{list(names)}, expected all of {list(self._joints)} in any order and in one '
                'message: set joints in the robot description, or merge messages of several '
                'publishers (joint_state_publisher with source_list)'
            )
        twice = [joint for joint in self._joints if names.count(joint) > 1]
        if twice:
            raise ConversionError(f'{what} names joint {twice[0]!r} more than once')
        self._names = names
        self._index = np.array([names.index(joint) for joint in self._joints])
        return self._index

    def concerns(self, message: JointState | JointStateRecord) -> bool:
        """Return whether a message names any of the joints; a gripper's message does not."""
        names = tuple(message.name)
        # A message without names concerns no arm; ``read`` refuses it.
        return names == self._names or not names or not set(names).isdisjoint(self._joints)

    def read(
        self, message: JointState | JointStateRecord, near: Array | None = None
    ) -> tuple[Array, Array]:
        """Return positions [J, rad] and velocities [J, rad/s] of a joint state.

        Velocities are NaN if the message has none.

        Args:
            message: one that concerns the arm.
            near: where the arm was [J, rad]: continuous joints are shifted to the turn nearest to
                it; None: they stay in the reported turn.

        Raises:
            ConversionError: joints are missing, or arrays do not fit the names.
        """
        index = self.index(tuple(message.name), 'the joint state')
        position = _taken(message.position, index, len(message.name), 'position')
        if self._continuous is not None and near is not None:
            position = unwrap(position, near, self._continuous)
        if not len(message.velocity):
            return position, np.full(len(index), np.nan)
        return position, _taken(message.velocity, index, len(message.name), 'velocity')

    def take(self, names: tuple[str, ...], values: Any, what: str) -> Array:
        """Return the values [J] of a message that names its joints.

        Raises:
            ConversionError: as in ``read``.
        """
        return _taken(values, self.index(names, what), len(names), what)


def _taken(values: Any, index: Array, count: int, what: str) -> Array:
    numbers = np.array(values, np.float64)
    if len(numbers) != count:
        raise ConversionError(
            f'{what}: expected {count} numbers, one for each named joint, received {len(numbers)}'
        )
    return np.asarray(numbers[index])


def forward_command(values: Array) -> bytes:
    """Return a command for a forward controller, in the controller's order of joints.

    It is a Float64MultiArray as the middleware sends it, with an empty layout: to make the message
    and take it apart again takes as long as to send it.
    """
    return _FORWARD.pack(b'\x00\x01', 0, 0, len(values)) + values.astype('<f8').tobytes()


def trajectory(joints: tuple[str, ...], position: Array, velocity: Array, seconds: float) -> Any:
    """Return a trajectory of one point, due ``seconds`` after it arrives."""
    whole, rest = divmod(round(seconds * NANOSECONDS), NANOSECONDS)
    point = JointTrajectoryPoint(
        positions=position.tolist(),
        velocities=velocity.tolist(),
        time_from_start=Duration(sec=whole, nanosec=rest),
    )
    return JointTrajectory(joint_names=list(joints), points=[point])


class CommandForm:
    """Writes a supervisor's decision as a message for the arm's controller.

    Args:
        joints: names, in the order of the controller.
        interface: 'velocity', 'position' or 'trajectory'.
        seconds: after which the one point of a trajectory is due [s].

    Attributes:
        kind: class of the messages.
    """

    def __init__(self, joints: tuple[str, ...], interface: str, seconds: float) -> None:
        self._joints, self._interface, self._seconds = joints, interface, seconds
        self.kind = JointTrajectory if interface == 'trajectory' else Float64MultiArray

    def message(self, output: SupervisorOutput) -> Any:
        """Return the message to send, None if nothing is commanded."""
        position, velocity = output.position, output.velocity
        if velocity is None:
            return None
        if self._interface == 'velocity':
            return forward_command(velocity)
        if position is None:
            return None
        if self._interface == 'position':
            return forward_command(position)
        # If no other point follows, the controller stops at this one.
        return trajectory(self._joints, position, np.zeros_like(velocity), self._seconds)


def command_form(robot: Robot) -> CommandForm:
    """Return the form of commands for the controller of a robot's description."""
    control = robot.description.control
    return CommandForm(robot.joints, control.interface, control.trajectory_time_s)
