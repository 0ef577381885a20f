"""Distance of an arm from itself, measured by MuJoCo between its shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError, ShapeError, closest
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.couplings import Posing, chain_of, joints_of
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.motion_bounds import by_command, motion_bound_of_each

# Largest distance of interest [m].
FAR_M = 0.25
# Random poses that show which pairs of shapes can come near one another.
_SAMPLES = 1000
# For links at most this many joints apart, 1,000 poses cover all angles between them. A pair that
# never touches in them is left out.
_NEIGHBOURS = 2


class Clearance:
    """Smallest distance between links that are not adjacent.

    Pairs of shapes are chosen once, from random poses within the limits, as MoveIt's setup
    assistant does. Four kinds of pairs are left out: shapes of one link or of adjacent links; pairs
    that the model excludes or that do not collide; pairs whose distance no commanded joint changes;
    and pairs that never come near in any pose. For links two joints apart "near" means that they
    touch, for all others that they are nearer than ``far_m``.

    Args:
        model: the arm; its shapes that collide with nothing do not count.
        far_m: largest distance of interest [m]; greater distances are returned as this one.
        touching: pairs of links that may touch and are not compared.

    Raises:
        ConfigError: a link of ``touching`` is not in the model.
    """

    def __init__(
        self, model: ArmModel, far_m: float = FAR_M, touching: Sequence[tuple[str, str]] = ()
    ) -> None:
        self._mujoco = load_mujoco()
        self._model, self._mj = model, model.mj
        self._pose = Posing(model.mj, model.couplings)
        self._data = self._pose.data
        self._far = far_m
        self._touching = {frozenset(pair) for pair in touching}
        links = [model.mj.body(number).name for number in range(model.mj.nbody)]
        for name in sorted({name for pair in touching for name in pair} - set(links)):
            raise ConfigError(f'touching: the model has no link {name!r}{closest(name, links)}')
        self._always: list[tuple[str, str]] = []
        self._pairs = self._near(model, self._candidates())

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names of the shapes that are compared."""
        return [(self._mj.geom(a).name, self._mj.geom(b).name) for a, b, _ in self._pairs]

    @property
    def always(self) -> list[tuple[str, str]]:
        """Pairs of links that are compared although their shapes overlap in every pose."""
        return list(dict.fromkeys(self._always))

    @property
    def links(self) -> list[tuple[str, str]]:
        """The links of each of ``pairs``."""
        return [self._links(one, other) for one, other, _ in self._pairs]

    def __call__(self, position: NDArray[Any]) -> Float64:
        """Return the smallest distance within the arm at each pose.

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
                # Two shapes whose bounding spheres are further apart than ``least`` cost next to
                # nothing.
                least = min(least, distance(mj, data, one, other, least, None))
            out[number] = least
        return out

    def distances(self, position: NDArray[Any], asked: NDArray[np.bool_]) -> Float64:
        """Return the distance of each of P ``pairs`` at each pose.

        Args:
            position: joint positions [N, J].
            asked: which pairs to measure at each pose [N, P].

        Returns:
            [N, P], m, at most ``far_m``; NaN for pairs that are not asked for.

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
        """Return the most by which each joint changes each pair's distance [P, J], m/rad or m/m.

        The bound comes from ``nrl_ros.robots.arm.motion_bounds``.
        """
        rates = np.zeros((len(self._pairs), self._model.size))
        for number, (one, other, _) in enumerate(self._pairs):
            # A joint that moves both shapes does not change their distance.
            only_one = np.where(self._moves(other), 0.0, self._motion_bound(one))
            only_other = np.where(self._moves(one), 0.0, self._motion_bound(other))
            rates[number] = by_command(self._model, only_one + only_other)
        return rates

    def _checked(self, position: NDArray[Any]) -> Float64:
        values = np.asarray(position, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != self._model.size:
            raise ShapeError(
                f'joint positions: expected [N, {self._model.size}], received {values.shape}'
            )
        return values

    def _motion_bound(self, geom: int) -> Float64:
        """Return the most by which each joint of the model moves a point of a shape [N]."""
        body = int(self._mj.geom_bodyid[geom])
        radius = float(self._mj.geom_rbound[geom])
        return motion_bound_of_each(self._model, body, self._mj.geom_pos[geom], radius)

    def _moves(self, geom: int) -> NDArray[np.bool_]:
        """Return which joints of the model move a shape [N], as a mask; followers count."""
        moves = np.zeros(self._mj.njnt, np.bool_)
        for body in chain_of(self._mj, int(self._mj.geom_bodyid[geom])):
            moves[joints_of(self._mj, body)] = True
        return np.asarray(moves & self._model.couplings.moving)

    def _links(self, one: int, other: int) -> tuple[str, str]:
        first, second = (
            self._mj.body(int(self._mj.geom_bodyid[geom])).name for geom in (one, other)
        )
        return first, second

    def _may_touch(self, one: int, other: int) -> bool:
        """Return whether to leave out a pair: it may touch, or no joint changes its distance."""
        if frozenset(self._links(one, other)) in self._touching:
            return True
        return bool((self._moves(one) == self._moves(other)).all())

    def _candidates(self) -> list[tuple[int, int, int]]:
        """Return pairs of shapes that could collide, with the number of moving links between."""
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
                if apart <= 1 or not collide or flat or (first << 16) + second in excluded:
                    continue
                if not self._may_touch(one, other):
                    found.append((one, other, apart))
        return found

    def _apart(self, first: int, second: int) -> int:
        """Count the moving links from one body to another; 1 for a link and its parent."""
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
        least, most = np.full(len(candidates), np.inf), np.full(len(candidates), -np.inf)
        for pose in poses if candidates else ():
            self._pose(pose)
            for number, (one, other, _) in enumerate(candidates):
                value = self._mujoco.mj_geomDistance(
                    self._mj, self._data, one, other, self._far, None
                )
                least[number], most[number] = min(least[number], value), max(most[number], value)
        self._always = [
            self._links(pair[0], pair[1])
            for pair, value in zip(candidates, most, strict=True)
            if value < 0.0
        ]
        kept = [
            pair
            for pair, value in zip(candidates, least, strict=True)
            if value < (0.0 if pair[2] <= _NEIGHBOURS else self._far)
        ]
        # The pairs that come nearest are first, so that bounding spheres exclude most of the
        # others.
        order = {pair: value for pair, value in zip(candidates, least, strict=True)}
        return sorted(kept, key=order.__getitem__)


def without_shape(model: ArmModel) -> list[str]:
    """Return the links that have a body but no shape that is compared; nothing watches them.

    Links that are fixed to one another count as one. Frames without a body do not count.
    """
    mj = model.mj
    has_shape = _links_with_shapes(mj)
    seen = {int(mj.geom_bodyid[geom]) for geom in range(mj.ngeom)}
    found: dict[int, str] = {}
    for body in range(mj.nbody):
        name, link = mj.body(body).name, int(mj.body_weldid[body])
        is_body = name in model.source.shaped if model.source.is_urdf else body in seen
        if is_body and link not in has_shape:
            found.setdefault(link, name or f'body {body}')
    return list(found.values())


def count_of_links(model: ArmModel) -> int:
    """Count the links with shapes to compare; links that are fixed to one another count as one."""
    return len(_links_with_shapes(model.mj))


def _links_with_shapes(mj: Any) -> set[int]:
    collide = (mj.geom_contype != 0) | (mj.geom_conaffinity != 0)
    return {int(mj.body_weldid[mj.geom_bodyid[geom]]) for geom in np.flatnonzero(collide)}
