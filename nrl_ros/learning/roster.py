"""The agents that share one policy: which are known, which are served, and with what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from nrl_ros.base.errors import NrlError
from nrl_ros.base.limits import LearnerLimits
from nrl_ros.base.records import AgentInfo, RpeBatch, StateBatch
from nrl_ros.learning.agent import ServedAgent
from nrl_ros.learning.agent_memory import memory_of
from nrl_ros.learning.checks import check_state
from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.introductions import Introductions
from nrl_ros.learning.policy import Policy, new_policy
from nrl_ros.learning.settings import LearnerSettings


class Roster:
    """Knows agents from their introduction, and serves them from their first state.

    The first agent that is introduced sets the sizes of the network; later ones must fit.

    Args:
        settings: of the learner.
        limits: how much agents may ask for; None: anything.
        counters: where refused messages, windows and the like are counted, by name.

    Attributes:
        served_from_now: is told of each agent before its first step; None: nobody is.
        around_head: makes the head of a new policy from its own, for whoever listens to or replaces
            what it draws; None: its own is taken.
    """

    def __init__(
        self, settings: LearnerSettings, limits: LearnerLimits | None, counters: Counter[str]
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._counters = counters
        self._policy: Policy | None = None
        self.served_from_now: Callable[[ServedAgent], object] | None = None
        self.around_head: Callable[[PolicyHead], PolicyHead] | None = None
        self._sigma = settings.noise.sigma
        self._agents: dict[str, ServedAgent] = {}
        self._introduced = Introductions(limits, counters)

    @property
    def policy(self) -> Policy | None:
        """What all agents share; None before the first one is introduced."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy | None) -> None:
        if policy is not None and self.around_head is not None:
            policy = replace(policy, head=self.around_head(policy.head))
        self._policy = policy

    @property
    def infos(self) -> dict[str, AgentInfo]:
        """Agents that have introduced themselves, by name."""
        return dict(self._introduced.infos)

    @property
    def agents(self) -> Collection[ServedAgent]:
        """Agents that are served."""
        return self._agents.values()

    def served(self, name: str) -> ServedAgent | None:
        """Return what is kept for an agent that is served, None if it is not."""
        return self._agents.get(name)

    def set_sigma(self, sigma: float) -> None:
        """Change the noise of all agents from their next step on."""
        self._sigma = sigma
        for agent in self._agents.values():
            agent.explorer.set_sigma(sigma)

    def release_all(self) -> None:
        """Release every window of every agent."""
        for agent in self._agents.values():
            agent.credit.release_all()

    def join(self, info: AgentInfo) -> bool:
        """Serve an agent from now on; a known one in a new session starts with empty traces.

        Returns:
            False if it was known already, with nothing changed.

        Raises:
            LimitError: it asks for more than the limits allow.
            ProtocolError: it states other sizes than before in the same session.
            ShapeError: its spaces do not fit the network.
        """
        fresh = self.introduce(info)
        if info.agent not in self._agents:
            self._serve(info)
        return fresh

    def introduce(self, info: AgentInfo) -> bool:
        """Note an agent, which is served from its first state on.

        Nothing of its size is allocated before that state, so that false introductions take no
        memory. An agent that was served before is served at once. If an agent states something anew
        within its session, such as other bounds, its traces stay.

        Returns:
            False if it was known already, with nothing changed.

        Raises:
            LimitError, ProtocolError, ShapeError: as in ``join``.
        """
        known = self._introduced.infos.get(info.agent)
        if known == info:
            return False
        self._introduced.check(info)
        if self.policy is None:
            self.policy = new_policy(self._settings, info)
        assert self.policy is not None
        self.policy.check(info)
        if known is None:
            self._introduced.make_room(info, self._agents)
        elif known.session != info.session:
            # The old session ends only after the checks, so that a false introduction cannot end
            # it.
            self.leave(info.agent)
        self._introduced.infos[info.agent] = info
        served = self._agents.get(info.agent)
        if served is not None:
            served.info = info
            return False
        if info.agent in self._introduced.kept:
            self._serve(info)
        return known is None or known.session != info.session

    def _serve(self, info: AgentInfo) -> ServedAgent:
        """Allocate what an agent needs; an agent that was here before continues.

        Raises:
            LimitError: it needs more than the limits allow.
        """
        assert self.policy is not None
        network = self.policy.network
        if self._limits is not None:
            used = [memory_of(self._settings, network.spec, a.info) for a in self._agents.values()]
            needed = memory_of(self._settings, network.spec, info)
            self._limits.check_memory(info.agent, needed, sum(used))
        agent = ServedAgent(info, self.policy, self._settings, self._counters)
        self._agents[info.agent] = agent
        saved = self._introduced.kept.pop(info.agent, None)
        if saved is not None:
            agent.resume(saved)
        agent.noise.prepare()
        agent.explorer.set_sigma(self._sigma)
        if self.served_from_now is not None:
            self.served_from_now(agent)
        return agent

    def leave(self, name: str) -> int:
        """Stop serving an agent and release its windows.

        Returns:
            How many windows were released.
        """
        self._introduced.dismiss(name)
        agent = self._agents.pop(name, None)
        if agent is None:
            return 0
        released = agent.credit.release_all()
        # Baselines and generators are kept until the agent returns, and are saved in checkpoints.
        self._introduced.keep(name, agent.snapshot())
        return released

    def start_over(self, name: str) -> int:
        """Take the next state of an agent as its first one.

        One faulty state with a number or a window far ahead cannot be told from a true one, and
        would make the learner refuse all true ones for ever. Baselines and generators are kept.

        Returns:
            How many open windows were released.
        """
        info = self._introduced.infos.get(name)
        if info is None or name not in self._agents:
            return 0
        released = self.leave(name)
        self._introduced.infos[name] = info
        # Windows and numbers belong to a session, and those of this session cannot be trusted.
        self._introduced.kept[name]['session'] = 0
        self._serve(info)
        return released

    def sender_of(self, state: StateBatch) -> ServedAgent | None:
        """Return the agent that sent a state, and serve it if it was only introduced.

        Returns:
            None if its session has left.

        Raises:
            LimitError: it needs more than the limits allow.
            ProtocolError: nobody of that name or session is known.
            ShapeError, InvalidValueError: its first state does not fit.
        """
        agent = self._agents.get(state.agent)
        if agent is not None and agent.info.session == state.session:
            return agent
        info = self._introduced.known(state.agent, state.session, 'state')
        if info is None:
            return None
        try:
            check_state(state, info)
        except NrlError:
            self._counters['invalid_states'] += 1
            raise
        return self._serve(info)

    def learner_of(self, rpe: RpeBatch) -> ServedAgent | None:
        """Return the agent of reward-prediction errors, None if it has no windows.

        Raises:
            ProtocolError: nobody of that name or session is known.
        """
        agent = self._agents.get(rpe.agent)
        if agent is not None and agent.info.session == rpe.session:
            return agent
        info = self._introduced.known(rpe.agent, rpe.session, 'reward-prediction error')
        if info is not None:
            # It has sent no state, so that it has no windows.
            self._counters['unknown_window_rpes'] += len(rpe.instance)
        return None

    def snapshot(self) -> dict[str, Any]:
        """Return snapshots of agents that are served and of those that have left, by name."""
        served = {name: agent.snapshot() for name, agent in self._agents.items()}
        return served | self._introduced.kept

    def take_over(self, old: Roster, snapshot: dict[str, Any]) -> None:
        """Note and serve the agents of another roster, each with its saved state.

        Args:
            old: the other roster; it is not changed.
            snapshot: as saved; agents that are not here now continue when they return.

        Raises:
            NrlError: an agent or its saved state does not fit.
        """
        self._introduced.kept = dict(snapshot)
        self.served_from_now = old.served_from_now
        for name, info in old.infos.items():
            self.join(info) if old.served(name) is not None else self.introduce(info)
