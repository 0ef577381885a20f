"""Commands for an arm whose safety node has died, until another safety node is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from nrl_ros.robots.safety.limits import JointLimits
from nrl_ros.robots.safety.motion import MotionFilter
from nrl_ros.robots.safety.records import Mode, StopReason, SupervisorOutput
from nrl_ros.robots.safety.settings import SupervisorSettings
from nrl_ros.robots.safety.supervisor import Supervisor

DIED = 'the safety node has died'
SHUT_DOWN = 'the safety node is shut down'


class LastWord(NamedTuple):
    """What a safety node reported of itself last.

    Attributes:
        joints: that it commanded, in order.
        commanded: whether it commanded them at all: it does so only if its controller has named its
            joints and its interface.
        dry_run: True if it sent no commands.
        at_rest: True if it had stopped the arm and measured it at rest.
    """

    joints: tuple[str, ...]
    commanded: bool
    dry_run: bool
    at_rest: bool = False


def unknown(last: LastWord | None, joints: Sequence[str]) -> str:
    """Return why nothing may be sent in place of a safety node, '' if something may.

    Args:
        last: what it reported last, None if nothing was heard.
        joints: of the robot description, in order.
    """
    if last is None:
        return 'nothing was heard of the safety node, so that its controller is not known'
    if last.dry_run:
        return 'the safety node ran dry'
    if last.joints != tuple(joints):
        return f'the safety node commanded {list(last.joints)}, expected {list(joints)}'
    if not last.commanded:
        return 'the safety node commanded nothing, so that its controller is not known'
    return ''


def is_lost(last: LastWord | None, silent_s: float, most_s: float) -> bool:
    """Return whether a safety node has died or hangs while its arm may move.

    A safety node says something in each period. One that has brought its arm to rest, or has never
    commanded it, may end without a word.

    Args:
        last: what it said last, None if nothing was heard.
        silent_s: time since then [s].
        most_s: longest silence of a living one [s]: the gap between two periods after which it
            stops the arm by itself, if it goes on at all.
    """
    moves = last is not None and last.commanded and not (last.dry_run or last.at_rest)
    return moves and silent_s > most_s


class Takeover:
    """A supervisor that is stopped from the start, in place of a safety node that has died.

    It commands what every stopped supervisor does, which ``Standing`` decides: to an arm that
    moves, zero velocities or, if positions are commanded, the measured position. It never begins a
    motion.

    Args:
        settings: of the safety node's supervisor; its ``controller`` counts as permitted, since
            ``unknown`` has checked that.
        limits: of the arm, in force.
        hard: of the machine.
        period_s: between two commands [s].
    """

    def __init__(
        self, settings: SupervisorSettings, limits: JointLimits, hard: JointLimits, period_s: float
    ) -> None:
        self._controller = settings.controller
        self._supervisor = Supervisor(settings, MotionFilter(limits, period_s), hard)

    def begin(self, now: float) -> None:
        """Stop the arm from this time on [s]."""
        self._supervisor.on_permission(now, self._controller, True)
        self._supervisor.stop(now, StopReason.EMERGENCY_STOP, DIED)

    def on_state(self, now: float, position: Any, velocity: Any, age_s: float) -> None:
        """Take a joint state, as ``Supervisor.on_state`` does."""
        self._supervisor.on_state(now, position, velocity, age_s)

    @property
    def measured(self) -> Any:
        """The arm's last measured position [J] [rad], None before the first good joint state."""
        return self._supervisor.measured

    def tick(self, now: float) -> SupervisorOutput:
        """Return what to command from now on for one period; the arm is at rest once STOPPED."""
        return self._supervisor.tick(now)

    @property
    def is_at_rest(self) -> bool:
        """True if the arm was measured at rest in the last tick."""
        return self._supervisor.mode is Mode.STOPPED
