"""Reaching in one dimension, the paper's task, for many instances at once.

It equals neurogym's ``Reaching1D-v0`` (``neurogym/envs/native/reaching.py``, version 2.3.1), which
requires gymnasium 0.29 and so cannot be installed beside it;
``scripts/verify_reaching_against_neurogym.py`` compares the two number by number.

A position on a circle starts opposite to 0 and moves one step to either side, or not at all. The
target is shown after a time. From then on the reward is 1 - distance, at least -0.1. Target and
position are shown as cosines around a ring of directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import ActionSpace, Bool, EnvSpec, Float32, Float64, Int32, StepResult
from nrl_ros.base.settings import Settings
from nrl_ros.base.state import Stateful
from nrl_ros.environments.interfaces import Array, Environment
from sim_bridge.frames import BLUE, GREY, RED, WHITE, Line, frame_of

_CIRCLE = 2.0 * np.pi
# Motions of the three choices, in neurogym's order: none, plus, minus.
_MOVES = np.array([0.0, 1.0, -1.0])


class ReachingOptions(Settings):
    """Options of the bridge 'reaching'."""

    ring_size: int = Field(16, ge=2, description='Directions of each ring; O is twice that [1]')
    period_s: float = Field(0.01, gt=0, description='Period of a step, dt [s]')
    fixation_s: float = Field(0.5, ge=0, description='Time before the target is shown [s]')
    reach_s: float = Field(2.5, gt=0, description='Time with the target shown, to be there [s]')
    step_rad: float = Field(0.05, gt=0, description='Length of one step [rad]')
    reward_correct: float = Field(1.0, description='Reward at the target [1]')
    reward_fail: float = Field(-0.1, description='Lowest reward [1]')
    integer_target: bool = Field(
        False,
        description='Judge by the target rounded down to whole radians, as neurogym does: its '
        'array of targets has the integer type of the actions',
    )


@dataclass
class ReachingState:
    """What decides the future of B instances.

    Attributes:
        target: [B, rad].
        position: [B, rad].
        at: step of each trial; all have one length, and a person may end one sooner [B].
        over: instances whose trial has ended; their next step begins another one [B].
        random: draws targets.
    """

    target: Float64
    position: Float64
    at: NDArray[np.int64]
    over: Bool
    random: np.random.Generator


class ReachingBridge(Stateful):
    """B instances of one-dimensional reaching; trials have a fixed length and are truncated.

    Args:
        instances: B.
        options: see ReachingOptions.

    Raises:
        ConfigError: the trial holds no step with the target shown.
    """

    def __init__(self, instances: int, options: ReachingOptions) -> None:
        self._options = options
        self._fixation = round(options.fixation_s / options.period_s)
        self._steps = self._fixation + round(options.reach_s / options.period_s)
        if self._steps == self._fixation:
            raise ConfigError(
                f'reaching: reach_s {options.reach_s} is shorter than one step of '
                f'{options.period_s} s'
            )
        size = options.ring_size
        self.spec = EnvSpec(
            instances,
            2 * size,
            ActionSpace.discrete(3),
            (-1.0,) * (2 * size),
            (1.0,) * (2 * size),
            options.period_s,
            self._steps,
        )
        self._ring = np.arange(size) * (_CIRCLE / size)
        self.state: ReachingState = ReachingState(
            target=np.zeros(instances),
            position=np.full(instances, np.pi),
            at=np.zeros(instances, np.int64),
            over=np.zeros(instances, np.bool_),
            random=np.random.default_rng(0),
        )

    def reset(self, seed: int) -> Float32:
        """Start all instances anew; return their first observations [B, O]."""
        self.state.random = np.random.default_rng(seed)
        self._start(np.ones(self.spec.instances, np.bool_))
        return self._observe()

    def _start(self, which: Bool) -> None:
        """Begin a trial with another target in some instances [B]."""
        state = self.state
        state.target = state.target.copy()
        state.target[which] = state.random.uniform(0.0, _CIRCLE, np.count_nonzero(which))
        state.position = np.where(which, np.pi, state.position)
        state.at = np.where(which, 0, state.at)
        state.over = state.over & ~which

    def set_trial(self, target: Float64) -> Float32:
        """Start a trial with given targets [B, rad], for comparison and for demonstrations."""
        self._start(np.ones(self.spec.instances, np.bool_))
        self.state.target = np.array(target, np.float64)
        return self._observe()

    def _observe(self) -> Float32:
        size, state = len(self._ring), self.state
        observation = np.zeros((self.spec.instances, 2 * size), np.float32)
        shown = state.at >= self._fixation
        if shown.all():
            observation[:, :size] = np.cos(self._ring - state.target[:, None])
        elif shown.any():
            observation[shown, :size] = np.cos(self._ring - state.target[shown, None])
        observation[:, size:] = np.cos(self._ring - state.position[:, None])
        return observation

    def step(self, action: Int32 | Float32) -> StepResult:
        """Move each position; the target is shown before the first action that it judges."""
        count, state = self.spec.instances, self.state
        never = np.zeros(count, np.bool_)
        starting = state.over
        if starting.any():
            self._start(starting)
        moves = np.where(starting, 0.0, _MOVES[action[:, 0]] * self._options.step_rad)
        state.position = np.mod(state.position + moves, _CIRCLE)
        judged = (state.at >= self._fixation) & ~starting
        reward = np.where(judged, self._reward(), 0.0)
        state.at = state.at + ~starting
        state.over = state.at >= self._steps
        return StepResult(self._observe(), reward, never, state.over.copy(), never)

    def _reward(self) -> Float64:
        target, position = self.state.target, self.state.position
        if self._options.integer_target:
            target = np.floor(target)
        distance = np.abs(position - target)
        distance = np.minimum(distance, _CIRCLE - distance)
        reward: Float64 = self._options.reward_correct - distance
        return np.maximum(reward, self._options.reward_fail)

    def frame(self) -> Array:
        """Return a picture of the circle of instance 0: its position, its target once shown."""
        middle = (0.0, 0.0)
        lines = [Line(middle, middle, 2.03, GREY), Line(middle, middle, 1.97, WHITE)]
        shown = [(self.state.position, 0.18, BLUE)]
        if self.state.at[0] >= self._fixation:
            shown.insert(0, (self.state.target, 0.28, RED))
        for angle, width, colour in shown:
            point = (float(np.cos(angle[0])), float(np.sin(angle[0])))
            lines.append(Line(point, point, width, colour))
        return frame_of(lines, middle, 1.3)

    def end(self, which: Array) -> None:
        """End trials with the newest step: those instances start anew with the next one."""
        self.state.over = self.state.over | which

    def close(self) -> None:
        """Do nothing: no resources are held."""


def make(instances: int, options: ReachingOptions) -> Environment:
    """Make a ReachingBridge, as the registry calls it."""
    return ReachingBridge(instances, options)
