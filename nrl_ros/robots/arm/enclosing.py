"""Distances of an arm from itself between capsules that enclose its shapes, for many poses at once.

MuJoCo measures exact distances of two shapes at a time, on the processor. These are computed in
arrays of numpy or of torch, and never larger than the exact ones, so that what they allow is
allowed.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.capsules import fitted
from nrl_ros.robots.arm.chain_parts import frame_of, matrix_of, parts_of, place_of_body
from nrl_ros.robots.arm.clearance import Clearance
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.hulls import box_corners
from nrl_ros.robots.arm.kinematics import Chain, Places
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.motion_bounds import by_command, motion_bound_of_each
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.shape_pairs import moves
from nrl_ros.robots.safety.limits import Part, outside_box

# Rounding of a computed distance, which is taken off [m].
_ROUNDING_M = 1e-6
# Two axes count as parallel if the square of their sine is below this.
_PARALLEL = 1e-9
# Points of a rim that stand for a circle; the radius grows, so that they hold all of it.
_RIM = 24


class Axis(NamedTuple):
    """A capsule in the frame of its body: both ends of its axis [3, m], and its radius [m]."""

    start: Float64
    end: Float64
    radius: float


class EnclosingClearance:
    """Smallest distance between the enclosing capsules of links that are not neighbours.

    The pairs are those of a ``Clearance`` in slices. Capsules and balls are their own; cylinders,
    boxes and hulls get a small capsule around them, and other shapes a ball.

    Args:
        model: the arm.
        clearance: says which shapes are compared.

    Raises:
        ConfigError: a shape is moved by a joint beside the way to the tool.
    """

    def __init__(self, model: ArmModel, clearance: Clearance) -> None:
        self._model = model
        mj, pairs = clearance.sliced.compiled, clearance.sliced.shapes
        shapes = sorted({geom for pair in pairs for geom in pair})
        axes = {geom: enclosing(mj, geom) for geom in shapes}
        self._bounds = (mj, pairs, axes)
        parts = parts_of(model, frame_of(model, model.tool)[0])
        places = []
        for geom in shapes:
            depth, pose = place_of_body(model, parts, int(mj.geom_bodyid[geom]))
            for point in axes[geom][:2]:
                places.append((depth, pose.rotation @ point + pose.translation))
        self._places = Places(parts, places)
        at = {geom: 2 * number for number, geom in enumerate(shapes)}
        self._first = [at[one] for one, _ in pairs]
        self._second = [at[other] for _, other in pairs]
        squares = {g: float(np.sum((axes[g].end - axes[g].start) ** 2)) for g in shapes}
        self._a = np.array([[squares[one]] for one, _ in pairs])
        self._e = np.array([[squares[other]] for _, other in pairs])
        self._per_a, self._per_e = _inverse(self._a), _inverse(self._e)
        self._radii = np.array([[axes[a].radius + axes[b].radius] for a, b in pairs]) + _ROUNDING_M
        self._arrays: Any = np

    def on(self, arrays: Any) -> EnclosingClearance:
        """Return the same for other arrays than those of numpy; as ``Chain.on``."""
        other = copy.copy(self)
        other._arrays, other._places = arrays, self._places.on(arrays)
        for name in ('_a', '_e', '_per_a', '_per_e', '_radii'):
            setattr(other, name, arrays.array(getattr(self, name)))
        return other

    def distances(self, position: Any) -> Any:
        """Return the distance of each of P pairs at poses [N, J]: [P, N], m.

        The closest points of two segments follow Ericson 2005, "Real-time collision detection",
        section 5.1.9.
        """
        do, at = self._arrays, self._places(position)
        one, other = self._first, self._second
        start = [row[one] for row in at]
        first = [row[[i + 1 for i in one]] - begin for row, begin in zip(at, start, strict=True)]
        begin = [row[other] for row in at]
        second = [row[[i + 1 for i in other]] - b for row, b in zip(at, begin, strict=True)]
        apart = [s - b for s, b in zip(start, begin, strict=True)]
        b, c, f = _dot(first, second), _dot(first, apart), _dot(second, apart)
        square = self._a * self._e
        sine = square - b * b
        parallel = sine <= _PARALLEL * square
        on_first = do.where(parallel, 0.0, (b * f - c * self._e) / do.where(parallel, 1.0, sine))
        on_second = do.clip((b * do.clip(on_first, 0.0, 1.0) + f) * self._per_e, 0.0, 1.0)
        on_first = do.clip((b * on_second - c) * self._per_a, 0.0, 1.0)
        steps = zip(apart, first, second, strict=True)
        way = [r + on_first * u - on_second * v for r, u, v in steps]
        return do.sqrt(_dot(way, way)) - self._radii

    def rates(self) -> Float64:
        """Return the most by which each joint changes each pair's distance [P, J], m/rad or m/m."""
        mj, pairs, axes = self._bounds
        rates = np.zeros((len(pairs), self._model.size))
        for number, (one, other) in enumerate(pairs):
            own, theirs = (self._bound(mj, geom, axes[geom]) for geom in (one, other))
            only_one = np.where(moves(self._model, mj, other), 0.0, own)
            only_other = np.where(moves(self._model, mj, one), 0.0, theirs)
            rates[number] = by_command(self._model, only_one + only_other)
        return rates

    def _bound(self, mj: Any, geom: int, axis: Axis) -> Float64:
        middle = 0.5 * (axis.start + axis.end)
        radius = axis.radius + 0.5 * float(np.linalg.norm(axis.end - axis.start))
        return motion_bound_of_each(self._model, int(mj.geom_bodyid[geom]), middle, radius)


def enclosing(mj: Any, geom: int) -> Axis:
    """Return a capsule that holds a shape of a compiled model, in the frame of its body."""
    kinds = load_mujoco().mjtGeom
    kind, size = int(mj.geom_type[geom]), np.array(mj.geom_size[geom])
    turn, place = matrix_of(mj.geom_quat[geom]), np.array(mj.geom_pos[geom])
    if kind in (int(kinds.mjGEOM_SPHERE), int(kinds.mjGEOM_CAPSULE)):
        half = turn[:, 2] * (size[1] if kind == int(kinds.mjGEOM_CAPSULE) else 0.0)
        return Axis(place - half, place + half, float(size[0]))
    points = _points(mj, geom, kind, size)
    if points is None:
        return Axis(place, place, float(mj.geom_rbound[geom]))
    start, end, radius = fitted(points @ turn.T + place)
    return Axis(np.array(start), np.array(end), radius)


def _points(mj: Any, geom: int, kind: int, size: Float64) -> Float64 | None:
    """Return points whose hull holds a shape, in its own frame; None if it has none."""
    kinds = load_mujoco().mjtGeom
    if kind == int(kinds.mjGEOM_MESH):
        mesh = int(mj.geom_dataid[geom])
        first, count = int(mj.mesh_vertadr[mesh]), int(mj.mesh_vertnum[mesh])
        return np.asarray(mj.mesh_vert[first : first + count], np.float64)
    if kind == int(kinds.mjGEOM_BOX):
        return box_corners(size[:3])
    if kind != int(kinds.mjGEOM_CYLINDER):
        return None
    angle = 2.0 * np.pi * np.arange(_RIM) / _RIM
    rim = size[0] / np.cos(np.pi / _RIM) * np.array([np.cos(angle), np.sin(angle)])
    ends = [np.vstack([rim, np.full(_RIM, sign * size[1])]).T for sign in (-1.0, 1.0)]
    return np.concatenate(ends)


def _dot(one: list[Any], other: list[Any]) -> Any:
    (a, b, c), (x, y, z) = one, other
    return a * x + b * y + c * z


def _inverse(values: Float64) -> Float64:
    """Return 1 / values, and 0 for those that are 0, as the length of a ball's axis is."""
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0.0)


class EnclosingGuard:
    """A PartedGuard as ``Robot.guard`` makes one, with enclosing capsules in place of the shapes.

    It allows nothing that the other one does not allow, and computes in arrays of numpy or of
    torch.

    Args:
        robot: the arm.

    Raises:
        ConfigError: obstacles stand around it, or it has a shape beside the way to the tool.
    """

    def __init__(self, robot: Robot) -> None:
        if robot.obstacles is not None:
            raise ConfigError(
                f'robot {robot.description.name!r} has obstacles, expected none: enclosing '
                'capsules are compared with each other alone; set simulation.shapes: exact, '
                'without a GPU'
            )
        box = robot.description.workspace
        self._chain = Chain(robot.model, box.watched, box.frame)
        self._low = np.array(box.low_m) + box.margin_m
        self._high = np.array(box.high_m) - box.margin_m
        self._least = box.clearance_m
        self._clearance: EnclosingClearance | None = None
        if self._least > 0.0 and robot.clearance.pairs:
            self._clearance = EnclosingClearance(robot.model, robot.clearance)
        self._arrays: Any = np

    def on(self, arrays: Any) -> EnclosingGuard:
        """Return the same for other arrays than those of numpy; as ``Chain.on``."""
        other = copy.copy(self)
        other._arrays, other._chain = arrays, self._chain.on(arrays)
        other._low, other._high = arrays.array(self._low), arrays.array(self._high)
        if self._clearance is not None:
            other._clearance = self._clearance.on(arrays)
        return other

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its parts, for numpy."""
        parts = [Part(lambda position, _asked: self._outside(position), self._chain.rates())]
        clearance = self._clearance
        if clearance is not None:
            near = lambda position, _asked: self._near(clearance, position)  # noqa: E731
            parts.append(Part(near, clearance.rates()))
        return tuple(parts)

    def violation(self, position: Any) -> Any:
        """Return how far positions [N, J] are outside of what is allowed [N] [m], <= 0: allowed."""
        reduce = self._arrays.maximum.reduce
        worst = reduce(self._outside(position), axis=1)
        if self._clearance is not None:
            near = reduce(self._near(self._clearance, position), axis=1)
            worst = self._arrays.maximum(worst, near)
        return worst

    def _outside(self, position: Any) -> Any:
        return outside_box(self._chain.points(position), self._low, self._high, self._arrays)

    def _near(self, clearance: EnclosingClearance, position: Any) -> Any:
        return self._least - clearance.distances(position).T
