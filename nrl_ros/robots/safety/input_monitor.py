"""The newest of all that an arm's supervisor receives, with its age."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.robots.safety.continuity import Continuity
from nrl_ros.robots.safety.limits import JointLimits
from nrl_ros.robots.safety.measured import JUDGED_PERIODS, SpeedEstimator
from nrl_ros.robots.safety.records import StopReason, finite_row
from nrl_ros.robots.safety.rest import RestWatch
from nrl_ros.robots.safety.settings import SupervisorSettings
from nrl_ros.robots.safety.state_monitor import StateMonitor, unit_question

Array = NDArray[Any]


class State(NamedTuple):
    """A joint state: position [J] [rad], velocity [J] [rad/s], and when it was true [s].

    The velocity is the estimate of ``SpeedEstimator`` from all states up to this one.
    """

    position: Array
    velocity: Array
    stamp_s: float


class Command(NamedTuple):
    """A command: wanted velocity [J] [rad/s] and its sequence number."""

    velocity: Array
    sequence: int


class InputMonitor:
    """Refuses and counts unusable input, and says what forbids moving.

    Args:
        settings: of the supervisor.
        limits: the hard ones, which positions and speeds are measured against.
        counters: shared with the supervisor.
        period_s: between two commands [s].

    Attributes:
        monitor: remembers what became of the newest joint states.
        state: the newest good joint state, None before the first.
        command: the newest command, None if there is none to follow.
        rest: judges whether the arm stands.
    """

    def __init__(
        self,
        settings: SupervisorSettings,
        limits: JointLimits,
        counters: dict[str, int],
        period_s: float,
    ) -> None:
        self._settings, self._limits, self._counters = settings, limits, counters
        self._low, self._high = np.array(limits.position_low), np.array(limits.position_high)
        self._top = settings.velocity_factor * np.array(limits.velocity)
        self._turning = np.array([unit == 'rad' for unit in limits.units])
        window_s = JUDGED_PERIODS * period_s
        self._speed = SpeedEstimator(self._top, window_s, settings.state_timeout_s)
        # How long the speed may stay unknown because stamps run back.
        self._unknown_s = settings.state_timeout_s + window_s
        self._speed_known_s = -math.inf
        self.monitor = StateMonitor(
            settings.state_topic, settings.state_timeout_s, settings.state_skew_s, limits.joints
        )
        self._continuity = Continuity(limits, self._top, settings.position_tolerance_rad)
        self.state: State | None = None
        self.command: Command | None = None
        self.rest = RestWatch(
            settings.still_rad_s, settings.still_time_s, gap_s=settings.state_timeout_s
        )
        self._command_s = -math.inf
        self._sequence: int | None = None
        self._heartbeat_s = -math.inf
        # Withheld permissions with the reason; a granted permission is not in here.
        wanted = filter(None, (*settings.permissions, settings.controller))
        self._withheld: dict[str, str] = dict.fromkeys(wanted, '')

    def put_state(
        self, now: float, position: Any, velocity: Any, age_s: float, *, moving: bool
    ) -> str:
        """Keep a joint state; return what is wrong with it, '' if it is good.

        A state whose stamp cannot be trusted is refused and counted, no more: it is missing, and
        too many missing states stop the arm. A velocity of NaN was not measured and is taken from
        the positions. A state that no motion can lead to is not kept while the arm is ``moving``;
        an arm that stands may have been moved while no states came.
        """
        self._counters['states'] += 1
        length = len(self._limits.joints)
        places, speeds = finite_row(position, length), finite_row(velocity, length, absent=True)
        if places is None or speeds is None:
            self._counters['states_bad'] += 1
            problem = self._not_finite(position, velocity)
            self.monitor.refuse(now, problem)
            return problem
        if not abs(age_s) <= self._settings.state_skew_s:
            self._counters['states_skewed'] += 1
            self.monitor.refuse_stamp(now, age_s)
            return ''
        jump = self._continuity.put(now, now - age_s, places)
        self._counters['states_jumped'] += bool(jump)
        if jump and moving and not self._beyond(places):
            self.monitor.refuse(now, jump)
            return jump
        self.monitor.accept(now)
        if self._speed.put(now - age_s, places, speeds):
            self._speed_known_s = now
        self.state = State(places, self._speed.velocity, now - max(age_s, 0.0))
        if self._speed.known:
            self.rest.put(self.state.stamp_s, places, self.state.velocity)
        else:
            self.rest.forget()
        return ''

    def _not_finite(self, position: Any, velocity: Any) -> str:
        """Return which joint's position or velocity is no number, or the wrong shapes."""
        joints, length = self._limits.joints, len(self._limits.joints)
        for what, values in (('position', position), ('velocity', velocity)):
            try:
                row = np.array(values, np.float64)
            except (TypeError, ValueError):
                continue
            wrong = np.isinf(row) if what == 'velocity' else ~np.isfinite(row)
            if row.shape == (length,) and wrong.any():
                at = int(wrong.argmax())
                return f'the {what} of {joints[at]} is {row[at]}, expected a finite number'
        return (
            f'expected {length} finite positions and velocities, received {position} and {velocity}'
        )

    def put_command(self, now: float, wanted_velocity: Any, sequence: int) -> bool:
        """Keep a command; return False if it is not finite or not newer than the last one."""
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
        """Note a permission; if it was withdrawn, also the reason unless its name tells that."""
        if granted:
            self._withheld.pop(name, None)
        else:
            self._withheld[name] = why

    def is_granted(self, name: str) -> bool:
        """Return whether a permission was granted and not withdrawn since."""
        return name not in self._withheld

    def forget_sequence(self) -> None:
        """Drop the command and accept any sequence number: another commander is bound."""
        self.command = self._sequence = None

    def forget_times(self) -> None:
        """Drop everything that has a time: the clock has been set."""
        self.state = self.command = None
        self._command_s = self._heartbeat_s = self._speed_known_s = -math.inf
        self._speed.forget()
        self.monitor.forget()
        self._continuity.forget()
        self.rest.forget()

    def state_age_s(self, now: float) -> float:
        """Return the age of the newest joint state, infinite without one [s]."""
        return math.inf if self.state is None else now - self.state.stamp_s

    def is_fresh(self, now: float) -> bool:
        """Return whether the newest joint state is young enough to judge by."""
        return self.state_age_s(now) <= self._settings.state_timeout_s

    def at_rest(self, now: float) -> bool:
        """Return whether the arm is measured to stand, by joint states up to now."""
        return self.is_fresh(now) and self.rest.at_rest

    def moves(self, now: float) -> bool:
        """Return whether the arm is measured to move, by joint states up to now."""
        return self.is_fresh(now) and self.rest.moves

    def motion(self) -> str:
        """Return in words how fast the fastest joint was measured last."""
        speeds = self.rest.speeds
        if speeds is None:
            return 'is not measured'
        joint = int(speeds.argmax())
        unit, name = self._limits.units[joint], self._limits.joints[joint]
        return f'moves at {speeds[joint]:.3g} {unit}/s ({name})'

    def command_age_s(self, now: float) -> float:
        """Return the age of the newest command, infinite without one [s]."""
        return now - self._command_s

    def beyond(self) -> str:
        """Return how the newest joint state exceeds the position limits, '' if it does not."""
        if self.state is None:
            return ''
        return self._beyond(self.state.position)

    def outside(self) -> str:
        """Return how the newest joint state breaks the limits, '' if it does not."""
        if self.state is None:
            return ''
        if beyond := self.beyond():
            return beyond
        excess = np.abs(self.state.velocity) - self._top
        joint = int(excess.argmax())
        if excess[joint] > 0.0 and self._speed.known:
            speed, unit = self.state.velocity[joint], self._limits.units[joint]
            return (
                f'{self._limits.joints[joint]} moves at {speed:.4f} {unit}/s, expected at most '
                f'{self._top[joint]:.4g}'
            )
        return ''

    def _beyond(self, position: Array) -> str:
        """Return how a position [J] [rad] exceeds the limits, '' if it does not."""
        beyond = np.maximum(self._low - position, position - self._high)
        joint = int(beyond.argmax())
        if beyond[joint] <= self._settings.position_tolerance_rad:
            return ''
        return (
            f'{self._limits.joints[joint]} is {beyond[joint]:.4f} {self._limits.units[joint]} '
            f'beyond its limits{self._unit_question(position)}'
        )

    def _unit_question(self, position: Array) -> str:
        """Return which unit the driver may have meant, if all joints of a kind are absurd."""
        for which, unit in ((self._turning, 'rad'), (~self._turning, 'm')):
            asked = unit_question(position[which], self._low[which], self._high[which], unit)
            if asked:
                return asked
        return ''

    def missing(self, now: float, *, by_hand: bool = False) -> Mapping[StopReason, str]:
        """Return which inputs that an arm needs to move are missing, as texts by stop reason.

        Args:
            now: [s].
            by_hand: a person moves the arm, so that some permissions may be withdrawn.
        """
        settings, found = self._settings, {}
        age = self.state_age_s(now)
        if age > settings.state_timeout_s:
            found[StopReason.STALE_STATE] = self.monitor.why_late(now, age)
        elif now - self._speed_known_s > self._unknown_s:
            found[StopReason.STALE_STATE] = (
                'how fast the arm moves is not known: '
                + (
                    f'the stamps of its joint states run back ({self._speed.backwards} times)'
                    if self._speed.backwards
                    else 'its positions jump'
                )
                + ', as when two drivers publish them'
            )
        if jump := self._continuity.problem(now):
            found[StopReason.BAD_STATE] = jump
        silence = now - self._heartbeat_s
        if 0.0 < settings.heartbeat_timeout_s < silence:
            found[StopReason.HEARTBEAT_LOST] = f'no heartbeat for {silence:.3f} s'
        withheld = self._withheld
        if by_hand:
            withheld = {name: withheld[name] for name in withheld if name not in settings.released}
        if withheld:
            reasons = [why for why in withheld.values() if why]
            names = [name for name, why in withheld.items() if not why]
            reasons += [f'no permission of {", ".join(names)}'] if names else []
            found[StopReason.NOT_PERMITTED] = '; '.join(reasons)
        return found
