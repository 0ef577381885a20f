"""Positions of all joints of a model from the commanded ones; others follow or are held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError, closest
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm.engine import load_mujoco


class Follower(NamedTuple):
    """A joint that is always at ``ratio * leader + offset``, as a URDF says by ``<mimic>``.

    Attributes:
        leader: number of the joint that it follows, -1 if an equality holds it.
        ratio: of its motion to the leader's.
        offset: its position when the leader is at 0.
        linear: False if the model couples them by a curved polynomial, which is not supported.
    """

    leader: int
    ratio: float
    offset: float
    linear: bool


class Couplings(NamedTuple):
    """Positions of all N joints of a model: ``rest + ratio @ commanded``.

    Attributes:
        rest: position of each joint when all commanded ones are at 0 [N], rad or m.
        ratio: motion of each joint for that of each of the J commanded ones [N, J].
    """

    rest: Float64
    ratio: Float64

    @property
    def moving(self) -> NDArray[np.bool_]:
        """Mask of the joints that move if commanded ones do [N]."""
        return np.asarray((self.ratio != 0.0).any(axis=1))


def chain_of(mj: Any, body: int) -> list[int]:
    """Return the numbers of the bodies from the world's child down to ``body``."""
    chain = []
    while body:
        chain.append(body)
        body = int(mj.body_parentid[body])
    return chain[::-1]


def joints_of(mj: Any, body: int) -> list[int]:
    """Return the numbers of one body's own joints."""
    first = int(mj.body_jntadr[body])
    return list(range(first, first + int(mj.body_jntnum[body]))) if first >= 0 else []


def followers_of(mj: Any) -> dict[int, Follower]:
    """Return the joints that follow others: by ``<mimic>`` in a URDF, ``<equality>`` in an MJCF."""
    kind = int(load_mujoco().mjtEq.mjEQ_JOINT)
    found: dict[int, Follower] = {}
    for number in range(mj.neq):
        if int(mj.eq_type[number]) != kind or not mj.eq_active0[number]:
            continue
        joint, leader = int(mj.eq_obj1id[number]), int(mj.eq_obj2id[number])
        constant, ratio, *bent = (float(value) for value in mj.eq_data[number, :5])
        reference = float(mj.qpos0[mj.jnt_qposadr[joint]])
        if leader < 0:
            found[joint] = Follower(-1, 0.0, reference + constant, linear=True)
            continue
        other = float(mj.qpos0[mj.jnt_qposadr[leader]])
        offset = reference + constant - ratio * other
        found[joint] = Follower(leader, ratio, offset, linear=not any(bent))
    return found


def led_by(mj: Any, followers: Mapping[int, Follower], joint: int) -> Follower:
    """Return what a joint follows in the end, through other followers; itself if nothing.

    Raises:
        ConfigError: joints follow one another in a circle, or by a curve.
    """
    ratio, offset, seen = 1.0, 0.0, [joint]
    while joint in followers:
        follower = followers[joint]
        if not follower.linear:
            raise ConfigError(
                f'joint {mj.joint(joint).name!r} follows {mj.joint(follower.leader).name!r} by a '
                'curved polynomial, expected a linear one'
            )
        ratio, offset = ratio * follower.ratio, offset + ratio * follower.offset
        joint = follower.leader
        if joint in seen:
            names = ' -> '.join(mj.joint(each).name for each in [*seen, joint])
            raise ConfigError(f'joints mimic one another in a circle: {names}')
        if joint < 0:
            break
        seen.append(joint)
    return Follower(joint, ratio, offset, linear=True)


def couplings_of(
    mj: Any, followers: Mapping[int, Follower], joints: Sequence[str], held: Mapping[str, float]
) -> Couplings:
    """Return the positions of all joints as functions of the commanded ones.

    Args:
        mj: the compiled model.
        followers: of it.
        joints: the J commanded ones.
        held: positions of held joints by name; joints that are not named stay at their reference.
    """
    rest, ratio = np.zeros(mj.njnt), np.zeros((mj.njnt, len(joints)))
    at = {mj.joint(name).id: place for place, name in enumerate(joints)}
    for joint in scalar_joints(mj):
        leader = _led_softly(mj, followers, joint)
        if leader.leader in at:
            ratio[joint, at[leader.leader]], rest[joint] = leader.ratio, leader.offset
            continue
        stands = 0.0
        if leader.leader >= 0:
            name = mj.joint(leader.leader).name
            stands = held.get(name, float(mj.qpos0[mj.jnt_qposadr[leader.leader]]))
        rest[joint] = leader.ratio * stands + leader.offset
    return Couplings(rest, ratio)


def _led_softly(mj: Any, followers: Mapping[int, Follower], joint: int) -> Follower:
    """Return the result of led_by, but leave a joint that cannot be followed at its reference."""
    try:
        return led_by(mj, followers, joint)
    except ConfigError:
        return Follower(joint, 1.0, 0.0, linear=True)


def commanded(mj: Any, body: int, followers: Mapping[int, Follower]) -> list[str]:
    """Return the names of the joints that move a body; for a follower, its leader's name.

    The names are in order from the base on.

    Raises:
        ConfigError: a joint on the way is without a name, or cannot be followed.
    """
    names: list[str] = []
    for link in chain_of(mj, body):
        for joint in joints_of(mj, link):
            leader = led_by(mj, followers, joint).leader
            if leader < 0:
                continue
            name = mj.joint(leader).name
            if not name:
                raise ConfigError(
                    f'a joint of body {mj.body(link).name!r} has no name: give it one'
                )
            if name not in names:
                names.append(name)
    return names


def check_wanted(
    mj: Any, names: Sequence[str], known: Sequence[str], followers: Mapping[int, Follower]
) -> None:
    """Check that joints can be commanded.

    Raises:
        ConfigError: one follows another, does not move the tool, or is named twice.
    """
    numbers = {mj.joint(number).name: number for number in scalar_joints(mj)}
    for name in names:
        number = numbers.get(name)
        if number is not None and number in followers:
            leader = followers[number].leader
            of = 'an equality' if leader < 0 else repr(mj.joint(leader).name)
            raise ConfigError(
                f'joint {name!r} follows {of} (mimic) and is not commanded: leave it out of joints'
            )
        if name not in known:
            raise ConfigError(
                f'the model has no joint that moves the tool {name!r}{closest(name, known)}'
            )
    if not names or len(set(names)) != len(names):
        raise ConfigError(f'joints must be named once each, received {list(names)}')


def scalar_joints(mj: Any) -> list[int]:
    """Return the numbers of the joints with one axis: hinges and slides."""
    kinds = load_mujoco().mjtJoint
    simple = (int(kinds.mjJNT_HINGE), int(kinds.mjJNT_SLIDE))
    return [joint for joint in range(mj.njnt) if int(mj.jnt_type[joint]) in simple]


def unit_of(mj: Any, name: str) -> str:
    """Return the unit of a joint's position: rad, m for one that slides, '' for another one."""
    scalar = {mj.joint(number).name: number for number in scalar_joints(mj)}
    if name not in scalar:
        return ''
    slide = int(load_mujoco().mjtJoint.mjJNT_SLIDE)
    return 'm' if int(mj.jnt_type[scalar[name]]) == slide else 'rad'


class Posing:
    """Places a model's bodies for given positions of the commanded joints.

    Args:
        mj: the compiled model.
        couplings: of its joints.
    """

    def __init__(self, mj: Any, couplings: Couplings) -> None:
        self._mj = mj
        mujoco = load_mujoco()
        self.data = mujoco.MjData(mj)
        self._kinematics = mujoco.mj_kinematics
        scalar = np.array(scalar_joints(mj), dtype=np.intp)
        self.data.qpos[mj.jnt_qposadr[scalar]] = couplings.rest[scalar]
        moving = np.flatnonzero(couplings.moving)
        self._address = np.array(mj.jnt_qposadr[moving], dtype=np.intp)
        self._ratio, self._rest = couplings.ratio[moving], couplings.rest[moving]
        # Most arms have no joints that follow others: then positions only have to be reordered.
        plain = len(moving) == couplings.ratio.shape[1] and not self._rest.any()
        plain = plain and bool((self._ratio.max(axis=1, initial=0.0) == 1.0).all())
        self._order = self._ratio.argmax(axis=1) if plain else None

    def __call__(self, position: NDArray[Any]) -> None:
        """Place all bodies.

        Args:
            position: of the commanded joints [J].
        """
        if self._order is None:
            self.data.qpos[self._address] = self._ratio @ position + self._rest
        else:
            self.data.qpos[self._address] = position[self._order]
        self._kinematics(self._mj, self.data)
