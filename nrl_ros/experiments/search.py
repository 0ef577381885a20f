"""Choose the point of its grid that a condition is run with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nrl_ros.experiments.conditions import Condition, Identity, Point
from nrl_ros.experiments.plan import Study
from nrl_ros.experiments.run import last_mean
from nrl_ros.experiments.store import Record, Store
from nrl_ros.experiments.trials import Trial


class Scored(NamedTuple):
    """A point of the grid with its score.

    Attributes:
        point: settings.
        seeds: score of each seed; NaN while it has none.
        score: over seeds.
        diverged: number of seeds whose weights became NaN or infinite.
    """

    point: Point
    seeds: tuple[float, ...]
    score: float
    diverged: int


def seed_score(record: Record, share: float) -> float:
    """Return the mean return of the last share of episodes; minus infinity if none ended."""
    returns = record.get('returns')
    value = last_mean(record['bins'] if returns is None else returns, share)
    return value if math.isfinite(value) else -math.inf


def score(seeds: Sequence[float], worst_weight: float) -> float:
    """Return ``(1 - w) mean + w min``, so that a failing seed is not hidden by good ones."""
    if any(math.isnan(value) for value in seeds):
        return math.nan
    worst = min(seeds)
    if math.isinf(worst):
        return -math.inf
    return (1.0 - worst_weight) * float(np.mean(seeds)) + worst_weight * worst


def best(grid: Sequence[Scored]) -> Scored | None:
    """Return the winner, the first of equal ones; None while a score is missing."""
    if any(math.isnan(one.score) for one in grid):
        return None
    return max(grid, key=lambda one: one.score)


def at_edge(grid: Sequence[Scored], winner: Point) -> list[str]:
    """Return the settings whose winning value is the lowest or highest of several."""
    found = []
    for name, value in winner.items():
        values = sorted({one.point[name] for one in grid})
        if len(values) > 1 and value in (values[0], values[-1]):
            found.append(name)
    return found


class Searches:
    """The searches of a study so far; trials are made once and kept.

    Args:
        conditions: of the study.
        study: seeds and how they are scored.
        store: the records so far.
    """

    def __init__(self, conditions: Sequence[Condition], study: Study, store: Store) -> None:
        self._conditions = {condition.identity: condition for condition in conditions}
        self._study = study
        self._store = store
        self._search_trials: dict[Identity, list[list[Trial]]] = {}
        self._final_trials: dict[Identity, list[Trial]] = {}
        self._winners: dict[Identity, Point] = {}

    def trials(self, condition: Condition) -> list[list[Trial]]:
        """Return the search trials, point by point; none for a condition without its own search."""
        if not condition.searched:
            return []
        if condition.identity not in self._search_trials:
            seeds = self._study.search.seeds
            self._search_trials[condition.identity] = [
                [condition.trial(point, seed, search=True) for seed in seeds]
                for point in condition.points
            ]
        return self._search_trials[condition.identity]

    def grid(self, condition: Condition) -> list[Scored]:
        """Return the grid of a condition with the scores known so far."""
        search, found = self._study.search, []
        for point, trials in zip(condition.points, self.trials(condition), strict=False):
            records = [self._store.get(trial) for trial in trials]
            seeds = tuple(math.nan if r is None else seed_score(r, search.share) for r in records)
            diverged = sum(1 for r in records if r is not None and r['diverged_at_step'] >= 0)
            found.append(Scored(point, seeds, score(seeds, search.worst_weight), diverged))
        return found

    def winner(self, condition: Condition) -> Point | None:
        """Return the point that a condition is run with; None while it is unknown."""
        if condition.search_of is not None:
            return self.winner(self._conditions[condition.search_of])
        if not condition.searched:
            return condition.points[0]
        if condition.identity not in self._winners:
            won = best(self.grid(condition))
            if won is None:
                return None
            self._winners[condition.identity] = won.point
        return self._winners[condition.identity]

    def finals(self, condition: Condition) -> list[Trial] | None:
        """Return the trials of the final seeds; None while the search goes on."""
        point = self.winner(condition)
        if point is None:
            return None
        if condition.identity not in self._final_trials:
            self._final_trials[condition.identity] = [
                condition.trial(point, seed, search=False) for seed in self._study.seeds
            ]
        return self._final_trials[condition.identity]

    def records(self, condition: Condition) -> list[Record]:
        """Return the records of the final seeds that exist."""
        found = [self._store.get(trial) for trial in self.finals(condition) or []]
        return [record for record in found if record is not None]
