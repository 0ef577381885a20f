"""Episodes of reaching: from positions, velocities and actions to observations and rewards.

The vectorised simulation and the environment of a real arm both keep their episodes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import Bool, EnvSpec, Float32, Float64, StepResult
from nrl_ros.base.state import Stateful
from nrl_ros.robots.arm.reachable import targets_of
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.arm.task import ReachTask, Targets, distance_to

Array = NDArray[Any]

METRICS = ('final_distance_m', 'nearest_m')
# For each of these multiples of the task's success radius a figure says whether the episode ended
# within it: near its target, at it, or precisely at it.
_RADII = (2.5, 1.0, 0.5)


@dataclass
class ReachState:
    """What decides the future of the episodes of B arms.

    Attributes:
        target: of each arm [B, 3, m].
        distance: of the tools from their targets [B, m].
        nearest: the smallest distance of the episodes so far [B, m].
        wanted: joint velocities that the newest action commanded [B, J].
        steps: of the episodes so far [B].
        ended: arms whose episode is over; their next step begins another one [B].
        targets: give the next ones.
    """

    target: Float64
    distance: Float64
    nearest: Float64
    wanted: Float64
    steps: NDArray[np.int64]
    ended: Bool
    targets: Targets


class ReachEpisodes(Stateful):
    """Episodes of B arms, each with its own target and time.

    Attributes:
        task: the arithmetic.
        spec: of the environment.
        target: target of each arm [B, 3, m].
        ended: arms whose episode is over; their next step begins another one [B, bool].

    Args:
        robot: the arm.
        settings: of the task.
        arms: B.
    """

    def __init__(self, robot: Robot, settings: ReachSettings, arms: int) -> None:
        self.task = ReachTask(robot, settings)
        self._robot, self._settings = robot, settings
        self.state: ReachState = ReachState(
            target=np.zeros((arms, 3)),
            distance=np.zeros(arms),
            nearest=np.zeros(arms),
            wanted=np.zeros((arms, self.task.joints)),
            steps=np.zeros(arms, np.int64),
            ended=np.zeros(arms, np.bool_),
            targets=targets_of(robot, settings.target),
        )
        self._never = np.zeros(arms, np.bool_)
        self._radii = np.array(_RADII) * settings.episode.success_radius_m
        self.spec = EnvSpec(
            arms,
            self.task.observation_size,
            self.task.action_space,
            control_period_s=self.task.period_s,
            max_episode_steps=settings.episode.steps,
            metrics=(*METRICS, *(f'is_within_{100.0 * radius:g}_cm' for radius in self._radii)),
            manifest=self.task.manifest(),
        )

    def begin(self, which: Array, tool: Array, target: Array | None = None) -> None:
        """Start episodes.

        Args:
            which: mask of the arms whose episodes start [B, bool].
            tool: positions of all tools [B, 3].
            target: for those arms [n, 3]; None: the next targets of the task.
        """
        count, state = int(np.count_nonzero(which)), self.state
        if count:
            state.target[which] = state.targets.draw(count) if target is None else target
            distance = distance_to(tool[which], state.target[which])
            state.distance[which] = state.nearest[which] = distance
            state.wanted[which] = 0.0
            state.steps[which] = 0
            state.ended[which] = False

    def observe(self, position: Array, velocity: Array, tool: Array) -> Float32:
        """Return the observations [B, O] for joints [B, J] and tools [B, 3]."""
        return self.task.observe(position, velocity, tool, self.state.target)

    def finish(
        self, position: Array, velocity: Array, tool: Array, wanted: Array, started: Array
    ) -> StepResult:
        """Return the result of a step, and count it.

        Args:
            position: of the joints after it [B, J].
            velocity: of the joints after it [B, J].
            tool: after it [B, 3].
            wanted: joint velocities that its action asked for [B, J].
            started: arms whose episode began in this step instead [B, bool].
        """
        state, went = self.state, ~started
        distance = distance_to(tool, state.target)
        state.steps += went
        late = (state.steps >= self._settings.episode.steps) & went
        there = self._never
        if self._settings.episode.terminate_at_target:
            there = self.task.at_target(distance) & went
        reward = self.task.reward(state.distance, distance, wanted, state.wanted, late | there)
        state.distance = distance
        state.nearest = np.minimum(state.nearest, distance)
        state.wanted = np.where(went[:, None], wanted, 0.0)
        state.ended = late | there
        return StepResult(
            self.observe(position, velocity, tool),
            np.where(went, reward, 0.0),
            there,
            late & ~there,
            self._never,
            np.column_stack([distance, state.nearest, distance[:, None] < self._radii]),
        )

    def seed(self, seed: int) -> None:
        """Seed the generator of the targets and start their list anew."""
        self.state.targets.seed(seed)
