"""The controllers of ros2_control for one arm, as plain code without ROS.

They do what ``forward_command_controller`` (velocity or position) and
``joint_trajectory_controller`` do; the newest command replaces all others. Time is an argument, on
any clock that never goes back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from nrl_ros.base.errors import ConfigError, InvalidValueError, ShapeError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.trajectory import Trajectory

# Times that differ by less than this are equal, since sums of periods are not exact [s].
_SAME_S = 1e-9


class Mode(Enum):
    """Meaning of an order's numbers."""

    VELOCITY = 'velocity'
    POSITION = 'position'


class Order(NamedTuple):
    """What the joints must do in the coming period: velocities or positions [J]."""

    mode: Mode
    value: Float64


class _Command(NamedTuple):
    due_s: float
    value: Float64 | Trajectory
    mode: Mode
    start_s: float


class Controllers:
    """Takes commands at any time and gives one order in each period.

    Without a command, and after a trajectory without points, the arm holds its position.

    Attributes:
        timeout_s: a velocity command older than this becomes 0, and a position command becomes the
            position at that moment; 0: commands last for ever, as in ros2_control.
        latency_s: delay after which commands act, in the order in which they came [s].

    Args:
        joints: the arm's J joints.
        period_s: time between two orders [s].
    """

    def __init__(
        self,
        joints: Sequence[str],
        period_s: float,
        *,
        timeout_s: float = 0.0,
        latency_s: float = 0.0,
    ) -> None:
        self.joints = tuple(joints)
        self.timeout_s = timeout_s
        self.latency_s = latency_s
        self._period_s = period_s
        self._queue: deque[_Command] = deque()
        self._acting: _Command | None = None

    def command_velocity(self, value: ArrayLike, now_s: float) -> None:
        """Take velocities [J], as ``forward_velocity_controller`` does.

        Raises:
            ShapeError: not J numbers.
            InvalidValueError: one is not finite.
        """
        self._put(self._checked(value, 'velocity command'), Mode.VELOCITY, now_s)

    def command_position(self, value: ArrayLike, now_s: float) -> None:
        """Take positions [J], as ``forward_position_controller`` does.

        Raises:
            ShapeError: not J numbers.
            InvalidValueError: one is not finite.
        """
        self._put(self._checked(value, 'position command'), Mode.POSITION, now_s)

    def command_trajectory(
        self, trajectory: Trajectory, now_s: float, start_s: float | None = None
    ) -> None:
        """Follow a trajectory from the arm's state at its start; one without points holds the arm.

        Args:
            trajectory: replaces what was commanded before.
            now_s: the time.
            start_s: the time from which its times count; by default now.

        Raises:
            InvalidValueError: its last point lies in the past.
        """
        start = now_s if start_s is None else start_s
        if len(trajectory.time_s) and start + trajectory.time_s[-1] < now_s:
            raise InvalidValueError(
                f'the trajectory ended {now_s - start - trajectory.time_s[-1]:.3f} s ago: send it '
                'with stamp 0 to start it on arrival, or compare the clocks'
            )
        self._put(trajectory, Mode.POSITION, now_s, start)

    def hold(self) -> None:
        """Drop all commands; the arm holds the position that it has at the next update."""
        self._queue.clear()
        self._acting = None

    def update(self, now_s: float, position: Float64, velocity: Float64) -> Order:
        """Return the order for the period that begins now.

        Args:
            now_s: the time.
            position: present positions [J].
            velocity: present velocities [J].

        Returns:
            Velocities, or positions to be reached at the end of the period.
        """
        if self._acting is None:
            self._stay(position)
        while self._queue and self._queue[0].due_s <= now_s + _SAME_S:
            self._take(self._queue.popleft(), now_s, position, velocity)
        assert self._acting is not None
        acting = self._acting
        if isinstance(acting.value, Trajectory):
            return Order(Mode.POSITION, acting.value.at(now_s + self._period_s - acting.start_s))
        if self.timeout_s and now_s - acting.due_s >= self.timeout_s - _SAME_S:
            self._stay(position, acting.mode)
        return Order(self._acting.mode, np.array(self._acting.value))

    def _stay(self, position: Float64, mode: Mode = Mode.POSITION) -> None:
        """Hold from now on: velocity 0, or the present position."""
        value = np.zeros(len(self.joints)) if mode is Mode.VELOCITY else np.array(position)
        self._acting = _Command(math.inf, value, mode, math.inf)

    def _take(self, command: _Command, now_s: float, position: Float64, velocity: Float64) -> None:
        if not isinstance(command.value, Trajectory):
            self._acting = command
        elif not len(command.value.time_s):
            self._stay(position)
        else:
            onward = command.value.onward(now_s - command.start_s, position, velocity)
            self._acting = command._replace(value=onward)

    def _put(
        self, value: Float64 | Trajectory, mode: Mode, now_s: float, start_s: float | None = None
    ) -> None:
        start = now_s if start_s is None else start_s
        due = now_s + self.latency_s
        if self._queue:
            due = max(due, self._queue[-1].due_s)
        self._queue.append(_Command(due, value, mode, start + self.latency_s))

    def _checked(self, value: ArrayLike, what: str) -> Float64:
        array = np.array(value, dtype=np.float64)
        if array.shape != (len(self.joints),):
            raise ShapeError(
                f'{what}: expected {len(self.joints)} numbers, one for each of '
                f'{", ".join(self.joints)}; received {array.size}'
            )
        if not np.isfinite(array).all():
            raise InvalidValueError(f'{what}: expected finite numbers, received {array.tolist()}')
        return array


class JointSensor:
    """Measures joint states with noise, and loses some of the messages.

    Attributes:
        position_noise: standard deviation of positions [rad, m].
        velocity_noise: standard deviation of velocities [rad/s, m/s].
        drop_share: share of messages that are lost.

    Args:
        rng: draws noise and losses; a lost message takes as many numbers as any other.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        rng: Generator,
        *,
        position_noise: float = 0.0,
        velocity_noise: float = 0.0,
        drop_share: float = 0.0,
    ) -> None:
        values = (position_noise, velocity_noise, drop_share)
        if not all(math.isfinite(value) and value >= 0.0 for value in values) or drop_share > 1.0:
            raise ConfigError(f'noise must be >= 0 and drop_share in 0 ... 1, received {values}')
        self.position_noise = position_noise
        self.velocity_noise = velocity_noise
        self.drop_share = drop_share
        self._rng = rng

    def read(self, position: Float64, velocity: Float64) -> tuple[Float64, Float64] | None:
        """Return one measurement, or None if its message is lost.

        Args:
            position: true positions [J].
            velocity: true velocities [J].

        Returns:
            Both with noise, or nothing when the message is lost.
        """
        noise: Any = self._rng.standard_normal((2, *np.shape(position)))
        lost = self._rng.random() < self.drop_share
        if lost:
            return None
        return position + self.position_noise * noise[0], velocity + self.velocity_noise * noise[1]
