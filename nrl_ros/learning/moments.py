"""Running mean and variance of what was seen, and numbers in units of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import CheckpointError
from nrl_ros.base.state import Stateful

Array = NDArray[Any]

# A number so many standard deviations from the mean is cut off: one wild value of a sensor would
# otherwise drive every neuron at once.
_FARTHEST = 10.0
# Added to the variance, so that a number that never changes is not divided by 0.
_SMALLEST_VARIANCE = 1e-8


@dataclass
class MomentsState:
    """What was seen so far.

    Attributes:
        count: rows.
        mean: [N]; None before the first row.
        squares: sums of the squared deviations from the mean [N], likewise.
    """

    count: int = 0
    mean: Array | None = None
    squares: Array | None = None


class RunningMoments(Stateful):
    """Mean and variance of all rows that were added.

    The moments of a batch are merged with those before (Chan, Golub and LeVeque 1983), so that they
    are those of all rows together, up to rounding.
    """

    def __init__(self) -> None:
        self.state: MomentsState = MomentsState()

    def add(self, rows: Array) -> None:
        """Take rows [K, N] into account."""
        state, new = self.state, len(rows)
        if not new:
            return
        mean = rows.mean(axis=0, dtype=np.float64)
        deviation = rows - mean
        squares = np.einsum('kn,kn->n', deviation, deviation)
        if state.mean is None or state.squares is None:
            state.count, state.mean, state.squares = new, mean, squares
            return
        total = state.count + new
        difference = mean - state.mean
        state.squares += squares + difference * difference * (state.count * new / total)
        state.mean += difference * (new / total)
        state.count = total

    @property
    def farthest(self) -> float:
        """Largest size of a normalised number [standard deviations]."""
        return _FARTHEST

    @property
    def deviation(self) -> Array:
        """Standard deviations [N]; one number, 1, before the second row."""
        state = self.state
        if state.squares is None or state.count < 2:
            return np.ones(1)
        deviation: Array = np.sqrt(state.squares / state.count + _SMALLEST_VARIANCE)
        return deviation

    def normalised(self, rows: Array) -> Array:
        """Return rows [K, N] as standard deviations from the mean, within -10 to 10, a new array.

        Before the first row was added, the numbers stay as they are.
        """
        if self.state.mean is None:
            return np.array(rows)
        normal: Array = (rows - self.state.mean) / self.deviation
        return normal.clip(-_FARTHEST, _FARTHEST).astype(rows.dtype)

    def check_snapshot(self, snapshot: dict[str, Any]) -> None:
        """Refuse moments that no rows can have.

        Raises:
            CheckpointError: they are not finite, or a variance is negative.
        """
        mean, squares = snapshot['mean'], snapshot['squares']
        if mean is None and squares is None:
            return
        if not (np.isfinite(mean).all() and np.isfinite(squares).all() and (squares >= 0).all()):
            raise CheckpointError('the saved moments are no mean and variance of finite numbers')

    def check_size(self, size: int) -> None:
        """Refuse restored moments of rows of another size.

        Raises:
            CheckpointError: naming both.
        """
        mean = self.state.mean
        if mean is not None and mean.shape != (size,):
            raise CheckpointError(f'the saved moments are of {mean.shape} numbers, expected {size}')
