"""The noise of an agent for each step, drawn in advance in idle time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nrl_ros.base.state import Stateful, restore_snapshot, transient
from nrl_ros.learning.noise.settings import NoiseSettings
from nrl_ros.learning.noise.shapes import NoiseShape

Array = NDArray[Any]


@dataclass
class NoiseState:
    """What decides the noise of the steps to come.

    Attributes:
        generator: source of randomness.
        shape: makes noise of it.
        ahead: [rows, N], the noise of the next step, if it was drawn already.
    """

    generator: np.random.Generator
    shape: NoiseShape
    ahead: Array | None = transient()


class NoiseStream(Stateful):
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
        self.state: NoiseState = NoiseState(generator, settings.make())
        self.buffer = np.zeros((rows, components), dtype)
        self._ready = False

    def prepare(self) -> None:
        """Draw the next step's noise now, unless that is done already."""
        if not self._ready:
            self.state.shape.fill(self.state.generator, self.buffer)
            self._ready = True

    def next(self) -> Array:
        """Return unit noise of one step [rows, N], valid until the next call or ``prepare``."""
        if not self._ready:
            self.state.shape.fill(self.state.generator, self.buffer)
        self._ready = False
        return self.buffer

    def next_into(self, out: Array) -> None:
        """Write what ``next`` returns to an array [rows, N], contiguous, instead."""
        if self._ready:
            out[...] = self.buffer
            self._ready = False
        else:
            self.state.shape.fill(self.state.generator, out)

    def before_snapshot(self) -> None:
        """Show what was drawn ahead."""
        self.state.ahead = self.buffer if self._ready else None

    def check_snapshot(self, snapshot: dict[str, Any]) -> None:
        """Refuse noise of another size.

        Raises:
            CheckpointError: what was drawn ahead does not fit the buffer.
        """
        if snapshot['ahead'] is not None:
            restore_snapshot({'ahead': np.empty_like(self.buffer)}, {'ahead': snapshot['ahead']})

    def after_restore(self) -> None:
        """Take over what was drawn ahead."""
        ahead = self.state.ahead
        self._ready = ahead is not None
        if ahead is not None:
            self.buffer[...] = ahead
