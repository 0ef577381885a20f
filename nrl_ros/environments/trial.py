"""Tries an environment before a run is started with it."""

from __future__ import annotations

from nrl_ros.base.records import AgentInfo, Delivery
from nrl_ros.environments.episodes import Episodes, safe_action
from nrl_ros.environments.interfaces import Environment, LiveEnvironment


def try_start(environment: Environment, agent: str) -> AgentInfo | None:
    """Reset an environment and step it once, so that what fails at once is told before a start.

    A robot that runs by itself is left alone.

    Args:
        environment: any.
        agent: name of its agent, for the error text.

    Returns:
        What the environment promises a learner; None for a robot.

    Raises:
        BridgeError: it failed, or returned something else than its spaces say.
        InvalidValueError: a first observation is not finite.
    """
    if isinstance(environment, LiveEnvironment):
        return None
    episodes = Episodes(
        environment, agent=agent, session=1, lockstep=True, delivery=Delivery.EPISODE
    )
    episodes.begin(0)
    episodes.advance(safe_action(episodes.info))
    return episodes.info
