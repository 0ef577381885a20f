"""How far places of an arm can move with each of its joints, whatever its pose.

Upper bounds, from what no joint can change: the lengths between one joint and the next. They say
how far an arm may go before anything else can be near.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.chain_parts import HINGE, SLIDE, matrix_of
from nrl_ros.robots.arm.couplings import chain_of, joints_of
from nrl_ros.robots.arm.model import ArmModel


def sweep(
    model: ArmModel, body: int, point: Sequence[float] | Float64, radius_m: float = 0.0
) -> Float64:
    """The most by which a place moves with each commanded joint.

    Args:
        model: the arm; joints that are not commanded and follow none stay where they stand.
        body: number of the body that carries the place.
        point: its position in the body's frame [3, m].
        radius_m: of a ball around it, all of which is meant.

    Returns:
        [J], m per rad or per m; 0 for joints that do not move it. Infinite, as unknown, for joints
        before one that slides.
    """
    return by_command(model, sweep_of_each(model, body, point, radius_m))


def by_command(model: ArmModel, rates: Float64) -> Float64:
    """What each commanded joint does at most [J], by what all N joints of the model do [N]."""
    ratio = np.abs(model.couplings.ratio)
    out = np.zeros_like(ratio)
    # An infinite rate of a joint that does not follow counts nothing.
    np.multiply(ratio, rates[:, None], out=out, where=ratio > 0.0)
    return np.asarray(out.sum(axis=0))


def sweep_of_each(
    model: ArmModel, body: int, point: Sequence[float] | Float64, radius_m: float = 0.0
) -> Float64:
    """As ``sweep``, with each of the N joints of the model, those that follow too [N]."""
    mj = model.mj
    rates = np.zeros(mj.njnt)
    moving = model.couplings.moving
    # In the frame of the body, the place lies at ``offset`` but for a vector of at most ``rest``.
    offset, rest = np.array(point, np.float64), radius_m
    for link in reversed(chain_of(mj, body)):
        for joint in reversed(joints_of(mj, link)):
            anchor = np.array(mj.jnt_pos[joint], np.float64)
            axis = np.array(mj.jnt_axis[joint], np.float64)
            if mj.jnt_type[joint] == HINGE:
                if moving[joint]:
                    rates[joint] = float(np.linalg.norm(np.cross(axis, offset - anchor))) + rest
                # Turned by any angle, what is known of it is the distance from the anchor.
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
