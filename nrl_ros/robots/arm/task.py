"""The reaching task as plain arithmetic: observations, rewards and targets for B arms at once.

Simulation and hardware share it, so that a policy gets the same numbers from both. B: arms, J:
joints, O: size of an observation. Positions in m in the frame of the base, angles in rad.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.manifest import within
from nrl_ros.base.records import ActionSpace, Float32, Float64
from nrl_ros.robots.arm.observed_obstacles import NUMBERS
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.screws import turned_line
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.arm.targets import check_targets

Array = NDArray[Any]

# By how much the periods of arms may differ that share a policy of velocities [s].
_PERIODS_S = 0.03


class ReachTask:
    """Actions, observations and rewards of the reaching task.

    Args:
        robot: the arm.
        settings: of the task.

    Raises:
        ConfigError: targets lie outside of the workspace.
    """

    def __init__(self, robot: Robot, settings: ReachSettings) -> None:
        self._settings, self._robot, self._home = settings, robot, robot.home
        # The limits are those of the machine, without the share of speed: observations and actions
        # keep their meaning when the share changes.
        hard = robot.hard
        self._low, self._high = np.array(hard.position_low), np.array(hard.position_high)
        self._speed = np.array(hard.velocity)
        box = robot.description.workspace
        low, high = np.array(box.low_m), np.array(box.high_m)
        self._middle, self._half = (low + high) / 2.0, (high - low) / 2.0
        self.period_s = settings.action_every * robot.period_s
        self.joints = len(hard.joints)
        self._full = self._speed * settings.action.speed_share
        each = 2 if settings.observation.joints == 'sine' else 1
        self.observation_size = (each + 1) * self.joints + 9
        self.observation_size += NUMBERS * settings.observation.obstacles
        self._oriented = bool(settings.target.orientation.axes)
        if self._oriented:
            self.observation_size += 9
        check_targets(settings.target, low, high)
        self._arrays: Any = np

    def on(self, arrays: Any) -> ReachTask:
        """Return the same task for other arrays than those of numpy; as ``Chain.on``."""
        other = copy.copy(self)
        other._arrays, other._home = arrays, arrays.array(self._home)
        for name in ('_low', '_high', '_speed', '_middle', '_half', '_full'):
            setattr(other, name, arrays.array(getattr(self, name)))
        return other

    # --------------------------------------------------------------- actions

    @property
    def action_space(self) -> ActionSpace:
        """The action space: joint velocities [rad/s], displacements [rad], or choices."""
        action = self._settings.action
        if action.choices:
            return ActionSpace.multi_discrete((action.choices,) * self.joints)
        bound = self._full if action.kind == 'velocity' else self._full * self.period_s
        return ActionSpace.continuous(tuple((-bound).tolist()), tuple(bound.tolist()))

    def wanted_velocity(self, action: Array) -> Float64:
        """Return the joint velocities [B, J, rad/s] that actions [B, J] command."""
        group, do = self._settings.action, self._arrays
        if group.choices:
            half = (group.choices - 1) / 2.0
            chosen: Float64 = (do.asarray(action, do.float64) / half - 1.0) * self._full
            return chosen
        wanted: Float64 = do.asarray(action, do.float64)
        return wanted if group.kind == 'velocity' else wanted / self.period_s

    # ---------------------------------------------------------- observations

    def observe(
        self,
        position: Array,
        velocity: Array,
        tool: Array,
        target: Array,
        *turned: Array,
        around: Array | None = None,
    ) -> Float32:
        """Return the observations [B, O].

        Their parts are, in this order: joint positions (J numbers scaled to -1 .. 1 within their
        limits, or J sines and J cosines), joint velocities divided by their limits (J), positions
        of tool and target scaled to -1 .. 1 within the workspace (3 and 3), and error / (s +
        |error|) (3). Where orientation matters there follow the rotation vector from tool to
        target, scaled likewise (3), and the tool's x and z axis (6); where obstacles are observed,
        the numbers of their places (``ObservedObstacles``).

        Args:
            position: of the joints [B, J].
            velocity: of the joints [B, J].
            tool: position of the tool [B, 3].
            target: [B, 3].
            turned: where orientation matters, the rotation vectors from tool to target [B, 3, rad]
                and the orientation of the tool [B, 3, 3].
            around: what is seen of obstacles [B, ...]; None: they are not observed.
        """
        settings, do = self._settings.observation, self._arrays
        if settings.joints == 'sine':
            joints = [do.sin(position), do.cos(position)]
        else:
            joints = [(2.0 * position - self._low - self._high) / (self._high - self._low)]
        parts = [
            *joints,
            velocity / self._speed,
            (tool - self._middle) / self._half,
            (target - self._middle) / self._half,
            _saturated(target - tool, settings.error_scale_m, do),
        ]
        if self._oriented:
            turn, rotation = turned
            parts += [
                _saturated(turn, settings.error_scale_rad, do),
                rotation[:, :, 0],
                rotation[:, :, 2],
            ]
        if around is not None:
            parts.append(around)
        seen: Float32 = do.concatenate(parts, axis=1, dtype=do.float32, casting='same_kind')
        return seen

    def manifest(self) -> str:
        """Return the meaning of each number of observation and action, with units and scales."""
        settings, turned, around = self._settings, '', ''
        robot = [self._robot.manifest()]
        if self._oriented:
            robot.append(turned_line(self._robot.chain.screws()[1]))
            turned = (
                f', rotation about {" ".join(settings.target.orientation.axes)} / '
                f'({settings.observation.error_scale_rad} rad + |rotation|), x and z axis of the '
                'tool'
            )
        if settings.observation.obstacles:
            around = (
                f', {settings.observation.obstacles} obstacles: middle and half lengths of the box '
                f'around each in the workspace, direction from the tool times '
                f'{settings.observation.error_scale_m} m / ({settings.observation.error_scale_m} m '
                '+ distance)'
            )
        return '\n'.join(
            [
                *robot,
                f'observation: joints {settings.observation.joints}, velocities over their '
                f'limits, tool and target in {self._middle - self._half} to '
                f'{self._middle + self._half} m, error / ({settings.observation.error_scale_m} m '
                f'+ |error|){turned}{around}',
                f'action: joint {settings.action.kind}, choices {settings.action.choices}, '
                f'at most {settings.action.speed_share} of the velocity limits',
                self._period_line(),
            ]
        )

    def _period_line(self) -> str:
        """Return how long an action holds, in the manifest.

        A velocity means the same for whichever time, so arms of different rates share a learner; a
        displacement does not.
        """
        line = f'action period: {self.period_s:.6g} s'
        return within(line, _PERIODS_S) if self._settings.action.kind == 'velocity' else line

    # --------------------------------------------------------------- rewards

    def reward(
        self,
        before: Array,
        after: Array,
        wanted: Array,
        wanted_before: Array,
        last: Array,
        *angles: Array,
    ) -> Float64:
        """Return the rewards [B].

        Args:
            before: distance from the target before the step [B, m].
            after: distance after it [B, m].
            wanted: joint velocities that the action of this step commands [B, J].
            wanted_before: those of the action before it [B, J].
            last: True where the episode ends with this step [B, bool].
            angles: where orientation matters, the angles from the target before and after the step
                [B, rad].
        """
        settings, do = self._settings.reward, self._arrays
        if settings.kind == 'progress':
            reward = (before - after) / settings.scale_m
            if self._oriented:
                reward += (angles[0] - angles[1]) / settings.scale_rad
        elif settings.kind == 'distance':
            reward = -after / settings.scale_m
            if self._oriented:
                reward -= angles[1] / settings.scale_rad
        else:
            reward = do.asarray(last & self.at_target(after, *angles[1:]), do.float64)
        if settings.action_cost:
            reward = reward - settings.action_cost * _mean_square(wanted / self._full, do)
        if settings.smoothness_cost:
            change = (wanted - wanted_before) / self._full
            reward = reward - settings.smoothness_cost * _mean_square(change, do)
        given: Float64 = do.asarray(reward, do.float64)
        return given

    def strayed(self, position: Array) -> Float64:
        """Return the mean square distances of the joints [B, J] from home [B, rad^2].

        They are 0 where they cost nothing.
        """
        if not self._settings.reward.home_cost:
            nothing: Float64 = self._arrays.zeros(len(position))
            return nothing
        return _mean_square(position - self._home, self._arrays)

    def at_target(self, distance: Array, *angle: Array) -> Array:
        """Return which arms are at their target [B, bool].

        Args:
            distance: from it [B, m].
            angle: from its orientation where that matters [B, rad].
        """
        near: Array = self._arrays.asarray(distance < self._settings.episode.success_radius_m)
        return near & (angle[0] < self._settings.episode.success_angle_rad) if angle else near


def distance_to(tool: Array, target: Array, arrays: Any = np) -> Float64:
    """Return the distances [B, m] between tools and targets."""
    error = target - tool
    distance: Float64 = arrays.sqrt(arrays.einsum('ij,ij->i', error, error))
    return distance


def _saturated(error: Array, scale: float, arrays: Any) -> Array:
    """Return error / (scale + |error|) of vectors [B, 3]."""
    length = arrays.sqrt(arrays.einsum('ij,ij->i', error, error))
    saturated: Array = error / (scale + length)[:, None]
    return saturated


def _mean_square(values: Array, arrays: Any) -> Array:
    mean: Array = arrays.einsum('ij,ij->i', values, values) / values.shape[1]
    return mean
