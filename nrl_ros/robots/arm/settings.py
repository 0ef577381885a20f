"""Settings of the reaching task, with units in the names."""

from __future__ import annotations

from math import pi
from typing import Literal

from pydantic import Field, model_validator

from nrl_ros.base.settings import Settings
from nrl_ros.robots.arm.random_obstacles import ObstaclesGroup
from nrl_ros.robots.arm.variation import RandomiseGroup

Point = tuple[float, float, float]


class ActionGroup(Settings):
    """What the policy commands: kind and largest speed."""

    kind: Literal['velocity', 'displacement'] = Field(
        'velocity', description='Joint velocity [rad/s], or joint displacement of one step [rad]'
    )
    choices: int = Field(
        0,
        ge=0,
        description='0: real numbers; else an odd number of evenly spaced choices for each joint',
    )
    speed_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description='Largest speed that an action asks for, as a share of the velocity limits [1]',
    )

    @model_validator(mode='after')
    def _odd(self) -> ActionGroup:
        if self.choices and (self.choices < 3 or self.choices % 2 == 0):
            raise ValueError(
                f'action.choices must be 0 or an odd number from 3, received {self.choices}: '
                'the middle one is to stand still'
            )
        return self


class ObservationGroup(Settings):
    """What the policy sees of the arm."""

    joints: Literal['scaled', 'sine'] = Field(
        'scaled', description='Joint positions scaled to their limits, or sine and cosine of each'
    )
    error_scale_m: float = Field(
        0.1, gt=0, description='s of error / (s + |error|): direction when far, distance when near'
    )
    error_scale_rad: float = Field(
        0.3, gt=0, description='The same of the rotation to the target, where orientation matters'
    )
    obstacles: int = Field(
        0,
        ge=0,
        le=16,
        description="Places for obstacles: those of the robot's file, then random ones; 0: none is "
        'observed [1]',
    )


class OrientationGroup(Settings):
    """Whether targets are poses, and how their orientations are drawn."""

    axes: tuple[Literal['x', 'y', 'z'], ...] = Field(
        (),
        description='Axes of the tool about which its rotation matters, as [x, y, z]; [x, y]: a '
        'turn about z is free; empty: targets are points',
    )
    reference_xyzw: tuple[float, ...] = Field(
        (), description="Quaternion about which cone_rad is measured; empty: the tool's at home"
    )
    cone_rad: float = Field(
        0.5, gt=0, le=pi, description='random, joints: largest rotation from the reference'
    )
    quaternions_xyzw: tuple[float, ...] = Field(
        (), description='list: x, y, z, w of each of points_m; empty: the reference for all'
    )

    @model_validator(mode='after')
    def _fit(self) -> OrientationGroup:
        if len(set(self.axes)) < len(self.axes):
            raise ValueError(f'target.orientation.axes: each once, received {list(self.axes)}')
        for name, several in (('reference_xyzw', False), ('quaternions_xyzw', True)):
            numbers = getattr(self, name)
            rows = [numbers[at : at + 4] for at in range(0, len(numbers), 4)]
            if len(numbers) % 4 or (len(rows) > 1 and not several):
                raise ValueError(
                    f'target.orientation.{name} must hold x, y, z, w of '
                    f'{"each" if several else "one"}, received {len(numbers)} numbers'
                )
            for row in rows:
                length = sum(value * value for value in row) ** 0.5
                if abs(length - 1.0) > 0.01:
                    raise ValueError(
                        f'target.orientation.{name}: {list(row)} has length {length:.4g}, expected '
                        'a unit quaternion'
                    )
        return self


class TargetGroup(Settings):
    """Source of the targets, in the frame of the workspace."""

    source: Literal['random', 'joints', 'list', 'topic'] = Field(
        'random',
        description='Drawn in a box; the tool of the arm at random allowed joint positions, within '
        'the box (joints); taken from points_m in turn; or from a topic',
    )
    low_m: Point = Field((0.25, -0.4, 0.15), description='random, joints: lowest x, y, z')
    high_m: Point = Field((0.65, 0.4, 0.6), description='random, joints: highest x, y, z')
    near_m: float = Field(0.0, ge=0, description='random, joints: least distance from centre_m')
    far_m: float = Field(0.75, gt=0, description='random, joints: largest distance from centre_m')
    centre_m: Point = Field(
        (0.0, 0.0, 0.15),
        description='random, joints: point from which near_m and far_m are measured',
    )
    spread_rad: float = Field(
        pi, gt=0, description='joints: largest distance of each joint from home'
    )
    reachable: bool = Field(
        False,
        description='random: only targets that the arm can reach within its limits; a draw costs '
        'more',
    )
    points_m: tuple[float, ...] = Field((), description='list: x, y, z of each, one after another')
    every_steps: int = Field(
        0,
        ge=0,
        description='not of a topic: steps after which another target follows within an episode; '
        '0: one target each [1]',
    )
    speed_m_s: float = Field(
        0.0,
        ge=0,
        description='random, joints: speed of targets, each in a direction of its own; they turn '
        'back at the walls of the box',
    )
    topic: str = Field(
        'target',
        description='topic: geometry_msgs/PointStamped, or PoseStamped where orientation matters; '
        'used from the next episode on, unless it is moving',
    )
    moving: bool = Field(
        False,
        description='topic: a target is followed within its episode, also where its frame moves',
    )
    tf: bool = Field(
        True,
        description='topic, goals of `reach`: bring targets in frames of /tf and /tf_static into '
        "the workspace's, where tf2_msgs is installed",
    )
    frame: str = Field(
        '',
        description='topic: frame of targets that name none, a link or site that no joint moves; '
        "empty: the workspace's. Targets that name such a frame are brought into it",
    )
    orientation: OrientationGroup = OrientationGroup()

    @model_validator(mode='after')
    def _fit(self) -> TargetGroup:
        if self.source == 'list' and (not self.points_m or len(self.points_m) % 3):
            raise ValueError(
                f'target.points_m must hold x, y, z of each point, received '
                f'{len(self.points_m)} numbers'
            )
        if self.reachable and self.source != 'random':
            raise ValueError(
                f'target.reachable is for target.source: random, received {self.source}'
            )
        if any(low >= high for low, high in zip(self.low_m, self.high_m, strict=True)):
            raise ValueError(f'target.low_m {self.low_m} must be below high_m {self.high_m}')
        orientations = len(self.orientation.quaternions_xyzw) // 4
        if orientations and orientations != len(self.points_m) // 3:
            raise ValueError(
                f'target.orientation.quaternions_xyzw holds {orientations} orientations, '
                f'target.points_m {len(self.points_m) // 3} points: expected one for each'
            )
        if self.speed_m_s and self.source not in ('random', 'joints'):
            raise ValueError(
                f'target.speed_m_s is for target.source: random or joints, received {self.source}'
            )
        if self.every_steps and self.source == 'topic':
            raise ValueError('target.every_steps is not for target.source: topic')
        if self.near_m >= self.far_m:
            raise ValueError(f'target.near_m {self.near_m} must be below far_m {self.far_m}')
        return self


class RewardGroup(Settings):
    """How rewards are computed."""

    kind: Literal['progress', 'distance', 'success'] = Field(
        'progress',
        description='progress: motion towards the target; distance: minus the distance from it; '
        'success: 1 for an episode that ends at it',
    )
    scale_m: float = Field(0.01, gt=0, description='progress, distance: metres for a reward of 1')
    scale_rad: float = Field(
        0.05,
        gt=0,
        description='The same of the rotation to the target, where orientation matters',
    )
    action_cost: float = Field(
        0.0, ge=0, description='Cost of full speed, times the mean square action [1]'
    )
    smoothness_cost: float = Field(
        0.0, ge=0, description='Cost of full speed, times the mean square change of the action [1]'
    )
    home_cost: float = Field(
        0.0,
        ge=0,
        description='Cost of coming away from home, times the change of the mean square distance '
        'of the joints from it; paid back on the way back [1/rad^2]',
    )


class EpisodeGroup(Settings):
    """How long an episode lasts, and where it ends and starts; it has one target."""

    steps: int = Field(100, ge=1, description='Steps until the time is up [1]')
    success_radius_m: float = Field(
        0.02, gt=0, description='A tool nearer than this counts as at the target'
    )
    success_angle_rad: float = Field(
        0.0873, gt=0, description='and turned less than this from it, where orientation matters'
    )
    terminate_at_target: bool = Field(False, description='End an episode at the target')
    home_every: int = Field(
        1, ge=0, description='Drive home before each n-th episode; 0: only at first [1]'
    )
    start_spread_rad: float = Field(
        0.0,
        ge=0,
        description='Simulation: start within this distance of home; hardware starts at home',
    )


class HomingGroup(Settings):
    """How a real arm is driven home, and what it waits for there; not used in simulation."""

    speed_share: float = Field(
        0.3,
        gt=0,
        le=1,
        description='Largest speed of homing, as a share of the velocity limits [1]',
    )
    tolerance_rad: float = Field(
        0.01, gt=0, description='A joint nearer than this counts as at home'
    )
    timeout_s: float = Field(
        60.0, gt=0, description='Homing that takes longer than this is a fault'
    )
    wait_for_go: bool = Field(
        False,
        description='Wait for the service ~/go before anything moves, and at home before each '
        'episode',
    )
    go_after_stop: bool = Field(
        True,
        description='After a stop, lost joint states or a safety node that was away, wait for ~/go '
        'before anything moves; wait_for_go does so too',
    )


class GoalGroup(Settings):
    """Goals of the action ``reach``, by which others use what was learned; not in simulation."""

    serve: Literal['beside', 'only', 'never'] = Field(
        'beside',
        description='beside: goals come before episodes, which go on between them; only: the arm '
        'stands between goals and has no episodes; never: no action is served',
    )
    time_limit_s: float = Field(10.0, gt=0, description='Time limit of goals that name none')
    hold_s: float = Field(
        5.0,
        ge=0,
        description='beside: the arm stands for this long after a goal, so that the next goal '
        'finds it there, before episodes go on',
    )


class SimulationGroup(Settings):
    """How arms are simulated, many at once; not used on hardware."""

    physics: Literal['servo', 'mujoco'] = Field(
        'servo', description='Joints follow their commands, or MuJoCo moves the masses'
    )
    time_constant_s: float = Field(
        0.0, ge=0, description='servo: lag of a joint behind its command'
    )
    guard: bool = Field(
        True,
        description='Keep to workspace and clearance, as hardware always does; false is faster, '
        'but the policy may learn motions that are not allowed on a real arm',
    )
    shapes: Literal['exact', 'enclosing'] = Field(
        'exact',
        description='What the guard compares: the shapes as hardware does, or capsules around '
        'them, which allow a little less and are computed for many arms at once',
    )
    randomise: RandomiseGroup = RandomiseGroup()


class ReachSettings(Settings):
    """Settings of the reaching task, named as the bridge's options.

    For example ``bridge.options.robot``, or ``bridge.options.reward.kind``.
    """

    robot: str = Field('planar', description='File of config/robots, or the path of one')
    action_every: int = Field(5, ge=1, description='Control periods of one step [1]')
    action: ActionGroup = ActionGroup()
    observation: ObservationGroup = ObservationGroup()
    target: TargetGroup = TargetGroup()
    reward: RewardGroup = RewardGroup()
    episode: EpisodeGroup = EpisodeGroup()
    homing: HomingGroup = HomingGroup()
    goals: GoalGroup = GoalGroup()
    obstacles: ObstaclesGroup = ObstaclesGroup()
    simulation: SimulationGroup = SimulationGroup()
