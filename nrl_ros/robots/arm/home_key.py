"""The keyframe ``home`` of an MJCF: its author's own choice of a home, used where it is allowed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.inverse import Goals, InverseKinematics
from nrl_ros.robots.arm.reach import STRAIGHT, Box, evenly
from nrl_ros.robots.arm.robot import Robot
from nrl_ros.robots.arm.several_axes import key_of

HOME = 'home'
_TARGETS = 120


@dataclass(frozen=True)
class HomeKey:
    """What a model's keyframe is to an arm.

    Attributes:
        pose: of the joints [J], rad or m.
        refused: why it is not the arm's home, '' if it is.
    """

    pose: Float64
    refused: str = ''


def home_key(robot: Robot) -> HomeKey | None:
    """Return the pose of the model's keyframe ``home``; None if it has none.

    A joint at the end of its range is moved away from it by the margin.

    Args:
        robot: the arm; its own home does not count.
    """
    model = robot.model
    key = None if model.source.is_urdf else key_of(model.source.parsed(), HOME)
    if key is None:
        return None
    if not key:
        return HomeKey(np.empty(0), 'it has not one number for each joint')
    own = np.array([key[joint] for joint in model.joints])
    low, high = np.array(robot.limits.position_low), np.array(robot.limits.position_high)
    margin = robot.description.limits.margin_rad
    pose = np.round(np.clip(own, low + 1e-4, high - 1e-4), 4)
    for at, joint in enumerate(model.joints):
        if abs(pose[at] - own[at]) > margin + 1e-3:
            where = f'{low[at]:.3g} to {high[at]:.3g} {model.units[at]}'
            return HomeKey(own, f'{joint} is at {own[at]:.3g}, beyond {where}')
    if (excess := float(robot.guard().violation(pose[None])[0])) >= 0.0:
        return HomeKey(
            pose, f'it is {1000.0 * excess:.0f} mm beyond the workspace, or too near to itself'
        )
    return HomeKey(pose)


def with_targets(key: HomeKey, robot: Robot, box: Box) -> HomeKey:
    """Return a keyframe that is refused if it has no straight way to most targets of a box."""
    if key.refused:
        return key
    goals = Goals(evenly(np.array(box.low_m), np.array(box.high_m), _TARGETS))
    share = float(InverseKinematics(robot).straight(goals, key.pose).mean())
    if share >= STRAIGHT:
        return key
    return HomeKey(
        key.pose, f'only {100.0 * share:.0f} % of the targets have a straight way from it'
    )
