"""Pose of an arm's tool and its derivative by the joints, for many poses at once.

``kinematics`` is faster where positions alone are asked for, as in each control period. What has to
know where a small motion of a joint leads, as inverse kinematics does, asks here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ShapeError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.chain_parts import Pose, frame_of, parts_of, place_of
from nrl_ros.robots.arm.model import ArmModel


class ToolMotion(NamedTuple):
    """Position and directions of the tool in N poses, and their change with the joints.

    Attributes:
        point: position of its centre point [N, 3], m.
        turn: rotation matrices [N, 3, 3]; the columns are its x, y and z axis.
        jacobian: velocity of the point and angular velocity for that of each commanded joint
            [N, 6, J], m or rad per rad or per m.
    """

    point: Float64
    turn: Float64
    jacobian: Float64


class Jacobian:
    """Computes ``ToolMotion`` of an arm.

    Args:
        model: the arm.
        frame: site or body that no joint moves, in whose frame all is given; empty: the root.

    Raises:
        ConfigError: the frame is unknown, or joints move it.
    """

    def __init__(self, model: ArmModel, frame: str = '') -> None:
        body, _ = frame_of(model, model.tool)
        self._parts = parts_of(model, body, frame)
        self._tool = place_of(model, self._parts, model.tool)[1]
        self._size = model.size
        joints = self._parts.joints
        self._hinge = np.array([joint.hinge for joint in joints])
        # Several joints of the chain may follow one that is commanded, so their shares add up.
        self._ratio = np.zeros((len(joints), model.size))
        for at, joint in enumerate(joints):
            self._ratio[at, joint.index] = joint.ratio

    def __call__(self, position: NDArray[Any]) -> ToolMotion:
        """Return pose and derivative of the tool.

        Args:
            position: joint positions [N, J], rad or m.

        Raises:
            ShapeError: not an array [N, J].
        """
        values = np.asarray(position, np.float64)
        if values.ndim != 2 or values.shape[1] != self._size:
            raise ShapeError(
                f'joint positions: expected [N, {self._size}], received {values.shape}'
            )
        count = len(values)
        point, turn = np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1))
        axes, anchors = np.empty((2, 3, len(self._parts.joints), count))
        for at, (joint, before) in enumerate(
            zip(self._parts.joints, self._parts.before, strict=True)
        ):
            point, turn = _moved(point, turn, before)
            axes[:, at], anchors[:, at] = turn[:, :, 2].T, point.T
            by = joint.ratio * values[:, joint.index, None] - joint.reference
            if joint.hinge:
                turn = _turned(turn, by)
            else:
                point = point + by * turn[:, :, 2]
        point, turn = _moved(point, turn, self._tool)
        (x, y, z), (u, v, w) = axes, point.T[:, None] - anchors
        # A hinge moves the point across its axis and its lever, a slide along its axis.
        across = np.stack([y * w - z * v, z * u - x * w, x * v - y * u])
        hinge = self._hinge[:, None]
        each = np.concatenate([np.where(hinge, across, axes), np.where(hinge, axes, 0.0)])
        return ToolMotion(point, turn, each.transpose(2, 0, 1) @ self._ratio)


def _moved(point: Float64, turn: Float64, pose: Pose) -> tuple[Float64, Float64]:
    """Return points and rotations after a constant pose."""
    return point + turn @ pose.translation, turn @ pose.rotation


def _turned(turn: Float64, angle: Float64) -> Float64:
    """Return rotations [N, 3, 3], each turned about its own z axis by an angle [N, 1]."""
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = turn[:, :, 0], turn[:, :, 1]
    turned: Float64 = turn.copy()
    turned[:, :, 0], turned[:, :, 1] = cosine * x + sine * y, cosine * y - sine * x
    return turned
