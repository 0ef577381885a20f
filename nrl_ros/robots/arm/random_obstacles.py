"""Obstacles of simulated arms that are drawn anew for each episode, as a part of their guard.

Each arm has its own. MuJoCo measures them as those of a description: one model has as many shapes
as an episode has obstacles, and they are moved to where each arm has them before it is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Bool, Float64
from nrl_ros.base.settings import Settings
from nrl_ros.base.state import Stateful
from nrl_ros.robots.arm.chain_parts import frame_pose
from nrl_ros.robots.arm.description import RobotDescription
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.obstacles import FAR_M, Obstacle, Obstacles, geom_name
from nrl_ros.robots.safety.limits import Part, WorkspaceGuard

Array = NDArray[Any]

# The kinds of obstacles, by number; -1: there is none.
Kind = Literal['box', 'sphere', 'capsule']
_KINDS: tuple[Kind, ...] = get_args(Kind)
_BOX, _SPHERE, _CAPSULE = range(3)
# Draws of one obstacle until it counts as impossible: of a first episode, which finds settings that
# hardly ever fit, and of later ones, which must not end a run by bad luck.
_FIRST_DRAWS, _MOST_DRAWS = 200, 20_000


class RandomObstaclesGroup(Settings):
    """Obstacles of simulated arms, others in each episode; a real arm has those of its file."""

    most: int = Field(
        0, ge=0, le=16, description='Simulation: obstacles of an episode at most; 0: none [1]'
    )
    fewest: int = Field(
        0, ge=0, le=16, description='and at least; each episode draws how many it has [1]'
    )
    kinds: tuple[Kind, ...] = Field(
        _KINDS,
        min_length=1,
        description='What is drawn: boxes along the axes of the workspace, spheres, upright '
        'capsules',
    )
    least_size_m: float = Field(0.1, gt=0, description='Smallest side, diameter or length')
    largest_size_m: float = Field(0.2, gt=0, description='Largest side, diameter or length')
    low_m: tuple[float, ...] = Field(
        (), description='Lowest x, y, z of their middles; empty: target.low_m'
    )
    high_m: tuple[float, ...] = Field(
        (), description='Highest x, y, z of their middles; empty: target.high_m'
    )
    from_start_m: float = Field(
        0.05,
        gt=0,
        lt=FAR_M,
        description='Least distance between an obstacle and the arm where an episode starts',
    )
    from_target_m: float = Field(
        0.1, ge=0, description="Least distance between an obstacle and its episode's target"
    )

    @model_validator(mode='after')
    def _fit(self) -> RandomObstaclesGroup:
        if self.fewest > self.most:
            raise ValueError(
                f'obstacles.random.fewest {self.fewest} must not be above most {self.most}'
            )
        if self.least_size_m > self.largest_size_m:
            raise ValueError(
                f'obstacles.random.least_size_m {self.least_size_m} must not be above '
                f'largest_size_m {self.largest_size_m}'
            )
        for name in ('low_m', 'high_m'):
            if len(getattr(self, name)) not in (0, 3):
                raise ValueError(
                    f'obstacles.random.{name} must hold x, y, z, received {getattr(self, name)}'
                )
        return self


class ObstaclesGroup(Settings):
    """Obstacles beside those of the robot's description."""

    random: RandomObstaclesGroup = RandomObstaclesGroup()


@dataclass
class RandomObstaclesState:
    """What decides the obstacles of B arms, K of each at most.

    Attributes:
        random: draws them.
        kind: number of ``_KINDS``; -1: there is none [B, K].
        box: middle and half lengths of the box around each, in the frame of the workspace; all 0
            where there is none [B, K, 2, 3, m].
        drawn: whether any episode has begun.
    """

    random: np.random.Generator
    kind: NDArray[np.int64]
    box: Float64
    drawn: bool = False


class RandomObstacles(Stateful):
    """Obstacles of B arms, drawn for each episode.

    Args:
        model: the arm.
        description: of the robot.
        settings: what is drawn.
        region: lowest and highest corner of the box of targets [2, 3, m].
        arms: B.

    Raises:
        ConfigError: the region is empty or outside of the workspace, or the arm has no shapes.
    """

    def __init__(
        self,
        model: ArmModel,
        description: RobotDescription,
        settings: RandomObstaclesGroup,
        region: Float64,
        arms: int,
    ) -> None:
        box = description.workspace
        self._settings, self._least = settings, box.obstacle_distance_m
        self._start_m = max(settings.from_start_m, box.obstacle_distance_m)
        self._low = np.array(settings.low_m or region[0])
        self._high = np.array(settings.high_m or region[1])
        if (self._low > self._high).any() or not (
            (self._low >= box.low_m).all() and (self._high <= box.high_m).all()
        ):
            raise ConfigError(
                f'obstacles.random: low_m {self._low.tolist()} to high_m {self._high.tolist()}, '
                f'expected a box within the workspace from {box.low_m} to {box.high_m} m'
            )
        slots = [
            Obstacle(name=f'random{slot + 1}', shape='sphere', size_m=(1.0,), position_m=(0, 0, 0))
            for slot in range(settings.most)
        ]
        self._shapes = shapes = Obstacles(model, slots, box.frame, self._least, still=True)
        names = [slot.name for slot in slots]
        self._slot = np.array([names.index(name) for _, name in shapes.names])
        self._frame = frame_pose(model, box.frame)
        self._placing = _Placing(shapes, [geom_name(slot) for slot in slots])
        self._kinds = np.array([_KINDS.index(kind) for kind in settings.kinds])
        self.state: RandomObstaclesState = RandomObstaclesState(
            random=np.random.default_rng(0),
            kind=np.full((arms, settings.most), -1, np.int64),
            box=np.zeros((arms, settings.most, 2, 3)),
        )

    @property
    def names(self) -> list[tuple[str, str]]:
        """Link and place of each of the P pairs of shapes that are compared."""
        return self._shapes.names

    def added_to(self, guard: WorkspaceGuard) -> WorkspaceGuard:
        """Return a guard that watches these obstacles too, those of each arm for that arm."""
        part = Part(self.violation, self._shapes.rates(), of_arms=True)
        return replace(guard, parts=(*guard.parts, part))

    def seed(self, seed: list[int]) -> None:
        """Seed what draws obstacles; the next episodes count as the first."""
        self.state.random, self.state.drawn = np.random.default_rng(seed), False

    def clear(self, which: Bool) -> None:
        """Take the obstacles of some arms [B] away."""
        self.state.kind[which] = -1
        self.state.box[which] = 0.0

    def violation(self, position: Array, asked: Array, arms: Array) -> Float64:
        """Return by how much arms are too near to their own obstacles, <= 0: far enough.

        Args:
            position: joint positions [N, J].
            asked: which pairs of shapes to measure [N, P].
            arms: the number of each [N].

        Returns:
            [N, P], m; minus infinity for obstacles that are not there.
        """
        kind, box = self.state.kind, self.state.box
        there = asked & (kind[arms] >= 0)[:, self._slot]
        middle = box[arms, :, 0] @ self._frame.rotation.T + self._frame.translation
        self._placing.take(kind[arms], middle, box[arms, :, 1])
        return self._shapes.violation(position, there, self._placing)

    def draw(self, which: Bool, positions: Float64, target: Float64) -> None:
        """Draw obstacles for episodes that begin.

        Args:
            which: arms whose episodes begin [B].
            positions: P positions of each arm that they must leave free [P, B, J].
            target: of each arm [B, 3].

        Raises:
            ConfigError: there is hardly any room for them.
        """
        state, settings = self.state, self._settings
        self.clear(which)
        arms = np.flatnonzero(which)
        counts = state.random.integers(settings.fewest, settings.most + 1, len(arms))
        wanted = np.argwhere(np.arange(settings.most) < counts[:, None])
        arm, slot = arms[wanted[:, 0]], wanted[:, 1]
        for _ in range(_MOST_DRAWS if state.drawn else _FIRST_DRAWS):
            if not len(arm):
                break
            self._try(arm, slot)
            free = self._far_from(arm, slot, target[arm])
            tried = np.flatnonzero(free)
            free[tried] = self._clear_of(arm[tried], slot[tried], positions)
            arm, slot = arm[~free], slot[~free]
            state.kind[arm, slot] = -1
            state.box[arm, slot] = 0.0
        if len(arm):
            raise self._no_room(int(arm[0]), target)
        state.drawn = True

    def _no_room(self, arm: int, target: Float64) -> ConfigError:
        settings = self._settings
        return ConfigError(
            f'obstacles.random: no place found for one of {settings.most} obstacles of arm {arm}, '
            f'{settings.least_size_m} to {settings.largest_size_m} m large, in '
            f'{self._low.tolist()} to {self._high.tolist()} m, {self._start_m} m from the arm at '
            f'its start and {settings.from_target_m} m from its target '
            f'{target[arm].round(3).tolist()}: lower most, the sizes or the distances, or widen '
            'low_m and high_m'
        )

    def _try(self, arm: Array, slot: Array) -> None:
        """Draw an obstacle for each of these places."""
        state, settings, count = self.state, self._settings, len(arm)
        kind = self._kinds[state.random.integers(len(self._kinds), size=count)]
        middle = state.random.uniform(self._low, self._high, (count, 3))
        sizes = settings.least_size_m, settings.largest_size_m
        half = 0.5 * state.random.uniform(*sizes, (count, 3))
        half[kind == _SPHERE, 1:] = half[kind == _SPHERE, :1]
        # The longer one of two lengths is that of a capsule, the other one its diameter.
        upright = np.sort(half[kind == _CAPSULE, :2], axis=1)
        half[kind == _CAPSULE] = upright[:, [0, 0, 1]]
        state.kind[arm, slot] = kind
        state.box[arm, slot] = np.stack([middle, half], axis=1)

    def _far_from(self, arm: Array, slot: Array, target: Float64) -> Bool:
        """Return which obstacles are far enough from targets [N, 3]."""
        kind, (middle, half) = self.state.kind[arm, slot], self.state.box[arm, slot].swapaxes(0, 1)
        # A sphere is a point with a radius, an upright capsule a line along z.
        radius = np.where(kind == _BOX, 0.0, half[:, 0])
        away = np.maximum(np.abs(target - middle) - (half - radius[:, None]), 0.0)
        far = np.linalg.norm(away, axis=1) - radius >= self._settings.from_target_m
        return np.asarray(far)

    def _clear_of(self, arm: Array, slot: Array, positions: Float64) -> Bool:
        """Return which obstacles the arms are far enough from at their positions [P, B, J]."""
        free = np.ones(len(arm), np.bool_)
        asked = self._slot == slot[:, None]
        for position in positions:
            by = self.violation(position[arm], asked, arm).max(axis=1, initial=-np.inf)
            free &= by <= self._least - self._start_m
        return free


class _Placing:
    """Moves the shapes of a model to the obstacles of an arm, for each pose that is measured.

    Args:
        shapes: measure.
        names: of the shapes that are moved [K].
    """

    def __init__(self, shapes: Obstacles, names: Sequence[str]) -> None:
        kinds, mj = load_mujoco().mjtGeom, shapes.mj
        self._types = np.array(
            [int(kinds.mjGEOM_BOX), int(kinds.mjGEOM_SPHERE), int(kinds.mjGEOM_CAPSULE)]
        )
        # MuJoCo numbers them in the order in which they were added to the world.
        first = mj.geom(names[0]).id
        to = slice(first, first + len(names))
        self._to = (mj.geom_type[to], mj.geom_size[to], mj.geom_rbound[to])
        self._place = shapes.data.geom_xpos[to]

    def take(self, kind: Array, middle: Float64, half: Float64) -> None:
        """Take the obstacles [N, K] of the poses that are measured next."""
        self._type = self._types[np.maximum(kind, 0)]
        self._middle = middle
        is_capsule = (kind == _CAPSULE)[..., None]
        # MuJoCo has a capsule's radius first, then half the length between its ends' centres.
        capsule = np.stack([half[..., 0], half[..., 2] - half[..., 0], half[..., 0]], axis=-1)
        self._size = np.where(is_capsule, capsule, half)
        length = np.linalg.norm(half, axis=-1)
        self._bound = np.where(kind == _BOX, length, half[..., 2])

    def __call__(self, number: int) -> None:
        """Move the shapes to the obstacles of a pose, whose links are placed already."""
        types, sizes, bounds = self._to
        types[:], sizes[:], bounds[:] = self._type[number], self._size[number], self._bound[number]
        self._place[:] = self._middle[number]
