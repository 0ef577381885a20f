"""Inverse kinematics: joint positions that bring an arm's tool to points, many at once.

Nothing here has a clock or draws numbers of its own, so that the same arm and points always give
the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import Bool, Float64
from nrl_ros.robots.arm.jacobian import Jacobian
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.rotations import rotation_vectors

Array = NDArray[Any]

# A tool nearer than this to its point is there [m]; a turned one nearer than this angle [rad].
NEAR_M, NEAR_RAD = 0.001, 0.01
# Poses, at random within the limits, from which a search begins; those nearest to its point first.
_SAMPLES = 4096
_STARTS = 8
# An arm that is allowed in less than the first share of so many starting poses is in its own way:
# from most starts the search ends where it may not be, so that so many times as many are tried.
_CROWDED, _CROWDED_SAMPLES, _MORE = 0.4, 200, 6
# Steps of one search; without a gain of _GAIN in _PATIENCE steps it is given up.
_STEPS, _PATIENCE, _GAIN = 40, 8, 0.05
# Least damping [m^2], and the longest step of a joint [rad, m].
_DAMPING, _LONGEST = 1e-7, 0.5
# Points whose nearest starts are looked for at once: bounds the memory that this takes.
_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class Solutions:
    """What was found for N goals.

    Attributes:
        position: joint positions [N, J]; of a goal that is not reached, any.
        reached: goals that are reached by a pose that is allowed [N].
    """

    position: Float64
    reached: Bool

    @property
    def share(self) -> float:
        """Share of the goals that are reached [1]; NaN without goals."""
        return float(self.reached.mean()) if len(self.reached) else float('nan')


@dataclass(frozen=True, eq=False)
class Goals:
    """Positions, and directions on request, that the tool should have.

    Attributes:
        point: [N, 3], m, in the frame of the workspace.
        turn: rotation matrices of the tool [N, 3, 3]; None: it may be turned in any way.
        metres_per_rad: weight of a wrong angle against a wrong distance, in the search.
    """

    point: Float64
    turn: Float64 | None = None
    metres_per_rad: float = 0.2

    def error(self, point: Float64, turn: Float64, which: Array) -> Float64:
        """Return how far the tool is from the goals ``which`` [n]: [n, 3], or [n, 6] with turns."""
        away = self.point[which] - point
        if self.turn is None:
            return np.asarray(away)
        angle = rotation_vectors(self.turn[which] @ np.swapaxes(turn, 1, 2))
        return np.concatenate([away, self.metres_per_rad * angle], axis=1)

    def rows(self, jacobian: Float64) -> Float64:
        """Return the rows of a jacobian [n, 6, J] that change the error, weighted as it is."""
        if self.turn is None:
            return jacobian[:, :3]
        weights = np.repeat([1.0, self.metres_per_rad], 3)
        return np.asarray(jacobian * weights[None, :, None])

    def near(self, error: Float64) -> Bool:
        """Return which errors [n, E] are small enough to count as none [n]."""
        close = np.linalg.norm(error[:, :3], axis=1) <= NEAR_M
        if self.turn is None:
            return np.asarray(close)
        angle = np.linalg.norm(error[:, 3:], axis=1) / self.metres_per_rad
        return np.asarray(close & (angle <= NEAR_RAD))


class InverseKinematics:
    """Finds allowed poses of an arm for goals of its tool.

    Damped least squares from several starting poses. A pose is allowed if it keeps to the limits in
    force, the workspace and the clearance, as the motion filter demands it.

    Args:
        robot: the arm.
    """

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self._jacobian = Jacobian(robot.model, robot.description.workspace.frame)
        limits = robot.limits
        self._low, self._high = np.array(limits.position_low), np.array(limits.position_high)
        self._guard = robot.guard()

    @cached_property
    def starts(self) -> tuple[Float64, Float64]:
        """Poses to begin with [S, J], and their tools [S, 3]; watched points are in the workspace.

        Home is the first of them.
        """
        drawn = np.random.default_rng(0).uniform(self._low, self._high, (_SAMPLES, len(self._low)))
        poses = np.concatenate([self._robot.home[None], drawn])
        points = self._guard.points(poses)
        inside = self._guard.workspace.violation(points) <= 0.0
        inside[0] = True
        return poses[inside], points[inside, 0]

    @cached_property
    def _tries(self) -> int:
        """By how much the starting poses of a search are multiplied."""
        poses = self.starts[0][1 : _CROWDED_SAMPLES + 1]
        allowed = float((self._guard.violation(poses) <= 0.0).mean()) if len(poses) else 1.0
        return _MORE if allowed < _CROWDED else 1

    def solve(self, goals: Goals, *, starts: int = _STARTS) -> Solutions:
        """Look for an allowed pose for each goal.

        Args:
            goals: N of them.
            starts: starting poses that are tried one after the other, nearest first; more of an
                arm that is in its own way in most poses.
        """
        count = len(goals.point)
        position = np.tile(self._robot.home, (count, 1))
        reached = np.zeros(count, np.bool_)
        nearest = self._nearest(goals.point, starts * self._tries)
        for number in range(nearest.shape[1]):
            left = np.flatnonzero(~reached)
            if not len(left):
                break
            found = self.descend(goals, left, self.starts[0][nearest[left, number]])
            good = left[found.reached]
            position[good], reached[good] = found.position[found.reached], True
        return Solutions(position, reached)

    def descend(self, goals: Goals, which: Array, start: Array) -> Solutions:
        """Look for a pose from one starting pose for each goal.

        Args:
            goals: of which some are looked for.
            which: their numbers [n].
            start: where to begin [n, J].
        """
        position = np.clip(start, self._low, self._high)
        there = np.zeros(len(which), np.bool_)
        active = np.arange(len(which))
        best, since = np.full(len(which), np.inf), np.zeros(len(which), np.int64)
        for _ in range(_STEPS):
            motion = self._jacobian(position[active])
            error = goals.error(motion.point, motion.turn, which[active])
            close = goals.near(error)
            there[active[close]] = True
            size = np.linalg.norm(error, axis=1)
            better = size < (1.0 - _GAIN) * best[active]
            best[active] = np.where(better, size, best[active])
            since[active] = np.where(better, 0, since[active] + 1)
            go = ~close & (since[active] < _PATIENCE)
            active = active[go]
            if not len(active):
                break
            position[active] = self._stepped(
                position[active], goals.rows(motion.jacobian[go]), error[go]
            )
        allowed = np.flatnonzero(there)
        if len(allowed):
            # A NaN is no permission.
            there[allowed] = self._guard.violation(position[allowed]) <= 0.0
        return Solutions(position, there)

    def straight(self, goals: Goals, start: Float64) -> Bool:
        """Return which goals [N] are reached straight from one pose [J].

        Straight is a way on which each step brings the tool nearer: a policy learns such ways
        first. There is none where an elbow or a wrist would have to turn round on the way.
        """
        count = len(goals.point)
        return self.descend(goals, np.arange(count), np.tile(start, (count, 1))).reached

    def _stepped(self, position: Float64, rows: Float64, error: Float64) -> Float64:
        """Return poses [n, J] one step nearer, within the limits."""
        change = _damped(rows, error)
        ahead = position + change
        stuck = (ahead < self._low) | (ahead > self._high)
        if stuck.any():
            # A joint at its limit does not help: the others have to do its part.
            part = np.where(stuck, np.clip(ahead, self._low, self._high) - position, 0.0)
            rest = error - np.einsum('nej,nj->ne', rows, part)
            change = _damped(np.where(stuck[:, None], 0.0, rows), rest) + part
        longest = np.abs(change).max(axis=1, keepdims=True)
        change *= np.minimum(1.0, _LONGEST / np.maximum(longest, 1e-12))
        return np.clip(position + change, self._low, self._high)

    def _nearest(self, points: Array, starts: int) -> NDArray[np.intp]:
        """Return the numbers of the starting poses whose tools are nearest [N, S], nearest first.

        Half of them: the nearest ones. The others are spread over those that are near, because the
        nearest ones resemble one another.
        """
        tools = self.starts[1]
        pool = min(len(tools), starts * starts)
        found = []
        for first in range(0, len(points), _AT_ONCE):
            some = points[first : first + _AT_ONCE]
            square = (tools**2).sum(axis=1) - 2.0 * some @ tools.T
            near = np.argpartition(square, pool - 1, axis=1)[:, :pool]
            order = np.argsort(np.take_along_axis(square, near, axis=1), axis=1, kind='stable')
            found.append(np.take_along_axis(near, order, axis=1))
        ranked = np.concatenate(found) if found else np.zeros((0, pool), np.intp)
        half = starts // 2
        ranks = [*range(half), *np.linspace(half, pool - 1, starts - half).astype(int).tolist()]
        return ranked[:, list(dict.fromkeys(rank for rank in ranks if rank < pool))]


def _damped(rows: Float64, error: Float64) -> Float64:
    """Return the step of damped least squares [n, J] for errors [n, E] and jacobians [n, E, J].

    The damping falls with the square of the error, so that a far goal is approached calmly and a
    near one in few steps.
    """
    square = np.einsum('nei,nfi->nef', rows, rows)
    damping = 0.5 * np.einsum('ne,ne->n', error, error) + _DAMPING
    each = np.arange(error.shape[1])
    square[:, each, each] += damping[:, None]
    solved = np.linalg.solve(square, error[:, :, None])[:, :, 0]
    return np.asarray(np.einsum('nej,ne->nj', rows, solved))
