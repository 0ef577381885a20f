"""A listener sees every record of the step path, in one process and over ROS 2 alike.

Recording, health figures and live views are listeners: none of them needs a line in the learner,
the neuromodulator or an environment. In one process ``learning.loop.run`` tells a listener; over
ROS 2 ``ros.listening.Listening`` does, which subscribes beside the nodes. Where nobody listens, the
step path has nothing to do for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import ActionBatch, AgentInfo, RewardBatch, RpeBatch, StateBatch
from nrl_ros.environments.episodes import EpisodeEnds

Array = NDArray[Any]

# Fields of FinishedEpisodes that hold one number for each episode.
EPISODE_ARRAYS = (
    'total_steps',
    'instance',
    'episode',
    'length',
    'ending',
    'episode_return',
)


@dataclass(frozen=True)
class FinishedEpisodes:
    """Episodes that ended (EpisodeReport): of one step in one process, of several over ROS 2.

    Attributes:
        agent: as in StateBatch.
        session: as in StateBatch.
        total_steps: steps of all instances when each of K episodes ended [K].
        instance: [K].
        episode: number within its instance [K].
        length: steps of each [K].
        ending: as in Ending [K].
        episode_return: undiscounted sum of its rewards, task units [K].
        figures: what else the environment tells of each, by name [K].
    """

    agent: str
    session: int
    total_steps: Array
    instance: Array
    episode: Array
    length: Array
    ending: Array
    episode_return: Array
    figures: Mapping[str, Array]


def finished_episodes(info: AgentInfo, ends: EpisodeEnds) -> FinishedEpisodes:
    """Return the record of the episodes that ended in one step."""
    values = ends.metrics
    figures = {} if values is None else dict(zip(info.spec.metrics, values.T, strict=True))
    return FinishedEpisodes(
        info.agent,
        info.session,
        np.full(len(ends.instance), ends.total_steps, np.uint64),
        ends.instance.astype(np.uint32),
        ends.episode,
        ends.length,
        ends.ending,
        ends.episode_return,
        figures,
    )


class Listener:
    """The base class of listeners, which are told each record; override the methods of interest.

    A listener must not change the records; it may keep their arrays. Records of one kind come in
    order, each once, and those of a session after its ``on_info``. Records of different kinds come
    in the order in which they were received.
    """

    def on_info(self, info: AgentInfo) -> None:
        """Take the introduction of an environment, or its goodbye if ``active`` is false."""

    def on_state(self, state: StateBatch) -> None:
        """Take a state of all instances."""

    def on_reward(self, reward: RewardBatch) -> None:
        """Take rewards that close credit windows; the state of the same step comes next."""

    def on_rpe(self, rpe: RpeBatch) -> None:
        """Take reward-prediction errors."""

    def on_action(self, action: ActionBatch) -> None:
        """Take the learner's answer to a state."""

    def on_episodes(self, episodes: FinishedEpisodes) -> None:
        """Take episodes that ended."""

    def on_status(self, node: str, status: Mapping[str, Any]) -> None:
        """Take the figures that a node publishes of itself a few times a second; only over ROS 2.

        Args:
            node: ``learner``, ``neuromodulator`` or ``environment``.
            status: fields of its status message, its counters by name among them.
        """
