"""Arms that differ from one another and from their model: domain randomisation of a plant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from nrl_ros.base.records import Float64
from nrl_ros.base.settings import Settings
from nrl_ros.base.state import Stateful

Array = NDArray[Any]


class RandomiseGroup(Settings):
    """Largest differences of simulated arms, each drawn anew when an arm is put at its start.

    A policy that has met many arms bears one that is not as its model (domain randomisation).
    """

    delay_s: float = Field(0.0, ge=0, le=0.5, description='Commands come late by up to this')
    gain: float = Field(
        0.0, ge=0, lt=1, description='Each joint follows 1 - gain to 1 + gain of its command [1]'
    )
    lag_s: float = Field(
        0.0, ge=0, description='Time constant, up to this, of a first-order lag of each joint'
    )
    deadband_rad_s: float = Field(
        0.0, ge=0, description='Friction: a joint stands at commands slower than up to this'
    )
    offset_rad: float = Field(
        0.0,
        ge=0,
        description='Each joint is measured wrongly by up to this; rewards and figures are of '
        'where it is',
    )


@dataclass
class VariedState:
    """What decides the future of B varied arms of J joints.

    Attributes:
        plant: their motors.
        random: draws how they differ.
        delay: periods by which commands are late [B].
        gain: share of a command that each joint follows [B, J].
        share: by which a joint comes nearer to its command in a period [B, J].
        deadband: commands slower than this move nothing [B, J], rad/s or m/s.
        offset: what is added to each position when it is measured [B, J], rad or m.
        late: the newest commands, the latest first [D + 1, B, J].
        following: commands after their lag [B, J].
    """

    plant: Any
    random: np.random.Generator
    delay: NDArray[np.int64]
    gain: Float64
    share: Float64
    deadband: Float64
    offset: Float64
    late: Float64
    following: Float64


class VariedPlant(Stateful):
    """A plant whose arms are late, weak, slow, stuck and wrongly measured, each in its own way.

    How an arm differs is drawn whenever it is put somewhere. Positions are as they are measured;
    ``actual`` is where the joints are.

    Args:
        plant: the motors.
        settings: how much they differ at most.
        period_s: of a step.
    """

    def __init__(self, plant: Any, settings: RandomiseGroup, period_s: float) -> None:
        self._settings, self._period = settings, period_s
        self._latest = round(settings.delay_s / period_s)
        shape = plant.position.shape
        self.state: VariedState = VariedState(
            plant=plant,
            random=np.random.default_rng(0),
            delay=np.zeros(shape[0], np.int64),
            gain=np.ones(shape),
            share=np.ones(shape),
            deadband=np.zeros(shape),
            offset=np.zeros(shape),
            late=np.zeros((self._latest + 1, *shape)),
            following=np.zeros(shape),
        )
        self._all = np.arange(shape[0])

    @property
    def actual(self) -> Float64:
        """True positions of the joints [B, J], rad or m."""
        return np.asarray(self.state.plant.position)

    @property
    def position(self) -> Float64:
        """Measured positions [B, J], rad or m."""
        return np.asarray(self.state.plant.position + self.state.offset)

    @property
    def velocity(self) -> Float64:
        """Joint velocities [B, J], rad/s or m/s."""
        return np.asarray(self.state.plant.velocity)

    @property
    def actuator_effectiveness(self) -> Float64:
        """Share of a command that each joint follows beside its own gain [B, J]."""
        return np.asarray(self.state.plant.actuator_effectiveness)

    @actuator_effectiveness.setter
    def actuator_effectiveness(self, value: ArrayLike) -> None:
        """Share of a command that each joint follows beside its own gain [B, J]."""
        self.state.plant.actuator_effectiveness = value

    def seed(self, seed: list[int]) -> None:
        """Seed what draws the differences."""
        self.state.random = np.random.default_rng(seed)

    def reset(self, position: Array, which: Array) -> None:
        """Put arms where they are measured to be at positions [B, J], at rest, and draw anew.

        Args:
            position: [B, J], rad or m.
            which: mask of the arms [B, bool].
        """
        state, settings = self.state, self._settings
        count, joints = int(np.count_nonzero(which)), position.shape[1]

        def drawn(low: float, high: float) -> Float64:
            return state.random.uniform(low, high, (count, joints))

        state.delay[which] = state.random.integers(0, self._latest + 1, count)
        state.gain[which] = drawn(1.0 - settings.gain, 1.0 + settings.gain)
        lag = drawn(0.0, settings.lag_s)
        with np.errstate(divide='ignore'):
            state.share[which] = -np.expm1(-self._period / lag)
        state.deadband[which] = drawn(0.0, settings.deadband_rad_s)
        state.offset[which] = drawn(-settings.offset_rad, settings.offset_rad)
        state.late[:, which] = 0.0
        state.following[which] = 0.0
        state.plant.reset(position - state.offset, which)

    def step(self, command: Array) -> None:
        """Follow velocities [B, J] for one period, each arm in its own way."""
        state = self.state
        if self._latest:
            state.late[1:] = state.late[:-1]
        state.late[0] = command
        due = state.late[state.delay, self._all]
        state.following += state.share * (state.gain * due - state.following)
        stuck = np.abs(state.following) < state.deadband
        state.plant.step(np.where(stuck, 0.0, state.following))


def is_varied(settings: RandomiseGroup) -> bool:
    """Return whether arms differ at all."""
    return any(settings.model_dump().values())
