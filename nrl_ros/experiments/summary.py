"""Statistics of a condition over its seeds, and figures that are computed from them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.experiments.conditions import MAIN, Condition, Point
from nrl_ros.experiments.plan import Study
from nrl_ros.experiments.schedule import Schedule
from nrl_ros.experiments.search import Scored, at_edge
from nrl_ros.experiments.store import Record

LEVEL = 0.9


@dataclass(frozen=True)
class Result:
    """Result of a condition.

    Attributes:
        condition: the condition.
        point: settings that the search chose; None while it goes on.
        grid: all points that were tried.
        edge: settings whose choice lies at the edge of the grid.
        records: of the final seeds that are done.
    """

    condition: Condition
    point: Point | None
    grid: tuple[Scored, ...]
    edge: tuple[str, ...]
    records: tuple[Record, ...]

    @property
    def finals(self) -> list[float]:
        """Final performance of each seed."""
        return [float(record['final']) for record in self.records]

    @property
    def mean(self) -> float:
        """Mean final performance over seeds; NaN without any."""
        return statistics.fmean(self.finals) if self.records else math.nan

    @property
    def std(self) -> float:
        """Sample standard deviation over seeds; 0 for a single one."""
        return statistics.stdev(self.finals) if len(self.records) > 1 else 0.0

    @property
    def diverged(self) -> int:
        """Number of seeds whose weights became NaN or infinite."""
        return sum(1 for record in self.records if record['diverged_at_step'] >= 0)


def results(schedule: Schedule) -> list[Result]:
    """Return the results of all conditions of a study."""
    found = []
    for condition in schedule.conditions:
        searches = schedule.searches
        point, grid = searches.winner(condition), searches.grid(condition)
        edge = at_edge(grid, point) if point is not None and grid else []
        found.append(
            Result(condition, point, tuple(grid), tuple(edge), tuple(searches.records(condition)))
        )
    return found


class Table:
    """Results by task, rule and depth.

    Args:
        study: roles and tasks.
        found: of ``results``.
    """

    def __init__(self, study: Study, found: Sequence[Result]) -> None:
        self.study = study
        self.all = found
        self._main = {r.condition.identity[1:]: r for r in found if r.condition.section == MAIN}

    def main(self, task: str, rule: str, depth: int) -> Result | None:
        """Return a rule's result in the comparison, None if no seed is finished."""
        result = self._main.get((task, rule, depth))
        return result if result is not None and result.records else None

    def section(self, name: str, depth: int | None = None) -> list[Result]:
        """Return the variants of a section that have finished seeds."""
        return [
            r
            for r in self.all
            if r.condition.section == name and r.records and depth in (None, r.condition.depth)
        ]

    def level(self, task: str, depth: int, share: float = LEVEL) -> float:
        """Return the return at a share of the way from floor to reference; NaN if unknown."""
        floor = self.main(task, self.study.roles.floor, depth)
        reference = self.main(task, self.study.roles.reference, depth)
        if floor is None or reference is None:
            return math.nan
        return level(floor.mean, reference.mean, share)

    def share(self, task: str, depth: int, mean: float) -> float:
        """Return a mean as a share of the way from floor to reference; NaN if unknown."""
        floor = self.main(task, self.study.roles.floor, depth)
        reference = self.main(task, self.study.roles.reference, depth)
        if floor is None or reference is None:
            return math.nan
        return gain_share(mean, floor.mean, reference.mean)

    def episodes_to_level(self, result: Result, share: float = LEVEL) -> list[float]:
        """Return the episodes until each seed reaches the level; infinite if it never does."""
        target = self.level(result.condition.task.name, result.condition.depth, share)
        window = result.condition.task.smoothing
        return [episodes_to(curve_of(record), target, window) for record in result.records]


def level(floor: float, reference: float, share: float) -> float:
    """Return ``floor + share (reference - floor)``; NaN if the reference gains nothing."""
    return floor + share * (reference - floor) if reference > floor else math.nan


def gain_share(mean: float, floor: float, reference: float) -> float:
    """Return ``(mean - floor) / (reference - floor)``; NaN if the reference gains nothing."""
    return (mean - floor) / (reference - floor) if reference > floor else math.nan


def curve_of(record: Record) -> NDArray[Any]:
    """Return the returns in order of ending; if only bins are kept, each bin's mean repeated."""
    returns = record.get('returns')
    if returns is not None:
        return np.asarray(returns)
    count, bins = int(record['episodes']), np.asarray(record['bins'])
    sizes = [len(part) for part in np.array_split(np.zeros(count, np.uint8), len(bins))]
    return np.repeat(bins, sizes)


def episodes_to(returns: NDArray[Any], target: float, window: int) -> float:
    """Return the episodes until the mean of ``window`` of them reaches a target; inf if never."""
    if math.isnan(target):
        return math.nan
    if len(returns) < window:
        return math.inf
    total = np.concatenate([[0.0], np.cumsum(returns, dtype=np.float64)])
    means = (total[window:] - total[:-window]) / window
    reached = np.flatnonzero(means >= target)
    return float(reached[0] + window) if len(reached) else math.inf


def median(values: Sequence[float]) -> float:
    """Return the median, with infinity for never; NaN for no values."""
    return statistics.median(values) if values and not any(map(math.isnan, values)) else math.nan


def slowdown(shallow: float, deep: float) -> float:
    """Return the ratio of episodes, deep over shallow; inf if only the deeper one never arrives."""
    if math.isnan(shallow) or math.isnan(deep) or math.isinf(shallow):
        return math.nan
    return deep / shallow
