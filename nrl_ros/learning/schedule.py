"""Helpers of the step size that stay local: every neuron can count updates and hear the RPE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError

Array = NDArray[Any]


@dataclass(frozen=True)
class ScheduleSettings:
    """All off by default.

    Attributes:
        rpe_clip: largest size of a reward-prediction error [1]; 0: not clipped.
        learning_rate_decay: updates after which the learning rate has halved, as
            ``eta / (1 + updates / n)``; 0: constant.
        sigma_decay: the same for the noise.
        silent_growth: factor of the noise for each window whose reward-prediction error is 0, at
            least 1; others take it back as fast. 1: off.
        silent_limit: largest factor that it reaches, at least 1.

    Raises:
        ConfigError: a setting is out of its range.
    """

    rpe_clip: float = 0.0
    learning_rate_decay: float = 0.0
    sigma_decay: float = 0.0
    silent_growth: float = 1.0
    silent_limit: float = 1000.0

    def __post_init__(self) -> None:
        """Check the settings."""
        for name in ('rpe_clip', 'learning_rate_decay', 'sigma_decay'):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0.0):
                raise ConfigError(f'{name} must be >= 0, received {getattr(self, name)}')
        for name in ('silent_growth', 'silent_limit'):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 1.0):
                raise ConfigError(f'{name} must be >= 1, received {getattr(self, name)}')


class Schedule:
    """Where the helpers stand.

    Args:
        settings: which of them are on.
    """

    def __init__(self, settings: ScheduleSettings) -> None:
        self._settings = settings
        self._log_growth = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing is on."""
        settings = self._settings
        decays = settings.learning_rate_decay > 0.0 or settings.sigma_decay > 0.0
        return not (decays or settings.rpe_clip > 0.0 or settings.silent_growth > 1.0)

    @property
    def changes_sigma(self) -> bool:
        """Whether the noise changes at all."""
        return self._settings.sigma_decay > 0.0 or self._settings.silent_growth > 1.0

    def clip(self, rpe: Array) -> Array:
        """Reward-prediction errors within the limit."""
        limit = self._settings.rpe_clip
        return np.clip(rpe, -limit, limit) if limit > 0.0 else rpe

    def heard(self, rpe: Array) -> None:
        """Note reward-prediction errors of closed windows, all of one update."""
        settings = self._settings
        if settings.silent_growth == 1.0:
            return
        silent = int(np.count_nonzero(rpe == 0.0))
        change = (2 * silent - len(rpe)) * math.log(settings.silent_growth)
        limit = math.log(settings.silent_limit)
        self._log_growth = min(max(self._log_growth + change, 0.0), limit)

    def rate_factor(self, updates: int) -> float:
        """Factor of the learning rate after so many updates."""
        half = self._settings.learning_rate_decay
        return half / (half + updates) if half > 0.0 else 1.0

    def sigma_factor(self, updates: int) -> float:
        """Factor of the noise after so many updates."""
        half = self._settings.sigma_decay
        decay = half / (half + updates) if half > 0.0 else 1.0
        return decay * math.exp(self._log_growth)

    def snapshot(self) -> dict[str, Any]:
        """How far the noise has grown."""
        return {'log_growth': self._log_growth}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self._log_growth = float(snapshot['log_growth'])
