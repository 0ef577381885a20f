"""Notes which agents are at work, and which are refused again and again; times are arguments."""

from __future__ import annotations

import math

# An agent that was given an action within this time is at work [s].
AT_WORK_S = 2.0
# After so many refused states in a row, the next state of an agent is taken as its first one.
_REFUSED_IN_A_ROW = 3


class Attendance:
    """Notes when agents were answered, and how often their states were refused since then."""

    def __init__(self) -> None:
        self._answered_at: dict[str, float] = {}
        self._refused: dict[str, int] = {}

    def answered(self, agent: str, now_s: float) -> None:
        """Note that an agent was given an action."""
        self._answered_at[agent] = now_s
        if self._refused:
            self._refused.pop(agent, None)

    def refused(self, agent: str) -> None:
        """Note that a state of an agent was refused; ignore an agent that was never answered."""
        if agent in self._answered_at:
            self._refused[agent] = self._refused.get(agent, 0) + 1

    def is_at_work(self, agent: str, now_s: float) -> bool:
        """Return True if an agent was answered lately, so that no other one may take its name."""
        return now_s - self._answered_at.get(agent, -math.inf) <= AT_WORK_S

    def shut_out(self, now_s: float) -> list[str]:
        """Return the agents whose states have all been refused for too long, each of them once."""
        found = [
            agent
            for agent, refused in self._refused.items()
            if refused >= _REFUSED_IN_A_ROW and not self.is_at_work(agent, now_s)
        ]
        for agent in found:
            del self._refused[agent]
        return found
