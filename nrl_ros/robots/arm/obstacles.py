"""What stands around an arm and does not move: its distance from the arm's shapes.

Obstacles stand in the robot's description. They are added to a model of their own, so that MuJoCo
measures them; the arm's model, from which its other distances come, stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nrl_ros.base.errors import ConfigError, closest
from nrl_ros.base.records import Float64
from nrl_ros.base.settings import Settings
from nrl_ros.robots.arm.chain_parts import Pose, frame_pose, inverse, matrix_of
from nrl_ros.robots.arm.couplings import Posing, chain_of, joints_of
from nrl_ros.robots.arm.engine import collides, flat_kinds, load_mujoco
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.motion_bounds import by_command, motion_bound_of_each
from nrl_ros.robots.arm.rotations import quaternions_of

Point = tuple[float, float, float]

# Greater distances are returned as this one [m].
FAR_M = 0.25
# Begins the name of an obstacle's shape in the model.
PREFIX = 'nrl_obstacle_'
_TABLE_M = 0.1
# By shape: what its numbers mean.
_SIZES = {
    'box': ('length x', 'y', 'z'),
    'sphere': ('radius',),
    'capsule': ('radius', 'length between the centres of its ends'),
    'cylinder': ('radius', 'length'),
    'table': ('length x', 'y'),
}


class Obstacle(Settings):
    """Something that stands beside the arm."""

    name: str = Field(
        pattern=r'^[A-Za-z][A-Za-z0-9_]{0,63}$', description='Its name, which messages say'
    )
    shape: Literal['box', 'sphere', 'capsule', 'cylinder', 'table'] = Field(
        description='Capsules and cylinders lie along z; a table is a box below its top'
    )
    size_m: tuple[float, ...] = Field(
        description='box: x, y, z; sphere: radius; capsule, cylinder: radius, length; table: x, y'
    )
    position_m: Point = Field(description="Its middle; a table's: of its top")
    rpy_rad: Point = Field((0.0, 0.0, 0.0), description='Its roll, pitch and yaw, as in a URDF')
    frame: str = Field(
        '', description="Link or site that no joint moves, in whose frame it is; empty: workspace's"
    )
    touching: tuple[str, ...] = Field((), description='Links that may touch it: not compared')
    observed: bool = Field(
        True, description='Whether it takes one of the places of observation.obstacles'
    )

    @model_validator(mode='after')
    def _fits(self) -> Obstacle:
        expected = _SIZES[self.shape]
        if len(self.size_m) != len(expected) or min(self.size_m) <= 0.0:
            raise ValueError(
                f'obstacle {self.name!r}: size_m of a {self.shape} holds {", ".join(expected)}, '
                f'all above 0, received {list(self.size_m)}'
            )
        return self


class Obstacles:
    """Distances of an arm's links from what stands around it.

    Each obstacle is compared with each shape of each link that commanded joints move.

    Attributes:
        mj: the compiled model of both.
        data: of ``mj``, posed as it was measured last.

    Args:
        model: the arm; its shapes that collide with nothing do not count.
        obstacles: what stands around it.
        frame: of the workspace.
        least_m: least allowed distance, above 0.
        still: compare with links that no commanded joint moves too.

    Raises:
        ConfigError: two of one name, an unknown link or frame, or an arm without shapes.
    """

    def __init__(
        self,
        model: ArmModel,
        obstacles: Sequence[Obstacle],
        frame: str,
        least_m: float,
        *,
        still: bool = False,
    ) -> None:
        self._mujoco = load_mujoco()
        self._model, self._least, self._still = model, least_m, still
        names = [obstacle.name for obstacle in obstacles]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f'obstacles: {name!r} is there twice; give each a name')
        self.mj = self._mj = surrounded(model, obstacles, frame).compile()
        self._pose = Posing(self._mj, model.couplings)
        self.data = self._pose.data
        self._pairs = self._compared(obstacles)

    @property
    def names(self) -> list[tuple[str, str]]:
        """Link and obstacle of each of the P pairs that are compared."""
        return [(self._link(geom), obstacle) for geom, _, obstacle in self._pairs]

    def violation(
        self,
        position: NDArray[Any],
        asked: NDArray[np.bool_] | None = None,
        posed: Callable[[int], None] | None = None,
    ) -> Float64:
        """Return by how much each pair is too near, <= 0: far enough.

        Args:
            position: joint positions [N, J].
            asked: which pairs to measure at each pose [N, P]; None: all.
            posed: called with the number of each pose that is measured, when ``data`` has it.

        Returns:
            [N, P], m; any number for pairs that are not asked for.
        """
        values = np.asarray(position, np.float64)
        which = np.ones((len(values), len(self._pairs)), np.bool_) if asked is None else asked
        out = np.full(which.shape, -np.inf)
        distance, mj, data = self._mujoco.mj_geomDistance, self._mj, self.data
        newest = -1
        for number, pair in np.argwhere(which).tolist():
            if number != newest:
                self._pose(values[number])
                newest = number
                if posed is not None:
                    posed(number)
            geom, other, _ = self._pairs[pair]
            out[number, pair] = self._least - distance(mj, data, geom, other, FAR_M, None)
        return out

    def worst(self, position: NDArray[Any]) -> Float64:
        """Return by how much the nearest pair is too near at positions [N, J]: [N], m."""
        return np.asarray(self.violation(position).max(axis=1))

    def too_near(self, position: Float64) -> dict[tuple[str, str], float]:
        """Return what is too near at joint positions [J]: distances [m] by link and obstacle."""
        near: dict[tuple[str, str], float] = {}
        for names, by in zip(self.names, self.violation(position[None])[0].tolist(), strict=True):
            if not by <= 0.0:
                near[names] = min(self._least - by, near.get(names, np.inf))
        return near

    def nearest(self, position: Float64) -> tuple[tuple[str, str], float]:
        """Return link and obstacle that are nearest at joint positions [J], and how near [m]."""
        by = self.violation(position[None])[0]
        at = int(by.argmax())
        return self.names[at], self._least - float(by[at])

    def rates(self) -> Float64:
        """Return the most by which each joint changes each pair's distance [P, J], m/rad or m/m."""
        mj, rates = self._mj, np.zeros((len(self._pairs), self._model.size))
        for number, (geom, _, _) in enumerate(self._pairs):
            body, radius = int(mj.geom_bodyid[geom]), float(mj.geom_rbound[geom])
            bounds = motion_bound_of_each(self._model, body, mj.geom_pos[geom], radius)
            rates[number] = by_command(self._model, bounds)
        return rates

    def _link(self, geom: int) -> str:
        return str(self._mj.body(int(self._mj.geom_bodyid[geom])).name)

    def _compared(self, obstacles: Sequence[Obstacle]) -> list[tuple[int, int, str]]:
        """Return shape of the arm, shape of the obstacle, and its name, of each pair."""
        mj, solid, flat = self._mj, collides(self._mj), flat_kinds()
        links = [str(mj.body(number).name) for number in range(mj.nbody)]
        moving = [
            geom
            for geom in range(mj.ngeom)
            if solid[geom]
            and int(mj.geom_type[geom]) not in flat
            and not str(mj.geom(geom).name).startswith(PREFIX)
            and (self._still or self._is_moved(int(mj.geom_bodyid[geom])))
        ]
        if not moving:
            raise ConfigError(
                'obstacles: no moving link of the arm has a shape, so that nothing would keep it '
                'from them; give its links collision shapes'
            )
        pairs = []
        for obstacle in obstacles:
            for name in sorted(set(obstacle.touching) - set(links)):
                raise ConfigError(
                    f'obstacle {obstacle.name!r}: touching: the model has no link {name!r}'
                    f'{closest(name, links)}'
                )
            other = mj.geom(geom_name(obstacle)).id
            pairs += [
                (geom, other, obstacle.name)
                for geom in moving
                if self._link(geom) not in obstacle.touching
            ]
        if not pairs:
            raise ConfigError('obstacles: touching leaves no link of the arm to be kept from them')
        return pairs

    def _is_moved(self, body: int) -> bool:
        moving = self._model.couplings.moving
        return any(
            moving[joint]
            for link in chain_of(self._mj, body)
            for joint in joints_of(self._mj, link)
        )


def surrounded(model: ArmModel, obstacles: Sequence[Obstacle], frame: str) -> Any:
    """Return a ``mujoco.MjSpec`` of an arm and what stands around it.

    Args:
        model: the arm.
        obstacles: what stands around it.
        frame: of the workspace.

    Raises:
        ConfigError: an obstacle is in an unknown frame.
    """
    spec = model.source.spec()
    for obstacle in obstacles:
        _add(spec, obstacle, frame_pose(model, obstacle.frame or frame))
    return spec


def geom_name(obstacle: Obstacle) -> str:
    """Return the name of an obstacle's shape; the prefix keeps it apart from the arm's own."""
    return f'{PREFIX}{obstacle.name}'


def box_around(model: ArmModel, obstacle: Obstacle, frame: str) -> Float64:
    """Return the box around an obstacle along the axes of the workspace.

    Args:
        model: the arm.
        obstacle: what stands beside it.
        frame: of the workspace.

    Returns:
        Its middle and its half lengths [2, 3, m].

    Raises:
        ConfigError: the obstacle is in an unknown frame.
    """
    shape, sizes, pose = _placed(obstacle, frame_pose(model, obstacle.frame or frame))
    pose = inverse(frame_pose(model, frame)) @ pose
    along = np.abs(pose.rotation[:, 2])
    if shape == 'box':
        half = np.abs(pose.rotation) @ sizes
    elif shape == 'cylinder':
        half = sizes[1] * along + sizes[0] * np.sqrt(np.maximum(1.0 - along**2, 0.0))
    else:
        half = sizes[0] + (sizes[1] if shape == 'capsule' else 0.0) * along
    return np.stack([pose.translation, half])


def _placed(obstacle: Obstacle, frame: Pose) -> tuple[str, list[float], Pose]:
    """Return an obstacle's shape as MuJoCo has it, with half lengths and radii, and its pose."""
    mujoco, shape, size = load_mujoco(), obstacle.shape, list(obstacle.size_m)
    turn = np.zeros(4)
    mujoco.mju_euler2Quat(turn, np.array(obstacle.rpy_rad), 'XYZ')
    pose = frame @ Pose(matrix_of(turn), np.array(obstacle.position_m))
    if shape == 'table':
        size.append(_TABLE_M)
        pose @= Pose(translation=np.array([0.0, 0.0, -_TABLE_M / 2.0]))
    # MuJoCo takes half lengths, and radii as they are.
    lengths = {'box': 0, 'table': 0, 'sphere': 1, 'capsule': 1, 'cylinder': 1}[shape]
    halves = [*size[:lengths], *(0.5 * length for length in size[lengths:])]
    return 'box' if shape == 'table' else shape, halves, pose


def _add(spec: Any, obstacle: Obstacle, frame: Pose) -> None:
    """Add an obstacle to the world of a model."""
    shape, halves, pose = _placed(obstacle, frame)
    x, y, z, w = quaternions_of(pose.rotation[None])[0]
    spec.worldbody.add_geom(
        name=geom_name(obstacle),
        type=getattr(load_mujoco().mjtGeom, f'mjGEOM_{shape.upper()}'),
        size=[*halves, *[0.0] * (3 - len(halves))],
        pos=pose.translation,
        quat=[w, x, y, z],
        # MuJoCo would drop a shape that collides with nothing from the model of a URDF.
        contype=1,
        conaffinity=0,
    )
