"""How far an arm is from touching itself, through MuJoCo's distances between shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.arm.model import ArmModel, chain_of, joints_of, load_mujoco
from nrl_ros.arm.sweep import sweep
from nrl_ros.core.errors import ShapeError
from nrl_ros.core.types import Float64

# Poses that say which pairs of shapes can come near one another.
_SAMPLES = 1000
# Links so few joints apart are tried at all angles between them by that many poses.
_NEIGHBOURS = 2


class Clearance:
    """Smallest distance between links that are no neighbours.

    Pairs of shapes are chosen once, as MoveIt's setup assistant does by random poses within the
    limits: left out are shapes of one link and of adjacent ones, pairs that the model excludes or
    gives no collision, those of links two joints apart that never touch, and those of any others
    that never come nearer than ``far_m``.

    Args:
        model: the arm; its shapes that collide with nothing do not count.
        far_m: largest distance of interest [m]; greater ones are given as this.
    """

    def __init__(self, model: ArmModel, far_m: float = 0.25) -> None:
        self._mujoco = load_mujoco()
        self._model, self._mj = model, model.mj
        self._data = self._mujoco.MjData(model.mj)
        self._far = far_m
        self._address = [int(model.mj.joint(name).qposadr[0]) for name in model.joints]
        self._pairs = self._near(model, self._candidates())

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names of the shapes that are compared."""
        return [(self._mj.geom(a).name, self._mj.geom(b).name) for a, b, _ in self._pairs]

    def __call__(self, position: NDArray[Any]) -> Float64:
        """Clearance of poses.

        Args:
            position: joint positions [N, J].

        Returns:
            [N], m: negative where links lie in one another, at most ``far_m``.

        Raises:
            ShapeError: not an array [N, J].
        """
        values = self._checked(position)
        out = np.empty(len(values))
        distance, mj, data = self._mujoco.mj_geomDistance, self._mj, self._data
        for number, pose in enumerate(values):
            self._pose(pose)
            least = self._far
            for one, other, _ in self._pairs:
                # Shapes whose surrounding spheres are further apart than that cost next to nothing.
                least = min(least, distance(mj, data, one, other, least, None))
            out[number] = least
        return out

    def distances(self, position: NDArray[Any], asked: NDArray[np.bool_]) -> Float64:
        """Distance of each of P ``pairs``.

        Args:
            position: joint positions [N, J].
            asked: which pairs of each pose are asked for [N, P].

        Returns:
            [N, P], m, at most ``far_m``; NaN of those that are not asked for.

        Raises:
            ShapeError: not an array [N, J].
        """
        values = self._checked(position)
        out = np.full(asked.shape, np.nan)
        distance, mj, data = self._mujoco.mj_geomDistance, self._mj, self._data
        posed = -1
        for number, pair in np.argwhere(asked).tolist():
            if number != posed:
                self._pose(values[number])
                posed = number
            one, other, _ = self._pairs[pair]
            out[number, pair] = distance(mj, data, one, other, self._far, None)
        return out

    def rates(self) -> Float64:
        """The most by which each joint changes the distance of each pair [P, J], m/rad or m/m.

        See ``nrl_ros.arm.sweep``.
        """
        rates = np.zeros((len(self._pairs), len(self._address)))
        for number, (one, other, _) in enumerate(self._pairs):
            # What moves both does not change how they lie to one another.
            only_one = np.where(self._moves(other), 0.0, self._sweep(one))
            rates[number] = only_one + np.where(self._moves(one), 0.0, self._sweep(other))
        return rates

    def _checked(self, position: NDArray[Any]) -> Float64:
        values = np.asarray(position, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self._address):
            raise ShapeError(
                f'joint positions: expected [N, {len(self._address)}], received {values.shape}'
            )
        return values

    def _pose(self, pose: Float64) -> None:
        self._data.qpos[self._address] = pose
        self._mujoco.mj_kinematics(self._mj, self._data)

    def _sweep(self, geom: int) -> Float64:
        """The most by which each joint moves a point of a shape [J]."""
        body = int(self._mj.geom_bodyid[geom])
        radius = float(self._mj.geom_rbound[geom])
        return sweep(self._model, body, self._mj.geom_pos[geom], radius)

    def _moves(self, geom: int) -> NDArray[np.bool_]:
        """Which joints move a shape [J]."""
        chain = chain_of(self._mj, int(self._mj.geom_bodyid[geom]))
        names = {self._mj.joint(j).name for body in chain for j in joints_of(self._mj, body)}
        return np.array([name in names for name in self._model.joints])

    def _candidates(self) -> list[tuple[int, int, int]]:
        """Pairs of shapes that could collide, and how many moving links lie between them."""
        mj = self._mj
        kinds = self._mujoco.mjtGeom
        without = {int(kinds.mjGEOM_PLANE), int(kinds.mjGEOM_HFIELD)}
        excluded = {int(signature) for signature in mj.exclude_signature}
        found = []
        for one in range(mj.ngeom):
            for other in range(one + 1, mj.ngeom):
                first, second = sorted((int(mj.geom_bodyid[one]), int(mj.geom_bodyid[other])))
                apart = self._apart(first, second)
                collide = (mj.geom_contype[one] & mj.geom_conaffinity[other]) or (
                    mj.geom_contype[other] & mj.geom_conaffinity[one]
                )
                flat = {int(mj.geom_type[one]), int(mj.geom_type[other])} & without
                if apart > 1 and collide and not flat and (first << 16) + second not in excluded:
                    found.append((one, other, apart))
        return found

    def _apart(self, first: int, second: int) -> int:
        """Number of moving links from one body to another; 1 for a link and what it hangs on."""
        mj = self._mj

        def path(body: int) -> list[int]:
            links = [0]
            while mj.body_weldid[body]:
                body = int(mj.body_weldid[body])
                links.insert(1, body)
                body = int(mj.body_parentid[body])
            return links

        one, other = path(first), path(second)
        shared = sum(a == b for a, b in zip(one, other, strict=False))
        return len(one) + len(other) - 2 * shared

    def _near(
        self, model: ArmModel, candidates: list[tuple[int, int, int]]
    ) -> list[tuple[int, int, int]]:
        low = np.maximum(model.position_low, -np.pi)
        high = np.minimum(model.position_high, np.pi)
        poses = np.random.default_rng(0).uniform(low, high, (_SAMPLES, model.size))
        least = np.full(len(candidates), np.inf)
        for pose in poses:
            self._data.qpos[self._address] = pose
            self._mujoco.mj_kinematics(self._mj, self._data)
            for number, (one, other, _) in enumerate(candidates):
                value = self._mujoco.mj_geomDistance(
                    self._mj, self._data, one, other, self._far, None
                )
                least[number] = min(least[number], value)
        kept = [
            pair
            for pair, value in zip(candidates, least, strict=True)
            if value < (0.0 if pair[2] <= _NEIGHBOURS else self._far)
        ]
        # The nearest first, so that the others are mostly settled by their surrounding spheres.
        order = {pair: value for pair, value in zip(candidates, least, strict=True)}
        return sorted(kept, key=order.__getitem__)
