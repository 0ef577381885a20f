"""Capsules that a robot's description gives its links in place of shapes or meshes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from nrl_ros.base.errors import ConfigError, closest
from nrl_ros.base.records import Float64
from nrl_ros.base.settings import Settings
from nrl_ros.robots.arm.engine import load_mujoco

Point = tuple[float, float, float]

# Steps of the search for the centre of the smallest circle; the circle holds all points at each.
_STEPS = 200
# A capsule shorter than this is a ball [m].
_SHORT_M = 1e-6


class CapsuleSettings(Settings):
    """A capsule of a link: given, from joint to joint, or fitted around the link's meshes."""

    link: str = Field(description='Its link')
    start_m: Point | None = Field(None, description="One end of its axis, in the link's frame")
    end_m: Point | None = Field(None, description='The other end')
    radius_m: float | None = Field(
        None,
        gt=0,
        description='Its radius; without ends, from the link to each link that hangs on it',
    )

    @model_validator(mode='after')
    def _complete(self) -> CapsuleSettings:
        given = [self.start_m is not None, self.end_m is not None]
        if any(given) and not (all(given) and self.radius_m is not None):
            raise ValueError(
                f'capsule of {self.link}: start_m, end_m and radius_m belong together; with '
                'radius_m alone it goes from joint to joint, with neither it is fitted to a mesh'
            )
        return self


class Capsule(NamedTuple):
    """A capsule of a link.

    Attributes:
        link: its name.
        start: one end of its axis in the link's frame [3], m.
        end: the other end.
        radius: m.
        of_mesh: whether it stands for the link's meshes; else for all shapes of the link.
    """

    link: str
    start: Point
    end: Point
    radius: float
    of_mesh: bool


def add_capsules(spec: Any, capsules: Sequence[Capsule]) -> None:
    """Add capsules to a ``mujoco.MjSpec``; the shapes that they replace collide no more."""
    kinds = load_mujoco().mjtGeom
    for capsule in capsules:
        body = _body(spec, capsule.link)
        for geom in body.geoms:
            if int(geom.type) == int(kinds.mjGEOM_MESH) or not capsule.of_mesh:
                geom.contype = geom.conaffinity = 0
    # Only now, so that a second capsule of a link does not switch off the first one.
    for capsule in capsules:
        body = _body(spec, capsule.link)
        length = float(np.linalg.norm(np.subtract(capsule.end, capsule.start)))
        if length < _SHORT_M:
            size = [capsule.radius, 0.0, 0.0]
            body.add_geom(type=kinds.mjGEOM_SPHERE, size=size, pos=capsule.start, mass=0.0)
        else:
            body.add_geom(
                type=kinds.mjGEOM_CAPSULE, size=[capsule.radius, 0.0, 0.0], mass=0.0,
                fromto=[*capsule.start, *capsule.end],
            )  # fmt: skip


def capsules_of(mj: Any, root: str, wanted: Sequence[CapsuleSettings]) -> tuple[Capsule, ...]:
    """Return the capsules that settings ask for, of a compiled model.

    Args:
        mj: the model without them.
        root: name of its root link, which MuJoCo may call world.
        wanted: the settings.

    Raises:
        ConfigError: the model has no such link, or the link has no mesh, or no link hangs on it.
    """
    names = [mj.body(number).name for number in range(mj.nbody)]
    names[0] = names[0] if root in names[1:] else root
    found: list[Capsule] = []
    for each in wanted:
        if each.link not in names:
            raise ConfigError(
                f'clearance.capsules: the model has no link {each.link!r}'
                f'{closest(each.link, names)}'
            )
        body = names.index(each.link)
        link = mj.body(body).name
        if each.radius_m is None:
            found += [
                Capsule(link, *fitted(points), of_mesh=True)
                for points in _meshes(mj, body, each.link)
            ]
        elif each.start_m is not None and each.end_m is not None:
            found.append(Capsule(link, each.start_m, each.end_m, each.radius_m, of_mesh=False))
        else:
            zero = (0.0, 0.0, 0.0)
            found += [
                Capsule(link, zero, end, each.radius_m, of_mesh=False)
                for end in _hanging(mj, body, each.link)
            ]
    return tuple(found)


def fitted(points: Float64) -> tuple[Point, Point, float]:
    """Return both ends and the radius of a small capsule that holds all points [N, 3].

    Its axis is one of the points' principal axes or of the axes of coordinates.
    """
    _, _, principal = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    choices = [_along(points, axis) for axis in (*principal, *np.eye(3))]

    def volume(choice: tuple[Float64, Float64, float]) -> float:
        start, end, radius = choice
        return radius**2 * (float(np.linalg.norm(end - start)) + 4.0 / 3.0 * radius)

    start, end, radius = min(choices, key=volume)
    return _point(start), _point(end), radius


def _along(points: Float64, axis: Float64) -> tuple[Float64, Float64, float]:
    """Return a capsule along an axis [3] that holds all points."""
    along = points @ axis
    across = points - along[:, None] * axis
    centre = across.mean(axis=0)
    for step in range(1, _STEPS):
        furthest = across[np.linalg.norm(across - centre, axis=1).argmax()]
        centre = centre + (furthest - centre) / (step + 1.0)
    apart = np.linalg.norm(across - centre, axis=1)
    radius = float(apart.max())
    # Near the axis the round ends reach further than the axis does.
    cap = np.sqrt(np.maximum(radius**2 - apart**2, 0.0))
    low, high = float((along + cap).min()), float((along - cap).max())
    if low > high:
        low = high = 0.5 * (low + high)
        radius = float(np.linalg.norm(points - (centre + low * axis), axis=1).max())
    return centre + low * axis, centre + high * axis, radius


def _point(values: Float64) -> Point:
    x, y, z = values.tolist()
    return x, y, z


def _body(spec: Any, link: str) -> Any:
    return next(body for body in spec.bodies if body.name == link)


def _meshes(mj: Any, body: int, link: str) -> list[Float64]:
    """Return the points of each mesh of a link, in the link's frame."""
    mujoco = load_mujoco()
    found = []
    for geom in np.flatnonzero(mj.geom_bodyid == body):
        is_mesh = int(mj.geom_type[geom]) == int(mujoco.mjtGeom.mjGEOM_MESH)
        if not (is_mesh and mj.geom_contype[geom]):
            continue
        mesh, turn = int(mj.geom_dataid[geom]), np.zeros(9)
        first, count = int(mj.mesh_vertadr[mesh]), int(mj.mesh_vertnum[mesh])
        mujoco.mju_quat2Mat(turn, mj.geom_quat[geom])
        points = np.asarray(mj.mesh_vert[first : first + count], np.float64)
        found.append(points @ turn.reshape(3, 3).T + mj.geom_pos[geom])
    if not found:
        raise ConfigError(
            f'clearance.capsules: link {link!r} has no mesh that a capsule could be fitted to: '
            'give radius_m, for a capsule from joint to joint, or start_m and end_m too'
        )
    return found


def _hanging(mj: Any, body: int, link: str) -> list[Point]:
    """Return where the links that hang on a link begin, in its frame, each place once."""
    places = [
        _point(mj.body_pos[number].round(9) + 0.0)
        for number in range(1, mj.nbody)
        if mj.body_parentid[number] == body
    ]
    if not places:
        raise ConfigError(
            f'clearance.capsules: no link hangs on {link!r}, to which its capsule could go: give '
            'start_m and end_m too'
        )
    return list(dict.fromkeys(places))
