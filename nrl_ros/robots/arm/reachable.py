"""Targets that an arm can reach: drawn like others, and kept if inverse kinematics finds a pose."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.inverse import Goals, InverseKinematics
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.settings import TargetGroup
from nrl_ros.robots.arm.task import Targets, TargetsState, draw_in_shell

# Points that are looked at together; those that are not asked for yet wait.
_AT_ONCE = 128
# After so many points of which none is reached, there is none.
_MOST = 4096


@dataclass
class ReachableState(TargetsState):
    """What draws the next targets, with those that were found before they are asked for.

    Attributes:
        ready: targets that wait [_AT_ONCE, 3]; the first ``left`` of them count.
        left: how many.
    """

    ready: Float64 = field(default_factory=lambda: np.zeros((_AT_ONCE, 3)))
    left: int = 0


class ReachableTargets(Targets):
    """Gives random targets that an arm can reach within its limits, workspace and clearance.

    Args:
        robot: the arm.
        settings: of the targets.
        generator: draws them.
    """

    def __init__(self, robot: Robot, settings: TargetGroup, generator: np.random.Generator) -> None:
        super().__init__(settings, generator)
        self._solver = InverseKinematics(robot)
        self.state: ReachableState = ReachableState(generator)

    def draw(self, count: int) -> Float64:
        """Return the next targets [count, 3].

        Raises:
            ConfigError: the arm reaches hardly any point of the box.
        """
        drawn = np.empty((count, 3))
        state, done, in_vain = self.state, 0, 0
        while done < count:
            if not state.left:
                points = draw_in_shell(self._settings, state.random, _AT_ONCE)
                good = points[self._solver.solve(Goals(points)).reached]
                in_vain = 0 if len(good) else in_vain + _AT_ONCE
                if in_vain >= _MOST:
                    raise ConfigError(
                        f'target: of {_MOST} points of the box {self._settings.low_m} to '
                        f'{self._settings.high_m} the arm reaches none: move the box, '
                        '`nrl doctor --robot` proposes one'
                    )
                state.left = len(good)
                state.ready[: state.left] = good
            some = min(state.left, count - done)
            drawn[done : done + some] = state.ready[state.left - some : state.left]
            state.left, done = state.left - some, done + some
        return drawn

    def seed(self, seed: int) -> None:
        """Begin anew with another generator; targets that wait are forgotten."""
        super().seed(seed)
        self.state.left = 0


def targets_of(robot: Robot, settings: TargetGroup) -> Targets:
    """Return what gives an arm its targets, until it is seeded from the seed 0."""
    generator = np.random.default_rng(0)
    if settings.reachable:
        return ReachableTargets(robot, settings, generator)
    return Targets(settings, generator)
