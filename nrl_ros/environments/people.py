"""People in a run in one process: they reward, take over, end episodes, as topics do over ROS 2.

``nrl_ros.train(..., person=...)`` and ``learning.loop.run`` take one. A program may stand for a
person, such as a script that rewards late and seldom, or a model of a person's reward.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import (
    Bool,
    Float64,
    HumanRewardBatch,
    Outcome,
    StateBatch,
)
from nrl_ros.environments.episodes import Episodes, check_action
from nrl_ros.environments.human_reward import HumanRewards, HumanRewardSettings
from nrl_ros.environments.intervention import EndEpisodeSettings, replaced

Array = NDArray[Any]


class Person:
    """The base class of people, who see each state before it is acted upon; override what you do.

    The arrays of a state stay as they are and must not be changed.
    """

    def reward(self, state: StateBatch) -> Float64 | None:
        """Return rewards for the windows that are open now [B], 0 for none; None: no reward."""
        return None

    def action(self, state: StateBatch) -> tuple[Array, Bool] | None:
        """Return actions [B, A] and the instances in which they replace the learner's [B]."""
        return None

    def end(self, state: StateBatch) -> tuple[Outcome, Bool] | None:
        """Return how episodes end with the step that follows, and in which instances [B]."""
        return None


class PeopleSettings(NamedTuple):
    """What people count in an environment."""

    reward: HumanRewardSettings = HumanRewardSettings()
    end: EndEpisodeSettings = EndEpisodeSettings()


class Attended:
    """An environment with a person beside it: what the person does enters its next step.

    Args:
        episodes: of the environment.
        person: sees each of its states.
        settings: what the person counts.
    """

    def __init__(self, episodes: Episodes, person: Person, settings: PeopleSettings) -> None:
        self._episodes, self._person = episodes, person
        self._end = settings.end
        self.rewards = HumanRewards(settings.reward, episodes)

    def look(
        self, state: StateBatch, action: Array
    ) -> tuple[Array, NDArray[np.uint8] | None, list[HumanRewardBatch]]:
        """Ask the person about a state that the learner has acted upon.

        Args:
            state: the newest one.
            action: of the learner [B, A].

        Returns:
            The actions to apply, how the learner's are applied as in Applied, and the rewards.

        Raises:
            NrlError: what the person does does not fit the environment.
        """
        person, applied = self._person, None
        given = []
        values = person.reward(state)
        if values is not None:
            given.append(self.rewards.give_each(values, state.stamp_ns))
        taken = person.action(state)
        if taken is not None:
            theirs = np.asarray(taken[0])
            check_action(theirs, self._episodes.info)
            action, applied = replaced(action, applied, theirs, taken[1])
        ended = person.end(state)
        if ended is not None:
            given.append(end_episodes(self._episodes, self.rewards, self._end, *ended))
        return action, applied, [one for one in given if one is not None]


def end_episodes(
    episodes: Episodes,
    rewards: HumanRewards,
    settings: EndEpisodeSettings,
    outcome: Outcome,
    which: Bool,
    stamp_ns: int = 0,
) -> HumanRewardBatch | None:
    """End running episodes with the next step, and add the reward of the outcome to their windows.

    Args:
        episodes: of the environment.
        rewards: of people.
        settings: the reward of each outcome.
        outcome: how they end.
        which: instances [B].
        stamp_ns: of the record [ns].

    Returns:
        The reward that was added, None if it is 0.

    Raises:
        ConfigError: the environment cannot be told that an episode is over.
    """
    episodes.end(which, aborted=outcome == Outcome.ABORT)
    if outcome == Outcome.ABORT:
        return None
    value = settings.success_reward if outcome == Outcome.SUCCESS else settings.failure_reward
    return rewards.conclude(value, which, stamp_ns)
