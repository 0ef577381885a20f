"""Look for a home of an arm: allowed, with room around it, from where it reaches its targets."""

from __future__ import annotations

import numpy as np

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.inverse import Goals, InverseKinematics
from nrl_ros.robots.arm.jacobian import Jacobian
from nrl_ros.robots.arm.reach import Box, evenly
from nrl_ros.robots.arm.robot import Robot

# Candidates for home, and those of them whose reach is compared.
_CANDIDATES, _BEST, _TARGETS = 400, 8, 120
# Where the best ones go straight to less than this share of the targets, all are compared, first by
# some of the targets.
_REACHED, _FEW = 0.9, 40
# The share of its speeds that a task allows; the time from home is for this share of targets.
_SPEED_SHARE, _NEARLY_ALL = 0.5, 0.95
# Poses with whole multiples of an angle, among which home is looked for too.
_PLAIN, _LEVEL_RAD = 6000, np.pi / 8.0


def drafted_home(robot: Robot, box: Box) -> list[float]:
    """Return a home from which the arm reaches a box: allowed, with room all around.

    Args:
        robot: the arm; its own home does not count.
        box: of targets.

    Raises:
        ConfigError: there is none.
    """
    low, high = np.array(box.low_m), np.array(box.high_m)
    solver = InverseKinematics(robot)
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    goals = Goals(evenly(middle - 0.4 * half, middle + 0.4 * half, _CANDIDATES))
    found = solver.solve(goals)
    plain = _plain_poses(robot)
    central = (np.abs(robot.chain.tool(plain) - middle) <= 0.4 * half).all(axis=1)
    candidates = np.concatenate([plain[central][:_CANDIDATES], found.position[found.reached]])
    rounded = np.round(candidates, 2)
    inside = (rounded > robot.limits.position_low) & (rounded < robot.limits.position_high)
    rounded = np.where(inside, rounded, candidates)
    room = -robot.guard().violation(rounded) if len(rounded) else np.empty(0)
    rounded, room = rounded[room > 0.0], room[room > 0.0]
    if not len(rounded):
        raise ConfigError(
            f'robot {robot.description.name!r}: no pose with the tool in '
            f'{list(box.low_m)} to {list(box.high_m)} m is within workspace and clearance'
        )
    away = np.abs(robot.chain.tool(rounded) - middle) / (high - low)
    worth = _worth(robot, rounded, room) - 0.2 * away.max(axis=1)
    best = np.argsort(-worth, kind='stable')[:_BEST]
    targets = Goals(evenly(low, high, _TARGETS))
    shares = _straight_shares(solver, rounded[best], targets)
    if shares.max() < _REACHED:
        # The likeliest ones have an elbow or a wrist that has to turn round for many targets.
        few = Goals(targets.point[:_FEW])
        of_all = _straight_shares(solver, rounded, few) + 0.2 * worth
        best = np.argsort(-of_all, kind='stable')[:_BEST]
        shares = _straight_shares(solver, rounded[best], targets)
    chosen = best[int(np.argmax(shares + 0.2 * worth[best]))]
    return [float(value) for value in rounded[chosen]]


def _straight_shares(solver: InverseKinematics, homes: Float64, targets: Goals) -> Float64:
    """Return which share of targets an arm reaches straight from each home [N, J]."""
    return np.array([solver.straight(targets, home).mean() for home in homes])


def way_s(robot: Robot, box: Box) -> float:
    """Return how long an arm takes from home to nearly all of its targets [s].

    Args:
        robot: the arm.
        box: of targets.
    """
    targets = Goals(evenly(np.array(box.low_m), np.array(box.high_m), _TARGETS))
    every = np.arange(_TARGETS)
    start = np.tile(robot.home, (_TARGETS, 1))
    found = InverseKinematics(robot).descend(targets, every, start)
    way = np.abs(found.position[found.reached] - robot.home) / np.array(robot.limits.velocity)
    times = way.max(axis=1) / _SPEED_SHARE
    return float(np.quantile(times, _NEARLY_ALL)) if len(times) else 0.0


def _plain_poses(robot: Robot) -> Float64:
    """Return poses [N, J] as a person would choose them: many zeros, and whole multiples."""
    random = np.random.default_rng(3)
    drawn = []
    for low, high, unit in zip(
        robot.limits.position_low, robot.limits.position_high, robot.limits.units, strict=True
    ):
        step = _LEVEL_RAD if unit == 'rad' else (high - low) / 5.0
        levels = step * np.arange(np.ceil(low / step), np.floor(high / step) + 1)
        if not len(levels):
            levels = np.array([(low + high) / 2.0])
        # Zero, or what is nearest to it, is as likely as all others together.
        weights = np.full(len(levels), 1.0)
        weights[int(np.abs(levels).argmin())] = len(levels)
        drawn.append(random.choice(levels, _PLAIN, p=weights / weights.sum()))
    return np.unique(np.column_stack(drawn), axis=0)


def _worth(robot: Robot, poses: Float64, room: Float64) -> Float64:
    """Return how good poses [N, J] are as home, about 0 to 1 [N].

    Good ones have room: joints away from their limits, the arm away from walls and from itself,
    and a tool that every motion of the joints can move in every direction.
    """
    low, high = np.array(robot.limits.position_low), np.array(robot.limits.position_high)
    to_limits = (np.minimum(poses - low, high - poses) / (high - low)).min(axis=1)
    rows = Jacobian(robot.model, robot.description.workspace.frame)(poses).jacobian[:, :3]
    spread = np.linalg.svd(rows, compute_uv=False)[:, -1]
    spread = spread / max(float(spread.max()), 1e-9)
    # Straight wrists and small angles are what people expect to see.
    plain = 1.0 - np.abs(poses).mean(axis=1) / np.pi
    worth: Float64 = (
        0.25 * np.minimum(4.0 * to_limits, 1.0)
        + 0.2 * np.minimum(room / 0.05, 1.0)
        + 0.25 * spread
        + 0.3 * plain
    )
    return worth
