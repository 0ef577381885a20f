"""Cart and pole for many instances at once.

It equals Gymnasium's ``CartPole-v1`` (``gymnasium/envs/classic_control/cartpole.py``): it gives the
same numbers as the bridge 'gymnasium' in its array form, resets included, in a fraction of the
time. Therefore the terms are rounded in Gymnasium's order, and nothing is simplified.

A cart is pushed to the left or the right so that the pole on it stays up and the cart on its track.
Each step is rewarded with 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from nrl_ros.base.errors import CheckpointError
from nrl_ros.base.records import ActionSpace, Bool, EnvSpec, Float32, Float64, Int32, StepResult
from nrl_ros.base.settings import Settings
from nrl_ros.environments.interfaces import Environment

_PERIOD = 0.02
_RESET = 0.05
_TRACK = 2.4
_LEAN = 12 * 2 * np.pi / 360
# The bounds are twice the ends, as in Gymnasium, since the last observation lies beyond the ends.
_HIGH = (float(np.float32(2 * _TRACK)), np.inf, float(np.float32(2 * _LEAN)), np.inf)
# An episode ends at these values of position and angle, rows 0 and 2 of the state.
_ENDS = np.array([[_TRACK], [_LEAN]])


def _constant(value: float) -> Float64:
    """Return a number as an array without dimensions, which numpy takes in half the time."""
    return np.array(value)


_FORCE, _PUSHES = _constant(10.0), _constant(20.0)
_GRAVITY, _POLE, _TOTAL = _constant(9.8), _constant(0.1), _constant(0.1 + 1.0)
_LENGTH, _POLE_LENGTH = _constant(0.5), _constant(0.1 * 0.5)
_SHAPE, _TAU = _constant(4.0 / 3.0), _constant(_PERIOD)


class CartPoleOptions(Settings):
    """Options of the bridge 'cartpole'."""

    max_episode_steps: int = Field(
        500, ge=1, description='Steps after which an episode is truncated [1]'
    )


class CartPoleBridge:
    """B instances of CartPole, equal to Gymnasium's number by number.

    Args:
        instances: B.
        options: see CartPoleOptions.
    """

    def __init__(self, instances: int, options: CartPoleOptions) -> None:
        self._limit = options.max_episode_steps
        low = tuple(-bound for bound in _HIGH)
        self.spec = EnvSpec(
            instances, 4, ActionSpace.discrete(2), low, _HIGH, _PERIOD, options.max_episode_steps
        )
        # Rows: position, velocity, angle, angular velocity. The slope holds their rates in the same
        # order.
        self._state = np.zeros((4, instances))
        self._slope = np.zeros((4, instances))
        self._room = tuple(np.zeros((5, instances)))
        self._ways = np.zeros((2, instances))
        self._out = np.zeros((2, instances), np.bool_)
        # At these sizes the overhead of calls dominates, so views are made only once.
        self._rows = (*self._state, *self._slope)
        self._rates, self._change = self._state[1::2], self._slope[0::2]
        self._judged = self._state[0::2]
        self._steps = np.zeros(instances, np.int64)
        self._over = np.zeros(instances, np.bool_)
        self._random = np.random.default_rng(0)
        self.reset(0)

    def reset(self, seed: int) -> Float32:
        """Start all instances anew; return their first observations [B, 4]."""
        self._random = np.random.default_rng(seed)
        self._state[:] = self._random.uniform(-_RESET, _RESET, self._state.shape)
        self._steps[:] = 0
        self._over[:] = False
        return self._observe()

    def step(self, action: Int32 | Float32) -> StepResult:
        """Push each cart; an instance whose episode ended is reset instead."""
        self._advance(action)
        terminated = self._fallen()
        self._steps += 1
        truncated = self._steps >= self._limit
        reward = np.ones(len(terminated))
        if np.count_nonzero(self._over):
            index = np.flatnonzero(self._over)
            self._state[:, index] = self._random.uniform(-_RESET, _RESET, (4, len(index)))
            self._steps[index] = 0
            reward[index] = 0.0
            terminated[index] = truncated[index] = False
        self._over = terminated | truncated
        never = np.zeros(len(self._over), np.bool_)
        return StepResult(self._observe(), reward, terminated, truncated, never)

    def _advance(self, action: Int32 | Float32) -> None:
        """Make one step of Euler's method; all four rates come from the same state."""
        _, _, theta, theta_dot, _, xacc, _, thetaacc = self._rows
        cosine, sine, push, below, room = self._room
        np.cos(theta, cosine)
        np.sin(theta, sine)
        np.multiply(action[:, 0], _PUSHES, push)
        np.subtract(push, _FORCE, push)
        np.multiply(theta_dot, theta_dot, room)
        np.multiply(room, _POLE_LENGTH, room)
        np.multiply(room, sine, room)
        np.add(push, room, push)
        np.divide(push, _TOTAL, push)
        np.multiply(cosine, cosine, below)
        np.multiply(below, _POLE, below)
        np.divide(below, _TOTAL, below)
        np.subtract(_SHAPE, below, below)
        np.multiply(below, _LENGTH, below)
        np.multiply(sine, _GRAVITY, sine)
        np.multiply(cosine, push, room)
        np.subtract(sine, room, thetaacc)
        np.divide(thetaacc, below, thetaacc)
        np.multiply(thetaacc, _POLE_LENGTH, room)
        np.multiply(room, cosine, room)
        np.divide(room, _TOTAL, room)
        np.subtract(push, room, xacc)
        np.copyto(self._change, self._rates)
        np.multiply(self._slope, _TAU, self._slope)
        np.add(self._state, self._slope, self._state)

    def _fallen(self) -> Bool:
        """Return whether the pole leans too far or the cart has left its track."""
        np.greater(np.abs(self._judged, self._ways), _ENDS, self._out)
        fallen: Bool = np.logical_or(self._out[0], self._out[1])
        return fallen

    def _observe(self) -> Float32:
        # Each call returns a new array in C order.
        observation: Float32 = self._state.T.astype(np.float32, order='C')
        return observation

    def close(self) -> None:
        """Do nothing: no resources are held."""

    def snapshot(self) -> dict[str, Any]:
        """Return everything that decides the future, as plain data and copied arrays."""
        # The key names the environment, since others have a state of the same size.
        return {
            'cartpole': self._state.copy(),
            'steps': self._steps.copy(),
            'over': self._over.copy(),
            'random': self._random.bit_generator.state,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot.

        Raises:
            CheckpointError: it is not one of as many instances of cartpole.
        """
        same = snapshot.keys() == {'cartpole', 'steps', 'over', 'random'}
        if not same or len(snapshot['steps']) != self.spec.instances:
            raise CheckpointError(
                f'the snapshot is not one of {self.spec.instances} instances of cartpole'
            )
        self._state[:] = snapshot['cartpole']
        self._steps = np.array(snapshot['steps'])
        self._over = np.array(snapshot['over'])
        self._random.bit_generator.state = snapshot['random']


def make(instances: int, options: CartPoleOptions) -> Environment:
    """Make a CartPoleBridge, as the registry asks for it."""
    return CartPoleBridge(instances, options)
