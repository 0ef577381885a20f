"""Checks that an arm moves at all when it is commanded to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.robots.safety.limits import JointLimits
from nrl_ros.robots.safety.settings import SupervisorSettings

Array = NDArray[Any]

# An arm has moved if a joint is further from its start than this share of the allowed error.
_MOVED = 0.1


class Response:
    """Distinguishes an arm that does not move at all from one that lags behind.

    The commanded velocities are summed up while the measured position does not change. If positions
    are commanded, the sum equals the tracking error. If velocities are commanded, the reference is
    pulled back to the arm, so slow commands to a dead arm would never make a tracking error.

    Args:
        settings: of the supervisor; ``tracking_error_rad`` and ``tracking_time_s`` are used.
        limits: name the joints.
        period_s: of the ticks [s].
    """

    def __init__(self, settings: SupervisorSettings, limits: JointLimits, period_s: float) -> None:
        self._most_rad, self._most_s = settings.tracking_error_rad, settings.tracking_time_s
        self._joints, self._units, self._period_s = limits.joints, limits.units, period_s
        self.begin(np.zeros(len(limits.joints)))

    def begin(self, position: Array) -> None:
        """Start from a measured position [J] [rad]."""
        self._stood, self._way = position, np.zeros_like(position)
        self._commands = 0
        self._since = math.inf

    def commanded(self, velocity: Array) -> None:
        """Note a velocity [J] [rad/s] that was commanded for one period."""
        if velocity.any():
            self._way = self._way + velocity * self._period_s
            self._commands += 1

    def problem(self, now: float, position: Array) -> str:
        """Return a text if the arm has not moved although it was commanded to, '' otherwise.

        Args:
            now: [s].
            position: measured [J] [rad].
        """
        if np.abs(position - self._stood).max() > _MOVED * self._most_rad:
            self.begin(position)
            return ''
        joint = int(np.abs(self._way).argmax())
        if abs(self._way[joint]) <= self._most_rad:
            self._since = math.inf
            return ''
        self._since = min(self._since, now)
        if now - self._since <= self._most_s:
            return ''
        return (
            f'the arm has not moved at all in {self._commands} commands that were to move '
            f'{self._joints[joint]} by {self._way[joint]:.3f} {self._units[joint]}: is its '
            'controller active (`ros2 control list_controllers` shows it), are the brakes released?'
        )
