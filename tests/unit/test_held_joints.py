"""Joints that carry an arm: held where the description says, or read from the joint states."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.manifest import first_difference
from nrl_ros.robots.arm.description import read_robot
from nrl_ros.robots.arm.held_joints import HeldJoints, MeasuredJoints
from nrl_ros.robots.arm.robot import Robot, make_robot
from tests.unit.test_arm_descriptions import URDF, YAML, described, joint, refused

# The stub on a rail along x, 0.2 m above the floor, with a gripper's finger that moves nothing.
RAIL = URDF.replace(
    '</robot>',
    '<link name="floor"/><link name="finger"/>'
    + joint('rail', 'floor', 'base_link', '0 0 0.2', '1 0 0').replace('revolute', 'prismatic')
    + joint('grip', 'tool0', 'finger', '0 0 0', '1 0 0').replace('revolute', 'prismatic')
    + '</robot>',
)
HELD = YAML + 'held: {rail: 0.3, grip: 0.0}\nmeasured: [rail]\n'


def on_rail(folder: Path, at: float | None = None, text: str = HELD) -> Robot:
    description = read_robot(described(folder, RAIL, text))
    return make_robot(description, measured={} if at is None else {'rail': at})


def test_the_tool_is_where_the_measured_rail_puts_it(tmp_path: Path) -> None:
    """At 0 the stub's tool is 0.25 m out and 0.4 m up, on a rail at a height of 0.2 m."""
    zero = np.zeros((1, 3))
    np.testing.assert_allclose(on_rail(tmp_path).chain.tool(zero)[0], [0.55, 0, 0.6], atol=1e-12)
    np.testing.assert_allclose(
        on_rail(tmp_path, 0.7).chain.tool(zero)[0], [0.95, 0, 0.6], atol=1e-12
    )


def test_all_nodes_of_one_arm_have_one_hash_and_a_policy_fits_one_place(tmp_path: Path) -> None:
    described_, moved = on_rail(tmp_path), on_rail(tmp_path, 0.7)
    # Each node measures for itself, with its own noise.
    assert described_.digest() == moved.digest() == on_rail(tmp_path, 0.7000001).digest()
    assert first_difference(described_.manifest(), moved.manifest()) is not None
    assert first_difference(moved.manifest(), on_rail(tmp_path, 0.704).manifest()) is None


def test_in_the_frame_of_the_carriage_a_policy_fits_anywhere(tmp_path: Path) -> None:
    own = HELD.replace('{low_m', '{frame: base_link, low_m')
    here, there = on_rail(tmp_path, None, own), on_rail(tmp_path, 0.7, own)
    assert first_difference(here.manifest(), there.manifest()) is None


def test_what_is_measured_has_to_be_held_and_within_its_limits(tmp_path: Path) -> None:
    said = refused(tmp_path, RAIL, HELD.replace('[rail]', '[rail, j1]'))
    assert 'measured: j1 is not among held' in said
    with pytest.raises(ConfigError, match='rail.* is at 2.6, expected within its limits'):
        on_rail(tmp_path, 2.6)


def test_positions_come_from_messages_of_several_publishers() -> None:
    joints = MeasuredJoints(('rail', 'torso'))
    assert not joints.hear(['j1', 'rail'], [1.0, math.nan]) and joints.missing == ('rail', 'torso')
    assert not joints.hear(['j1', 'rail'], [1.0, 0.25])
    assert joints.missing == ('torso',)
    assert joints.hear(['torso'], [0.1])
    assert joints.positions == {'rail': 0.25, 'torso': 0.1}


def test_a_held_joint_that_has_moved_is_told_once_and_taken_back() -> None:
    held = HeldJoints({'rail': 0.3}, {'rail': 'm'}, 0.02)
    assert held.hear(['j1', 'j2'], [9.0, 9.0]) is None
    assert held.hear(['j1', 'rail'], [9.0, 0.319]) == ''
    assert held.hear(['rail'], [0.3]) is None
    said = held.hear(['rail', 'j1'], [0.325, 9.0])
    assert said is not None and 'joint rail is measured at 0.325 m and held at 0.3 m' in said
    # The others' messages change nothing, and neither does how far it is off.
    assert held.hear(['j1'], [0.0]) is None and held.hear(['rail'], [0.4]) is None
    assert held.hear(['rail'], [0.31]) == ''
    nothing = held.hear(['rail'], [math.nan])
    assert nothing is not None and 'measured at nan m' in nothing


def test_only_what_moves_the_tool_is_watched(tmp_path: Path) -> None:
    assert on_rail(tmp_path).held_joints().names == ('rail',)
    assert on_rail(tmp_path, 0.5).held_joints().hear(['rail'], [0.51]) == ''
