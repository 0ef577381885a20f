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
from nrl_ros.robots.arm.observed_obstacles import ObservedObstacles
from nrl_ros.robots.arm.reachable import targets_of
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.rotations import RotationError
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.arm.targets import Poses, Targets
from nrl_ros.robots.arm.task import ReachTask, distance_to

Array = NDArray[Any]

METRICS = ('final_distance_m', 'nearest_m')
# For each of these multiples of the task's success radius a figure says whether the episode ended
# within it: near its target, at it, or precisely at it.
RADII = (2.5, 1.0, 0.5)


@dataclass
class ReachState:
    """What decides the future of the episodes of B arms.

    Attributes:
        target: of each arm [B, 3, m].
        rotation: orientation of the target, where it matters [B, 3, 3].
        distance: of the tools from their targets [B, m].
        angle: of the tools from the orientations of their targets [B, rad]; 0 for points.
        nearest: the smallest distance of the episodes so far [B, m].
        wanted: joint velocities that the newest action commanded [B, J].
        strayed: mean square distances of the joints from home [B, rad^2]; 0 if they cost nothing.
        steps: of the episodes so far [B].
        ended: arms whose episode is over; their next step begins another one [B].
        drift: velocity of the targets [B, 3, m/s].
        missed: whether a target of the episode was replaced before the tool was at it [B].
        targets: give the next ones.
    """

    target: Float64
    rotation: Float64
    distance: Float64
    angle: Float64
    nearest: Float64
    wanted: Float64
    strayed: Float64
    steps: NDArray[np.int64]
    ended: Bool
    drift: Float64
    missed: Bool
    targets: Targets


class ReachEpisodes(Stateful):
    """Episodes of B arms, each with its own target and time.

    Attributes:
        task: the arithmetic.
        spec: of the environment.
        target: target of each arm [B, 3, m].
        ended: arms whose episode is over; their next step begins another one [B, bool].
        around: what is seen of obstacles; None: they are not observed.

    Args:
        robot: the arm.
        settings: of the task.
        arms: B.

    Raises:
        ConfigError: targets lie outside of the workspace, or more obstacles are described than are
            observed.
    """

    def __init__(self, robot: Robot, settings: ReachSettings, arms: int) -> None:
        self.task = ReachTask(robot, settings)
        self._robot, self._settings = robot, settings
        axes = settings.target.orientation.axes
        self._turn = RotationError(axes) if axes else None
        self.around: ObservedObstacles | None = None
        if settings.observation.obstacles:
            self.around = ObservedObstacles(
                robot.model,
                robot.description.obstacles,
                robot.description.workspace,
                arms=arms,
                places=settings.observation.obstacles,
                scale_m=settings.observation.error_scale_m,
            )
        self.state: ReachState = ReachState(
            target=np.zeros((arms, 3)),
            rotation=np.tile(np.eye(3), (arms, 1, 1)),
            distance=np.zeros(arms),
            angle=np.zeros(arms),
            nearest=np.zeros(arms),
            wanted=np.zeros((arms, self.task.joints)),
            strayed=np.zeros(arms),
            steps=np.zeros(arms, np.int64),
            ended=np.zeros(arms, np.bool_),
            drift=np.zeros((arms, 3)),
            missed=np.zeros(arms, np.bool_),
            targets=targets_of(robot, settings.target),
        )
        self._never = np.zeros(arms, np.bool_)
        self._moves = bool(settings.target.every_steps or settings.target.speed_m_s)
        self._radii = np.array(RADII) * settings.episode.success_radius_m
        self._angles = np.array(RADII) * settings.episode.success_angle_rad
        self.spec = EnvSpec(
            arms,
            self.task.observation_size,
            self.task.action_space,
            control_period_s=self.task.period_s,
            max_episode_steps=settings.episode.steps,
            metrics=self._metrics(),
            manifest=self.task.manifest(),
        )

    def _metrics(self) -> tuple[str, ...]:
        """Return the names of the figures that each step gives."""
        within = [f'is_within_{100.0 * radius:g}_cm' for radius in self._radii]
        if self._settings.target.every_steps:
            within.append('is_at_every_target')
        if self._turn is None:
            return (*METRICS, *within)
        degrees = np.degrees(self._angles)
        marks = [f'{mark}_and_{turn:.3g}_deg' for mark, turn in zip(within, degrees, strict=False)]
        return (*METRICS, 'final_angle_rad', *marks, *within[len(marks) :])

    def begin(self, which: Array, position: Array, target: Poses | None = None) -> None:
        """Start episodes.

        Args:
            which: mask of the arms whose episodes start [B, bool].
            position: of all joints, where they are [B, J].
            target: for those arms [n]; None: the next targets of the task.
        """
        count, state = int(np.count_nonzero(which)), self.state
        if not count:
            return
        self._aim(which, count, target)
        tool = self._robot.chain.tool(position)
        distance = distance_to(tool[which], state.target[which])
        state.distance[which] = state.nearest[which] = distance
        state.angle[which] = self._angle(self._turned(position))[which]
        state.missed[which] = False
        state.wanted[which] = 0.0
        state.strayed[which] = self.task.strayed(position)[which]
        state.steps[which] = 0
        state.ended[which] = False

    def _aim(self, which: Array, count: int, target: Poses | None = None) -> None:
        """Give so many arms their next targets, or those that are given [n]."""
        state, speed = self.state, self._settings.target.speed_m_s
        if self._turn is None:
            point = state.targets.draw(count) if target is None else target.point
        else:
            target = state.targets.draw_poses(count) if target is None else target
            point, state.rotation[which] = target.point, target.rotation
        state.target[which] = point
        if speed:
            way = state.targets.state.random.standard_normal((count, 3))
            state.drift[which] = speed * way / np.linalg.norm(way, axis=1, keepdims=True)

    def _advance(self, position: Array) -> None:
        """Move targets on, or replace those whose time is up, for the step that follows.

        Only what an arm moves is rewarded.

        Args:
            position: of the joints, where they are [B, J].
        """
        state, settings = self.state, self._settings.target
        if settings.every_steps:
            due = (state.steps % settings.every_steps == 0) & (state.steps > 0) & ~state.ended
            # An arm that has just begun has its target.
            count = int(np.count_nonzero(due))
            if count:
                self._aim(due, count)
        if settings.speed_m_s:
            low, high = np.array(settings.low_m), np.array(settings.high_m)
            moved = state.target + self.task.period_s * state.drift
            state.drift = np.where((moved < low) | (moved > high), -state.drift, state.drift)
            state.target = np.clip(moved, low, high)
        self.retarget(Poses(state.target, state.rotation), position)

    def _turned(self, position: Array) -> tuple[Array, ...]:
        """Return rotation vectors to the targets [B, 3] and orientations of the tools [B, 3, 3].

        Where orientation does not matter there are none.
        """
        if self._turn is None:
            return ()
        rotation = self._robot.chain.orientation(position)
        return self._turn(rotation, self.state.rotation), rotation

    def _angle(self, turned: tuple[Array, ...]) -> Array:
        """Return the angles from the orientations of the targets [B, rad]; 0 for points."""
        return np.linalg.norm(turned[0], axis=1) if turned else np.zeros(len(self._never))

    def away(self, position: Array, target: Poses) -> tuple[Float64, Float64]:
        """Return how far tools are from targets: distances [B, m], and angles [B, rad].

        Where orientation does not matter the angles are 0.

        Args:
            position: of the joints [B, J].
            target: of each arm [B].
        """
        distance = distance_to(self._robot.chain.tool(position), target.point)
        if self._turn is None:
            return distance, np.zeros(len(distance))
        turn = self._turn(self._robot.chain.orientation(position), target.rotation)
        return distance, np.asarray(np.linalg.norm(turn, axis=1))

    def retarget(self, target: Poses, position: Array) -> None:
        """Move the targets of all arms within their episodes.

        Only what an arm moves is rewarded, and not what its target has moved.

        Args:
            target: of each arm [B].
            position: of the joints at the step before [B, J].
        """
        state = self.state
        state.target[:], state.rotation[:] = target.point, target.rotation
        state.distance = distance_to(self._robot.chain.tool(position), state.target)
        state.angle = self._angle(self._turned(position))

    def observe(self, position: Array, velocity: Array) -> Float32:
        """Return the observations [B, O] for joints [B, J]."""
        tool = self._robot.chain.tool(position)
        return self._seen(position, velocity, tool, self._turned(position))

    def _seen(
        self, position: Array, velocity: Array, tool: Array, turned: tuple[Array, ...]
    ) -> Float32:
        around = None if self.around is None else self.around.observe(tool)
        return self.task.observe(
            position, velocity, tool, self.state.target, *turned, around=around
        )

    def finish(
        self,
        position: Array,
        velocity: Array,
        wanted: Array,
        started: Array,
        *,
        over: Array | None = None,
        actual: Array | None = None,
    ) -> StepResult:
        """Return the result of a step, and count it.

        Args:
            position: of the joints after it [B, J].
            velocity: of the joints after it [B, J].
            wanted: joint velocities that its action asked for [B, J].
            started: arms whose episode began in this step instead [B, bool].
            over: arms whose time is up [B, bool]; None: by the length of the task's episodes.
            actual: where the joints are, if ``position`` is measured wrongly [B, J]; rewards and
                figures are of this.
        """
        state, went = self.state, ~started
        tool = self._robot.chain.tool(position)
        turned = self._turned(position)
        if actual is None:
            distance, angle = distance_to(tool, state.target), self._angle(turned)
        else:
            distance, angle = self.away(actual, Poses(state.target, state.rotation))
        state.steps += went
        late = (state.steps >= self._settings.episode.steps if over is None else over) & went
        there = self._never
        if self._settings.episode.terminate_at_target and over is None:
            there = self.task.at_target(distance, *(angle,) * bool(turned)) & went
        angles = (state.angle, angle) if turned else ()
        reward = self.task.reward(
            state.distance, distance, wanted, state.wanted, late | there, *angles
        )
        strayed = self.task.strayed(position)
        reward -= self._settings.reward.home_cost * (strayed - state.strayed)
        state.distance, state.angle, state.strayed = distance, angle, strayed
        state.nearest = np.minimum(state.nearest, distance)
        state.wanted = np.where(went[:, None], wanted, 0.0)
        state.ended = late | there
        figures = self._figures(went)
        if self._moves:
            self._advance(position if actual is None else actual)
            turned = self._turned(position)
        return StepResult(
            self._seen(position, velocity, tool, turned),
            np.where(went, reward, 0.0),
            there,
            late & ~there,
            self._never,
            figures,
        )

    def _figures(self, went: Array) -> Float64:
        """Return the figures of the episodes so far [B, M]; ``went``: arms that made a step [B]."""
        state, every = self.state, self._settings.target.every_steps
        within = state.distance[:, None] < self._radii
        columns: list[Array] = [state.distance, state.nearest]
        if self._turn is not None:
            within &= state.angle[:, None] < self._angles
            columns.append(state.angle)
        columns.append(within)
        if every:
            due = went & ((state.steps % every == 0) | state.ended)
            state.missed |= due & ~within[:, 1]
            columns.append(~state.missed)
        return np.column_stack(columns)

    def seed(self, seed: int) -> None:
        """Seed the generator of the targets and start their list anew."""
        self.state.targets.seed(seed)
