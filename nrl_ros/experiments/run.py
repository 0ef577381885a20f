"""One trial in this process: what every engine calls, with plain data in and plain data out."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros import __version__
from nrl_ros.base.errors import InvalidValueError
from nrl_ros.base.records import Ending
from nrl_ros.environments.episodes import EpisodeEnds, Episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.experiments.gradients import gradients
from nrl_ros.learning import loop
from nrl_ros.learning.kernels import library as kernels
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.neuromodulator import Neuromodulator
from nrl_ros.settings.run import RunSettings, check

BINS = 200
# Above this, a run keeps its bins only.
MOST_EPISODES = 50_000
_CHECK_EVERY = 512
_FINAL_SHARE = 0.1


def run_trial(job: Mapping[str, Any]) -> dict[str, Any]:
    """Make the record of a trial.

    Args:
        job: see Trial.job.
    """
    start = time.perf_counter()
    if job['kind'] == 'gradients':
        record = gradients(**job['settings'])
    else:
        # What a rule that diverges computes is counted, not warned of a thousand times.
        with np.errstate(all='ignore'):
            record = train(check(job['settings'], source=job['label']))
    seconds = time.perf_counter() - start
    record |= {'seconds': seconds, 'steps_per_second': record.get('steps', 0) / seconds}
    return {**job, **record, 'versions': versions()}


def versions() -> dict[str, str]:
    """What the record was made with."""
    return {
        'nrl_ros': __version__,
        'python': platform.python_version(),
        'numpy': np.__version__,
        'kernel': 'compiled' if kernels.available() else 'numpy',
        'machine': platform.machine(),
    }


def train(settings: RunSettings) -> dict[str, Any]:
    """Run up to the stop of the settings and say how it went."""
    environment, bridge = settings.environment, settings.environment.bridge
    made = make_bridge(bridge.name, bridge.instances, dict(bridge.options))
    episodes = Episodes(
        made,
        agent=environment.agent,
        session=1,
        lockstep=True,
        delivery=environment.reward.core(),
        delivery_steps=environment.reward.steps,
    )
    learner = Learner(settings.learner.core())
    neuromodulator = Neuromodulator(settings.neuromodulator.core())
    ends: list[EpisodeEnds] = []
    try:
        diverged = _run(settings, episodes, learner, neuromodulator, ends)
    finally:
        made.close()
    counters = {k: int(v) for k, v in {**learner.counters, **neuromodulator.counters}.items() if v}
    return {
        'seed': settings.learner.seed,
        'steps': episodes.total_steps,
        'updates': learner.updates,
        'diverged_at_step': diverged,
        'counters': counters,
        **curve(ends, environment.stop.episodes),
    }


def _run(
    settings: RunSettings,
    episodes: Episodes,
    learner: Learner,
    neuromodulator: Neuromodulator,
    ends: list[EpisodeEnds],
) -> int:
    """Step up to the stop; returns the step from which weights were no numbers, -1 if none."""
    stop, diverged = settings.environment.stop, -1
    try:
        cycle = loop.run(episodes, learner, neuromodulator, seed=settings.environment.seed)
        for count, advance in enumerate(cycle):
            if advance.ends is not None:
                ends.append(advance.ends)
                if stop.episodes and episodes.total_episodes >= stop.episodes:
                    break
            if stop.steps and episodes.total_steps >= stop.steps:
                break
            if diverged < 0 and count % _CHECK_EVERY == 0 and _broken(learner):
                diverged = episodes.total_steps
    except InvalidValueError:
        # A policy that is no number can act no longer: a result too.
        return episodes.total_steps if diverged < 0 else diverged
    return episodes.total_steps if diverged < 0 and _broken(learner) else diverged


def _broken(learner: Learner) -> bool:
    return learner.counters['rejected_updates'] > 0 or not np.isfinite(learner.weight_norm)


def curve(ends: list[EpisodeEnds], budget: int) -> dict[str, Any]:
    """Returns in order of ending, binned over the budget, and the mean of its last tenth.

    Args:
        ends: as the episodes ended.
        budget: episodes; 0: as many as there are.
    """
    returns = np.concatenate([e.episode_return for e in ends]) if ends else np.zeros(0)
    ending = np.concatenate([e.ending for e in ends]) if ends else np.zeros(0, np.uint8)
    steps = np.repeat([e.total_steps for e in ends], [len(e.instance) for e in ends])
    kept = ending != Ending.ABORTED
    returns, steps = returns[kept], steps[kept].astype(np.uint32)
    if budget:
        # All instances end together in some tasks: what is beyond the budget is left out.
        returns, steps = returns[:budget], steps[:budget]
    record: dict[str, Any] = {'episodes': len(returns), 'bins': binned(returns, BINS)}
    record['final'] = last_mean(returns, _FINAL_SHARE)
    if len(returns) <= MOST_EPISODES:
        record |= {'returns': returns.astype(np.float32), 'ended_at': steps}
    return record


def binned(returns: NDArray[Any], bins: int) -> NDArray[np.float32]:
    """Means of about equally many episodes each; fewer bins when there are fewer episodes."""
    parts = np.array_split(returns, min(bins, len(returns))) if len(returns) else []
    return np.array([part.mean() for part in parts], np.float32)


def last_mean(returns: NDArray[Any], share: float) -> float:
    """Mean of the last share of the episodes; NaN when there are none."""
    count = max(1, round(share * len(returns)))
    return float(returns[-count:].mean(dtype=np.float64)) if len(returns) else float('nan')
