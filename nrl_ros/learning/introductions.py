"""The agents that have introduced themselves to a learner, and what is kept of those that left."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nrl_ros.base.errors import ProtocolError
from nrl_ros.base.limits import LearnerLimits
from nrl_ros.base.records import AgentInfo


class Introductions:
    """The agents that a learner knows, served or not; their introduction allocates no arrays.

    Args:
        limits: how many and how large they may be; None: any.
        counters: where forgotten agents are counted.

    Attributes:
        infos: by name.
        kept: snapshots of agents that have left or were saved, by name, the oldest first.
        departed: the last session of each agent that has left, by name, the oldest first.
    """

    def __init__(self, limits: LearnerLimits | None, counters: Counter[str]) -> None:
        self._limits, self._counters = limits, counters
        self.infos: dict[str, AgentInfo] = {}
        self.kept: dict[str, Any] = {}
        self.departed: dict[str, int] = {}

    def check(self, info: AgentInfo) -> None:
        """Refuse an agent that is too large, or that changes within its session.

        Raises:
            LimitError: it is too large.
            ProtocolError: it states other sizes than before in the same session.
        """
        if self._limits is not None:
            self._limits.check_info(info)
        known = self.infos.get(info.agent)
        if known is None or known.session != info.session or _same_kind(known, info):
            return
        self._counters['changed_infos'] += 1
        raise ProtocolError(
            f'agent {info.agent!r} of session {info.session:#x} says that it has other spaces, '
            'instances, delivery or manifest than before, expected the same within a session'
        )

    def make_room(self, info: AgentInfo, served: dict[str, Any]) -> None:
        """Forget an agent that never sent a state, if one more agent would be too many.

        Raises:
            LimitError: all agents are served, and there may be no more.
        """
        if self._limits is None or len(self.infos) < self._limits.agents:
            return
        idle = next((name for name in self.infos if name not in served), None)
        if idle is None:
            self._limits.check_agents(info.agent, len(self.infos))
            return
        del self.infos[idle]
        self._counters['forgotten_agents'] += 1

    def keep(self, name: str, snapshot: Any) -> None:
        """Keep the snapshot of an agent for its return; the oldest go if there are too many."""
        self.kept[name] = snapshot
        while self._limits is not None and len(self.kept) > self._limits.agents:
            del self.kept[next(iter(self.kept))]

    def dismiss(self, name: str) -> None:
        """Forget an agent that leaves, but keep the number of its session."""
        info = self.infos.pop(name, None)
        if info is None:
            return
        self.departed.pop(name, None)
        self.departed[name] = info.session
        while self._limits is not None and len(self.departed) > self._limits.agents:
            del self.departed[next(iter(self.departed))]

    def known(self, name: str, session: int, what: str) -> AgentInfo | None:
        """Return the agent that sent a message, None if its session has left.

        Topics overtake each other: an environment's goodbye may come before its last states and the
        rewards for them. Such messages are counted and are no fault.

        Raises:
            ProtocolError: nobody of that name or session is known.
        """
        info = self.infos.get(name)
        if info is None and self.departed.get(name) == session:
            self._counters['departed_agent_messages'] += 1
            return None
        if info is None:
            self._counters['unknown_agent_messages'] += 1
            raise ProtocolError(
                f'{what} of unknown agent {name!r}, known are {list(self.infos)}; '
                'its environment must publish env_info first'
            )
        if info.session != session:
            self._counters['wrong_session_messages'] += 1
            raise ProtocolError(
                f'{what} of agent {name!r} is of session {session:#x}, '
                f'expected {info.session:#x}: it was sent before a restart'
            )
        return info


def _same_kind(known: AgentInfo, info: AgentInfo) -> bool:
    """Return whether traces, noise and windows of one agent fit the other."""
    one, other = known.spec, info.spec
    return (
        one.instances,
        one.observation_size,
        one.action,
        one.manifest,
        one.observation_shape,
        one.observation_format,
        known.lockstep,
        known.delivery,
        known.delivery_steps,
    ) == (
        other.instances,
        other.observation_size,
        other.action,
        other.manifest,
        other.observation_shape,
        other.observation_format,
        info.lockstep,
        info.delivery,
        info.delivery_steps,
    )
