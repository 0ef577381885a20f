"""How far places of an arm can move with each of its joints, whatever its pose.

Upper bounds, from what no joint can change: the lengths between one joint and the next. They say
how far an arm may go before anything else can be near.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrl_ros.arm.chain_parts import HINGE, matrix_of
from nrl_ros.arm.model import ArmModel, chain_of, joints_of
from nrl_ros.core.types import Float64


def sweep(
    model: ArmModel, body: int, point: Sequence[float] | Float64, radius_m: float = 0.0
) -> Float64:
    """The most by which a place moves.

    Args:
        model: the arm; joints that it does not name stay at their references.
        body: number of the body that carries the place.
        point: its position in the body's frame [3, m].
        radius_m: of a ball around it, all of which is meant.

    Returns:
        [J], m per rad or per m; 0 for joints that do not move it. Infinite, as unknown, for joints
        before one that slides.
    """
    mj = model.mj
    rates = np.zeros(model.size)
    # In the frame of the body, the place lies at ``offset`` but for a vector of at most ``rest``.
    offset, rest = np.array(point, np.float64), radius_m
    for link in reversed(chain_of(mj, body)):
        for joint in reversed(joints_of(mj, link)):
            named = mj.joint(joint).name in model.joints
            anchor = np.array(mj.jnt_pos[joint], np.float64)
            if mj.jnt_type[joint] == HINGE:
                if named:
                    axis = np.array(mj.jnt_axis[joint], np.float64)
                    lever = float(np.linalg.norm(np.cross(axis, offset - anchor)))
                    rates[model.joints.index(mj.joint(joint).name)] = lever + rest
                # Turned by any angle, what is known of it is the distance from the anchor.
                rest += float(np.linalg.norm(offset - anchor))
                offset = anchor
            elif named:
                rates[model.joints.index(mj.joint(joint).name)] = 1.0
                rest = np.inf
        offset = matrix_of(mj.body_quat[link]) @ offset + mj.body_pos[link]
    return rates
