"""The constant parts of a chain of joints, read from MuJoCo's model.

Every joint is brought to the form "turn about z" (or "move along z"): the rotation of its axis to z
is multiplied into the constant parts on both sides of it. With parts C and joints Z(q), a point p
of the tool lies at ``C_0 Z(q_0) C_1 Z(q_1) ... p``, as ``mj_kinematics`` computes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.couplings import chain_of, joints_of
from nrl_ros.robots.arm.model import ArmModel

SLIDE, HINGE = 2, 3  # mjtJoint.mjJNTSLIDE, mjJNTHINGE
_EXACT = 1e-14


@dataclass(frozen=True)
class Pose:
    """A rotation [3, 3] and a translation [3] m, from the inner frame to the outer one."""

    rotation: Float64 = field(default_factory=lambda: np.eye(3))
    translation: Float64 = field(default_factory=lambda: np.zeros(3))

    def __matmul__(self, other: Pose) -> Pose:
        """Return the pose that applies ``other`` first, then this one."""
        return Pose(
            self.rotation @ other.rotation, self.rotation @ other.translation + self.translation
        )

    def of(self, point: Float64) -> Float64:
        """Return a point [3] of the inner frame in the outer frame."""
        return np.asarray(self.rotation @ point + self.translation)


@dataclass(frozen=True)
class Joint:
    """One joint of the chain.

    Attributes:
        index: place, in the commanded order, of the joint that moves it.
        hinge: True if it turns, False if it slides.
        ratio: of its motion to that of the commanded joint; 1 if it is that joint itself.
        reference: subtracted from ``ratio * commanded``, so that the result is 0 at the reference
            pose.
    """

    index: int
    hinge: bool
    ratio: float
    reference: float


@dataclass
class Parts:
    """The parts of a chain.

    Attributes:
        joints: those that move, from the base to the tool.
        before: the constant pose before each of them.
        after: by body number, how many joints lie before it and its pose after the last of them.
    """

    joints: list[Joint]
    before: list[Pose]
    after: dict[int, tuple[int, Pose]]


def matrix_of(quaternion: Float64) -> Float64:
    """Return the rotation matrix [3, 3] of a unit quaternion in MuJoCo's order w, x, y, z."""
    w, x, y, z = np.asarray(quaternion, dtype=np.float64) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def snapped(pose: Pose) -> Pose:
    """Return the pose with rounding removed: entries within 1e-14 of 0, 1 or -1 become exact."""

    def snap(values: Float64) -> Float64:
        whole = np.rint(values)
        near = (np.abs(values - whole) < _EXACT) & (np.abs(whole) <= 1.0)
        return np.where(near, whole, values)

    return Pose(snap(pose.rotation), snap(pose.translation))


def to_axis(axis: Float64) -> Float64:
    """Return a rotation [3, 3] that turns z to ``axis``; x, y, z only exchange coordinates."""
    axis = axis / np.linalg.norm(axis)
    # Start from the axis's smallest coordinate, so that the cross product is far from 0.
    other = np.zeros(3)
    other[int(np.argmin(np.abs(axis)))] = 1.0
    x = np.cross(other, axis)
    x /= np.linalg.norm(x)
    return np.column_stack([x, np.cross(axis, x), axis])


def inverse(pose: Pose) -> Pose:
    """Return the inverse of a pose."""
    turned = pose.rotation.T
    return Pose(turned, -turned @ pose.translation)


def parts_of(model: ArmModel, body: int, frame: str = '') -> Parts:
    """Split the chain of joints that leads to ``body`` into its parts.

    Args:
        model: the arm.
        body: number of the last body.
        frame: name of the site or body in whose frame it begins; empty: the model's root.

    Raises:
        ConfigError: there is no such frame, or joints move it.
    """
    mj = model.mj
    pending = snapped(inverse(frame_pose(model, frame)))
    parts = Parts([], [], {0: (0, pending)})
    for link in chain_of(mj, body):
        pending @= Pose(matrix_of(mj.body_quat[link]), np.array(mj.body_pos[link], np.float64))
        for number in joints_of(mj, link):
            axis = Pose(to_axis(np.array(mj.jnt_axis[number], np.float64)))
            # A hinge turns about its anchor, which MuJoCo gives in the frame of the body.
            hinge = bool(mj.jnt_type[number] == HINGE)
            anchor = np.array(mj.jnt_pos[number], np.float64) if hinge else np.zeros(3)
            ratios = model.couplings.ratio[number]
            if not ratios.any():
                pending @= _standing(model, number)
                continue
            index = int(np.flatnonzero(ratios)[0])
            zero = float(mj.qpos0[mj.jnt_qposadr[number]]) - float(model.couplings.rest[number])
            parts.before.append(snapped(pending @ Pose(translation=anchor) @ axis))
            parts.joints.append(Joint(index, hinge, float(ratios[index]), zero))
            pending = Pose(axis.rotation.T) @ Pose(translation=-anchor)
        parts.after[link] = (len(parts.joints), pending)
    return parts


def _standing(model: ArmModel, number: int) -> Pose:
    """Return the pose that a held joint adds to its body; the identity at its reference."""
    mj = model.mj
    by = float(model.couplings.rest[number]) - float(mj.qpos0[mj.jnt_qposadr[number]])
    if not by:
        return Pose()
    axis = to_axis(np.array(mj.jnt_axis[number], np.float64))
    if mj.jnt_type[number] != HINGE:
        return Pose(translation=by * axis[:, 2])
    c, s = np.cos(by), np.sin(by)
    turn = axis @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ axis.T
    anchor = np.array(mj.jnt_pos[number], np.float64)
    return Pose(turn, anchor - turn @ anchor)


def frames_of(model: ArmModel) -> list[str]:
    """Return the names of all sites and bodies that no joint moves, the root first."""
    mj = model.mj
    fixed = [model.source.root]
    # Body 0 is left out: MuJoCo calls it world, also for a URDF whose root has another name.
    bodies = [(mj.body(number).name, number) for number in range(1, mj.nbody)]
    sites = [(mj.site(number).name, int(mj.site_bodyid[number])) for number in range(mj.nsite)]
    for name, body in (*bodies, *sites):
        joints = [joint for link in chain_of(mj, body) for joint in joints_of(mj, link)]
        if name and all(mj.joint(joint).name in model.held for joint in joints):
            fixed.append(name)
    return list(dict.fromkeys(fixed))


def root_name(model: ArmModel) -> str:
    """Return the name by which other programs know the frame of the model's root.

    For an MJCF it is the name of a body without any offset from its world, if there is one.
    """
    if model.source.is_urdf:
        return model.source.root
    for name in frames_of(model)[1:]:
        pose = frame_pose(model, name)
        if not pose.translation.any() and (pose.rotation == np.eye(3)).all():
            return name
    return model.source.root


def frame_pose(model: ArmModel, name: str) -> Pose:
    """Return the pose of a fixed frame in the frame of the model's root.

    Args:
        model: the arm.
        name: of a site or body; empty: the root.

    Raises:
        ConfigError: there is none of that name, or joints move it.
    """
    if name in ('', model.source.root):
        return Pose()
    known = frames_of(model)
    if name not in known:
        mj = model.mj
        names = {mj.site(n).name for n in range(mj.nsite)} | {
            mj.body(n).name for n in range(1, mj.nbody)
        }
        what = 'moves with the joints' if name in names else 'is not in the model'
        raise ConfigError(
            f'frame {name!r} {what}, expected one that stands still: {", ".join(known)}'
        )
    body, pose = frame_of(model, name)
    while body:
        pose = _pose_in_parent(model, body) @ pose
        body = int(model.mj.body_parentid[body])
    return snapped(pose)


def _pose_in_parent(model: ArmModel, body: int) -> Pose:
    """Return the pose in its parent's frame of a body that no commanded joint moves."""
    mj = model.mj
    pose = Pose(matrix_of(mj.body_quat[body]), np.array(mj.body_pos[body], np.float64))
    for joint in joints_of(mj, body):
        pose @= _standing(model, joint)
    return pose


def frame_of(model: ArmModel, name: str) -> tuple[int, Pose]:
    """Return the number of the body that carries a site or body, and its pose in that body's frame.

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
    """Return how many joints move a site or body, and its pose in the frame after the last one.

    A place beside the chain counts as fixed to the link of the chain that carries it.

    Raises:
        ConfigError: there is no such site or body, or joints beside the chain move it.
    """
    return place_of_body(model, parts, *frame_of(model, name), name=name)


def place_of_body(
    model: ArmModel, parts: Parts, body: int, pose: Pose | None = None, *, name: str = ''
) -> tuple[int, Pose]:
    """Return how many joints move a place of a body, and its pose in the frame after the last one.

    Args:
        model: the arm.
        parts: of the chain.
        body: its number.
        pose: of the place in the body's frame; None: the body's own.
        name: for errors; empty: the body's own.

    Raises:
        ConfigError: joints beside the chain move it.
    """
    mj, pose, name = model.mj, pose or Pose(), name or model.mj.body(body).name
    while body not in parts.after:
        if any(model.couplings.moving[joint] for joint in joints_of(mj, body)):
            raise ConfigError(
                f'{name!r} is moved by a joint that follows others beside the way to the tool '
                f'{model.tool!r}: it cannot be watched'
            )
        pose = _pose_in_parent(model, body) @ pose
        body = int(mj.body_parentid[body])
    joints, frame = parts.after[body]
    return joints, snapped(frame @ pose)
