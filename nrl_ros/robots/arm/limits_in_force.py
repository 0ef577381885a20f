"""Limits of an arm's joints and its home: those of the model, tightened by the description."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Bool, Float64
from nrl_ros.robots.arm.description import RobotDescription
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.robot_checks import check_degrees
from nrl_ros.robots.arm.urdf import MOST_RAD
from nrl_ros.robots.safety.limits import JointLimits

# Differences of rounding between a description and its model.
_ROUNDING = 1e-9
# Limits that have a default, which is a number.
_RATES = ('velocity_rad_s', 'acceleration_rad_s2')


def hard_limits(description: RobotDescription, model: ArmModel) -> JointLimits:
    """Return the model's limits tightened by the description, which may not widen them.

    Args:
        description: of the robot.
        model: of it.

    Raises:
        ConfigError: a limit is missing, or wider than the model's; names all such joints.
    """
    group, name = description.limits, description.name
    low = _or_model(description, model, 'position_low_rad', group.position_low_rad)
    high = _or_model(description, model, 'position_high_rad', group.position_high_rad)
    speed = _or_model(description, model, 'velocity_rad_s', group.velocity_rad_s)
    _check_wider(name, model, 'position_low_rad', low, model.position_low, sign=-1.0)
    _check_wider(name, model, 'position_high_rad', high, model.position_high, sign=1.0)
    _check_wider(name, model, 'velocity_rad_s', speed, model.velocity, sign=1.0)
    # A limit within rounding of the model's is the model's.
    low, high = np.maximum(low, model.position_low), np.minimum(high, model.position_high)
    endless = ~(np.isfinite(low) & np.isfinite(high))
    if endless.any():
        raise ConfigError(
            f'robot {name!r}: {_have_no(model, endless)} position limits in '
            f'{_whose(endless)} model; set '
            'limits.position_low_rad and limits.position_high_rad'
        )
    if not np.isfinite(speed).all():
        raise ConfigError(
            f'robot {name!r}: {_have_no(model, ~np.isfinite(speed))} speed limit in '
            f'{_whose(~np.isfinite(speed))} model; '
            'limits.velocity_rad_s needs a number there'
        )
    check_degrees(name, model, low, high)
    acceleration, braking = _accelerations(description, model)
    return JointLimits(
        tuple(model.joints),
        tuple(low.tolist()),
        tuple(high.tolist()),
        tuple(speed.tolist()),
        tuple(acceleration.tolist()),
        tuple(braking.tolist()),
        model.units,
    )


def with_margin(description: RobotDescription, model: ArmModel, hard: JointLimits) -> JointLimits:
    """Return the limits with the margin of the description kept from both ends.

    Raises:
        ConfigError: it leaves no room between them; names all such joints.
    """
    margin = description.limits.margin_rad
    low, high = np.array(hard.position_low), np.array(hard.position_high)
    narrow = low + margin >= high - margin
    if narrow.any():
        told = [
            f'{model.joints[at]}, which has {low[at]:g} to {high[at]:g} {model.units[at]} '
            f'({_own(model, at)})'
            for at in _places(narrow)
        ]
        raise ConfigError(
            f'robot {description.name!r}: limits.margin_rad {margin:g} leaves no room for '
            f'{"; ".join(told)}: make it smaller'
        )
    return hard.with_margin(margin)


def home_within(
    description: RobotDescription, model: ArmModel, hard: JointLimits, limits: JointLimits
) -> Float64:
    """Return home [J], which lies within the limits in force.

    Args:
        description: of the robot.
        model: of it.
        hard: its limits without the margin.
        limits: those in force.

    Raises:
        ConfigError: it does not; names all such joints, their limits, the model's and the margin.
    """
    home = each(description.name, 'home_rad', description.home_rad, len(hard.joints), absent=0.0)
    outside = (home < limits.position_low) | (home > limits.position_high)
    if not outside.any():
        return home
    told = []
    for at in _places(outside):
        told.append(
            f'home_rad of {hard.joints[at]} is {home[at]:g}, expected '
            f'{limits.position_low[at]:g} to {limits.position_high[at]:g} {model.units[at]}: its '
            f'limits {hard.position_low[at]:g} to {hard.position_high[at]:g} ({_own(model, at)}) '
            f'less limits.margin_rad {description.limits.margin_rad:g}'
            f'{_question(model, at, home[at])}'
        )
    raise ConfigError(f'robot {description.name!r}: {"; ".join(told)}')


def soft_notes(model: ArmModel, hard: JointLimits) -> list[str]:
    """Return notes on joints that their safety_controller keeps within less than is allowed here.

    Args:
        model: of the arm.
        hard: its limits without the margin.
    """
    notes = []
    for name, low, high in zip(hard.joints, hard.position_low, hard.position_high, strict=True):
        limits = model.source.joints[name].limits if name in model.source.joints else None
        if limits is not None and (low < limits.soft[0] or high > limits.soft[1]):
            ends = (max(limits.soft[0], limits.low), min(limits.soft[1], limits.high))
            notes.append(
                f'joint {name}: its safety_controller keeps it within {ends[0]:g} to {ends[1]:g}, '
                f'and may go from {low:g} to {high:g} here: write the former into '
                'limits.position_low_rad and limits.position_high_rad'
            )
    return notes


def largest_jerk(limits: JointLimits, period_s: float) -> Float64:
    """Return by how much commands may change their acceleration, by the time of a period [J].

    Acceleration is limited and not smoothed: from one period to the next it may turn round, and a
    stop may begin with ``stop_acceleration`` while a joint still speeds up.

    Args:
        limits: in force.
        period_s: time between two commands [s].
    """
    usual, stop = np.array(limits.acceleration), np.array(limits.stop_acceleration)
    return np.asarray((usual + np.maximum(usual, stop)) / period_s)


def jerk_note(model: ArmModel, limits: JointLimits, period_s: float) -> list[str]:
    """Return a note if commands may change their acceleration by more than the model allows.

    Args:
        model: of the arm.
        limits: in force.
        period_s: time between two commands [s].
    """
    jerk = largest_jerk(limits, period_s)
    told = []
    for at in _places(jerk > model.jerk + _ROUNDING):
        share = model.jerk[at] / jerk[at]
        usual, stop = (
            np.floor(1e3 * share * rates[at]) / 1e3
            for rates in (limits.acceleration, limits.stop_acceleration)
        )
        told.append(
            f'{model.joints[at]} by up to {jerk[at]:.3g} {model.units[at]}/s^3 where its model '
            f'allows {model.jerk[at]:g} (kept with limits.acceleration_rad_s2 {usual:g} and '
            f'limits.stop_acceleration_rad_s2 {stop:g})'
        )
    if not told:
        return []
    return [
        'jerk is not limited here: commands change their acceleration from one period to the next, '
        f'{"; ".join(told)}: the controller has to smooth them, or lower both limits'
    ]


def each(
    robot: str, name: str, values: Sequence[float | None], count: int, *, absent: float = np.nan
) -> Float64:
    """Return one number for each joint, from one for all or from one for each.

    Args:
        robot: its name.
        name: of the setting.
        values: none, one, or one for each joint; None is absent too.
        count: number of joints.
        absent: stands where no number is given.

    Raises:
        ConfigError: there are more or fewer.
    """
    if len(values) not in (0, 1, count):
        raise ConfigError(
            f'robot {robot!r}: {name} must hold 1 or {count} numbers (one a joint), received '
            f'{len(values)}'
        )
    numbers = [absent if value is None else value for value in values or (None,)]
    return np.array(numbers * (count if len(numbers) < count else 1), np.float64)


def _or_model(
    description: RobotDescription, model: ArmModel, name: str, values: Sequence[float | None]
) -> Float64:
    """Return limits [J] of the description, and the model's where it gives none."""
    own = {
        'position_low_rad': model.position_low,
        'position_high_rad': model.position_high,
        'velocity_rad_s': model.velocity,
        'acceleration_rad_s2': np.minimum(model.acceleration, model.deceleration),
    }[name]
    given = each(description.name, name, values, len(model.joints))
    if name in _RATES and name not in description.limits.model_fields_set:
        # A default is no wish of a person: a slower joint keeps its model's.
        return np.asarray(np.minimum(own, given))
    return np.asarray(np.where(np.isnan(given), own, given))


def _accelerations(description: RobotDescription, model: ArmModel) -> tuple[Float64, Float64]:
    """Return the largest changes of speed [J]: of motion, and of a stop."""
    group, name = description.limits, description.name
    acceleration = _or_model(description, model, 'acceleration_rad_s2', group.acceleration_rad_s2)
    # What follows commands brakes as it speeds up.
    own = np.minimum(model.acceleration, model.deceleration)
    _check_wider(name, model, 'acceleration_rad_s2', acceleration, own, sign=1.0)
    if not np.isfinite(acceleration).all():
        raise ConfigError(
            f'robot {name!r}: {_have_no(model, ~np.isfinite(acceleration))} acceleration limit in '
            f'{_whose(~np.isfinite(acceleration))} model; limits.acceleration_rad_s2 needs a '
            'number there'
        )
    if not group.stop_acceleration_rad_s2:
        return acceleration, np.minimum(2.0 * acceleration, model.deceleration)
    what = 'stop_acceleration_rad_s2'
    braking = each(name, what, group.stop_acceleration_rad_s2, len(model.joints))
    _check_wider(name, model, what, braking, model.deceleration, sign=1.0)
    return acceleration, braking


def _check_wider(
    robot: str, model: ArmModel, what: str, values: Float64, own: Float64, *, sign: float
) -> None:
    """Check that no limit lies beyond the model's, upwards for sign 1, downwards for -1."""
    wider = _places(sign * values > sign * own + _ROUNDING)
    if not wider:
        return
    per = {'velocity_rad_s': '/s'}.get(what, '/s^2' if what.endswith('_s2') else '')
    told = [
        f'limits.{what} of {model.joints[at]} is wider than its model allows, {values[at]:g} where '
        f'the model has {own[at]:g} {model.units[at]}{per}'
        f'{_question(model, at, values[at])}'
        for at in wider
    ]
    raise ConfigError(
        f'robot {robot!r}: {"; ".join(told)}; a description may only tighten limits, and null '
        "takes the model's"
    )


def _own(model: ArmModel, at: int) -> str:
    """Return the position limits of a joint that its model has, in words."""
    low, high = model.position_low[at], model.position_high[at]
    if not np.isfinite(low) and not np.isfinite(high):
        return 'its model has none'
    return f"its model's are {low:g} to {high:g}"


def _whose(which: Bool) -> str:
    return 'their' if which.sum() > 1 else 'its'


def _question(model: ArmModel, at: int, value: float) -> str:
    """Return whether a number is asked about that is too large for an angle in radians."""
    return ', degrees?' if not model.linear[at] and abs(value) > MOST_RAD else ''


def _places(which: Bool) -> list[int]:
    """Return the numbers of the joints for which a mask is true."""
    return [int(at) for at in np.flatnonzero(which)]


def _have_no(model: ArmModel, which: Bool) -> str:
    names = [model.joints[at] for at in _places(which)]
    several = len(names) > 1
    return f'joint{"s" * several} {", ".join(names)} {"have" if several else "has"} no'
