"""Run one trial in this process; every engine calls this with plain data and gets plain data."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros import __version__
from nrl_ros.base.errors import InvalidValueError
from nrl_ros.base.installed import versions_of
from nrl_ros.base.records import Ending, FinishedEpisodes
from nrl_ros.environments.mastery import Mastery
from nrl_ros.experiments.gradients import gradients
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning.health.monitor import HealthMonitor
from nrl_ros.learning.learner import Learner
from nrl_ros.monitor.health_history import HealthHistory
from nrl_ros.settings.run import RunSettings, check

BINS = 200
# A run with more episodes keeps only the means of its bins.
MOST_EPISODES = 50_000
_CHECK_EVERY = 512
# Steps, each of all instances, between two looks at the learner's health.
_LOOK_EVERY = 4096
_FINAL_SHARE = 0.1


def run_trial(job: Mapping[str, Any]) -> dict[str, Any]:
    """Run a trial and return its record.

    Args:
        job: the trial as ``Trial.job`` gives it.
    """
    start = time.perf_counter()
    if job['kind'] == 'gradients':
        record = gradients(**job['settings'])
    else:
        # A rule that diverges is counted; without this, numpy would warn about it a thousand times.
        with np.errstate(all='ignore'):
            record = train(check(job['settings'], source=job['label']))
    seconds = time.perf_counter() - start
    record |= {'seconds': seconds, 'steps_per_second': record.get('steps', 0) / seconds}
    return {**job, **record, 'versions': versions()}


def versions() -> dict[str, str]:
    """Return the versions that a record is made with."""
    return {
        'nrl_ros': __version__,
        **versions_of(('numpy',)),
        'machine': platform.machine(),
    }


def train(settings: RunSettings) -> dict[str, Any]:
    """Train until the settings' limit and return the result."""
    run, health = InProcessRun(settings), HealthHistory()
    ends: list[FinishedEpisodes] = []
    try:
        diverged = _until_limit(run, ends, health)
    finally:
        run.close()
    counted = {**run.learner.counters, **run.neuromodulator.counters}
    return {
        'seed': settings.learner.seed,
        'steps': run.episodes.total_steps,
        'updates': run.learner.updates,
        'diverged_at_step': diverged,
        'counters': {name: int(value) for name, value in counted.items() if value},
        'health': health.summary(),
        **curve(ends, settings.environment.stop.episodes),
    }


def _until_limit(run: InProcessRun, ends: list[FinishedEpisodes], health: HealthHistory) -> int:
    """Step until the limit; return the step at which weights became NaN or infinite, or -1."""
    stop, diverged = run.settings.environment.stop, -1
    episodes, learner = run.episodes, run.learner
    mastery, monitor = Mastery(stop.learned, run.environment.spec.metrics), HealthMonitor(learner)
    try:
        for count, ended in enumerate(run.steps()):
            if ended is not None:
                ends.append(ended)
                mastery.add(ended)
                if mastery.reached or 0 < stop.episodes <= episodes.total_episodes:
                    break
            if stop.steps and episodes.total_steps >= stop.steps:
                break
            if count % _LOOK_EVERY == 0:
                health.hear(episodes.total_steps, monitor.look())
            if diverged < 0 and count % _CHECK_EVERY == 0 and _broken(learner):
                diverged = episodes.total_steps
    except InvalidValueError:
        # A policy of NaN cannot act any more, which is a result too.
        return episodes.total_steps if diverged < 0 else diverged
    return episodes.total_steps if diverged < 0 and _broken(learner) else diverged


def _broken(learner: Learner) -> bool:
    return learner.counters['rejected_updates'] > 0 or not np.isfinite(learner.weight_norm)


def curve(ends: list[FinishedEpisodes], budget: int) -> dict[str, Any]:
    """Return the returns in order of ending, means of bins over the budget, and the final mean.

    Args:
        ends: as the episodes ended.
        budget: episodes; 0: as many as there are.
    """
    returns = np.concatenate([e.episode_return for e in ends]) if ends else np.zeros(0)
    ending = np.concatenate([e.ending for e in ends]) if ends else np.zeros(0, np.uint8)
    steps = np.concatenate([e.total_steps for e in ends]) if ends else np.zeros(0, np.uint64)
    kept = ending != Ending.ABORTED
    returns, steps = returns[kept], steps[kept].astype(np.uint32)
    if budget:
        # In some tasks all instances end together; episodes beyond the budget are left out.
        returns, steps = returns[:budget], steps[:budget]
    record: dict[str, Any] = {'episodes': len(returns), 'bins': binned(returns, BINS)}
    record['final'] = last_mean(returns, _FINAL_SHARE)
    if len(returns) <= MOST_EPISODES:
        record |= {'returns': returns.astype(np.float32), 'ended_at': steps}
    return record


def binned(returns: NDArray[Any], bins: int) -> NDArray[np.float32]:
    """Return the means of bins of about equal size; fewer bins if there are fewer episodes."""
    parts = np.array_split(returns, min(bins, len(returns))) if len(returns) else []
    return np.array([part.mean() for part in parts], np.float32)


def last_mean(returns: NDArray[Any], share: float) -> float:
    """Return the mean of the last share of the episodes; NaN if there are none."""
    count = max(1, round(share * len(returns)))
    return float(returns[-count:].mean(dtype=np.float64)) if len(returns) else float('nan')
