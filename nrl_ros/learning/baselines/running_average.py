"""Running-average rewards, and how much better a reward is than its expectation.

Compiled by Cython. The text is plain Python and gives the same numbers if it is not compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import cython
import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.compiled import require_compiled
from nrl_ros.learning.checks import check_sizes

require_compiled(__name__, cython.compiled)

Array = NDArray[Any]

# What of its running average a reward is compared with, and what its error is divided by: a new way
# of comparing rewards is one more name here and its formula in ``expect`` or ``compare``.
Order = Literal['before', 'after']
Scale = Literal['none', 'absolute_reward']

# The arrays of the averages, [B] each: of the rewards so far, and the window that was rewarded
# last.
STATE: dict[str, Any] = {'known': np.bool_, 'baseline': np.float64, 'last_window': np.int64}

# A reward of a larger size is refused as NaN is: the difference of two rewards of 1e308 is
# infinite, and an average that took it in would stay infinite.
LARGEST_REWARD = 1e150


def rewards_fit(value: Array) -> NDArray[np.bool_]:
    """Return which rewards [K] are numbers of at most ``LARGEST_REWARD`` in size."""
    return np.asarray(np.abs(value) <= LARGEST_REWARD, np.bool_)


@cython.cclass
class RunningAverage:
    """The average reward of each of B instances.

    ``delta = r - r_mean; r_mean <- r_mean + rate (r - r_mean)``; the first reward sets the average.

    Args:
        instances: B.

    Attributes:
        state: the arrays of ``STATE`` by name, changed in place.
        count: rewards that were received last.
        after: float64 [B], the averages of their instances from now on, from the front.
        rpe: float64 [B], their reward-prediction errors, from the front.
    """

    state = cython.declare(object, visibility='readonly')
    count = cython.declare(cython.Py_ssize_t, visibility='readonly')
    after = cython.declare(object, visibility='readonly')
    rpe = cython.declare(object, visibility='readonly')

    _instance_array: Any
    _window_array: Any
    _value_array: Any
    _expected_array: Any

    _known: cython.uchar[::1]
    _baseline: cython.double[::1]
    _last_window: cython.longlong[::1]
    _instance: cython.uint[::1]
    _window: cython.uint[::1]
    _value: cython.double[::1]
    _expected: cython.double[::1]
    _after: cython.double[::1]
    _rpe: cython.double[::1]

    _watched_instance: cython.uint[::1]
    _watched_window: cython.uint[::1]
    _watched_value: cython.double[::1]
    _told_baseline: cython.double[::1]
    _told_known: cython.uchar[::1]

    def __init__(self, instances: int) -> None:
        self.count = 0
        self.state = {name: np.zeros(instances, kind) for name, kind in STATE.items()}
        self.state['last_window'].fill(-1)
        self._known = self.state['known'].view(np.uint8)
        self._baseline, self._last_window = self.state['baseline'], self.state['last_window']
        self._instance_array, self._window_array = np.zeros((2, instances), np.uint32)
        self._value_array, self._expected_array = np.zeros((2, instances))
        self.after, self.rpe = np.zeros((2, instances))
        self._instance, self._window = self._instance_array, self._window_array
        self._value, self._expected = self._value_array, self._expected_array
        self._after, self._rpe = self.after, self.rpe
        # Until others are watched.
        rewards = (self._instance_array, self._window_array, self._value_array)
        self.watch(rewards, (self.state['baseline'], self._known))

    def receive(self, instance: Array, window: Array, value: Array) -> bool:
        """Copy rewards, which ``compare`` then compares.

        Args:
            instance: [K], K at most B, each at most once.
            window: [K].
            value: [K].

        Returns:
            True if all are numbers of at most ``LARGEST_REWARD`` in size, and none belongs to a
            window that was rewarded before.
        """
        count: cython.Py_ssize_t = len(instance)
        self._instance_array[:count] = instance
        self._window_array[:count] = window
        self._value_array[:count] = value
        return bool(self._check(count))

    def watch(self, rewards: Sequence[Array], told: Sequence[Array]) -> None:
        """Read from and write to these arrays, which stay the same ones.

        Args:
            rewards: instance uint32 [B], window uint32 [B] and value float64 [B], for ``look``.
            told: average float64 [B] and whether it is known uint8 [B], for ``tell``.

        Raises:
            ShapeError: an array has another size.
        """
        check_sizes(len(self._baseline), *rewards, *told)
        self._watched_instance, self._watched_window, self._watched_value = rewards
        self._told_baseline, self._told_known = told

    def look(self, count: cython.Py_ssize_t) -> bool:
        """Do what ``receive`` does with the first entries of the watched arrays."""
        c: cython.Py_ssize_t
        for c in range(count):
            self._instance[c] = self._watched_instance[c]
            self._window[c] = self._watched_window[c]
            self._value[c] = self._watched_value[c]
        return bool(self._check(count))

    @cython.cfunc
    def _check(self, count: cython.Py_ssize_t) -> cython.bint:
        c: cython.Py_ssize_t
        wrong: cython.bint = False
        value_seen: cython.double
        largest: cython.double = LARGEST_REWARD
        self.count = count
        for c in range(count):
            value_seen = self._value[c]
            wrong |= not -largest <= value_seen <= largest
            wrong |= self._window[c] <= self._last_window[self._instance[c]]
        return not wrong

    @cython.cfunc
    def _before(self, c: cython.Py_ssize_t) -> cython.double:
        """Return the average of a received reward's instance, which the first reward sets."""
        b: cython.Py_ssize_t = self._instance[c]
        return self._baseline[b] if self._known[b] else self._value[c]

    @cython.cfunc
    def _after_it(self, c: cython.Py_ssize_t, rate: cython.double) -> cython.double:
        before: cython.double = self._before(c)
        return before + rate * (self._value[c] - before)

    def expect(self, rate: float, order: Order) -> Array:
        """Return what the rewards that were received are compared with, by the averages [K].

        Args:
            rate: step of the averages.
            order: the average before or after it moved.

        Returns:
            Valid until the next call.
        """
        c: cython.Py_ssize_t
        step: cython.double = rate
        moved: cython.bint = order == 'after'
        for c in range(self.count):
            self._expected[c] = self._after_it(c, step) if moved else self._before(c)
        expected: Array = self._expected_array[: self.count]
        return expected

    def compare(
        self, rate: float, *, order: Order, scale: Scale, expected: Array | float | None = None
    ) -> None:
        """Compare the rewards that were received, and move the averages.

        Args:
            rate: step of the averages.
            order: of ``expect``.
            scale: 'absolute_reward' divides an error by the size of its reward, unless that is 0 or
                so small that the quotient is not finite.
            expected: [K] or one number, what is compared with in place of the averages.
        """
        c: cython.Py_ssize_t
        b: cython.Py_ssize_t
        step: cython.double = rate
        value: cython.double
        size: cython.double
        rpe: cython.double
        quotient: cython.double
        by_size: cython.bint = scale == 'absolute_reward'
        if expected is None:
            self.expect(rate, order)
        else:
            self._expected_array[: self.count] = expected
        for c in range(self.count):
            b = self._instance[c]
            value = self._value[c]
            rpe = value - self._expected[c]
            size = value if value >= 0.0 else -value
            if by_size and size > 0.0:
                quotient = rpe / size
                # A reward of 1e-310 counts as 0: nobody can learn from an infinite error.
                if quotient - quotient == 0.0:
                    rpe = quotient
            self._rpe[c] = rpe
            self._after[c] = self._baseline[b] = self._after_it(c, step)
            self._known[b] = True
            self._last_window[b] = self._window[c]

    def tell(self) -> None:
        """Copy the averages that ``compare`` moved to the watched arrays."""
        c: cython.Py_ssize_t
        b: cython.Py_ssize_t
        for c in range(self.count):
            b = self._instance[c]
            self._told_baseline[b] = self._after[c]
            self._told_known[b] = True
