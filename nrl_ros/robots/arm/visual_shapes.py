"""Links of an MJCF that have visual shapes only: these are compared, as those of a URDF are.

Simulations leave the links of an arm without shapes that collide, since that is faster; a real arm
hits itself all the same.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nrl_ros.robots.arm.couplings import chain_of
from nrl_ros.robots.arm.engine import collides, flat_kinds


def only_visual(mj: Any, body: int) -> tuple[str, ...]:
    """Return the links of an arm that have shapes of which none collides with anything, by name.

    Links that are fixed to one another count as one. What is no part of the arm, such as the mark
    of a target, does not count.

    Args:
        mj: a compiled model.
        body: number of a body of the arm, such as its tool's.
    """
    chain = chain_of(mj, body)
    if not chain:
        return ()
    first, last = chain[0], mj.nbody
    arm = [each for each in range(first, last) if first in chain_of(mj, each)]
    shapes, collide = {each: _shapes(mj, each) for each in arm}, collides(mj)
    solid = {int(mj.body_weldid[each]) for each, geoms in shapes.items() if collide[geoms].any()}
    return tuple(
        name
        for each, geoms in shapes.items()
        if geoms and int(mj.body_weldid[each]) not in solid and (name := mj.body(each).name)
    )


def show(spec: Any, links: Collection[str]) -> None:
    """Let the shapes of some links of a ``mujoco.MjSpec`` collide, so that they are compared."""
    flat = flat_kinds()
    for body in spec.bodies:
        if body.name in links:
            for geom in body.geoms:
                if int(geom.type) not in flat:
                    geom.contype = geom.conaffinity = 1


def _shapes(mj: Any, body: int) -> list[int]:
    first, count = int(mj.body_geomadr[body]), int(mj.body_geomnum[body])
    flat = flat_kinds()
    return [geom for geom in range(first, first + count) if int(mj.geom_type[geom]) not in flat]
