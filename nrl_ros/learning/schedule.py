"""Local schedules of step size and noise: each neuron can count updates and hear the RPE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.state import Stateful
from nrl_ros.learning.noise.settings import NoiseSettings
from nrl_ros.learning.rules.settings import PlasticitySettings

Array = NDArray[Any]


@dataclass
class ScheduleState:
    """The logarithm of the factor by which the noise has grown."""

    log_growth: float = 0.0


class Schedule(Stateful):
    """Clips errors, and lets learning rate and noise change from update to update.

    Args:
        plasticity: clips errors and lets the learning rate decay.
        noise: lets the noise decay, or grow while reward-prediction errors are 0.
    """

    def __init__(self, plasticity: PlasticitySettings, noise: NoiseSettings) -> None:
        self._plasticity, self._noise = plasticity, noise
        self.state: ScheduleState = ScheduleState()

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
        self.state.log_growth = min(max(self.state.log_growth + change, 0.0), limit)

    def rate_factor(self, updates: int) -> float:
        """Return the factor of the learning rate after so many updates."""
        half = self._plasticity.learning_rate_decay
        return half / (half + updates) if half > 0.0 else 1.0

    def sigma_factor(self, updates: int) -> float:
        """Return the factor of the noise after so many updates."""
        half = self._noise.sigma_decay
        decay = half / (half + updates) if half > 0.0 else 1.0
        return decay * math.exp(self.state.log_growth)
