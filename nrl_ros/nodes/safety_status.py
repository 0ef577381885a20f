"""Diagnostics of the safety node for people and monitoring tools."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from nrl_ros.robots.safety.records import Mode, StopReason, SupervisorOutput
from nrl_ros.ros.interfaces import SafetyStatus


def diagnostics(
    node: str, status: SafetyStatus, output: SupervisorOutput, notes: Sequence[str]
) -> DiagnosticArray:
    """Return the status as diagnostics: an error while the arm is stopped or wrongly moves on.

    Args:
        node: name of the safety node.
        status: the present one.
        output: from which the status was made.
        notes: on the robot's description.
    """
    mode, cause = output.mode, output.cause
    level, text = DiagnosticStatus.OK, mode.name.lower()
    if cause or status.alarm:
        level, text = DiagnosticStatus.ERROR, status.why
    elif mode in (Mode.WAITING, Mode.HOLDING):
        level = DiagnosticStatus.WARN
    values = {
        'robot': status.robot,
        'manifest': status.manifest,
        'notes': '; '.join(notes),
        'dry run': str(status.dry_run),
        'at rest': str(status.at_rest),
        'speed share': f'{status.speed_share:g}',
        'jitter of the control period [s]': f'{status.jitter_s:.6f}',
        'cause': ', '.join(kind.name or '' for kind in StopReason if kind & cause),
        **dict(zip(status.counter_name, map(str, status.counter_value), strict=True)),
    }
    item = DiagnosticStatus(
        level=level,
        name=f'{node}: arm',
        message=text,
        hardware_id=status.robot,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
    message = DiagnosticArray(status=[item])
    message.header.stamp = status.header.stamp
    return message
