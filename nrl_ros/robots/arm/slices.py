"""Long meshes in slices, so that a guard knows which part of a link is near."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.hulls import convex_hull
from nrl_ros.robots.arm.source import Source

# A hull is cut if it is this many times as long as it is wide, into pieces about as long as wide.
_LONG = 1.5
_MOST_SLICES = 5
# Shorter shapes are not worth it: no point of them is far from another one [m].
_SHORT_M = 0.1


class Sliced(NamedTuple):
    """A compiled model with long hulls in slices.

    Attributes:
        mj: the model; bodies and joints are those of the model that it was made of.
        shapes: numbers of the slices that stand for each shape of that model.
    """

    mj: Any
    shapes: dict[int, list[int]]


def in_slices(mj: Any, source: Source) -> Sliced:
    """Return a model in which long hulls are cut across into slices.

    The slices of a hull are the hull. But how far a joint can move the nearest point of a link is
    known much better of a slice than of all of a long link, whose far end moves most: so the guard
    has to measure far less often.

    Args:
        mj: the compiled model.
        source: that it was compiled from.
    """
    same = {geom: [geom] for geom in range(mj.ngeom)}
    cuts = {geom: pieces for geom in range(mj.ngeom) if (pieces := _pieces(mj, geom))}
    if not cuts:
        return Sliced(mj, same)
    spec = source.spec()
    # The numbers of the shapes change, since shapes are counted body by body.
    own = {int(geom.id): geom for geom in spec.geoms}
    added: dict[int, list[Any]] = {}
    kind = load_mujoco().mjtGeom.mjGEOM_MESH
    for geom, pieces in cuts.items():
        for number, points in enumerate(pieces):
            name = f'nrl_slice_{geom}_{number}'
            spec.add_mesh(name=name, uservert=points.ravel())
            piece = own[geom].parent.add_geom(type=kind, meshname=name, mass=0.0)
            added.setdefault(geom, []).append(piece)
    compiled = spec.compile()
    shapes = {
        geom: [int(each.id) for each in added.get(geom, [own[geom]])] for geom in range(mj.ngeom)
    }
    return Sliced(compiled, shapes)


def _pieces(mj: Any, geom: int) -> list[Float64]:
    """Return the points of each slice of a hull, in the frame of its body; none if it is short."""
    mujoco = load_mujoco()
    if int(mj.geom_type[geom]) != int(mujoco.mjtGeom.mjGEOM_MESH) or not mj.geom_contype[geom]:
        return []
    corners, triangles = convex_hull(mj, int(mj.geom_dataid[geom]))
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, mj.geom_quat[geom])
    corners = corners @ turn.reshape(3, 3).T + mj.geom_pos[geom]
    _, _, axes = np.linalg.svd(corners - corners.mean(axis=0), full_matrices=False)
    extents = np.ptp(corners @ axes.T, axis=0)
    along = int(extents.argmax())
    length, width = float(extents[along]), float(np.delete(extents, along).max())
    count = min(round(length / max(width, length / _MOST_SLICES)), _MOST_SLICES)
    if length < max(_SHORT_M, _LONG * width) or count < 2:
        return []
    place = corners @ axes[along]
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    walls = place.min() + length * np.arange(count + 1) / count
    walls[0], walls[-1] = -np.inf, np.inf
    across = [_crossings(corners, place, edges, wall) for wall in walls]
    return [
        np.concatenate([corners[(place >= low) & (place <= high)], across[at], across[at + 1]])
        for at, (low, high) in enumerate(zip(walls[:-1], walls[1:], strict=True))
    ]


def _crossings(corners: Float64, place: Float64, edges: Any, wall: float) -> Float64:
    """Return where edges cross a plane, at which the corners' places along an axis have a value."""
    one, other = place[edges[:, 0]], place[edges[:, 1]]
    # Each edge belongs to two triangles, which run along it in opposite directions.
    cross = (one < wall) & (other > wall)
    share = ((wall - one[cross]) / (other[cross] - one[cross]))[:, None]
    first, second = corners[edges[cross, 0]], corners[edges[cross, 1]]
    return np.asarray(first + share * (second - first))
