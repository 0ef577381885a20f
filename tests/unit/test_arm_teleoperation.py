"""A person moves an arm: what joints a twist asks for, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from nrl_ros.base.errors import InvalidValueError, ShapeError
from nrl_ros.robots.arm.description import read_robot
from nrl_ros.robots.arm.robot import Robot, make_robot
from nrl_ros.robots.arm.teleoperation import Teleoperation


@pytest.fixture(scope='module')
def planar() -> Robot:
    return make_robot(read_robot('planar'))


def test_a_twist_moves_the_tool_as_it_says(planar: Robot) -> None:
    """An arm of two joints follows the linear part; the angular one asks for nothing."""
    made, position = Teleoperation(planar), np.array([0.3, 1.1])
    for twist in ([0.02, 0.01, 0.0, 0.0, 0.0, 0.0], [-0.01, 0.03, 0.0, 1.0, 1.0, 1.0]):
        velocity = made.velocity(made.of_twist(np.array(twist)), position)
        step = 1e-4
        before, after = (
            planar.chain.tool((position + sign * step * velocity)[None])[0] for sign in (-1.0, 1.0)
        )
        moved = (after - before) / (2.0 * step)
        assert moved[:2] == pytest.approx(twist[:2], abs=2e-3)


def test_no_joint_is_faster_than_its_limit_and_the_direction_stays(planar: Robot) -> None:
    made = Teleoperation(planar)
    fastest = np.array(planar.hard.velocity)
    random = np.random.default_rng(0)
    for _ in range(300):
        position, twist = random.uniform(-3.0, 3.0, 2), random.normal(0.0, 10.0, 6)
        velocity = made.velocity(made.of_twist(twist), position)
        assert np.isfinite(velocity).all() and (np.abs(velocity) <= fastest * (1 + 1e-9)).all()
    velocity = made.velocity(made.of_joints(100.0 * fastest), position)
    assert velocity == pytest.approx(fastest)
    assert made.velocity(made.of_joints(0.5 * fastest), position) == pytest.approx(0.5 * fastest)


@pytest.mark.parametrize(
    ('numbers', 'error', 'text'),
    [
        ([0.0, 0.0, 0.0], ShapeError, 'joint velocities of a person: expected 2 numbers'),
        ([np.nan, 0.0], InvalidValueError, 'expected finite numbers'),
    ],
)
def test_what_does_not_fit_is_refused(
    planar: Robot, numbers: list[float], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Teleoperation(planar).of_joints(np.array(numbers))
    with pytest.raises(ShapeError, match='a twist of a person: expected 6 numbers, received 2'):
        Teleoperation(planar).of_twist(np.zeros(2))
