"""Rotations of many frames at once: quaternions, rotation vectors, and the axes that matter.

Matrices are [N, 3, 3] with the axes of the turned frame as columns. Quaternions are [N, 4] in the
order x, y, z, w of ROS. A rotation vector points along the axis of a rotation and is as long as its
angle [rad]: it is the logarithm of the rotation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ShapeError
from nrl_ros.base.records import Float64

AXES = 'xyz'
# A quaternion whose length is further from 1 than this was not meant as one.
_UNIT = 0.01
# Below this length a rotation vector is twice the quaternion's vector part, to the last bit.
_SMALL = 1e-12


def quaternions_of(matrices: NDArray[Any]) -> Float64:
    """Return the quaternions [N, 4] of rotation matrices [N, 3, 3], with w >= 0.

    The largest of the four numbers is found first and the others from it (Shepperd's method), so
    that all are exact to rounding at every angle.
    """
    m = np.asarray(matrices, np.float64)
    x, y, z = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    squares = np.stack([x - y - z, y - x - z, z - x - y, x + y + z], axis=1)
    largest = squares.argmax(axis=1)
    skew = (m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1])
    # Four times the products of each pair of numbers.
    products = np.empty((len(m), 4, 4))
    for at in range(3):
        products[:, at, 3] = products[:, 3, at] = skew[at]
        for other in range(at):
            value = m[:, at, other] + m[:, other, at]
            products[:, at, other] = products[:, other, at] = value
    for at in range(4):
        products[:, at, at] = 1.0 + squares[:, at]
    rows = products[np.arange(len(m)), largest]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.where(rows[:, 3:] < 0.0, -rows, rows))


def matrices_of(quaternions: NDArray[Any]) -> Float64:
    """Return the rotation matrices [N, 3, 3] of quaternions [N, 4].

    Raises:
        ShapeError: other dimensions, or a quaternion whose length is not 1 within a hundredth.
    """
    values = np.asarray(quaternions, np.float64)
    if values.ndim != 2 or values.shape[1] != 4:
        raise ShapeError(f'quaternions: expected [N, 4], received {values.shape}')
    length = np.linalg.norm(values, axis=1)
    wrong = np.flatnonzero(~(np.abs(length - 1.0) <= _UNIT))
    if len(wrong):
        raise ShapeError(
            f'quaternion x, y, z, w {values[wrong[0]].tolist()} has length '
            f'{length[wrong[0]]:.4g}, expected 1'
        )
    x, y, z, w = (values / length[:, None]).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.asarray(np.moveaxis(np.array(rows), -1, 0))


def vectors_of(quaternions: NDArray[Any]) -> Float64:
    """Return the rotation vectors [N, 3] of unit quaternions [N, 4], of angles up to pi [rad]."""
    values = np.where(quaternions[:, 3:] < 0.0, -quaternions, quaternions)
    sine = np.linalg.norm(values[:, :3], axis=1)
    angle = 2.0 * np.arctan2(sine, values[:, 3])
    scale = np.divide(angle, sine, out=np.full_like(sine, 2.0), where=sine > _SMALL)
    return np.asarray(values[:, :3] * scale[:, None])


def rotation_vectors(matrices: NDArray[Any]) -> Float64:
    """Return the rotation vectors [N, 3] of matrices [N, 3, 3], of angles up to pi [rad]."""
    return vectors_of(quaternions_of(matrices))


def matrices_of_vectors(vectors: NDArray[Any]) -> Float64:
    """Return the rotation matrices [N, 3, 3] of rotation vectors [N, 3, rad]."""
    values = np.asarray(vectors, np.float64)
    angle = np.linalg.norm(values, axis=1)
    scale = np.divide(np.sin(angle / 2), angle, out=np.full_like(angle, 0.5), where=angle > _SMALL)
    return matrices_of(np.column_stack([values * scale[:, None], np.cos(angle / 2)]))


def roll_pitch_yaw(matrix: NDArray[Any]) -> tuple[float, float, float]:
    """Return roll, pitch and yaw [rad] of a rotation [3, 3]: about fixed x, then y, then z.

    They are those of a URDF (REP 103). Where the pitch is a right angle, roll and yaw turn about
    the same axis, and the roll is 0.
    """
    flat = np.hypot(matrix[0, 0], matrix[1, 0])
    pitch = float(np.arctan2(-matrix[2, 0], flat))
    if flat < 1e-6:
        return 0.0, pitch, float(np.arctan2(-matrix[0, 1], matrix[1, 1]))
    roll = np.arctan2(matrix[2, 1], matrix[2, 2])
    return float(roll), pitch, float(np.arctan2(matrix[1, 0], matrix[0, 0]))


def angles_between(one: NDArray[Any], other: NDArray[Any]) -> Float64:
    """Return the angles [N, rad] of the rotations from matrices [N, 3, 3] to others."""
    vectors = rotation_vectors(np.swapaxes(one, 1, 2) @ other)
    return np.asarray(np.linalg.norm(vectors, axis=1))


def random_rotations(generator: np.random.Generator, most: float, count: int) -> Float64:
    """Draw rotations [count, 3, 3] evenly among those of at most so many radians.

    Of all rotations, the share with angles near a is proportional to the square of sin(a / 2).
    Angles are drawn with a density of a^2, which is never less, and kept accordingly.
    """
    angles = np.empty(0)
    while len(angles) < count:
        drawn = most * np.cbrt(generator.random(max(2 * count, 16)))
        kept = generator.random(len(drawn)) < np.sinc(drawn / (2.0 * np.pi)) ** 2
        angles = np.concatenate([angles, drawn[kept]])
    axes = generator.standard_normal((count, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return matrices_of_vectors(axes * angles[:count, None])


class RotationError:
    """The rotation from a tool to its target, about the axes of the tool that matter.

    With three axes it is the whole rotation. With two, a turn about the third one is free: the
    rotation is split into one about the free axis and one across it, and the second is the error,
    whose angle is that between the free axes of tool and target. With one, the error is the part
    about that axis.

    Args:
        axes: those that matter, of x, y and z of the tool; at least one.

    Raises:
        ShapeError: no axis, or one that is none of these or there twice.
    """

    def __init__(self, axes: Sequence[str] = AXES) -> None:
        if not axes or len(set(axes)) < len(axes) or not set(axes) <= set(AXES):
            raise ShapeError(f'axes: expected some of x, y and z, each once, received {list(axes)}')
        self._matter = [at for at, axis in enumerate(AXES) if axis in axes]
        self._free = [at for at, axis in enumerate(AXES) if axis not in axes]

    def __call__(self, tool: NDArray[Any], target: NDArray[Any]) -> Float64:
        """Return the rotation vectors [N, 3, rad] from tools [N, 3, 3] to targets [N, 3, 3].

        They are in the frame of which the matrices are given, as the workspace's.
        """
        quaternions = quaternions_of(np.swapaxes(tool, 1, 2) @ target)
        if len(self._matter) == 1:
            kept = np.zeros_like(quaternions)
            kept[:, [*self._matter, 3]] = quaternions[:, [*self._matter, 3]]
            kept /= np.maximum(np.linalg.norm(kept, axis=1, keepdims=True), _SMALL)
            quaternions = kept
        elif self._free:
            quaternions = _without_turn(quaternions, self._free[0])
        # In the frame of the tool the components of free axes are 0.
        own = vectors_of(quaternions)
        return np.asarray(np.einsum('nij,nj->ni', tool, own))


def _without_turn(quaternions: Float64, axis: int) -> Float64:
    """Return q t', where t is the part of q [N, 4] about an axis and t' its inverse."""
    other, third = (axis + 1) % 3, (axis + 2) % 3
    turn, w = quaternions[:, axis], quaternions[:, 3]
    length = np.hypot(turn, w)
    # At half a turn across the axis there is no part about it.
    some = length > _SMALL
    turn = np.divide(turn, length, out=np.zeros_like(turn), where=some)
    w = np.divide(w, length, out=np.ones_like(w), where=some)
    rest = np.zeros_like(quaternions)
    first, second = quaternions[:, other], quaternions[:, third]
    # The product with -turn along the axis: e_other x e_axis is -e_third, e_third x e_axis e_other.
    rest[:, other] = w * first - turn * second
    rest[:, third] = w * second + turn * first
    rest[:, 3] = length
    return rest
