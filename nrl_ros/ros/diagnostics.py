"""Messages of ``diagnostics``, the topic on which ROS's own tools show the condition of nodes."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from nrl_ros.ros.conversion import set_stamp

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def diagnostics(
    name: str,
    text: str,
    values: Mapping[str, object],
    *,
    level: bytes = OK,
    hardware: str,
    stamp_ns: int,
) -> DiagnosticArray:
    """Return a message of the diagnostics with one item.

    Args:
        name: of the item, beginning with the node's.
        text: one line for people.
        values: figures by name, shown as texts.
        level: OK, WARN or ERROR.
        hardware: name of the robot.
        stamp_ns: when it was true [ns].
    """
    item = DiagnosticStatus(
        level=level,
        name=name,
        message=text,
        hardware_id=hardware,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )
    message = DiagnosticArray(status=[item])
    set_stamp(message.header.stamp, stamp_ns)
    return message
