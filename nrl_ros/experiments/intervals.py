"""What a few seeds tell: the interval of a mean, and of the difference of two means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Quantiles of Student's t for 95 %, two-sided, by degrees of freedom from 1 on.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_NORMAL = 1.959964


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval; NaN where there are too few values.

    Attributes:
        mean: of the values.
        low: lower end.
        high: upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0.0 or self.high < 0.0


def interval(values: Sequence[float]) -> Interval:
    """Return the mean of values and its interval by Student's t; at least two give an interval."""
    if not values:
        return Interval(math.nan, math.nan, math.nan)
    mean, count = statistics.fmean(values), len(values)
    if count < 2:
        return Interval(mean, math.nan, math.nan)
    half = quantile(count - 1) * statistics.stdev(values) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def difference(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Return how much higher the second mean is, with the interval of Welch.

    The two need neither as many values nor the same spread.
    """
    if not first or not second:
        return Interval(math.nan, math.nan, math.nan)
    mean = statistics.fmean(second) - statistics.fmean(first)
    if min(len(first), len(second)) < 2:
        return Interval(mean, math.nan, math.nan)
    parts = [(statistics.variance(values) / len(values), len(values)) for values in (first, second)]
    variance = sum(part for part, _ in parts)
    if variance == 0.0:
        return Interval(mean, mean, mean)
    freedom = variance**2 / sum(part**2 / (count - 1) for part, count in parts)
    half = quantile(math.floor(freedom)) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half)


def quantile(freedom: int) -> float:
    """Return Student's t for 95 %, two-sided.

    Args:
        freedom: degrees of freedom, at least 1.
    """
    if freedom <= len(_T):
        return _T[max(freedom, 1) - 1]
    # The expansion of Cornish and Fisher, within 0.001 from 10 on.
    z, n = _NORMAL, freedom
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    return z + (z**3 + z) / (4 * n) + second + third
