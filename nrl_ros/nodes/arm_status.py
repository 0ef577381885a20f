"""A real arm's item of the diagnostics."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray

from nrl_ros.robots.arm.joint_usage import JointUsage
from nrl_ros.robots.arm.phases import Phase
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.ros.diagnostics import ERROR, OK, WARN, diagnostics

_LEVELS = {
    Phase.STOPPED: ERROR,
    Phase.WAITING: WARN,
    Phase.ASKING: WARN,
    Phase.AIMING: WARN,
    Phase.BY_HAND: WARN,
}


def arm_diagnostics(
    node: str, robot: Robot, phase: Phase, about: str, *, usage: JointUsage, stamp_ns: int
) -> DiagnosticArray:
    """Return what an arm does as diagnostics, with how much it has moved.

    Args:
        node: name of the environment's node.
        robot: the arm.
        phase: the present one.
        about: what the arm does, in words.
        usage: way of each joint, time in motion, episodes.
        stamp_ns: when it was true [ns].
    """
    ways = zip(robot.joints, robot.model.units, usage.way, strict=True)
    values = {
        'episodes': usage.episodes,
        'in motion [s]': f'{usage.moving_s:.1f}',
        **{f'way of {joint} [{unit}]': f'{way:.2f}' for joint, unit, way in ways},
    }
    return diagnostics(
        f'{node}: arm',
        about,
        values,
        level=_LEVELS.get(phase, OK),
        hardware=robot.description.name,
        stamp_ns=stamp_ns,
    )
