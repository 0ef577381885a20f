"""Every limit of the supervisor, each declared only here: when an arm is held or stopped."""

from __future__ import annotations

from pydantic import Field

from nrl_ros.base.settings import Settings
from nrl_ros.robots.safety.limits import JointLimits


class WatchdogSettings(Settings):
    """When the arm is held or stopped; times on the steady clock. Reasons: docs/safety.md."""

    command_timeout_s: float = Field(
        0.12, gt=0, description='Age at which a command is not followed any more: ramp to zero'
    )
    state_timeout_s: float = Field(0.1, gt=0, description='Age of the joint states: stop')
    state_skew_s: float = Field(
        0.5,
        gt=0,
        description='States and commands whose stamp is older, or from the future, are refused',
    )
    tracking_error_rad: float = Field(
        0.1,
        gt=0,
        description='Distance between command and measurement, for any joint: stop, if it is so',
    )
    tracking_time_s: float = Field(0.1, gt=0, description='for this long')
    position_tolerance_rad: float = Field(
        0.02, ge=0, description='How far beyond a limit a position may be measured'
    )
    velocity_factor: float = Field(
        1.5, ge=1, description='Times the velocity limit is the speed that may be measured [1]'
    )
    still_rad_s: float = Field(
        0.05, gt=0, description='Speed up to which an arm stands, if it does so'
    )
    still_time_s: float = Field(0.1, gt=0, description='for this long')
    alarm_time_s: float = Field(
        0.3,
        gt=0,
        description='An arm that was commanded to stand for this long and is not measured to is a '
        'case for the hardware emergency stop',
    )
    max_tick_gap_s: float = Field(
        0.1, gt=0, description='Time between two periods of the safety node: stop'
    )
    settle_s: float = Field(
        1.0,
        ge=0,
        description='Joint states and periods must have come in time for so long before the arm '
        'is commanded for the first time; not after a stop that was cleared',
    )
    listen_s: float = Field(
        3.5,
        ge=0,
        description='An emergency stop that was pressed before is listened for so long before the '
        'arm is commanded for the first time',
    )
    heartbeat_timeout_s: float = Field(
        0.0, ge=0, description='Dead man: stop without heartbeat for this long; 0: not used'
    )

    def standstill_time_s(self, limits: JointLimits, period_s: float) -> float:
        """Return the longest time from a fault to commands that stand still [s].

        It holds while ticks come in time: detection, one period until the tick that sees the fault,
        braking from the largest velocity, one period more for ticks that are not continuous. A gap
        between ticks adds itself: nothing can be commanded in it.
        """
        detection = max(self.state_timeout_s, self.tracking_time_s, self.heartbeat_timeout_s)
        return detection + 2.0 * period_s + _braking_s(limits.velocity, limits.stop_acceleration)

    def hold_time_s(self, limits: JointLimits, period_s: float) -> float:
        """Return the longest time from the last command to commands that stand still [s]."""
        braking = _braking_s(limits.velocity, limits.acceleration)
        return self.command_timeout_s + 2.0 * period_s + braking


class SupervisorSettings(WatchdogSettings):
    """The watchdog, and how a supervisor is connected to one arm.

    Raises:
        ConfigError: out of range.
    """

    anchor_gain: float = Field(
        0.0, ge=0, le=1, description='See MotionFilter.anchor; 0 where positions are commanded [1]'
    )
    dry_run: bool = Field(
        False,
        description='Verdicts are shown and not sent: the reference is where the arm is measured, '
        'so that each tells what would come next from there',
    )
    permissions: tuple[str, ...] = Field(
        (),
        description='Names of permissions that must have been granted before the arm moves; one '
        'that is not named here but withdrawn counts too',
    )
    state_topic: str = Field(
        '', description='Where joint states come from, as it is said; empty: not said'
    )
    controller: str = Field(
        '',
        description='Name of the permission without which nothing at all is commanded, not even to '
        'stand; empty: there is none',
    )


def _braking_s(velocity: tuple[float, ...], acceleration: tuple[float, ...]) -> float:
    return max(speed / rate for speed, rate in zip(velocity, acceleration, strict=True))
