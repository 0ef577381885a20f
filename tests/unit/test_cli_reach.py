"""The command nrl reach: what it sends, and what it says without an arm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip('rclpy')
pytest.importorskip('nrl_ros.action')

from nrl_ros.cli import reach
from nrl_ros.cli.main import app
from nrl_ros.robots.arm.reach_goals import Outcome
from nrl_ros.robots.arm.rotations import matrices_of
from nrl_ros.ros.interfaces import Reach


def about(axis: int, angle: float) -> np.ndarray:
    turned = np.eye(3)
    one, two = (axis + 1) % 3, (axis + 2) % 3
    turned[one, one] = turned[two, two] = math.cos(angle)
    turned[two, one], turned[one, two] = math.sin(angle), -math.sin(angle)
    return turned


@pytest.mark.parametrize('angles', [(0.3, 0.0, 0.0), (0.0, -1.2, 0.0), (0.4, 0.5, -2.0)])
def test_roll_pitch_and_yaw_turn_about_fixed_axes_in_this_order(
    angles: tuple[float, float, float],
) -> None:
    roll, pitch, yaw = angles
    expected = about(2, yaw) @ about(1, pitch) @ about(0, roll)
    one = reach.quaternion(*angles)
    np.testing.assert_allclose(matrices_of(np.array([[one.x, one.y, one.z, one.w]]))[0], expected)


@pytest.mark.parametrize(
    'command', [['reach', 'nan', '0', '0'], ['reach', '0', '0', '-inf'], ['reward', 'inf']]
)
def test_what_is_no_number_is_refused_before_anybody_is_looked_for(command: list[str]) -> None:
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 2
    assert 'expected finite numbers' in told.output


def test_a_goal_says_what_was_asked_for() -> None:
    goal = reach.ReachOptions((0.1, -0.2, 0.3), frame='table', tolerance_m=0.005).goal()
    place = goal.target.pose.position
    assert (place.x, place.y, place.z, goal.target.header.frame_id) == (0.1, -0.2, 0.3, 'table')
    assert (goal.tolerance_m, goal.use_orientation, goal.preempt, goal.learn) == (
        0.005, False, False, False,
    )  # fmt: skip
    assert reach.ReachOptions((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)).goal().use_orientation


def test_outcomes_are_those_of_the_state_machine() -> None:
    for outcome in Outcome:
        assert getattr(Reach.Result, f'OUTCOME_{outcome.name}') == outcome
        assert reach.outcome_name(outcome) == outcome.name.lower().replace('_', ' ')


def test_numbers_below_0_are_no_options_and_half_an_orientation_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[reach.ReachOptions] = []
    monkeypatch.setattr(reach, 'run', lambda options, _console: sent.append(options) or 0)
    runner = CliRunner()
    assert runner.invoke(app, ['reach', '0.4', '-0.2', '0.3', '--preempt']).exit_code == 0
    assert sent[0].point == (0.4, -0.2, 0.3) and sent[0].preempt and sent[0].angles is None
    assert runner.invoke(app, ['reach', '0', '0', '1', '0', '-1.5', '-3']).exit_code == 0
    assert sent[1].angles == (0.0, -1.5, -3.0)
    refused = runner.invoke(app, ['reach', '0', '0', '1', '0.5'])
    assert refused.exit_code == 2 and 'received 4 numbers' in refused.output
