"""Settings of how much a message may ask for."""

from __future__ import annotations

from pydantic import Field

from nrl_ros.base.limits import Limits
from nrl_ros.base.settings import Settings

_DEFAULTS = Limits()


class SizeLimits(Settings):
    """The largest agents that are served; what asks for more is refused."""

    agents: int = Field(_DEFAULTS.agents, ge=1, description='Agents at a time [1]')
    instances: int = Field(
        _DEFAULTS.instances, ge=1, description='Parallel instances of one agent [1]'
    )
    observation_size: int = Field(
        _DEFAULTS.observation_size, ge=1, description='Numbers in one observation [1]'
    )
    memory_mb: int = Field(
        _DEFAULTS.memory_mb,
        ge=1,
        description='What is kept for all agents together takes about so much at most [MB]',
    )

    def core(self) -> Limits:
        """The core's limits."""
        return Limits(**self.model_dump())


class LearnerLimits(SizeLimits):
    """The same with the size of actions, which sets that of the network."""

    action_size: int = Field(
        _DEFAULTS.action_size,
        ge=1,
        description='Choices of all components of an action, or its real numbers [1]',
    )
