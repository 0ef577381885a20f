"""What a supervisor is told and what it says: settings, modes, causes of a stop, verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.robots.safety.limits import JointLimits

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


@dataclass(frozen=True)
class SupervisorSettings:
    """When a supervisor holds or stops an arm.

    Attributes:
        state_timeout_s: age of the newest joint state from which on the arm is stopped [s].
        command_timeout_s: age of the newest command from which on it is not followed [s].
        state_skew_s: a joint state whose stamp is older or as far in the future is refused [s].
        tracking_error_rad: difference of measured and reference position, for any joint, that is
            too much [rad], if it is so for
        tracking_time_s: [s].
        position_tolerance_rad: how far beyond a limit a position may be measured [rad].
        velocity_factor: times the velocity limit is the speed that may be measured [1], >= 1.
        still_rad_s: speed up to which an arm stands [rad/s], if it does so for
        still_time_s: [s].
        alarm_time_s: an arm that was commanded to stand for so long and is not measured to is a
            case for the hardware emergency stop [s].
        heartbeat_timeout_s: age of the newest heartbeat from which on the arm is stopped [s];
            0: none is asked for.
        max_tick_gap_s: time between two ticks that is too much [s].
        settle_s: joint states and ticks must have come in time for so long before an arm may be
            commanded for the first time [s]; not after a stop that was cleared.
        anchor_gain: see MotionFilter.anchor; 0 where positions are commanded [1].
        dry_run: verdicts are shown and not sent: the reference is where the arm is measured, so
            that each tells what would come next from there.
        permissions: names of permissions that must have been granted before the arm moves; one
            that is not named here but withdrawn counts too.
        state_topic: where joint states come from, as it is said; empty: not said.
        controller: name of the permission without which nothing at all is commanded, not even to
            stand; empty: there is none.

    Raises:
        ConfigError: out of range.
    """

    state_timeout_s: float = 0.1
    command_timeout_s: float = 0.1
    state_skew_s: float = 0.1
    tracking_error_rad: float = 0.1
    tracking_time_s: float = 0.1
    position_tolerance_rad: float = 0.02
    velocity_factor: float = 1.5
    still_rad_s: float = 0.05
    still_time_s: float = 0.1
    alarm_time_s: float = 0.3
    heartbeat_timeout_s: float = 0.0
    max_tick_gap_s: float = 0.05
    settle_s: float = 0.0
    anchor_gain: float = 0.0
    dry_run: bool = False
    permissions: tuple[str, ...] = ()
    state_topic: str = ''
    controller: str = ''

    def __post_init__(self) -> None:
        """Check the settings."""
        least = {'velocity_factor': 1.0, 'heartbeat_timeout_s': 0.0, 'anchor_gain': 0.0}
        least |= {'position_tolerance_rad': 0.0, 'settle_s': 0.0}
        for name, value in vars(self).items():
            if name in ('dry_run', 'permissions', 'state_topic', 'controller'):
                continue
            low = least.get(name)
            if not (math.isfinite(value) and (value > 0.0 if low is None else value >= low)):
                wanted = 'positive' if low is None else f'at least {low}'
                raise ConfigError(f'{name} must be {wanted}, received {value}')
        if self.anchor_gain > 1.0:
            raise ConfigError(f'anchor_gain must be at most 1, received {self.anchor_gain}')

    def standstill_time_s(self, limits: JointLimits, period_s: float) -> float:
        """Longest time from a fault to commands that stand still, while ticks come in time [s].

        Detection, one period until the tick that sees the fault, braking from the largest
        velocity, one period more for ticks that are not continuous. A gap between ticks adds
        itself: nothing can be commanded in it.
        """
        detection = max(self.state_timeout_s, self.tracking_time_s, self.heartbeat_timeout_s)
        return detection + 2.0 * period_s + _braking_s(limits.velocity, limits.stop_acceleration)

    def hold_time_s(self, limits: JointLimits, period_s: float) -> float:
        """Longest time from the last command to commands that stand still [s]."""
        braking = _braking_s(limits.velocity, limits.acceleration)
        return self.command_timeout_s + 2.0 * period_s + braking


def _braking_s(velocity: tuple[float, ...], acceleration: tuple[float, ...]) -> float:
    return max(speed / rate for speed, rate in zip(velocity, acceleration, strict=True))


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
