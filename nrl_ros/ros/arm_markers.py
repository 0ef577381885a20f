"""Markers of an arm for RViz: its links as capsules, boxes and balls, and the end of its tool."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.chain_parts import to_axis
from nrl_ros.robots.arm.couplings import Posing
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.shapes import capsule_of

_TOOL_COLOUR = ColorRGBA(r=0.9, g=0.3, b=0.2, a=1.0)
_TOOL_SIZE_M = 0.03
_TARGET_COLOUR = ColorRGBA(r=0.2, g=0.8, b=0.3, a=0.5)


class ArmMarkers:
    """Makes the markers of one pose.

    Args:
        model: the arm.
        frame_id: the frame that the model's world is.
    """

    def __init__(self, model: ArmModel, frame_id: str) -> None:
        self._mujoco = load_mujoco()
        self._mj = model.mj
        self._pose = Posing(model.mj, model.couplings)
        self._frame = frame_id
        meshes = np.flatnonzero(model.mj.geom_type == int(self._mujoco.mjtGeom.mjGEOM_MESH))
        # As in pictures: all triangles of a hull would take longer than a control period to send.
        self._meshes = {
            int(geom): found for geom in meshes if (found := capsule_of(model.mj, int(geom)))
        }

    def message(self, position: Float64, tool: Float64, stamp: Any) -> MarkerArray:
        """Return all markers of one pose.

        Args:
            position: joint positions [J].
            tool: the end of the tool [3], m.
            stamp: ``builtin_interfaces/Time`` of the pose.
        """
        self._pose(position)
        made: list[Marker] = []
        for geom in range(self._mj.ngeom):
            self._shape(made, geom)
        made.append(
            _marker(Marker.SPHERE, tool, None, np.full(3, _TOOL_SIZE_M), _TOOL_COLOUR, 'tool')
        )
        for number, marker in enumerate(made):
            marker.id = number
            marker.header.frame_id = self._frame
            marker.header.stamp = stamp
        return MarkerArray(markers=made)

    def add_target(self, shown: MarkerArray, target: Float64, radius_m: float) -> None:
        """Add a ball about a target [3, m] to the markers of a pose."""
        ball = _marker(
            Marker.SPHERE, target, None, np.full(3, 2.0 * radius_m), _TARGET_COLOUR, 'target'
        )
        ball.id, ball.header = len(shown.markers), shown.markers[0].header
        shown.markers.append(ball)

    def _shape(self, made: list[Marker], geom: int) -> None:
        mj, kinds = self._mj, self._mujoco.mjtGeom
        kind = int(mj.geom_type[geom])
        size, name = mj.geom_size[geom], mj.geom(geom).name or f'geom{geom}'
        place, turn = self._pose.data.geom_xpos[geom], self._pose.data.geom_xmat[geom]
        colour = ColorRGBA(**dict(zip('rgba', map(float, mj.geom_rgba[geom]), strict=True)))
        width = 2.0 * size[0]
        if geom in self._meshes:
            ends, radius = np.array(self._meshes[geom][:2]), self._meshes[geom][2]
            ends = ends @ turn.reshape(3, 3).T + place
            _capsule(made, ends, radius, colour, name)
        elif kind == int(kinds.mjGEOM_CYLINDER):
            scale = np.array([width, width, 2.0 * size[1]])
            made.append(_marker(Marker.CYLINDER, place, turn, scale, colour, name))
        elif kind == int(kinds.mjGEOM_CAPSULE):
            along = size[1] * turn.reshape(3, 3)[:, 2]
            _capsule(made, np.array([place - along, place + along]), size[0], colour, name)
        elif kind == int(kinds.mjGEOM_SPHERE):
            made.append(_marker(Marker.SPHERE, place, None, np.full(3, width), colour, name))
        elif kind == int(kinds.mjGEOM_BOX):
            made.append(_marker(Marker.CUBE, place, turn, 2.0 * size, colour, name))


def _capsule(
    made: list[Marker], ends: Float64, radius: float, colour: ColorRGBA, name: str
) -> None:
    """Add a capsule between two points [2, 3, m]: RViz has none, but cylinders and balls."""
    length = float(np.linalg.norm(ends[1] - ends[0]))
    turn = to_axis(ends[1] - ends[0]) if length > 0.0 else np.eye(3)
    scale = np.array([2.0 * radius, 2.0 * radius, length])
    made.append(_marker(Marker.CYLINDER, ends.mean(axis=0), turn.ravel(), scale, colour, name))
    for end in ends:
        made.append(_marker(Marker.SPHERE, end, None, np.full(3, 2.0 * radius), colour, name))


def _marker(
    kind: int, place: Float64, turn: Float64 | None, scale: Float64, colour: ColorRGBA, name: str
) -> Marker:
    marker = Marker(type=kind, action=Marker.ADD, ns=name, color=colour)
    quaternion = np.zeros(4)
    if turn is None:
        quaternion[0] = 1.0
    else:
        load_mujoco().mju_mat2Quat(quaternion, turn)
    w, x, y, z = map(float, quaternion)
    marker.pose = Pose(
        position=Point(**dict(zip('xyz', map(float, place), strict=True))),
        orientation=Quaternion(x=x, y=y, z=z, w=w),
    )
    marker.scale = Vector3(**dict(zip('xyz', map(float, scale), strict=True)))
    return marker
