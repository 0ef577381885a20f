"""Decide which trials are left, in which order they run, and how long they will take."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nrl_ros.experiments.conditions import Condition, conditions, gradients_trial
from nrl_ros.experiments.plan import Study
from nrl_ros.experiments.search import Searches
from nrl_ros.experiments.store import Record, Store
from nrl_ros.experiments.trials import Trial

Group = tuple[str, str, int]


@dataclass
class Costs:
    """Seconds per unit of budget, from trials that are done."""

    rates: dict[Group, list[float]] = field(default_factory=dict)

    def add(self, group: Group, size: float, seconds: float) -> None:
        """Add a finished trial."""
        self.rates.setdefault(group, []).append(seconds / size)

    def seconds(self, group: Group, size: float) -> float | None:
        """Estimate a trial's time from its own group, else from its task."""
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

    def left(
        self, trials: Iterable[tuple[str, Group, float]], elapsed: Mapping[str, float], workers: int
    ) -> tuple[int, float | None]:
        """Return how many trials these are and how long they take; None while a task is unknown.

        Args:
            trials: key, group and size of each.
            elapsed: seconds since each running trial was begun, by key.
            workers: trials at once.
        """
        count, total, longest, known = 0, 0.0, 0.0, True
        for key, group, size in trials:
            count += 1
            cost = self.seconds(group, size)
            if cost is None:
                known = False
                continue
            left = max(cost - elapsed.get(key, 0.0), 0.0)
            total, longest = total + left, max(longest, left)
        return count, max(total / workers, longest) if known else None


class Schedule:
    """Queue of a study's trials, those of searches and final ones.

    Args:
        study: the study.
        store: records of trials that are done.
    """

    def __init__(self, study: Study, store: Store) -> None:
        self.study = study
        self.store = store
        self.conditions: Sequence[Condition] = conditions(study)
        self.searches = Searches(self.conditions, study, store)
        self.costs = Costs()
        self.failed: dict[str, str] = {}
        self._scouted: set[tuple[str, int]] = set()
        self._gradients = gradients_trial(study)
        for trial in self._known():
            record = store.get(trial)
            if record is not None:
                self.finish(trial, record['seconds'])

    @property
    def gradients(self) -> Record | None:
        """Record of the section that trains nothing, None if there is none."""
        return None if self._gradients is None else self.store.get(self._gradients)

    def _known(self) -> Iterator[Trial]:
        """Give the trials whose settings are decided, by condition; final trials come first."""
        if self._gradients is not None:
            yield self._gradients
        for condition in self.conditions:
            yield from self.searches.finals(condition) or []
            for trials in self.searches.trials(condition):
                yield from trials

    def ready(self) -> Iterator[Trial]:
        """Give the trials that can be run now."""
        for trial in self._known():
            if self.store.get(trial) is None and trial.key not in self.failed:
                yield trial

    def next(self, running: Collection[str]) -> Trial | None:
        """Return the next trial; None if every trial that can be run now is running or done.

        One trial of every task at every depth comes first, so that the time left can be estimated.
        """
        first = None
        for trial in self.ready():
            place = (trial.group[0], trial.group[2])
            if trial.key not in running:
                if place not in self._scouted:
                    self._scouted.add(place)
                    return trial
                first = first or trial
        return first

    def finish(self, trial: Trial, seconds: float) -> None:
        """Note how long a trial took."""
        self.costs.add(trial.group, trial.size, seconds)
        self._scouted.add((trial.group[0], trial.group[2]))

    def open_sizes(self) -> Iterator[tuple[str, Group, float]]:
        """Give key, group and size of all trials that are left; undecided ones have no key yet."""
        seen = set()
        for trial in self.ready():
            if trial.key not in seen:
                seen.add(trial.key)
                yield trial.key, trial.group, trial.size
        for condition in self.conditions:
            if self.searches.finals(condition) is None:
                budget = condition.task.budget
                size = float(budget.episodes or budget.steps)
                for _ in self.study.seeds:
                    yield '', (condition.task.name, condition.name, condition.depth), size

    @property
    def done(self) -> int:
        """Number of trials of this study that have a record."""
        return len({trial.key for trial in self._known() if self.store.get(trial) is not None})

    def seconds_left(self, elapsed: dict[str, float], workers: int) -> tuple[int, float | None]:
        """Return how many trials are left and how long they take; None while a task is unknown.

        Args:
            elapsed: seconds since each running trial was begun.
            workers: trials at once.
        """
        return self.costs.left(self.open_sizes(), elapsed, workers)
