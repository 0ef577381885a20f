"""Cart and pole for many instances at once.

It equals Gymnasium's ``CartPole-v1`` (``gymnasium/envs/classic_control/cartpole.py``): it gives the
same numbers as the bridge 'gymnasium' in its array form, resets included, in a fraction of the
time. Therefore the terms are rounded in Gymnasium's order, and nothing is simplified.

A cart is pushed to the left or the right so that the pole on it stays up and the cart on its track.
Each step is rewarded with 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.base.records import ActionSpace, Bool, EnvSpec, Float32, Float64, Int32, StepResult
from nrl_ros.base.settings import Settings
from nrl_ros.base.state import Stateful
from nrl_ros.environments.interfaces import Array, Environment
from sim_bridge.frames import BLUE, DARK, GREY, Line, frame_of

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


@dataclass
class CartPoleState:
    """What decides the future of B instances.

    Attributes:
        task: tells the state from that of another task.
        motion: position, velocity, angle and angular velocity [4, B].
        steps: of the episodes so far [B].
        over: episodes that have ended [B].
        random: draws first states.
    """

    task: str
    motion: Float64
    steps: NDArray[np.int64]
    over: Bool
    random: np.random.Generator


class CartPoleBridge(Stateful):
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
        self.state: CartPoleState = CartPoleState(
            'cartpole',
            motion=np.zeros((4, instances)),
            steps=np.zeros(instances, np.int64),
            over=np.zeros(instances, np.bool_),
            random=np.random.default_rng(0),
        )
        # The rates of the motion, in the same order.
        self._motion, self._slope = self.state.motion, np.zeros((4, instances))
        self._room = tuple(np.zeros((5, instances)))
        self._ways = np.zeros((2, instances))
        self._out = np.zeros((2, instances), np.bool_)
        # At these sizes the overhead of calls dominates, so views are made only once.
        self._rows = (*self._motion, *self._slope)
        self._rates, self._change = self._motion[1::2], self._slope[0::2]
        self._judged = self._motion[0::2]
        self.reset(0)

    def reset(self, seed: int) -> Float32:
        """Start all instances anew; return their first observations [B, 4]."""
        state = self.state
        state.random = np.random.default_rng(seed)
        state.motion[:] = state.random.uniform(-_RESET, _RESET, state.motion.shape)
        state.steps[:] = 0
        state.over[:] = False
        return self._observe()

    def step(self, action: Int32 | Float32) -> StepResult:
        """Push each cart; an instance whose episode ended is reset instead."""
        state = self.state
        self._advance(action)
        terminated = self._fallen()
        state.steps += 1
        truncated = state.steps >= self._limit
        reward = np.ones(len(terminated))
        if np.count_nonzero(state.over):
            index = np.flatnonzero(state.over)
            state.motion[:, index] = state.random.uniform(-_RESET, _RESET, (4, len(index)))
            state.steps[index] = 0
            reward[index] = 0.0
            terminated[index] = truncated[index] = False
        state.over = terminated | truncated
        never = np.zeros(len(state.over), np.bool_)
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
        np.add(self._motion, self._slope, self._motion)

    def _fallen(self) -> Bool:
        """Return whether the pole leans too far or the cart has left its track."""
        np.greater(np.abs(self._judged, self._ways), _ENDS, self._out)
        fallen: Bool = np.logical_or(self._out[0], self._out[1])
        return fallen

    def _observe(self) -> Float32:
        # Each call returns a new array in C order.
        observation: Float32 = self._motion.T.astype(np.float32, order='C')
        return observation

    def frame(self) -> Array:
        """Return a picture of cart and pole of instance 0 [height, width, 3]."""
        x, _, theta, _ = self.state.motion[:, 0].tolist()
        tip = (x + float(np.sin(theta)), float(np.cos(theta)))
        lines = [
            Line((-_TRACK, -0.15), (_TRACK, -0.15), 0.03, GREY),
            Line((x - 0.25, 0.0), (x + 0.25, 0.0), 0.25, DARK),
            Line((x, 0.0), tip, 0.1, BLUE),
        ]
        return frame_of(lines, (0.0, 0.5), _TRACK + 0.3)

    def end(self, which: Array) -> None:
        """End episodes with the newest step: those instances start anew with the next one."""
        self.state.over = self.state.over | which

    def close(self) -> None:
        """Do nothing: no resources are held."""


def make(instances: int, options: CartPoleOptions) -> Environment:
    """Make a CartPoleBridge, as the registry calls it."""
    return CartPoleBridge(instances, options)
