"""The newest of everything an arm's supervisor hears, and how old it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.core.safety.limits import JointLimits
from nrl_ros.core.safety.records import Cause, SupervisorSettings, finite_row

Array = NDArray[Any]


class State(NamedTuple):
    """A joint state: position [J] [rad], velocity [J] [rad/s], when it was true [s]."""

    position: Array
    velocity: Array
    stamp_s: float


class Command(NamedTuple):
    """A command: wanted velocity [J] [rad/s] and its number."""

    velocity: Array
    sequence: int


class Inbox:
    """Refuses what cannot be used, counts it, and says what forbids moving.

    Args:
        settings: of the supervisor.
        limits: the hard ones: where the arm may be measured, and how fast.
        counters: shared with the supervisor.
    """

    def __init__(
        self, settings: SupervisorSettings, limits: JointLimits, counters: dict[str, int]
    ) -> None:
        self._settings, self._limits, self._counters = settings, limits, counters
        self._low, self._high = np.array(limits.position_low), np.array(limits.position_high)
        self._top = settings.velocity_factor * np.array(limits.velocity)
        self.state: State | None = None
        self.command: Command | None = None
        self._command_s = -math.inf
        self._sequence: int | None = None
        self._heartbeat_s = -math.inf
        # Those that are withheld, with why; those that were granted have none.
        self._withheld: dict[str, str] = dict.fromkeys(settings.permissions, '')

    def put_state(self, now: float, position: Any, velocity: Any, age_s: float) -> str:
        """Keep a joint state; returns what is wrong with it, '' if it is as it should be.

        One with a stamp that cannot be trusted is refused and counted, and nothing else: it is
        missing, and too many that are missing are a stop.
        """
        self._counters['states'] += 1
        length = len(self._limits.joints)
        places, speeds = finite_row(position, length), finite_row(velocity, length)
        if places is None or speeds is None:
            self._counters['states_bad'] += 1
            return (
                f'expected {length} finite positions and velocities, '
                f'received {position} and {velocity}'
            )
        if not abs(age_s) <= self._settings.state_skew_s:
            self._counters['states_skewed'] += 1
            return ''
        self.state = State(places, speeds, now - max(age_s, 0.0))
        return ''

    def put_command(self, now: float, wanted_velocity: Any, sequence: int) -> bool:
        """Keep a command, unless it is not finite or not newer than the one before."""
        self._counters['commands'] += 1
        wanted = finite_row(wanted_velocity, len(self._limits.joints))
        if wanted is None:
            self._counters['commands_refused'] += 1
        elif self._sequence is not None and sequence <= self._sequence:
            self._counters['commands_reordered'] += 1
        else:
            self._sequence, self._command_s = sequence, now
            self.command = Command(wanted, sequence)
            return True
        return False

    def put_heartbeat(self, now: float) -> None:
        """Note a heartbeat."""
        self._heartbeat_s = now

    def put_permission(self, name: str, granted: bool, why: str = '') -> None:
        """Note a permission, and why it was withdrawn where its name does not tell."""
        if granted:
            self._withheld.pop(name, None)
        else:
            self._withheld[name] = why

    def forget_sequence(self) -> None:
        """Drop the command and begin counting anew: somebody else commands."""
        self.command = self._sequence = None

    def forget_times(self) -> None:
        """Drop everything that has a time: the clock has been set."""
        self.state = self.command = None
        self._command_s = self._heartbeat_s = -math.inf

    def state_age_s(self, now: float) -> float:
        """Of the newest joint state, infinite without one [s]."""
        return math.inf if self.state is None else now - self.state.stamp_s

    def command_age_s(self, now: float) -> float:
        """Of the newest command, infinite without one [s]."""
        return now - self._command_s

    def outside(self) -> str:
        """How the newest joint state breaks the limits, '' if it does not."""
        if self.state is None:
            return ''
        beyond = np.maximum(self._low - self.state.position, self.state.position - self._high)
        joint = int(beyond.argmax())
        if beyond[joint] > self._settings.position_tolerance_rad:
            return f'{self._limits.joints[joint]} is {beyond[joint]:.4f} rad beyond its limits'
        excess = np.abs(self.state.velocity) - self._top
        joint = int(excess.argmax())
        if excess[joint] > 0.0:
            speed = self.state.velocity[joint]
            return f'{self._limits.joints[joint]} moves at {speed:.4f} rad/s'
        return ''

    def missing(self, now: float) -> Mapping[Cause, str]:
        """What is not there without which an arm must not move."""
        settings, found = self._settings, {}
        age = self.state_age_s(now)
        if age > settings.state_timeout_s:
            found[Cause.STALE_STATE] = (
                f'joint state is {age:.3f} s old' if self.state else 'no joint state'
            )
            if skewed := self._counters['states_skewed']:
                found[Cause.STALE_STATE] += f' ({skewed} refused for their stamps)'
        silence = now - self._heartbeat_s
        if 0.0 < settings.heartbeat_timeout_s < silence:
            found[Cause.DEAD_MAN] = f'no heartbeat for {silence:.3f} s'
        if self._withheld:
            reasons = [why for why in self._withheld.values() if why]
            names = [name for name, why in self._withheld.items() if not why]
            reasons += [f'no permission of {", ".join(names)}'] if names else []
            found[Cause.NOT_PERMITTED] = '; '.join(reasons)
        return found
