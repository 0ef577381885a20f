"""Cart and pole for many instances at once.

It equals Gymnasium's ``CartPole-v1`` (``gymnasium/envs/classic_control/cartpole.py``): it gives the
same numbers as the bridge 'gymnasium' in its array form, resets included, in a fraction of the
time. Therefore the terms are rounded in Gymnasium's order, and nothing is simplified.

A cart is pushed to the left or the right so that the pole on it stays up and the cart on its track.
Each step is rewarded with 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


def spec_of(instances: int, limit: int) -> EnvSpec:
    """Return what B instances whose episodes are truncated after so many steps promise."""
    low = tuple(-bound for bound in _HIGH)
    return EnvSpec(instances, 4, ActionSpace.discrete(2), low, _HIGH, _PERIOD, limit)


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


class CartMotion:
    """The motion of B carts and their poles, in arrays of numpy or of torch.

    Args:
        instances: B.
        arrays: the module ``numpy``, or a ``TorchArrays``.

    Attributes:
        motion: position, velocity, angle and angular velocity [4, B]; may be written into.
    """

    reset_range = _RESET

    def __init__(self, instances: int, arrays: Any = np) -> None:
        self._arrays = arrays
        self.motion, self._slope = arrays.zeros((4, instances)), arrays.zeros((4, instances))
        self._room = tuple(arrays.zeros(instances) for _ in range(5))
        self._ways = arrays.zeros((2, instances))
        self._out = arrays.zeros((2, instances), bool)
        # At these sizes the overhead of calls dominates, so views are made only once. A compiler of
        # tensors fuses less around views that it is given beside what they are views of.
        self._kept = None if getattr(arrays, 'traced', False) else self._views()
        # An episode ends at these values of position and angle, rows 0 and 2 of the state.
        self._ends = arrays.array([[_TRACK], [_LEAN]])
        # Arrays without dimensions, which numpy takes in half the time of numbers.
        self._force, self._pushes = arrays.array(10.0), arrays.array(20.0)
        self._gravity, self._pole = arrays.array(9.8), arrays.array(0.1)
        self._total, self._length = arrays.array(0.1 + 1.0), arrays.array(0.5)
        self._pole_length, self._shape = arrays.array(0.1 * 0.5), arrays.array(4.0 / 3.0)
        self._tau = arrays.array(_PERIOD)

    def _views(self) -> tuple[tuple[Any, ...], Any, Any, Any]:
        """Return rows of motion and slope, the rates, the changes that they are, and what ends."""
        motion, slope = self.motion, self._slope
        return (*motion, *slope), motion[1::2], slope[0::2], motion[0::2]

    def advance(self, action: Any) -> None:
        """Make one step of Euler's method; all four rates come from the same state.

        Args:
            action: 0 to push to the left, 1 to the right [B].
        """
        do = self._arrays
        rows, rates, change, _ = self._kept or self._views()
        _, _, theta, theta_dot, _, xacc, _, thetaacc = rows
        cosine, sine, push, below, room = self._room
        do.cos(theta, cosine)
        do.sin(theta, sine)
        do.multiply(action, self._pushes, push)
        do.subtract(push, self._force, push)
        do.multiply(theta_dot, theta_dot, room)
        do.multiply(room, self._pole_length, room)
        do.multiply(room, sine, room)
        do.add(push, room, push)
        do.divide(push, self._total, push)
        do.multiply(cosine, cosine, below)
        do.multiply(below, self._pole, below)
        do.divide(below, self._total, below)
        do.subtract(self._shape, below, below)
        do.multiply(below, self._length, below)
        do.multiply(sine, self._gravity, sine)
        do.multiply(cosine, push, room)
        do.subtract(sine, room, thetaacc)
        do.divide(thetaacc, below, thetaacc)
        do.multiply(thetaacc, self._pole_length, room)
        do.multiply(room, cosine, room)
        do.divide(room, self._total, room)
        do.subtract(push, room, xacc)
        do.copyto(change, rates)
        do.multiply(self._slope, self._tau, self._slope)
        do.add(self.motion, self._slope, self.motion)

    def fallen(self) -> Any:
        """Return whether the pole leans too far or the cart has left its track [B]."""
        do = self._arrays
        *_, judged = self._kept or self._views()
        do.greater(do.abs(judged, self._ways), self._ends, self._out)
        return do.logical_or(self._out[0], self._out[1])


class CartPoleBridge(Stateful):
    """B instances of CartPole, equal to Gymnasium's number by number.

    Args:
        instances: B.
        options: see CartPoleOptions.
    """

    def __init__(self, instances: int, options: CartPoleOptions) -> None:
        self._limit = options.max_episode_steps
        self.spec = spec_of(instances, options.max_episode_steps)
        self._carts = CartMotion(instances)
        self.state: CartPoleState = CartPoleState(
            'cartpole',
            motion=self._carts.motion,
            steps=np.zeros(instances, np.int64),
            over=np.zeros(instances, np.bool_),
            random=np.random.default_rng(0),
        )
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
        self._carts.advance(action[:, 0])
        terminated = self._carts.fallen()
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

    def _observe(self) -> Float32:
        # Each call returns a new array in C order.
        observation: Float32 = self._carts.motion.T.astype(np.float32, order='C')
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
