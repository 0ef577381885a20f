"""Turn wanted velocities into motions that respect every limit and can always be stopped."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError, InvalidValueError, ProtocolError, ShapeError
from nrl_ros.robots.safety.braking import Braking, Limited
from nrl_ros.robots.safety.guard_cache import GuardCache
from nrl_ros.robots.safety.limits import Guard, JointLimits

Array = NDArray[Any]

# Velocities tried between braking and the wanted one, as shares of the way to the wanted one.
_SHARES = np.array([0.5, 0.25])[:, None, None]
# Motion along a wall aims this far inside, which is enough for the error of the linear slope. An
# arm that is outside aims next to nothing inside, since nobody asked it to move inwards.
_KEPT_M, _KEPT_OUTSIDE_M = 2e-4, 1e-6
# Rounding that a check forgives. Positions are clamped as well, so none exceeds its limits by it.
_SLACK = 1e-12
# An anchor pulls by at most this share of what the velocity limit allows in a tick.
PULL = 0.1


class Motion(NamedTuple):
    """What to command to B arms for one period; read-only.

    Attributes:
        position: at the end of the period [B, J] [rad].
        velocity: during the period [B, J] [rad/s].
        limited: uint8 [B], of Limited.
    """

    position: Array
    velocity: Array
    limited: Array


class _Good(NamedTuple):
    """Which of the velocities [K, n, J] are admissible.

    Attributes:
        inside: whether they stop within the joints' limits [K, n].
        accepted: whether the guard accepts them [K, n].
        allowed: how far outside of the guard's limits the arms may go [n] [m].
    """

    inside: Array
    accepted: Array
    allowed: Array


class MotionFilter:
    """Keeps reference position q and velocity v of B arms, which are what is commanded.

    Each tick takes a velocity u, moves q by ``u dt`` and makes it v. All joints of an arm brake
    together, on a straight line of joint space: each tick takes away ``dt / T`` of the velocity
    that braking began with, ``T = max_j |v_j| / a_j``. This covers at most ``v T / 2``. A velocity
    u is admissible if ``q + u (dt + T / 2)``, T of u, lies in the box of the joints, and if the
    guard accepts the next position, that end, and the middle between them.

    **There is always a verified stop.** At rest, braking is standing still. After an admissible u
    the end of its brake is in the box, hence all before it, since the box is convex. Braking goes
    on with ``v (1 - dt / T)`` and needs ``v (T^2 - dt^2) / (2 T) <= v T / 2``, so it ends on the
    verified line and is admissible itself. What is tried is the wanted velocity; that without what
    leads out of the guard's, so that an arm slides along walls; and velocities from there to
    braking, ever nearer to it (1/2, 1/4, 0). The last needs no check. Limits of velocity and
    acceleration hold at both ends, so at all between. A harder brake ends earlier on the same line.

    An arm that is outside, of a joint's limits or of the guard's, may move inwards only: to
    nothing further out than it is, nor further than it once was by more than
    ``guard_tolerance_m``, so that none creeps outwards along curves. Between positions that the
    guard has seen a braking arm may bulge out by ``chord_m``. A guard that is narrower by both
    keeps the arm in the wider one.

    Args:
        limits: of each arm.
        period_s: dt, of the ticks [s].
        arms: B.
        guard: says where positions are allowed beyond the joints' limits, the same until
            ``forget``; None: everywhere.
        guard_tolerance_m: see above [m].
        arrays: the module ``numpy``, or functions of the same names for other arrays
            (``robots.arm.device_motion``).

    Raises:
        ConfigError: a period, number or tolerance out of range.
    """

    def __init__(
        self,
        limits: JointLimits,
        period_s: float,
        *,
        arms: int = 1,
        guard: Guard | None = None,
        guard_tolerance_m: float = 1e-3,
        arrays: Any = np,
    ) -> None:
        if arms < 1:
            raise ConfigError(f'arms: expected at least one, received {arms}')
        if not (math.isfinite(guard_tolerance_m) and guard_tolerance_m >= 0.0):
            raise ConfigError(f'guard_tolerance_m must be >= 0, received {guard_tolerance_m}')
        self.limits, self.period_s, self.arms = limits, period_s, arms
        self._arrays = arrays
        self._braking = Braking(limits, period_s, arrays)
        shape = (arms, len(limits.joints))
        self._guard = None if guard is None else GuardCache(guard, *shape, arrays)
        self._tolerance = guard_tolerance_m
        # The arms as an index.
        self._all: Any = np.arange(arms)
        self._shares = arrays.array(_SHARES)
        self._known_bounds: tuple[Array, Array] | None = None
        self._keep(arrays.zeros(shape) + math.nan, arrays.zeros(shape))
        # The least distance by which each arm has been outside of the guard's limits since its
        # start [m].
        self._level = arrays.zeros(arms)
        self._started = False

    @property
    def position(self) -> Array:
        """Reference position [B, J] [rad]; NaN of arms that have not been started."""
        return self._position

    @property
    def velocity(self) -> Array:
        """Reference velocity [B, J] [rad/s]."""
        return self._velocity

    def chord_m(self, reach_m: float) -> float:
        """Return how far a watched point can bulge between positions that the guard has seen [m].

        A point within R of every joint's axis has, along a line of joint space of length ``l =
        sum_j |dq_j|``, a second derivative of at most ``R l^2``, so it leaves its chord by at most
        ``R l^2 / 8``; half a brake has ``l <= sum_j v_j T / 4``.

        Args:
            reach_m: R, of an arm with revolute joints [m].
        """
        length = float(self._braking.top.sum()) * self._braking.longest_s / 4
        return reach_m * length**2 / 8

    def start(self, position: Array, which: Array | None = None) -> None:
        """Begin at rest where the arms are measured, within limits or not.

        Args:
            position: [B, J] [rad].
            which: bool [B], the arms to start; None: all of them.

        Raises:
            ShapeError: of another shape.
            InvalidValueError: not finite.
        """
        position = self._shaped(position)
        which = np.ones(self.arms, np.bool_) if which is None else which
        if not np.isfinite(position[which]).all():
            raise InvalidValueError(f'expected finite positions, received {position.tolist()}')
        if self._guard is not None:
            asked = self._guard.ask(position[which], np.flatnonzero(which))
            level = np.nan_to_num(asked, posinf=0.0)
            self._level[which] = np.maximum(level, 0.0)
        chosen = np.where(which[:, None], position, self._position)
        self._keep(chosen, np.where(which[:, None], 0.0, self._velocity))
        self._started = not np.isnan(chosen).any()

    def follow(self, wanted_velocity: Array, stopping: Array | None = None) -> Motion:
        """Move for one tick towards wanted velocities, and return the motion.

        Args:
            wanted_velocity: [B, J] [rad/s]; an arm with a value that is not finite is to stand.
            stopping: bool [B], arms that brake with ``stop_acceleration`` instead.

        Raises:
            ShapeError: of another shape.
            ProtocolError: an arm has not been started.
        """
        self._check_started()
        wanted = self._shaped(wanted_velocity)
        finite = np.isfinite(wanted)
        limited = np.zeros(self.arms, np.uint8)
        if not finite.all():
            bad = ~np.logical_and.reduce(finite, axis=1)
            limited[bad] = Limited.NONFINITE
            wanted = np.where(bad[:, None], 0.0, wanted)
        velocity, bits = self._admissible(wanted)
        limited |= bits
        if stopping is not None:
            hard = self._braking.braked(self._velocity, hard=True)
            velocity = np.where(stopping[:, None], hard, velocity)
            limited[stopping] &= np.uint8(Limited.NONFINITE)
        return self._move(velocity, limited)

    def brake(self, which: Array | None = None) -> Motion:
        """Move for one tick of a stop with ``stop_acceleration``, and return the motion.

        Args:
            which: bool [B]; the other arms follow a velocity of zero. None: all arms brake, and
                the guard, which may be broken, is not asked.

        Raises:
            ProtocolError: an arm has not been started.
        """
        if which is not None:
            return self.follow(np.zeros_like(self._velocity), which)
        self._check_started()
        hard = self._braking.braked(self._velocity, hard=True)
        return self._move(hard, np.zeros(self.arms, np.uint8))

    def anchor(self, measured: Array, gain: float) -> None:
        """Pull the reference towards the measured arms; only if velocities are commanded.

        An arm integrates commanded velocities by itself and drifts away from the sum that is kept
        here, but the limits of position are meant for the arm. A pull is a share of the difference,
        at most a tenth of what the velocity limit allows in a tick, and never makes the verified
        stop impossible. Do not use it for commanded positions: those would jump by it.

        Args:
            measured: [B, J] [rad]; what is not finite does not pull.
            gain: share of the difference that is removed in a tick [1], in [0, 1].
        """
        self._check_started()
        most = PULL * self.period_s * self._braking.top
        pull = gain * (self._shaped(measured) - self._position)
        pull = np.minimum(np.maximum(pull, -most), most)
        way = self._braking.way(self._velocity)
        lows, highs = self._bounds()
        pulled = self._position + np.where(np.isfinite(pull), pull, 0.0)
        pulled = np.maximum(pulled, lows - np.minimum(way, 0.0))
        pulled = np.minimum(pulled, highs - np.maximum(way, 0.0))
        if self._guard is not None:
            seen = np.array([self._position, pulled, pulled + 0.5 * way, pulled + way])
            violation = self._guard.violation(seen, self._all)
            fits = violation[1:] <= self._allowed(violation[0], self._all)
            accepted = np.logical_and.reduce(fits, axis=0)
            pulled = np.where(accepted[:, None], pulled, self._position)
        self._keep(pulled, self._velocity)

    def resume(self, position: Array, velocity: Array) -> None:
        """Continue from a motion that was saved or only shown; for all arms.

        An arm that is too fast, or whose stop from there is not verified, begins at rest: there is
        no way to a velocity without a stop.

        Args:
            position: the reference then [B, J] [rad].
            velocity: its velocity then [B, J] [rad/s].

        Raises:
            ShapeError: of another shape.
            InvalidValueError: not finite.
        """
        velocity = self._shaped(velocity)
        if not np.isfinite(velocity).all():
            raise InvalidValueError(f'expected finite velocities, received {velocity.tolist()}')
        self.start(position)
        lows, highs = self._bounds()
        way = self._braking.way(velocity)
        good = self._inside(self._position + way, lows, highs)
        good &= (np.abs(velocity) <= self._braking.top * (1.0 + _SLACK)).all(axis=-1)
        if self._guard is not None:
            violation = self._guard.violation(self._along_brake(way), self._all)
            # An arm that brakes already is within the tolerance of its verified line.
            fits = violation[1:] <= self._allowed(violation[0], self._all) + self._tolerance
            good &= np.logical_and.reduce(fits, axis=0)
        self._keep(self._position, np.where(good[:, None], velocity, 0.0))

    def brake_positions(self) -> Array:
        """Return where arms are, and the middle and the end of their brake [3, B, J] [rad]."""
        return self._along_brake(self._braking.way(self._velocity))

    def forget(self, which: Array) -> None:
        """Ask the guard anew about arms for which it has other constraints from now on.

        Those must allow the arms' ``brake_positions``: else there is no verified stop.

        Args:
            which: the arms, bool [B].
        """
        if self._guard is not None:
            self._guard.forget(np.flatnonzero(which))

    def _along_brake(self, way: Array) -> Array:
        seen: Array = self._position + np.array([0.0, 0.5, 1.0])[:, None, None] * way
        return seen

    def _bounds(self) -> tuple[Array, Array]:
        """Return the range of allowed positions [B, J]; an arm that is outside may stay there."""
        if self._known_bounds is not None:
            return self._known_bounds
        do, braking, here = self._arrays, self._braking, self._position
        bounds = do.minimum(braking.low, here), do.maximum(braking.high, here)
        if do is np:
            # Every tick asks several times before the arm is moved.
            self._known_bounds = bounds
        return bounds

    def _admissible(self, wanted: Array) -> tuple[Array, Array]:
        """Return the admissible velocity nearest to the wanted one, of those tried [B, J]."""
        lows, highs = self._bounds()
        candidate, bits = self._braking.reachable(
            wanted, self._velocity, self._position - lows, highs - self._position
        )
        good = self._good(candidate[None], self._all)
        do = self._arrays
        bits |= ~good.inside[0] * do.uint8(Limited.POSITION)
        bits |= ~good.accepted[0] * do.uint8(Limited.WORKSPACE)
        fits = good.inside[0] & good.accepted[0]
        return self._mended(candidate, wanted, ~fits, good.allowed), bits

    def _mended(self, candidate: Array, wanted: Array, wrong: Array, allowed: Array) -> Array:
        """Return the velocities, with admissible ones for the arms [B] whose own are not."""
        refused = np.flatnonzero(wrong)
        if len(refused):
            # This is rare, which matters since a guard takes longer than everything else.
            candidate[refused] = self._instead(
                wanted[refused], candidate[refused], allowed[refused], refused
            )
        return candidate

    def _instead(self, wanted: Array, refused: Array, allowed: Array, arms: Any) -> Array:
        """Return admissible velocities in place of refused ones [n, J]."""
        brake = self._braking.braked(self._velocity[arms])
        nearest = refused
        if self._guard is not None:
            nearest = self._along(wanted, refused, allowed, arms, self._guard)
        do = self._arrays
        tried = do.concatenate([nearest[None], brake + self._shares * (nearest - brake)])
        good = self._good(tried, arms)
        fits = good.inside & good.accepted
        best = brake
        for place in range(len(tried) - 1, -1, -1):
            best = do.where(fits[place][:, None], tried[place], best)
        return best

    def _along(
        self, wanted: Array, refused: Array, allowed: Array, arms: Any, guard: GuardCache
    ) -> Array:
        """Return the wanted velocity without the part that leads out: along a wall, not into it.

        The distance outside at which a brake would end is taken as linear around the refused
        velocity. That makes the wall a half space of velocities, and the wanted velocity [n, J] is
        projected onto it. The result is not checked here.
        """
        do, here = self._arrays, self._position[arms]
        violation, slope = guard.slope(self._stop(refused, arms), arms)
        excess = violation - allowed
        kept_m = do.where(allowed > _SLACK, _KEPT_OUTSIDE_M, _KEPT_M)
        tau = self.period_s + 0.5 * self._braking.duration(refused)[:, 0]
        most = do.einsum('ij,ij->i', slope, refused) - (excess + kept_m) / tau
        with np.errstate(divide='ignore', invalid='ignore') if do is np else nullcontext():
            # If the guard gives no answer or no slope, nothing is changed.
            inwards = slope / do.einsum('ij,ij->i', slope, slope)[:, None]
        told = (excess > 0.0) & do.logical_and.reduce(do.isfinite(inwards), axis=1)
        inwards = do.where(told[:, None], inwards, 0.0)

        def projected(velocity: Array) -> Array:
            over = do.maximum(do.einsum('ij,ij->i', slope, velocity) - most, 0.0)
            kept: Array = velocity - do.where(told, over, 0.0)[:, None] * inwards
            return kept

        lows, highs = self._bounds()
        below, above = here - lows[arms], highs[arms] - here
        top, before = self._braking.top, self._velocity[arms]
        along = projected(do.minimum(do.maximum(wanted, -top), top))
        along, _ = self._braking.reachable(along, before, below, above)
        # The other limits may have turned the velocity outwards again, so project once more.
        along, _ = self._braking.reachable(projected(along), before, below, above)
        return along

    def _good(self, tried: Array, arms: Any) -> _Good:
        """Return which velocities [K, n, J] of arms [n] are admissible, and why others are not."""
        lows, highs = self._bounds()
        here, stop = self._position[arms], self._stop(tried, arms)
        inside = self._inside(stop, lows[arms], highs[arms])
        if self._guard is None:
            return _Good(inside, inside | True, self._level[arms] * 0.0)
        following = here + tried * self.period_s
        do = self._arrays
        seen = do.concatenate([here[None], following, 0.5 * (following + stop), stop])
        violation = self._guard.violation(seen, arms)
        allowed = self._allowed(violation[0], arms)
        fits = (violation[1:] <= allowed).reshape(3, *inside.shape)
        return _Good(inside, do.logical_and.reduce(fits), allowed)

    def _stop(self, velocity: Array, arms: Any) -> Array:
        """Return where one tick with a velocity and the brake after it end at the latest."""
        end: Array = self._position[arms] + velocity * self.period_s + self._braking.way(velocity)
        return end

    def _inside(self, stop: Array, lows: Array, highs: Array) -> Array:
        fits = (stop >= lows - _SLACK) & (stop <= highs + _SLACK)
        inside: Array = self._arrays.logical_and.reduce(fits, axis=-1)
        return inside

    def _allowed(self, violation: Array, arms: Any) -> Array:
        """Return how far outside arms may be that are ``violation`` outside [n] [m]."""
        do = self._arrays
        level = do.fmin(self._level[arms], do.maximum(violation, 0.0))
        self._level[arms] = level
        most: Array = do.maximum(do.minimum(violation, level + self._tolerance), 0.0)
        return most + _SLACK

    def _move(self, velocity: Array, limited: Array) -> Motion:
        do = self._arrays
        lows, highs = self._bounds()
        position = self._position + velocity * self.period_s
        self._keep(do.minimum(do.maximum(position, lows), highs), velocity)
        if do is np:
            limited.flags.writeable = False
        return Motion(self._position, self._velocity, limited)

    def _keep(self, position: Array, velocity: Array) -> None:
        # The arrays are handed out without a copy. They are read-only, since writing into them
        # would move an arm.
        position.flags.writeable = velocity.flags.writeable = False
        self._position, self._velocity = position, velocity
        self._known_bounds = None

    def _shaped(self, values: Array) -> Array:
        array = np.asarray(values, np.float64)
        if array.shape != self._velocity.shape:
            raise ShapeError(f'expected {self._velocity.shape} values, received {array.shape}')
        return array

    def _check_started(self) -> None:
        if not self._started:
            raise ProtocolError('an arm has not been started: call start with its position')
