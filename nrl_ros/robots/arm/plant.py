"""Simulated motors of arms and their inner loops: they take velocities and return motion.

Neither plant has a clock: one step is one control period. Both are deterministic.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nrl_ros.base.errors import ConfigError, InvalidValueError, ShapeError
from nrl_ros.base.records import Float64
from nrl_ros.base.state import Stateful
from nrl_ros.robots.arm.couplings import scalar_joints
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.simulation import PAYLOAD, servo_name, simulated

# Gain of the position loop around the simulated servos, slow enough for the inner loop [1/s].
_POSITION_GAIN = 20.0
# A payload has the inertia of a ball of this radius [m].
_PAYLOAD_RADIUS_M = 0.05


class Plant(Protocol):
    """B arms of J joints that follow velocities.

    Attributes:
        position: joint positions [B, J], rad or m.
        velocity: joint velocities [B, J], rad/s or m/s.
        actuator_effectiveness: share of a command that each joint follows [B, J]; 1 is healthy.
    """

    position: Float64
    velocity: Float64

    @property
    def actuator_effectiveness(self) -> Float64:
        """Share of a command that each joint follows [B, J]."""
        ...

    @actuator_effectiveness.setter
    def actuator_effectiveness(self, value: ArrayLike) -> None: ...

    def reset(self, position: ArrayLike, which: NDArray[Any] | None = None) -> None:
        """Put arms at positions, at rest."""
        ...

    def step(self, command: NDArray[Any]) -> None:
        """Follow velocities [B, J] for one period."""
        ...

    def velocity_toward(self, target: NDArray[Any]) -> Float64:
        """Return velocities [B, J] that bring the arms towards positions [B, J] in one period."""
        ...


@dataclass
class PlantState:
    """What decides the future of B arms of J joints, [B, J] each.

    Attributes:
        position: rad or m.
        velocity: rad/s or m/s.
        actuator_effectiveness: share of a command that each joint follows; 1 is healthy.
    """

    position: Float64
    velocity: Float64
    actuator_effectiveness: Float64


@dataclass
class MujocoState(PlantState):
    """A plant's state, with MuJoCo's own of each arm [B, n], which is only filled in snapshots."""

    physics: Float64


class _Base(Stateful):
    """Checks, limits and actuator effectiveness that both plants share."""

    def __init__(self, model: ArmModel, arms: int, period_s: float) -> None:
        if arms < 1 or not (math.isfinite(period_s) and period_s > 0.0):
            raise ConfigError(
                f'expected arms >= 1 and period_s > 0, received {arms} and {period_s}'
            )
        self.model = model
        self.arms = arms
        self.period_s = period_s
        self._shape = (arms, model.size)
        self._gain = 1.0 / period_s
        self._slowest = -model.velocity
        self.position, self.velocity = np.zeros(self._shape), np.zeros(self._shape)
        self.state: PlantState = PlantState(self.position, self.velocity, np.ones(self._shape))

    @property
    def actuator_effectiveness(self) -> Float64:
        """Share of a command that each joint follows [B, J]; assign to change it."""
        return np.array(self.state.actuator_effectiveness)

    @actuator_effectiveness.setter
    def actuator_effectiveness(self, value: ArrayLike) -> None:
        shares = self._checked(value, 'actuator_effectiveness')
        if (shares < 0.0).any():
            raise InvalidValueError(
                f'actuator_effectiveness: expected no share below 0, received {value!r}'
            )
        self.state.actuator_effectiveness[...] = shares

    def _checked(self, value: ArrayLike, what: str) -> Float64:
        """Return numbers as [B, J]; values of one arm are repeated for all."""
        array = np.asarray(value, dtype=np.float64)
        if array.shape != self._shape:
            if array.shape != self._shape[1:]:
                raise ShapeError(f'{what}: expected {list(self._shape)}, received {array.shape}')
            array = np.broadcast_to(array, self._shape)
        if not np.isfinite(array).all():
            raise InvalidValueError(f'{what}: expected finite numbers, received {array.tolist()}')
        return array

    def _limited(self, velocity: Float64) -> Float64:
        # np.minimum and np.maximum are faster than np.clip on arrays this small.
        return np.minimum(np.maximum(velocity, self._slowest), self.model.velocity)

    def velocity_toward(self, target: ArrayLike) -> Float64:
        """Return velocities that bring the arms towards positions, as fast as the joints allow.

        Args:
            target: positions [B, J] or [J].

        Returns:
            [B, J], for ``step``; ask again every period.

        Raises:
            ShapeError: another shape.
            InvalidValueError: a number is not finite.
        """
        way = self._checked(target, 'position target') - self.position
        return self._limited(way * self._gain)


class ServoPlant(_Base):
    """Velocities follow their commands with a first-order lag, whatever the load is.

    ``v += (1 - exp(-T/tau)) (k * command - v)`` with the actuator effectiveness k, then
    ``q += T v``: exact for commands that are constant over a period T. A joint stops at its
    position limit.

    Args:
        model: the arms; only the limits are used.
        arms: B.
        period_s: T [s].
        time_constant_s: tau [s]; 0: commands are followed at once.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self, model: ArmModel, arms: int, period_s: float, time_constant_s: float = 0.0
    ) -> None:
        super().__init__(model, arms, period_s)
        if not (math.isfinite(time_constant_s) and time_constant_s >= 0.0):
            raise ConfigError(f'time_constant_s must be >= 0, received {time_constant_s}')
        self._share = servo_share(period_s, time_constant_s)
        if time_constant_s:
            # With a larger gain the loop around the lag would oscillate.
            self._gain = min(self._gain, 0.25 / time_constant_s)
        self.reset(np.clip(0.0, model.position_low, model.position_high))

    def reset(self, position: ArrayLike, which: NDArray[Any] | None = None) -> None:
        """Put arms at positions, at rest.

        Args:
            position: [B, J] or [J], brought within the limits.
            which: numbers of the arms, or a mask [B]; by default all.

        Raises:
            ShapeError: another shape.
            InvalidValueError: a number is not finite.
        """
        where = slice(None) if which is None else which
        there = self._checked(position, 'position')
        limited = np.clip(there, self.model.position_low, self.model.position_high)
        self.position[where] = limited[where]
        self.velocity[where] = 0.0

    def step(self, command: ArrayLike) -> None:
        """Follow velocities for one period.

        Args:
            command: [B, J] or [J], brought within the velocity limits.

        Raises:
            ShapeError: another shape.
            InvalidValueError: a number is not finite.
        """
        wanted = (
            self._limited(self._checked(command, 'velocity command'))
            * self.state.actuator_effectiveness
        )
        range_ = self.model.position_low, self.model.position_high
        self.position[:], self.velocity[:] = servo_step(
            (self.position, self.velocity), wanted, range_, (self._share, self.period_s)
        )


def servo_share(period_s: float, time_constant_s: float) -> float:
    """Return which share of a difference of velocities a period takes away [1]."""
    return -math.expm1(-period_s / time_constant_s) if time_constant_s else 1.0


def servo_step(
    motion: tuple[Any, Any],
    wanted: Any,
    limits: tuple[Any, Any],
    times: tuple[float, float],
    arrays: Any = np,
) -> tuple[Any, Any]:
    """Return positions and velocities after one period of joints that follow velocities.

    Args:
        motion: positions and velocities before [B, J].
        wanted: velocities [B, J].
        limits: lowest and highest positions [J].
        times: share of a difference of velocities that a period takes away [1], and period [s].
        arrays: the module ``numpy``, or functions of the same names for other arrays.
    """
    (position, velocity), (share, period_s) = motion, times
    velocity = velocity + share * (wanted - velocity)
    ahead = position + period_s * velocity
    inside = arrays.minimum(arrays.maximum(ahead, limits[0]), limits[1])
    return inside, arrays.where(inside != ahead, 0.0, velocity)


class MujocoPlant(_Base):
    """Rigid-body dynamics with a velocity servo in each joint and gravity compensation.

    Joints keep the velocity servo that the model gives them. Others get one that is strong enough
    for the arm in any pose and limited by the joint's effort. Joints that are not
    commanded are held. Shapes do not collide, so an arm may pass through itself; ``Clearance``
    tells that. Every period is cut into equal parts of at most the model's time step.

    Args:
        model: the arms.
        arms: B; each has a MuJoCo model of its own, since effectiveness and payload may differ.
        period_s: length of one step [s].

    Raises:
        ConfigError: a value is out of range, or the model cannot be simulated.
    """

    def __init__(self, model: ArmModel, arms: int, period_s: float) -> None:
        super().__init__(model, arms, period_s)
        self._mujoco = load_mujoco()
        compiled = simulated(model).compile()
        self._substeps = max(1, math.ceil(period_s / compiled.opt.timestep - 1e-9))
        compiled.opt.timestep = period_s / self._substeps
        self._gain = min(0.5 / period_s, _POSITION_GAIN)
        self._models = [copy.copy(compiled) for _ in range(arms)]
        self._data = [self._mujoco.MjData(each) for each in self._models]
        size = self._mujoco.mj_stateSize(compiled, self._kind)
        self.state: MujocoState = MujocoState(**vars(self.state), physics=np.zeros((arms, size)))
        joints = [compiled.joint(name) for name in model.joints]
        self._qpos = [int(joint.qposadr[0]) for joint in joints]
        self._dof = [int(joint.dofadr[0]) for joint in joints]
        self._servo = [compiled.actuator(servo_name(name)).id for name in model.joints]
        self._healthy = (
            np.array(compiled.actuator_gainprm[self._servo, 0]),
            np.array(compiled.actuator_forcerange[self._servo]),
        )
        self._payload = compiled.body(PAYLOAD).id
        self._couple(model, compiled)
        self.reset(np.clip(0.0, model.position_low, model.position_high))

    def _couple(self, model: ArmModel, compiled: Any) -> None:
        """Find the joints that follow the commanded ones, and those that are held."""
        names = [model.mj.joint(joint).name for joint in scalar_joints(model.mj)]
        rows = {name: model.mj.joint(name).id for name in names if name}
        led = [name for name in model.followers if name]
        others = [name for name in rows if name not in (*model.joints, *led)]

        def addresses(which: list[str], kind: str) -> list[int]:
            return [int(getattr(compiled.joint(name), kind)[0]) for name in which]

        self._led_qpos, self._led_dof = addresses(led, 'qposadr'), addresses(led, 'dofadr')
        self._led_servo = [compiled.actuator(servo_name(name)).id for name in led]
        couplings, led_rows = model.couplings, [rows[name] for name in led]
        self._led_ratio, self._led_rest = couplings.ratio[led_rows], couplings.rest[led_rows]
        self._other_qpos = addresses(others, 'qposadr')
        self._other_rest = couplings.rest[[rows[name] for name in others]]

    def _lead(self, data: Any) -> None:
        """Put the followers where their leaders require."""
        if self._led_qpos:
            data.qpos[self._led_qpos] = self._led_ratio @ data.qpos[self._qpos] + self._led_rest
            data.qvel[self._led_dof] = self._led_ratio @ data.qvel[self._dof]

    @property
    def actuator_effectiveness(self) -> Float64:
        """Share of velocity and effort that each joint has left [B, J]; assign to change it."""
        return np.array(self.state.actuator_effectiveness)

    @actuator_effectiveness.setter
    def actuator_effectiveness(self, value: ArrayLike) -> None:
        _Base.actuator_effectiveness.fset(self, value)  # type: ignore[attr-defined]
        self._weaken()

    def _weaken(self) -> None:
        """Give the servos the share that each joint has left."""
        gain, force = self._healthy
        for mj, share in zip(self._models, self.state.actuator_effectiveness, strict=True):
            mj.actuator_gainprm[self._servo, 0] = gain * share
            mj.actuator_forcerange[self._servo] = force * share[:, None]

    def set_payload(self, mass_kg: float, which: NDArray[Any] | None = None) -> None:
        """Put a mass at the tool, for which gravity is not compensated.

        Args:
            mass_kg: 0 takes it away.
            which: numbers of the arms, or a mask [B]; by default all.

        Raises:
            InvalidValueError: the mass is negative or not finite.
        """
        if not (math.isfinite(mass_kg) and mass_kg >= 0.0):
            raise InvalidValueError(f'payload: expected a mass >= 0 kg, received {mass_kg}')
        for number in np.arange(self.arms)[slice(None) if which is None else which]:
            mj = self._models[number]
            mj.body_mass[self._payload] = mass_kg
            mj.body_inertia[self._payload] = 0.4 * mass_kg * _PAYLOAD_RADIUS_M**2
            # Constants that depend on masses are computed at the reference pose, so scratch data is
            # used.
            self._mujoco.mj_setConst(mj, self._mujoco.MjData(mj))

    def reset(self, position: ArrayLike, which: NDArray[Any] | None = None) -> None:
        """Put arms at positions, at rest; takes and raises the same as ``ServoPlant.reset``."""
        there = self._checked(position, 'position')
        limited = np.clip(there, self.model.position_low, self.model.position_high)
        for number in np.arange(self.arms)[slice(None) if which is None else which]:
            mj, data = self._models[number], self._data[number]
            self._mujoco.mj_resetData(mj, data)
            data.qpos[self._other_qpos] = self._other_rest
            data.qpos[self._qpos] = limited[number]
            self._lead(data)
            self._mujoco.mj_forward(mj, data)
            self._read(number)

    def step(self, command: ArrayLike) -> None:
        """Follow velocities for one period; takes and raises the same as ``ServoPlant.step``."""
        wanted = self._limited(self._checked(command, 'velocity command'))
        for number, (mj, data) in enumerate(zip(self._models, self._data, strict=True)):
            data.ctrl[self._servo] = wanted[number]
            if self._led_qpos:
                # A follower has a drive too: it stands for the rod or belt that couples it to its
                # leader.
                data.ctrl[self._led_servo] = self._led_ratio @ wanted[number]
            self._mujoco.mj_step(mj, data, self._substeps)
            self._lead(data)
            self._read(number)

    def before_snapshot(self) -> None:
        """Copy MuJoCo's own state."""
        for mj, data, row in zip(self._models, self._data, self.state.physics, strict=True):
            self._mujoco.mj_getState(mj, data, row, self._kind)

    def after_restore(self) -> None:
        """Give MuJoCo the restored state and effectiveness."""
        self._weaken()
        for mj, data, row in zip(self._models, self._data, self.state.physics, strict=True):
            self._mujoco.mj_setState(mj, data, row, self._kind)
            self._mujoco.mj_forward(mj, data)
            # mj_forward has changed the warm start of the solver, so the state is set once more.
            self._mujoco.mj_setState(mj, data, row, self._kind)

    @property
    def _kind(self) -> int:
        return int(self._mujoco.mjtState.mjSTATE_INTEGRATION)

    def _read(self, number: int) -> None:
        data = self._data[number]
        self.position[number] = data.qpos[self._qpos]
        self.velocity[number] = data.qvel[self._dof]
