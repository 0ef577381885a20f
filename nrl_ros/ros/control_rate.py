"""Decides when the periods of a control loop begin after one of them began late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nrl_ros.base.errors import check_positive

# If a period begins later than this share of a period, the following periods are shifted.
LATE_SHARE = 0.125
# Longest cycle of an executor that works in cycles: what it does not look for in each cycle, such
# as an emergency stop, waits at most so long [ns].
LONGEST_CYCLE_NS = 5_000_000
# Periods up to this are counted in cycles [ns].
_COUNTED_NS = 200_000_000
# By how much of a cycle a period may differ from a multiple of it.
_UNEQUAL = 0.01


class PeriodTick(NamedTuple):
    """What a control loop must know at the beginning of a period.

    Attributes:
        missed: whole periods since the last one that never began.
        rescheduled: True if the timer must start anew: the next period begins one period from now.
    """

    missed: int
    rescheduled: bool


class ControlRate:
    """Elastic periods of a control loop that waits for an answer in each of them.

    Periods begin on a fixed grid. A timer that has fallen behind makes up for it by a short period,
    in which there is no time left for the answer. So after a period that begins late by more than
    an eighth the grid moves with it, as in rtgym (Bouteiller et al., real-time Gym environments).
    No period is then shorter than 7/8 of the agreed one, at the price of fewer periods.

    Args:
        period_s: what was agreed [s].
        now: beginning of the first period, by any steady clock [s].

    Raises:
        ConfigError: a period that is not a positive number.
    """

    def __init__(self, period_s: float, now: float) -> None:
        check_positive('period_s', period_s)
        self.period_s = period_s
        self._began, self._due = now, now + period_s

    def begin(self, now: float) -> PeriodTick:
        """Begin a period, and return how many were missed.

        Args:
            now: by the same clock [s].
        """
        missed = max(round((now - self._began) / self.period_s) - 1, 0)
        self._began = now
        rescheduled = abs(now - self._due) > LATE_SHARE * self.period_s
        self._due = self.period_s + (now if rescheduled else self._due)
        return PeriodTick(missed, rescheduled)


def cycle_of(periods_ns: Sequence[int]) -> tuple[int, list[int]]:
    """Return the cycle in which several periods fit, and how many cycles each of them has.

    The cycle is the shortest period, or the largest part of it that is not above
    ``LONGEST_CYCLE_NS``. A period that is no multiple of the cycle, or so long that its place in
    the cycle does not matter, has 0 cycles.

    Args:
        periods_ns: the periods [ns].

    Returns:
        The cycle [ns], and a number for each period.
    """
    shortest = min(periods_ns, default=LONGEST_CYCLE_NS)
    cycle = shortest / -(-shortest // LONGEST_CYCLE_NS)
    counts = []
    for period in periods_ns:
        count = round(period / cycle)
        fits = period <= _COUNTED_NS and abs(period - count * cycle) <= _UNEQUAL * cycle
        counts.append(count if fits else 0)
    return round(cycle), counts


def turns_of(counts: Sequence[int]) -> list[int]:
    """Return in which of its cycles each of several periods has its turn, from 0 on.

    Long periods begin in different cycles, so that their work does not come all at once. The first
    period, and each that begins in every cycle, begins in cycle 0.

    Args:
        counts: of cycles of each period, as of ``cycle_of``; 0: it has none.
    """
    return [number % count if count else 0 for number, count in enumerate(counts)]
