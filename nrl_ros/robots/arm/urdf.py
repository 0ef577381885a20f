"""Read and check a URDF: its tree of links, its joints, and their limits."""

from __future__ import annotations

import math
from typing import NamedTuple
from xml.etree import ElementTree

from nrl_ros.base.errors import ConfigError, closest

Element = ElementTree.Element
_KINDS = ('revolute', 'continuous', 'prismatic', 'fixed', 'planar', 'floating')
# Joints with several axes cannot be commanded here; they may be held in place. An MJCF may have
# balls.
RIGID = ('planar', 'floating', 'ball')
# Two turns to either side: more than almost any arm turns, and less than any limit in degrees.
MOST_RAD = 4.0 * math.pi + 0.1
WHOLE_RAD = 2.0 * math.pi + 0.1
_MOST_RAD_S = 50.0
# Limits upwards; the last three came with URDF 1.2.
_MOST = ('velocity', 'effort', 'acceleration', 'deceleration', 'jerk')


class Limits(NamedTuple):
    """Limits of one joint as its file gives them.

    Attributes:
        low: lowest position [rad, m]; -infinity if not given.
        high: highest position.
        velocity: highest velocity [rad/s, m/s]; infinity if not given.
        effort: highest effort [N m, N]; infinity if not given.
        acceleration: largest increase of speed, as of URDF 1.2 [rad/s^2, m/s^2]; infinity if not
            given, as of the two that follow.
        deceleration: largest decrease of speed; that of ``acceleration`` if only that is given.
        jerk: largest change of acceleration [rad/s^3, m/s^3].
        soft: lowest and highest position of its safety_controller, where these lie within the
            others; infinite ones without it.
        faults: what is wrong with them, '' if nothing.
        notes: what a person should know of them.
    """

    low: float
    high: float
    velocity: float
    effort: float
    acceleration: float = math.inf
    deceleration: float = math.inf
    jerk: float = math.inf
    soft: tuple[float, float] = (-math.inf, math.inf)
    faults: str = ''
    notes: tuple[str, ...] = ()


class Joint(NamedTuple):
    """A joint of a URDF."""

    name: str
    kind: str
    parent: str
    child: str
    limits: Limits


def joints_of(root: Element) -> dict[str, Joint]:
    """Return all joints by name, of a URDF whose links form one tree.

    Raises:
        ConfigError: links or joints are not named once each, a joint names a link or joint that
            does not exist, has an unknown type or faulty numbers, or the links are no tree with one
            root.
    """
    links = _names(root.findall('link'), 'link')
    for link in root.findall('link'):
        for shape in link.findall('collision'):
            check_shape(link.get('name', ''), shape)
    elements = root.findall('joint')
    names = _names(elements, 'joint')
    joints: dict[str, Joint] = {}
    above: dict[str, str] = {}
    for element, name in zip(elements, names, strict=True):
        kind = element.get('type', '')
        if kind not in _KINDS:
            raise ConfigError(
                f'joint {name!r} of the URDF has the type {kind!r}, expected {", ".join(_KINDS)}'
            )
        parent, child = (_end(element, name, end, links) for end in ('parent', 'child'))
        if child in above:
            raise ConfigError(
                f'link {child!r} of the URDF hangs on two joints, {above[child]!r} and {name!r}'
            )
        above[child] = name
        _check_numbers(element, name)
        _check_mimic(element, name, names)
        joints[name] = Joint(name, kind, parent, child, _limits(element, kind))
    _check_tree(links, joints)
    for element in elements:
        mimic = element.find('mimic')
        leader = None if mimic is None else joints[mimic.get('joint', '')]
        if leader is not None and leader.kind in ('fixed', *RIGID):
            raise ConfigError(
                f'joint {element.get("name")!r} of the URDF mimics {leader.name!r}, which is '
                f'{leader.kind}: expected one that turns or slides'
            )
    return joints


def root_link(joints: dict[str, Joint], root: Element) -> str:
    """Return the link that is no joint's child, in a URDF that ``joints_of`` has checked."""
    children = {joint.child for joint in joints.values()}
    links = [link.get('name', '') for link in root.findall('link')]
    return next(name for name in links if name not in children)


def _names(elements: list[Element], what: str) -> list[str]:
    names = [element.get('name', '') for element in elements]
    if '' in names:
        raise ConfigError(f'a {what} of the URDF has no name')
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f'the URDF has each of these {what}s twice: {", ".join(twice)}')
    return names


def _end(element: Element, name: str, end: str, links: list[str]) -> str:
    found = element.find(end)
    link = '' if found is None else found.get('link', '')
    if link not in links:
        raise ConfigError(
            f'joint {name!r} of the URDF has the {end} link {link!r}, which is not there'
            f'{closest(link, links)}'
        )
    return link


def _finite(text: str) -> list[float]:
    """Return the numbers of a text; none unless all of them are finite numbers."""
    try:
        values = [float(part) for part in text.split()]
    except ValueError:
        return []
    return values if all(map(math.isfinite, values)) else []


def _check_numbers(element: Element, name: str) -> None:
    """Refuse numbers that MuJoCo would misread, or refuse without naming the joint."""
    for path, attribute, length in (
        ('origin', 'xyz', 3), ('origin', 'rpy', 3), ('axis', 'xyz', 3), ('mimic', 'multiplier', 1),
        ('mimic', 'offset', 1),
    ):  # fmt: skip
        found = element.find(path)
        text = None if found is None else found.get(attribute)
        # Exporters write an axis of 0 for joints that have no axis.
        if text is None or (path == 'axis' and element.get('type') in ('fixed', 'floating')):
            continue
        values = _finite(text)
        good = len(values) == length
        if good and path == 'axis':
            good = any(values)
        if not good:
            raise ConfigError(
                f'joint {name!r} of the URDF: {path} {attribute} is {text!r}, expected {length} '
                f'finite number{"s" if length > 1 else ""}{", not all 0" * (path == "axis")}'
            )


def check_shape(link: str, shape: Element) -> None:
    """Check size and place of a shape: MuJoCo refuses them without naming the link.

    Args:
        link: its name.
        shape: a collision or visual element of it.

    Raises:
        ConfigError: a number is missing or not finite, or a size is not above 0.
    """
    for element in shape.iter():
        for attribute in ('xyz', 'rpy', 'radius', 'length', 'size'):
            text = element.get(attribute)
            if text is None:
                continue
            values = _finite(text)
            good = bool(values)
            if attribute in ('radius', 'length', 'size'):
                good = good and min(values) > 0.0
            if not good:
                raise ConfigError(
                    f'link {link!r} of the URDF: {attribute} of a collision shape is {text!r}, '
                    'expected finite numbers, of a size above 0'
                )


def _check_mimic(element: Element, name: str, names: list[str]) -> None:
    mimic = element.find('mimic')
    if mimic is not None and mimic.get('joint') not in names:
        leader = mimic.get('joint', '')
        raise ConfigError(
            f'joint {name!r} of the URDF mimics {leader!r}, which is no joint of it'
            f'{closest(leader, names)}'
        )


def _check_tree(links: list[str], joints: dict[str, Joint]) -> None:
    if not links:
        raise ConfigError('the URDF has no link')
    children = {joint.child for joint in joints.values()}
    roots = [link for link in links if link not in children]
    if len(roots) > 1:
        raise ConfigError(
            f'the URDF has {len(roots)} roots, links that hang on no joint: {", ".join(roots)}; '
            'where they stand to one another is not said: join them by a fixed joint'
        )
    below: dict[str, list[str]] = {}
    for joint in joints.values():
        below.setdefault(joint.parent, []).append(joint.child)
    reached, pending = set(), roots[:]
    while pending:
        link = pending.pop()
        reached.add(link)
        pending += below.get(link, [])
    if len(reached) < len(links):
        lost = [link for link in links if link not in reached]
        raise ConfigError(f'links of the URDF hang on one another in a circle: {", ".join(lost)}')


def _limits(element: Element, kind: str) -> Limits:
    limit = element.find('limit')
    values = {} if limit is None else limit.attrib
    name = element.get('name', '')
    faults: list[str] = []
    notes: list[str] = []
    most = {}
    for what in _MOST:
        value = _number(values, what, name, faults)
        if value is not None and value < 0.0:
            faults.append(f'{what} limit {value:g} is below 0')
        # Many exporters write 0 where there is no limit.
        most[what] = value or math.inf
    low, high = _ends(values, kind, name, faults, notes)
    if most['velocity'] > _MOST_RAD_S and math.isfinite(most['velocity']) and kind != 'prismatic':
        notes.append(f'velocity limit {most["velocity"]:g} rad/s of its model: degrees?')
    most['deceleration'] = min(most['deceleration'], most['acceleration'])
    return Limits(
        low,
        high,
        **most,
        soft=_soft(element, low, high),
        faults=f'joint {name!r}: {", ".join(faults)}' if faults else '',
        notes=tuple(f'joint {name}: {note}' for note in notes),
    )


def _soft(element: Element, low: float, high: float) -> tuple[float, float]:
    """Return the limits of a joint's safety_controller; infinite ones where they tighten none."""
    nothing = (-math.inf, math.inf)
    found = element.find('safety_controller')
    values = {} if found is None else found.attrib
    try:
        first, last = (float(values[f'soft_{end}_limit']) for end in ('lower', 'upper'))
    except (KeyError, ValueError):
        return nothing
    # Both are 0 where exporters had none.
    if not first < last or not max(first, low) < min(last, high):
        return nothing
    return (first if first > low else -math.inf, last if last < high else math.inf)


def _ends(
    values: dict[str, str], kind: str, name: str, faults: list[str], notes: list[str]
) -> tuple[float, float]:
    """Return lowest and highest position; infinite ones for a joint with a fault."""
    nothing = (-math.inf, math.inf)
    given = [end for end in ('lower', 'upper') if end in values]
    ends = {end: _number(values, end, name, faults) for end in given}
    if kind not in ('revolute', 'prismatic', 'continuous') or not given or faults:
        return nothing
    # An end that is not given is 0, as the specification of URDF says.
    low, high = (ends.get(end) or 0.0 for end in ('lower', 'upper'))
    if kind == 'continuous':
        if low < high and math.isfinite(high - low):
            notes.append(f'continuous, and limited to {low:g} to {high:g} rad; the limits hold')
            return low, high
        return nothing
    if low > high and len(given) == 1:
        faults.append(f'{given[0]} {ends[given[0]]:g} alone; the other end counts as 0: give both')
        return nothing
    if low > high:
        faults.append(f'lower {low:g} is above upper {high:g}: exchange them in the model')
        return nothing
    if low == high:
        faults.append(f'lower and upper are both {low:g}: write its true limits, or fix the joint')
        return nothing
    if len(given) == 1:
        other = 'lower' if given == ['upper'] else 'upper'
        notes.append(f'its model gives {given[0]} {ends[given[0]]:g} alone; {other} counts as 0')
    return low, high


def _number(values: dict[str, str], what: str, name: str, faults: list[str]) -> float | None:
    text = values.get(what)
    if text is None or not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        faults.append(f'{what} limit {text!r} is not a number')
        return None
    return number
