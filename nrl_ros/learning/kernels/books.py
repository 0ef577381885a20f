"""Windows and averages in the compiled kernel: one call where numpy takes many."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import StateBatch
from nrl_ros.environments.episode_tracker import EpisodeTracker
from nrl_ros.learning.kernels.library import library

Array = NDArray[Any]


def structure(name: str, fields: dict[str, Any]) -> Any:
    """A structure of the kernel, every member of which takes eight bytes."""
    return type(name, (ctypes.Structure,), {'_fields_': list(fields.items())})


_Outcome = structure(
    '_Outcome',
    {'count': ctypes.c_int64}
    | dict.fromkeys(
        ('window', 'phase', 'ending', 'closed_instance', 'closed_window', 'closed_value'),
        ctypes.c_void_p,
    ),
)


class NativeOutcome:
    """What the newest step left of an environment, where the kernel sees it.

    Args:
        tracker: whose arrays are read.

    Attributes:
        structure: of the kernel; ``count`` is to be set to the windows that closed.
    """

    def __init__(self, tracker: EpisodeTracker) -> None:
        # Pointers keep nothing alive.
        self._keep = arrays = {
            'window': tracker.state['window'],
            'phase': tracker.state['phase'],
            'ending': tracker.ending,
        } | {f'closed_{name}': tracker.closed[name] for name in ('instance', 'window', 'value')}
        self.structure = _Outcome(**{name: array.ctypes.data for name, array in arrays.items()})


_Windows = structure(
    '_Windows',
    dict.fromkeys(('batch', 'count'), ctypes.c_int64)
    | dict.fromkeys(
        ('window', 'named', 'phase', 'ending', 'instance', 'acting')
        + ('has_rows', 'closed', 'fresh', 'held', 'newest', 'done'),
        ctypes.c_void_p,
    ),
)


class NativeWindows:
    """What ``credit.CreditWindows`` does with every state, as long as nothing is out of the way.

    Args:
        has_rows: bool [B], as there, and so on; changed in place.
        closed: bool [B].
        fresh: bool [B].
        held: bool [B].
        newest: int64 [B].
        done: int64 [B].

    Attributes:
        acting: int64 [B], what ``note`` found, from the front.
        structure: of the kernel.
    """

    def __init__(self, **kept: Array) -> None:
        compiled = library()
        self._look, self._close = compiled.nrl_look, compiled.nrl_close
        self._note, self._finish = compiled.nrl_note, compiled.nrl_finish
        batch = len(kept['done'])
        self._window, self._named = np.zeros((2, batch), np.uint32)
        self._phase, self._ending = np.zeros((2, batch), np.uint8)
        self._instance, self.acting = np.zeros((2, batch), np.int64)
        self._state: StateBatch | None = None
        arrays = kept | {
            'window': self._window,
            'named': self._named,
            'phase': self._phase,
            'ending': self._ending,
            'instance': self._instance,
            'acting': self.acting,
        }
        pointers = {name: array.ctypes.data for name, array in arrays.items()}
        self.structure = _Windows(batch=batch, **pointers)
        self._pointer = ctypes.c_void_p(ctypes.addressof(self.structure))
        # Pointers keep nothing alive.
        self._keep = arrays

    def _take(self, state: StateBatch) -> None:
        # A state is looked at several times.
        if state is not self._state:
            self._state = state
            self._window[:], self._phase[:] = state.window, state.phase
            self._ending[:] = state.ending

    def look(self, state: StateBatch) -> tuple[bool, bool]:
        """Whether any window of a state runs backwards, and whether any is over."""
        self._take(state)
        seen = self._look(self._pointer)
        return seen & 1 > 0, seen & 2 > 0

    def close(self, state: StateBatch) -> bool:
        """Close those that are over; False where it takes more than that, and nothing was done."""
        self._take(state)
        return bool(self._close(self._pointer))

    def note(self, state: StateBatch) -> int:
        """Note a step, and how many act; -1 where a window still waits, and nothing was done."""
        self._take(state)
        count: int = self._note(self._pointer)
        return count

    def finish(self, instance: Array, window: Array) -> bool:
        """Finish closed windows; False where one of them is not closed, and nothing was done.

        Args:
            instance: [K], K at most B.
            window: [K].
        """
        count = len(instance)
        self._instance[:count], self._named[:count] = instance, window
        self.structure.count = count
        return bool(self._finish(self._pointer))


_REWARDS = {'instance': np.uint32, 'window': np.uint32, 'value': np.float64}
_COMPARED = {'after': np.float64, 'rpe': np.float64}
_Averages = structure(
    '_Averages',
    dict.fromkeys(('batch', 'count', 'order', 'scaled'), ctypes.c_int64)
    | {'rate': ctypes.c_double}
    | dict.fromkeys(
        (*_REWARDS, 'known', 'baseline', 'last_window', *_COMPARED),
        ctypes.c_void_p,
    ),
)


class NativeAverages:
    """What ``neuromodulator.Neuromodulator`` does with rewards that nothing is wrong with.

    Args:
        known: bool [B], as there; changed in place.
        baseline: float64 [B].
        last_window: int64 [B].

    Attributes:
        structure: of the kernel.
        rpe: float64 [B], what ``compare`` found, from the front.
    """

    # By what rewards are compared with: the average before or after it moves, or nothing.
    ORDERS = ('before', 'after', 'never')

    def __init__(self, **kept: Array) -> None:
        self._call = library().nrl_compare
        batch = len(kept['known'])
        own = {name: np.zeros(batch, kind) for name, kind in (_REWARDS | _COMPARED).items()}
        self._in = tuple(own[name] for name in _REWARDS)
        self._out = tuple(own[name] for name in _COMPARED)
        self.rpe = own['rpe']
        # Pointers keep nothing alive.
        self._keep = arrays = own | kept
        pointers = {name: array.ctypes.data for name, array in arrays.items()}
        self.structure = _Averages(batch=batch, **pointers)
        self._pointer = ctypes.c_void_p(ctypes.addressof(self.structure))

    def compare_by(self, *, rate: float, order: str, scaled: bool) -> None:
        """How rewards are compared, as in ``compare``."""
        averages = self.structure
        averages.rate, averages.scaled = rate, scaled
        averages.order = self.ORDERS.index(order)

    def compare(
        self,
        instance: Array,
        window: Array,
        value: Array,
        *,
        rate: float,
        order: str,
        scaled: bool,
    ) -> tuple[Array, Array] | None:
        """Averages after the rewards and reward-prediction errors, [K] each.

        Args:
            instance: [K].
            window: [K].
            value: [K].
            rate: step of the averages.
            order: one of ORDERS.
            scaled: divide by the size of the reward.

        Returns:
            None where a reward is not finite, out of order or seen before, and nothing was done.
        """
        count = len(instance)
        own, averages = self._in, self.structure
        if not 0 < count <= averages.batch:
            return None
        own[0][:count], own[1][:count], own[2][:count] = instance, window, value
        averages.count = count
        self.compare_by(rate=rate, order=order, scaled=scaled)
        if not self._call(self._pointer):
            return None
        after, rpe = self._out
        return after[:count].copy(), rpe[:count].copy()
