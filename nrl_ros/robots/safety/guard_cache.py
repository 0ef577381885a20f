"""Cache of a guard's answers: how far arms may move before the guard must be asked again."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError, ShapeError
from nrl_ros.robots.safety.limits import Guard, Part, PartedGuard

Array = NDArray[Any]

# Step between the positions that a slope is computed from.
_STEP_RAD = 1e-4


class Slope(NamedTuple):
    """How far outside arms are [n] [m], and how that grows with each joint [n, J] [m/rad]."""

    violation: Array
    slope: Array


class GuardCache:
    """Asks a guard about B arms only if its answer may have changed.

    A constraint that is kept with a distance of r metres at the position p is kept at q as well, if
    ``sum_j rate_j |q_j - p_j| <= r``, since no path of joint space uses up more. So for an arm far
    from everything the guard is asked once in many ticks, and only about what is near. The
    decisions are the same as with a guard that is always asked.

    Args:
        guard: asked every time, unless it is a PartedGuard that knows its rates.
        arms: B.
        joints: J.
        arrays: the module ``numpy``, or functions of the same names for other arrays; with those
            the guard is asked about everything every time, so that it is always the same work.
    """

    def __init__(self, guard: Guard, arms: int, joints: int, arrays: Any = np) -> None:
        self._guard, self._arrays = guard, arrays
        parts = guard.parts if isinstance(guard, PartedGuard) else ()
        self._of_arms = [part for part in parts if part.of_arms]
        self._parts: list[_CachedPart | _AskedPart] = [
            _CachedPart(part, arms, joints) if arrays is np else _AskedPart(part, arrays)
            for part in parts
        ]

    def ask(self, position: Array, arms: Array | None = None) -> Array:
        """Ask the guard about any positions [N, J]; return how far outside they are [N] [m].

        Args:
            position: [N, J] [rad].
            arms: their numbers [N]; None: constraints of single arms do not count.

        Raises:
            ShapeError: the guard gives another shape.
        """
        violation: Array = self._arrays.asarray(self._guard.violation(position))
        if violation.shape != position.shape[:1]:
            raise ShapeError(
                f'guard: expected a violation for each of {len(position)} positions, '
                f'received {violation.shape}'
            )
        if arms is not None:
            for part in self._of_arms:
                asked = np.ones((len(position), len(part.rates)), np.bool_)
                worst = part.violation(position, asked, arms).max(axis=1)
                violation = np.maximum(violation, worst)
        return violation

    def forget(self, arms: Array) -> None:
        """Ask anew about the constraints of these arms [n], which have others from now on."""
        for part in self._parts:
            if part.of_arms:
                part.forget(arms)

    def violation(self, position: Array, arms: Array) -> Array:
        """Return how far outside arms are at positions near to where they are.

        Args:
            position: K positions of each arm [K, n, J] [rad]; the first is where it is.
            arms: their numbers [n].

        Returns:
            [K, n] [m]; 0 for all that are inside, NaN if the guard gives no answer.
        """
        if not self._parts:
            asked = self.ask(position.reshape(-1, position.shape[-1]))
            outside: Array = self._arrays.maximum(asked.reshape(position.shape[:-1]), 0.0)
            return outside
        worst = self._parts[0].violation(position, arms)
        for part in self._parts[1:]:
            worst = self._arrays.maximum(worst, part.violation(position, arms))
        return worst

    def slope(self, position: Array, arms: Array) -> Slope:
        """Return how the worst violation at positions [n, J] changes; 0 for arms inside."""
        count, joints = position.shape
        do = self._arrays
        moved = position + _STEP_RAD * do.eye(joints)[:, None]
        if not self._parts:
            seen = do.concatenate([position[None], moved]).reshape(-1, joints)
            asked = self.ask(seen).reshape(joints + 1, count)
            with np.errstate(invalid='ignore'):
                # NaN, the guard's "no answer", gives a slope of NaN.
                return Slope(do.maximum(asked[0], 0.0), (asked[1:] - asked[0]).T / _STEP_RAD)
        worst, slope = do.zeros(count), do.zeros((count, joints))
        for part in self._parts:
            theirs = part.slope(position, moved, arms)
            steeper = theirs.violation > worst
            worst = do.maximum(worst, theirs.violation)
            slope = do.where(steeper[:, None], theirs.slope, slope)
        return Slope(worst, slope)


class _AskedPart:
    """Answers of a guard for the constraints of one part, all of them asked for every time."""

    of_arms = False

    def __init__(self, part: Part, arrays: Any) -> None:
        if part.of_arms:
            raise ConfigError('constraints of single arms are checked with numpy alone')
        self._part, self._arrays = part, arrays

    def forget(self, arms: Array) -> None:
        """Do nothing, since nothing is kept."""

    def violation(self, position: Array, arms: Any) -> Array:
        there = self._ask(position.reshape(-1, position.shape[-1]))
        worst = self._arrays.maximum.reduce(there, axis=1).reshape(position.shape[:-1])
        outside: Array = self._arrays.maximum(worst, 0.0)
        return outside

    def slope(self, position: Array, moved: Array, arms: Any) -> Slope:
        """Return the slope of the worst violation at positions [n, J]; ``moved``: one step each."""
        do, (count, joints) = self._arrays, position.shape
        there = self._ask(position)
        most = do.argmax(there, axis=1)[:, None]
        worst = do.take_along_axis(there, most, axis=1)
        changed = self._ask(moved.reshape(-1, joints)).reshape(joints, count, -1)
        # As of a part that is cached: a step that leads inside counts up to the wall alone.
        then = do.maximum(do.take_along_axis(changed, most[None], axis=2)[..., 0], 0.0)
        slope = do.where(worst > 0.0, (then.T - worst) / _STEP_RAD, 0.0)
        return Slope(worst[:, 0], slope)

    def _ask(self, position: Array) -> Array:
        return self._part.violation(position, position)


class _CachedPart:
    """Answers of a guard for the C constraints of one part, and how far they hold."""

    def __init__(self, part: Part, arms: int, joints: int) -> None:
        self._part, self._rates, self.of_arms = part, part.rates.T.copy(), part.of_arms
        # The known distances are counted from these positions.
        self._at = np.full((arms, joints), np.nan)
        self._room = np.full((arms, len(part.rates)), -np.inf)

    def forget(self, arms: Array) -> None:
        self._at[arms], self._room[arms] = np.nan, -np.inf

    def violation(self, position: Array, arms: Array) -> Array:
        found = np.zeros(position.shape[:2])
        used = self._used(position, self._at[arms])
        fits = used <= self._room[arms]
        if fits.all():
            return found
        held = fits.all(axis=(0, 2))
        # The guard is asked where the other arms are, but only about constraints that may have
        # changed; then about the positions ahead.
        some = np.flatnonzero(~held)
        numbers, theirs = arms[some], position[:, some]
        moved = (theirs[0] != self._at[numbers]).any(axis=1, keepdims=True)
        room = self._room[numbers] - np.where(moved, used[0, some], 0.0)
        ahead = self._used(theirs[1:], theirs[0])
        # A guard that gave no answer is asked again, since it may have one by now.
        asked = (moved | np.isnan(room)) & ~(room >= ahead.max(axis=0, initial=0.0))
        room = np.where(asked, -self._ask(theirs[0], asked, numbers), room)
        self._at[numbers], self._room[numbers] = theirs[0], room
        found[0, some] = -room.min(axis=1)
        unknown = ~(ahead <= room)
        place, which = np.nonzero(unknown.any(axis=2))
        if len(place):
            there = self._ask(theirs[1:][place, which], unknown[place, which], numbers[which])
            found[1 + place, some[which]] = there.max(axis=1)
        return np.maximum(found, 0.0)

    def slope(self, position: Array, moved: Array, arms: Array) -> Slope:
        """Return the slope of the worst violation at positions [n, J]; ``moved``: one step each."""
        count, joints = position.shape
        unknown = ~(self._used(position, self._at[arms]) <= self._room[arms])
        there = self._ask(position, unknown, arms)
        worst, most = there.max(axis=1), there.argmax(axis=1)
        slope = np.zeros((count, joints))
        out = np.flatnonzero(worst > 0.0)
        if len(out):
            only = np.zeros_like(unknown)
            only[np.arange(count), most] = True
            flat = moved[:, out].reshape(-1, joints)
            changed = self._ask(flat, np.tile(only[out], (joints, 1)), np.tile(arms[out], joints))
            changed = changed.max(axis=1).reshape(joints, len(out))
            slope[out] = (changed - worst[out]).T / _STEP_RAD
        return Slope(worst, slope)

    def _used(self, position: Array, at: Array) -> Array:
        """Return the distance used up at most between positions [.., n, C]; NaN if unknown."""
        with np.errstate(invalid='ignore'):
            used: Array = np.abs(position - at) @ self._rates
        return used

    def _ask(self, position: Array, asked: Array, arms: Array) -> Array:
        """Return how far the asked constraints are broken [N, C]; 0 for those not asked for."""
        if not asked.any():
            return np.zeros(asked.shape)
        of_arms = (arms,) * self.of_arms
        return np.where(asked, self._part.violation(position, asked, *of_arms), 0.0)
