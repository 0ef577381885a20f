"""Greedy evaluation in this process, without ROS: what a policy is worth, before and after."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import NrlError
from nrl_ros.base.records import AgentInfo, Delivery
from nrl_ros.cli.config import RunSettings
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.registry import make_bridge
from nrl_ros.learning.learner import Learner
from nrl_ros.storage.checkpoint import read_checkpoint

# Far from the seeds that training uses, so that no start is one that was trained on.
SEED_OFFSET = 1_000_000
# An environment without a limit of its own must not keep the command for ever.
_MOST_STEPS = 20_000


# Figure of an episode that tells how far it ended from its target, and radii that are asked for.
DISTANCE = 'final_distance_m'
RADII_CM = (5, 2, 1)


@dataclass(frozen=True)
class Score:
    """Returns of greedy episodes, task units [1].

    Attributes:
        within_cm: where there are targets: share of episodes that ended within so many cm.
    """

    mean: float
    std: float
    min: float
    max: float
    episodes: int
    within_cm: dict[int, float] = field(default_factory=dict)

    @property
    def success(self) -> str:
        """As ``99.8 % within 5 cm, ...``; empty without targets."""
        return ', '.join(
            f'{100 * share:.1f} % within {radius} cm' for radius, share in self.within_cm.items()
        )

    def __str__(self) -> str:
        """Mean and spread, as ``487.0 ± 20.1``."""
        return f'{self.mean:,.1f} ± {self.std:,.1f}'

    def data(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def score_of(returns: NDArray[np.float64], distance: NDArray[np.float64] | None = None) -> Score:
    """Mean, spread (standard deviation over episodes), lowest and highest return.

    Args:
        returns: of the episodes [N].
        distance: from their targets at the end [N, m], where there are some.
    """
    within = {} if distance is None else within_cm(distance)
    return Score(
        float(returns.mean()),
        float(returns.std()),
        float(returns.min()),
        float(returns.max()),
        len(returns),
        within,
    )


def within_cm(distance: NDArray[np.float64]) -> dict[int, float]:
    """Shares of distances [N, m] below each radius."""
    return {radius: float(np.mean(distance < 0.01 * radius)) for radius in RADII_CM}


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
        learner = greedy_learner(settings, snapshot, books.info)
        return score_of(*_first_episodes(books, learner, seed))
    finally:
        environment.close()


def greedy_learner(
    settings: RunSettings, snapshot: dict[str, Any] | None, info: AgentInfo
) -> Learner:
    """A learner that acts without noise for an agent; without a snapshot, an untrained one."""
    learner = Learner(settings.learner.core())
    if snapshot is not None:
        learner.restore(snapshot)
    learner.evaluating = True
    learner.join(info)
    return learner


def _first_episodes(
    books: Episodes, learner: Learner, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return, and distance from the target, of the first episode of every instance.

    Later ones would favour short episodes.
    """
    names = books.info.spec.metrics
    returns = np.full(books.info.spec.instances, np.nan)
    distance = np.full_like(returns, np.nan) if DISTANCE in names else None
    state = books.begin(seed)
    limit = books.info.spec.max_episode_steps
    for _ in range(limit + 1 if limit else _MOST_STEPS):
        action = learner.receive(state)
        assert action is not None
        advance = books.advance(action.action)
        state = advance.state
        if advance.ends is not None:
            first = advance.ends.episode == 0
            ended = advance.ends.instance[first]
            returns[ended] = advance.ends.episode_return[first]
            if distance is not None and advance.ends.metrics is not None:
                distance[ended] = advance.ends.metrics[first, names.index(DISTANCE)]
            if not np.isnan(returns).any():
                return returns, distance
    raise NrlError(
        f'an episode did not end within {limit or _MOST_STEPS} steps: nothing to measure a policy '
        'by; limit them (bridge.options.max_episode_steps of gymnasium), or train with --episodes 0'
    )
