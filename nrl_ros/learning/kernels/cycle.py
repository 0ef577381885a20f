"""Acting and learning in the compiled kernel: what others do one by one, in a call each."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.kernels.library import NativeStep, library
from nrl_ros.learning.kernels.traces import NativeDense
from nrl_ros.learning.noise import NoiseStream
from nrl_ros.learning.window_tracker import WindowTracker

Array = NDArray[Any]


def structure(name: str, fields: dict[str, Any]) -> Any:
    """A structure of the kernel, every member of which takes eight bytes."""
    return type(name, (ctypes.Structure,), {'_fields_': list(fields.items())})


_Cycle = structure(
    '_Cycle',
    dict.fromkeys(('step', 'traces', 'weights', 'scales'), ctypes.c_void_p)
    | {'rate': ctypes.c_double, 'draws': ctypes.c_int64}
    | {'noise_state': ctypes.c_void_p, 'noise_count': ctypes.c_int64}
    | dict.fromkeys(('noise', 'next', 'generator', 'uniform', 'acting', 'fresh'), ctypes.c_void_p)
    | {'acting_count': ctypes.c_int64}
    | dict.fromkeys(('ready', 'rpe'), ctypes.c_void_p)
    | {'ready_count': ctypes.c_int64, 'credit': ctypes.c_void_p, 'rpe_size': ctypes.c_double},
)


# What acting is made of, in order; whoever wants to know what each takes calls them one by one.
ACTING = ('fold', 'draw', 'pass', 'rows')


class NativeCycle:
    """What a learner does between two steps of an environment, where traces are dense.

    Args:
        windows: of the learner.
        step: passes and rows.
        traces: dense ones.
        observation: float32 [B, O], to act upon; an array that stays the same one.
        noise: unit noise.
        generator: for drawing actions.
    """

    def __init__(
        self,
        windows: WindowTracker,
        step: NativeStep,
        traces: NativeDense,
        *,
        observation: Array,
        noise: NoiseStream,
        generator: np.random.Generator,
    ) -> None:
        compiled = library()
        self._learn, self._act = compiled.nrl_cycle_learn, compiled.nrl_cycle_act
        self._parts = [(part, getattr(compiled, f'nrl_cycle_{part}')) for part in ACTING]
        self._windows, self._noise = windows, noise
        # Rows go straight into the traces.
        self._step, self._traces = step.writing_to(traces), traces.twin()
        self._credit = np.zeros(len(windows.ready), np.float32)
        bits = generator.bit_generator.ctypes
        self._cycle = _Cycle(
            step=ctypes.addressof(self._step.structure),
            traces=ctypes.addressof(self._traces.structure),
            next=ctypes.cast(bits.next_uint32, ctypes.c_void_p).value,
            generator=bits.state_address,
            uniform=self._step.uniform.ctypes.data,
            acting=windows.acting.ctypes.data,
            fresh=windows.state['fresh'].ctypes.data,
            ready=windows.ready.ctypes.data,
            rpe=windows.ready_rpe.ctypes.data,
            credit=self._credit.ctypes.data,
        )
        if noise.state is not None:
            self._cycle.noise_state = noise.state.ctypes.data
        self._cycle.noise_count = noise.buffer.size
        self._cycle.noise = noise.buffer.ctypes.data
        # Drawn where its rows will be.
        self._step.structure.observation = observation.ctypes.data
        self._step.structure.noise = self._step.structure.post
        self._pointer = ctypes.c_void_p(ctypes.addressof(self._cycle))
        # Pointers keep nothing alive.
        self._keep = (step, traces, generator, observation, noise)
        self._weights: Any = None
        self._scales = np.zeros(0)

    def ascend(self, weights: list[Array], scales: list[float], rate: float) -> None:
        """Change weights here from now on: ``W_l += rate scale_l total_l``."""
        self._weights = (ctypes.c_void_p * len(weights))(*[w.ctypes.data for w in weights])
        self._scales = np.array(scales)
        self._cycle.weights = ctypes.addressof(self._weights)
        self._cycle.scales = self._scales.ctypes.data
        self._cycle.rate = rate

    def explore(self, sigma: float, scale: float) -> None:
        """Noise and factor of the rows from now on."""
        self._step.structure.sigma, self._step.structure.scale = sigma, scale

    def learn(self) -> bool:
        """Change weights by the windows that are ready, see ``ascend``.

        Returns:
            False where the sum is not finite: nothing was changed, and those traces are gone.
        """
        self._cycle.ready_count = self._windows.ready_count
        return bool(self._learn(self._pointer))

    @property
    def rpe_size(self) -> float:
        """Sum of the sizes of the reward-prediction errors learned from last."""
        size: float = self._cycle.rpe_size
        return size

    def act(self) -> Array:
        """Choice [B, A] for the newest observation; rows go into the traces."""
        self._prepare()
        self._act(self._pointer)
        choice: Array = self._step.choice.copy()
        return choice

    def act_in_parts(self, around: Callable[[str, Callable[[], None]], None]) -> Array:
        """The same, part by part.

        Args:
            around: is given each name of ACTING and what to call for it.
        """
        self._prepare()
        for name, part in self._parts:
            around(name, partial(part, self._pointer))
        choice: Array = self._step.choice.copy()
        return choice

    def _prepare(self) -> None:
        noise = self._noise
        self._cycle.acting_count = self._windows.note()
        if noise.state is None:
            noise.next()
        else:
            self._cycle.draws = not noise.take_ready()
