"""The books of environment and learner in the compiled kernel: one call where numpy takes many."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.core.kernels import library

Array = NDArray[Any]


def _structure(name: str, fields: dict[str, Any]) -> Any:
    """A structure of the kernel, every member of which takes eight bytes."""
    return type(name, (ctypes.Structure,), {'_fields_': list(fields.items())})


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
_Books = _structure(
    '_Books',
    dict.fromkeys(('batch', 'delivery', 'delivery_steps'), ctypes.c_int64)
    | dict.fromkeys((*_BOOKS_IN, *_BOOKS, 'ending', *_PAID, *_ENDED), ctypes.c_void_p)
    | dict.fromkeys(('live', 'paid', 'ended'), ctypes.c_int64),
)


class NativeBooks:
    """``books.Books`` in one call.

    Args:
        books: the arrays of the books by name, changed in place.
        delivery: when rewards are handed over.
        delivery_steps: n of EVERY_N_STEPS.
        instances: B.
    """

    def __init__(
        self, books: dict[str, Array], delivery: int, delivery_steps: int, *, instances: int
    ) -> None:
        self._call = library().nrl_move
        own = {
            name: np.zeros(instances, kind)
            for name, kind in ({'ending': np.uint8} | _BOOKS_IN | _PAID | _ENDED).items()
        }
        self.ending = own['ending']
        self._in = tuple(own[name] for name in _BOOKS_IN)
        self._paid = [own[name] for name in _PAID]
        self._ended = [own[name] for name in _ENDED]
        arrays = own | books
        pointers = {name: array.ctypes.data for name, array in arrays.items()}
        self._blind = pointers['blind']
        self._books = _Books(
            batch=instances, delivery=delivery, delivery_steps=delivery_steps, **pointers
        )
        self._books.blind = None
        self._pointer = ctypes.c_void_p(ctypes.addressof(self._books))
        # Pointers keep nothing alive.
        self._keep = arrays

    def move(
        self,
        reward: Array,
        terminated: Array,
        truncated: Array,
        aborted: Array,
        blind: Array | None,
    ) -> Any:
        """Note one step; ``live``, ``paid`` and ``ended`` of what is returned say how many."""
        own = self._in
        own[0][:], own[1][:], own[2][:], own[3][:] = reward, terminated, truncated, aborted
        if blind is not None:
            own[4][:] = blind
            self._books.blind = self._blind
        self._call(self._pointer)
        self._books.blind = None
        return self._books

    def paid(self, count: int) -> list[Array]:
        """Copies of what describes the windows paid."""
        return [array[:count].copy() for array in self._paid]

    def ended(self, count: int) -> list[Array]:
        """Copies of what describes the episodes ended."""
        return [array[:count].copy() for array in self._ended]


_Windows = _structure(
    '_Windows',
    {'batch': ctypes.c_int64}
    | dict.fromkeys(
        ('window', 'phase', 'ending', 'has_rows', 'closed', 'fresh', 'held', 'newest', 'done'),
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
    """

    def __init__(self, **kept: Array) -> None:
        compiled = library()
        self._look, self._close = compiled.nrl_look, compiled.nrl_close
        self._note = compiled.nrl_note
        batch = len(kept['done'])
        self._window = np.zeros(batch, np.uint32)
        self._phase, self._ending = np.zeros(batch, np.uint8), np.zeros(batch, np.uint8)
        arrays = kept | {'window': self._window, 'phase': self._phase, 'ending': self._ending}
        pointers = {name: array.ctypes.data for name, array in arrays.items()}
        self._windows = _Windows(batch=batch, **pointers)
        self._pointer = ctypes.c_void_p(ctypes.addressof(self._windows))
        # Pointers keep nothing alive.
        self._keep = arrays

    def look(self, window: Array) -> tuple[bool, bool]:
        """Whether any window [B] of a state runs backwards, and whether any is over."""
        self._window[:] = window
        seen = self._look(self._pointer)
        return bool(seen & 1), bool(seen & 2)

    def close(self, window: Array, ending: Array) -> bool:
        """Close those that are over; False where it takes more than that, and nothing was done."""
        self._window[:], self._ending[:] = window, ending
        return bool(self._close(self._pointer))

    def note(self, window: Array, phase: Array) -> int:
        """Note a step, and how many act; -1 where a window still waits, and nothing was done."""
        self._window[:], self._phase[:] = window, phase
        return int(self._note(self._pointer))
