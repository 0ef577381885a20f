"""Which cells are left, in which order, and how long they will take."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from nrl_ros.experiments.conditions import Arm, arms, gradients_cell
from nrl_ros.experiments.plan import Study
from nrl_ros.experiments.search import Searches
from nrl_ros.experiments.store import Record, Store
from nrl_ros.experiments.trials import Cell

Group = tuple[str, str, int]


@dataclass
class Costs:
    """Seconds per unit of budget, from cells that are done."""

    rates: dict[Group, list[float]] = field(default_factory=dict)

    def add(self, group: Group, size: float, seconds: float) -> None:
        """Take a finished cell in."""
        self.rates.setdefault(group, []).append(seconds / size)

    def seconds(self, group: Group, size: float) -> float | None:
        """Of a cell: as its own kind took, else its task at this depth, else its task."""
        if group in self.rates:
            return size * statistics.fmean(self.rates[group])
        task, _, depth = group
        for same_depth in (True, False):
            means = [
                statistics.fmean(rates)
                for (other, _, at), rates in self.rates.items()
                if other == task and (at == depth or not same_depth)
            ]
            if means:
                return size * statistics.fmean(means)
        return None


class Schedule:
    """Cells of a study, search and final ones, in one queue.

    Args:
        study: the study.
        store: what is done already.
    """

    def __init__(self, study: Study, store: Store) -> None:
        self.study = study
        self.store = store
        self.arms: Sequence[Arm] = arms(study)
        self.searches = Searches(self.arms, study, store)
        self.costs = Costs()
        self.failed: dict[str, str] = {}
        self._scouted: set[tuple[str, int]] = set()
        self._gradients = gradients_cell(study)
        for cell in self._known():
            record = store.get(cell)
            if record is not None:
                self.finish(cell, record['seconds'])

    @property
    def gradients(self) -> Record | None:
        """Record of the section that trains nothing."""
        return None if self._gradients is None else self.store.get(self._gradients)

    def _known(self) -> Iterator[Cell]:
        """Cells whose settings are decided, arm by arm; the final ones of an arm come first."""
        if self._gradients is not None:
            yield self._gradients
        for arm in self.arms:
            yield from self.searches.finals(arm) or []
            for cells in self.searches.cells(arm):
                yield from cells

    def ready(self) -> Iterator[Cell]:
        """Cells that can be run now."""
        for cell in self._known():
            if self.store.get(cell) is None and cell.key not in self.failed:
                yield cell

    def next(self, running: Collection[str]) -> Cell | None:
        """The next cell, None when all that can be run now is running or done.

        One cell of every task at every depth comes first: then the time left can be told.
        """
        first = None
        for cell in self.ready():
            place = (cell.group[0], cell.group[2])
            if cell.key not in running:
                if place not in self._scouted:
                    self._scouted.add(place)
                    return cell
                first = first or cell
        return first

    def finish(self, cell: Cell, seconds: float) -> None:
        """Learn what a cell took."""
        self.costs.add(cell.group, cell.size, seconds)
        self._scouted.add((cell.group[0], cell.group[2]))

    def open_sizes(self) -> Iterator[tuple[str, Group, float]]:
        """Key, group and size of all cells that are left; an undecided one has no key yet."""
        seen = set()
        for cell in self.ready():
            if cell.key not in seen:
                seen.add(cell.key)
                yield cell.key, cell.group, cell.size
        for arm in self.arms:
            if self.searches.finals(arm) is None:
                budget = arm.task.budget
                size = float(budget.episodes or budget.steps)
                for _ in self.study.seeds:
                    yield '', (arm.task.name, arm.name, arm.depth), size

    @property
    def done(self) -> int:
        """Cells of this study that have a record."""
        return len({cell.key for cell in self._known() if self.store.get(cell) is not None})

    def seconds_left(self, elapsed: dict[str, float], workers: int) -> tuple[int, float | None]:
        """How many cells are left, and for how long; None while nothing of a task is known.

        Args:
            elapsed: seconds since each running cell was begun.
            workers: cells at once.
        """
        count, total, longest, known = 0, 0.0, 0.0, True
        for key, group, size in self.open_sizes():
            count += 1
            cost = self.costs.seconds(group, size)
            if cost is None:
                known = False
                continue
            left = max(cost - elapsed.get(key, 0.0), 0.0)
            total, longest = total + left, max(longest, left)
        return count, max(total / workers, longest) if known else None
