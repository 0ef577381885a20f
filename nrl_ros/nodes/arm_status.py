"""Phases of a real arm's environment, and its item of the diagnostics."""

from __future__ import annotations

from enum import Enum

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from nrl_ros.robots.arm.joint_usage import JointUsage
from nrl_ros.robots.arm.robot import Robot


class Phase(Enum):
    """What the arm does at present; the value says it in words."""

    WAITING = 'waits for joint states and the safety node'
    HOMING = 'drives home'
    ASKING = 'waits for ~/go'
    AIMING = 'waits for a target'
    RUNNING = 'runs an episode'
    STOPPED = 'was stopped'


_LEVELS = {
    Phase.STOPPED: DiagnosticStatus.ERROR,
    Phase.WAITING: DiagnosticStatus.WARN,
    Phase.ASKING: DiagnosticStatus.WARN,
    Phase.AIMING: DiagnosticStatus.WARN,
}


def diagnostics(
    name: str, robot: Robot, phase: Phase, about: str, wear: JointUsage
) -> DiagnosticStatus:
    """Return an arm's item of the diagnostics, with its wear.

    Args:
        name: of the item.
        robot: the arm.
        phase: the present one.
        about: what the arm does, in words.
        wear: way of each joint, time in motion, episodes.
    """
    ways = zip(robot.joints, robot.model.units, wear.way, strict=True)
    values = {
        'episodes': str(wear.episodes),
        'in motion [s]': f'{wear.moving_s:.1f}',
        **{f'way of {joint} [{unit}]': f'{way:.2f}' for joint, unit, way in ways},
    }
    return DiagnosticStatus(
        level=_LEVELS.get(phase, DiagnosticStatus.OK),
        name=name,
        message=about,
        hardware_id=robot.description.name,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
