"""What a policy learned with is compared by its meaning: names are notes, and numbers have room."""

from __future__ import annotations

import pytest

from nrl_ros.base.manifest import first_difference, note, sides, within

LEARNED = '\n'.join(
    [note('robot: one'), 'j1: -1 to 1 rad', f'at {within("0.5, -0.25 m", 0.005)}, turns']
)


@pytest.mark.parametrize(
    ('change', 'differs'),
    [
        (('robot: one', 'robot: two'), False),
        (('0.5,', '0.504,'), False),
        (('0.5,', '0.506,'), True),
        (('-0.25', '0.25'), True),
        (('-0.25', '-2.52e-1'), False),
        (('-0.25 m', '-0.25, 0 m'), True),
        (('0.005', '5'), True),
        (('turns', 'slides'), True),
        # Without a tolerance every figure counts.
        (('-1 to 1', '-1 to 1.001'), True),
        (('j1', 'j2'), True),
    ],
)
def test_numbers_have_the_room_that_their_line_gives_them(
    change: tuple[str, str], differs: bool
) -> None:
    received = LEARNED.replace(*change)
    assert received != LEARNED
    found = first_difference(LEARNED, received)
    assert (found is not None) == differs
    if found is not None:
        assert found[0] in LEARNED and found[1] in received


def test_a_line_more_is_a_difference_and_an_empty_manifest_is_none() -> None:
    assert first_difference(LEARNED, f'{LEARNED}\nmore') == ('nothing', 'more')
    assert first_difference('', LEARNED) is first_difference(LEARNED, '') is None


def test_both_sides_are_named() -> None:
    other = LEARNED.replace('robot: one', 'robot: two')
    assert sides(LEARNED, other) == ' (learned with robot one; here robot two)'
    assert sides('a', 'b') == ''
    assert 'as earlier versions saved it; here robot two' in sides('tool: tool', other)
