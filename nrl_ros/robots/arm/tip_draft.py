"""The end of an arm whose model has no place there: the far end of its last link's shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.chain_parts import frame_of
from nrl_ros.robots.arm.couplings import Posing, joints_of
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.hulls import box_corners, convex_hull
from nrl_ros.robots.arm.model import ArmModel

# The end is the middle of what lies within this share of the length.
_END = 0.1


def tip_of(arm: ArmModel) -> tuple[float, float, float] | None:
    """Return the far end of the shapes at the tool, seen from the last joint, in its frame [3, m].

    Args:
        arm: whose tool has no offset yet.

    Returns:
        None where the link of the tool has no shape, or no joint.
    """
    mj = arm.mj
    body, place = frame_of(arm, arm.tool)
    link = int(mj.body_weldid[body])
    joints = joints_of(mj, link)
    posing = Posing(mj, arm.couplings)
    posing(np.clip(0.0, arm.position_low, arm.position_high))
    data = posing.data
    parts = [
        _corners(mj, geom) @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]
        for geom in range(mj.ngeom)
        if int(mj.body_weldid[mj.geom_bodyid[geom]]) == link
    ]
    if not (parts and joints):
        return None
    points = np.concatenate(parts) - data.xanchor[joints[-1]]
    towards = points.mean(axis=0)
    length = float(np.linalg.norm(towards))
    if length < 1e-6:
        return None
    along = points @ (towards / length)
    end = points[along >= (1.0 - _END) * along.max()].mean(axis=0) + data.xanchor[joints[-1]]
    turn = data.xmat[body].reshape(3, 3) @ place.rotation
    origin = data.xpos[body] + data.xmat[body].reshape(3, 3) @ place.translation
    x, y, z = (round(float(value), 3) + 0.0 for value in turn.T @ (end - origin))
    return x, y, z


def _corners(mj: Any, geom: int) -> Float64:
    """Return the corners of a shape's hull, or of the box around it, in its frame [N, 3]."""
    kinds = load_mujoco().mjtGeom
    if int(mj.geom_type[geom]) == int(kinds.mjGEOM_MESH) and mj.geom_contype[geom]:
        return convex_hull(mj, int(mj.geom_dataid[geom]))[0]
    centre, half = mj.geom_aabb[geom, :3], mj.geom_aabb[geom, 3:]
    return np.asarray(centre + box_corners(half))
