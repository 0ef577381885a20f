"""Answers the states of environments with the actions of a bundle; learns nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ProtocolError
from nrl_ros.base.records import ActionBatch, AgentInfo, Phase, StateBatch
from nrl_ros.bundles.manifest import PolicyManifest
from nrl_ros.learning.checks import check_state

Array = NDArray[Any]


class PlayedPolicy(Protocol):
    """What plays a bundle: ``onnx_policy.OnnxPolicy``, or another."""

    manifest: PolicyManifest

    def new_memory(self, instances: int) -> Array:
        """Return the memory [B, H] with which episodes begin."""
        ...

    def act(self, observation: Array, memory: Array) -> tuple[Array, Array]:
        """Return the actions [B, A] of observations [B, O], and the new memory [B, H]."""
        ...


@dataclass
class _Served:
    info: AgentInfo
    memory: Array
    answer: ActionBatch | None = None

    @property
    def sequence(self) -> int:
        return -1 if self.answer is None else self.answer.sequence


class Player:
    """The place of a policy in the protocol, for any number of agents.

    Args:
        policy: which acts.
        identity: tells its actions from those of another learner or policy on the same topics.

    Attributes:
        counters: what was doubled, lost or refused, by name.
        actions: given so far, for all instances.
    """

    def __init__(self, policy: PlayedPolicy, identity: int) -> None:
        self._policy, self._identity = policy, identity
        self._agents: dict[str, _Served] = {}
        self.counters: Counter[str] = Counter()
        self.actions = 0

    @property
    def agents(self) -> list[str]:
        """Names of the agents that are answered."""
        return list(self._agents)

    def knows(self, agent: str, session: int) -> bool:
        """Return whether an agent has introduced itself with that session."""
        served = self._agents.get(agent)
        return served is not None and served.info.session == session

    def introduce(self, info: AgentInfo) -> bool:
        """Serve an agent from now on, or no longer if it says goodbye.

        Returns:
            False if it was known already, with nothing changed.

        Raises:
            ShapeError: it does not fit the policy, naming both sides.
        """
        known = self._agents.get(info.agent)
        if not info.active:
            if known is not None and known.info.session == info.session:
                del self._agents[info.agent]
            return False
        if known is not None and known.info == info:
            return False
        self._policy.manifest.check(info.agent, info.spec)
        if known is not None and known.info.session == info.session:
            known.info = info
            return False
        self._agents[info.agent] = _Served(info, self._policy.new_memory(info.spec.instances))
        return True

    def answer(self, state: StateBatch) -> ActionBatch:
        """Return the action for a state; for one that comes again, the same action.

        Raises:
            ProtocolError: nobody has introduced himself so, or the state is older than the last.
            ShapeError: arrays do not fit the agent's spaces.
            InvalidValueError: an observation is not finite, or the policy's action is none.
        """
        if not self.knows(state.agent, state.session):
            self.counters['unknown_agent_messages'] += 1
            raise ProtocolError(
                f'a state of agent {state.agent!r}, session {state.session:#x}, which has not '
                'introduced itself'
            )
        served = self._agents[state.agent]
        if served.answer is not None and state.sequence == served.sequence:
            self.counters['duplicate_states'] += 1
            return served.answer
        if state.sequence < served.sequence:
            self.counters['out_of_order_states'] += 1
            raise ProtocolError(
                f'agent {state.agent!r}: state {state.sequence} came after state {served.sequence}'
            )
        check_state(state, served.info)
        if served.answer is not None:
            self.counters['lost_states'] += state.sequence - served.sequence - 1
        memory = served.memory.copy()
        memory[np.flatnonzero(state.phase == int(Phase.FIRST))] = 0.0
        action, served.memory = self._policy.act(state.observation, memory)
        served.answer = state.answered(action, self._identity)
        self.actions += len(action)
        return served.answer
