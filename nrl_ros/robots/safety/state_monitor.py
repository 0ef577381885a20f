"""Explains why an arm's joint states cannot be used, with the likeliest cause and its remedy."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

# Older arrivals say nothing about the present [s].
_RECENT_S = 3.0
# Number of arrivals that a rate is computed from.
_ARRIVALS = 64
_LEAST_ARRIVALS = 3
# Mean intervals between states above this share of their time limit are too long.
_SLOW_SHARE = 0.5
# An arm never gets this far beyond a limit by its own motion [rad, m].
_FAR = 0.5
# Units that drivers report by mistake, and how many of the right one each is.
_OTHER_UNITS = {
    'rad': (('degrees', math.pi / 180.0), ('milliradians', 1e-3)),
    'm': (('millimetres', 1e-3), ('centimetres', 1e-2)),
}


class StateMonitor:
    """Remembers what happened to the newest joint states.

    Args:
        topic: where joint states come from; empty: not known.
        timeout_s: of joint states (watchdog.state_timeout_s) [s].
        skew_s: largest error of a stamp (watchdog.state_skew_s) [s].
        joints: names of the arm's joints.
    """

    def __init__(self, topic: str, timeout_s: float, skew_s: float, joints: Sequence[str]) -> None:
        self._on = f' on {topic}' if topic else ''
        self._timeout_s, self._skew_s, self._joints = timeout_s, skew_s, list(joints)
        self.forget()

    def forget(self) -> None:
        """Drop everything that has a time: the clock has been set."""
        self._arrivals: deque[float] = deque(maxlen=_ARRIVALS)
        self._skew: tuple[float, float] = (-math.inf, 0.0)
        self._refused: tuple[float, str] = (-math.inf, '')
        self._strangers: tuple[float, list[str]] = (-math.inf, [])

    def accept(self, now: float) -> None:
        """Note a joint state that can be used."""
        self._arrivals.append(now)

    def refuse(self, now: float, problem: str) -> None:
        """Note a joint state that cannot be used, and why."""
        self._refused = now, problem

    def refuse_stamp(self, now: float, age_s: float) -> None:
        """Note a joint state whose stamp is this old, or in the future if negative [s]."""
        self._skew = now, age_s

    def pass_over(self, now: float, names: Sequence[str]) -> None:
        """Note a message without any of the arm's joints, such as a gripper's."""
        self._strangers = now, list(names)

    def slow(self, now: float) -> str:
        """Return at which rate joint states come if it is too low, '' if it is not."""
        recent = [moment for moment in self._arrivals if now - moment <= _RECENT_S]
        if len(recent) < _LEAST_ARRIVALS:
            return ''
        gaps = [later - earlier for earlier, later in zip(recent, recent[1:], strict=False)]
        mean_s = sum(gaps) / len(gaps)
        if max(gaps) <= self._timeout_s or mean_s <= _SLOW_SHARE * self._timeout_s:
            return ''
        return (
            f'joint states{self._on} come {1.0 / mean_s:.1f} times a second (up to {max(gaps):.3f} '
            f's apart), expected more than {1.0 / self._timeout_s:.0f} Hz, one within '
            f'{self._timeout_s:g} s: publish them faster, or raise watchdog.state_timeout_s'
        )

    def why_late(self, now: float, age_s: float) -> str:
        """Return why there is no joint state that is young enough.

        Args:
            now: [s].
            age_s: age of the newest usable one; infinite: there was none [s].
        """
        text = f'joint state is {age_s:.3f} s old' if math.isfinite(age_s) else 'no joint state'
        arrived_s = now - self._arrivals[-1] if self._arrivals else math.inf
        newest = max(self._skew[0], self._refused[0])
        if now - newest <= _RECENT_S and newest > now - arrived_s:
            skewed = newest == self._skew[0]
            return self._skewed() if skewed else f'{text}: {self._refused[1]}'
        if slow := self.slow(now):
            return slow
        if arrived_s <= self._timeout_s < age_s:
            return (
                f'joint states{self._on} are {age_s:.3f} s old by their stamps when they come, '
                f'expected at most {self._timeout_s:g} s (watchdog.state_timeout_s): compare the '
                'clocks, look for what delays them'
            )
        if math.isfinite(age_s):
            return f'{text}: none comes{self._on}' if self._on else text
        if now - self._strangers[0] <= _RECENT_S:
            return (
                f'{text}: messages{self._on} name none of the joints {self._joints}, received '
                f'{self._strangers[1]}: set joints in the robot description'
            )
        if self._on:
            text += f'{self._on}: is the driver with its joint state broadcaster running here?'
        return text

    def _skewed(self) -> str:
        age_s = self._skew[1]
        if not math.isfinite(age_s):
            return f'the stamps of the joint states{self._on} are no times'
        direction = 'behind' if age_s > 0.0 else 'ahead of'
        return (
            f'the stamps of the joint states{self._on} are {abs(age_s):.2f} s {direction} the '
            f'clock here, expected within {self._skew_s:g} s (watchdog.state_skew_s): compare the '
            'clocks of both computers, and use_sim_time of both nodes'
        )


def unit_question(
    values: Sequence[float], low: Sequence[float], high: Sequence[float], unit: str = 'rad'
) -> str:
    """Return a question for the unit if all positions would fit the limits in another one, else ''.

    Args:
        values: positions of joints of one kind, some far beyond their limits.
        low: lowest positions.
        high: highest positions.
        unit: of all of them, rad or m.
    """
    bounds = list(zip(values, low, high, strict=True))
    if all(least - _FAR <= value <= most + _FAR for value, least, most in bounds):
        return ''
    for name, factor in _OTHER_UNITS[unit]:
        if all(least <= factor * value <= most for value, least, most in bounds):
            return f': are these {name}? Joint states are in {unit}'
    return ''
