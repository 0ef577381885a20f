"""Running averages of all instances in whole arrays of numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.neuromodulator import RpeSettings

Array = NDArray[Any]


class ReferenceAverage:
    """What rewards are compared with, and how much better they are."""

    def __init__(self, instances: int, settings: RpeSettings) -> None:
        self.settings = settings
        self.known = np.zeros(instances, bool)
        self.baseline = np.zeros(instances)
        self.last_window = np.full(instances, -1)

    def evaluate(self, instance: Array, window: Array, value: Array) -> tuple[Array, Array, Array]:
        """Return instances, averages and errors of the rewards that are valid and new."""
        keep = (np.abs(value) <= 1e150) & (window > self.last_window[instance])
        index, window, value = instance[keep], window[keep], value[keep]
        settings = self.settings
        before = np.where(self.known[index], self.baseline[index], value)
        after = before + settings.rate * (value - before)
        expected = before if settings.order == 'before' else after
        rpe = value - (0.0 if settings.baseline == 'none' else expected)
        if settings.scale == 'absolute_reward':
            with np.errstate(over='ignore'):
                scaled = rpe / np.where(value == 0.0, 1.0, np.abs(value))
            rpe = np.where(np.isfinite(scaled), scaled, rpe)
        self.baseline[index], self.known[index] = after, True
        self.last_window[index] = window
        return index, after, rpe
