"""The limits of motion of arms in tensors, with the same work in each tick."""

from __future__ import annotations

from typing import Any

from nrl_ros.robots.safety.limits import Guard, JointLimits
from nrl_ros.robots.safety.motion import Motion, MotionFilter


class DeviceMotionFilter(MotionFilter):
    """A ``MotionFilter`` without a decision on the host: what few arms need is done for all.

    Args:
        limits: of each arm.
        period_s: of the ticks [s].
        arms: B.
        guard: for the same arrays; None: everything is allowed.
        arrays: functions of numpy for these arrays, as ``nrl_ros.base.torch_arrays``.
    """

    def __init__(
        self, limits: JointLimits, period_s: float, *, arms: int, guard: Guard | None, arrays: Any
    ) -> None:
        super().__init__(limits, period_s, arms=arms, guard=guard, arrays=arrays)
        self._all = slice(None)
        self._started = True

    def follow(self, wanted_velocity: Any, stopping: Any = None) -> Motion:
        """Move for one tick towards finite wanted velocities [B, J], and return the motion."""
        velocity, bits = self._admissible(wanted_velocity)
        return self._move(velocity, bits)

    def begin(self, position: Any, which: Any) -> None:
        """Put some arms [B] at rest at positions [B, J]."""
        do = self._arrays
        if self._guard is not None:
            level = do.maximum(self._guard.ask(position), 0.0)
            self._level[:] = do.where(which, level, self._level)
        chosen = do.where(which[:, None], position, self._position)
        self._keep(chosen, do.where(which[:, None], 0.0, self._velocity))

    def tensors(self) -> dict[str, Any]:
        """Return what decides the future motion, by name; they stay the same ones."""
        return {'reference': self._position, 'speed': self._velocity, 'level': self._level}

    def _mended(self, candidate: Any, wanted: Any, wrong: Any, allowed: Any) -> Any:
        instead = self._instead(wanted, candidate, allowed, self._all)
        return self._arrays.where(wrong[:, None], instead, candidate)

    def _keep(self, position: Any, velocity: Any) -> None:
        if not hasattr(self, '_position'):
            self._position, self._velocity = position, velocity
            return
        # A recorded step writes to the same memory whenever it is repeated.
        self._position[:], self._velocity[:] = position, velocity
