"""Many simulated arms that reach, in one array: the vectorised version of a real arm's task.

Each control period passes the same limits as on hardware (``nrl_ros.robots.safety.motion``), then
the motors follow. With ``simulation.physics: servo`` all joints follow their velocity commands at
once, as those of an industrial arm do; with ``mujoco`` MuJoCo steps the dynamics of each arm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import CheckpointError, ConfigError
from nrl_ros.base.records import Float32, Float64, Int32, Observation, StepResult
from nrl_ros.base.state import Stateful
from nrl_ros.environments.interfaces import Drawn, Environment, Rollout
from nrl_ros.robots.arm.enclosing import EnclosingGuard
from nrl_ros.robots.arm.episode import ReachEpisodes
from nrl_ros.robots.arm.observed_obstacles import ObservedObstacles
from nrl_ros.robots.arm.picture import Camera, draw_reaches, reaches_of
from nrl_ros.robots.arm.plant import MujocoPlant, ServoPlant
from nrl_ros.robots.arm.random_obstacles import RandomObstacles
from nrl_ros.robots.arm.reach import remarks_of
from nrl_ros.robots.arm.robot import Robot, load_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.arm.supervision import ANCHOR_GAIN
from nrl_ros.robots.arm.variation import VariedPlant, is_varied
from nrl_ros.robots.safety.limits import Guard, WorkspaceGuard
from nrl_ros.robots.safety.motion import MotionFilter

Array = NDArray[Any]

_HALVINGS = 5


@dataclass
class ArmState:
    """What decides the future of B arms.

    Attributes:
        episodes: targets, distances and times.
        plant: the motors.
        position: reference of the motion limits, up to date in snapshots alone [B, J, rad].
        velocity: of that reference [B, J, rad/s].
        random: draws starting positions.
        episode: number of each episode [B].
    """

    episodes: ReachEpisodes
    plant: Any
    position: Float64
    velocity: Float64
    random: np.random.Generator
    episode: NDArray[np.int64]


@dataclass
class SurroundedState(ArmState):
    """What decides the future of B arms with random obstacles.

    Attributes:
        around: their obstacles.
    """

    around: RandomObstacles


class ArmBridge(Stateful):
    """B simulated arms with the limits and the task of a real one.

    Attributes:
        robot: the arm.
        episodes: of all arms.
        spec: of the environment.
        plant: the motors.
        motion_filter: keeps the limits.
        around: random obstacles; None: there are none.
        limited: which limits changed the newest step, of Limited [B].

    Args:
        instances: B.
        options: see ReachSettings.

    Raises:
        ConfigError: the robot's description, its model, or the task is wrong.
    """

    def __init__(self, instances: int, options: ReachSettings) -> None:
        self._options = options
        self.robot = robot = load_robot(options.robot)
        self.episodes = ReachEpisodes(robot, options, instances)
        self.spec = self.episodes.spec
        # What holds for all arms alike; the filter knows each one's random obstacles too.
        self._guard = guard_of(robot, options)
        self.around = random_obstacles(robot, options, self.episodes.around, instances)
        guard = self._guard
        if self.around is not None:
            assert isinstance(guard, WorkspaceGuard)
            guard = self.around.added_to(guard)
        self.motion_filter = MotionFilter(robot.limits, robot.period_s, arms=instances, guard=guard)
        self.plant: Any
        if options.simulation.physics == 'servo':
            self.plant = ServoPlant(
                robot.model, instances, robot.period_s, options.simulation.time_constant_s
            )
        else:
            self.plant = MujocoPlant(robot.model, instances, robot.period_s)
        self.limited = np.zeros(instances, np.uint8)
        randomise = options.simulation.randomise
        # The plant, if its arms differ.
        self.varied: VariedPlant | None = None
        if is_varied(randomise):
            self.plant = self.varied = VariedPlant(self.plant, randomise, robot.period_s)
        kind: type[ArmState] = ArmState
        more: dict[str, Any] = {}
        if self.around is not None:
            kind, more = SurroundedState, {'around': self.around}
        self.state: ArmState = kind(
            self.episodes,
            self.plant,
            position=np.zeros_like(self.plant.position),
            velocity=np.zeros_like(self.plant.velocity),
            random=np.random.default_rng(0),
            episode=np.zeros(instances, np.int64),
            **more,
        )
        self._camera: Camera | None = None
        self._place(np.ones(instances, np.bool_))

    def reset(self, seed: int) -> Observation:
        """Start all arms anew; return their first observations [B, O]."""
        self.state.random = np.random.default_rng([seed, 1])
        self.episodes.seed(seed)
        if self.varied is not None:
            self.varied.seed([seed, 2])
        if self.around is not None:
            self.around.seed([seed, 3])
        self.state.episode[:] = 0
        everyone = np.ones(self.spec.instances, np.bool_)
        self._leave_obstacles(everyone)
        self._place(everyone)
        self._begin(everyone)
        return self.episodes.observe(self.plant.position, self.plant.velocity)

    def _place(self, which: Array) -> None:
        """Put arms at home, or at a random allowed place near it."""
        start = _spread(self.robot, self._options, self.state.random, self.spec.instances)
        if self._guard is not None:
            start[which] = _within(self.robot, start[which], self._guard)
        self.plant.reset(start, which)
        self.motion_filter.start(start, which)

    def step(self, action: Int32 | Float32) -> StepResult:
        """Apply one action per arm; an arm whose episode ended begins another one instead."""
        started = self.episodes.state.ended.copy()
        wanted = self.episodes.task.wanted_velocity(action)
        wanted[started] = 0.0
        self.limited[:] = 0
        for _ in range(self._options.action_every):
            motion = self.motion_filter.follow(wanted)
            self.limited |= motion.limited
            self.plant.step(motion.velocity)
            if self.varied is not None:
                # As the safety node does, since the limits are meant for the arm.
                self.motion_filter.anchor(self.varied.position, ANCHOR_GAIN)
        if started.any():
            self._leave_obstacles(started)
            episode = self.state.episode
            episode[started] += 1
            every = self._options.episode.home_every
            home = started & (episode % every == 0) if every else self._nobody(started)
            if home.any():
                self._place(home)
        self._begin(started)
        return self.episodes.finish(
            self.plant.position,
            self.plant.velocity,
            wanted,
            started,
            actual=None if self.varied is None else self.varied.actual,
        )

    def _leave_obstacles(self, which: Array) -> None:
        """Take the random obstacles of the episodes before away."""
        if self.around is not None:
            self.around.clear(which)
            self.motion_filter.forget(which)

    def _begin(self, which: Array) -> None:
        """Begin episodes of arms where they are, and draw their obstacles."""
        self.episodes.begin(which, self._actual())
        if self.around is not None and which.any():
            target = self.episodes.state.target
            self.around.draw(which, self.motion_filter.brake_positions(), target)
            self.motion_filter.forget(which)
            self._show_obstacles(which)

    def _show_obstacles(self, which: Array) -> None:
        if self.around is not None and self.episodes.around is not None:
            self.episodes.around.put(which, self.around.state.box[which])

    def _actual(self) -> Float64:
        """Return where the joints are [B, J], which is not where they are measured if varied."""
        return self.plant.position if self.varied is None else self.varied.actual

    @staticmethod
    def _nobody(started: Array) -> Array:
        return np.zeros_like(started)

    def end(self, which: Array) -> None:
        """End episodes with the newest step: those arms begin another one with the next."""
        self.episodes.state.ended = self.episodes.state.ended | which

    def close(self) -> None:
        """Release the camera, if pictures were taken."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def remarks(self) -> tuple[str, ...]:
        """Return what a person should know before the arms learn."""
        return remarks_of(self.robot, self._options)

    def pose(self) -> dict[str, Array]:
        """Return the positions of the joints [B, J, rad] and the targets [B, 3, m].

        Where orientations matter, those of the targets come along [B, 3, 3].
        """
        state = self.episodes.state
        found: dict[str, Array] = {
            'position': self._actual().copy(),
            'target': state.target.copy(),
        }
        if self._options.target.orientation.axes:
            found['rotation'] = state.rotation.copy()
        return found

    def frame(self) -> Array:
        """Return a picture of the first arm, its target and the way of its tool [H, W, 3]."""
        target, state = self._options.target, self.episodes.state
        if self._camera is None:
            corners = np.array([target.low_m, target.high_m])
            self._camera = Camera(self.robot, np.concatenate([corners, state.target[:1]]))
        rotation = state.rotation[0] if target.orientation.axes else None
        return self._camera.picture(
            self._actual()[0], state.target[0], rotation, begins=not state.steps[0]
        )

    def draw(self, before: Rollout, after: Rollout, folder: str) -> Drawn:
        """Write ``reaching.png`` and ``reaching.gif`` of both rollouts into a folder."""
        files = Path(folder) / 'reaching.png', Path(folder) / 'reaching.gif'
        untrained, trained = (
            reaches_of(
                self.robot,
                rollout,
                period_s=self.spec.control_period_s,
                success_radius_m=self._options.episode.success_radius_m,
            )
            for rollout in (before, after)
        )
        draw_reaches(untrained, trained, *files)
        return Drawn('the arm reaching', tuple(map(str, files)))

    def before_snapshot(self) -> None:
        """Copy the reference of the motion limits."""
        self.state.position[...] = self.motion_filter.position
        self.state.velocity[...] = self.motion_filter.velocity

    def check_snapshot(self, snapshot: dict[str, Any]) -> None:
        """Refuse a reference that is not finite.

        Raises:
            CheckpointError: it is not.
        """
        if not np.isfinite([snapshot['position'], snapshot['velocity']]).all():
            raise CheckpointError('position, velocity: expected a finite reference of the arms')

    def after_restore(self) -> None:
        """Let the motion go on from the reference that was put back."""
        everyone = np.ones(self.spec.instances, np.bool_)
        self._show_obstacles(everyone)
        self.motion_filter.forget(everyone)
        self.motion_filter.resume(self.state.position, self.state.velocity)


def draw_starts(
    robot: Robot,
    options: ReachSettings,
    guard: Guard | None,
    generator: np.random.Generator,
    count: int,
) -> Float64:
    """Draw positions at home, or allowed ones near it [count, J]."""
    start = _spread(robot, options, generator, count)
    return start if guard is None else _within(robot, start, guard)


def _spread(
    robot: Robot, options: ReachSettings, generator: np.random.Generator, count: int
) -> Float64:
    spread, limits = options.episode.start_spread_rad, robot.limits
    start = np.tile(robot.home, (count, 1))
    if spread:
        start += generator.uniform(-spread, spread, start.shape)
    return np.asarray(np.clip(start, limits.position_low, limits.position_high))


def _within(robot: Robot, start: Float64, guard: Guard) -> Float64:
    """Return start positions [n, J]; those outside of the guard are moved towards home.

    Each round moves them halfway, five times at most; after that they start at home itself.
    """
    for _ in range(_HALVINGS):
        outside = guard.violation(start) > 0.0
        if not outside.any():
            return start
        start[outside] = 0.5 * (start[outside] + robot.home)
    start[outside] = robot.home
    return start


def random_obstacles(
    robot: Robot, options: ReachSettings, seen: ObservedObstacles | None, arms: int
) -> RandomObstacles | None:
    """Return what draws the obstacles of simulated arms; None if they have none.

    Args:
        robot: the arm.
        options: of the bridge.
        seen: what is observed of obstacles; None: nothing.
        arms: B.

    Raises:
        ConfigError: the other options do not go with them.
    """
    group, target = options.obstacles.random, options.target
    if not group.most:
        return None
    if not options.simulation.guard or options.simulation.shapes != 'exact':
        raise ConfigError(
            f'obstacles.random.most {group.most}: only simulation.guard: true with '
            'simulation.shapes: exact keeps arms from random obstacles'
        )
    if target.every_steps or target.speed_m_s:
        raise ConfigError(
            f'obstacles.random.most {group.most}: an obstacle leaves the target of its episode '
            'free, expected target.every_steps and target.speed_m_s of 0'
        )
    if seen is not None and seen.free < group.most:
        raise ConfigError(
            f'observation.obstacles {options.observation.obstacles}: {seen.free} places are left '
            f"beside the obstacles of the robot's file, expected obstacles.random.most "
            f'{group.most}: give more places'
        )
    region = np.array([target.low_m, target.high_m])
    return RandomObstacles(robot.model, robot.description, group, region, arms)


def guard_of(robot: Robot, options: ReachSettings) -> Guard | None:
    """Return the guard of simulated arms, None if they have none."""
    if not options.simulation.guard:
        return None
    if options.simulation.shapes == 'exact':
        return robot.guard()
    guard: Guard = EnclosingGuard(robot)
    return guard


def make(instances: int, options: ReachSettings) -> Environment:
    """Make an ArmBridge, as the registry calls it."""
    return ArmBridge(instances, options)
