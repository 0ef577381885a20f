"""Kinematics of an arm in a form that no names and no inner frames change: one screw a joint.

Two models whose links, frames and tools are named or placed differently, and whose joints move the
tool's point alike, have the same screws. That is what a policy depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nrl_ros.base.manifest import within
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.chain_parts import Parts, Pose

# Two arms of one type differ by so much as they are calibrated: metres, and parts of unit vectors.
# The difference only changes how the joints move the tool; where it is, each arm computes by its
# own model.
POINT_M, DIRECTION = 0.005, 0.02
_DIGITS = 6


class Screw(NamedTuple):
    """How one joint moves the tool's point when all commanded joints are at 0.

    Attributes:
        number: place, in the commanded order, of the joint that moves it.
        hinge: True if it turns, False if it slides.
        ratio: of its motion to that of the commanded joint.
        axis: unit vector along its axis [3].
        arm: from the axis to the tool's point, at right angles to the axis [3, m]; 0 for a slide.
    """

    number: int
    hinge: bool
    ratio: float
    axis: Float64
    arm: Float64


def screws_of(parts: Parts, tool: Pose) -> tuple[list[Screw], Pose]:
    """Return the screws of a chain, from the base on, and the tool's pose, all joints at 0.

    Args:
        parts: of the chain, in the frame in which the result is wanted.
        tool: pose of the tool in the frame after the last joint.
    """
    poses, pose = [], Pose()
    for before, joint in zip(parts.before, parts.joints, strict=True):
        pose @= before
        poses.append(pose)
        pose @= _moved(-joint.reference, hinge=joint.hinge)
    end = pose @ tool
    screws = []
    for joint, place in zip(parts.joints, poses, strict=True):
        axis = place.rotation[:, 2]
        arm = end.translation - place.translation
        arm = arm - (arm @ axis) * axis if joint.hinge else np.zeros(3)
        screws.append(Screw(joint.index, joint.hinge, joint.ratio, axis, arm))
    return screws, end


def kinematic_lines(joints: Sequence[str], screws: Sequence[Screw], tool: Pose) -> list[str]:
    """Return lines of a manifest, which compares them with a tolerance.

    Args:
        joints: names of the commanded joints.
        screws: of the chain.
        tool: pose of the tool.
    """
    at = within(f'{_numbers(tool.translation)} m', POINT_M)
    lines = [f'kinematics: with all joints at 0 the tool is at {at}']
    for screw in screws:
        name = joints[screw.number]
        if screw.ratio != 1.0:
            name += within(f' times {_numbers([screw.ratio])}', POINT_M)
        line = f'{name} {"turns about" if screw.hinge else "slides along"} '
        line += within(_numbers(screw.axis), DIRECTION)
        if screw.hinge:
            line += f', the tool {within(f"{_numbers(screw.arm)} m", POINT_M)} from its axis'
        lines.append(f'kinematics: {line}')
    return lines


def turned_line(tool: Pose) -> str:
    """Return the line of a manifest for tasks in which the tool's orientation matters.

    Args:
        tool: its pose, all joints at 0.
    """
    x, z = (within(_numbers(tool.rotation[:, axis]), DIRECTION) for axis in (0, 2))
    return f"kinematics: with all joints at 0 the tool's x axis points along {x}, its z axis {z}"


def _moved(by: float, *, hinge: bool) -> Pose:
    """Return the motion of a joint along or about z."""
    if not hinge:
        return Pose(translation=np.array([0.0, 0.0, by]))
    c, s = np.cos(by), np.sin(by)
    return Pose(np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]))


def _numbers(values: Sequence[float] | Float64) -> str:
    """Return numbers without the sign of a zero, which rounding alone decides."""
    return ', '.join(f'{round(float(value), _DIGITS) + 0.0:g}' for value in values)
