"""Targets of the reaching task: points and orientations, drawn, reachable, or from a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Float64
from nrl_ros.base.state import Stateful
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.rotations import angles_between, matrices_of, random_rotations
from nrl_ros.robots.arm.settings import TargetGroup

Array = NDArray[Any]

_MOST_DRAWS = 10_000
# Joint positions of one round of draws, at most; and rounds after which none has been found.
_MOST_AT_ONCE = 4096
_MOST_ROUNDS = 500


@dataclass(frozen=True)
class Poses:
    """Points and orientations of N tools or targets, in the frame of the workspace.

    Attributes:
        point: [N, 3, m].
        rotation: matrices whose columns are the axes [N, 3, 3].
    """

    point: Float64
    rotation: Float64


@dataclass
class TargetsState:
    """What draws the next targets, and the place in the list of those that have one."""

    random: np.random.Generator
    at: int = 0


class Targets(Stateful):
    """Gives targets: drawn at random, or from a list in turn.

    Args:
        settings: of the targets.
        generator: draws them.
        robot: the arm; None: targets are points of a box or a list.

    Raises:
        ConfigError: they need a robot.
    """

    def __init__(
        self, settings: TargetGroup, generator: np.random.Generator, robot: Robot | None = None
    ) -> None:
        self._settings = settings
        self.state: TargetsState = TargetsState(generator)
        self._list = np.reshape(np.array(settings.points_m, np.float64), (-1, 3))
        self._joints: PosesOfJoints | None = None
        self._reference = np.eye(3)
        if robot is None:
            if settings.source == 'joints' or settings.orientation.axes:
                raise ConfigError('targets of joints, or with an orientation, need a robot')
            return
        given = settings.orientation.reference_xyzw
        self._reference = (
            matrices_of(np.array([given])) if given else robot.chain.orientation(robot.home[None])
        )[0]
        if settings.source == 'joints':
            self._joints = PosesOfJoints(robot, settings, self._reference)

    def seed(self, seed: int) -> None:
        """Seed the generator, and start the list anew."""
        self.state.random, self.state.at = np.random.default_rng(seed), 0

    def draw(self, count: int) -> Float64:
        """Return the next targets [count, 3].

        Raises:
            ConfigError: targets come from a topic, or the box and the distances hardly meet.
        """
        settings, state = self._settings, self.state
        if settings.source == 'list':
            return np.asarray(self._list[self._next(count)])
        if settings.source == 'topic':
            raise ConfigError('targets from a topic exist on hardware only; set target.source')
        if self._joints is not None:
            return self._joints.draw(state.random, count).point
        return draw_in_shell(settings, state.random, count)

    def draw_poses(self, count: int) -> Poses:
        """Return the next targets with their orientations; errors are those of ``draw``."""
        settings, random = self._settings, self.state.random
        if self._joints is not None:
            return self._joints.draw(random, count)
        if settings.source == 'list':
            which = self._next(count)
            given = np.reshape(np.array(settings.orientation.quaternions_xyzw), (-1, 4))
            turned = (
                matrices_of(given)[which] if len(given) else np.tile(self._reference, (count, 1, 1))
            )
            return Poses(self._list[which], turned)
        point = self.draw(count)
        return Poses(point, self._in_cone(count))

    def _in_cone(self, count: int) -> Float64:
        """Draw orientations [count, 3, 3] about the reference."""
        cone = self._settings.orientation.cone_rad
        return np.asarray(self._reference @ random_rotations(self.state.random, cone, count))

    def _next(self, count: int) -> Array:
        """Return the places in the list of the next targets [count], and count them."""
        state = self.state
        which = (state.at + np.arange(count)) % len(self._list)
        state.at = int((state.at + count) % len(self._list))
        return np.asarray(which)


class PosesOfJoints:
    """Draws poses that the tool has at random joint positions which limits and guard allow.

    Args:
        robot: the arm.
        settings: of the targets: box, distances, distance of the joints from home, and cone.
        reference: rotation about which the cone is [3, 3].
    """

    def __init__(self, robot: Robot, settings: TargetGroup, reference: Float64) -> None:
        self._robot, self._settings = robot, settings
        self._guard = robot.guard()
        limits, spread = robot.limits, settings.spread_rad
        self._low = np.maximum(limits.position_low, robot.home - spread)
        self._high = np.minimum(limits.position_high, robot.home + spread)
        self._inside = shell(settings)
        self._reference = reference

    def draw(self, generator: np.random.Generator, count: int) -> Poses:
        """Return poses of so many tools.

        Raises:
            ConfigError: hardly any pose is allowed.
        """
        points, rotations = [np.empty((0, 3))], [np.empty((0, 3, 3))]
        found, size = 0, min(_MOST_AT_ONCE, 1 << (4 * count - 1).bit_length())
        for _ in range(_MOST_ROUNDS):
            position = generator.uniform(self._low, self._high, (size, len(self._low)))
            point = self._robot.chain.tool(position)
            kept = self._inside(point)
            kept &= ((point >= self._settings.low_m) & (point <= self._settings.high_m)).all(axis=1)
            position, point = position[kept], point[kept]
            # Orientation and guard are asked only for those that are left.
            rotation = self._orientation(position)
            for narrow in (self._within_cone, self._allowed):
                kept = narrow(position, rotation)
                position, point, rotation = position[kept], point[kept], rotation[kept]
            points.append(point)
            rotations.append(rotation)
            found += len(point)
            if found >= count:
                return Poses(np.concatenate(points)[:count], np.concatenate(rotations)[:count])
        settings = self._settings
        raise ConfigError(
            f'target: {found} of {_MOST_ROUNDS * size} allowed joint positions within '
            f'{settings.spread_rad:g} rad of home bring the tool into the box {settings.low_m} to '
            f'{settings.high_m}, {settings.near_m} to {settings.far_m} m from {settings.centre_m}, '
            f'and its orientation within {settings.orientation.cone_rad:g} rad of the reference: '
            'mend target'
        )

    def _orientation(self, position: Array) -> Float64:
        if not self._settings.orientation.axes:
            return np.zeros((len(position), 3, 3))
        return oriented(self._robot, position)

    def _within_cone(self, _position: Array, rotation: Float64) -> Array:
        orientation = self._settings.orientation
        if not orientation.axes:
            return np.ones(len(rotation), np.bool_)
        reference = np.broadcast_to(self._reference, rotation.shape)
        return np.asarray(angles_between(reference, rotation) <= orientation.cone_rad)

    def _allowed(self, position: Array, _rotation: Float64) -> Array:
        return np.asarray(self._guard.violation(position) <= 0.0)


def oriented(robot: Robot, position: Array) -> Float64:
    """Return the orientations of tools [N, 3, 3] at joint positions [N, J].

    The number of poses is rounded up to a power of two, since the chain keeps a tape for each.
    """
    padded = np.zeros((1 << max(len(position) - 1, 0).bit_length(), position.shape[1]))
    padded[: len(position)] = position
    return robot.chain.orientation(padded)[: len(position)]


def draw_in_shell(settings: TargetGroup, generator: np.random.Generator, count: int) -> Float64:
    """Draw points [count, 3] evenly within the box and within the distances from the centre."""
    inside = shell(settings)
    points = np.empty((0, 3))
    for _ in range(_MOST_DRAWS):
        if len(points) >= count:
            return points[:count]
        drawn = generator.uniform(settings.low_m, settings.high_m, (max(count, 16), 3))
        points = np.concatenate([points, drawn[inside(drawn)]])
    raise ConfigError(
        f'target: no point of the box {settings.low_m} to {settings.high_m} lies between '
        f'{settings.near_m} and {settings.far_m} m from {settings.centre_m}'
    )


def shell(settings: TargetGroup) -> Callable[[Array], Array]:
    """Return a function that tells which points [N, 3] are within the distances from the centre."""

    def inside(points: Array) -> Array:
        distance = np.linalg.norm(points - np.array(settings.centre_m), axis=1)
        return np.asarray((distance >= settings.near_m) & (distance <= settings.far_m))

    return inside


def check_targets(settings: TargetGroup, low: Array, high: Array) -> None:
    """Check that targets are within the workspace.

    Args:
        settings: of the targets.
        low: lowest corner of the workspace [3, m].
        high: highest corner [3, m].

    Raises:
        ConfigError: a point of the list, or a corner of the box, is not.
    """
    if settings.source == 'topic':
        return
    points = np.array(
        np.reshape(settings.points_m, (-1, 3))
        if settings.source == 'list'
        else [settings.low_m, settings.high_m]
    )
    if (points < low).any() or (points > high).any():
        raise ConfigError(
            f'targets reach from {points.min(axis=0)} to {points.max(axis=0)} m, the workspace '
            f'from {low} to {high} m: targets must be within'
        )
