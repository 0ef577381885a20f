"""Distance of an arm from itself, measured by MuJoCo between its shapes."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ShapeError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.couplings import Posing
from nrl_ros.robots.arm.engine import collides, load_mujoco
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.motion_bounds import by_command, motion_bound_of_each
from nrl_ros.robots.arm.shape_pairs import choose_pairs, link_name, moves
from nrl_ros.robots.arm.slices import in_slices

# Largest distance of interest [m].
FAR_M = 0.25


class Clearance:
    """Smallest distance between links that are not neighbours.

    ``shape_pairs`` says which pairs of shapes are compared.

    Args:
        model: the arm; its shapes that collide with nothing do not count.
        far_m: largest distance of interest [m]; greater distances are returned as this one.
        excluded: pairs of links that are not compared; those that the model has not do not count.
        least_m: clearance that is to be kept [m]; pairs that are nearer in every pose are left out.
    """

    def __init__(
        self,
        model: ArmModel,
        far_m: float = FAR_M,
        excluded: Sequence[tuple[str, str]] = (),
        least_m: float = 0.0,
    ) -> None:
        self._mujoco = load_mujoco()
        self._model = model
        self._far = far_m
        self.choice = choose_pairs(model, {frozenset(pair) for pair in excluded}, far_m, least_m)
        self._measure(model.mj, list(self.choice.shapes))

    def _measure(self, mj: Any, pairs: list[tuple[int, int]]) -> None:
        self._mj, self._pairs = mj, pairs
        self._pose = Posing(mj, self._model.couplings)
        self._data = self._pose.data

    @cached_property
    def sliced(self) -> Clearance:
        """The same clearance with long meshes in slices: more pairs, of which fewer are near."""
        mj, slices = in_slices(self._model.mj, self._model.source)
        other = copy.copy(self)
        pairs = [itertools.product(slices[a], slices[b]) for a, b in self._pairs]
        other._measure(mj, list(itertools.chain.from_iterable(pairs)))
        return other

    @property
    def compiled(self) -> Any:
        """The compiled model whose shapes are compared."""
        return self._mj

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Numbers in ``compiled`` of the shapes that are compared."""
        return list(self._pairs)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names of the shapes that are compared."""
        return [(self._mj.geom(a).name, self._mj.geom(b).name) for a, b in self._pairs]

    @property
    def links(self) -> list[tuple[str, str]]:
        """The links of each of ``pairs``."""
        return [self._links(one, other) for one, other in self._pairs]

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
            for one, other in self._pairs:
                # Two shapes whose bounding spheres are further apart than ``least`` cost next to
                # nothing.
                least = min(least, distance(mj, data, one, other, least, None))
            out[number] = least
        return out

    def distances(self, position: NDArray[Any], asked: NDArray[np.bool_] | None = None) -> Float64:
        """Return the distance of each of P ``pairs`` at each pose.

        Args:
            position: joint positions [N, J].
            asked: which pairs to measure at each pose [N, P]; None: all.

        Returns:
            [N, P], m, at most ``far_m``; NaN for pairs that are not asked for.

        Raises:
            ShapeError: not an array [N, J].
        """
        values = self._checked(position)
        which = np.ones((len(values), len(self._pairs)), np.bool_) if asked is None else asked
        out = np.full(which.shape, np.nan)
        distance, mj, data = self._mujoco.mj_geomDistance, self._mj, self._data
        posed = -1
        for number, pair in np.argwhere(which).tolist():
            if number != posed:
                self._pose(values[number])
                posed = number
            one, other = self._pairs[pair]
            out[number, pair] = distance(mj, data, one, other, self._far, None)
        return out

    def rates(self) -> Float64:
        """Return the most by which each joint changes each pair's distance [P, J], m/rad or m/m.

        The bound comes from ``nrl_ros.robots.arm.motion_bounds``.
        """
        rates = np.zeros((len(self._pairs), self._model.size))
        for number, (one, other) in enumerate(self._pairs):
            # A joint that moves both shapes does not change their distance.
            only_one = np.where(moves(self._model, self._mj, other), 0.0, self._motion_bound(one))
            only_other = np.where(moves(self._model, self._mj, one), 0.0, self._motion_bound(other))
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

    def _links(self, one: int, other: int) -> tuple[str, str]:
        first, second = sorted(int(self._mj.geom_bodyid[geom]) for geom in (one, other))
        return link_name(self._model, first), link_name(self._model, second)


def without_shape(model: ArmModel) -> list[str]:
    """Return the links that have a body but no shape that is compared; nothing watches them.

    Links that are fixed to one another count as one. Frames without a body do not count.
    """
    mj = model.mj
    has_shape = _links_with_shapes(mj)
    seen = {int(mj.geom_bodyid[geom]) for geom in range(mj.ngeom)}
    found: dict[int, str] = {}
    for body in range(mj.nbody):
        name, link = link_name(model, body), int(mj.body_weldid[body])
        is_body = name in model.source.shaped if model.source.is_urdf else body in seen
        if is_body and link not in has_shape:
            found.setdefault(link, name or f'body {body}')
    return list(found.values())


def count_of_links(model: ArmModel) -> int:
    """Count the links with shapes to compare; links that are fixed to one another count as one."""
    return len(_links_with_shapes(model.mj))


def _links_with_shapes(mj: Any) -> set[int]:
    return {int(mj.body_weldid[mj.geom_bodyid[geom]]) for geom in np.flatnonzero(collides(mj))}
