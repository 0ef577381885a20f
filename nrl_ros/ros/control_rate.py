"""Decides when the periods of a control loop begin after one of them began late."""

from __future__ import annotations

from typing import NamedTuple

from nrl_ros.base.errors import check_positive

# If a period begins later than this share of a period, the following periods are shifted.
LATE_SHARE = 0.125


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
