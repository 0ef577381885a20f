"""A bounded search of rate, noise, samples and baseline for one task.

In rounds, each of which follows from the records of those before, so that a search that was stopped
continues: many points on one seed, further ones around the best of them, and the best of all on two
more seeds. Then the winner and the task's own settings are run on fresh seeds, with the whole
number of steps, since the best of many is always lucky in the search.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import Flat
from nrl_ros.experiments.candidates import (
    BASELINES,
    OWN,
    PASSES,
    RATE,
    SAMPLES,
    SIGMA,
    Candidate,
    Space,
)
from nrl_ros.experiments.schedule import Costs, Group
from nrl_ros.experiments.search import score, seed_score
from nrl_ros.experiments.store import Record, Store
from nrl_ros.experiments.trials import Trial, resolved
from nrl_ros.experiments.tune_result import Tried, TuneResult

# Shares of the search trials that try points everywhere, and then around the best of them; the
# others give the best of all further seeds.
_EVERYWHERE, _AROUND = 0.5, 0.25
_PARENTS, _ROUNDS = 3, 3
# Seeds of the search; those of the final runs come after them.
SEARCH_SEEDS = (1000, 1001, 1002)
FIRST_FINAL_SEED = 2000
# Score of a seed: mean return of this last share of its episodes; and the weight of the worst one.
_SHARE, _WORST = 0.5, 0.5


@dataclass(frozen=True)
class TuneSettings:
    """How a search is bounded.

    Attributes:
        trials: of the search.
        steps: of a final run, of all instances.
        search_steps: of a trial of the search.
        seeds: final runs of the winner, and as many of the task's own settings.
        seed: of the choice of points.
    """

    trials: int
    steps: int
    search_steps: int
    seeds: int
    seed: int = 0


class Tuning:
    """The queue of a search and of its final runs, as ``driver.drive`` takes it.

    Args:
        task: its name.
        nodes: dotted settings of the task by node.
        settings: bounds.
        store: records of trials that are done.

    Attributes:
        store: records of trials that are done.
        failed: labels and errors of trials that failed, by key.
        own: the task's own settings as a candidate.
        search_is_over: no further trial of the search is begun, since the time is up.
        is_over: no trial is begun at all.

    Raises:
        ConfigError: the settings do not pass.
    """

    def __init__(
        self, task: str, nodes: Mapping[str, Flat], settings: TuneSettings, store: Store
    ) -> None:
        self.store, self._settings, self._task = store, settings, task
        self._nodes = {name: dict(flat) for name, flat in nodes.items()}
        self.failed: dict[str, str] = {}
        self.search_is_over = self.is_over = False
        self._costs = Costs()
        self._trials: dict[tuple[Candidate, int, bool], Trial] = {}
        self._rounds: list[list[Candidate]] = []
        found = resolved(self._nodes, source=task)
        learner = found['learner']
        self.own = Candidate(learner[RATE], learner[SIGMA], learner[SAMPLES])
        if self.own.rate <= 0.0:
            raise ConfigError(
                f'{task}: plasticity.learning_rate is 0, expected the rate around which to search'
            )
        self._space = self._space_of(found['neuromodulator']['rpe.baseline'])
        for trial in self._known():
            record = store.get(trial)
            if record is not None:
                self.finish(trial, record['seconds'])

    def _space_of(self, baseline: str) -> Space:
        others = [name for name in BASELINES if name != baseline and baseline in BASELINES]
        return Space(
            self.own,
            [n for n in PASSES if self._passes(replace(self.own, samples=n))] or [self.own.samples],
            [OWN, *(one for one in others if self._passes(replace(self.own, baseline=one)))],
        )

    def _passes(self, candidate: Candidate) -> bool:
        try:
            self.trial(candidate, SEARCH_SEEDS[0])
        except ConfigError:
            return False
        return True

    # ------------------------------------------------------------------- trials

    def trial(self, candidate: Candidate, seed: int, *, final: bool = False) -> Trial:
        """Return the run of a candidate with one seed.

        Raises:
            ConfigError: its settings do not pass.
        """
        known = self._trials.get((candidate, seed, final))
        if known is not None:
            return known
        steps = self._settings.steps if final else self._settings.search_steps
        nodes = self.nodes(candidate)
        nodes['learner']['seed'] = nodes['environment']['seed'] = seed
        nodes['environment'] |= {'stop.steps': steps, 'stop.episodes': 0}
        label = f'{candidate}, {"final " if final else ""}seed {seed}'
        settings = resolved(nodes, source=label)
        made = Trial('train', settings, label, self._group(candidate), float(steps))
        self._trials[candidate, seed, final] = made
        return made

    def _group(self, candidate: Candidate) -> Group:
        return (self._task, f'{candidate.baseline} {candidate.samples}', 1)

    def nodes(self, candidate: Candidate) -> dict[str, Flat]:
        """Return the dotted settings of the task by node, with those of a candidate."""
        changes = {} if candidate == self.own else candidate.changes()
        return {name: {**flat, **changes.get(name, {})} for name, flat in self._nodes.items()}

    def _seeds(self, index: int) -> tuple[int, ...]:
        """Return the seeds of a round."""
        return SEARCH_SEEDS if index == _ROUNDS - 1 else SEARCH_SEEDS[:1]

    def _searched(self) -> Iterator[tuple[Candidate, tuple[int, ...]]]:
        """Give the candidates of all rounds that are decided, with their seeds."""
        self._decide()
        for index, candidates in enumerate(self._rounds):
            yield from ((candidate, self._seeds(index)) for candidate in candidates)

    def _search_trials(self) -> list[Trial]:
        return [self.trial(one, seed) for one, seeds in self._searched() for seed in seeds]

    # ------------------------------------------------------------------- rounds

    def _decide(self) -> None:
        """Add the rounds whose earlier ones have their records."""
        trials = self._settings.trials
        while len(self._rounds) < _ROUNDS and self._is_complete():
            index = len(self._rounds)
            generator = np.random.default_rng([self._settings.seed, index])
            if index == 0:
                count = max(2, round(_EVERYWHERE * trials))
                found = self._space.everywhere(count, generator)
            elif index == 1:
                parents = self._best(_PARENTS)
                found = self._space.around(parents, round(_AROUND * trials), generator)
            else:
                share = 1.0 - _EVERYWHERE - _AROUND
                found = self._finalists(round(share * trials / (len(SEARCH_SEEDS) - 1)))
            self._rounds.append(found)

    def _is_complete(self) -> bool:
        """Return True if all trials of the rounds so far have a record, or have failed."""
        return all(
            self._is_done(self.trial(candidate, seed))
            for index, candidates in enumerate(self._rounds)
            for candidate in candidates
            for seed in self._seeds(index)
        )

    def _is_done(self, trial: Trial) -> bool:
        return self.store.get(trial) is not None or trial.key in self.failed

    def _best(self, count: int) -> list[Candidate]:
        """Return the best candidates by the first seed of the search."""
        tried = {one for candidates in self._rounds for one in candidates}
        known = [one for one in (self._try(one, SEARCH_SEEDS[:1]) for one in tried) if one.known]
        ranked = sorted(known, key=lambda one: (-one.score, str(one.candidate)))
        return [one.candidate for one in ranked[:count]] or [self.own]

    def _finalists(self, count: int) -> list[Candidate]:
        """Return the best candidates, the task's own settings among them in any case."""
        chosen = self._best(max(2, count))
        return chosen if self.own in chosen else [*chosen[:-1], self.own]

    def _try(self, candidate: Candidate, seeds: Sequence[int]) -> Tried:
        """Return what is known of a candidate so far."""
        records = [self.store.get(self.trial(candidate, seed)) for seed in seeds]
        values = tuple(math.nan if one is None else seed_score(one, _SHARE) for one in records)
        heard = [value for value in values if not math.isnan(value)]
        diverged = sum(1 for one in records if one is not None and one['diverged_at_step'] >= 0)
        # The best candidates are tried on more seeds, and are compared by all that they have.
        return Tried(candidate, values, score(heard, _WORST) if heard else math.nan, diverged)

    def tried(self) -> list[Tried]:
        """Return the candidates of the search, each with its scores so far."""
        found = {one: self._try(one, seeds) for one, seeds in self._searched()}
        return list(found.values())

    def winner(self) -> Candidate | None:
        """Return the best candidate; None while the search goes on, or if nothing is known."""
        tried = self.tried()
        if not self.search_is_over and not (len(self._rounds) == _ROUNDS and self._is_complete()):
            return None
        known = [one for one in tried if one.known]
        on_all_seeds = [one for one in known if len(one.seeds) == len(SEARCH_SEEDS)]
        ranked = on_all_seeds or known
        return max(ranked, key=lambda one: one.score).candidate if ranked else None

    def finals(self) -> list[Trial]:
        """Return the final runs, seed by seed; empty while the search goes on."""
        won = self.winner()
        if won is None:
            return []
        compared = [self.own] if won == self.own else [self.own, won]
        return [
            self.trial(one, seed, final=True) for seed in self._final_seeds() for one in compared
        ]

    def _final_seeds(self) -> range:
        return range(FIRST_FINAL_SEED, FIRST_FINAL_SEED + self._settings.seeds)

    # ----------------------------------------------------------------- the queue

    def _known(self) -> list[Trial]:
        return [*self._search_trials(), *self.finals()]

    def next(self, running: Collection[str]) -> Trial | None:
        """Return the next trial; None if there is none that can be begun now."""
        if self.is_over:
            return None
        trials = [] if self.search_is_over else self._search_trials()
        for trial in (*trials, *self.finals()):
            if trial.key not in running and not self._is_done(trial):
                return trial
        return None

    def finish(self, trial: Trial, seconds: float) -> None:
        """Note how long a trial took."""
        self._costs.add(trial.group, trial.size, seconds)

    @property
    def done(self) -> int:
        """Number of trials that have a record."""
        return len({trial.key for trial in self._known() if self.store.get(trial) is not None})

    def _open(self) -> Iterator[tuple[str, Group, float]]:
        """Give key, group and size of the trials that are left; no key: not decided yet."""
        if self.is_over:
            return
        known = {trial.key: trial for trial in self._known()}
        for key, trial in known.items():
            if not self._is_done(trial):
                yield key, trial.group, trial.size
        if self.winner() is None:
            group, settings = self._group(self.own), self._settings
            for _ in range(max(0, settings.trials - len(known))):
                yield '', group, float(settings.search_steps)
            for _ in range(2 * settings.seeds):
                yield '', group, float(settings.steps)

    def seconds_left(self, elapsed: dict[str, float], workers: int) -> tuple[int, float | None]:
        """Return how many trials are left and how long they take; as ``Costs.left``."""
        return self._costs.left(self._open(), elapsed, workers)

    def final_seconds(self, workers: int) -> float:
        """Return how long the final runs take as far as that is known; 0 while it is not [s]."""
        each = self._costs.seconds(self._group(self.own), float(self._settings.steps))
        return 0.0 if each is None else 2 * self._settings.seeds * each / workers

    def result(self) -> TuneResult:
        """Return what the search has come to so far."""
        won = self.winner() or self.own
        own, winner = self._final_returns(self.own), self._final_returns(won)
        return TuneResult(self.own, won, own, winner, tuple(self.tried()))

    def _final_returns(self, candidate: Candidate) -> tuple[float, ...]:
        trials = [self.trial(candidate, seed, final=True) for seed in self._final_seeds()]
        records: list[Record | None] = [self.store.get(trial) for trial in trials]
        return tuple(float(record['final']) for record in records if record is not None)
