"""Joints that are not commanded: read where they stand, and watched to stay there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nrl_ros.base.errors import ConfigError


class MeasuredJoints:
    """Collects positions of joints from messages of joint states, also of several publishers.

    Args:
        names: of the joints.

    Attributes:
        positions: by name, of those that were heard [rad, m].
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self.positions: dict[str, float] = {}

    @property
    def missing(self) -> tuple[str, ...]:
        """Joints that no message has named yet."""
        return tuple(name for name in self._names if name not in self.positions)

    def hear(self, names: Sequence[str], positions: Iterable[float]) -> bool:
        """Take a message; return whether all joints are known. What is not finite is not taken."""
        for name, position in zip(names, positions, strict=False):
            if name in self._names and position - position == 0.0:
                self.positions[name] = float(position)
        return not self.missing


class HeldJoints:
    """Watches that joints stand where kinematics and clearance take them to stand.

    Args:
        held: their positions by name [rad, m].
        units: of each, by name.
        tolerance: how far one may be measured from there [rad, m].

    Raises:
        ConfigError: the tolerance is not positive.
    """

    def __init__(
        self, held: Mapping[str, float], units: Mapping[str, str], tolerance: float
    ) -> None:
        if not tolerance > 0.0:
            raise ConfigError(f'tolerance of held joints must be positive, received {tolerance}')
        self._held, self._units, self._tolerance = dict(held), dict(units), tolerance
        self._off: dict[str, float] = {}
        # Whether any joint is off, as it was told last; None: nothing was told yet.
        self._told: bool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The watched joints."""
        return tuple(self._held)

    def hear(self, names: Sequence[str], positions: Iterable[float]) -> str | None:
        """Take a message of joint states, of whatever joints.

        Returns:
            None where nothing has changed; else why the arm may not move, '' if it may.
        """
        if self._held.keys().isdisjoint(names):
            return None
        for name, position in zip(names, positions, strict=False):
            if name not in self._held:
                continue
            self._off.pop(name, None)
            # A comparison with NaN is false.
            if not abs(position - self._held[name]) <= self._tolerance:
                self._off[name] = position
        if bool(self._off) == self._told:
            return None
        self._told = bool(self._off)
        return '; '.join(self._problem(name) for name in self._off)

    def _problem(self, name: str) -> str:
        unit = self._units.get(name, 'rad')
        return (
            f'joint {name} is measured at {self._off[name]:.4g} {unit} and held at '
            f'{self._held[name]:.4g} {unit} by the description, within {self._tolerance:g} {unit} '
            '(watchdog.held_tolerance_rad): bring it back, or correct held; if it is among '
            'measured, start the nodes anew'
        )
