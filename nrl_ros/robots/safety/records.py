"""Results of a supervisor: modes, causes of a stop, outputs."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Numbers beyond this are brought back to it: it is far beyond all that an arm can do, and sums,
# differences, products with a limit and quotients by a time stay finite.
LARGEST = 1e100


class Mode(IntEnum):
    """Modes of an arm's supervisor (SafetyState.MODE_*)."""

    # Nothing is commanded yet: joint states are missing, or something forbids to begin.
    WAITING = 0
    FOLLOWING = 1
    # There is no fresh command: the arm is ramped to zero and held until there is one.
    HOLDING = 2
    # The arm brakes, or is commanded to stand but not yet measured at rest.
    STOPPING = 3
    # The arm is measured at rest, and stays stopped until the stop is cleared.
    STOPPED = 4


# Only clearing the stop ends these.
STOPPED_MODES = (Mode.STOPPING, Mode.STOPPED)


class StopReason(IntFlag):
    """Reasons why an arm was stopped, as bits."""

    EMERGENCY_STOP = 1
    # There is no joint state that is young enough.
    STALE_STATE = 2
    # A joint state is malformed or not finite.
    BAD_STATE = 4
    # The arm is beyond its limits or faster than they allow.
    OUT_OF_LIMITS = 8
    # The arm is too far from its reference.
    TRACKING_ERROR = 16
    # The heartbeat was lost.
    HEARTBEAT_LOST = 32
    # A permission was withdrawn, such as that of the robot's own program.
    NOT_PERMITTED = 64
    # Ticks were too far apart, or the clock ran back.
    OVERRUN = 128
    # The code broke its own contract, for example a motion filter that exceeded its limits.
    CONTRACT = 256
    # Two commanders use the name and session of one.
    TWO_COMMANDERS = 512


class SupervisorOutput(NamedTuple):
    """What to command now, and why.

    Attributes:
        mode: of the supervisor.
        cause: all causes of the stop together; 0 if there is none.
        text: what is wrong, in words; while WAITING, what is waited for.
        position: to command [J] [rad]; None: command no position.
        velocity: to command [J] [rad/s]; None: command nothing.
        limited: what changed the command, of Limited.
        followed: whether the newest command was followed in this tick, within limits.
        sequence: of the command that was followed; -1 if none was.
        command_age_s: since the newest command came, infinite without one [s].
        state_age_s: since the newest joint state was true, infinite without one [s].
        at_rest: whether the arm is measured to stand.
        alarm: what a person must know and do if the arm is commanded to stand and does not; part of
            the text; empty: nothing.
    """

    mode: Mode
    cause: StopReason
    text: str
    position: Array | None
    velocity: Array | None
    limited: int
    followed: bool
    sequence: int
    command_age_s: float
    state_age_s: float
    at_rest: bool = False
    alarm: str = ''


def finite_row(values: Any, length: int, *, absent: bool = False) -> Array | None:
    """Return a float64 copy of exactly ``length`` finite numbers, None for anything else.

    The copy is brought within ``LARGEST``, so that no check overflows: a position of 1e308 is
    beyond the limits as one of 1e100 is.

    Args:
        values: anything.
        length: expected number of values.
        absent: True also accepts NaN, for a number that was not measured.
    """
    try:
        row = np.array(values, np.float64)
    except (TypeError, ValueError):
        return None
    good = ~np.isinf(row) if absent else np.isfinite(row)
    if row.shape != (length,) or not good.all():
        return None
    return np.minimum(np.maximum(row, -LARGEST), LARGEST)
