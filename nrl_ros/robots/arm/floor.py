"""Where the floor is that an arm stands on, from the shapes of what it stands on."""

from __future__ import annotations

import numpy as np

from nrl_ros.robots.arm.couplings import Posing
from nrl_ros.robots.arm.engine import collides, load_mujoco
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.shape_pairs import moves

# A base that goes less deep than this stands on the floor at 0: feet, cables, a flange [m].
_DEEP_M = 0.1


def floor_of(model: ArmModel) -> float:
    """Return the height of the floor in the frame of a model's root [m].

    It is the lowest point of what no commanded joint moves, as a pedestal or a mobile base, where
    that goes well below the root; else 0. A plane of an MJCF that faces upwards is itself a floor.
    """
    mj, kinds = model.mj, load_mujoco().mjtGeom
    posing = Posing(mj, model.couplings)
    posing(np.clip(0.0, model.position_low, model.position_high))
    solid, low, planes = collides(mj), 0.0, []
    for geom in range(mj.ngeom):
        if moves(model, mj, geom).any():
            continue
        turn = posing.data.geom_xmat[geom].reshape(3, 3)
        place = posing.data.geom_xpos[geom]
        if int(mj.geom_type[geom]) == int(kinds.mjGEOM_PLANE):
            if turn[2, 2] > 1.0 - 1e-6:
                planes.append(float(place[2]))
        elif solid[geom]:
            centre, half = mj.geom_aabb[geom, :3], mj.geom_aabb[geom, 3:]
            low = min(low, float(place[2] + turn[2] @ centre - np.abs(turn[2]) @ half))
    if planes:
        return max(planes)
    return low if low < -_DEEP_M else 0.0
