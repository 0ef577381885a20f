"""An arm's model prepared for dynamics: servos, gravity compensation, and a body for a payload."""

from __future__ import annotations

from typing import Any

import numpy as np

from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.couplings import Posing
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.model import ArmModel

PAYLOAD = 'nrl_payload'
# Used if a model has no servo: its time constant [s], and the inertia that its geared rotor adds to
# the joint [kg m^2], as in arms of this size. Without the rotor, light links would be unstable.
_SERVO_S = 0.01
_ROTOR = 0.1
# Poses among which the largest inertia of each joint is looked for, and how far a joint without
# limits turns in them [rad, m].
_POSES, _ENDLESS = 64, np.pi


def servo_name(joint: str) -> str:
    """Return the name of a joint's servo; the prefix keeps it apart from the model's own names."""
    return f'nrl_servo_{joint}'


def simulated(model: ArmModel) -> Any:
    """Return a ``mujoco.MjSpec`` with a servo in each joint and a payload of 0 kg at the tool.

    Raises:
        ConfigError: MuJoCo refuses it.
    """
    mujoco = load_mujoco()
    spec = model.source.spec()
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    for body in spec.bodies[1:]:
        body.gravcomp = 1.0
    _add_servos(spec, model)
    _, number = model.find(model.tool)
    if model.tool_is_site:
        site = next(site for site in spec.sites if site.name == model.tool)
        parent, place = site.parent, model.mj.site_pos[number]
    else:
        parent, place = next(body for body in spec.bodies if body.name == model.tool), np.zeros(3)
    parent.add_body(name=PAYLOAD, pos=place, explicitinertial=True, ipos=np.zeros(3))
    return spec


def largest_inertia(model: ArmModel) -> Float64:
    """Return the largest inertia of each degree of freedom over many poses [V], kg m^2 or kg.

    At its reference pose an arm is often stretched along an axis, with hardly any inertia about it:
    a servo that was made for that pose would lag behind in all others. The poses are always the
    same.
    """
    mujoco, mj = load_mujoco(), model.mj
    pose, found = Posing(mj, model.couplings), np.array(mj.dof_M0)
    low = np.where(np.isfinite(model.position_low), model.position_low, -_ENDLESS)
    high = np.where(np.isfinite(model.position_high), model.position_high, _ENDLESS)
    row, each = np.zeros(mj.nv), np.eye(mj.nv)
    for position in np.random.default_rng(0).uniform(low, high, (_POSES, len(low))):
        pose(position)
        mujoco.mj_comPos(mj, pose.data)
        mujoco.mj_crb(mj, pose.data)
        for number in range(mj.nv):
            mujoco.mj_mulM(mj, pose.data, row, each[number])
            found[number] = max(found[number], row[number])
    return found


def _add_servos(spec: Any, model: ArmModel) -> None:
    """Replace all actuators by velocity servos, with the model's own gains if it has some."""
    mujoco = load_mujoco()
    mj = model.mj
    inertia: Float64 | None = None
    simple = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
    # Key frames and sensors are removed too, since they may refer to removed actuators.
    for element in [*spec.actuators, *spec.keys, *spec.sensors]:
        spec.delete(element)
    for number, joint in enumerate(spec.joints):
        if joint.type not in simple:
            continue
        gain = model.servo_gain(number)
        if not gain:
            # The inner loop of a velocity drive overcomes damping and friction of its own joint.
            joint.damping, joint.frictionloss = np.zeros_like(joint.damping), 0.0
            joint.armature = max(float(joint.armature), _ROTOR)
            inertia = largest_inertia(model) if inertia is None else inertia
            gain = (float(inertia[mj.jnt_dofadr[number]]) + _ROTOR) / _SERVO_S
        servo = spec.add_actuator(
            name=servo_name(joint.name or str(number)),
            target=joint.name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            gainprm=[gain, *[0.0] * 9],
            biastype=mujoco.mjtBias.mjBIAS_AFFINE,
            biasprm=[0.0, 0.0, -gain, *[0.0] * 7],
        )
        effort = (
            model.effort[model.joints.index(joint.name)] if joint.name in model.joints else np.inf
        )
        if np.isfinite(effort):
            servo.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
            servo.forcerange = [-effort, effort]
