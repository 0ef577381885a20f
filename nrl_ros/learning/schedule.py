"""Local schedules of step size and noise: each neuron can count updates and hear the RPE."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.noise.settings import NoiseSettings
from nrl_ros.learning.rules.settings import PlasticitySettings

Array = NDArray[Any]


class Schedule:
    """Clips errors, and lets learning rate and noise change from update to update.

    Args:
        plasticity: clips errors and lets the learning rate decay.
        noise: lets the noise decay, or grow while reward-prediction errors are 0.
    """

    def __init__(self, plasticity: PlasticitySettings, noise: NoiseSettings) -> None:
        self._plasticity, self._noise = plasticity, noise
        self._log_growth = 0.0

    @property
    def idle(self) -> bool:
        """True if nothing is clipped and nothing changes."""
        plasticity = self._plasticity
        fixed = plasticity.learning_rate_decay == 0.0 and plasticity.rpe_clip == 0.0
        return fixed and not self.changes_sigma

    @property
    def changes_sigma(self) -> bool:
        """True if the noise changes."""
        return self._noise.sigma_decay > 0.0 or self._noise.silent_growth > 1.0

    def clip(self, rpe: Array) -> Array:
        """Return reward-prediction errors, clipped to the limit if there is one."""
        limit = self._plasticity.rpe_clip
        return np.clip(rpe, -limit, limit) if limit > 0.0 else rpe

    def heard(self, rpe: Array) -> None:
        """Note the reward-prediction errors of all windows of one update."""
        settings = self._noise
        if settings.silent_growth == 1.0:
            return
        silent = int(np.count_nonzero(rpe == 0.0))
        change = (2 * silent - len(rpe)) * math.log(settings.silent_growth)
        limit = math.log(settings.silent_limit)
        self._log_growth = min(max(self._log_growth + change, 0.0), limit)

    def rate_factor(self, updates: int) -> float:
        """Return the factor of the learning rate after so many updates."""
        half = self._plasticity.learning_rate_decay
        return half / (half + updates) if half > 0.0 else 1.0

    def sigma_factor(self, updates: int) -> float:
        """Return the factor of the noise after so many updates."""
        half = self._noise.sigma_decay
        decay = half / (half + updates) if half > 0.0 else 1.0
        return decay * math.exp(self._log_growth)

    def snapshot(self) -> dict[str, Any]:
        """How far the noise has grown."""
        return {'log_growth': self._log_growth}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self._log_growth = float(snapshot['log_growth'])
