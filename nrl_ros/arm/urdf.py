"""URDF made ready for MuJoCo, and the limits that MuJoCo does not keep."""

from __future__ import annotations

from typing import NamedTuple
from xml.etree import ElementTree

from nrl_ros.core.errors import ConfigError

# Links without inertia must have some to be simulated; kinematics does not care.
_COMPILER = {
    'fusestatic': 'false',
    'balanceinertia': 'true',
    'boundmass': '0.001',
    'boundinertia': '0.000001',
}


class Limits(NamedTuple):
    """Highest velocity [rad/s, m/s] and effort [N m, N] of one joint; infinity where not given."""

    velocity: float
    effort: float


def root_of(text: str) -> ElementTree.Element:
    """The root element of a model.

    Raises:
        ConfigError: the text is no XML.
    """
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ConfigError(
            f'the model is neither MJCF nor URDF: {error}; a xacro file must be expanded first '
            '(xacro NAME.urdf.xacro > NAME.urdf)'
        ) from None


def prepare(root: ElementTree.Element) -> str:
    """A URDF as MuJoCo can read it, whether or not its mesh files are here.

    Visual elements go, and collision elements with meshes: their files are named ``package://`` and
    often absent. Fixed links stay links of their own, so that a tool such as ``tool0`` can be
    named, and every link gets a least mass.
    """
    for link in root.iter('link'):
        for element in [*link.findall('visual'), *link.findall('collision')]:
            if element.tag == 'visual' or element.find('geometry/mesh') is not None:
                link.remove(element)
    for element in root.findall('mujoco'):
        root.remove(element)
    ElementTree.SubElement(ElementTree.SubElement(root, 'mujoco'), 'compiler', _COMPILER)
    return ElementTree.tostring(root, encoding='unicode')


def limits(root: ElementTree.Element) -> dict[str, Limits]:
    """Limits by joint name; MuJoCo reads those of positions only.

    Raises:
        ConfigError: a limit is no number.
    """
    found = {}
    for joint in root.findall('joint'):
        limit = joint.find('limit')
        values = {} if limit is None else limit.attrib
        name = joint.get('name', '')
        found[name] = Limits(
            _number(values.get('velocity'), name, 'velocity'),
            _number(values.get('effort'), name, 'effort'),
        )
    return found


def _number(text: str | None, joint: str, what: str) -> float:
    """A limit; none, and the 0 that many exporters write, are no limit."""
    try:
        return float(text or 'inf') or float('inf')
    except ValueError:
        raise ConfigError(f'joint {joint!r}: {what} limit {text!r} is not a number') from None
