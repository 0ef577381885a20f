"""Acrobot, a two-link pendulum with a motor in the middle joint, for many instances at once.

It equals Gymnasium's ``Acrobot-v1`` (``gymnasium/envs/classic_control/acrobot.py``), which has no
array form: it gives the same numbers as the bridge 'gymnasium', resets included, in a fraction of
the time. Therefore the terms are rounded in Gymnasium's order, and nothing is simplified.

The links hang down and are driven by a torque of -1, 0 or 1 until the tip is one link length above
the upper joint. Each step costs 1, the last one nothing.
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
from sim_bridge.frames import BLUE, DARK, RED, Line, frame_of

Rows = tuple[Float64, ...]
_PERIOD = 0.2
_RESET = 0.1
# Highest velocities of the two joints [rad/s].
_FASTEST = np.array([[4.0 * np.pi], [9.0 * np.pi]])
_SLOWEST = -_FASTEST
_HIGH = (1.0, 1.0, 1.0, 1.0, *np.float32(_FASTEST[:, 0]).tolist())
# Moments of gravity of the lower link and of both links about the upper joint: masses and lengths
# 1, g 9.8.
_WEIGHTS = np.array([[0.5 * 9.8], [1.5 * 9.8]])
# Constants are arrays without dimensions: numpy takes those in half the time of a Python number.
_QUARTER, _HALF, _ONE, _TWO, _MORE = (np.array(value) for value in (0.25, 0.5, 1.0, 2.0, 1.25))
_BELOW = np.array(-1.0)
_RIGHT, _STRAIGHT, _CIRCLE = (np.array(value) for value in (np.pi / 2.0, np.pi, 2.0 * np.pi))
_MIDDLE, _END, _SIXTH = (np.array(_PERIOD / part) for part in (2.0, 1.0, 6.0))


class AcrobotOptions(Settings):
    """Options of the bridge 'acrobot'."""

    max_episode_steps: int = Field(
        500, ge=1, description='Steps after which an episode is truncated [1]'
    )


class _Stage:
    """One stage of the integration: a state, and in the rows after it the rate of its change.

    The velocities are part of both, so that nothing is copied.
    """

    def __init__(self, instances: int) -> None:
        rows = np.zeros((6, instances))
        self.state, self.slope = rows[:4], rows[2:]
        self.angles, self.velocities = rows[:2], rows[2:4]
        self.rows = tuple(rows)


class _Dynamics:
    """Equations of motion of B instances, and one RK4 step (from Sutton and Barto's book).

    At these sizes the overhead of calls dominates, so views and constants are made only once.
    """

    def __init__(self, instances: int) -> None:
        self._stages = [_Stage(instances) for _ in range(4)]
        self.now = self._stages[0]
        self._room = tuple(np.zeros((8, instances)))
        self._gravity, self._centrifugal = np.zeros((2, 2, instances))
        self._pairs = (*self._gravity, *self._centrifugal)
        self._sum, self._part = np.zeros((2, 4, instances))

    def advance(self, torque: Float64) -> None:
        """Advance the state ``now`` by one period, without wrapping or bounding it."""
        one, two, three, four = self._stages
        total, part = self._sum, self._part
        self._accelerate(one, torque)
        for last, ahead, way in ((one, two, _MIDDLE), (two, three, _MIDDLE), (three, four, _END)):
            np.multiply(last.slope, way, part)
            np.add(one.state, part, ahead.state)
            self._accelerate(ahead, torque)
        np.multiply(two.slope, _TWO, part)
        np.add(one.slope, part, total)
        np.multiply(three.slope, _TWO, part)
        np.add(total, part, total)
        np.add(total, four.slope, total)
        np.multiply(total, _SIXTH, total)
        np.add(one.state, total, one.state)

    def _accelerate(self, stage: _Stage, torque: Float64) -> None:
        """Compute Gymnasium's terms in its order; factors that are powers of two are left out."""
        theta1, theta2, dtheta1, dtheta2, ddtheta1, ddtheta2 = stage.rows
        cosine, sine, d1, d2, phi1, cross, top, below = self._room
        phi2, weight, outward1, outward2 = self._pairs
        gravity, centrifugal = self._gravity, self._centrifugal
        np.cos(theta2, cosine)
        np.sin(theta2, sine)
        np.add(theta1, theta2, phi2)
        np.copyto(weight, theta1)
        np.subtract(gravity, _RIGHT, gravity)
        np.cos(gravity, gravity)
        np.multiply(gravity, _WEIGHTS, gravity)
        np.add(cosine, _MORE, d1)
        np.add(d1, _QUARTER, d1)
        np.add(d1, _ONE, d1)
        np.add(d1, _ONE, d1)
        np.multiply(cosine, _HALF, d2)
        np.add(d2, _QUARTER, d2)
        np.add(d2, _ONE, d2)
        np.multiply(dtheta2, dtheta1, cross)
        np.multiply(cross, sine, cross)
        # float_power and not a product: Gymnasium's scalar ** 2 is pow of the C library, whose last
        # bit sometimes differs.
        np.float_power(stage.velocities, _TWO, centrifugal)
        np.multiply(sine, _HALF, sine)
        np.multiply(centrifugal, sine, centrifugal)
        np.add(outward2, cross, cross)
        np.subtract(weight, cross, phi1)
        np.add(phi1, phi2, phi1)
        _solve(torque, (d1, d2, phi1, phi2, outward1), (top, below), (ddtheta1, ddtheta2))


def _solve(torque: Float64, terms: Rows, room: Rows, result: Rows) -> None:
    """Compute the accelerations of both joints from the terms of their equations."""
    d1, d2, phi1, phi2, outward1 = terms
    top, below = room
    ddtheta1, ddtheta2 = result
    np.divide(d2, d1, top)
    np.multiply(top, phi1, top)
    np.add(top, torque, top)
    np.subtract(top, outward1, top)
    np.subtract(top, phi2, top)
    np.float_power(d2, _TWO, below)
    np.divide(below, d1, below)
    np.subtract(_MORE, below, below)
    np.divide(top, below, ddtheta2)
    np.multiply(d2, ddtheta2, top)
    np.add(top, phi1, top)
    np.divide(top, d1, top)
    np.negative(top, ddtheta1)


@dataclass
class AcrobotState:
    """What decides the future of B instances.

    Attributes:
        task: tells the state from that of another task.
        motion: both angles and their velocities [4, B].
        steps: of the episodes so far [B].
        over: episodes that have ended [B].
        random: draws first states, one generator for each instance.
    """

    task: str
    motion: Float64
    steps: NDArray[np.int64]
    over: Bool
    random: list[np.random.Generator]


class AcrobotBridge(Stateful):
    """B instances of Acrobot, equal to Gymnasium's number by number.

    Args:
        instances: B.
        options: see AcrobotOptions.
    """

    def __init__(self, instances: int, options: AcrobotOptions) -> None:
        self._limit = options.max_episode_steps
        low = tuple(-bound for bound in _HIGH)
        self.spec = EnvSpec(
            instances, 6, ActionSpace.discrete(3), low, _HIGH, _PERIOD, options.max_episode_steps
        )
        self._dynamics = _Dynamics(instances)
        self._now = self._dynamics.now
        self._torque, self._tip = np.zeros((2, instances))
        self._seen = np.zeros((6, instances))
        self._far = np.zeros((2, instances))
        self._outside = np.zeros((2, instances), np.bool_)
        self.state: AcrobotState = AcrobotState(
            'acrobot',
            motion=self._now.state,
            steps=np.zeros(instances, np.int64),
            over=np.zeros(instances, np.bool_),
            random=[],
        )
        self.reset(0)

    def reset(self, seed: int) -> Float32:
        """Start all instances anew; return their first observations [B, 6]."""
        # Each instance has its own generator, seeded as the bridge 'gymnasium' seeds its
        # environments.
        seeds = np.random.SeedSequence(seed).generate_state(self.spec.instances)
        self.state.random = [np.random.default_rng(int(number)) for number in seeds]
        self.state.over[:] = False
        observation = np.empty((self.spec.instances, 6), np.float32)
        self._start(np.arange(self.spec.instances), observation)
        return observation

    def _start(self, index: NDArray[np.intp], observation: Float32) -> None:
        """Start new episodes; Gymnasium draws and shows their first states in single precision."""
        drawn = [self.state.random[i].uniform(-_RESET, _RESET, 4) for i in index]
        state = np.array(drawn, np.float32)
        self._now.state[:, index] = state.T
        self.state.steps[index] = 0
        observation[index, 0:4:2] = np.cos(state[:, :2])
        observation[index, 1:4:2] = np.sin(state[:, :2])
        observation[index, 4:] = state[:, 2:]

    def step(self, action: Int32 | Float32) -> StepResult:
        """Apply one torque to each instance; an instance whose episode ended is reset instead."""
        np.subtract(action[:, 0], _ONE, self._torque)
        self._dynamics.advance(self._torque)
        self._confine()
        terminated = self._high_enough()
        reward = np.subtract(terminated, _ONE)
        self.state.steps += 1
        truncated = self.state.steps >= self._limit
        observation = self._observe()
        if np.count_nonzero(self.state.over):
            index = np.flatnonzero(self.state.over)
            self._start(index, observation)
            reward[index] = 0.0
            terminated[index] = truncated[index] = False
        self.state.over = terminated | truncated
        never = np.zeros(len(terminated), np.bool_)
        return StepResult(observation, reward, terminated, truncated, never)

    def _confine(self) -> None:
        """Wrap angles to -pi..pi, one turn at a time as Gymnasium does, and bound velocities."""
        angles, velocities, outside = self._now.angles, self._now.velocities, self._outside
        while np.count_nonzero(np.greater(np.abs(angles, self._far), _STRAIGHT, outside)):
            np.copysign(_CIRCLE, angles, self._far)
            np.subtract(angles, self._far, out=angles, where=outside)
        np.maximum(velocities, _SLOWEST, out=velocities)
        np.minimum(velocities, _FASTEST, out=velocities)

    def _high_enough(self) -> Bool:
        """Return whether the tip is high enough, and compute the observed sines and cosines."""
        theta1, theta2, *_ = self._now.rows
        np.cos(self._now.angles, self._seen[0:4:2])
        np.sin(self._now.angles, self._seen[1:4:2])
        np.cos(np.add(theta2, theta1, self._tip), self._tip)
        np.add(self._seen[0], self._tip, self._tip)
        terminated: Bool = np.less(self._tip, _BELOW)
        return terminated

    def _observe(self) -> Float32:
        self._seen[4:] = self._now.velocities
        # Each call returns a new array in C order.
        observation: Float32 = self._seen.T.astype(np.float32, order='C')
        return observation

    def frame(self) -> Array:
        """Return a picture of both links of instance 0, and of the height of success."""
        first, second = np.cumsum(self.state.motion[:2, 0]).tolist()
        elbow = (float(np.sin(first)), -float(np.cos(first)))
        tip = (elbow[0] + float(np.sin(second)), elbow[1] - float(np.cos(second)))
        lines = [
            Line((-2.2, 1.0), (2.2, 1.0), 0.03, RED),
            Line((0.0, 0.0), elbow, 0.16, DARK),
            Line(elbow, tip, 0.12, BLUE),
        ]
        return frame_of(lines, (0.0, 0.0), 2.3)

    def end(self, which: Array) -> None:
        """End episodes with the newest step: those instances start anew with the next one."""
        self.state.over = self.state.over | which

    def close(self) -> None:
        """Do nothing: no resources are held."""


def make(instances: int, options: AcrobotOptions) -> Environment:
    """Make an AcrobotBridge, as the registry calls it."""
    return AcrobotBridge(instances, options)
