"""The constant parts of a chain of joints, read from MuJoCo's model.

Every joint is brought to the form "turn about z" (or "move along z"): the turn of its axis to z is
multiplied into the constant parts on both sides of it. With parts C and joints Z(q) a point p of
the tool lies at ``C_0 Z(q_0) C_1 Z(q_1) ... p``, as ``mj_kinematics`` computes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nrl_ros.arm.model import ArmModel, chain_of, joints_of
from nrl_ros.core.types import Float64

HINGE = 3  # mjtJoint.mjJNTHINGE
_EXACT = 1e-14


@dataclass(frozen=True)
class Pose:
    """A rotation [3, 3] and a translation [3] m, from the inner frame to the outer one."""

    rotation: Float64 = field(default_factory=lambda: np.eye(3))
    translation: Float64 = field(default_factory=lambda: np.zeros(3))

    def __matmul__(self, other: Pose) -> Pose:
        """First ``other``, then this one."""
        return Pose(
            self.rotation @ other.rotation, self.rotation @ other.translation + self.translation
        )


@dataclass(frozen=True)
class Joint:
    """One joint of the chain: its place in the commanded order, and where it reads zero."""

    index: int
    hinge: bool
    reference: float


@dataclass
class Parts:
    """What a chain is made of.

    Attributes:
        joints: the J joints, from the base to the tool.
        before: the constant pose before each joint [J].
        after: by body number, how many joints lie before it and its pose after the last of them.
    """

    joints: list[Joint]
    before: list[Pose]
    after: dict[int, tuple[int, Pose]]


def matrix_of(quaternion: Float64) -> Float64:
    """Rotation matrix [3, 3] of a unit quaternion in MuJoCo's order w, x, y, z."""
    w, x, y, z = np.asarray(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def snapped(pose: Pose) -> Pose:
    """The pose with entries that are 0, 1 or -1 but for rounding set to just that."""

    def snap(values: Float64) -> Float64:
        whole = np.rint(values)
        near = (np.abs(values - whole) < _EXACT) & (np.abs(whole) <= 1.0)
        return np.where(near, whole, values)

    return Pose(snap(pose.rotation), snap(pose.translation))


def _to_axis(axis: Float64) -> Float64:
    """A rotation [3, 3] that turns z to ``axis``; for x, y and z only exchanges coordinates."""
    axis = axis / np.linalg.norm(axis)
    # Start from the coordinate that the axis is least along, so that the cross product is sound.
    other = np.zeros(3)
    other[int(np.argmin(np.abs(axis)))] = 1.0
    x = np.cross(other, axis)
    x /= np.linalg.norm(x)
    return np.column_stack([x, np.cross(axis, x), axis])


def parts_of(model: ArmModel, body: int) -> Parts:
    """Take the chain from the world to ``body`` apart."""
    mj = model.mj
    parts = Parts([], [], {0: (0, Pose())})
    pending = Pose()
    for link in chain_of(mj, body):
        pending @= Pose(matrix_of(mj.body_quat[link]), np.array(mj.body_pos[link], np.float64))
        for number in joints_of(mj, link):
            name = mj.joint(number).name
            if name not in model.joints:
                continue
            axis = Pose(_to_axis(np.array(mj.jnt_axis[number], np.float64)))
            # A hinge turns about its anchor, which is given in the body's frame.
            hinge = bool(mj.jnt_type[number] == HINGE)
            anchor = np.array(mj.jnt_pos[number], np.float64) if hinge else np.zeros(3)
            parts.before.append(snapped(pending @ Pose(translation=anchor) @ axis))
            reference = float(mj.qpos0[mj.jnt_qposadr[number]])
            parts.joints.append(Joint(model.joints.index(name), hinge, reference))
            pending = Pose(axis.rotation.T) @ Pose(translation=-anchor)
        parts.after[link] = (len(parts.joints), pending)
    return parts


def seat_of(model: ArmModel, name: str) -> tuple[int, Pose]:
    """Number of the body that carries a site or is the named one, and the pose in its frame.

    Raises:
        ConfigError: there is no such site or body.
    """
    mj = model.mj
    is_site, number = model.find(name)
    if not is_site:
        return number, Pose()
    pose = Pose(matrix_of(mj.site_quat[number]), np.array(mj.site_pos[number], np.float64))
    return int(mj.site_bodyid[number]), pose


def place_of(model: ArmModel, parts: Parts, name: str) -> tuple[int, Pose]:
    """How many joints move a site or body, and its pose in the frame after the last of them.

    A place beside the chain counts as fixed to the link of the chain that carries it.

    Raises:
        ConfigError: there is no such site or body.
    """
    mj = model.mj
    body, pose = seat_of(model, name)
    while body not in parts.after:
        pose = Pose(matrix_of(mj.body_quat[body]), np.array(mj.body_pos[body], np.float64)) @ pose
        body = int(mj.body_parentid[body])
    joints, frame = parts.after[body]
    return joints, snapped(frame @ pose)
