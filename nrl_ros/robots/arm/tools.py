"""Which places of a model may be the tool's centre point, by their names and joints."""

from __future__ import annotations

import math
import re
from typing import Any

from nrl_ros.robots.arm.couplings import chain_of, joints_of

# Names of parts beside the tool's centre point, which are often the last of a file.
PARTS = (
    'finger', 'knuckle', 'pad', 'jaw', 'cover', 'cap', 'camera', 'sensor', 'cable', 'head', 'prop',
    'tip_link', 'thumb', 'optical', 'ft_frame', 'base', 'mount', 'bar_link', 'visual', 'd435',
    'l515', 'realsense', 'accelerometer', 'imu', 'gyro', 'laser', 'range', 'aruco', 'marker',
)  # fmt: skip
# Names of centre points, the best first; all other names come after them.
_KNOWN = (
    r'^tool$', r'tcp|tool_?cent|centre_point', r'^(.*_)?tool0$', r'tool|(^|_)ee(_|$)|eef|end_?eff',
    r'grasp|gripper_(frame|center|centre|link)', r'flange|hand|palm',
)  # fmt: skip
# Where a link this many joints from the base carries several that move, these are fingers, unless
# one of them has more joints than a finger: a body that carries an arm beside a head, say.
_PALM, _FINGER = 3, 5
# Names of joints that open and close a gripper, such as one with a single jaw, and not those that
# turn all of it. A hinge that turns further than half a turn is no jaw whatever it is called.
_GRIPS = re.compile(r'gripper|finger|jaw|claw|clamp|pinc')
_TURNS = re.compile(r'roll|pitch|yaw|rot|wrist|turn|twist|spin')
# Such a place hangs on at least this share of the joints of the longest chain.
_DEEP = 0.6


def is_part(name: str) -> bool:
    """Return whether a place is, by its name, a part and not the centre point of a tool."""
    plain = name.lower()
    return any(word in plain for word in PARTS)


def tool_candidates(mj: Any) -> list[str]:
    """Return the names of places that may be the tool's centre point, the likeliest first.

    Args:
        mj: the compiled model.
    """
    places = [(mj.site(number).name, int(mj.site_bodyid[number])) for number in range(mj.nsite)]
    places += [(mj.body(number).name, number) for number in range(1, mj.nbody)]
    depths = {
        name: sum(len(joints_of(mj, link)) for link in chain_of(mj, body))
        for name, body in places
        if name
    }
    bodies = dict(places)
    fingers = {name for name in depths if _is_finger(mj, bodies[name])}
    deepest = max((depths[name] for name in depths if name not in fingers), default=0)
    order = {name: number for number, name in enumerate(depths)}
    found = [
        name
        for name, depth in depths.items()
        if depth and depth >= _DEEP * deepest and not is_part(name) and name not in fingers
    ]

    def rank(name: str) -> tuple[int, int, int]:
        plain = name.lower()
        kind = next((at for at, word in enumerate(_KNOWN) if re.search(word, plain)), len(_KNOWN))
        # Of places of one kind, that which most joints move, and which comes last.
        return kind, -depths[name], -order[name]

    return sorted(found, key=rank)


def _is_finger(mj: Any, body: int) -> bool:
    """Return whether a body moves beside others on one link near the end of an arm, or is a jaw."""
    chain = chain_of(mj, body)
    joints = 0
    for link in chain:
        if not joints_of(mj, link):
            continue
        if joints >= _PALM and any(_grips(mj, joint) for joint in joints_of(mj, link)):
            return True
        palm = int(mj.body_weldid[mj.body_parentid[link]])
        beside = [
            other
            for other in range(1, mj.nbody)
            if joints_of(mj, other) and int(mj.body_weldid[mj.body_parentid[other]]) == palm
        ]
        if joints >= _PALM and len(beside) > 1 and _most_joints(mj, beside) <= _FINGER:
            return True
        joints += len(joints_of(mj, link))
    return False


def _most_joints(mj: Any, bodies: list[int]) -> int:
    """Return how many joints the longest chain has that begins with one of some bodies."""
    from_there = dict.fromkeys(bodies, 0)
    # A body comes after the one that carries it.
    for body in range(1, mj.nbody):
        before = from_there.get(int(mj.body_parentid[body]))
        if body in bodies or before is not None:
            from_there[body] = (before or 0) + len(joints_of(mj, body))
    return max(from_there.values())


def _grips(mj: Any, joint: int) -> bool:
    """Return whether a joint opens and closes a gripper, by its name and how far it moves."""
    name = str(mj.joint(joint).name).lower()
    low, high = (float(end) for end in mj.jnt_range[joint])
    is_short = bool(mj.jnt_limited[joint]) and high - low < math.pi
    return is_short and _GRIPS.search(name) is not None and _TURNS.search(name) is None
