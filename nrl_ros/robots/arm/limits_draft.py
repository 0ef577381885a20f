"""Draft the limits of an arm: those of its model with slow speeds, tighter where it says so."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nrl_ros.base.errors import ConfigError
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.urdf import MOST_M, MOST_RAD

# Speeds to begin with [rad/s, m/s], and accelerations [rad/s^2, m/s^2].
SPEED, SLIDE_SPEED, ACCELERATION, SLIDE_ACCELERATION = 0.8, 0.2, 4.0, 1.0
# A hinge that turns further is kept within half a turn either way.
_FAR_RAD, _HALF_TURN_RAD = 3.3, 3.14
_MARGIN, _MARGIN_SHARE = 0.05, 0.1


def drafted_limits(arm: ArmModel) -> dict[str, Any]:
    """Return limits to begin with, as a description has them; None leaves a joint to its model.

    Raises:
        ConfigError: a joint's limits may be degrees or millimetres, or one slides without limits.
    """
    low: list[float | None] = []
    high: list[float | None] = []
    for at, linear in enumerate(arm.linear):
        ends = float(arm.position_low[at]), float(arm.position_high[at])
        wide = not linear and max(abs(ends[0]), abs(ends[1])) > _FAR_RAD
        soft = _soft(arm, at)
        tighter = wide and ends[0] < -_HALF_TURN_RAD, wide and ends[1] > _HALF_TURN_RAD
        if not linear and any(np.isfinite(end) and abs(end) > MOST_RAD for end in ends):
            # Half a turn may be more than the machine has, so nothing is guessed.
            raise ConfigError(
                f'joint {arm.joints[at]} turns from {ends[0]:g} to {ends[1]:g} rad by its model: '
                'degrees? Write radians in the model'
            )
        if linear and not np.isfinite(ends).all():
            raise ConfigError(f'joint {arm.joints[at]} slides without limits: give it some')
        if linear and max(abs(ends[0]), abs(ends[1])) > MOST_M:
            raise ConfigError(
                f'joint {arm.joints[at]} slides from {ends[0]:g} to {ends[1]:g} m by its model: '
                'millimetres? Write metres in the model'
            )
        low.append(_tightest(max, soft[0], -_HALF_TURN_RAD if tighter[0] else None))
        high.append(_tightest(min, soft[1], _HALF_TURN_RAD if tighter[1] else None))
    # Rounded downwards, since a description may not widen a limit.
    speed = [
        min(SLIDE_SPEED if linear else SPEED, math.floor(1e4 * min(float(own), 10.0)) / 1e4)
        for linear, own in zip(arm.linear, arm.velocity, strict=True)
    ]
    width = np.minimum(arm.position_high - arm.position_low, 2.0 * _HALF_TURN_RAD)
    return {
        'position_low_rad': low,
        'position_high_rad': high,
        'margin_rad': round(min(_MARGIN, _MARGIN_SHARE * float(width.min())), 4),
        'velocity_rad_s': speed,
        'acceleration_rad_s2': [
            SLIDE_ACCELERATION if linear else ACCELERATION for linear in arm.linear
        ],
    }


def base_joints(arm: ArmModel) -> dict[str, float]:
    """Return joints of a base that drives, which are held where the model has them.

    They slide without limits, as those of a mobile base in many MJCF; a hinge without limits on the
    same body turns it. What is further outwards belongs to the arm.
    """
    mj = arm.mj
    endless = [
        joint
        for joint, low, high in zip(arm.joints, arm.position_low, arm.position_high, strict=True)
        if not (np.isfinite(low) and np.isfinite(high))
    ]
    slides = [joint for joint in endless if arm.linear[arm.joints.index(joint)]]
    bodies = {int(mj.jnt_bodyid[mj.joint(joint).id]) for joint in slides}
    driving = [joint for joint in endless if int(mj.jnt_bodyid[mj.joint(joint).id]) in bodies]
    return {joint: float(mj.qpos0[mj.jnt_qposadr[mj.joint(joint).id]]) for joint in driving}


def _soft(arm: ArmModel, at: int) -> tuple[float | None, float | None]:
    """Return the ends to which a joint's safety_controller tightens its limits, rounded inwards."""
    joint = arm.source.joints.get(arm.joints[at])
    if joint is None:
        return None, None
    low, high = joint.limits.soft
    return (
        math.ceil(1e4 * low) / 1e4 if math.isfinite(low) else None,
        math.floor(1e4 * high) / 1e4 if math.isfinite(high) else None,
    )


def _tightest(which: Callable[..., float], *ends: float | None) -> float | None:
    """Return the highest or lowest of the ends that are given, None without any."""
    given = [end for end in ends if end is not None]
    return which(given) if given else None


def tightened_of(arm: ArmModel, limits: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the joints that are kept within less than their model's limits."""
    ends = zip(arm.joints, limits['position_low_rad'], limits['position_high_rad'], strict=True)
    return tuple(joint for joint, *both in ends if any(end is not None for end in both))
