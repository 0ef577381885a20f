"""Whose commands an arm follows: one commander's, and never a mixture of two."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, NamedTuple

# Within so long after its last command an arm belongs to who commanded it [s].
SAME_COMMANDER_S = 1.0
# A predecessor that has just died is seen to be followed for that long, and a little longer.
_FOLLOWED_S = SAME_COMMANDER_S + 0.2
# A sequence counts each command. So many may have been lost at once, and so many more in a second.
_LOST, _LOST_PER_S = 100, 1000.0


class CommandOrigin(NamedTuple):
    """What tells one commander's command from another's.

    Attributes:
        agent: name of the environment.
        session: drawn by it.
        sequence: counts up by one.
        stamp_ns: when it was sent; 0: not said.
        velocity: that is wanted, as sent.
        publisher: gid of the publisher; empty where the middleware does not tell.
    """

    agent: str
    session: int
    sequence: int
    stamp_ns: int
    velocity: Any
    publisher: bytes = b''


class Judgement(Enum):
    """What becomes of a command."""

    # Of who commands; whether it is newer than the last one is for the supervisor.
    FOLLOWED = 'followed'
    # Of who commands from now on, since nobody else does.
    BOUND = 'bound'
    # Of somebody else while another one commands.
    FOREIGN = 'foreign'
    # In the name of who commands, and it cannot be the same one.
    MIXED = 'mixed'


class CommanderBinding:
    """Binds an arm to who commands first, until that one has been silent for a second.

    Agent, session and publisher must stay the same, and sequence and stamps must be such that one
    sender alone can have sent them: a sequence far ahead would shut out the true commander.
    """

    def __init__(self) -> None:
        self._last: CommandOrigin | None = None
        self._heard_s = -math.inf

    @property
    def session(self) -> int:
        """Session of who commands, 0 before the first command."""
        return 0 if self._last is None else self._last.session

    def release(self) -> None:
        """Bind to whoever commands next."""
        self._last, self._heard_s = None, -math.inf

    def judge(self, now: float, command: CommandOrigin) -> tuple[Judgement, str]:
        """Judge a command.

        Args:
            now: of a steady clock [s].
            command: that came.

        Returns:
            What becomes of it, and why in words where it is MIXED.
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
        """Why the sender of the last command cannot have sent this one, '' if it can."""
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
    """Tells a commander that the safety node follows another one instead, which is alive.

    Commands of a commander that is not followed are refused, so that its arm never does what it
    is told. A predecessor that has died is followed for a second more: that is no answer yet.

    Args:
        session: of the commander that asks; never 0.

    Attributes:
        other: session of who is followed instead; 0: nobody, as far as is known.
    """

    def __init__(self, session: int) -> None:
        self._session = session
        self._since: float | None = None
        self.other = 0

    def lasted_s(self, now: float) -> float:
        """For how long another one has been followed instead, at a time [s]."""
        return 0.0 if self._since is None else now - self._since

    def hear(self, now: float, session: int, command_age_s: float, *, commands: bool) -> None:
        """Take in what the safety node said.

        Who is silent gives its turn away: whoever speaks while an arm is stopped is no matter
        before the arm is to move again.

        Args:
            now: of a steady clock [s].
            session: whose commands it follows; 0: nobody's yet.
            command_age_s: age of the newest of these [s].
            commands: whether the one that asks commands all the time.
        """
        lives = command_age_s < SAME_COMMANDER_S
        if session in (0, self._session) or not (lives and commands):
            self._since, self.other = None, 0
            return
        if self._since is None:
            self._since = now
        if self.lasted_s(now) > _FOLLOWED_S:
            self.other = session
