"""A model's text prepared for MuJoCo: meshes found, impossible masses replaced, joints fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Float64
from nrl_ros.robots.arm import urdf
from nrl_ros.robots.arm.capsules import Capsule, add_capsules
from nrl_ros.robots.arm.collision_shapes import CollisionShapes
from nrl_ros.robots.arm.engine import load_mujoco
from nrl_ros.robots.arm.model_files import root_of
from nrl_ros.robots.arm.several_axes import hold, rigid_joints
from nrl_ros.robots.arm.visual_shapes import show

# Links without inertia get a little, since they could not be simulated; kinematics does not need
# it.
_COMPILER = {
    'fusestatic': 'false',
    'balanceinertia': 'true',
    'boundmass': '0.001',
    'boundinertia': '0.000001',
}
# A link with a physically impossible inertia gets that of a ball of this radius, and of this mass
# if its own mass is impossible too.
_BALL_M, _BALL_KG = 0.05, 0.1
_MOMENTS = ('ixx', 'iyy', 'izz', 'ixy', 'ixz', 'iyz')


class Site(NamedTuple):
    """A place on an arm that its model has not, such as the centre point of a tool of one's own.

    Attributes:
        name: of the place.
        parent: body or site in whose frame it is given.
        xyz_m: position there.
        rpy_rad: roll, pitch and yaw there, as in a URDF.
    """

    name: str
    parent: str
    xyz_m: tuple[float, float, float]
    rpy_rad: tuple[float, float, float]

    def add_to(self, spec: Any) -> None:
        """Add the place to a ``mujoco.MjSpec`` that has its parent."""
        mujoco = load_mujoco()
        place, turn = np.array(self.xyz_m), np.zeros(4)
        mujoco.mju_euler2Quat(turn, np.array(self.rpy_rad), 'XYZ')
        site = next((each for each in spec.sites if each.name == self.parent), None)
        body = next((each for each in spec.bodies if each.name == self.parent), spec.worldbody)
        if site is not None:
            # Sites have no sites of their own: both poses are joined.
            at, turned = np.zeros(3), np.zeros(4)
            mujoco.mju_mulPose(at, turned, np.array(site.pos), np.array(site.quat), place, turn)
            body, place, turn = site.parent, at, turned
        body.add_site(name=self.name, pos=place, quat=turn)


@dataclass(frozen=True)
class Source:
    """What an arm's model is compiled from.

    Attributes:
        text: URDF or MJCF as it was read.
        path: where it was read from, empty for a text.
        xml: what MuJoCo is given.
        assets: hulls of a URDF's meshes, by the names that ``xml`` has for them.
        name: the model's own name.
        is_urdf: whether it is a URDF.
        root: of a URDF, the link that hangs on no joint.
        joints: of a URDF all, of an MJCF those with several axes, by name.
        shaped: of a URDF, links that have a shape in it, seen or to collide with.
        lost: meshes of links that are left out, and why.
        visual: links whose visual shapes are compared, since they have no other.
        notes: what a person should know.
        capsules: shapes that replace those of their links.
        site: a place of one's own that is added, None without one.
    """

    text: str
    path: str
    xml: str
    name: str
    is_urdf: bool
    assets: dict[str, bytes] = field(default_factory=dict)
    root: str = 'world'
    joints: dict[str, urdf.Joint] = field(default_factory=dict)
    shaped: frozenset[str] = frozenset()
    lost: tuple[str, ...] = ()
    visual: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    capsules: tuple[Capsule, ...] = ()
    site: Site | None = None

    def spec(self) -> Any:
        """Return a ``mujoco.MjSpec`` that compiles.

        Raises:
            ConfigError: MuJoCo refuses it.
        """
        spec = self.parsed()
        try:
            if not self.is_urdf:
                hold(spec)
                show(spec, self.visual)
            add_capsules(spec, self.capsules)
            if self.site is not None:
                self.site.add_to(spec)
            if not _compiles(spec):
                for mesh in spec.meshes:
                    mesh.inertia = load_mujoco().mjtMeshInertia.mjMESH_INERTIA_SHELL
                spec.compile()
        except ValueError as error:
            raise self._refused(error) from None
        return spec

    def parsed(self) -> Any:
        """Return a ``mujoco.MjSpec`` of the file as it is, which may not compile.

        Raises:
            ConfigError: MuJoCo refuses it.
        """
        make = load_mujoco().MjSpec
        try:
            if self.is_urdf:
                return make.from_string(self.xml, assets=self.assets)
            # MuJoCo needs the path of an MJCF file to find the files that it names.
            return make.from_file(self.path) if self.path else make.from_string(self.xml)
        except ValueError as error:
            raise self._refused(error) from None

    def _refused(self, error: ValueError) -> ConfigError:
        return ConfigError(
            f'MuJoCo refuses the model{f" {self.path}" * bool(self.path)}: '
            f'{" ".join(str(error).split())}'
        )


def _compiles(spec: Any) -> bool:
    """Return whether a ``mujoco.MjSpec`` compiles; not if a mesh of it has next to no volume.

    Older releases of MuJoCo took such a mesh, as of a sticker: as a shell it has an inertia.

    Raises:
        ValueError: MuJoCo refuses it for another reason.
    """
    try:
        spec.compile()
    except ValueError as error:
        if 'volume is too small' in str(error):
            return False
        raise
    return True


def read_source(text: str, path: str, packages: Sequence[Path] = ()) -> Source:
    """Prepare a model's text for MuJoCo.

    Args:
        text: URDF or MJCF.
        path: of its file, empty for a text.
        packages: folders in which packages with meshes are looked for first.

    Raises:
        ConfigError: it is no model of one arm.
    """
    root = root_of(text, path or 'the model')
    if root.tag == 'mujoco':
        _check_numbers(root)
        source = Source(text, path, text, root.get('model', 'arm'), is_urdf=False)
        return replace(source, joints=rigid_joints(source.parsed()))
    joints = urdf.joints_of(root)
    shaped = frozenset(
        link.get('name', '')
        for link in root.findall('link')
        if link.find('collision') is not None or link.find('visual') is not None
    )
    shapes = CollisionShapes(Path(path).parent if path else None, packages)
    for link in root.findall('link'):
        shapes.take(link)
    notes = [*urdf.odd_places(root), *_mend_inertia(root), *_without_mass(root, joints)]
    _write_joints(root, joints)
    for element in root.findall('mujoco'):
        root.remove(element)
    ElementTree.SubElement(ElementTree.SubElement(root, 'mujoco'), 'compiler', _COMPILER)
    return Source(
        text,
        path,
        ElementTree.tostring(root, encoding='unicode'),
        root.get('name', 'arm'),
        is_urdf=True,
        assets=shapes.assets,
        root=urdf.root_link(joints, root),
        joints=joints,
        shaped=shaped,
        lost=shapes.lost,
        visual=shapes.visual,
        notes=tuple(notes),
    )


def _check_numbers(root: ElementTree.Element) -> None:
    """Refuse NaN in an MJCF: MuJoCo would accept it and write a log file."""
    for element in root.iter():
        for attribute, text in element.attrib.items():
            if attribute != 'name' and 'nan' in text.lower().split():
                raise ConfigError(
                    f'<{element.tag}> {element.get("name", "")!r} of the model: {attribute} is '
                    f'{text!r}, expected numbers'
                )


def _write_joints(root: ElementTree.Element, joints: dict[str, urdf.Joint]) -> None:
    """Write the joints for MuJoCo: those with several axes fixed, limits as ``urdf`` read them."""
    for element in root.findall('joint'):
        joint = joints[element.get('name', '')]
        if joint.kind in urdf.RIGID:
            element.set('type', 'fixed')
        if element.get('type') == 'fixed':
            for mimic in element.findall('mimic'):
                element.remove(mimic)
        limit = element.find('limit')
        if limit is None:
            continue
        for attribute in list(limit.attrib):
            del limit.attrib[attribute]
        for attribute, value in (('lower', joint.limits.low), ('upper', joint.limits.high)):
            if np.isfinite(joint.limits.low) and np.isfinite(joint.limits.high):
                limit.set(attribute, repr(value))
        if np.isfinite(joint.limits.effort):
            limit.set('effort', repr(joint.limits.effort))


def _mend_inertia(root: ElementTree.Element) -> list[str]:
    """Replace the physically impossible inertia of links, and return notes that name them."""
    bad = [
        (link.get('name', ''), inertial)
        for link in root.findall('link')
        for inertial in link.findall('inertial')[:1]
        if not _is_body(inertial)
    ]
    for _, inertial in bad:
        mass = _values(inertial.find('mass'), ('value',))[0]
        mass = mass if np.isfinite(mass) and mass > 0.0 else _BALL_KG
        for element in list(inertial):
            if element.tag != 'origin' or not _is_place(element):
                inertial.remove(element)
        ElementTree.SubElement(inertial, 'mass', value=repr(mass))
        moment = repr(0.4 * mass * _BALL_M**2)
        turning = dict.fromkeys(('ixy', 'ixz', 'iyz'), '0') | dict.fromkeys(
            ('ixx', 'iyy', 'izz'), moment
        )
        ElementTree.SubElement(inertial, 'inertia', turning)
    notes = []
    lopsided = [
        link.get('name', '')
        for link in root.findall('link')
        for inertial in link.findall('inertial')[:1]
        if not _is_balanced(inertial)
    ]
    if lopsided:
        notes.append(
            f'one moment of inertia of {", ".join(lopsided)} is greater than the others together, '
            'as of no body: they are balanced for dynamics in simulation'
        )
    if not bad:
        return notes
    return [
        *notes,
        f'inertia of {", ".join(name for name, _ in bad)} is that of no body: each counts as a '
        f'ball of {_BALL_M} m instead. Kinematics, limits and a real arm do not need it; dynamics '
        'in simulation (mujoco) are not those of the arm until it is mended',
    ]


def _without_mass(root: ElementTree.Element, joints: dict[str, urdf.Joint]) -> list[str]:
    """Return a note that names the links that joints move and that have no mass, nor what is fixed.

    MuJoCo gives them the least mass that is set for the compiler.
    """
    heavy = {
        link.get('name', '')
        for link in root.findall('link')
        if _values(link.find('inertial/mass'), ('value',))[0] > 0.0
    }
    fixed = [joint for joint in joints.values() if joint.kind in ('fixed', *urdf.RIGID)]

    def has_mass(link: str) -> bool:
        return link in heavy or any(has_mass(one.child) for one in fixed if one.parent == link)

    moved = [joint.child for joint in joints.values() if joint not in fixed]
    light = [link for link in moved if not has_mass(link)]
    if not light:
        return []
    return [
        f'the model has no mass of {", ".join(light)}: {_COMPILER["boundmass"]} kg each instead. '
        'Kinematics, limits and a real arm do not need it; dynamics in simulation (mujoco) do'
    ]


def _is_place(element: ElementTree.Element) -> bool:
    for attribute in ('xyz', 'rpy'):
        try:
            values = [float(part) for part in element.get(attribute, '0 0 0').split()]
        except ValueError:
            return False
        if len(values) != 3 or not np.isfinite(values).all():
            return False
    return True


def _values(element: ElementTree.Element | None, names: tuple[str, ...]) -> list[float]:
    values = []
    for name in names:
        try:
            values.append(float((element.get(name) if element is not None else None) or 0.0))
        except ValueError:
            values.append(float('nan'))
    return values


def _moments(inertial: ElementTree.Element) -> Float64:
    """Return the matrix of inertia [3, 3], kg m^2; NaN for entries that are no numbers."""
    xx, yy, zz, xy, xz, yz = _values(inertial.find('inertia'), _MOMENTS)
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _is_balanced(inertial: ElementTree.Element) -> bool:
    """Return whether no moment exceeds the sum of the other two by more than rounding does."""
    least, middle, most = np.linalg.eigvalsh(_moments(inertial)).tolist()
    return bool(most <= 1.01 * (least + middle))


def _is_body(inertial: ElementTree.Element) -> bool:
    """Return whether mass and moments are there and possible; MuJoCo bounds them if all are 0."""
    for path, names in (('mass', ('value',)), ('inertia', _MOMENTS)):
        element = inertial.find(path)
        if element is None or any(name not in element.attrib for name in names):
            return False
    mass = _values(inertial.find('mass'), ('value',))[0]
    moments = _moments(inertial)
    origin = inertial.find('origin')
    if origin is not None and not _is_place(origin):
        return False
    if not (np.isfinite(mass) and mass >= 0.0 and np.isfinite(moments).all()):
        return False
    return not moments.any() or float(np.linalg.eigvalsh(moments)[0]) > 0.0
