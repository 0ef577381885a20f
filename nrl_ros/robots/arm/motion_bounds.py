"""Upper bounds on how far a place of an arm moves with each of its joints, for all poses.

They follow from the lengths between one joint and the next, which no joint can change. A bound
tells how far an arm may move before anything else can be near.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.chain_parts import HINGE, SLIDE, matrix_of
from nrl_ros.robots.arm.couplings import chain_of, joints_of
from nrl_ros.robots.arm.model import ArmModel


def motion_bound(
    model: ArmModel, body: int, point: Sequence[float] | Float64, radius_m: float = 0.0
) -> Float64:
    """Return the most by which a place moves with each commanded joint.

    Args:
        model: the arm; joints that are neither commanded nor followers do not move.
        body: number of the body that carries the place.
        point: its position in the body's frame [3, m].
        radius_m: radius of a ball around it; the bound holds for all of the ball.

    Returns:
        [J], m per rad or per m; 0 for joints that do not move it. Infinite (unknown) for joints
        before
        one that slides.
    """
    return by_command(model, motion_bound_of_each(model, body, point, radius_m))


def by_command(model: ArmModel, rates: Float64) -> Float64:
    """Return the bounds [J] for the commanded joints, from those [N] of all the model's joints."""
    ratio = np.abs(model.couplings.ratio)
    out = np.zeros_like(ratio)
    # Infinite rates of joints that do not follow are skipped, since 0 * inf would be NaN.
    np.multiply(ratio, rates[:, None], out=out, where=ratio > 0.0)
    return np.asarray(out.sum(axis=0))


def motion_bound_of_each(
    model: ArmModel, body: int, point: Sequence[float] | Float64, radius_m: float = 0.0
) -> Float64:
    """Return ``motion_bound`` for each of the model's N joints, followers included [N]."""
    mj = model.mj
    rates = np.zeros(mj.njnt)
    moving = model.couplings.moving
    # In the frame of the body, the place lies at ``offset`` plus a vector of length ``rest`` at
    # most.
    offset, rest = np.array(point, np.float64), radius_m
    for link in reversed(chain_of(mj, body)):
        for joint in reversed(joints_of(mj, link)):
            anchor = np.array(mj.jnt_pos[joint], np.float64)
            axis = np.array(mj.jnt_axis[joint], np.float64)
            if mj.jnt_type[joint] == HINGE:
                if moving[joint]:
                    rates[joint] = float(np.linalg.norm(np.cross(axis, offset - anchor))) + rest
                # For an unknown angle only the distance from the anchor is known.
                rest += float(np.linalg.norm(offset - anchor))
                offset = anchor
            elif moving[joint]:
                rates[joint] = 1.0
                rest = np.inf
            elif mj.jnt_type[joint] == SLIDE:
                stands = model.couplings.rest[joint] - mj.qpos0[mj.jnt_qposadr[joint]]
                offset = offset + stands * axis
        offset = matrix_of(mj.body_quat[link]) @ offset + mj.body_pos[link]
    return rates
