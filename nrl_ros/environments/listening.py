"""A listener sees every record of the step path, in one process and over ROS 2 alike.

Recording, health figures and live views are listeners: none of them needs a line in the learner,
the neuromodulator or an environment. In one process ``learning.loop.run`` tells a listener; over
ROS 2 ``ros.listening.Listening`` does, which subscribes beside the nodes. Where nobody listens, the
step path has nothing to do for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nrl_ros.base.records import (
    ActionBatch,
    AgentInfo,
    FinishedEpisodes,
    HumanRewardBatch,
    RewardBatch,
    RpeBatch,
    StateBatch,
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

    def on_human_reward(self, reward: HumanRewardBatch) -> None:
        """Take a reward of a person; the reward that closes its windows contains it."""

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
