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
        description='States and commands whose stamp differs from the clock by more are refused',
    )
    tracking_error_rad: float = Field(
        0.1,
        gt=0,
        description='Distance between command and measurement of any joint (m if it slides): stop, '
        'if it lasts',
    )
    tracking_time_s: float = Field(
        0.1, gt=0, description='How long the distance tracking_error_rad may be exceeded'
    )
    position_tolerance_rad: float = Field(
        0.02,
        ge=0,
        description='How far beyond a limit a position may be measured; m if the joint slides',
    )
    velocity_factor: float = Field(
        1.5,
        ge=1,
        description='Largest speed that may be measured, as a multiple of the velocity limit [1]',
    )
    still_rad_s: float = Field(
        0.05, gt=0, description='An arm stands if no joint is faster than this for still_time_s'
    )
    still_time_s: float = Field(
        0.1, gt=0, description='How long an arm must be slower than still_rad_s to stand'
    )
    alarm_time_s: float = Field(
        0.3,
        gt=0,
        description='If an arm was commanded to stand for this long and is not measured to stand, '
        'a person is told to press the hardware emergency stop',
    )
    max_tick_gap_s: float = Field(
        0.1, gt=0, description='Longest time between two periods of the safety node; above it: stop'
    )
    settle_s: float = Field(
        1.0,
        ge=0,
        description='How long joint states and periods must have come in time before the arm is '
        'commanded for the first time; a stop that was cleared needs no such wait',
    )
    listen_s: float = Field(
        3.5,
        ge=0,
        description='How long the node listens for an emergency stop that was pressed earlier, '
        'before the arm is commanded for the first time',
    )
    heartbeat_timeout_s: float = Field(
        0.0, ge=0, description='Stop if no heartbeat comes for this long; 0: not used'
    )

    def standstill_time_s(self, limits: JointLimits, period_s: float) -> float:
        """Return the longest time from a fault to commands that stand still [s].

        It is the sum of the time to detect the fault, one period until the tick that sees it, the
        time to brake from the largest velocity, and one period since ticks are not continuous. A
        gap between ticks comes in addition, since nothing can be commanded in it.
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
        0.0, ge=0, le=1, description='See MotionFilter.anchor; 0 if positions are commanded [1]'
    )
    dry_run: bool = Field(
        False,
        description='Commands are shown and not sent. The reference is where the arm is measured, '
        'so that each shown command is what would be sent next',
    )
    permissions: tuple[str, ...] = Field(
        (),
        description='Names of permissions that must have been granted before the arm moves; any '
        'other permission stops the arm too if it is withdrawn',
    )
    released: tuple[str, ...] = Field(
        (),
        description='Names of permissions that may be withdrawn while a person moves the arm by '
        'hand, and are needed to end that',
    )
    state_topic: str = Field(
        '', description='Topic of the joint states, for texts; empty: not known'
    )
    controller: str = Field(
        '',
        description='Name of the permission without which nothing is commanded, not even to stand; '
        'empty: there is none',
    )


def _braking_s(velocity: tuple[float, ...], acceleration: tuple[float, ...]) -> float:
    return max(speed / rate for speed, rate in zip(velocity, acceleration, strict=True))
