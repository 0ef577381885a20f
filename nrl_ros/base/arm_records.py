"""Records that travel between an arm, its safety node and its environment in each control period.

They have the fields of their messages under the same names, as those of ``base/records.py``. J
joints have the order of ``joint`` or ``name``. Nobody changes a record after it was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nrl_ros.base.records import Float64


@dataclass
class ArmCommandRecord:
    """Wanted joint velocities [J, rad/s] (ArmCommand)."""

    agent: Final[str]
    session: Final[int]
    sequence: Final[int]
    episode: Final[int]
    step: Final[int]
    purpose: Final[int]
    joint: Final[tuple[str, ...]]
    velocity: Final[Float64]
    stamp_ns: Final[int] = 0


@dataclass
class SafetyStateRecord:
    """What a safety node commands in a period, and why (SafetyState); empty: nothing is commanded.

    Velocities [J, rad/s]: ``wanted``, ``velocity``. Positions [J, rad]: ``position``, ``measured``.
    """

    session: Final[int]
    sequence: Final[int]
    mode: Final[int]
    cause: Final[int]
    limited: Final[int]
    dry_run: Final[bool]
    command_age_s: Final[float]
    state_age_s: Final[float]
    joint: Final[tuple[str, ...]]
    wanted: Final[Float64]
    velocity: Final[Float64]
    position: Final[Float64]
    measured: Final[Float64]
    stamp_ns: Final[int] = 0


@dataclass
class JointStateRecord:
    """Measured joints (sensor_msgs/JointState); what is not measured is empty."""

    name: Final[tuple[str, ...]]
    position: Final[Float64]
    velocity: Final[Float64]
    effort: Final[Float64]
    stamp_ns: Final[int] = 0
