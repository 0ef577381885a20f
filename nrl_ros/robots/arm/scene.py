"""What pictures of an arm show: the arm in one piece, what stands around it, and its target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.obstacles import PREFIX, surrounded
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.shapes import Shapes
from nrl_ros.robots.arm.surfaces import box, capsule

# From where the arm is seen: angle about z from x, and height [degrees].
AZIMUTH, ELEVATION = -55.0, 22.0
ARM_COLOUR, OBSTACLE_COLOUR = (0.53, 0.58, 0.65, 1.0), (0.80, 0.66, 0.45, 1.0)
PATH_COLOUR, TARGET_COLOUR = (0.12, 0.44, 0.70, 1.0), (0.76, 0.15, 0.18, 1.0)
AXIS_COLOURS = ((0.8, 0.1, 0.1, 1.0), (0.1, 0.55, 0.1, 1.0), (0.1, 0.2, 0.8, 1.0))
# How far around the arm obstacles are shown, as a share of the room that it needs.
_AROUND = 0.6
# How thick the last piece to the tool is, as a share of the thinnest link.
_TOOL_SHARE = 0.3


@dataclass(frozen=True)
class Moment:
    """An arm at one time; places are in the frame of the workspace.

    Attributes:
        position: of the joints [J].
        target: [3, m].
        path: of the tool until now [K, 3, m].
        axes: of tool and target [2, 3, 3], as columns; None: orientations do not matter.
        title: a line above the picture.
    """

    position: Float64
    target: Float64
    path: Float64
    axes: Float64 | None = None
    title: str = ''


class Painter(Protocol):
    """Makes pictures of moments."""

    def picture(self, moment: Moment) -> NDArray[np.uint8]:
        """Return a picture [height, width, 3], 0 to 255."""
        ...

    def close(self) -> None:
        """Release what the pictures need."""
        ...


class Scene:
    """An arm and its surroundings in the frame of the workspace, and the room that they take.

    Attributes:
        robot: the arm.
        middle: of the room [3, m].
        half: half of the largest of its width, depth and height [m].
        shown: points that are in the picture [N, 3, m].
        margin: how much further than these the arm reaches [m].
        obstacles: surfaces of what stands around the arm [F, 4, 3, m], as far as they are in the
            room.

    Args:
        robot: the arm.
        shown: positions of the joints that are drawn [K, J].
        points: further points that have to be in the picture [N, 3, m].
    """

    def __init__(self, robot: Robot, shown: NDArray[Any], points: NDArray[Any]) -> None:
        self.robot, self._shapes = robot, Shapes(robot.model)
        # Shapes are in the frame of the model's root, all else is in the frame of the workspace.
        self._root = robot.from_frame('')
        found, around = [np.asarray(points, np.float64)], self._around()
        found += [self.segments(position)[0].reshape(-1, 3) for position in shown]
        seen = np.concatenate(found)
        thick = float(self._shapes.radius.max(initial=0.0))
        low, high = seen.min(axis=0) - thick, seen.max(axis=0) + thick
        # What is far away, as the other end of a table, would make the arm small.
        reach = _AROUND * float((high - low).max())
        bounds = low - reach, high + reach
        near = [np.clip(one, *bounds) for one in around if _meet(one, *bounds)]
        corners = np.concatenate([[low, high], *(one.reshape(-1, 3) for one in near)])
        low, high = corners.min(axis=0), corners.max(axis=0)
        self.middle = (low + high) / 2.0
        self.half = 0.5 * float((high - low).max())
        self.shown, self.margin = np.concatenate([seen, corners[2:]]), thick
        self.obstacles = np.concatenate([np.zeros((0, 4, 3)), *near])

    def segments(self, position: NDArray[Any]) -> tuple[Float64, Float64]:
        """Return the arm in one piece, as segments with a radius, the way to the tool last.

        Args:
            position: of the joints [J].

        Returns:
            The ends of each [S, 2, 3, m], and the radius of each [S, m].
        """
        return self._pieces(position, 0)

    def joints(self, position: NDArray[Any]) -> tuple[Float64, Float64]:
        """Return the segments that are no shapes of the model; all if the model has no shapes."""
        return self._pieces(position, self._shapes.count)

    def _pieces(self, position: NDArray[Any], first: int) -> tuple[Float64, Float64]:
        ends, radius = self._shapes.joined(position)
        ends = ends @ self._root.rotation.T + self._root.translation
        tool = self.robot.chain.tool(position[None])[0]
        points = ends.reshape(-1, 3)
        last = points[np.linalg.norm(points - tool, axis=1).argmin()]
        ends, radius = (
            np.concatenate([ends, [[last, tool]]]),
            np.append(radius, _TOOL_SHARE * radius.min()),
        )
        return ends[first:], radius[first:]

    def surface(self, position: NDArray[Any]) -> Float64:
        """Return the surface of the arm as quadrangles [F, 4, 3, m]."""
        parts = zip(*self.segments(position), strict=True)
        return np.concatenate([capsule(ends[0], ends[1], radius) for ends, radius in parts])

    def _around(self) -> list[Float64]:
        """Return the surface of each obstacle [F, 4, 3, m]."""
        described = self.robot.description
        faces = []
        if described.obstacles:
            mujoco = load_mujoco()
            spec = surrounded(self.robot.model, described.obstacles, described.workspace.frame)
            mj = spec.compile()
            data = mujoco.MjData(mj)
            mujoco.mj_kinematics(mj, data)
            for geom in range(mj.ngeom):
                if mj.geom(geom).name.startswith(PREFIX):
                    turn = self._root.rotation @ data.geom_xmat[geom].reshape(3, 3)
                    place = self._root.of(data.geom_xpos[geom])
                    faces.append(_surface(mj, geom) @ turn.T + place)
        return faces


def _meet(faces: Float64, low: Float64, high: Float64) -> bool:
    """Return True if the box about faces [F, 4, 3] meets a room."""
    corners = faces.reshape(-1, 3)
    return bool((corners.max(axis=0) > low).all() and (corners.min(axis=0) < high).all())


def _surface(mj: Any, geom: int) -> Float64:
    """Return the surface of a box, sphere, capsule or cylinder in its own frame [F, 4, 3, m]."""
    kinds, kind, size = load_mujoco().mjtGeom, int(mj.geom_type[geom]), mj.geom_size[geom]
    if kind == int(kinds.mjGEOM_BOX):
        return box(size)
    end = np.array([0.0, 0.0, 0.0 if kind == int(kinds.mjGEOM_SPHERE) else size[1]])
    return capsule(-end, end, float(size[0]), flat=kind == int(kinds.mjGEOM_CYLINDER))
