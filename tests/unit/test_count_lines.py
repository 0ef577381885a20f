"""What counts as code and what as prose."""

from __future__ import annotations

from scripts.count_lines import count, room_of

PYTHON = '''"""A module
of two lines."""

# A comment.
TEXT = """not
prose"""  # beside code


def f():
    """One."""
    return '# no comment'
'''
C = """/* A comment
   of two lines. */
int x = 1; /* beside code */

// Another.
int y;
"""


def test_docstrings_and_comments_are_prose() -> None:
    assert count(PYTHON, python=True) == (4, 4, 3)
    assert count(C, python=False) == (2, 3, 1)


def test_a_room_is_the_folder_below_the_package() -> None:
    assert room_of('nrl_ros/learning/rules/base.py') == 'nrl_ros/learning'
    assert room_of('nrl_ros/launch.py') == 'nrl_ros'
    assert room_of('sim_bridge/arm.py') == 'sim_bridge'
