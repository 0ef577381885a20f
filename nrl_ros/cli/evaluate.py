"""Greedy evaluation in this process, without ROS: what a policy is worth, before and after."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.cli.config import RunSettings
from nrl_ros.core.episodes import Episodes
from nrl_ros.core.errors import NrlError
from nrl_ros.core.learner import Learner
from nrl_ros.core.types import Delivery
from nrl_ros.storage.checkpoint import read_checkpoint
from sim_bridge.registry import make_bridge

# Far from the seeds that training uses, so that no start is one that was trained on.
SEED_OFFSET = 1_000_000
# An environment without a limit of its own must not keep the command for ever.
_MOST_STEPS = 20_000


@dataclass(frozen=True)
class Score:
    """Returns of greedy episodes, task units [1]."""

    mean: float
    std: float
    min: float
    max: float
    episodes: int

    def __str__(self) -> str:
        """Mean and spread, as ``487.0 ± 20.1``."""
        return f'{self.mean:,.1f} ± {self.std:,.1f}'

    def data(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def score_of(returns: NDArray[np.float64]) -> Score:
    """Mean, spread (standard deviation over episodes), lowest and highest return."""
    return Score(
        float(returns.mean()),
        float(returns.std()),
        float(returns.min()),
        float(returns.max()),
        len(returns),
    )


def evaluate(settings: RunSettings, checkpoint: Path | None, *, episodes: int, seed: int) -> Score:
    """Score the policy of a checkpoint.

    Args:
        settings: of the run.
        checkpoint: the learner's; None: the weights that training starts from.
        episodes: how many, at least 1.
        seed: of the environment.

    Raises:
        NrlError: the checkpoint does not fit the settings, or an episode does not end.
    """
    saved = None if checkpoint is None else read_checkpoint(checkpoint, 'learner')
    return evaluate_snapshot(settings, saved, episodes=episodes, seed=seed)


def evaluate_snapshot(
    settings: RunSettings, snapshot: dict[str, Any] | None, *, episodes: int, seed: int
) -> Score:
    """Run each of ``episodes`` instances for one episode: greedy, without noise, without learning.

    Args:
        settings: of the run.
        snapshot: of the learner; None: the weights that training starts from.
        episodes: how many, at least 1.
        seed: of the environment.

    Raises:
        NrlError: the snapshot does not fit the settings, or an episode does not end.
    """
    learner = Learner(settings.learner.core())
    if snapshot is not None:
        learner.restore(snapshot)
    learner.evaluating = True
    bridge = settings.environment.bridge
    environment = make_bridge(bridge.name, episodes, dict(bridge.options))
    try:
        books = Episodes(
            environment,
            agent='evaluation',
            session=1,
            lockstep=True,
            delivery=Delivery.EPISODE,
        )
        learner.join(books.info)
        return score_of(_first_returns(books, learner, seed))
    finally:
        environment.close()


def _first_returns(books: Episodes, learner: Learner, seed: int) -> NDArray[np.float64]:
    """Return of the first episode of every instance: later ones would favour short episodes."""
    returns = np.full(books.info.spec.instances, np.nan)
    state = books.begin(seed)
    limit = books.info.spec.max_episode_steps
    for _ in range(limit + 1 if limit else _MOST_STEPS):
        action = learner.receive(state)
        assert action is not None
        advance = books.advance(action.action)
        state = advance.state
        if advance.ends is not None:
            first = advance.ends.episode == 0
            returns[advance.ends.instance[first]] = advance.ends.episode_return[first]
            if not np.isnan(returns).any():
                return returns
    raise NrlError(
        f'an episode did not end within {limit or _MOST_STEPS} steps: nothing to measure a policy '
        'by; limit them (bridge.options.max_episode_steps of gymnasium), or train with --episodes 0'
    )
