"""Baselines that need no states: the running-average reward, and zero."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import RewardBatch
from nrl_ros.learning.baselines.base import Baseline

Array = NDArray[Any]


class AverageBaseline(Baseline):
    """The mean reward of the instance so far, which the neuromodulator computes in any case."""

    def expect(self, reward: RewardBatch, average: Array) -> Array:
        """Return the running average itself."""
        return average


class NoBaseline(Baseline):
    """A baseline of zero: the reward-prediction error is the reward itself."""

    def expect(self, reward: RewardBatch, average: Array) -> Array:
        """Return zeros."""
        return np.zeros(len(average))
