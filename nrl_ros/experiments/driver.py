"""Keep an engine busy until all trials of a study have a record."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from nrl_ros.experiments.engine import Engine
from nrl_ros.experiments.store import Store
from nrl_ros.experiments.trials import Trial

# An interrupt waits for the loop at most this long [s].
_TICK_S = 0.25


@dataclass
class State:
    """Progress of a study.

    Attributes:
        total: trials of the study, with those of searches that are not decided yet.
        done: trials with a record.
        seconds_left: None while it cannot be estimated.
        running: trials under way, with their starting times.
        last: result of the newest trial, in words.
    """

    total: int = 0
    done: int = 0
    seconds_left: float | None = None
    running: dict[str, tuple[Trial, float]] = field(default_factory=dict)
    failed: int = 0
    last: str = ''


class Watcher(Protocol):
    """Gets the progress of a study."""

    def update(self, state: State) -> None:
        """Take the progress; called about four times a second and whenever a trial ends."""
        ...


class Queue(Protocol):
    """Knows which trials are left.

    Attributes:
        store: gets the records.
        failed: labels and errors of trials that failed, by key.
    """

    store: Store
    failed: dict[str, str]

    @property
    def done(self) -> int:
        """Number of trials that have a record."""
        ...

    def next(self, running: Collection[str]) -> Trial | None:
        """Return the next trial; None if none can be begun while these run."""
        ...

    def finish(self, trial: Trial, seconds: float) -> None:
        """Note how long a trial took."""
        ...

    def seconds_left(self, elapsed: dict[str, float], workers: int) -> tuple[int, float | None]:
        """Return how many trials are left and how long they take; None while it is unknown."""
        ...


def drive(schedule: Queue, engine: Engine, watcher: Watcher) -> None:
    """Run all trials that are left; an interrupt loses only trials under way."""
    state = State(done=schedule.done)
    while True:
        ended = _fill(schedule, engine, state)
        if not state.running:
            break
        for outcome in engine.wait(_TICK_S):
            trial, begun = state.running.pop(outcome.key)
            ended = True
            if outcome.record is None:
                schedule.failed[outcome.key] = f'{trial.label}: {outcome.error}'
                state.last = f'failed: {trial.label}: {outcome.error}'
                continue
            schedule.store.put(trial, outcome.record)
            schedule.finish(trial, outcome.record['seconds'])
            final = outcome.record.get('final')
            shown = '' if final is None else f': {final:,.1f}'
            state.last = f'{trial.label}{shown} ({time.monotonic() - begun:.1f} s)'
        _estimate(schedule, engine, state, ended)
        watcher.update(state)
    _estimate(schedule, engine, state, True)
    watcher.update(state)


def _fill(schedule: Queue, engine: Engine, state: State) -> bool:
    """Give every free worker a trial; return whether there was one."""
    begun = False
    while len(state.running) < engine.workers:
        trial = schedule.next(state.running)
        if trial is None:
            break
        state.running[trial.key] = (trial, time.monotonic())
        engine.submit(trial.key, trial.job())
        begun = True
    return begun


def _estimate(schedule: Queue, engine: Engine, state: State, changed: bool) -> None:
    if not changed:
        if state.seconds_left is not None:
            state.seconds_left = max(state.seconds_left - _TICK_S, 0.0)
        return
    now = time.monotonic()
    elapsed = {key: now - begun for key, (_, begun) in state.running.items()}
    left, state.seconds_left = schedule.seconds_left(elapsed, engine.workers)
    state.failed = len(schedule.failed)
    state.done = schedule.done
    state.total = state.done + left + state.failed
