"""Limits on the sizes that a message asks for, checked before anything is allocated."""

from __future__ import annotations

from pydantic import Field

from nrl_ros.base.errors import LimitError
from nrl_ros.base.records import ActionKind, AgentInfo
from nrl_ros.base.settings import Settings

_MEGABYTE = 10**6


class Limits(Settings):
    """The largest agents that a node serves; it refuses larger ones."""

    agents: int = Field(256, ge=1, description='Agents at a time [1]')
    instances: int = Field(65_536, ge=1, description='Parallel instances of one agent, B [1]')
    observation_size: int = Field(65_536, ge=1, description='Numbers in one observation, O [1]')
    memory_mb: int = Field(
        4096,
        ge=1,
        description='Most memory for what is kept for all agents together, estimated [MB]',
    )

    def check_sizes(self, agent: str, instances: int, observation_size: int = 0) -> None:
        """Refuse an agent with too many instances or too large observations.

        Raises:
            LimitError: naming the setting.
        """
        _check(agent, 'instances', instances, 'instances', self.instances)
        what = 'numbers in an observation'
        _check(agent, what, observation_size, 'observation_size', self.observation_size)

    def check_agents(self, agent: str, count: int) -> None:
        """Refuse one more agent beside ``count`` others.

        Raises:
            LimitError: there are as many agents as the limit allows.
        """
        if count >= self.agents:
            raise LimitError(
                f'agent {agent!r} is not served: there are {count} agents already, expected at '
                f'most {self.agents}; raise limits.agents if so many are meant'
            )

    def check_memory(self, agent: str, needed_bytes: int, used_bytes: int) -> None:
        """Refuse an agent whose traces would take too much memory.

        Raises:
            LimitError: naming what it needs.
        """
        if needed_bytes + used_bytes > self.memory_mb * _MEGABYTE:
            raise LimitError(
                f'agent {agent!r} is not served: it needs {needed_bytes // _MEGABYTE} MB beside '
                f'the {used_bytes // _MEGABYTE} MB of others, expected at most {self.memory_mb} '
                'MB together; raise limits.memory_mb if so much is meant'
            )


class LearnerLimits(Limits):
    """Limits of a learner: also the size of actions, which sets the network's outputs."""

    action_size: int = Field(
        65_536, ge=1, description='Choices of all components of an action, or its real numbers [1]'
    )

    def check_info(self, info: AgentInfo) -> None:
        """Refuse an agent whose spaces are too large.

        Raises:
            LimitError: naming the setting.
        """
        self.check_sizes(info.agent, info.spec.instances, info.spec.observation_size)
        action = info.spec.action
        size = action.components if action.kind == ActionKind.CONTINUOUS else sum(action.sizes)
        _check(info.agent, 'numbers in an action', size, 'action_size', self.action_size)


def _check(agent: str, what: str, received: int, name: str, most: int) -> None:
    if received > most:
        raise LimitError(
            f'agent {agent!r} has {received} {what}, expected at most {most}; raise '
            f'limits.{name} if so many are meant'
        )
