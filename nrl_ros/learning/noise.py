"""Noise for the neurons: zero mean, unit variance, symmetric, explicit generators.

The rule needs nothing else of a noise shape: for such components ``E[z zT / |z|^2] = I / N``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nrl_ros.base.errors import CheckpointError, ConfigError
from nrl_ros.learning.kernels import library as kernels
from nrl_ros.learning.ornstein_uhlenbeck import OrnsteinUhlenbeck

# Sixteen lanes of xoshiro128++.
_STATE_WORDS = 64

Array = NDArray[Any]
Fill = Callable[[np.random.Generator, Array], None]


class NoiseShape(Protocol):
    """Where the noise comes from, step by step."""

    def fill(self, generator: np.random.Generator, out: Array) -> None:
        """The next step's values."""
        ...

    def snapshot(self) -> Array | None:
        """What it remembers of the steps before."""
        ...

    def restore(self, snapshot: Array | None) -> None:
        """Continue from a snapshot."""
        ...


class Independent:
    """Noise that remembers nothing.

    Args:
        fill: draws it.
    """

    def __init__(self, fill: Fill) -> None:
        self.fill = fill

    def snapshot(self) -> None:
        """Nothing."""

    def restore(self, snapshot: Array | None) -> None:
        """Nothing."""


def _gaussian(generator: np.random.Generator, out: Array) -> None:
    generator.standard_normal(dtype=out.dtype, out=out)


def _uniform(generator: np.random.Generator, out: Array) -> None:
    generator.random(dtype=out.dtype, out=out)
    out -= 0.5
    out *= np.sqrt(12.0)


def _laplace(generator: np.random.Generator, out: Array) -> None:
    out[...] = generator.laplace(scale=np.sqrt(0.5), size=out.shape)


def _binary(generator: np.random.Generator, out: Array) -> None:
    out[...] = generator.integers(0, 2, size=out.shape, dtype=np.int8)
    out *= 2.0
    out -= 1.0


# By the name under which settings know them, made with the correlation time in steps; a new noise
# is one more file and one more line here. Those of other packages come through
# settings/registry.py.
NOISE_SHAPES: dict[str, Callable[[float], NoiseShape]] = {
    'gaussian': lambda _steps: Independent(_gaussian),
    'uniform': lambda _steps: Independent(_uniform),
    'laplace': lambda _steps: Independent(_laplace),
    'binary': lambda _steps: Independent(_binary),
    'ornstein_uhlenbeck': OrnsteinUhlenbeck,
}


def agent_generators(seed: int, agent: str, count: int) -> list[np.random.Generator]:
    """Independent generators for one agent, the same whichever other agents exist.

    Args:
        seed: the run's seed.
        agent: name of the agent.
        count: how many generators.
    """
    sequence = np.random.SeedSequence([seed, zlib.crc32(agent.encode())])
    return [np.random.Generator(np.random.SFC64(child)) for child in sequence.spawn(count)]


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """State of a generator as plain data."""
    return dict(generator.bit_generator.state)


class NoiseStream:
    """One array of noise a step, drawn ahead in idle time.

    The numbers depend on the generator and the count of steps alone, never on when they were drawn.

    Args:
        shape_name: a key of NOISE_SHAPES.
        generator: source of randomness, owned from here on.
        rows: rows drawn a step (instances times samples).
        components: N, noisy neurons of the network.
        correlation_steps: correlation time of the noise that has one [steps].
        dtype: float32 or float64.

    Attributes:
        buffer: [rows, N], the noise of the step.
        state: uint32 [64] of the compiled generator; None where another one draws.

    Raises:
        ConfigError: unknown noise shape.
    """

    def __init__(
        self,
        shape_name: str,
        generator: np.random.Generator,
        *,
        rows: int,
        components: int,
        correlation_steps: float = 10.0,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if shape_name not in NOISE_SHAPES:
            raise ConfigError(f'unknown noise {shape_name!r}, expected one of {list(NOISE_SHAPES)}')
        self._shape = NOISE_SHAPES[shape_name](correlation_steps)
        self._generator = generator
        self.buffer = np.zeros((rows, components), dtype)
        self._ready = False
        self.state: Array | None = None
        self._native: kernels.NativeNormal | None = None
        if shape_name == 'gaussian' and self.buffer.dtype == np.float32 and kernels.available():
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
        """Unit noise of one step [rows, N]; valid until the next call of this or of ``prepare``."""
        if not self._ready:
            self._draw()
        self._ready = False
        return self.buffer

    def take_ready(self) -> bool:
        """Whether the next step's noise was drawn already; whoever draws it else asks this."""
        ready, self._ready = self._ready, False
        return ready

    def snapshot(self) -> dict[str, Any]:
        """Generator state and what was drawn ahead."""
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
