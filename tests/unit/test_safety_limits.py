"""Limits, the box and its guard: what is refused, and distances known by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError, ProtocolError, ShapeError
from nrl_ros.robots.safety.limits import Workspace, WorkspaceGuard
from tests.unit.safety_bench import BOX, planar
from tests.unit.safety_bench import limits_of as limits


@pytest.mark.parametrize(
    ('fields', 'text'),
    [
        ({'joints': ()}, 'joints: expected names'),
        ({'joints': ('a', 'a')}, 'joints: expected names'),
        ({'velocity': (1.0,)}, 'velocity: expected 2 values, received 1'),
        ({'position_low': (0.0, math.nan)}, 'position_low must be finite'),
        ({'position_high': (0.0, math.inf)}, 'position_high must be finite'),
        ({'position_low': (0.0, 2.0)}, 'joint_1: position_low 2.0 must be below'),
        ({'velocity': (1.0, 0.0)}, 'velocity must be positive'),
        ({'acceleration': (1.0, -1.0)}, 'acceleration must be positive'),
        ({'stop_acceleration': (0.0, 1.0)}, 'stop_acceleration must be positive'),
        ({'stop_acceleration': (10.0, 9.0)}, 'joint_1: stop_acceleration 9.0 must not be below'),
    ],
)
def test_limits_that_do_not_fit_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        limits(**fields)


def test_scaled_limits_are_slower_but_stop_as_hard() -> None:
    slow = limits().scaled(0.1)
    assert slow.velocity == (0.1, 0.1)
    assert slow.acceleration == (1.0, 1.0)
    assert slow.stop_acceleration == (20.0, 20.0)
    assert limits().scaled(1.0) == limits()
    for share in (0.0, -1.0, 1.1, math.nan):
        with pytest.raises(ConfigError, match='share'):
            limits().scaled(share)


def test_a_margin_narrows_both_ends_and_must_leave_something() -> None:
    narrow = limits().with_margin(0.5)
    assert narrow.position_low == (-1.5, -1.5)
    assert narrow.position_high == (1.5, 1.5)
    with pytest.raises(ConfigError, match='below position_high'):
        limits().with_margin(2.0)
    for margin in (-0.1, math.nan, math.inf):
        with pytest.raises(ConfigError, match='margin'):
            limits().with_margin(margin)


def test_limits_take_arrays_and_keep_numbers() -> None:
    assert limits(velocity=np.array([1, 2])).velocity == (1.0, 2.0)


def test_joints_are_found_by_name_whatever_their_order() -> None:
    assert limits().indices(['joint_1', 'gripper', 'joint_0']) == (2, 0)
    for names in (['joint_0'], ['joint_0', 'joint_1', 'joint_1'], []):
        with pytest.raises(ProtocolError, match='joint_1'):
            limits().indices(names)


@pytest.mark.parametrize(
    ('low', 'high', 'text'),
    [
        ((0.0, 0.0), (1.0, 1.0, 1.0), 'workspace low_m: expected 3'),
        ((0.0, 0.0, math.nan), (1.0, 1.0, 1.0), 'workspace low_m must be finite'),
        ((0.0, 0.0, 1.0), (1.0, 1.0, 1.0), 'must be below high_m'),
    ],
)
def test_a_box_that_is_none_is_refused(low: Any, high: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Workspace(low, high)


def test_the_outermost_point_counts() -> None:
    box = Workspace((-1.0, -1.0, 0.0), (1.0, 1.0, 2.0))
    points = np.array(
        [
            [[0.0, 0.0, 1.0], [0.5, 0.0, 1.0]],  # 0.5 from the nearest side
            [[0.0, 0.0, 1.0], [0.0, 0.0, -0.25]],  # below the floor
            [[3.0, 0.0, 1.0], [0.0, 0.0, 2.5]],  # two are outside
            [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]],  # on the side
        ]
    )
    assert box.violation(points).tolist() == [-0.5, 0.25, 2.0, 0.0]


def test_a_point_that_is_no_number_is_not_inside() -> None:
    points = np.array([[[0.0, 0.0, 0.0], [math.nan, 0.0, 0.0]]])
    assert not BOX.violation(points)[0] <= 0.0


@pytest.mark.parametrize('shape', [(2, 3), (1, 0, 3), (1, 2, 2)])
def test_points_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match='expected points'):
        BOX.violation(np.zeros(shape))


def test_the_guard_is_the_stricter_of_box_and_clearance() -> None:
    """Stretched along x the tool is at 0.7 m, 0.15 m outside of a box that ends at 0.55 m."""
    position = np.array([[0.0, 0.0], [np.pi / 2, -np.pi / 2], [np.pi / 2, np.pi / 2]])
    # Tool at (0.3, 0.4): 0.05 m from y = 0.45; and at (-0.3, 0.4).
    plain = WorkspaceGuard(planar, BOX)
    assert plain.violation(position) == pytest.approx([0.15, -0.05, -0.05])
    near = WorkspaceGuard(planar, BOX, lambda q: np.array([1.0, 0.02, 0.5]), 0.03)
    assert near.violation(position) == pytest.approx([0.15, 0.01, -0.05])
    broken = WorkspaceGuard(planar, BOX, lambda q: np.full(len(q), np.nan), 0.03)
    assert not (broken.violation(position) <= 0.0).any()
    for distance in (-0.1, math.nan):
        with pytest.raises(ConfigError, match='least_clearance_m'):
            WorkspaceGuard(planar, BOX, None, distance)
