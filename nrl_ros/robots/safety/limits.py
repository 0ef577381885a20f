"""Limits of an arm: its joints, a box in space, and the interface of a guard of positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError, ProtocolError, ShapeError

Array = NDArray[Any]


def _numbers(name: str, values: Sequence[float], length: int) -> tuple[float, ...]:
    """Return the values as finite numbers, checked to be as many as expected."""
    numbers = tuple(float(value) for value in values)
    if len(numbers) != length:
        raise ConfigError(f'{name}: expected {length} values, received {len(numbers)}')
    if not all(math.isfinite(number) for number in numbers):
        raise ConfigError(f'{name} must be finite, received {list(numbers)}')
    return numbers


@dataclass(frozen=True)
class JointLimits:
    """Limits of J joints, in the order that all arrays of joints have.

    Attributes:
        joints: names, each once.
        position_low: lowest position [rad].
        position_high: highest position, above the lowest [rad].
        velocity: largest speed [rad/s].
        acceleration: largest change of velocity while following commands [rad/s^2].
        stop_acceleration: of a stop, at least ``acceleration`` [rad/s^2].
        units: of each joint's position: 'rad', or 'm' for one that slides, whose other limits are
            then in m as well; empty: rad for all.

    Raises:
        ConfigError: no joints, or values that are missing, not finite or do not fit each other.
    """

    joints: tuple[str, ...]
    position_low: tuple[float, ...]
    position_high: tuple[float, ...]
    velocity: tuple[float, ...]
    acceleration: tuple[float, ...]
    stop_acceleration: tuple[float, ...]
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the limits."""
        object.__setattr__(self, 'joints', tuple(self.joints))
        object.__setattr__(self, 'units', tuple(self.units) or ('rad',) * len(self.joints))
        if len(self.units) != len(self.joints) or not set(self.units) <= {'rad', 'm'}:
            raise ConfigError(f"units: expected 'rad' or 'm' a joint, received {list(self.units)}")
        if not self.joints or len(set(self.joints)) < len(self.joints):
            raise ConfigError(f'joints: expected names, each once, received {list(self.joints)}')
        rates = ('velocity', 'acceleration', 'stop_acceleration')
        for name in ('position_low', 'position_high', *rates):
            values = _numbers(name, getattr(self, name), len(self.joints))
            object.__setattr__(self, name, values)
            if name in rates and min(values) <= 0.0:
                raise ConfigError(f'{name} must be positive, received {list(values)}')
        for joint, low, high in zip(
            self.joints, self.position_low, self.position_high, strict=True
        ):
            if low >= high:
                raise ConfigError(f'{joint}: position_low {low} must be below position_high {high}')
        for joint, stop, usual in zip(
            self.joints, self.stop_acceleration, self.acceleration, strict=True
        ):
            if stop < usual:
                raise ConfigError(
                    f'{joint}: stop_acceleration {stop} must not be below acceleration {usual}'
                )

    def scaled(self, share: float) -> JointLimits:
        """Return the limits with velocity and acceleration reduced; a stop stays as hard.

        Args:
            share: of both, in (0, 1]; a small one for an arm's first minutes.
        """
        if not 0.0 < share <= 1.0:
            raise ConfigError(f'share of the limits must be in (0, 1], received {share}')
        return replace(
            self,
            velocity=tuple(share * value for value in self.velocity),
            acceleration=tuple(share * value for value in self.acceleration),
        )

    def with_margin(self, margin_rad: float) -> JointLimits:
        """Return the limits with both ends of each joint's range moved inwards [rad].

        Args:
            margin_rad: distance kept from both ends, not negative [rad].
        """
        if not (math.isfinite(margin_rad) and margin_rad >= 0.0):
            raise ConfigError(f'margin of the joints must be >= 0, received {margin_rad}')
        return replace(
            self,
            position_low=tuple(low + margin_rad for low in self.position_low),
            position_high=tuple(high - margin_rad for high in self.position_high),
        )

    def indices(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return the place of each of these joints in a list of names, which may hold others too.

        Raises:
            ProtocolError: a joint is not in the list, or is there twice.
        """
        wrong = [joint for joint in self.joints if list(names).count(joint) != 1]
        if wrong:
            raise ProtocolError(f'expected each joint once, {wrong} are not so in {list(names)}')
        return tuple(list(names).index(joint) for joint in self.joints)


@dataclass(frozen=True)
class Workspace:
    """A box in the base frame; the floor is its lowest z.

    Attributes:
        low_m: x, y, z of the lowest corner [m].
        high_m: of the highest, above the lowest in every direction [m].

    Raises:
        ConfigError: not three finite numbers each, or an empty box.
    """

    low_m: tuple[float, float, float]
    high_m: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Check the box."""
        for name in ('low_m', 'high_m'):
            object.__setattr__(self, name, _numbers(f'workspace {name}', getattr(self, name), 3))
        if any(low >= high for low, high in zip(self.low_m, self.high_m, strict=True)):
            raise ConfigError(
                f'workspace: low_m {self.low_m} must be below high_m {self.high_m} in x, y and z'
            )

    def violation(self, points: Array) -> Array:
        """Return how far the outermost of P points [N, P, 3] is outside of the box [N] [m]."""
        outermost: Array = self.outside(points).max(axis=1)
        return outermost

    def outside(self, points: Array) -> Array:
        """Return how far each point is outside, <= 0 inside; NaN if a coordinate is NaN [m].

        Args:
            points: [N, P, 3] [m].

        Returns:
            [N, P].

        Raises:
            ShapeError: other dimensions, or no points.
        """
        if points.ndim != 3 or points.shape[1] < 1 or points.shape[2] != 3:
            raise ShapeError(f'workspace: expected points [N, P, 3], received {points.shape}')
        return outside_box(points, np.array(self.low_m), np.array(self.high_m))


def outside_box(points: Array, low: Array, high: Array, arrays: Any = np) -> Array:
    """Return how far points [N, P, 3] are outside of a box [N, P]; <= 0 inside.

    Args:
        points: x, y, z of each.
        low: its lowest corner [3].
        high: its highest corner [3].
        arrays: the module ``numpy``, or functions of the same names for other arrays.
    """
    outside = arrays.maximum(low - points, points - high)
    furthest: Array = arrays.maximum.reduce(outside, axis=2)
    return furthest


class Guard(Protocol):
    """Tells how far joint positions are from being allowed."""

    def violation(self, position: Array) -> Array:
        """Return how far positions are outside of what is allowed; <= 0: allowed, NaN: refused.

        Args:
            position: [N, J] [rad].

        Returns:
            [N] [m], continuous in the position.
        """
        ...


@dataclass(frozen=True)
class Part:
    """Some constraints of a guard, with the distance within which they need not be checked again.

    Attributes:
        violation: function of positions [N, J] [rad] and of which of C constraints are asked for
            [N, C]; gives how far those are broken [N, C] [m], <= 0: kept; any number for the
            others.
        rates: the most by which each violation can grow while a joint turns [C, J] [m/rad].
        of_arms: each arm has constraints of its own, as what stands around it, so that
            ``violation`` takes the numbers of the arms [N] as a third argument; the guard's own
            violation leaves them out.
    """

    violation: Callable[..., Array]
    rates: Array
    of_arms: bool = False


@runtime_checkable
class PartedGuard(Guard, Protocol):
    """A Guard whose violation is the largest among its parts."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its parts; empty if rates are not known."""
        ...


@dataclass(frozen=True, eq=False)
class WorkspaceGuard:
    """A PartedGuard: watched points stay in a box, and parts of the arm keep a distance.

    Attributes:
        points: function from positions [N, J] [rad] to watched points [N, P, 3] [m], such as tool
            and elbow.
        workspace: the box that holds them.
        clearance: function from positions [N, J] to the least distance [N] between the arm's parts,
            and between them and what stands around [m]; None: not watched.
        least_clearance_m: lowest allowed value of that distance [m], not negative.
        parts: the same constraints in parts, if their rates are known, and those of single arms.
        others: functions from positions [N, J] to how far they break further constraints [N] [m],
            as a distance from obstacles; <= 0: kept.

    Raises:
        ConfigError: a distance that is negative or not finite.
    """

    points: Callable[[Array], Array]
    workspace: Workspace
    clearance: Callable[[Array], Array] | None = None
    least_clearance_m: float = 0.0
    parts: tuple[Part, ...] = ()
    others: tuple[Callable[[Array], Array], ...] = ()

    def __post_init__(self) -> None:
        """Check the distance."""
        if not (math.isfinite(self.least_clearance_m) and self.least_clearance_m >= 0.0):
            raise ConfigError(f'least_clearance_m must be >= 0, received {self.least_clearance_m}')

    def violation(self, position: Array) -> Array:
        """Return how far positions [N, J] break the box or the clearance [N] [m], <= 0: allowed."""
        worst = self.workspace.violation(self.points(position))
        if self.clearance is not None:
            worst = np.maximum(worst, self.least_clearance_m - self.clearance(position))
        for other in self.others:
            worst = np.maximum(worst, other(position))
        return worst
