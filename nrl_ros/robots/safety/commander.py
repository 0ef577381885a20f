"""Decides whose commands an arm follows: one commander's, and never a mixture of two."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, NamedTuple

# An arm stays bound to a commander for this long after its last command [s].
SAME_COMMANDER_S = 1.0
# A commander that has just died is followed for that long; the rest is a margin [s].
_FOLLOWED_S = SAME_COMMANDER_S + 0.2
# A sequence counts each command. It may run ahead by _LOST commands that were lost at once, and by
# _LOST_PER_S more for each second.
_LOST, _LOST_PER_S = 100, 1000.0


class CommandOrigin(NamedTuple):
    """What distinguishes one commander's command from another's.

    Attributes:
        agent: name of the environment.
        session: number that it drew at its start.
        sequence: counts up by one.
        stamp_ns: when it was sent; 0: not said.
        velocity: wanted velocity as it was sent.
        publisher: gid of the publisher; empty if the middleware does not tell it.
    """

    agent: str
    session: int
    sequence: int
    stamp_ns: int
    velocity: Any
    publisher: bytes = b''


class Judgement(Enum):
    """Result of judging a command."""

    # It comes from the bound commander. The supervisor decides whether it is newer than the last
    # one.
    FOLLOWED = 'followed'
    # It comes from a new commander, to whom the arm is bound now since nobody else commands.
    BOUND = 'bound'
    # It comes from another commander while the bound one still commands.
    FOREIGN = 'foreign'
    # It uses the bound commander's session, but that one cannot have sent it.
    MIXED = 'mixed'


class CommanderBinding:
    """Binds an arm to its first commander, until that one has been silent for a second.

    Agent, session and publisher must stay the same. Sequence and stamps must be such that a single
    sender can have sent them, since a sequence far ahead would shut out the true commander.
    """

    def __init__(self) -> None:
        self._last: CommandOrigin | None = None
        self._heard_s = -math.inf

    @property
    def session(self) -> int:
        """Session of the bound commander, 0 before the first command."""
        return 0 if self._last is None else self._last.session

    def release(self) -> None:
        """Forget the commander, and bind to the next one that commands."""
        self._last, self._heard_s = None, -math.inf

    def judge(self, now: float, command: CommandOrigin) -> tuple[Judgement, str]:
        """Judge a command, and bind to its sender if nobody else commands.

        Args:
            now: of a steady clock [s].
            command: the command that came.

        Returns:
            The judgement, and for MIXED the reason in words.
        """
        last = self._last
        if last is None or command.session != last.session:
            if last is not None and now - self._heard_s < SAME_COMMANDER_S:
                return Judgement.FOREIGN, ''
            self._last, self._heard_s = command, now
            return Judgement.BOUND, ''
        if problem := self._contradiction(now, last, command):
            return Judgement.MIXED, problem
        if command.sequence > last.sequence:
            self._last = command
        self._heard_s = now
        return Judgement.FOLLOWED, ''

    def _contradiction(self, now: float, last: CommandOrigin, command: CommandOrigin) -> str:
        """Return why the last command's sender cannot have sent this one, '' if it can."""
        if command.agent != last.agent:
            return f'agent {command.agent[:64]!r} uses the session of {last.agent[:64]!r}'
        if command.publisher and last.publisher and command.publisher != last.publisher:
            return 'another publisher uses its session'
        ahead = command.sequence - last.sequence
        most = _LOST + _LOST_PER_S * (now - self._heard_s)
        if ahead > most:
            return f'the sequence jumps from {last.sequence} to {command.sequence}'
        if ahead < 0 and last.stamp_ns and command.stamp_ns > last.stamp_ns:
            return (
                f'the sequence falls from {last.sequence} to {command.sequence} in a command that '
                'was sent later'
            )
        if ahead == 0 and list(command.velocity) != list(last.velocity):
            return f'sequence {command.sequence} comes twice, with different velocities'
        return ''


class FollowedWatch:
    """Notices that the safety node follows another, living commander instead of this one.

    The safety node refuses commands of a commander that it does not follow, so the arm would never
    do what it is told. A commander that has died is followed for one more second, so this alone is
    no reason yet.

    Args:
        session: of the commander that asks; never 0.

    Attributes:
        other: session of the commander that is followed instead; 0: none, as far as is known.
    """

    def __init__(self, session: int) -> None:
        self._session = session
        self._since: float | None = None
        self.other = 0

    def lasted_s(self, now: float) -> float:
        """Return for how long another commander has been followed, at a time [s]."""
        return 0.0 if self._since is None else now - self._since

    def hear(self, now: float, session: int, command_age_s: float, *, commands: bool) -> None:
        """Note what the safety node reported.

        A commander that is silent loses its turn: as long as the arm is stopped, it does not matter
        who else commands it.

        Args:
            now: of a steady clock [s].
            session: of the commander that it follows; 0: none yet.
            command_age_s: age of that commander's newest command [s].
            commands: whether the commander that asks sends commands all the time.
        """
        lives = command_age_s < SAME_COMMANDER_S
        if session in (0, self._session) or not (lives and commands):
            self._since, self.other = None, 0
            return
        if self._since is None:
            self._since = now
        if self.lasted_s(now) > _FOLLOWED_S:
            self.other = session
