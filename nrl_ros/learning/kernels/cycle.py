"""The cycle of one process in the compiled kernel: what the others do one by one, in two calls."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.environments.episode_tracker import EpisodeTracker
from nrl_ros.learning.kernels.books import NativeAverages, NativeOutcome, NativeWindows, structure
from nrl_ros.learning.kernels.library import NativeStep, library
from nrl_ros.learning.kernels.traces import NativeDense
from nrl_ros.learning.noise import NoiseStream

Array = NDArray[Any]

_PARTS = ('outcome', 'averages', 'windows', 'step', 'traces')
_Cycle = structure(
    '_Cycle',
    dict.fromkeys((*_PARTS, 'weights', 'scales'), ctypes.c_void_p)
    | {'rate': ctypes.c_double}
    | dict.fromkeys(('baseline', 'known'), ctypes.c_void_p)
    | dict.fromkeys(('ascends', 'draws'), ctypes.c_int64)
    | {'noise_state': ctypes.c_void_p, 'noise_count': ctypes.c_int64}
    | dict.fromkeys(
        ('noise', 'next', 'generator', 'uniform', 'credit', 'credited'), ctypes.c_void_p
    )
    | {'learned': ctypes.c_int64, 'rpe_size': ctypes.c_double},
)


# What acting is made of, in order; whoever wants to know what each takes calls them one by one.
ACTING = ('fold', 'draw', 'pass', 'rows')


class Learned(IntEnum):
    """What came of closing windows."""

    UNUSUAL = 0
    DONE = 1
    OPEN = 2
    REJECTED = 3


class NativeCycle:
    """What an agent's environment, neuromodulator and learner do between two steps.

    Args:
        tracker: of the environment.
        averages: of the neuromodulator.
        windows: of the learner, and so on.
        step: passes and rows.
        traces: dense ones.
        noise: unit noise.
        generator: for drawing actions.
        baseline: float64 [B], the learner's copies of the averages.
        known: bool [B].
    """

    def __init__(
        self,
        tracker: EpisodeTracker,
        averages: NativeAverages,
        windows: NativeWindows,
        step: NativeStep,
        traces: NativeDense,
        *,
        noise: NoiseStream,
        generator: np.random.Generator,
        baseline: Array,
        known: Array,
    ) -> None:
        compiled = library()
        self._learn, self._act = compiled.nrl_cycle_learn, compiled.nrl_cycle_act
        self._parts = [(part, getattr(compiled, f'nrl_cycle_{part}')) for part in ACTING]
        self._tracker, self._outcome = tracker, NativeOutcome(tracker)
        self._averages, self._windows = averages, windows
        self._noise = noise
        # Rows go straight into the traces.
        self._step, self._traces = step.writing_to(traces), traces.twin()
        parts = (self._outcome, averages, windows, self._step, self._traces)
        structures = [ctypes.addressof(part.structure) for part in parts]
        batch = len(baseline)
        self._credit, self._credited = np.zeros(batch, np.float32), np.zeros(batch, np.int64)
        bits = generator.bit_generator.ctypes
        self._cycle = _Cycle(
            **dict(zip(_PARTS, structures, strict=True)),
            baseline=baseline.ctypes.data,
            known=known.ctypes.data,
            next=ctypes.cast(bits.next_uint32, ctypes.c_void_p).value,
            generator=bits.state_address,
            uniform=self._step.uniform.ctypes.data,
            credit=self._credit.ctypes.data,
            credited=self._credited.ctypes.data,
        )
        if noise.state is not None:
            self._cycle.noise_state = noise.state.ctypes.data
        self._cycle.noise_count = noise.buffer.size
        self._cycle.noise = noise.buffer.ctypes.data
        # Seen where the tracker has it, drawn where its rows will be.
        self._step.structure.observation = tracker.observation.ctypes.data
        self._step.structure.noise = self._step.structure.post
        self._pointer = ctypes.c_void_p(ctypes.addressof(self._cycle))
        # Pointers keep nothing alive.
        self._keep = (step, traces, generator, baseline, known, noise)
        self._weights: Any = None
        self._scales = np.zeros(0)

    def ascend(self, weights: list[Array], scales: list[float], rate: float) -> None:
        """Change weights here from now on: ``W_l += rate scale_l total_l``."""
        self._weights = (ctypes.c_void_p * len(weights))(*[w.ctypes.data for w in weights])
        self._scales = np.array(scales)
        self._cycle.weights = ctypes.addressof(self._weights)
        self._cycle.scales = self._scales.ctypes.data
        self._cycle.rate, self._cycle.ascends = rate, 1

    def explore(self, sigma: float, scale: float) -> None:
        """Noise and factor of the rows from now on."""
        self._step.structure.sigma, self._step.structure.scale = sigma, scale

    def compare(self, *, rate: float, order: str, scaled: bool) -> None:
        """How rewards are compared from now on, as for NativeAverages."""
        self._averages.compare_by(rate=rate, order=order, scaled=scaled)

    def learn(self) -> int:
        """Learn from the rewards of the newest step, see Learned; then all of ``rpe`` is known."""
        self._outcome.structure.count = self._tracker.closed_count
        outcome: int = self._learn(self._pointer)
        return outcome

    @property
    def learned(self) -> int:
        """Windows that were closed."""
        count: int = self._cycle.learned
        return count

    @property
    def rpe_size(self) -> float:
        """Sum of the sizes of their reward-prediction errors."""
        size: float = self._cycle.rpe_size
        return size

    def credited(self) -> tuple[Array, Array]:
        """Their instances [K] and reward-prediction errors [K]."""
        count = self.learned
        return self._credited[:count].copy(), self._averages.rpe[:count].copy()

    def act(self) -> Array:
        """Choice [B, A] for the newest observation; rows go into the traces."""
        self._ready_noise()
        self._act(self._pointer)
        choice: Array = self._step.choice.copy()
        return choice

    def act_in_parts(self, around: Callable[[str, Callable[[], None]], None]) -> Array:
        """The same, part by part.

        Args:
            around: is given each name of ACTING and what to call for it.
        """
        self._ready_noise()
        for name, part in self._parts:
            around(name, partial(part, self._pointer))
        choice: Array = self._step.choice.copy()
        return choice

    def _ready_noise(self) -> None:
        noise = self._noise
        if noise.state is None:
            noise.next()
        else:
            self._cycle.draws = not noise.take_ready()
