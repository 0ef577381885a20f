"""Random steps in an environment, and what they tell: sizes of observations, rewards, ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import BridgeError
from nrl_ros.base.records import ActionKind, ActionSpace, Delivery, Ending, EnvSpec
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.interfaces import Environment, LiveEnvironment

Array = NDArray[Any]


@dataclass(frozen=True)
class Facts:
    """What random steps of one instance have shown.

    Attributes:
        spec: of the environment.
        mean: of each number of the observations [O].
        std: likewise [O].
        rewards: of the steps, those of resets left out [T].
        lengths: steps of the episodes that ended [E].
        returns: of the episodes that ended [E].
        terminated: how many of them the task itself ended [1].
        step_s: time of a step [s].
    """

    spec: EnvSpec
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    rewards: NDArray[np.float64]
    lengths: tuple[int, ...] = ()
    returns: tuple[float, ...] = ()
    terminated: int = 0
    step_s: float = 0.0


def take_random_steps(
    environment: Environment,
    agent: str,
    *,
    steps: int,
    limit_s: float,
    clock: Callable[[], float],
    told: Callable[[int, int], None] | None = None,
) -> Facts:
    """Step one instance with random actions.

    Args:
        environment: with one instance; it is reset.
        agent: name of its agent, for error texts.
        steps: at most so many, at least 1.
        limit_s: no new step is begun after this time [s].
        clock: seconds that pass [s].
        told: is called with the steps that are done and ``steps``.

    Raises:
        BridgeError: the environment runs by itself, or failed.
        InvalidValueError: a first observation is not finite.
    """
    if isinstance(environment, LiveEnvironment):
        raise BridgeError(
            f'the environment of agent {agent!r} runs by itself, and is not moved at random: '
            'write its settings into a file'
        )
    # A reward at every step shows each of them.
    episodes = Episodes(
        environment, agent=agent, session=1, lockstep=True, delivery=Delivery.EVERY_STEP
    )
    generator = np.random.default_rng(0)
    state = episodes.begin(0)
    moments = _Moments(environment.spec.observation_size)
    moments.add(state.observation[0])
    rewards: list[float] = []
    lengths: list[int] = []
    returns: list[float] = []
    terminated = done = 0
    start = clock()
    while done < steps and (done == 0 or clock() - start < limit_s):
        advance = episodes.advance(random_action(environment.spec.action, generator))
        done += 1
        moments.add(advance.state.observation[0])
        if advance.reward is not None:
            rewards += advance.reward.value.tolist()
        if advance.ends is not None:
            lengths += advance.ends.length.tolist()
            returns += advance.ends.episode_return.tolist()
            terminated += int((advance.ends.ending == int(Ending.TERMINATED)).sum())
        if told is not None:
            told(done, steps)
    return Facts(
        environment.spec,
        moments.mean,
        moments.std,
        np.array(rewards, np.float64),
        tuple(lengths),
        tuple(returns),
        terminated,
        (clock() - start) / done,
    )


def random_action(space: ActionSpace, generator: np.random.Generator) -> Array:
    """Return an action of one instance [1, A], each as likely as any other."""
    if space.kind == ActionKind.CONTINUOUS:
        drawn = generator.uniform(space.low, space.high)
        return np.clip(drawn, space.low, space.high).astype(np.float32)[None]
    return generator.integers(0, space.sizes).astype(np.int32).reshape(1, -1)


class _Moments:
    """Running mean and variance (Welford): images of many steps would fill the memory."""

    def __init__(self, size: int) -> None:
        self._count = 0
        self.mean = np.zeros(size)
        self._squares = np.zeros(size)

    def add(self, row: Array) -> None:
        if not np.isfinite(row).all():
            # The episode tracker has ended that episode.
            return
        self._count += 1
        apart = row - self.mean
        self.mean += apart / self._count
        self._squares += apart * (row - self.mean)

    @property
    def std(self) -> NDArray[np.float64]:
        spread: NDArray[np.float64] = np.sqrt(self._squares / max(self._count, 1))
        return spread
