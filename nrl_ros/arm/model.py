"""Models of arms, read from MJCF or URDF through MuJoCo."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from nrl_ros.arm import urdf
from nrl_ros.core.errors import ConfigError
from nrl_ros.core.types import Float64

MODELS_FOLDER = Path(__file__).parent / 'models'
DEFAULT_TOOL = 'tool'


def load_mujoco() -> ModuleType:
    """The module mujoco.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import mujoco
    except ImportError as error:
        raise ConfigError(
            f'arms need MuJoCo, which cannot be imported ({error}): pip install mujoco'
        ) from None
    module: ModuleType = mujoco
    return module


def known_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in MODELS_FOLDER.glob('*.xml'))


@dataclass(frozen=True, eq=False)
class ArmModel:
    """One arm: its joints in the wanted order, their limits, and MuJoCo's model of it.

    Attributes:
        name: the model's own name.
        joints: J joint names.
        tool: name of the tool's site or body.
        tool_is_site: whether ``tool`` names a site.
        position_low: lowest positions [J], rad or m; -inf where there is no limit.
        position_high: highest positions [J], rad or m.
        velocity: highest velocities [J], rad/s or m/s; inf where the file does not say.
        effort: highest efforts [J], N m or N; inf where the file does not say.
        mj: the compiled ``mujoco.MjModel``.
        text: the file as it was read.
        path: where it was read from, empty for a text.
    """

    name: str
    joints: tuple[str, ...]
    tool: str
    tool_is_site: bool
    position_low: Float64
    position_high: Float64
    velocity: Float64
    effort: Float64
    mj: Any
    text: str
    path: str

    @classmethod
    def from_file(
        cls, source: str | Path, joints: Sequence[str] | None = None, tool: str = ''
    ) -> ArmModel:
        """Read a file, or the model of that name that comes with the package.

        Args:
            source: ``planar``, ``ur5e``, ``fr3``, or the path of an MJCF or URDF file.
            joints: wanted joints in the wanted order; by default all that move the tool, from the
                base on. Joints left out rest at the model's reference position.
            tool: name of a site or body; by default the site ``tool``, else the last body.

        Raises:
            ConfigError: no such file, model, joint or tool, or MuJoCo refuses the file.
        """
        path = Path(source)
        if not path.is_file():
            path = MODELS_FOLDER / f'{source}.xml'
            if str(source) not in known_models():
                raise ConfigError(
                    f'no arm model {str(source)!r}: expected the path of an MJCF or URDF file, or '
                    f'one of {", ".join(known_models())}'
                )
        return cls._of(path.read_text(encoding='utf-8'), str(path), joints, tool)

    @classmethod
    def from_text(cls, text: str, joints: Sequence[str] | None = None, tool: str = '') -> ArmModel:
        """Read MJCF or URDF, such as what ``robot_description`` holds.

        Of a URDF all meshes are left out, so that it loads where their files are absent: its
        kinematics is whole, its clearance that of the plain collision shapes. See ``from_file``.

        Raises:
            ConfigError: no such joint or tool, or MuJoCo refuses the text.
        """
        return cls._of(text, '', joints, tool)

    @classmethod
    def _of(cls, text: str, path: str, joints: Sequence[str] | None, tool: str) -> ArmModel:
        root = urdf.root_of(text)
        is_urdf = root.tag == 'robot'
        limits = urdf.limits(root) if is_urdf else {}
        mj = spec_of(text, path).compile()
        tool, is_site, body = _find_tool(mj, tool)
        names = _find_joints(mj, body, joints)
        ids = [mj.joint(name).id for name in names]
        bounds = np.array(mj.jnt_range[ids], dtype=np.float64)
        bounds[np.asarray(mj.jnt_limited[ids]) == 0] = (-np.inf, np.inf)
        fastest = [
            limits[name] if is_urdf else _servo_limits(mj, j)
            for name, j in zip(names, ids, strict=True)
        ]
        return cls(
            name=root.get('name' if is_urdf else 'model', 'arm'),
            joints=names,
            tool=tool,
            tool_is_site=is_site,
            position_low=bounds[:, 0],
            position_high=bounds[:, 1],
            velocity=np.array([limit.velocity for limit in fastest]),
            effort=np.array([limit.effort for limit in fastest]),
            mj=mj,
            text=text,
            path=path,
        )

    @property
    def size(self) -> int:
        """Joints, J."""
        return len(self.joints)

    def servo_gain(self, joint: int) -> float:
        """Gain of the velocity servo that the model gives a joint [N m s], 0 without one.

        Args:
            joint: its number in ``mj``.
        """
        gains = [_servo_gain(self.mj, number) for number in _actuators_of(self.mj, joint)]
        return max(gains, default=0.0)

    def find(self, name: str) -> tuple[bool, int]:
        """Whether a name is a site, and its number among sites or bodies.

        Raises:
            ConfigError: neither a site nor a body has that name.
        """
        return _find_place(self.mj, name)


def spec_of(text: str, path: str) -> Any:
    """A ``mujoco.MjSpec`` that compiles.

    Raises:
        ConfigError: MuJoCo refuses it.
    """
    make = load_mujoco().MjSpec
    root = urdf.root_of(text)
    try:
        if root.tag == 'robot':
            spec = make.from_string(urdf.prepare(root))
        else:
            # Only with its path MuJoCo finds the files that an MJCF file names.
            spec = make.from_file(path) if path else make.from_string(text)
        spec.compile()
    except ValueError as error:
        raise ConfigError(f'MuJoCo refuses the model: {error}') from None
    return spec


def _names(mj: Any, kind: str) -> list[str]:
    count = getattr(mj, {'joint': 'njnt', 'site': 'nsite', 'body': 'nbody'}[kind])
    return [getattr(mj, kind)(number).name for number in range(count)]


def _unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    known = [each for each in known if each]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f', did you mean {close[0]!r}?' if close else ''
    return ConfigError(
        f'the model has no {what} {name!r}{hint} (known: {", ".join(known) or "none"})'
    )


def _find_place(mj: Any, name: str) -> tuple[bool, int]:
    sites, bodies = _names(mj, 'site'), _names(mj, 'body')
    if name in sites:
        return True, sites.index(name)
    if name in bodies:
        return False, bodies.index(name)
    raise _unknown('site or body', name, [*sites, *bodies])


def _find_tool(mj: Any, name: str) -> tuple[str, bool, int]:
    """Name of the tool, whether it is a site, and the body it sits on."""
    bodies = _names(mj, 'body')
    if not name:
        name = DEFAULT_TOOL if DEFAULT_TOOL in _names(mj, 'site') else bodies[-1]
    is_site, number = _find_place(mj, name)
    return name, is_site, int(mj.site_bodyid[number]) if is_site else number


def chain_of(mj: Any, body: int) -> list[int]:
    """Numbers of the bodies from the world's child down to ``body``."""
    chain = []
    while body:
        chain.append(body)
        body = int(mj.body_parentid[body])
    return chain[::-1]


def joints_of(mj: Any, body: int) -> list[int]:
    """Numbers of one body's own joints."""
    first = int(mj.body_jntadr[body])
    return list(range(first, first + int(mj.body_jntnum[body]))) if first >= 0 else []


def _find_joints(mj: Any, body: int, wanted: Sequence[str] | None) -> tuple[str, ...]:
    kinds = load_mujoco().mjtJoint
    simple = (int(kinds.mjJNT_HINGE), int(kinds.mjJNT_SLIDE))
    moving = [joint for link in chain_of(mj, body) for joint in joints_of(mj, link)]
    known = [mj.joint(joint).name for joint in moving if mj.jnt_type[joint] in simple]
    if len(known) != len(moving):
        raise ConfigError('an arm has hinge and slide joints only, received a free or ball joint')
    if not known:
        raise ConfigError('no joint moves the tool; name another tool')
    names = tuple(known if wanted is None else wanted)
    for name in names:
        if name not in known:
            raise _unknown('joint that moves the tool', name, known)
    if not names or len(set(names)) != len(names):
        raise ConfigError(f'joints must be named once each, received {list(names)}')
    return names


def _actuators_of(mj: Any, joint: int) -> list[int]:
    on_joint = int(load_mujoco().mjtTrn.mjTRN_JOINT)
    return [
        number
        for number in range(mj.nu)
        if mj.actuator_trntype[number] == on_joint and mj.actuator_trnid[number, 0] == joint
    ]


def _servo_gain(mj: Any, actuator: int) -> float:
    """Gain of a velocity servo, 0 when it is another kind of actuator."""
    gain, bias = float(mj.actuator_gainprm[actuator, 0]), mj.actuator_biasprm[actuator]
    return gain if bias[0] == bias[1] == 0.0 and bias[2] == -gain else 0.0


def _servo_limits(mj: Any, joint: int) -> urdf.Limits:
    """Of an MJCF joint: MJCF has no velocity limits, but a velocity servo has a range."""
    velocity = effort = np.inf
    for number in _actuators_of(mj, joint):
        if _servo_gain(mj, number) and mj.actuator_ctrllimited[number]:
            velocity = float(np.abs(mj.actuator_ctrlrange[number]).max())
        if mj.actuator_forcelimited[number]:
            effort = float(np.abs(mj.actuator_forcerange[number]).max())
    return urdf.Limits(velocity, effort)
