"""What a supervisor says: modes, causes of a stop, verdicts."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Mode(IntEnum):
    """What the supervisor of an arm does."""

    # Nothing is commanded yet: no joint state, or something forbids to begin.
    WAITING = 0
    FOLLOWING = 1
    # No fresh command: ramped to zero and held, until there is one.
    HOLDING = 2
    # Braking, or commanded to stand and not measured to.
    STOPPING = 3
    # Measured at rest, and held so until it is cleared.
    STOPPED = 4


class Cause(IntFlag):
    """Why an arm was stopped."""

    EMERGENCY_STOP = 1
    # No joint state that is young enough.
    STALE_STATE = 2
    # A joint state that is malformed or not finite.
    BAD_STATE = 4
    # The arm is beyond its limits or faster than they allow.
    OUT_OF_LIMITS = 8
    # The arm is not where the reference is.
    TRACKING_ERROR = 16
    # The heartbeat was lost.
    DEAD_MAN = 32
    # Somebody else's permission was withdrawn.
    NOT_PERMITTED = 64
    # Ticks too far apart, or a clock that does not run forwards.
    OVERRUN = 128
    # Something that cannot be, such as a motion filter that leaves its limits.
    CONTRACT = 256
    # Two command the arm in the name of one.
    TWO_COMMANDERS = 512


class Verdict(NamedTuple):
    """What to command now, and why.

    Attributes:
        mode: of the supervisor.
        cause: of the stop, all that came together; 0 if there is none.
        text: what is wrong, in words; while WAITING, for what.
        position: to command [J] [rad]; None: command no position.
        velocity: to command [J] [rad/s]; None: command nothing.
        limited: what changed the command, of Limited.
        followed: whether the newest command was followed in this tick, within limits.
        sequence: of the command that was followed; without meaning (-1) if none was.
        command_age_s: since the newest command came, infinite without one [s].
        state_age_s: since the newest joint state was true, infinite without one [s].
        at_rest: whether the arm is measured to stand.
        alarm: what a person must know and do about an arm that is commanded to stand and does not,
            a part of the text; empty: nothing.
    """

    mode: Mode
    cause: Cause
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
    """A copy of as many finite numbers as float64, or None if they are anything else.

    Args:
        values: anything.
        length: how many there are to be.
        absent: NaN is taken too: a number that was not measured.
    """
    try:
        row = np.array(values, np.float64)
    except (TypeError, ValueError):
        return None
    good = ~np.isinf(row) if absent else np.isfinite(row)
    return row if row.shape == (length,) and good.all() else None
