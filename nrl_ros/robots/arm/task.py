"""The reaching task as plain arithmetic: observations, rewards and targets for B arms at once.

Simulation and hardware share it, so that a policy gets the same numbers from both. B: arms, J:
joints, O: size of an observation. Positions in m in the frame of the base, angles in rad.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import ActionSpace, Float32, Float64
from nrl_ros.base.state import Stateful
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.settings import ReachSettings, TargetGroup

Array = NDArray[Any]

_MOST_DRAWS = 10_000


class ReachTask:
    """Actions, observations and rewards of the reaching task.

    Args:
        robot: the arm.
        settings: of the task.

    Raises:
        ConfigError: targets lie outside of the workspace.
    """

    def __init__(self, robot: Robot, settings: ReachSettings) -> None:
        self._settings, self._robot = settings, robot
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
        _check_targets(settings.target, low, high)

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
        group = self._settings.action
        if group.choices:
            half = (group.choices - 1) / 2.0
            return (np.asarray(action, np.float64) / half - 1.0) * self._full
        wanted = np.asarray(action, np.float64)
        return wanted if group.kind == 'velocity' else wanted / self.period_s

    # ---------------------------------------------------------- observations

    def observe(self, position: Array, velocity: Array, tool: Array, target: Array) -> Float32:
        """Return the observations [B, O].

        Their parts are, in this order: joint positions (J numbers scaled to -1 .. 1 within their
        limits, or J sines and J cosines), joint velocities divided by their limits (J), positions
        of tool and target scaled to -1 .. 1 within the workspace (3 and 3), and error / (s +
        |error|) (3).

        Args:
            position: of the joints [B, J].
            velocity: of the joints [B, J].
            tool: position of the tool [B, 3].
            target: [B, 3].
        """
        if self._settings.observation.joints == 'sine':
            joints = [np.sin(position), np.cos(position)]
        else:
            joints = [(2.0 * position - self._low - self._high) / (self._high - self._low)]
        error = target - tool
        distance = np.sqrt(np.einsum('ij,ij->i', error, error))
        parts = (
            *joints,
            velocity / self._speed,
            (tool - self._middle) / self._half,
            (target - self._middle) / self._half,
            error / (self._settings.observation.error_scale_m + distance)[:, None],
        )
        return np.concatenate(parts, axis=1, dtype=np.float32, casting='same_kind')

    def manifest(self) -> str:
        """Return the meaning of each number of observation and action, with units and scales."""
        settings = self._settings
        return '\n'.join(
            [
                self._robot.manifest(),
                f'observation: joints {settings.observation.joints}, velocities over their '
                f'limits, tool and target in {self._middle - self._half} to '
                f'{self._middle + self._half} m, error / ({settings.observation.error_scale_m} m '
                '+ |error|)',
                f'action: joint {settings.action.kind}, choices {settings.action.choices}, '
                f'at most {settings.action.speed_share} of the velocity limits, each '
                f'{self.period_s:.6g} s',
            ]
        )

    # --------------------------------------------------------------- rewards

    def reward(
        self, before: Array, after: Array, wanted: Array, wanted_before: Array, last: Array
    ) -> Float64:
        """Return the rewards [B].

        Args:
            before: distance from the target before the step [B, m].
            after: distance after it [B, m].
            wanted: joint velocities that the action of this step commands [B, J].
            wanted_before: those of the action before it [B, J].
            last: True where the episode ends with this step [B, bool].
        """
        settings = self._settings.reward
        if settings.kind == 'progress':
            reward = (before - after) / settings.scale_m
        elif settings.kind == 'distance':
            reward = -after / settings.scale_m
        else:
            reward = (last & (after < self._settings.episode.success_radius_m)).astype(np.float64)
        if settings.action_cost:
            reward = reward - settings.action_cost * _mean_square(wanted / self._full)
        if settings.smoothness_cost:
            change = (wanted - wanted_before) / self._full
            reward = reward - settings.smoothness_cost * _mean_square(change)
        return np.asarray(reward, np.float64)

    def at_target(self, distance: Array) -> Array:
        """Return which arms are at their target [B, bool]."""
        return np.asarray(distance < self._settings.episode.success_radius_m)


@dataclass
class TargetsState:
    """What draws the next targets, and the place in the list of those that have one."""

    random: np.random.Generator
    at: int = 0


class Targets(Stateful):
    """Gives targets: drawn at random, or from a list in turn.

    Args:
        settings: of the targets.
        generator: draws them.
    """

    def __init__(self, settings: TargetGroup, generator: np.random.Generator) -> None:
        self._settings = settings
        self.state: TargetsState = TargetsState(generator)
        self._list = np.reshape(np.array(settings.points_m, np.float64), (-1, 3))

    def seed(self, seed: int) -> None:
        """Seed the generator, and start the list anew."""
        self.state.random, self.state.at = np.random.default_rng(seed), 0

    def draw(self, count: int) -> Float64:
        """Return the next targets [count, 3].

        Raises:
            ConfigError: targets come from a topic, or the box and the distances hardly meet.
        """
        settings, state = self._settings, self.state
        if settings.source == 'list':
            which = (state.at + np.arange(count)) % len(self._list)
            state.at = int((state.at + count) % len(self._list))
            return np.asarray(self._list[which])
        if settings.source == 'topic':
            raise ConfigError('targets from a topic exist on hardware only; set target.source')
        return draw_in_shell(settings, state.random, count)


def draw_in_shell(settings: TargetGroup, generator: np.random.Generator, count: int) -> Float64:
    """Draw points [count, 3] evenly within the box and within the distances from the centre."""
    inside = shell(settings)
    points = np.empty((0, 3))
    for _ in range(_MOST_DRAWS):
        if len(points) >= count:
            return points[:count]
        drawn = generator.uniform(settings.low_m, settings.high_m, (max(count, 16), 3))
        points = np.concatenate([points, drawn[inside(drawn)]])
    raise ConfigError(
        f'target: no point of the box {settings.low_m} to {settings.high_m} lies between '
        f'{settings.near_m} and {settings.far_m} m from {settings.centre_m}'
    )


def shell(settings: TargetGroup) -> Callable[[Array], Array]:
    """Return a function that tells which points [N, 3] are within the distances from the centre."""

    def inside(points: Array) -> Array:
        distance = np.linalg.norm(points - np.array(settings.centre_m), axis=1)
        return np.asarray((distance >= settings.near_m) & (distance <= settings.far_m))

    return inside


def distance_to(tool: Array, target: Array) -> Float64:
    """Return the distances [B, m] between tools and targets."""
    error = target - tool
    return np.asarray(np.sqrt(np.einsum('ij,ij->i', error, error)))


def _check_targets(settings: TargetGroup, low: Array, high: Array) -> None:
    if settings.source == 'topic':
        return
    points = np.array(
        [settings.low_m, settings.high_m]
        if settings.source == 'random'
        else np.reshape(settings.points_m, (-1, 3))
    )
    if (points < low).any() or (points > high).any():
        raise ConfigError(
            f'targets reach from {points.min(axis=0)} to {points.max(axis=0)} m, the workspace '
            f'from {low} to {high} m: targets must be within'
        )


def _mean_square(values: Array) -> Array:
    return np.asarray(np.einsum('ij,ij->i', values, values) / values.shape[1])
