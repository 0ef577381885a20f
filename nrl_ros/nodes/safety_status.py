"""Diagnostics of the safety node for people and monitoring tools."""

from __future__ import annotations

from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray

from nrl_ros.robots.safety.records import Mode, StopReason, SupervisorOutput
from nrl_ros.ros.diagnostics import ERROR, OK, WARN, diagnostics
from nrl_ros.ros.interfaces import SafetyStatus
from nrl_ros.ros.wire import nanoseconds


def safety_diagnostics(
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
    level, text = OK, mode.name.lower()
    if cause or status.alarm:
        level, text = ERROR, status.why
    elif mode in (Mode.WAITING, Mode.HOLDING):
        level = WARN
    values = {
        'robot': status.robot,
        'manifest': status.manifest,
        'notes': '; '.join(notes),
        'dry run': status.dry_run,
        'at rest': status.at_rest,
        'speed share': f'{status.speed_share:g}',
        'jitter of the control period [s]': f'{status.jitter_s:.6f}',
        'cause': ', '.join(kind.name or '' for kind in StopReason if kind & cause),
        **dict(zip(status.counter_name, status.counter_value, strict=True)),
    }
    return diagnostics(
        f'{node}: arm',
        text,
        values,
        level=level,
        hardware=status.robot,
        stamp_ns=nanoseconds(status.header.stamp),
    )
