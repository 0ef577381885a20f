"""Read and check a URDF: its tree of links, its joints, and their limits."""

from __future__ import annotations

import math
from typing import NamedTuple
from xml.etree import ElementTree

from nrl_ros.base.errors import ConfigError, closest

Element = ElementTree.Element
# MuJoCo's name of the root, whatever a URDF calls it.
_WORLD = 'world'
_KINDS = ('revolute', 'continuous', 'prismatic', 'fixed', 'planar', 'floating')
# Joints with several axes cannot be commanded here; they may be held in place. An MJCF may have
# balls.
RIGID = ('planar', 'floating', 'ball')
# Two turns to either side: more than almost any arm turns, and less than any limit in degrees.
MOST_RAD = 4.0 * math.pi + 0.1
WHOLE_RAD = 2.0 * math.pi + 0.1
_MOST_RAD_S = 50.0
# What a joint and a link have once at most: MuJoCo refuses a second one without naming them.
_ONCE = ('parent', 'child', 'origin', 'axis', 'limit', 'mimic')
# No part of an arm is further from the next one.
MOST_M = 20.0
# Lengths of an axis beyond these are no directions but slips of a CAD program or of a person.
_AXIS = (1e-6, 1e6)
# The numbers of a shape, with how many there are of each; MuJoCo reads capsules too.
_SIZES = {
    'box': {'size': 3},
    'sphere': {'radius': 1},
    'cylinder': {'radius': 1, 'length': 1},
    'capsule': {'radius': 1, 'length': 1},
    'mesh': {},
}
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
        _check_once(link, f'link {link.get("name")!r}', ('inertial',))
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
        _check_once(element, f'joint {name!r}', _ONCE)
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
    _check_world(root, joints)
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


def _check_once(element: Element, owner: str, names: tuple[str, ...]) -> None:
    twice = [name for name in names if len(element.findall(name)) > 1]
    if twice:
        raise ConfigError(
            f'{owner} of the URDF has several {twice[0]} elements: which one holds is not said; '
            'leave one'
        )


def _finite(text: str) -> list[float]:
    """Return the numbers of a text; none unless all of them are finite numbers."""
    # Python reads 1_0 as 10, and no other reader of a URDF does.
    if '_' in text:
        return []
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
        text = None if found is None else found.get(attribute, '' if path == 'axis' else None)
        # Exporters write an axis of 0 for joints that have no axis.
        if text is None or (path == 'axis' and element.get('type') in ('fixed', 'floating')):
            continue
        values = _finite(text)
        good = len(values) == length
        if good and path == 'axis':
            good = _AXIS[0] < math.hypot(*values) < _AXIS[1]
        if not good:
            raise ConfigError(
                f'joint {name!r} of the URDF: {path} {attribute} is {text!r}, expected {length} '
                f'finite number{"s" if length > 1 else ""}{", a direction" * (path == "axis")}'
            )


def check_shape(link: str, shape: Element) -> None:
    """Check kind, size and place of a shape: MuJoCo refuses them without naming the link.

    Args:
        link: its name.
        shape: a collision or visual element of it. One without any geometry is no shape.

    Raises:
        ConfigError: the kind is unknown, a number is missing or not finite, or a size is not above
            0.
    """
    _check_once(shape, f'a shape of link {link!r}', ('origin', 'geometry'))
    origin, kind = shape.find('origin'), kind_of(shape)
    wanted: dict[tuple[Element, str], int] = {
        (origin, name): 3 for name in ('xyz', 'rpy') if origin is not None and name in origin.attrib
    }
    if kind is not None:
        if kind.tag not in _SIZES:
            raise ConfigError(
                f'link {link!r} of the URDF has the shape {kind.tag!r}, expected '
                f'{", ".join(_SIZES)}'
            )
        wanted |= {(kind, name): count for name, count in _SIZES[kind.tag].items()}
    for (element, name), count in wanted.items():
        text = element.get(name, '')
        values = _finite(text)
        is_size = element is kind
        if len(values) != count or (is_size and min(values) <= 0.0):
            raise ConfigError(
                f'link {link!r} of the URDF: {name} of a shape is {text!r}, expected {count} '
                f'finite number{"s" if count > 1 else ""}{" above 0" * is_size}'
            )


def kind_of(shape: Element) -> Element | None:
    """Return the element that says what a collision or visual element is; None if there is none."""
    geometry = shape.find('geometry')
    return None if geometry is None else next(iter(geometry), None)


def odd_places(root: Element) -> list[str]:
    """Return notes on places that are too far away or turned too far for metres and radians."""
    notes = []
    for owner in (*root.findall('joint'), *root.findall('link')):
        called = f'{owner.tag} {owner.get("name", "")}'
        for origin in owner.iter('origin'):
            for attribute, most, unit in (
                ('xyz', MOST_M, 'm: millimetres?'),
                ('rpy', WHOLE_RAD, 'rad: degrees?'),
            ):
                text = origin.get(attribute, '')
                if any(abs(value) > most for value in _finite(text)):
                    notes.append(f'{called}: {attribute} of its origin is {text} {unit}')
    return list(dict.fromkeys(notes))


def _check_mimic(element: Element, name: str, names: list[str]) -> None:
    mimic = element.find('mimic')
    leader = name if mimic is None else mimic.get('joint', '')
    if mimic is not None and leader == name:
        raise ConfigError(f'joint {name!r} of the URDF mimics itself: name the one that leads it')
    if mimic is not None and leader not in names:
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


def _check_world(root: Element, joints: dict[str, Joint]) -> None:
    """Refuse a link that MuJoCo would take for the root by its name, and put where the root is."""
    above = next((joint for joint in joints.values() if joint.child == _WORLD), None)
    if above is None:
        return
    link = next(link for link in root.findall('link') if link.get('name') == _WORLD)
    carries = any(joint.parent == _WORLD for joint in joints.values())
    # A frame at the end, with nothing on it, is nowhere used.
    if above.kind == 'fixed' and not (
        carries or link.findall('collision') or link.findall('visual')
    ):
        return
    raise ConfigError(
        f'link {_WORLD!r} of the URDF hangs on joint {above.name!r}: MuJoCo keeps that name '
        'for the root; give the link another one'
    )


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
    if kind == 'prismatic' and max(abs(low), abs(high)) > MOST_M and math.isfinite(high - low):
        notes.append(f'slides from {low:g} to {high:g} m by its model: millimetres?')
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
