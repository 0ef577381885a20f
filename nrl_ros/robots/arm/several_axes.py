"""Free joints and balls of an MJCF, which cannot be commanded here: their bodies are held in place.

A URDF has planar and floating joints in their place (``urdf.RIGID``), which are held alike.
"""

from __future__ import annotations

import math
from typing import Any

from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.urdf import Joint, Limits

_NOTHING = Limits(-math.inf, math.inf, math.inf, math.inf)


def rigid_joints(spec: Any) -> dict[str, Joint]:
    """Return the free joints and balls of a ``mujoco.MjSpec`` by name, floating and ball in kind.

    One without a name is called after its body.
    """
    return {
        name: Joint(name, kind, joint.parent.parent.name, joint.parent.name, _NOTHING)
        for name, kind, joint in _found(spec)
    }


def hold(spec: Any) -> None:
    """Remove free joints and balls of a ``mujoco.MjSpec``, so that their bodies stay in place.

    Keyframes, and what drives or measures such a joint, are removed with them.
    """
    found = _found(spec)
    names = {joint.name for _, _, joint in found if joint.name}
    on_joint = load_mujoco().mjtObj.mjOBJ_JOINT
    for sensor in list(spec.sensors):
        if sensor.objtype == on_joint and sensor.objname in names:
            spec.delete(sensor)
    for actuator in list(spec.actuators):
        if _drives_joint(actuator) and actuator.target in names:
            spec.delete(actuator)
    for key in list(spec.keys) if found else ():
        spec.delete(key)
    for _, _, joint in found:
        spec.delete(joint)


def key_of(spec: Any, name: str) -> dict[str, float] | None:
    """Return a keyframe of a ``mujoco.MjSpec``: positions of joints with one axis, by name.

    Args:
        spec: of the file as it is, with its joints of several axes.
        name: of the keyframe, in any case.

    Returns:
        None without one of that name, or without positions in it; nothing where these are more or
        fewer than the model has.
    """
    kinds = load_mujoco().mjtJoint
    width = {kinds.mjJNT_FREE: 7, kinds.mjJNT_BALL: 4}
    values = next((list(key.qpos) for key in spec.keys if key.name.lower() == name), [])
    if not values:
        return None
    found: dict[str, float] = {}
    if len(values) != sum(width.get(joint.type, 1) for joint in spec.joints):
        return found
    at = 0
    for joint in spec.joints:
        if joint.type not in width:
            found[joint.name] = float(values[at])
        at += width.get(joint.type, 1)
    return found


def _found(spec: Any) -> list[tuple[str, str, Any]]:
    """Return name, kind and element of each joint with several axes."""
    kinds = load_mujoco().mjtJoint
    called = {kinds.mjJNT_FREE: 'floating', kinds.mjJNT_BALL: 'ball'}
    return [
        (joint.name or f'{joint.parent.name}_{called[joint.type]}', called[joint.type], joint)
        for joint in spec.joints
        if joint.type in called
    ]


def _drives_joint(actuator: Any) -> bool:
    kinds = load_mujoco().mjtTrn
    return actuator.trntype in (kinds.mjTRN_JOINT, kinds.mjTRN_JOINTINPARENT)
