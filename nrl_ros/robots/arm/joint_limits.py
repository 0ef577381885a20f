"""Limits of a model's joints as URDF and MJCF give them, and notes on suspicious ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm import urdf
from nrl_ros.robots.arm.couplings import followers_of, led_by
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.source import Source

# A hinge of an MJCF in degrees moves less than this if its range was written in radians by mistake.
_NARROW_RAD = 0.15
# A note is given if a joint's damping takes more than this share of its servo's command.
_SLOW = 0.02


class Bounds(NamedTuple):
    """Limits of J commanded joints, each [J]; infinite where there is none.

    Attributes:
        low: lowest position [rad, m].
        high: highest position.
        velocity: highest speed [rad/s, m/s].
        effort: highest effort [N m, N].
        acceleration: largest increase of speed [rad/s^2, m/s^2].
        deceleration: largest decrease of speed.
        jerk: largest change of acceleration [rad/s^3, m/s^3].
    """

    low: Float64
    high: Float64
    velocity: Float64
    effort: Float64
    acceleration: Float64
    deceleration: Float64
    jerk: Float64


# What a joint that follows limits in proportion to its motion.
_RATES = ('velocity', 'acceleration', 'deceleration', 'jerk')


class ModelLimits:
    """Limits of one model's joints.

    Args:
        mj: the compiled model.
        source: what it was compiled from.
    """

    def __init__(self, mj: Any, source: Source) -> None:
        self._mj, self._source = mj, source
        self._followers = followers_of(mj)

    def by_name(self, name: str) -> urdf.Limits:
        """Return the limits of one joint."""
        if name in self._source.joints:
            return self._source.joints[name].limits
        mj, joint = self._mj, self._mj.joint(name).id
        low, high = -np.inf, np.inf
        if mj.jnt_limited[joint]:
            low, high = (float(end) for end in mj.jnt_range[joint])
        velocity, effort = _servo_limits(mj, joint)
        return urdf.Limits(low, high, velocity, effort, faults=self._fault(name))

    def _fault(self, name: str) -> str:
        """Return what is wrong with the range of an MJCF's joint; MuJoCo ignores such a range."""
        low, high = (float(end) for end in self._mj.jnt_range[self._mj.joint(name).id])
        if low < high or low == high == 0.0:
            return ''
        return (
            f'joint {name!r}: range {low:g} to {high:g}: expected two numbers, the lower one first'
        )

    def check(self, names: Sequence[str]) -> None:
        """Check that the limits of some joints are possible.

        Raises:
            ConfigError: names all joints whose limits are not.
        """
        faults = [fault for name in names if (fault := self.by_name(name).faults)]
        if faults:
            notes = [note for name in names for note in self.by_name(name).notes]
            raise ConfigError(f'limits of the model: {"; ".join([*faults, *notes])}')

    def of(self, names: Sequence[str], chain: Sequence[int]) -> Bounds:
        """Return the limits of commanded joints.

        A follower on the way to the tool is kept within its own limits too.

        Raises:
            ConfigError: the limits of a joint and of its follower have no position in common.
        """
        own = [self.by_name(name) for name in names]
        bounds = Bounds(*(np.array([getattr(one, what) for one in own]) for what in Bounds._fields))
        for joint in chain:
            led = led_by(self._mj, self._followers, joint)
            if joint not in self._followers or led.leader < 0 or not led.ratio:
                continue
            if (leader := self._mj.joint(led.leader).name) not in names:
                continue
            name, at = self._mj.joint(joint).name, list(names).index(leader)
            theirs = self.by_name(name)
            self.check([name])
            ends = sorted((end - led.offset) / led.ratio for end in (theirs.low, theirs.high))
            bounds.low[at] = max(bounds.low[at], ends[0])
            bounds.high[at] = min(bounds.high[at], ends[1])
            for what in _RATES:
                mine = getattr(bounds, what)
                mine[at] = min(mine[at], getattr(theirs, what) / abs(led.ratio))
            if bounds.low[at] >= bounds.high[at]:
                raise ConfigError(
                    f'limits of the model: joint {name!r} follows {leader!r}, and within the '
                    'limits of the one the other cannot move'
                )
        return bounds

    def notes(self, names: Sequence[str], velocity: Float64) -> list[str]:
        """Return what a person should know about the limits of the commanded joints."""
        notes = [note for name in names for note in self.by_name(name).notes]
        notes += [note for name in names if (note := self._angles(name))]
        fast = [name for name, most in zip(names, velocity, strict=True) if not np.isfinite(most)]
        if fast:
            notes.append(
                f'the model limits no speed of {", ".join(fast)}: limits.velocity_rad_s alone does'
            )
        return notes + [note for name in names if (note := self._slow(name))]

    def _angles(self, name: str) -> str:
        limits, joint = self.by_name(name), self._mj.joint(name).id
        hinge = int(self._mj.jnt_type[joint]) == int(load_mujoco().mjtJoint.mjJNT_HINGE)
        far = max(abs(limits.low), abs(limits.high))
        if not hinge or not np.isfinite(limits.high - limits.low):
            return ''
        said = f'joint {name}: limits {limits.low:g} to {limits.high:g} rad of its model'
        if far > urdf.MOST_RAD or (far > urdf.WHOLE_RAD and far == round(far)):
            return f'{said}: degrees?'
        if not self._source.is_urdf and limits.high - limits.low < _NARROW_RAD:
            return f'{said}: radians, read as degrees? An MJCF says so by compiler angle="radian"'
        return ''

    def _slow(self, name: str) -> str:
        """Return a note if damping holds back the servo that the model gives the joint."""
        joint = self._mj.joint(name).id
        gain = servo_gain(self._mj, joint)
        damping = float(self._mj.dof_damping[self._mj.jnt_dofadr[joint]])
        share = damping / (gain + damping) if gain else 0.0
        if share <= _SLOW:
            return ''
        return f'joint {name}: damping takes {100.0 * share:.0f} % of what its servo is told'


def servo_gain(mj: Any, joint: int) -> float:
    """Return the gain of the velocity servo that a model gives a joint [N m s], 0 without one."""
    gains = [_servo_gain(mj, number) for number in _actuators_of(mj, joint)]
    return max(gains, default=0.0)


def _actuators_of(mj: Any, joint: int) -> list[int]:
    on_joint = int(load_mujoco().mjtTrn.mjTRN_JOINT)
    return [
        number
        for number in range(mj.nu)
        if mj.actuator_trntype[number] == on_joint and mj.actuator_trnid[number, 0] == joint
    ]


def _servo_gain(mj: Any, actuator: int) -> float:
    """Return the gain of a velocity servo, 0 for another kind of actuator."""
    gain, bias = float(mj.actuator_gainprm[actuator, 0]), mj.actuator_biasprm[actuator]
    return gain if bias[0] == bias[1] == 0.0 and bias[2] == -gain else 0.0


def _servo_limits(mj: Any, joint: int) -> tuple[float, float]:
    """Return velocity and effort of an MJCF joint, from its servo: MJCF has no velocity limits."""
    velocity = effort = np.inf
    for number in _actuators_of(mj, joint):
        if _servo_gain(mj, number) and mj.actuator_ctrllimited[number]:
            velocity = float(np.abs(mj.actuator_ctrlrange[number]).max())
        if mj.actuator_forcelimited[number]:
            effort = float(np.abs(mj.actuator_forcerange[number]).max())
    return float(velocity), float(effort)
