"""The agents that share one policy: which are known, which are served, and with what."""

from __future__ import annotations

from collections import Counter
from typing import Any

from numpy.typing import NDArray

from nrl_ros.base.errors import NrlError
from nrl_ros.base.limits import LearnerLimits
from nrl_ros.base.records import AgentInfo, StateBatch
from nrl_ros.learning.agent import ServedAgent, memory_of
from nrl_ros.learning.checks import check_state
from nrl_ros.learning.introductions import Introductions
from nrl_ros.learning.policy import Policy, new_policy
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.learning.update import LearningStep

Array = NDArray[Any]

COUNTERS = (
    'duplicate_states',
    'out_of_order_states',
    'lost_states',
    'invalid_states',
    'unknown_agent_messages',
    'departed_agent_messages',
    'wrong_session_messages',
    'unapplied_steps',
    'limited_steps',
    'foreign_steps',
    'late_rpes',
    'duplicate_rpes',
    'early_rpes',
    'unknown_window_rpes',
    'invalid_rpes',
    'ignored_rpes',
    'released_windows',
    'aborted_windows',
    'rejected_updates',
    'changed_infos',
    'forgotten_agents',
)


class AgentService:
    """Knows agents from their introduction, and serves them from their first state.

    The first agent that is introduced sets the sizes of the network; later ones must fit.

    Args:
        settings: of the learner.
        limits: how much agents may ask for; None: anything.

    Attributes:
        counters: what was lost, late, doubled, released or refused, by name.
    """

    def __init__(self, settings: LearnerSettings, limits: LearnerLimits | None) -> None:
        self._settings = settings
        self._limits = limits
        self._policy: Policy | None = None
        self._agents: dict[str, ServedAgent] = {}
        self._step = LearningStep(settings)
        self.counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        self._introduced = Introductions(limits, self.counters)

    def _spread_sigma(self) -> None:
        sigma = self._settings.noise.sigma * self._step.sigma_factor()
        for agent in self._agents.values():
            agent.explorer.set_sigma(sigma)

    @property
    def weights(self) -> list[Array]:
        """Copies of the weight matrices [out, in], empty before the first agent joins."""
        return [] if self._policy is None else [w.copy() for w in self._policy.network.weights]

    @property
    def weight_norm(self) -> float:
        """Frobenius norm over all layers [1]."""
        return 0.0 if self._policy is None else self._policy.weight_norm

    @property
    def agents(self) -> dict[str, AgentInfo]:
        """Agents that have introduced themselves, by name."""
        return dict(self._introduced.infos)

    def trace_kind(self, agent: str) -> str:
        """Return how the traces of an agent are kept: 'dense' or 'factored'."""
        return self._agents[agent].credit.store.kind

    def served(self, name: str) -> ServedAgent | None:
        """Return what is kept for an agent that is served, None if it is not."""
        return self._agents.get(name)

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
        if self._policy is None:
            self._set_policy(new_policy(self._settings, info))
        assert self._policy is not None
        self._policy.check(info)
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
        assert self._policy is not None
        network = self._policy.network
        if self._limits is not None:
            used = [memory_of(self._settings, network.spec, a.info) for a in self._agents.values()]
            needed = memory_of(self._settings, network.spec, info)
            self._limits.check_memory(info.agent, needed, sum(used))
        agent = ServedAgent(info, network, self._policy.head, self._settings, self.counters)
        self._agents[info.agent] = agent
        saved = self._introduced.kept.pop(info.agent, None)
        if saved is not None:
            agent.resume(saved)
        agent.noise.prepare()
        self._spread_sigma()
        return agent

    def _set_policy(self, policy: Policy) -> None:
        self._policy = policy
        self._step.serve(policy.network)

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

    def _first_state(self, state: StateBatch) -> ServedAgent | None:
        """Serve an agent that was only introduced, once it has sent a state that fits it.

        Returns:
            The agent; None if its session has left.
        """
        info = self._introduced.known(state.agent, state.session, 'state')
        if info is None:
            return None
        try:
            check_state(state, info)
        except NrlError:
            self.counters['invalid_states'] += 1
            raise
        return self._serve(info)
