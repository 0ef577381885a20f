"""The noise of an agent, step by step, drawn ahead in idle time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nrl_ros.base.errors import CheckpointError
from nrl_ros.learning.kernels import library as kernels
from nrl_ros.learning.noise.generators import generator_state
from nrl_ros.learning.noise.settings import NoiseSettings

# Sixteen lanes of xoshiro128++.
_STATE_WORDS = 64

Array = NDArray[Any]


class NoiseStream:
    """One array of noise a step, drawn ahead in idle time.

    The numbers depend on the generator and the count of steps alone, never on when they were drawn.

    Args:
        settings: which noise, and its options.
        generator: source of randomness, owned from here on.
        rows: rows drawn a step (instances times samples).
        components: N, noisy neurons of the network.
        dtype: float32 or float64.

    Attributes:
        buffer: [rows, N], the noise of the step.
        state: uint32 [64] of the compiled generator; None where another one draws.
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
        self.state: Array | None = None
        self._native: kernels.NativeNormal | None = None
        if settings.shape == 'gaussian' and self.buffer.dtype == np.float32 and kernels.available():
            self.state = generator.integers(1, 2**32, _STATE_WORDS, dtype=np.uint32)
            self._native = kernels.NativeNormal(self.state, self.buffer)

    def prepare(self) -> None:
        """Draw the next step's noise now, if that is not done yet."""
        if not self._ready:
            self._draw()
            self._ready = True

    def _draw(self) -> None:
        if self._native is not None:
            self._native.draw()
        else:
            self._shape.fill(self._generator, self.buffer)

    def next(self) -> Array:
        """Return unit noise of one step [rows, N], valid until the next call or ``prepare``."""
        if not self._ready:
            self._draw()
        self._ready = False
        return self.buffer

    def take_ready(self) -> bool:
        """Return whether the next step's noise was drawn ahead, and count it as taken."""
        ready, self._ready = self._ready, False
        return ready

    def snapshot(self) -> dict[str, Any]:
        """Return the state of the generator and what was drawn ahead."""
        return {
            'generator': generator_state(self._generator),
            'state': None if self.state is None else self.state.copy(),
            'shape': self._shape.snapshot(),
            'ahead': self.buffer.copy() if self._ready else None,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot of a stream of the same shape.

        Raises:
            CheckpointError: one was drawn by the compiled generator, the other was not.
        """
        state = snapshot['state']
        if (state is None) != (self.state is None):
            raise CheckpointError(
                'the noise of the checkpoint was drawn '
                f'{"without" if state is None else "with"} the compiled kernel, this run is '
                'the other way: build it, or set NRL_KERNEL=numpy, as in the saved run'
            )
        if self.state is not None:
            self.state[...] = state
        self._generator.bit_generator.state = snapshot['generator']
        self._shape.restore(snapshot['shape'])
        ahead = snapshot['ahead']
        self._ready = ahead is not None
        if ahead is not None:
            self.buffer[...] = ahead
