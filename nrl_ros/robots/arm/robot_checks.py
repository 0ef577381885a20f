"""Checks of a description with its model, and notes on both for a person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrl_ros.base.errors import ConfigError, some
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.clearance import Clearance
from nrl_ros.robots.arm.clearance_checks import shape_notes
from nrl_ros.robots.arm.couplings import scalar_joints, unit_of
from nrl_ros.robots.arm.description import RobotDescription
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.obstacles import Obstacles
from nrl_ros.robots.arm.urdf import MOST_RAD, RIGID
from nrl_ros.robots.safety.limits import WorkspaceGuard

# Links that touch in more of the sampled poses are told to be a matter of their shapes.
_OFTEN = 0.5


def check_left_out(robot: str, model: ArmModel) -> None:
    """Check that each joint that moves the tool is commanded or held.

    Raises:
        ConfigError: a joint is neither commanded nor held.
    """
    if not model.left_out:
        return
    named = [f'{name} ({kind})' if kind in RIGID else name for name, kind in model.left_out.items()]
    held = ', '.join(f'{name}: 0.0' for name in model.left_out)
    several = len(named) > 1
    movable = [name for name, kind in model.left_out.items() if kind not in RIGID]
    told = f'; where joint states tell it, measured: [{", ".join(movable)}] too' * bool(movable)
    raise ConfigError(
        f'robot {robot!r}: joint{"s" * several} {", ".join(named)} of the model move'
        f'{"" if several else "s"} the tool {model.tool!r} and {"are" if several else "is"} not '
        f'among joints: name what the controller moves there, and say where the rest stands, as '
        f'held: {{{held}}}{told}'
    )


def check_degrees(robot: str, model: ArmModel, low: Float64, high: Float64) -> None:
    """Check that the limits of the model are not angles in degrees.

    Args:
        robot: its name.
        model: of it.
        low: lowest positions in force [J].
        high: highest positions in force [J].

    Raises:
        ConfigError: a joint turns further than any arm, and nobody tightens it.
    """
    for at, joint in enumerate(model.joints):
        own = np.array([model.position_low[at], model.position_high[at]])
        used = np.array([low[at], high[at]])
        if not model.linear[at] and (np.isfinite(own) & (abs(used) > MOST_RAD)).any():
            raise ConfigError(
                f'robot {robot!r}: joint {joint} turns from {low[at]:g} to {high[at]:g} rad by its '
                'model: degrees? Write radians in the model, or tighter limits.position_low_rad '
                'and limits.position_high_rad'
            )


def check_home(
    description: RobotDescription,
    guard: WorkspaceGuard,
    home: Float64,
    obstacles: Obstacles | None = None,
) -> None:
    """Check that the arm may be at its home position.

    Raises:
        ConfigError: home is outside of the workspace, or the arm is too near to itself or to an
            obstacle; names points and walls, links, obstacles and distances.
    """
    if float(guard.violation(home[None])[0]) <= 0.0:
        return
    box, name = description.workspace, description.name
    outside, near = beyond_walls(description, guard, home), too_near(guard, home)
    hit = {} if obstacles is None else obstacles.too_near(home)
    faults, remedies = [], []
    if outside or not (near or hit):
        faults.append(f'outside of its workspace: {some(outside, "; ")}')
        remedies.append('mend home_rad or workspace')
    if near:
        faults.append(
            f'too near to itself, of which {box.clearance_m} m are to be kept: '
            f'{some([_pair(*each) for each in near.items()])}'
        )
        remedies.append('mend home_rad or clearance_m')
    if hit:
        faults.append(
            f'too near to what stands around it, from which {box.obstacle_distance_m} m are to be '
            f'kept: {some([_pair(*each) for each in hit.items()])}'
        )
        remedies.append('mend home_rad or obstacles, whose touching names links that may be there')
    raise ConfigError(
        f'robot {name!r}: at home it is {" and ".join(faults)}; {", ".join(remedies)}'
        f'{_may_touch(guard, list(near))}'
    )


def refused_because(
    description: RobotDescription,
    guard: WorkspaceGuard,
    position: Float64,
    obstacles: Obstacles | None = None,
) -> str:
    """Return why a pose is not allowed, with points, walls, links and distances; '' if it is.

    Args:
        description: of the robot.
        guard: of its workspace and clearance.
        position: of the joints [J], rad or m.
        obstacles: what stands around it.
    """
    found = too_near(guard, position)
    if obstacles is not None:
        found |= obstacles.too_near(position)
    near = [f'{_pair(*each)} too near' for each in found.items()]
    return some([*beyond_walls(description, guard, position), *near], '; ')


def nearest_limit(
    description: RobotDescription,
    guard: WorkspaceGuard,
    position: Float64,
    obstacles: Obstacles | None = None,
) -> str:
    """Return what an arm is nearest to of all that its guard keeps it from, and how near.

    Args:
        description: of the robot.
        guard: of its workspace and clearance.
        position: of the joints [J], rad or m.
        obstacles: what stands around it.

    Returns:
        Such as ``forearm_link is 0.021 m from post (0.02 m are kept)``.
    """
    box, least = description.workspace, guard.least_clearance_m
    found = [_nearest_wall(description, guard, position)]
    clearance = guard.clearance
    if isinstance(clearance, Clearance):
        distances = clearance.distances(position[None])[0]
        pair = int(distances.argmin())
        one, other = clearance.links[pair]
        found.append((distances[pair] - least, f'{one} is {{:.3f}} m from {other}', least))
    if obstacles is not None:
        (link, name), distance = obstacles.nearest(position)
        kept = box.obstacle_distance_m
        found.append((distance - kept, f'{link} is {{:.3f}} m from {name}', kept))
    by, text, kept = min(found)
    return f'{text.format(by + kept)} ({kept:g} m are kept)'


def _nearest_wall(
    description: RobotDescription, guard: WorkspaceGuard, position: Float64
) -> tuple[float, str, float]:
    """Return by how much the nearest wall is further than it must be, in words too."""
    walls, margin = guard.workspace, description.workspace.margin_m
    points = guard.points(position[None])[0]
    away = np.stack([points - np.array(walls.low_m), np.array(walls.high_m) - points])
    side, point, axis = np.unravel_index(int(away.argmin()), away.shape)
    name = (description.tool or 'the tool', *description.workspace.watched)[point]
    wall = f'workspace.{("low_m", "high_m")[side]} in {"xyz"[axis]}'
    return float(away.min()), f'{name} is {{:.3f}} m from {wall}', margin


def beyond_walls(
    description: RobotDescription, guard: WorkspaceGuard, position: Float64
) -> list[str]:
    """Return which watched points are beyond which walls of the workspace, and by how much.

    Args:
        description: of the robot.
        guard: of its workspace.
        position: of the joints [J], rad or m.
    """
    walls, box, found = guard.workspace, description.workspace, []
    names = (description.tool or 'the tool', *box.watched)
    for name, point in zip(names, guard.points(position[None])[0].tolist(), strict=True):
        for at, axis in enumerate('xyz'):
            below, above = walls.low_m[at] - point[at], point[at] - walls.high_m[at]
            if max(below, above) <= 0.0:
                continue
            which, wall = ('low_m', walls.low_m) if below > above else ('high_m', walls.high_m)
            found.append(
                f'{name} is at {axis} {point[at]:.3f} m, {max(below, above):.3f} m beyond '
                f'{wall[at]:g} (workspace.{which} with margin_m {box.margin_m:g})'
            )
    return found


def too_near(guard: WorkspaceGuard, position: Float64) -> dict[tuple[str, str], float]:
    """Return which links are nearer to one another than they may be, with their distances [m].

    Args:
        guard: of the arm's clearance.
        position: of the joints [J], rad or m.
    """
    clearance = guard.clearance
    near: dict[tuple[str, str], float] = {}
    if not isinstance(clearance, Clearance):
        return near
    distances = clearance.distances(position[None])[0].tolist()
    for links, distance in zip(clearance.links, distances, strict=True):
        if distance < guard.least_clearance_m:
            near[links] = min(distance, near.get(links, np.inf))
    return near


def _pair(links: tuple[str, str], distance_m: float) -> str:
    return f'{links[0]} and {links[1]} ({distance_m:.3f} m)'


def _may_touch(guard: WorkspaceGuard, near: list[tuple[str, str]]) -> str:
    """Return how pairs of links that are too near are left out."""
    if not near:
        return ''
    clearance = guard.clearance
    share = clearance.choice.touching_share if isinstance(clearance, Clearance) else {}
    often = [
        f'{share[links]:.0%} of all for {" and ".join(links)}'
        for links in near
        if share.get(links, 0.0) > _OFTEN
    ]
    told = f'They touch in many poses, {some(often)}: links' if often else 'Links'
    pairs = ', '.join(f'[{one}, {other}]' for one, other in near)
    return f'. {told} that may touch are left out by clearance.exclude: [{pairs}]'


def notes_of(
    description: RobotDescription, model: ArmModel, clearance: Clearance
) -> tuple[str, ...]:
    """Return what a person should know about model and description before the arm moves."""
    standing = (*_sliding(description, model), *_standing(model, description.measured))
    return (*model.notes, *standing, *shape_notes(description, model, clearance))


def _sliding(description: RobotDescription, model: ArmModel) -> list[str]:
    """Return a note on the numbers that one setting gives in rad and in m."""
    names = [name for name, linear in zip(model.joints, model.linear, strict=True) if linear]
    if not names:
        return []
    watchdog = description.watchdog
    return [
        f'{some(names)}: linear, so that what is named rad counts in m there: margin_rad '
        f'{description.limits.margin_rad:g} m, tracking_error_rad {watchdog.tracking_error_rad:g} '
        f'm, position_tolerance_rad {watchdog.position_tolerance_rad:g} m, still_rad_s '
        f'{watchdog.still_rad_s:g} m/s'
    ]


def _standing(model: ArmModel, measured: Sequence[str]) -> list[str]:
    """Return notes on joints that are not commanded."""
    notes = []
    if model.followers:
        notes.append(f'not commanded, since they follow others (mimic): {some(model.followers)}')
    if model.held:
        held = [
            f'{name} at {value:g} {unit_of(model.mj, name)}'.strip()
            + ' (a real arm: read from its joint states)' * (name in measured)
            for name, value in model.held.items()
        ]
        notes.append(
            'held, as the description says; joint states that name it are compared, else nothing '
            f'measures it: {some(held)}'
        )
    beside = []
    for joint in scalar_joints(model.mj):
        name = model.mj.joint(joint).name
        if name not in (*model.joints, *model.followers, *model.held):
            beside.append(
                f'{name or "a joint without a name"} at {model.couplings.rest[joint]:g} '
                f'{unit_of(model.mj, name)}'
            )
    if beside:
        notes.append(
            f'beside the way to the tool, not commanded, taken to stand (held: says where): '
            f'{some(beside)}'
        )
    return notes
