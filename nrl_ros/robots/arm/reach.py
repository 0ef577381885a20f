"""Which part of a box of targets an arm can reach, and a box that it reaches.

Sampled points and inverse kinematics within limits, workspace and clearance. The samples lie evenly
and are always the same, so that an arm and a task always have the same share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Bool, Float64
from nrl_ros.robots.arm.inverse import NEAR_M, Goals, InverseKinematics
from nrl_ros.robots.arm.model import TOOL_NOTE
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.rotations import AXES
from nrl_ros.robots.arm.settings import ReachSettings, TargetGroup
from nrl_ros.robots.arm.targets import Targets, shell

Array = NDArray[Any]
Point = tuple[float, float, float]

# Targets of a topic are not known before, and those of joint positions are reached.
_UNASKED = ('topic', 'joints')
# Below this share a person is told before the arm learns.
ENOUGH = 0.95
# Below this share of straight ways from home a person is told too. Few arms were compared, one seed
# each: with 67 % a UR10e learned 73 % of its targets; with 99 % it, and with all a Gen3 and a Lite
# 6, learned 97 % and more. Where between them the share begins to matter is not known.
STRAIGHT = 0.8
_SAMPLES = 400
# The most points among which those within the distances from a centre are looked for.
_MOST_SAMPLES = 64 * _SAMPLES
# Points along each side of the volume in which a box is looked for, and the least side of a box.
_GRID, _LEAST_SIDE = 13, 2
# Starts of a quick look at the points of the grid; one of which so many neighbours are reached is
# looked at again.
_QUICK, _AMONG = 4, 3
# A box as far from home as the volume is wide counts for so much less.
_HOMEWARD = 0.5
# Its sides are moved outwards by these shares of the distance of two points, as far as all of some
# points of what is gained are reached.
_PARTS, _SIDE_SAMPLES = (0.5, 0.25, 0.25), 40
# A proposed box is drawn in until this share of its points is reached.
_GOOD, _DRAWN_IN, _TRIES = 0.99, 0.92, 12
# Corners of a proposed box are whole multiples of this [m].
_STEP_M = 0.01
# Points further from every sampled tool than this share of the volume are not looked at.
_FAR = 0.15
# Steps of a sequence whose points lie evenly in a cube: powers of the root of x^4 = x + 1.
_EVEN = 1.0 / 1.2207440846057596 ** np.arange(1, 4)


@dataclass(frozen=True)
class Box:
    """A box in the frame of the workspace, and the share of its points that the arm reaches [1].

    Attributes:
        low_m: lowest x, y, z.
        high_m: highest x, y, z.
        share: of its points.
    """

    low_m: Point
    high_m: Point
    share: float


@dataclass(frozen=True)
class Reached:
    """Result of looking at a task's targets.

    Attributes:
        share: of them [1].
        low_m: lowest x, y, z of those that it reaches; NaN if there are none.
        high_m: highest x, y, z.
        straight: share of those that it reaches straight from home [1].
    """

    share: float
    low_m: Point
    high_m: Point
    straight: float = 1.0


def evenly(low: Array, high: Array, count: int, first: int = 0) -> Float64:
    """Return points [count, 3] that lie evenly in a box, always the same ones.

    Args:
        low: lowest corner [3].
        high: highest corner [3].
        count: how many.
        first: how many of the sequence to leave out.
    """
    numbers = np.arange(first + 1, first + count + 1)[:, None]
    return np.asarray(low + (0.5 + numbers * _EVEN) % 1.0 * (np.asarray(high) - low))


def sampled_targets(settings: TargetGroup, count: int = _SAMPLES) -> Float64:
    """Return targets [n, 3] of a task that lie evenly, n <= count; none where targets are unknown.

    Args:
        settings: of the targets; those from a topic are not known before.
        count: how many.

    Raises:
        ConfigError: the box and the distances from its centre hardly meet.
    """
    if settings.source == 'topic':
        return np.empty((0, 3))
    if settings.source == 'list':
        return np.reshape(np.array(settings.points_m, np.float64), (-1, 3))[:count]
    low, high = np.array(settings.low_m), np.array(settings.high_m)
    points = evenly(low, high, _MOST_SAMPLES)
    found = points[shell(settings)(points)][:count]
    if not len(found):
        raise ConfigError(
            f'target: hardly a point of the box {settings.low_m} to {settings.high_m} lies between '
            f'{settings.near_m} and {settings.far_m} m from {settings.centre_m}'
        )
    return np.asarray(found)


def reached_targets(
    robot: Robot, settings: TargetGroup, *, solver: InverseKinematics | None = None
) -> Reached:
    """Return which share of a task's targets an arm can reach.

    Args:
        robot: the arm.
        settings: of the targets.
        solver: of the arm; None: one is made, whose starting poses take as long as the search.

    Raises:
        ConfigError: there are no such targets.
    """
    points, turned = sampled_targets(settings), None
    # Where a turn is free the orientations of some targets do not say what is reached.
    if len(settings.orientation.axes) == len(AXES):
        drawn = Targets(settings, np.random.default_rng(0), robot).draw_poses(len(points))
        points, turned = drawn.point, drawn.rotation
    solver = InverseKinematics(robot) if solver is None else solver
    found = solver.solve(Goals(points, turned))
    there = points[found.reached]
    if not len(there):
        nowhere = (float('nan'),) * 3
        return Reached(found.share, nowhere, nowhere)
    straight = float(solver.straight(Goals(points, turned), robot.home)[found.reached].mean())
    return Reached(found.share, _point(there.min(axis=0)), _point(there.max(axis=0)), straight)


def proposed_box(
    robot: Robot,
    low: Array | None = None,
    high: Array | None = None,
    *,
    towards: Array | None = None,
    solver: InverseKinematics | None = None,
) -> Box | None:
    """Look for the largest box of targets that an arm reaches nearly everywhere.

    Args:
        robot: the arm.
        low: lowest corner of the volume to look in [3]; None: that of the workspace.
        high: highest corner.
        towards: of boxes of one size, the nearest to this point is the best [3]; None: home's tool.
        solver: of the arm; None: one is made.

    Returns:
        None if there is none of a size that is worth it.
    """
    solver = InverseKinematics(robot) if solver is None else solver
    tools = solver.starts[1]
    walls = robot.guard().workspace
    low = np.maximum(walls.low_m, tools.min(axis=0)) if low is None else np.asarray(low)
    high = np.minimum(walls.high_m, tools.max(axis=0)) if high is None else np.asarray(high)
    # An arm that moves in a plane gets a box as thin as its tool is exact.
    high = np.maximum(high, low + NEAR_M)
    axes = [np.linspace(low[axis], high[axis], _GRID) for axis in range(3)]
    grid = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).reshape(-1, 3)
    near = _near_tools(grid, tools, _FAR * float(np.linalg.norm(high - low)))
    reached = np.zeros(len(grid), np.bool_)
    reached[near] = solver.solve(Goals(grid[near]), starts=_QUICK).reached
    # A point among reached ones was probably missed: it is looked for again, longer.
    missed = near & ~reached & (_neighbours(reached) >= _AMONG)
    reached[missed] = solver.solve(Goals(grid[missed]), starts=4 * _QUICK).reached
    corners = _largest(
        reached.reshape((_GRID,) * 3), axes, tools[0] if towards is None else towards
    )
    if corners is None:
        return None
    ends = (
        np.array([axis[at] for axis, at in zip(axes, corner, strict=True)]) for corner in corners
    )
    return _drawn_in(solver, *_grown(solver, *ends, walls=(low, high)))


def kept_box(robot: Robot, low: Array, high: Array) -> Box | None:
    """Return a box drawn in about its middle until an arm reaches nearly all of it.

    Args:
        robot: the arm.
        low: lowest corner [3].
        high: highest corner [3].

    Returns:
        None if that would leave nothing.
    """
    return _drawn_in(InverseKinematics(robot), np.asarray(low), np.asarray(high))


def _neighbours(reached: Bool) -> NDArray[np.int64]:
    """Return how many of the six next points of a grid [G ** 3] are reached, for each point."""
    cube = reached.reshape((_GRID,) * 3).astype(np.int64)
    wide = np.pad(cube, 1, mode='edge')
    inner, before, after = slice(1, -1), slice(0, -2), slice(2, None)
    total = np.zeros_like(cube)
    for axis in range(3):
        for side in (before, after):
            total += wide[tuple(side if at == axis else inner for at in range(3))]
    return total.reshape(-1)


def _near_tools(points: Float64, tools: Float64, far_m: float) -> Bool:
    """Return which points [N] are near a tool of the sampled poses."""
    near = np.zeros(len(points), np.bool_)
    for first in range(0, len(points), 512):
        some = points[first : first + 512]
        square = (some**2).sum(axis=1)[:, None] + (tools**2).sum(axis=1) - 2.0 * some @ tools.T
        near[first : first + 512] = square.min(axis=1) < far_m**2
    return near


def _largest(reached: Bool, axes: list[Float64], home: Float64) -> tuple[Array, Array] | None:
    """Return the corners of the largest box of a grid of which all points are reached.

    Of boxes that are nearly as large, the one that is nearer to home is better.

    Args:
        reached: [G, G, G].
        axes: coordinates of the grid's points along each axis [G, m].
        home: position of the tool at home [3, m].
    """
    sides = [axis[1] - axis[0] for axis in axes]
    far = float(np.linalg.norm([axis[-1] - axis[0] for axis in axes]))
    size = len(reached)
    total = np.zeros((size + 1,) * 3, np.int64)
    total[1:, 1:, 1:] = reached.cumsum(0).cumsum(1).cumsum(2)
    spans = [(a, b) for a in range(size) for b in range(a + _LEAST_SIDE, size)]
    first, last = (np.array([span[end] for span in spans]) for end in (0, 1))
    away = [
        ((axis[first] + axis[last]) / 2.0 - at) ** 2 for axis, at in zip(axes, home, strict=True)
    ]
    best, corners = 0.0, None
    for number, (a, b) in enumerate(spans):
        slab = total[b + 1] - total[a]
        y0, y1, z0, z1 = first[:, None], last[:, None] + 1, first[None], last[None] + 1
        inside = slab[y1, z1] - slab[y0, z1] - slab[y1, z0] + slab[y0, z0]
        whole = inside == (b - a + 1) * (y1 - y0) * (z1 - z0)
        length = (last - first)[:, None] * (last - first)[None] * (b - a)
        distance = np.sqrt(away[0][number] + away[1][:, None] + away[2][None])
        worth = float(np.prod(sides)) * (1.0 - _HOMEWARD * distance / far)
        volume = np.where(whole, length * worth, 0.0)
        at = np.unravel_index(int(volume.argmax()), volume.shape)
        if volume[at] > best:
            best = float(volume[at])
            corners = (
                np.array([a, first[at[0]], first[at[1]]]),
                np.array([b, last[at[0]], last[at[1]]]),
            )
    return corners


def _grown(
    solver: InverseKinematics, low: Float64, high: Float64, *, walls: tuple[Array, Array]
) -> tuple[Float64, Float64]:
    """Return a box whose sides were moved outwards, each as far as what it gains is reached."""
    for part in _PARTS:
        step = part * (walls[1] - walls[0]) / (_GRID - 1)
        for axis in range(3):
            for end, sign in ((low, -1.0), (high, 1.0)):
                moved = float(
                    np.clip(end[axis] + sign * step[axis], walls[0][axis], walls[1][axis])
                )
                if moved == end[axis]:
                    continue
                first, last = low.copy(), high.copy()
                first[axis], last[axis] = sorted((float(end[axis]), moved))
                if solver.solve(Goals(evenly(first, last, _SIDE_SAMPLES))).share == 1.0:
                    end[axis] = moved
    return low, high


def _drawn_in(solver: InverseKinematics, low: Float64, high: Float64) -> Box | None:
    """Return a box about the same middle, rounded to cm, nearly all of which is reached."""
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    thin = half < 2.0 * _STEP_M
    for _ in range(_TRIES):
        low = np.where(thin, middle - half, np.ceil((middle - half) / _STEP_M) * _STEP_M)
        high = np.where(thin, middle + half, np.floor((middle + half) / _STEP_M) * _STEP_M)
        if not (low < high).all():
            return None
        share = solver.solve(Goals(evenly(low, high, _SAMPLES))).share
        if share >= _GOOD:
            return Box(_point(low), _point(high), share)
        half = np.where(thin, half, _DRAWN_IN * half)
    return None


def _point(values: Array) -> Point:
    x, y, z = (round(float(value), 4) + 0.0 for value in values)
    return x, y, z


def remarks_of(robot: Robot, settings: ReachSettings) -> tuple[str, ...]:
    """Return what a person should know before an arm learns a task, one line each.

    Args:
        robot: the arm.
        settings: of the task.
    """
    told = () if robot.description.tool else robot.notes
    remarks = [note for note in told if note.startswith(TOOL_NOTE)]
    if settings.target.source not in _UNASKED:
        solver = InverseKinematics(robot)
        reached = reached_targets(robot, settings.target, solver=solver)
        if reached.share < ENOUGH:
            better = _better(robot, settings.target, solver)
            remarks.append(f'{_said(reached, settings.target)}; {better}')
        remarks += _turned_round(reached)
    return tuple(remarks)


def reach_lines(robot: Robot, settings: TargetGroup | None) -> list[str]:
    """Return what a person should know of an arm's reach, and of a task's targets.

    Args:
        robot: the arm.
        settings: of the targets; None: there is no task.
    """
    if settings is None or settings.source in _UNASKED:
        return [f'reach: {_offer(robot, InverseKinematics(robot))}']
    solver = InverseKinematics(robot)
    reached = reached_targets(robot, settings, solver=solver)
    lines = [_said(reached, settings)]
    if reached.share < ENOUGH:
        lines.append(f'reach: {_better(robot, settings, solver)}')
    return lines + _turned_round(reached)


def _turned_round(reached: Reached) -> list[str]:
    """Return a line if home is of another elbow or wrist than many of the targets."""
    if reached.straight >= STRAIGHT:
        return []
    return [
        f'reach: from home the tool goes straight to {100.0 * reached.straight:.0f} % of those; '
        'for the others an elbow or a wrist has to turn round, which is seldom learned: mend '
        'home_rad (`nrl robot new` looks for a home with a straight way to nearly all)'
    ]


def _said(reached: Reached, settings: TargetGroup) -> str:
    """Return which share of the targets is reached, and where they lie."""
    if settings.source == 'list':
        what = 'the targets of target.points_m'
    else:
        what = f'the target box {_sides(settings.low_m, settings.high_m)}'
    # Rounded downwards, so that less than all, or than enough, is never told as that.
    percent = 100.0 * reached.share
    told = 'under 1' if 0.0 < percent < 1.0 else f'{math.floor(percent + 1e-9)}'
    said = f'reach: the arm can put its tool at {told} % of {what}, within its limits'
    if 0.0 < reached.share < ENOUGH:
        said += f'; those lie in {_sides(reached.low_m, reached.high_m)}'
    return said


def _better(robot: Robot, settings: TargetGroup, solver: InverseKinematics) -> str:
    """Return how to get targets that an arm can reach."""
    other = ', or target.reachable: true draws only those that it reaches' * (
        settings.source == 'random'
    )
    return f'{_offer(robot, solver)}{other}'


def _offer(robot: Robot, solver: InverseKinematics) -> str:
    box = proposed_box(robot, solver=solver)
    if box is None:
        return 'no box of targets was found that it reaches: look at home, limits and workspace'
    return (
        f'a box that it reaches at {100.0 * box.share:.0f} %: target.low_m: {list(box.low_m)}, '
        f'target.high_m: {list(box.high_m)}'
    )


def _sides(low: Point, high: Point) -> str:
    """Return the extent of a box in words."""
    sides = zip('xyz', low, high, strict=True)
    return ', '.join(f'{axis} {one:g} to {other:g}' for axis, one, other in sides) + ' m'
