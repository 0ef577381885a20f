"""What a person reads before power: numbers of the limits that hold, and faults that are told."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

pytest.importorskip('mujoco')

from typer.testing import CliRunner

from nrl_ros.cli.main import app
from nrl_ros.robots.arm.controller_facts import order_problem
from nrl_ros.robots.arm.preflight import preflight
from nrl_ros.robots.arm.robot import load_robot

PLANAR = """
name: own
model: planar
joints: [joint1, joint2]
tool: tool
home_rad: [0.5, 1.0]
limits:
  position_low_rad: [-2.0]
  position_high_rad: [2.0]
  margin_rad: 0.1
  velocity_rad_s: [1.5]
  acceleration_rad_s2: [8.0]
workspace: {low_m: [-0.75, -0.75, -0.1], clearance_m: 0.0}
control: {rate_hz: 125.0}
watchdog: {running_topic: program}
"""


def described(folder: Path, text: str = PLANAR) -> str:
    path = folder / 'own.yaml'
    path.write_text(text)
    return str(path)


def test_limits_in_force_home_and_period(tmp_path: Path) -> None:
    """Links of 0.4 and 0.3 m: the tool at home is where trigonometry puts it."""
    text = '\n'.join(preflight(load_robot(described(tmp_path), share=0.1)))
    joint = '-1.900 to 1.900 rad, 0.15 rad/s, 0.8 rad/s^2, stops with 16 rad/s^2'
    assert f'joint1: {joint}, home 0.500 rad' in text
    assert f'joint2: {joint}, home 1.000 rad' in text
    x, y = (0.4 * f(0.5) + 0.3 * f(1.5) for f in (math.cos, math.sin))
    assert f'at home: {x:.3f}, {y:.3f}, ' in text
    assert 'a velocity command each 8 ms on forward_velocity_controller/commands' in text
    assert 'robot program: watched on program' in text
    assert 'speed scaling: NOT watched' in text


def test_the_command_tells_it_and_what_is_wrong(tmp_path: Path) -> None:
    runner = CliRunner()
    told = runner.invoke(app, ['doctor', '--robot', 'ur5e'])
    assert told.exit_code == 0
    assert load_robot('ur5e').digest() in told.output
    outside = PLANAR.replace('[0.5, 1.0]', '[0.5, 1.95]')
    wrong = runner.invoke(app, ['doctor', '--robot', described(tmp_path, outside)])
    assert wrong.exit_code == 2
    assert 'home_rad of joint2 is 1.95, expected -1.9 to 1.9' in wrong.output


def test_a_topic_whose_name_contradicts_the_interface_is_said(tmp_path: Path) -> None:
    wrong = PLANAR.replace(
        '{rate_hz: 125.0}', '{command_topic: forward_position_controller/commands}'
    )
    text = '\n'.join(preflight(load_robot(described(tmp_path, wrong))))
    said = 'command_topic: a controller that takes position by its name, and the robot description'
    assert said in text
    assert said not in '\n'.join(preflight(load_robot(described(tmp_path))))


@pytest.mark.parametrize(
    ('received', 'named', 'text'),
    [
        (['a', 'b'], False, ''),
        (['b', 'a'], True, ''),
        (['b', 'a'], False, 'takes joints in another order'),
        (['a'], False, 'moves other joints'),
        (['a', 'c'], True, 'moves other joints'),
        (['a', 'b', 'c'], False, 'moves other joints'),
        ([], False, 'moves other joints'),
    ],
)
def test_joints_of_a_controller(received: list[str], named: bool, text: str) -> None:
    problem = order_problem(('a', 'b'), received, named=named)
    assert (text in problem) if text else not problem
    if problem:
        assert f'received {received}' in problem and "expected ['a', 'b']" in problem
