"""Which pairs of an arm's shapes are compared, and which are left out for what reason."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.couplings import Posing, chain_of, joints_of
from nrl_ros.robots.arm.engine import flat_kinds, load_mujoco
from nrl_ros.robots.arm.model import ArmModel

Links = tuple[str, str]

# Random poses that show which pairs of shapes can come near one another.
_SAMPLES = 1000
# For links at most this many joints apart, 1,000 poses cover all angles between them. A pair that
# never touches in them is left out.
_NEIGHBOURS = 2
# Shapes of links that are joined closely overlap, or nearly do, in every pose: hulls fill what is
# hollow. A pair that is always nearer than this counts as touching, and one that is further apart
# does not, however large the clearance is that somebody asks for.
_TOUCHING_M = 0.01


@dataclass(frozen=True)
class PairChoice:
    """The pairs of shapes to compare, and the pairs of links with the reason if they are left out.

    Links that are neighbours are in none of the lists. A pair of links may be watched and touching,
    if it has several shapes.

    Attributes:
        shapes: numbers of both shapes of each pair that is compared; what comes nearest is first.
        watched: pairs of links with shapes that are compared.
        far: pairs that come near one another in no pose.
        touching: pairs with shapes that are left out, since they touch in every pose.
        fixed: pairs that are left out, since no commanded joint changes their distance.
        excluded: pairs that are left out, since the description says so.
        touching_share: of the sampled poses, the share in which a watched pair touches.
    """

    shapes: tuple[tuple[int, int], ...]
    watched: tuple[Links, ...]
    far: tuple[Links, ...]
    touching: tuple[Links, ...]
    fixed: tuple[Links, ...]
    excluded: tuple[Links, ...]
    touching_share: dict[Links, float]


@dataclass(frozen=True)
class _Candidate:
    """Two shapes that could collide, and the number of moving links between them."""

    one: int
    other: int
    apart: int
    links: Links


@dataclass(frozen=True)
class _Seen:
    """Distances of the candidates in sampled poses [C], m; in which share of them they touch."""

    least: Float64
    most: Float64
    share: Float64


def choose_pairs(
    model: ArmModel, excluded: Collection[frozenset[str]], far_m: float, least_m: float
) -> PairChoice:
    """Choose the pairs of shapes to compare, from random poses within the limits.

    MoveIt's setup assistant does so too. Left out are shapes of one link or of neighbours, those
    that do not collide by the model, those that the description excludes, those whose distance no
    commanded joint changes, those that touch in every pose, and those that never come near. For
    links two joints apart "near" means that they touch, for all others that they are nearer than
    ``far_m``.

    Args:
        model: the arm.
        excluded: pairs of links that are not compared.
        far_m: largest distance of interest [m].
        least_m: clearance that is to be kept [m]; pairs that are nearer in every pose, by up to
            0.01 m, touch.
    """
    fixed: list[Links] = []
    apart: list[Links] = []
    candidates = []
    for pair in _collidable(model):
        if frozenset(pair.links) in excluded:
            apart.append(pair.links)
        elif (moves(model, model.mj, pair.one) == moves(model, model.mj, pair.other)).all():
            fixed.append(pair.links)
        else:
            candidates.append(pair)
    seen = _sampled(model, candidates, far_m)
    limit = np.array([0.0 if pair.apart <= _NEIGHBOURS else far_m for pair in candidates])
    touching = seen.most < min(least_m, _TOUCHING_M)
    compared = np.flatnonzero(~touching & (seen.least < limit))
    # The pairs that come nearest are first, so that bounding spheres exclude most of the others.
    compared = compared[np.argsort(seen.least[compared], kind='stable')]
    watched = [candidates[at] for at in compared]
    near = {pair.links for pair in watched}
    share: dict[Links, float] = {}
    for at in compared:
        links = candidates[at].links
        share[links] = max(float(seen.share[at]), share.get(links, 0.0))
    left_out = [candidates[at].links for at in np.flatnonzero(touching)]
    far = [pair.links for pair in candidates if pair.links not in {*near, *left_out}]
    return PairChoice(
        shapes=tuple((pair.one, pair.other) for pair in watched),
        watched=_each_once([pair.links for pair in watched]),
        far=_each_once(far),
        touching=_each_once(left_out),
        fixed=_each_once([links for links in fixed if links not in near]),
        excluded=_each_once(apart),
        touching_share=share,
    )


def link_name(model: ArmModel, body: int) -> str:
    """Return the name of a link; MuJoCo calls the root of a URDF world."""
    return model.source.root if not body else str(model.mj.body(body).name)


def moves(model: ArmModel, mj: Any, geom: int) -> NDArray[np.bool_]:
    """Return which joints of the model move a shape [N], as a mask; followers count.

    Args:
        model: the arm.
        mj: its compiled model, or one with further shapes.
        geom: number of the shape in ``mj``.
    """
    found = np.zeros(mj.njnt, np.bool_)
    for body in chain_of(mj, int(mj.geom_bodyid[geom])):
        found[joints_of(mj, body)] = True
    return np.asarray(found & model.couplings.moving)


def _each_once(pairs: list[Links]) -> tuple[Links, ...]:
    return tuple(dict.fromkeys(pairs))


def _collidable(model: ArmModel) -> list[_Candidate]:
    """Return pairs of shapes that collide by the model, and are not those of neighbours."""
    mj, without = model.mj, flat_kinds()
    excluded = {int(signature) for signature in mj.exclude_signature}
    usable = [geom for geom in range(mj.ngeom) if int(mj.geom_type[geom]) not in without]
    found = []
    for place, one in enumerate(usable):
        for other in usable[place + 1 :]:
            first, second = sorted((int(mj.geom_bodyid[one]), int(mj.geom_bodyid[other])))
            apart = _apart(mj, first, second)
            collide = (mj.geom_contype[one] & mj.geom_conaffinity[other]) or (
                mj.geom_contype[other] & mj.geom_conaffinity[one]
            )
            if apart > 1 and collide and (first << 16) + second not in excluded:
                links = (link_name(model, first), link_name(model, second))
                found.append(_Candidate(one, other, apart, links))
    return found


def _apart(mj: Any, first: int, second: int) -> int:
    """Count the moving links from one body to another; 1 for a link and its parent."""

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


def _sampled(model: ArmModel, candidates: list[_Candidate], far_m: float) -> _Seen:
    low = np.maximum(model.position_low, -np.pi)
    high = np.minimum(model.position_high, np.pi)
    poses = np.random.default_rng(0).uniform(low, high, (_SAMPLES, model.size))
    pose, distance = Posing(model.mj, model.couplings), load_mujoco().mj_geomDistance
    found = np.empty((_SAMPLES, len(candidates)))
    for number in range(_SAMPLES if candidates else 0):
        pose(poses[number])
        for at, pair in enumerate(candidates):
            found[number, at] = distance(model.mj, pose.data, pair.one, pair.other, far_m, None)
    return _Seen(found.min(axis=0), found.max(axis=0), (found < 0.0).mean(axis=0))
