"""Models of arms, read from MJCF or URDF by MuJoCo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nrl_ros.base.errors import ConfigError, closest
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm import urdf
from nrl_ros.robots.arm.capsules import CapsuleSettings, capsules_of
from nrl_ros.robots.arm.couplings import (
    Couplings,
    chain_of,
    check_wanted,
    commanded,
    couplings_of,
    followers_of,
    joints_of,
    scalar_joints,
)
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.joint_limits import ModelLimits, servo_gain
from nrl_ros.robots.arm.model_files import (
    MODELS_FOLDER,
    in_another_case,
    known_models,
    locate,
)
from nrl_ros.robots.arm.source import Site, Source, read_source
from nrl_ros.robots.arm.tools import is_part, tool_candidates
from nrl_ros.robots.arm.visual_shapes import only_visual
from nrl_ros.robots.arm.xacro_files import Argument, model_text

DEFAULT_TOOL = 'tool'
# A tool's centre point of one's own is called after the place in whose frame it is given.
OFFSET = '_offset'
# Position [m], and roll, pitch and yaw [rad].
Offset = tuple[tuple[float, float, float], tuple[float, float, float]]
# A note on a tool that was chosen because none was named begins with this.
TOOL_NOTE = 'tool is not set'


@dataclass(frozen=True, eq=False)
class ArmModel:
    """One arm: its joints in the wanted order, their limits, and MuJoCo's model of it.

    Attributes:
        name: the model's own name.
        joints: J joint names.
        tool: name of the tool's site or body.
        tool_is_site: whether ``tool`` names a site.
        position_low: lowest positions [J], rad or m; -inf if there is no limit.
        position_high: highest positions [J], rad or m.
        velocity: highest velocities [J], rad/s or m/s; inf if the file gives none.
        effort: highest efforts [J], N m or N; inf if the file gives none.
        acceleration: largest increases of speed [J], rad/s^2 or m/s^2; inf if the file gives none.
        deceleration: largest decreases of speed [J].
        jerk: largest changes of acceleration [J], rad/s^3 or m/s^3.
        linear: which joints slide instead of turning [J].
        mj: the compiled ``mujoco.MjModel``.
        source: what it was compiled from.
        couplings: positions of all joints of the model, also of those that follow or are held.
        held: positions of held joints, by name.
        left_out: joints that move the tool but are neither commanded nor held, with their kinds.
        notes: what a person should know of the model.
    """

    name: str
    joints: tuple[str, ...]
    tool: str
    tool_is_site: bool
    position_low: Float64
    position_high: Float64
    velocity: Float64
    effort: Float64
    acceleration: Float64
    deceleration: Float64
    jerk: Float64
    linear: tuple[bool, ...]
    mj: Any
    source: Source
    couplings: Couplings
    held: Mapping[str, float]
    left_out: Mapping[str, str]
    notes: tuple[str, ...]

    @classmethod
    def from_file(
        cls,
        source: str | Path,
        joints: Sequence[str] | None = None,
        tool: str = '',
        held: Mapping[str, float] | None = None,
        *,
        offset: Offset | None = None,
        packages: Sequence[Path] = (),
        arguments: Mapping[str, Argument] | None = None,
        capsules: Sequence[CapsuleSettings] = (),
    ) -> ArmModel:
        """Read a file, or a model that comes with the package.

        Args:
            source: ``planar``, ``ur5e``, ``fr3``, or the path of an MJCF or URDF file.
            joints: wanted joints in the wanted order; by default all that move the tool, from the
                base on, without those that are held. Other joints rest at the model's reference
                position; those that follow others (mimic) follow.
            tool: name of a site or body; by default the site ``tool``, else the last body.
            held: positions of joints that are not commanded, by name, rad or m.
            offset: position [m], and roll, pitch and yaw [rad], of the tool's centre point in the
                frame of ``tool``; None: it is that of ``tool`` itself.
            packages: folders in which packages with meshes are looked for first.
            arguments: of a xacro file, by name.
            capsules: shapes that replace those of their links.

        Raises:
            ConfigError: no such file, model, joint or tool, or the file is wrong.
        """
        read = _with_capsules(source_of(source, packages, arguments), capsules)
        return cls._of(read, joints, tool, held or {}, offset=offset)

    @classmethod
    def from_text(
        cls,
        text: str,
        joints: Sequence[str] | None = None,
        tool: str = '',
        held: Mapping[str, float] | None = None,
        *,
        offset: Offset | None = None,
        packages: Sequence[Path] = (),
        capsules: Sequence[CapsuleSettings] = (),
    ) -> ArmModel:
        """Read MJCF or URDF from a text, such as that of the topic ``robot_description``.

        The arguments are those of ``from_file``. Meshes of a URDF are read if their names are
        complete: ``file://``, or ``package://`` with a package that is found here.

        Raises:
            ConfigError: no such joint or tool, or the text is wrong.
        """
        read = _with_capsules(read_source(text, '', packages), capsules)
        return cls._of(read, joints, tool, held or {}, offset=offset)

    @classmethod
    def _of(
        cls,
        source: Source,
        wanted: Sequence[str] | None,
        tool: str,
        held: Mapping[str, float],
        *,
        offset: Offset | None,
    ) -> ArmModel:
        mj = source.spec().compile()
        asked = tool
        tool, is_site, body, notes = _find_tool(mj, tool)
        if not source.is_urdf and (visual := only_visual(mj, body)):
            source = replace(source, visual=visual)
            mj = source.spec().compile()
        if offset is not None and tool:
            source = replace(source, site=Site(f'{tool}{OFFSET}', tool, *offset))
            mj, tool, is_site = source.spec().compile(), f'{tool}{OFFSET}', True
        followers = followers_of(mj)
        known = commanded(mj, body, followers)
        if not tool:
            raise ConfigError('the last body of the model has no name; name one, and set tool')
        rigid = _rigid_above(source, mj, body)
        if not known:
            last = ', the last body of the model, since tool is not set' * (not asked)
            raise ConfigError(f'no joint moves the tool {tool!r}{last}; name another tool')
        names = tuple([name for name in known if name not in held] if wanted is None else wanted)
        for name in names:
            if name in source.joints and source.joints[name].kind in urdf.RIGID:
                raise _not_commanded(name, source.joints[name].kind)
        check_wanted(mj, names, known, followers)
        limits = ModelLimits(mj, source)
        _check_held(mj, source, names, held, limits)
        chain = [joint for link in chain_of(mj, body) for joint in joints_of(mj, link)]
        limits.check([*names, *(name for joint in chain if (name := mj.joint(joint).name) in held)])
        bounds = limits.of(names, chain)
        left = {name: 'not commanded' for name in known if name not in (*names, *held)}
        left |= {name: kind for name, kind in rigid.items() if name not in held}
        kinds = load_mujoco().mjtJoint
        return cls(
            name=source.name,
            joints=names,
            tool=tool,
            tool_is_site=is_site,
            position_low=bounds.low,
            position_high=bounds.high,
            velocity=bounds.velocity,
            effort=bounds.effort,
            acceleration=bounds.acceleration,
            deceleration=bounds.deceleration,
            jerk=bounds.jerk,
            linear=tuple(
                int(mj.jnt_type[mj.joint(name).id]) == int(kinds.mjJNT_SLIDE) for name in names
            ),
            mj=mj,
            source=source,
            couplings=couplings_of(mj, followers, names, held),
            held=dict(held),
            left_out=left,
            notes=(*notes, *source.notes, *limits.notes(names, bounds.velocity), *_loops(mj)),
        )

    @property
    def size(self) -> int:
        """Number of joints, J."""
        return len(self.joints)

    @property
    def text(self) -> str:
        """The file as it was read."""
        return self.source.text

    @property
    def units(self) -> tuple[str, ...]:
        """Unit of each joint's position [J]: rad or m."""
        return tuple('m' if linear else 'rad' for linear in self.linear)

    @property
    def followers(self) -> tuple[str, ...]:
        """Joints that are not commanded but move with commanded ones (mimic)."""
        moving = np.flatnonzero(self.couplings.moving)
        names = [str(self.mj.joint(int(joint)).name) for joint in moving]
        return tuple(name for name in names if name not in self.joints)

    def servo_gain(self, joint: int) -> float:
        """Return the gain of the model's velocity servo of a joint [N m s], 0 without one.

        Args:
            joint: its number in ``mj``.
        """
        return servo_gain(self.mj, joint)

    def find(self, name: str) -> tuple[bool, int]:
        """Return whether a name is a site, and its number among sites or bodies.

        Raises:
            ConfigError: neither a site nor a body has that name.
        """
        return _find_place(self.mj, name)


def _with_capsules(source: Source, wanted: Sequence[CapsuleSettings]) -> Source:
    if not wanted:
        return source
    capsules = capsules_of(source.spec().compile(), source.root, wanted)
    return replace(source, capsules=capsules)


def source_of(
    name: str | Path,
    packages: Sequence[Path] = (),
    arguments: Mapping[str, Argument] | None = None,
) -> Source:
    """Read a file, or a model that comes with the package, without making an arm of it.

    Args:
        name: ``planar``, ``ur5e``, ``fr3``, or the path of an MJCF or URDF file.
        packages: folders in which packages with meshes are looked for first.
        arguments: of a xacro file, by name.

    Raises:
        ConfigError: there is no such file or model, or it is wrong.
    """
    path = locate(str(name), Path())
    if str(name) in known_models() and (path is None or path.is_dir()):
        path = MODELS_FOLDER / f'{name}.xml'
    if path is None:
        raise ConfigError(
            f'no arm model {str(name)!r}{in_another_case(Path(name)).rstrip("?")}: expected the '
            f'path of an MJCF or URDF file, or one of {", ".join(known_models())}'
        )
    return read_source(model_text(path, arguments, packages), str(path), packages)


def _names(mj: Any, kind: str) -> list[str]:
    count = getattr(mj, {'joint': 'njnt', 'site': 'nsite', 'body': 'nbody'}[kind])
    return [getattr(mj, kind)(number).name for number in range(count)]


def _find_place(mj: Any, name: str) -> tuple[bool, int]:
    sites, bodies = _names(mj, 'site'), _names(mj, 'body')
    if name and name in sites:
        return True, sites.index(name)
    if name and name in bodies:
        return False, bodies.index(name)
    known = closest(name, [*sites, *bodies])
    raise ConfigError(f'the model has no site or body {name!r}{known}')


def _find_tool(mj: Any, name: str) -> tuple[str, bool, int, list[str]]:
    """Return the tool's name, whether it is a site, the body it is fixed to, and notes."""
    bodies = _names(mj, 'body')
    notes: list[str] = []
    if not name:
        name = DEFAULT_TOOL if DEFAULT_TOOL in _names(mj, 'site') else bodies[-1]
        if not name:
            return '', False, len(bodies) - 1, notes
        if name != DEFAULT_TOOL:
            notes.append(
                f'{TOOL_NOTE}: the last body of the model is taken, {name!r}{_question(mj, name)}'
            )
    elif is_part(name):
        notes.append(f'tool {name!r}{_question(mj, name)}')
    is_site, number = _find_place(mj, name)
    return name, is_site, int(mj.site_bodyid[number]) if is_site else number, notes


def _question(mj: Any, name: str) -> str:
    """Return the end of a note on a tool that is by its name a part, such as a finger."""
    better = [each for each in tool_candidates(mj) if each != name][:3]
    if is_part(name):
        known = f', as {", ".join(better)}' if better else ''
        return f'; by its name it is a part, not the centre point of a tool: set tool{known}'
    return f'; set tool, as {", ".join([name, *better])}'


def _rigid_above(source: Source, mj: Any, body: int) -> dict[str, str]:
    """Return planar and floating joints of a URDF between its root and a body, with their kinds."""
    chain = {mj.body(link).name for link in chain_of(mj, body)}
    return {
        joint.name: joint.kind
        for joint in source.joints.values()
        if joint.kind in urdf.RIGID and joint.child in chain
    }


def _not_commanded(name: str, kind: str) -> ConfigError:
    what = 'a ball' if kind == 'ball' else kind
    return ConfigError(
        f'joint {name!r} is {what} and cannot be commanded: leave it out of joints, and hold it '
        f'where it is (held: {{{name}: 0.0}})'
    )


def _check_held(
    mj: Any, source: Source, names: Sequence[str], held: Mapping[str, float], limits: ModelLimits
) -> None:
    scalar = {mj.joint(joint).name: joint for joint in scalar_joints(mj)}
    rigid = [joint.name for joint in source.joints.values() if joint.kind in urdf.RIGID]
    followers = followers_of(mj)
    for name, value in held.items():
        if name in names:
            raise ConfigError(f'joint {name!r} is commanded, as one of joints, and cannot be held')
        if name in rigid:
            if value:
                raise ConfigError(f'joint {name!r} has several axes: it can be held at 0 alone')
            continue
        if name not in scalar:
            known = closest(name, [*scalar, *rigid])
            raise ConfigError(f'held: the model has no joint {name!r}{known}')
        if scalar[name] in followers:
            raise ConfigError(f'joint {name!r} follows another (mimic) and cannot be held')
        own = limits.by_name(name)
        if not own.low <= value <= own.high:
            raise ConfigError(
                f'held: joint {name!r} is at {value:g}, expected within its limits, {own.low:g} to '
                f'{own.high:g}'
            )


def _loops(mj: Any) -> list[str]:
    """Return a note if the model has constraints that the kinematics of a tree ignores."""
    kinds = load_mujoco().mjtEq
    closed = (int(kinds.mjEQ_CONNECT), int(kinds.mjEQ_WELD))
    if any(int(kind) in closed and on for kind, on in zip(mj.eq_type, mj.eq_active0, strict=True)):
        return ['the model closes loops (equality connect or weld), which are not followed']
    return []
