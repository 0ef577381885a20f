"""Evaluation in this process, without ROS and without learning: scores of a policy.

Greedy episodes have no noise and take the most probable action; exploring ones have noise and draw
actions, as the training does. Both say something: a policy may depend on its noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import NrlError
from nrl_ros.base.records import ActionBatch, AgentInfo, Delivery, StateBatch
from nrl_ros.cli.config import RunSettings
from nrl_ros.cli.display import EvaluationLines, Say, told_if_slow
from nrl_ros.environments.episodes import Advance, Episodes
from nrl_ros.environments.faults import closing
from nrl_ros.environments.figures import RecentFigures, figure_text, is_share, shares
from nrl_ros.environments.interfaces import Depictable, Drawn, Environment, Rollout
from nrl_ros.environments.registry import make_bridge
from nrl_ros.learning.learner import Learner
from nrl_ros.storage.checkpoint import read_checkpoint

# The seed is far from those that training uses, so that no start was trained on.
SEED_OFFSET = 1_000_000
# An environment without its own limit must not block the command for ever.
_MOST_STEPS = 20_000


Acting = Literal['greedy', 'exploring']


@dataclass(frozen=True)
class Score:
    """Returns of greedy or of exploring episodes, task units [1].

    Attributes:
        figures: means of other figures that the environment gives for episodes, by name.
        acting: how the policy acted.
    """

    mean: float
    std: float
    min: float
    max: float
    episodes: int
    figures: dict[str, float] = field(default_factory=dict)
    acting: Acting = 'greedy'

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, task units [1]."""
        return self.std / math.sqrt(self.episodes)

    @property
    def success(self) -> str:
        """The shares of success as a text such as ``99.8 % parked, ...``; empty without any."""
        return ', '.join(
            f'{100 * share:.1f} % {name}' for name, share in shares(self.figures).items()
        )

    @property
    def errors(self) -> str:
        """The means of all other figures, such as ``final_distance_m 0.0312``; empty if none."""
        return ', '.join(
            figure_text(name, mean) for name, mean in self.figures.items() if not is_share(name)
        )

    def __str__(self) -> str:
        """Return mean and spread, such as ``487.0 ± 20.1``."""
        return f'{self.mean:,.1f} ± {self.std:,.1f}'

    def data(self) -> dict[str, Any]:
        """Return the score as plain data."""
        return asdict(self)


def score_of(
    returns: NDArray[np.float64],
    figures: Mapping[str, float] | None = None,
    acting: Acting = 'greedy',
) -> Score:
    """Return mean, spread (standard deviation over episodes), lowest and highest return.

    Args:
        returns: of the episodes [N].
        figures: means of their other figures by name, where there are some.
        acting: how the policy acted.
    """
    return Score(
        float(returns.mean()),
        float(returns.std()),
        float(returns.min()),
        float(returns.max()),
        len(returns),
        dict(figures or {}),
        acting,
    )


def _silent(_: str) -> None:
    """Say nothing."""


def evaluate(
    settings: RunSettings,
    checkpoint: Path | None,
    *,
    episodes: int,
    seed: int,
    acting: Acting = 'greedy',
    say: Say = _silent,
) -> Score:
    """Score the policy of a checkpoint.

    Args:
        settings: of the run.
        checkpoint: the learner's; None: the weights that training starts from.
        episodes: how many, at least 1.
        seed: of the environment.
        acting: how the policy acts.
        say: gets texts on what takes long.

    Raises:
        NrlError: the checkpoint does not fit the settings, or an episode does not end.
    """
    saved = None if checkpoint is None else read_checkpoint(checkpoint, 'learner')
    return evaluate_snapshot(settings, saved, episodes=episodes, seed=seed, acting=acting, say=say)


def evaluate_snapshot(
    settings: RunSettings,
    snapshot: dict[str, Any] | None,
    *,
    episodes: int,
    seed: int,
    acting: Acting = 'greedy',
    say: Say = _silent,
) -> Score:
    """Run episodes without learning.

    There are never more instances than the run has, since an environment may own something of which
    there is one. Each instance runs as many episodes as the others, or one more.

    Args:
        settings: of the run.
        snapshot: of the learner; None: the weights with which training begins.
        episodes: how many, at least 1.
        seed: of the environment.
        acting: how the policy acts.
        say: gets texts on what takes long.

    Raises:
        NrlError: the snapshot does not fit the settings, or an episode does not end.
    """
    instances = min(episodes, settings.environment.bridge.instances)
    told = EvaluationLines(say, acting)
    with at_work(settings, snapshot, instances=instances, acting=acting, say=say) as stage:
        return score_of(*first_episodes(stage, seed, episodes, told), acting)


class Stage(Protocol):
    """Episodes of an environment in which something acts."""

    @property
    def episodes(self) -> Episodes:
        """The episodes."""
        ...

    def advances(self, seed: int) -> Iterator[Advance]:
        """Reset the environment now, and step it each time that the next advance is asked for."""
        ...


def advances(
    episodes: Episodes, seed: int, act: Callable[[StateBatch], ActionBatch]
) -> Iterator[Advance]:
    """Reset an environment now, and step it each time that the next advance is asked for.

    Args:
        episodes: of the environment.
        seed: of it.
        act: returns the answer to a state.
    """
    return _advances(episodes, episodes.begin(seed), act)


def _advances(
    episodes: Episodes, state: StateBatch, act: Callable[[StateBatch], ActionBatch]
) -> Iterator[Advance]:
    while True:
        advance = episodes.advance(act(state).action)
        state = advance.state
        yield advance


class AtWork(NamedTuple):
    """An environment, its episodes, and a learner that acts in them.

    Attributes:
        environment: is stepped by ``episodes`` alone.
        episodes: of it.
        learner: only acts.
    """

    environment: Environment
    episodes: Episodes
    learner: Learner

    def advances(self, seed: int) -> Iterator[Advance]:
        """Reset the environment now, and step it each time that the next advance is asked for."""
        return advances(self.episodes, seed, self._act)

    def _act(self, state: StateBatch) -> ActionBatch:
        self.learner.observe(state)
        return self.learner.act(state.agent)


@contextmanager
def at_work(
    settings: RunSettings,
    snapshot: dict[str, Any] | None,
    *,
    instances: int,
    acting: Acting = 'greedy',
    more: Mapping[str, Any] | None = None,
    say: Say = _silent,
) -> Iterator[AtWork]:
    """Make an environment and a learner that acts for it; close the environment at the end.

    Args:
        settings: of the run.
        snapshot: of the learner; None: the weights with which training begins.
        instances: of the environment.
        acting: how the policy acts.
        more: options of the bridge beside those of the run.
        say: gets texts on what takes long.

    Raises:
        NrlError: the environment cannot be made, or the snapshot does not fit.
    """
    bridge = settings.environment.bridge
    with told_if_slow(say, f'{instances} instances of the environment to evaluate with'):
        environment = make_bridge(bridge.name, instances, {**bridge.options, **(more or {})})
    with closing(environment):
        episodes = Episodes(
            environment,
            agent='evaluation',
            session=1,
            lockstep=True,
            delivery=Delivery.EPISODE,
        )
        learner = _learner(settings, snapshot, episodes.info, acting)
        yield AtWork(environment, episodes, learner)


def record(
    settings: RunSettings, snapshot: dict[str, Any] | None, *, instances: int, seed: int
) -> Rollout:
    """Record a greedy rollout of the longest episode, for a picture.

    Args:
        settings: of the run; its environment is ``Depictable``.
        snapshot: of the learner; None: the weights that training starts from.
        instances: B, at least 1.
        seed: of the environment; the same one gives the same starts.

    Returns:
        What the environment's ``pose`` gave, by name [T + 1, B, ...].
    """
    with at_work(settings, snapshot, instances=instances) as stage:
        environment = stage.environment
        assert isinstance(environment, Depictable)
        advances = stage.advances(seed)
        poses = [environment.pose()]
        for _ in islice(advances, stage.episodes.info.spec.max_episode_steps):
            poses.append(environment.pose())
    return {name: np.stack([pose[name] for pose in poses]) for name in poses[0]}


def draw(
    settings: RunSettings, checkpoint: Path, folder: Path, *, instances: int, seed: int
) -> Drawn | None:
    """Draw what a trained policy does, beside the same starts with the untrained one.

    Args:
        settings: of the run.
        checkpoint: the learner's.
        folder: where pictures are written.
        instances: of each rollout, at least 1.
        seed: of the environment.

    Returns:
        What was written; None if the environment cannot draw itself.

    Raises:
        NrlError: the checkpoint does not fit the settings.
    """
    bridge = settings.environment.bridge
    with closing(make_bridge(bridge.name, 1, dict(bridge.options))) as environment:
        if not isinstance(environment, Depictable):
            return None
        before, after = (
            record(settings, snapshot, instances=instances, seed=seed)
            for snapshot in (None, read_checkpoint(checkpoint, 'learner'))
        )
        return environment.draw(before, after, str(folder))


def _learner(
    settings: RunSettings, snapshot: dict[str, Any] | None, info: AgentInfo, acting: Acting
) -> Learner:
    """Make a learner that only acts; without a snapshot, an untrained one."""
    learner = Learner(settings.learner)
    if snapshot is not None:
        learner.restore(snapshot)
    learner.frozen = True
    learner.evaluating = acting == 'greedy'
    learner.join(info)
    return learner


def first_episodes(
    stage: Stage, seed: int, count: int, told: Callable[[int, int], None]
) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Return returns [N], and means of all other figures, of the first episodes of all instances.

    How many of each instance is fixed before the first: whoever ends first would favour short
    episodes.

    Args:
        stage: of any number of instances.
        seed: of the environment.
        count: episodes N.
        told: gets how many have ended, and N.

    Raises:
        NrlError: an episode does not end.
    """
    spec = stage.episodes.info.spec
    # Episodes that each instance still has to end.
    left = np.full(spec.instances, count // spec.instances)
    left[: count % spec.instances] += 1
    returns: list[float] = []
    figures = RecentFigures(count)
    limit = spec.max_episode_steps or _MOST_STEPS
    for advance in islice(stage.advances(seed), (limit + 1) * int(left.max())):
        if advance.ends is not None:
            counted = left[advance.ends.instance] > 0
            left[advance.ends.instance[counted]] -= 1
            returns += advance.ends.episode_return[counted].tolist()
            figures.add({name: one[counted] for name, one in advance.ends.figures.items()})
            told(len(returns), count)
            if not left.any():
                return np.array(returns), figures.means()
        elif not spec.max_episode_steps and int(advance.state.step.max()) >= _MOST_STEPS:
            break
    raise NrlError(
        f'an episode did not end within {limit} steps: nothing to measure a policy by; limit them '
        '(bridge.options.max_episode_steps of gymnasium), or train with --episodes 0'
    )
