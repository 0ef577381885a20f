"""The plain shapes of an arm as line segments, for pictures."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.chain_parts import frame_of
from nrl_ros.robots.arm.couplings import Posing, chain_of, joints_of
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.model import ArmModel

# Points of a segment, as shares of its length, among which the nearest of two segments are found.
_ALONG = np.linspace(0.0, 1.0, 17)


# Half the thickness of an arm that has only meshes, or no shapes at all [m].
_BONE_M = 0.025


class Shapes:
    """The capsules and cylinders of an arm as line segments.

    An arm that has none is drawn by its bones: lines from the frame of each moving link to the
    next one.

    Attributes:
        radius: of each segment [S, m].

    Args:
        model: the arm.
    """

    def __init__(self, model: ArmModel) -> None:
        mujoco = load_mujoco()
        self._mj = model.mj
        self._pose = Posing(model.mj, model.couplings)
        long = (int(mujoco.mjtGeom.mjGEOM_CAPSULE), int(mujoco.mjtGeom.mjGEOM_CYLINDER))
        self._geoms = [
            number for number in range(self._mj.ngeom) if self._mj.geom_type[number] in long
        ]
        self.radius: Float64 = np.array(self._mj.geom_size[self._geoms, 0])
        self._bones: list[tuple[int, int]] = []
        if not self._geoms:
            body, _ = frame_of(model, model.tool)
            chain = [0, *(link for link in chain_of(model.mj, body) if joints_of(model.mj, link))]
            self._bones = list(pairwise([*chain, body]))
            self.radius = np.full(len(self._bones), _BONE_M)

    def segments(self, position: NDArray[Any]) -> Float64:
        """Return both ends of each segment at joint positions [J].

        Returns:
            [S, 2, 3], m.
        """
        self._pose(np.asarray(position, np.float64))
        data = self._pose.data
        if self._bones:
            return np.asarray(data.xpos[self._bones], np.float64)
        centre = data.geom_xpos[self._geoms]
        axis = data.geom_xmat[self._geoms].reshape(-1, 3, 3)[:, :, 2]
        half = axis * self._mj.geom_size[self._geoms, 1][:, None]
        return np.stack([centre - half, centre + half], axis=1)

    def joined(self, position: NDArray[Any]) -> tuple[Float64, Float64]:
        """Return all segments with those that join them, so that no piece stands apart.

        Shapes of a model are as large as safety needs them, which leaves gaps at joints. From the
        second on, each is joined with the nearest one before it, along the arm, by a segment.

        Args:
            position: of the joints [J].

        Returns:
            The ends of each segment [2 S - 1, 2, 3], m, and the radius of each [2 S - 1, m].
        """
        segments = self.segments(position)
        joints, radius = [], []
        along = segments[:, :1] + _ALONG[:, None] * (segments[:, 1:] - segments[:, :1])
        for number in range(1, len(segments)):
            mine, others = along[number], along[:number].reshape(-1, 3)
            distance = np.linalg.norm(mine[:, None] - others[None], axis=-1)
            here, there = np.unravel_index(distance.argmin(), distance.shape)
            joints.append([others[there], mine[here]])
            radius.append(min(self.radius[number], self.radius[int(there) // len(_ALONG)]))
        if not joints:
            return segments, self.radius
        return np.concatenate([segments, np.array(joints)]), np.append(self.radius, radius)
