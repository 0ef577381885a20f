"""The plain shapes of an arm as line segments with a thickness, for pictures."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.capsules import Point, fitted
from nrl_ros.robots.arm.chain_parts import frame_of
from nrl_ros.robots.arm.couplings import Posing, chain_of, joints_of
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.hulls import convex_hull
from nrl_ros.robots.arm.model import ArmModel

# Points of a segment, as shares of its length, among which the nearest of two segments are found.
_ALONG = np.linspace(0.0, 1.0, 17)
# Poses over which the joints are found, so far from the first one [rad or m]: what is near in one
# of them by chance is not in the others.
_POSES, _AWAY = 12, 1.0
# Half the thickness of an arm without any of these shapes [m].
_BONE_M = 0.025


class Shapes:
    """The shapes of an arm's links as line segments with a radius.

    An arm that has none is drawn by its bones: lines from the frame of each moving link to the
    next one.

    Attributes:
        radius: of each segment [S, m].
        count: how many shapes the model has; 0: it is drawn by its bones.

    Args:
        model: the arm.
    """

    def __init__(self, model: ArmModel) -> None:
        self._pose = Posing(model.mj, model.couplings)
        found = {
            geom: ends for geom in range(model.mj.ngeom) if (ends := capsule_of(model.mj, geom))
        }
        self._geoms = list(found)
        self._ends = np.array([(start, end) for start, end, _ in found.values()])
        self.radius: Float64 = np.array([radius for _, _, radius in found.values()])
        self.count = len(self._geoms)
        self._bones: list[tuple[int, int]] = []
        self._joints: tuple[NDArray[Any], Float64, Float64] | None = None
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
        turn = data.geom_xmat[self._geoms].reshape(-1, 3, 3)
        ends = self._ends @ np.swapaxes(turn, 1, 2) + data.geom_xpos[self._geoms][:, None]
        return np.asarray(ends)

    def joined(self, position: NDArray[Any]) -> tuple[Float64, Float64]:
        """Return all segments with those that join them, so that no piece stands apart.

        Shapes of a model are as large as safety needs them, which leaves gaps at joints. From the
        second on, each is joined with one before it, by a segment between the points of both that
        are nearest over many poses: those of links that hang on each other.

        Args:
            position: of the joints [J].

        Returns:
            The ends of each segment [2 S - 1, 2, 3], m, and the radius of each [2 S - 1, m].
        """
        segments = self.segments(position)
        if len(segments) < 2:
            return segments, self.radius
        if self._joints is None:
            self._joints = self._found_joints(np.asarray(position, np.float64))
        before, there, here = self._joints
        ends = np.stack([_between(segments[before], there), _between(segments[1:], here)], axis=1)
        radius = np.minimum(self.radius[1:], self.radius[before])
        return np.concatenate([segments, ends]), np.append(self.radius, radius)

    def _found_joints(self, position: Float64) -> tuple[NDArray[Any], Float64, Float64]:
        """Return with which segment before it each is joined from the second on [S - 1], and where.

        Returns:
            The other segment; the shares of its length and of the own length at which they join.
        """
        chance = np.random.default_rng(0)
        away = chance.uniform(-_AWAY, _AWAY, (_POSES, len(position)))
        segments = np.array([self.segments(position + one) for one in away])
        # Points of each segment in each pose [poses, S, points, 3].
        way = segments[:, :, 1:] - segments[:, :, :1]
        along = segments[:, :, :1] + _ALONG[:, None] * way
        found = []
        for number in range(1, segments.shape[1]):
            mine, others = along[:, number], along[:, :number].reshape(_POSES, -1, 3)
            distance = np.linalg.norm(mine[:, :, None] - others[:, None], axis=-1).mean(axis=0)
            here, there = np.unravel_index(distance.argmin(), distance.shape)
            other, point = divmod(int(there), len(_ALONG))
            found.append((other, _ALONG[point], _ALONG[int(here)]))
        others_, there_, here_ = zip(*found, strict=True)
        return np.array(others_), np.array(there_), np.array(here_)


def _between(segments: Float64, share: Float64) -> Float64:
    """Return the points [S, 3] at shares [S] of the lengths of segments [S, 2, 3]."""
    return np.asarray(segments[:, 0] + share[:, None] * (segments[:, 1] - segments[:, 0]))


def capsule_of(mj: Any, geom: int) -> tuple[Point, Point, float] | None:
    """Return ends and radius, in its frame, of the capsule as which a shape is drawn, if it is.

    Args:
        mj: the compiled model.
        geom: number of the shape.
    """
    kinds = load_mujoco().mjtGeom
    kind, size = int(mj.geom_type[geom]), mj.geom_size[geom].tolist()
    if kind in (int(kinds.mjGEOM_CAPSULE), int(kinds.mjGEOM_CYLINDER)):
        return (0.0, 0.0, -size[1]), (0.0, 0.0, size[1]), size[0]
    if not mj.geom_bodyid[geom]:
        # A floor or a wall is no part of the arm.
        return None
    if kind == int(kinds.mjGEOM_SPHERE):
        return (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), size[0]
    if kind in (int(kinds.mjGEOM_BOX), int(kinds.mjGEOM_ELLIPSOID)):
        return _along_the_longest(size)
    if kind != int(kinds.mjGEOM_MESH) or not (mj.geom_contype[geom] or mj.geom_conaffinity[geom]):
        return None
    corners, _ = convex_hull(mj, int(mj.geom_dataid[geom]))
    return fitted(corners)


def _along_the_longest(half: list[float]) -> tuple[Point, Point, float]:
    """Return the capsule in a box of these half lengths [3, m] along its longest side."""
    axis = int(np.argmax(half))
    radius = float(np.mean([length for at, length in enumerate(half) if at != axis]))
    end = np.zeros(3)
    end[axis] = max(half[axis] - radius, 0.0)
    return tuple((-end).tolist()), tuple(end.tolist()), radius
