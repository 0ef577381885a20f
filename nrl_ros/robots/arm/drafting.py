"""Draft the description of an arm from its model: limits, workspace, home, and a box of targets.

What a person would find by trial is searched for: sampled poses and inverse kinematics, always the
same ones, so that a model always gives the same draft.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.chain_parts import parts_of, place_of
from nrl_ros.robots.arm.couplings import Posing, chain_of, joints_of
from nrl_ros.robots.arm.description import RobotDescription
from nrl_ros.robots.arm.floor import floor_of
from nrl_ros.robots.arm.home_draft import drafted_home, way_s
from nrl_ros.robots.arm.home_key import HomeKey, home_key, with_targets
from nrl_ros.robots.arm.inverse import InverseKinematics
from nrl_ros.robots.arm.kinematics import Chain
from nrl_ros.robots.arm.limits_draft import base_joints, drafted_limits, tightened_of
from nrl_ros.robots.arm.limits_in_force import hard_limits, with_margin
from nrl_ros.robots.arm.model import ArmModel, source_of
from nrl_ros.robots.arm.reach import Box, kept_box, proposed_box
from nrl_ros.robots.arm.robot import Robot, make_robot
from nrl_ros.robots.arm.tip_draft import tip_of
from nrl_ros.robots.arm.tools import tool_candidates

Array = NDArray[Any]
Point = tuple[float, float, float]

# ros2_control's own rate, unless somebody has changed it.
RATE_HZ = 100.0
_CLEARANCE_M = 0.01
# Watched places stay so far above the floor of an arm that stands on it [m].
_ABOVE_M = 0.02
# An arm stands on the floor if this share of its poses have the tool above it.
_STANDS = 0.2
_SAMPLES = 2000
# Pairs of links that are too near in more than this share of poses may touch: a vendor's limits do
# not let an arm hit itself that often, so that it is a matter of the shapes (hulls fill what is
# hollow).
_MOSTLY = 0.5
# Watched places are so far from one another and from where nothing moves them [m].
_APART_M, _MOST_WATCHED = 0.08, 3
# An arm whose first hinge is nearer to the root than this stands at it [m].
_AT_ROOT_M = 0.15
# Targets lie in front: this share of the reach away from the root at least.
_FRONT = 0.12
# The x axis of a link says where is in front if at least this share of it is level.
_LEVEL = 0.75
# A direction without this share of the poses of the best one is not in front.
_AS_GOOD = 0.6
# A box of targets is at most so wide, as a share of the reach.
_WIDEST = (0.9, 1.2, 0.9)


@dataclass(frozen=True)
class Draft:
    """A description that is accepted, with what a person may want to change.

    Attributes:
        robot: made of the description.
        box: of targets, nearly all of which are reached.
        tools: places that may be the tool's centre point, the likeliest first.
        watched_pairs: how many pairs of shapes keep the clearance.
        touching: pairs of links that are left out, since they are always too near.
        tightened: joints that go further in the model than in the description.
        way_s: time from home to nearly all targets, joints at half their speeds [s].
        key: the keyframe home of the model, None without one.
    """

    robot: Robot
    box: Box
    tools: tuple[str, ...]
    watched_pairs: int
    touching: tuple[tuple[str, str], ...] = ()
    tightened: tuple[str, ...] = field(default=())
    way_s: float = 0.0
    key: HomeKey | None = None


class _NoBoxError(ConfigError):
    """No box of targets is reached."""


def draft(
    model: str,
    name: str,
    tool: str = '',
    *,
    packages: Sequence[str] = (),
    arguments: Mapping[str, str] | None = None,
) -> Draft:
    """Return a description of the arm in a file.

    Args:
        model: path of a URDF or MJCF file, or a model of this package.
        name: of the robot.
        tool: link or site at the tool's centre point; empty: the likeliest.
        packages: folders in which packages with meshes are looked for first.
        arguments: of a xacro file, by name.

    Raises:
        ConfigError: the model is no arm, or no home or box of targets was found.
    """
    folders = tuple(map(Path, packages))
    tools = tool_candidates(source_of(model, folders, arguments).spec().compile())
    if not (tool or tools):
        raise ConfigError(
            f'{model}: no link or site has a name that a tool could have; give --tool'
        )
    read: dict[str, Any] = {'packages': folders, 'arguments': arguments}
    arm = ArmModel.from_file(model, tool=tool or tools[0], **read)
    held = base_joints(arm)
    if held:
        arm = ArmModel.from_file(model, tool=arm.tool, held=held, **read)
    held |= dict.fromkeys(arm.left_out, 0.0)
    data: dict[str, Any] = {
        'name': name,
        'model': model,
        'package_paths': tuple(packages),
        'xacro_arguments': dict(arguments or {}),
        'tool': arm.tool,
        'joints': arm.joints,
        'held': held,
        'limits': drafted_limits(arm),
        'control': {'rate_hz': RATE_HZ},
    }
    try:
        return _drafted(data, arm, tuple(tools))
    except _NoBoxError:
        tip = tip_of(arm)
        if tip is None:
            raise
        # The last place of many a model is where its last joint is, which moves it nowhere.
        data['tool_offset'] = {'xyz_m': tip}
        moved = ArmModel.from_file(
            model, arm.joints, arm.tool, held, offset=(tip, (0.0, 0.0, 0.0)), **read
        )
        try:
            return _drafted(data, moved, tuple(tools))
        except _NoBoxError:
            pass
        raise


def _drafted(data: dict[str, Any], arm: ArmModel, tools: tuple[str, ...]) -> Draft:
    """Return the draft of an arm whose tool, joints and limits are chosen.

    Raises:
        ConfigError: no home or box of targets was found.
    """
    rough = _unchecked(data, arm)
    touching, pairs = _touching(rough)
    data['clearance'] = {'exclude': touching}
    data['workspace'] = {
        'clearance_m': _CLEARANCE_M if pairs else 0.0,
        'watched': _watched(arm),
    }
    data['workspace'] |= _walls(_unchecked(data, arm))
    rough = _unchecked(data, arm)
    key = home_key(rough)
    towards = None if key is None or key.refused else rough.chain.tool(key.pose[None])[0]
    box = _front_box(rough, towards)
    key = None if key is None else with_targets(key, rough, box)
    if key is None or key.refused:
        data['home_rad'] = drafted_home(rough, box)
    else:
        data['home_rad'] = key.pose.tolist()
    robot = make_robot(RobotDescription.model_validate(data))
    found = kept_box(robot, np.array(box.low_m), np.array(box.high_m))
    if found is None:
        raise _no_box(robot)
    tightened = tightened_of(arm, data['limits'])
    return Draft(robot, found, tools, pairs, tuple(touching), tightened, way_s(robot, found), key)


def _unchecked(data: dict[str, Any], arm: ArmModel) -> Robot:
    """Return the robot of a description without its home, which is taken in the middle."""
    description = RobotDescription.model_validate({**data, 'home_rad': ()})
    hard = hard_limits(description, arm)
    limits = with_margin(description, arm, hard)
    home = (np.array(limits.position_low) + np.array(limits.position_high)) / 2.0
    chain = Chain(arm, description.workspace.watched, description.workspace.frame)
    return Robot(description, arm, chain, hard, limits, home)


def _poses(robot: Robot) -> Float64:
    """Return poses [N, J] at random within the limits."""
    low, high = robot.limits.position_low, robot.limits.position_high
    return np.random.default_rng(1).uniform(low, high, (_SAMPLES, len(low)))


def _touching(robot: Robot) -> tuple[list[tuple[str, str]], int]:
    """Return pairs of links that are too near in most poses, and how many pairs are left."""
    clearance = robot.clearance
    if not clearance.pairs:
        return [], 0
    poses = _poses(robot)[: _SAMPLES // 10]
    near = (clearance.distances(poses) < _CLEARANCE_M).mean(axis=0) > _MOSTLY
    links = clearance.links
    touching = list(dict.fromkeys(links[at] for at in np.flatnonzero(near)))
    return touching, sum(pair not in touching for pair in links)


def _watched(arm: ArmModel) -> list[str]:
    """Return links between base and tool that swing far: elbow and wrist, say."""
    body = _body_of_tool(arm)
    parts = parts_of(arm, body)
    chain = Chain(arm)
    low, high = np.maximum(arm.position_low, -np.pi), np.minimum(arm.position_high, np.pi)
    poses = np.random.default_rng(2).uniform(low, high, (50, arm.size))
    names = [arm.mj.body(link).name for link in chain_of(arm.mj, body) if joints_of(arm.mj, link)]
    kept: list[str] = []
    places = [chain.tool(poses)]
    for name in reversed([each for each in names if each]):
        if not place_of(arm, parts, name)[0]:
            continue
        there = Chain(arm, (name,)).points(poses)[:, 1]
        moves = np.ptp(there, axis=0).max() > 2.0 * _APART_M
        near = [np.linalg.norm(there - other, axis=1).min() < _APART_M for other in places]
        if moves and not any(near):
            kept.insert(0, name)
            places.append(there)
    return kept[-_MOST_WATCHED:]


def _body_of_tool(arm: ArmModel) -> int:
    is_site, number = arm.find(arm.tool)
    return int(arm.mj.site_bodyid[number]) if is_site else number


def _walls(robot: Robot) -> dict[str, Point]:
    """Return the workspace: what the watched places reach, above the floor if the arm stands."""
    poses = _poses(robot)
    points = robot.chain.points(poses)
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    floor = floor_of(robot.model) + _ABOVE_M
    stands = (points[:, :, 2].min(axis=1) > floor).mean() > _STANDS
    margin = robot.description.workspace.margin_m
    low, high = np.floor(20.0 * (low - margin)) / 20.0, np.ceil(20.0 * (high + margin)) / 20.0
    if stands and low[2] < floor:
        low[2] = floor
    return {'low_m': _rounded(low), 'high_m': _rounded(high)}


def _front_box(robot: Robot, home: Float64 | None = None) -> Box:
    """Return a box of targets in front of the arm, where it can go best.

    Args:
        robot: the arm.
        home: where its tool is at home [3, m], towards which is in front; None: not known.

    Raises:
        ConfigError: there is none.
    """
    solver = InverseKinematics(robot)
    tools = solver.starts[1][1:]
    if not len(tools):
        raise _no_box(robot)
    low, high = tools.min(axis=0), tools.max(axis=0)
    stands = _stands_at(robot)
    reach = float(np.abs(tools[:, :2] - stands).max())
    counts = {}
    for axis, sign in ((0, 1.0), (1, 1.0), (1, -1.0), (0, -1.0)):
        ahead = sign * (tools[:, axis] - stands[axis])
        counts[axis, sign] = int((ahead > _FRONT * reach).sum())
    best = max(counts.values())
    order = sorted(counts, key=lambda side: -counts[side])
    ahead_side = _ahead(robot, stands)
    first = ahead_side if counts[ahead_side] >= _AS_GOOD * best else order[0]
    if home is not None:
        first = max(counts, key=lambda side: side[1] * (home[side[0]] - stands[side[0]]))
    for side in dict.fromkeys((first, *order)):
        axis, sign = side
        near, far = low.copy(), high.copy()
        if sign > 0.0:
            near[axis] = stands[axis] + _FRONT * reach
        else:
            far[axis] = stands[axis] - _FRONT * reach
        if near[axis] >= far[axis]:
            continue
        # Of boxes of one size the one in the middle of where the tool often is.
        inside = tools[((tools >= near) & (tools <= far)).all(axis=1)]
        if not len(inside):
            continue
        box = proposed_box(robot, near, far, towards=np.median(inside, axis=0), solver=solver)
        if box is not None:
            return _narrowed(box, reach, axis)
    raise _no_box(robot)


def _stands_at(robot: Robot) -> Float64:
    """Return where the first commanded hinge is [2], x and y in the frame of the workspace [m].

    Within some cm of the root an arm counts as standing there.
    """
    arm = robot.model
    hinge = _first_hinge(arm)
    if hinge is None:
        return np.zeros(2)
    place = _in_the_middle(robot).xanchor[hinge, :2]
    return np.where(np.abs(place) > _AT_ROOT_M, place, 0.0)


def _ahead(robot: Robot, stands: Float64) -> tuple[int, float]:
    """Return the axis, 0 or 1, and the direction along it that is in front of an arm.

    It is the root's x. An arm beside the root, as one of two on a table, has it in the frame of the
    link that it hangs on.

    Args:
        robot: the arm.
        stands: where it stands, as ``_stands_at`` says [2, m].
    """
    arm = robot.model
    hinge = _first_hinge(arm)
    if hinge is None or not stands.any():
        return 0, 1.0
    carrier = int(arm.mj.body_parentid[arm.mj.jnt_bodyid[hinge]])
    forwards = _in_the_middle(robot).xmat[carrier].reshape(3, 3)[:2, 0]
    axis = int(np.abs(forwards).argmax())
    if np.abs(forwards[axis]) < _LEVEL:
        return 0, 1.0
    return axis, float(np.sign(forwards[axis]))


def _first_hinge(arm: ArmModel) -> int | None:
    """Return the number of the first commanded joint that turns, None if all slide."""
    hinges = [joint for joint, linear in zip(arm.joints, arm.linear, strict=True) if not linear]
    return int(arm.mj.joint(hinges[0]).id) if hinges else None


def _in_the_middle(robot: Robot) -> Any:
    """Return MuJoCo's data of an arm in the middle of its limits."""
    pose = Posing(robot.model.mj, robot.model.couplings)
    pose((np.array(robot.limits.position_low) + np.array(robot.limits.position_high)) / 2.0)
    return pose.data


def _narrowed(box: Box, reach: float, front: int) -> Box:
    """Return a box that is no wider than is worth learning, about the same middle."""
    low, high = np.array(box.low_m), np.array(box.high_m)
    widest = reach * np.array(_WIDEST if front == 0 else (_WIDEST[1], _WIDEST[0], _WIDEST[2]))
    middle, half = (low + high) / 2.0, np.minimum((high - low) / 2.0, widest / 2.0)
    return Box(_rounded(middle - half), _rounded(middle + half), box.share)


def _rounded(values: Array) -> Point:
    x, y, z = (round(float(value), 3) + 0.0 for value in values)
    return x, y, z


def _no_box(robot: Robot) -> _NoBoxError:
    name, arm = robot.description.name, robot.model
    # A unit that was taken for another one is the likeliest reason.
    units = [note for note in arm.notes if 'degrees' in note or 'millimetres' in note]
    return _NoBoxError(
        f'robot {name!r}: no box of targets was found that it reaches with {arm.tool!r}, moved by '
        f'{", ".join(arm.joints)}; is that the right place, and do the limits of its joints leave '
        f'it room? Name another one with --tool{"".join(f"; {note}" for note in units[:3])}'
    )
