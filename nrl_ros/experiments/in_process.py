"""The learner, the neuromodulator and the environment of a run in this process, without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nrl_ros.base.records import FinishedEpisodes
from nrl_ros.environments.episodes import Episodes
from nrl_ros.environments.interfaces import Environment
from nrl_ros.environments.listening import Listener
from nrl_ros.environments.people import Attended, PeopleSettings, Person
from nrl_ros.environments.registry import make_bridge
from nrl_ros.learning import loop
from nrl_ros.learning.baselines import Critic
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.neuromodulator import Neuromodulator
from nrl_ros.settings.run import RunSettings


class InProcessRun:
    """Environment, learner and neuromodulator of a run without ROS, in lockstep.

    Args:
        settings: of all three nodes.

    Attributes:
        settings: of all three nodes.
        environment: to be closed by ``close``.
        episodes: its episodes and credit windows.
        learner: acts and learns.
        neuromodulator: turns rewards into reward-prediction errors.

    Raises:
        NrlError: the environment cannot be made, or a setting does not fit another one.
    """

    def __init__(self, settings: RunSettings) -> None:
        bridge, reward = settings.environment.bridge, settings.environment.reward
        self.settings = settings
        self.learner = Learner(settings.learner)
        self.neuromodulator = Neuromodulator(
            settings.neuromodulator.rpe, critic=settings.neuromodulator.critic
        )
        self.environment: Environment = make_bridge(
            bridge.name, bridge.instances, dict(bridge.options)
        )
        self.episodes = Episodes(
            self.environment,
            agent=settings.environment.agent,
            session=1,
            lockstep=True,
            delivery=reward.core(),
            delivery_steps=reward.steps,
            rewarded=not settings.environment.human_reward.replace,
        )

    def steps(
        self, listener: Listener | None = None, person: Person | None = None
    ) -> Iterator[FinishedEpisodes | None]:
        """Step all instances for ever, and yield the episodes that ended with each step.

        Args:
            listener: is told each record.
            person: rewards, takes over and ends episodes.
        """
        environment = self.settings.environment
        counts = PeopleSettings(environment.human_reward, environment.end_episode)
        attended = None if person is None else Attended(self.episodes, person, counts)
        cycle = loop.run(
            self.episodes,
            self.learner,
            self.neuromodulator,
            seed=self.settings.environment.seed,
            listener=listener,
            attended=attended,
        )
        for ended in cycle:
            yield self.episodes.ends() if ended else None

    # Between two looks at the clock, which one step would not be worth.
    looks_every = 64

    @property
    def critic(self) -> Critic | None:
        """The critic; None if the baseline is another one."""
        return self.neuromodulator.critic

    @property
    def total_steps(self) -> int:
        """Steps of all instances, resets left out."""
        return self.episodes.total_steps

    @property
    def total_episodes(self) -> int:
        """Episodes of all instances that have ended."""
        return self.episodes.state.episodes

    def figures(self) -> dict[str, Any]:
        """Return nothing: the summary says all of such a run."""
        return {}

    def close(self) -> None:
        """Close the environment."""
        self.environment.close()
