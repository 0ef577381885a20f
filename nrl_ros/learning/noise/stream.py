"""The noise of an agent for each step, drawn in advance in idle time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nrl_ros.base.state import restore_snapshot, take_snapshot
from nrl_ros.learning.noise.generators import generator_state
from nrl_ros.learning.noise.settings import NoiseSettings

Array = NDArray[Any]


class NoiseStream:
    """One array of noise for each step, drawn in advance in idle time.

    The numbers depend only on the generator and the count of steps, never on when they were drawn.

    Args:
        settings: which noise, and its options.
        generator: source of randomness, which only this stream uses from now on.
        rows: rows drawn in each step (instances times samples).
        components: N, noisy neurons of the network.
        dtype: float32 or float64.

    Attributes:
        buffer: [rows, N], the noise of the step.
    """

    def __init__(
        self,
        settings: NoiseSettings,
        generator: np.random.Generator,
        *,
        rows: int,
        components: int,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self._shape = settings.make()
        self._generator = generator
        self.buffer = np.zeros((rows, components), dtype)
        self._ready = False

    def prepare(self) -> None:
        """Draw the next step's noise now, unless that is done already."""
        if not self._ready:
            self._shape.fill(self._generator, self.buffer)
            self._ready = True

    def next(self) -> Array:
        """Return unit noise of one step [rows, N], valid until the next call or ``prepare``."""
        if not self._ready:
            self._shape.fill(self._generator, self.buffer)
        self._ready = False
        return self.buffer

    def next_into(self, out: Array) -> None:
        """Write what ``next`` returns to an array [rows, N], contiguous, instead."""
        if self._ready:
            out[...] = self.buffer
            self._ready = False
        else:
            self._shape.fill(self._generator, out)

    def snapshot(self) -> dict[str, Any]:
        """Return the states of generator and noise, and what was drawn ahead (copies)."""
        return {
            'generator': generator_state(self._generator),
            'shape': take_snapshot(self._shape),
            'ahead': self.buffer.copy() if self._ready else None,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot of a stream of the same noise and size."""
        self._generator.bit_generator.state = snapshot['generator']
        restore_snapshot(self._shape, snapshot['shape'], 'shape')
        ahead = snapshot['ahead']
        self._ready = ahead is not None
        if ahead is not None:
            self.buffer[...] = ahead
