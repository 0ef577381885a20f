"""Settings of the safety node and of the watchdog beside it."""

from __future__ import annotations

from pydantic import Field

from nrl_ros.base.settings import Settings, realtime


class SafetyNodeSettings(Settings):
    """Settings of the safety node, beside the robot's description."""

    autostart: bool = Field(
        True, description='Configure and activate without waiting for a command'
    )
    realtime_priority: int = realtime(48)
    robot: str = Field('planar', description='File of config/robots, or the path of one')
    speed_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description='Allowed share of the described speeds and accelerations; 0.1 at first [1]',
    )
    dry_run: bool = Field(False, description='Compute and show commands, send none')
    only_rest: bool = Field(
        False,
        description='Only bring an arm that moves to rest, then end: for an arm whose safety node '
        'has died',
    )
    status_period_s: float = Field(0.5, gt=0, description='Time between status messages [s]')


class WatchdogNodeSettings(Settings):
    """Settings of the watchdog of an arm whose nodes share one process."""

    autostart: bool = Field(
        True, description='Configure and activate without waiting for a command'
    )
    # Above the composed process, which may hang in a loop.
    realtime_priority: int = realtime(49)
    robot: str = Field('planar', description='File of config/robots, or the path of one')
    speed_share: float = Field(
        1.0, gt=0, le=1, description='Allowed share of the described speeds and accelerations [1]'
    )


def loosened(first: SafetyNodeSettings, now: SafetyNodeSettings) -> str:
    """Return which settings would let an arm do more than at first, '' if none would."""
    looser = {
        'robot': now.robot != first.robot,
        'speed_share': now.speed_share > first.speed_share,
        'dry_run': first.dry_run and not now.dry_run,
    }
    return '; '.join(
        f'{name} is {getattr(first, name)!r}, received {getattr(now, name)!r}'
        for name, wrong in looser.items()
        if wrong
    )
