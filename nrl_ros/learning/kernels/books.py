"""The books of environment and learner in the compiled kernel: one call where numpy takes many."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import StateBatch, StepResult
from nrl_ros.learning.kernels.library import library

Array = NDArray[Any]


def structure(name: str, fields: dict[str, Any]) -> Any:
    """A structure of the kernel, every member of which takes eight bytes."""
    return type(name, (ctypes.Structure,), {'_fields_': list(fields.items())})


_SEEN = {'action': np.int32, 'observation': np.float32}
_BOOKS_IN = {
    'reward': np.float64,
    'terminated': np.bool_,
    'truncated': np.bool_,
    'aborted': np.bool_,
    'blind': np.bool_,
}
_PAID = {
    'paid_instance': np.uint32,
    'paid_episode': np.uint32,
    'paid_step': np.uint32,
    'paid_window': np.uint32,
    'paid_value': np.float64,
}
_ENDED = {
    'ended_instance': np.int64,
    'ended_episode': np.uint32,
    'ended_length': np.uint32,
    'ended_ending': np.uint8,
    'ended_return': np.float64,
}
_BOOKS = ('episode', 'step', 'window', 'window_steps', 'window_reward', 'return', 'phase')
_Books = structure(
    '_Books',
    dict.fromkeys(
        ('batch', 'delivery', 'delivery_steps', 'observation_size', 'choices'), ctypes.c_int64
    )
    | dict.fromkeys((*_SEEN, *_BOOKS_IN, *_BOOKS, 'ending', *_PAID, *_ENDED), ctypes.c_void_p)
    | dict.fromkeys(('live', 'paid', 'ended', 'aborts'), ctypes.c_int64),
)


class NativeBooks:
    """``books.Books`` in one call.

    Args:
        books: the arrays of the books by name, changed in place.
        delivery: when rewards are handed over.
        delivery_steps: n of EVERY_N_STEPS.
        instances: B.
        observation_size: O.

    Attributes:
        structure: of the kernel.
        observation: float32 [B, O], what was seen last.
    """

    def __init__(
        self,
        books: dict[str, Array],
        delivery: int,
        delivery_steps: int,
        *,
        instances: int,
        observation_size: int,
    ) -> None:
        compiled = library()
        self._call = compiled.nrl_move
        self._finite, self._fits = compiled.nrl_finite, compiled.nrl_fits
        own = {
            name: np.zeros(instances, kind)
            for name, kind in ({'ending': np.uint8} | _BOOKS_IN | _PAID | _ENDED).items()
        }
        self._action = own['action'] = np.zeros((instances, 1), np.int32)
        self.observation = own['observation'] = np.zeros((instances, observation_size), np.float32)
        self.ending = own['ending']
        self._in = tuple(own[name] for name in _BOOKS_IN)
        self._paid = [own[name] for name in _PAID]
        self._ended = [own[name] for name in _ENDED]
        arrays = own | books
        pointers = {name: array.ctypes.data for name, array in arrays.items()}
        self._blind = pointers['blind']
        self.structure = _Books(
            batch=instances,
            delivery=delivery,
            delivery_steps=delivery_steps,
            observation_size=observation_size,
            **pointers,
        )
        self.structure.blind = None
        self._constant: Array | None = None
        self._pointer = ctypes.c_void_p(ctypes.addressof(self.structure))
        # Pointers keep nothing alive.
        self._keep = arrays

    def fits(self, action: Array, choices: int) -> bool:
        """Whether all of int32 [B, 1] are from 0 to below ``choices``."""
        self._action[:], self.structure.choices = action, choices
        return bool(self._fits(self._pointer))

    def finite(self, observation: Array, reward: Array) -> bool:
        """Whether all observations [B, O] and rewards [B] are."""
        self.observation[:], self._in[0][:] = observation, reward
        return bool(self._finite(self._pointer))

    def see(self, result: StepResult) -> None:
        """Copy what a step gave."""
        self.observation[:] = result.observation
        reward, terminated, truncated, aborted, _ = self._in
        reward[:], terminated[:], truncated[:] = result.reward, result.terminated, result.truncated
        # Mostly the same array, which says that nobody was.
        if result.aborted is not self._constant:
            aborted[:] = result.aborted
            own = result.aborted.flags
            self._constant = result.aborted if own.owndata and not own.writeable else None

    def move(
        self,
        reward: Array,
        terminated: Array,
        truncated: Array,
        aborted: Array,
        blind: Array | None,
    ) -> Any:
        """Note one step; ``live``, ``paid``, ``ended`` and ``aborts`` say how many."""
        own = self._in
        own[0][:], own[1][:], own[2][:], own[3][:] = reward, terminated, truncated, aborted
        self._constant = None
        if blind is not None:
            own[4][:] = blind
            self.structure.blind = self._blind
        self._call(self._pointer)
        self.structure.blind = None
        return self.structure

    def paid(self, count: int) -> list[Array]:
        """Copies of what describes the windows paid."""
        return [array[:count].copy() for array in self._paid]

    def ended(self, count: int) -> list[Array]:
        """Copies of what describes the episodes ended."""
        return [array[:count].copy() for array in self._ended]


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
