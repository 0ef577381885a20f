"""Compare two interface descriptions (manifests): what a policy learned with, and what it meets.

A manifest is read by people and compared line by line. A line that begins with ``#`` names what the
numbers do not depend on, such as the robot, and is not compared. Where ``(within X)`` stands in a
line, the numbers before it may differ by X; all the rest of a line has to be the same.
"""

from __future__ import annotations

import re
from itertools import zip_longest

_NOTE = '#'
_WITHIN = re.compile(r'\(within ([0-9.e+-]+)\)')
_NUMBER = re.compile(r'(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])')


def note(text: str) -> str:
    """Return a line for people that ``first_difference`` passes over."""
    return f'{_NOTE} {text}'


def within(text: str, tolerance: float) -> str:
    """Return a text whose numbers may differ by a tolerance, in their own unit."""
    return f'{text} (within {tolerance:g})'


def first_difference(learned: str, received: str) -> tuple[str, str] | None:
    """Return the first lines in which two manifests differ; None if they agree or one is empty."""
    if not learned or not received or learned == received:
        return None
    lines = zip_longest(_compared(learned), _compared(received), fillvalue='nothing')
    return next((pair for pair in lines if not _agree(*pair)), None)


def sides(learned: str, received: str) -> str:
    """Return what the notes of two manifests name, such as robot and tool; '' if neither has any.

    Returns:
        A text such as `` (learned with robot ur5e, tool tool; here robot ur5e, tool hook)``.
    """
    one, other = _named(learned), _named(received)
    if not (one or other):
        return ''
    before = 'no names of robot and tool, as earlier versions saved it'
    return f' (learned with {one or before}; here {other or "no names"})'


def _compared(manifest: str) -> list[str]:
    return [line for line in manifest.splitlines() if not line.startswith(_NOTE)]


def _named(manifest: str) -> str:
    notes = [line for line in manifest.splitlines() if line.startswith(_NOTE)]
    return ', '.join(line.removeprefix(_NOTE).strip().replace(': ', ' ', 1) for line in notes)


def _agree(one: str, other: str) -> bool:
    """Return whether two lines say the same, but for the tolerances that they state themselves."""
    if one == other:
        return True
    # After each part comes the tolerance of its numbers; the last part has none.
    parts, others = _WITHIN.split(one), _WITHIN.split(other)
    if len(parts) != len(others) or parts[1::2] != others[1::2] or parts[-1] != others[-1]:
        return False
    tolerances = map(float, parts[1::2])
    return all(map(_near, parts[:-1:2], others[:-1:2], tolerances))


def _near(one: str, other: str, tolerance: float) -> bool:
    if _NUMBER.sub('', one) != _NUMBER.sub('', other):
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(abs(float(left) - float(right)) <= tolerance for left, right in pairs)
