"""Targets that an arm can reach: drawn like others, and kept if inverse kinematics finds a pose."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.inverse import Goals, InverseKinematics
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.settings import TargetGroup
from nrl_ros.robots.arm.targets import Poses, Targets, TargetsState, draw_in_shell

# Points that are looked at together; those that are not asked for yet wait.
_AT_ONCE = 128
# After so many points of which none is reached, there is none.
_MOST = 4096


@dataclass
class ReachableState(TargetsState):
    """What draws the next targets, with those that were found before they are asked for.

    Attributes:
        ready: targets that wait [_AT_ONCE, 3]; the first ``left`` of them count.
        turned: their orientations, where these matter [_AT_ONCE, 3, 3].
        left: how many.
    """

    ready: Float64 = field(default_factory=lambda: np.zeros((_AT_ONCE, 3)))
    turned: Float64 = field(default_factory=lambda: np.zeros((_AT_ONCE, 3, 3)))
    left: int = 0


class ReachableTargets(Targets):
    """Gives random targets that an arm can reach within its limits, workspace and clearance.

    Args:
        robot: the arm.
        settings: of the targets.
        generator: draws them.
    """

    def __init__(self, robot: Robot, settings: TargetGroup, generator: np.random.Generator) -> None:
        super().__init__(settings, generator, robot)
        self._solver = InverseKinematics(robot)
        self.state: ReachableState = ReachableState(generator)

    def draw(self, count: int) -> Float64:
        """Return the next targets [count, 3].

        Raises:
            ConfigError: the arm reaches hardly any point of the box.
        """
        return self.draw_poses(count).point

    def draw_poses(self, count: int) -> Poses:
        """Return the next targets with their orientations; errors are those of ``draw``."""
        drawn = Poses(np.empty((count, 3)), np.empty((count, 3, 3)))
        state, done = self.state, 0
        while done < count:
            if not state.left:
                self._find()
            some = min(state.left, count - done)
            taken = slice(state.left - some, state.left)
            drawn.point[done : done + some] = state.ready[taken]
            drawn.rotation[done : done + some] = state.turned[taken]
            state.left, done = state.left - some, done + some
        return drawn

    def _find(self) -> None:
        """Let some reached targets wait.

        Raises:
            ConfigError: the arm reaches none.
        """
        state, settings = self.state, self._settings
        for _ in range(_MOST // _AT_ONCE):
            points = draw_in_shell(settings, state.random, _AT_ONCE)
            turned = self._in_cone(_AT_ONCE) if settings.orientation.axes else None
            good = self._solver.solve(Goals(points, turned)).reached
            state.left = int(np.count_nonzero(good))
            if state.left:
                state.ready[: state.left] = points[good]
                if turned is not None:
                    state.turned[: state.left] = turned[good]
                return
        raise ConfigError(
            f'target: of {_MOST} points of the box {settings.low_m} to {settings.high_m} the arm '
            'reaches none: move the box, `nrl doctor --robot` proposes one'
        )

    def seed(self, seed: int) -> None:
        """Begin anew with another generator; targets that wait are forgotten."""
        super().seed(seed)
        self.state.left = 0


def targets_of(robot: Robot, settings: TargetGroup) -> Targets:
    """Return what gives an arm its targets, until it is seeded from the seed 0."""
    generator = np.random.default_rng(0)
    if settings.reachable:
        return ReachableTargets(robot, settings, generator)
    return Targets(settings, generator, robot)
