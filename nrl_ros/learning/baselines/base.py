"""The interface of a baseline, with which rewards are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import RewardBatch, StateBatch
from nrl_ros.base.state import Stateful

Array = NDArray[Any]


class Baseline(Stateful):
    """What rewards are compared with. This base class sees no states and learns nothing.

    Attributes:
        sees_states: True if the neuromodulator must be given every state.
    """

    sees_states = False

    def observe(self, state: StateBatch) -> None:
        """Take a state."""

    def waits_for(self, reward: RewardBatch) -> bool:
        """Return whether rewards have to wait for the state that they came with."""
        return False

    def matches(self, reward: RewardBatch) -> Array:
        """Return which rewards [K] can be compared with something; the others are left out."""
        return np.ones(len(reward.instance), np.bool_)

    def expect(self, reward: RewardBatch, average: Array) -> Array:
        """Return what rewards [K] are compared with [K].

        Args:
            reward: valid ones, all of which match.
            average: running-average reward of their instances [K].
        """
        raise NotImplementedError

    def learn(self, reward: RewardBatch, instance: Array, rpe: Array) -> None:
        """Learn from the reward-prediction errors [K] of instances [K]."""
