"""Which targets an arm can reach, held to closed forms of an arm of two links in a plane."""

from __future__ import annotations

import dataclasses
import math
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip('mujoco')

from typer.testing import CliRunner

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli import config
from nrl_ros.cli.main import app
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.plan import make_plan
from nrl_ros.robots.arm.description import RobotDescription
from nrl_ros.robots.arm.inverse import Goals, InverseKinematics
from nrl_ros.robots.arm.jacobian import Jacobian
from nrl_ros.robots.arm.kinematics import Chain
from nrl_ros.robots.arm.model import ArmModel
from nrl_ros.robots.arm.reach import (
    evenly,
    proposed_box,
    reach_lines,
    reached_targets,
    remarks_of,
    sampled_targets,
)
from nrl_ros.robots.arm.reachable import targets_of
from nrl_ros.robots.arm.robot import Robot, load_robot, make_robot
from nrl_ros.robots.arm.rotations import roll_pitch_yaw, rotation_vectors
from nrl_ros.robots.arm.settings import ReachSettings, TargetGroup

Array = NDArray[Any]

# Lengths of the links of the shipped model [m].
A, B = 0.4, 0.3
FREE = ((-2.6, -2.4), (2.6, 2.4))


def planar(
    limits: tuple[tuple[float, float], tuple[float, float]] = FREE, **workspace: Any
) -> Robot:
    box = {'low_m': (-2.0, -2.0, -1.0), 'high_m': (2.0, 2.0, 1.0), 'margin_m': 0.0}
    description = RobotDescription.model_validate(
        {
            'model': 'planar',
            'home_rad': (0.2, 0.3),
            'limits': {
                'margin_rad': 0.0,
                'position_low_rad': limits[0],
                'position_high_rad': limits[1],
            },
            'workspace': {**box, 'clearance_m': 0.0, **workspace},
        }
    )
    return make_robot(description)


def room(robot: Robot, points: Array) -> Array:
    """How far points are within reach, below 0 outside, by the two solutions of a triangle."""
    low, high = np.array(robot.limits.position_low), np.array(robot.limits.position_high)
    box, (x, y) = robot.description.workspace, points[:, :2].T

    def inside(x: Array, y: Array) -> list[Array]:
        return [x - box.low_m[0], box.high_m[0] - x, y - box.low_m[1], box.high_m[1] - y]

    cosine = (x * x + y * y - A * A - B * B) / (2 * A * B)
    best = np.full(len(points), -np.inf)
    for side in (1.0, -1.0):
        elbow = side * np.arccos(np.clip(cosine, -1.0, 1.0))
        shoulder = np.arctan2(y, x) - np.arctan2(B * np.sin(elbow), A + B * np.cos(elbow))
        shoulder = (shoulder + np.pi) % (2 * np.pi) - np.pi
        kept = [shoulder - low[0], high[0] - shoulder, elbow - low[1], high[1] - elbow]
        kept += [1.0 - np.abs(cosine), *inside(x, y)]
        if box.watched:
            kept += inside(A * np.cos(shoulder), A * np.sin(shoulder))
        best = np.maximum(best, np.minimum.reduce(kept))
    return best


@pytest.mark.parametrize(
    ('limits', 'workspace'),
    [
        (FREE, {}),
        (((-1.0, -2.0), (1.5, 0.5)), {}),
        (FREE, {'low_m': (-0.2, -0.1, -1.0), 'high_m': (0.75, 0.6, 1.0)}),
        (
            FREE,
            {'low_m': (-0.2, -0.1, -1.0), 'high_m': (0.8, 0.4, 1.0), 'watched': ('link2',)},
        ),
        (
            ((-0.3, -1.5), (0.5, 1.5)),
            {'low_m': (0.0, -0.1, -1.0), 'high_m': (0.7, 0.4, 1.0), 'watched': ('link2',)},
        ),
    ],
)
def test_exactly_the_points_that_trigonometry_gives_are_reached(
    limits: tuple[tuple[float, float], tuple[float, float]], workspace: dict[str, Any]
) -> None:
    """Limits, walls and the elbow's wall each decide for some points; all others are both."""
    robot = planar(limits, **workspace)
    points = evenly(np.array([-0.8, -0.8, 0.0]), np.array([0.8, 0.8, 1e-6]), 800)
    found = InverseKinematics(robot).solve(Goals(points))
    expected = room(robot, points)
    # Nearer than 1 cm to the edge, the 1 mm within which a point counts as reached may decide.
    sure = np.abs(expected) > 0.01
    assert 0.02 < found.share < 0.6 and sure.sum() > 600
    assert (found.reached == (expected > 0.0))[sure].all()
    tools = Chain(robot.model).tool(found.position)[found.reached]
    assert np.linalg.norm(tools - points[found.reached], axis=1).max() <= 0.001
    assert (robot.guard().violation(found.position[found.reached]) <= 0.0).all()


def test_the_share_of_a_box_is_the_area_of_a_ring() -> None:
    """A quarter of the ring from the folded elbow, at 2.4 rad, to the stretched arm."""
    inner = A * A + B * B + 2 * A * B * math.cos(2.4)
    share = math.pi / 4 * ((A + B) ** 2 - inner) / 0.8**2
    target = TargetGroup(
        low_m=(0.0, 0.0, 0.0), high_m=(0.8, 0.8, 1e-6), far_m=9.0, centre_m=(0.0, 0.0, 0.0)
    )
    reached = reached_targets(planar(), target)
    assert reached.share == pytest.approx(share, abs=0.012)
    assert reached.high_m[:2] == pytest.approx((0.7, 0.7), abs=0.06)
    # The ring itself, cut out by the distances from the centre, is reached everywhere.
    ring = TargetGroup.model_validate(
        {**target.model_dump(), 'near_m': math.sqrt(inner) + 0.001, 'far_m': 0.699}
    )
    assert reached_targets(planar(), ring).share == 1.0


def test_a_proposed_box_lies_in_the_ring() -> None:
    robot = planar()
    box = proposed_box(robot)
    assert box is not None and box.share >= 0.99
    inside = evenly(np.array(box.low_m), np.array(box.high_m), 400, first=1000)
    assert (room(robot, inside) > -0.01).mean() > 0.98
    # The largest rectangle beside the middle of a ring of 0.27 and 0.7 m has 0.244 m^2.
    sides = np.subtract(box.high_m, box.low_m)
    assert 0.15 < sides[0] * sides[1] < 0.25


def test_few_reachable_targets_are_told_in_one_line() -> None:
    far = {'low_m': (0.3, -0.6, 0.0), 'high_m': (0.9, 0.6, 0.0001), 'far_m': 9.0}
    told = remarks_of(planar(), ReachSettings.model_validate({'target': far}))
    assert len(told) == 1 and '\n' not in told[0]
    near = {'low_m': (0.3, -0.2, 0.0), 'high_m': (0.5, 0.2, 0.0001), 'far_m': 9.0}
    assert 'target.low_m: [' in told[0]
    target = TargetGroup.model_validate(far)
    exact = (room(planar(), sampled_targets(target)) > 0.0).mean()
    share = re.search(r'at (\d+) % of the target box', told[0])
    assert share is not None and abs(int(share[1]) - 100.0 * exact) <= 1.0
    robot = planar()
    named = dataclasses.replace(
        robot, description=robot.description.model_copy(update={'tool': 'tool'})
    )
    assert remarks_of(named, ReachSettings.model_validate({'target': near})) == ()


def test_a_home_whose_elbow_has_to_turn_round_for_the_targets_is_told() -> None:
    """Its elbow's wall leaves the targets near to it to an elbow that is bent downwards."""
    robot = planar(low_m=(-2.0, -0.25, -1.0), watched=('link2',))
    below = {'low_m': (0.4, -0.2, 0.0), 'high_m': (0.5, -0.1, 0.0001), 'far_m': 9.0}
    target = TargetGroup.model_validate(below)
    wrong, right = (dataclasses.replace(robot, home=np.array([0.4, at])) for at in (1.2, -1.2))
    (said,) = reach_lines(wrong, target)[1:]
    assert 'from home the tool goes straight to' in said and 'mend home_rad' in said
    assert reached_targets(wrong, target).straight < 0.2
    assert reached_targets(right, target).straight == 1.0
    assert len(reach_lines(right, target)) == 1


def test_starting_poses_are_made_once_for_all_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They take as long as the search from them."""
    made = []

    class Counted(InverseKinematics):
        @cached_property
        def starts(self) -> tuple[Array, Array]:
            made.append(1)
            return super().starts

    monkeypatch.setattr('nrl_ros.robots.arm.reach.InverseKinematics', Counted)
    target = {'low_m': (0.3, -0.6, 0.0), 'high_m': (0.9, 0.6, 0.0001), 'far_m': 9.0}
    settings = ReachSettings.model_validate({'target': target})
    remarks = remarks_of(planar(), settings)
    assert len(remarks) == 1 and 'a box that it reaches' in remarks[0] and len(made) == 1
    lines = reach_lines(planar(), settings.target)
    assert len(lines) == 2 and '; '.join(lines).replace('; reach: ', '; ') == remarks[0]
    assert len(made) == 2


def test_only_targets_that_are_reached_are_drawn_on_request() -> None:
    """They are drawn evenly, are different each time, and continue from a snapshot."""
    far = {'low_m': (0.3, -0.6, 0.0), 'high_m': (0.9, 0.6, 0.0001), 'far_m': 9.0}
    robot, settings = planar(), TargetGroup.model_validate({**far, 'reachable': True})
    targets = targets_of(robot, settings)
    targets.seed(5)
    drawn = np.concatenate([targets.draw(count) for count in (1, 7, 200)])
    assert (room(robot, drawn) > -0.01).all() and len(np.unique(drawn, axis=0)) == 208
    other = targets_of(robot, settings)
    other.restore(targets.snapshot())
    assert (other.draw(300) == targets.draw(300)).all()
    others = targets_of(robot, TargetGroup.model_validate(far))
    assert (room(robot, others.draw(200)) < 0.0).mean() > 0.3
    with pytest.raises(ConfigError, match='reachable is for target.source: random'):
        TargetGroup(source='topic', reachable=True)


def test_a_box_that_is_never_reached_gives_no_targets() -> None:
    beyond = TargetGroup(low_m=(2.0, 0.0, 0.0), high_m=(2.1, 0.1, 0.1), far_m=9.0, reachable=True)
    with pytest.raises(ConfigError, match='the arm reaches none'):
        targets_of(planar(), beyond).draw(1)


def test_targets_that_cannot_be_are_refused() -> None:
    nowhere = TargetGroup(low_m=(0.0,) * 3, high_m=(0.1,) * 3, near_m=5.0, far_m=6.0)
    with pytest.raises(ConfigError, match='hardly a point of the box'):
        sampled_targets(nowhere)


# ----------------------------------------------------- derivative and poses


def made_of(kind: str, name: str, parent: str, child: str, more: str = '') -> str:
    return (
        f'<link name="{child}"/><joint name="{name}" type="{kind}"><parent link="{parent}"/>'
        f'<child link="{child}"/><origin xyz="0.2 0.1 0.3" rpy="0.4 -0.3 0.2"/>'
        '<axis xyz="0.6 0 0.8"/><limit lower="-2" upper="2" effort="1" velocity="1"/>'
        f'{more}</joint>'
    )


# A slide, a hinge, a hinge that follows it by half and the other way, and another one.
COUPLED = (
    '<robot name="coupled"><link name="base"/>'
    + made_of('prismatic', 'slide', 'base', 'a')
    + made_of('revolute', 'turn', 'a', 'b')
    + made_of(
        'revolute', 'follow', 'b', 'c', '<mimic joint="turn" multiplier="-0.5" offset="0.2"/>'
    )
    + made_of('revolute', 'last', 'c', 'd')
    + '</robot>'
)


@pytest.mark.parametrize('name', ['planar', 'ur5e', 'fr3', 'coupled'])
def test_the_jacobian_is_the_derivative_of_the_kinematics(name: str) -> None:
    model = ArmModel.from_text(COUPLED) if name == 'coupled' else ArmModel.from_file(name)
    chain, jacobian = Chain(model), Jacobian(model)
    position = np.random.default_rng(1).uniform(-1.0, 1.0, (7, model.size))
    motion = jacobian(position)
    assert motion.point == pytest.approx(chain.tool(position), abs=1e-12)
    assert motion.turn == pytest.approx(chain.orientation(position), abs=1e-12)
    step = 1e-6
    for joint in range(model.size):
        ahead, behind = position.copy(), position.copy()
        ahead[:, joint] += step
        behind[:, joint] -= step
        moved = (chain.tool(ahead) - chain.tool(behind)) / (2.0 * step)
        turn = chain.orientation(ahead) @ np.swapaxes(chain.orientation(behind), 1, 2)
        assert motion.jacobian[:, :3, joint] == pytest.approx(moved, abs=1e-8)
        turned = rotation_vectors(turn) / (2.0 * step)
        assert motion.jacobian[:, 3:, joint] == pytest.approx(turned, abs=1e-8)


def turn_about(axis: str, angle: float) -> NDArray[Any]:
    """The matrix of a turn, written out: x, y and z follow each other."""
    one, two = {'x': (1, 2), 'y': (2, 0), 'z': (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[one, one] = matrix[two, two] = math.cos(angle)
    matrix[two, one], matrix[one, two] = math.sin(angle), -math.sin(angle)
    return matrix


@pytest.mark.parametrize(
    'angles',
    [(0.3, -0.4, 2.0), (-3.0, 1.5, -3.1), (math.pi / 2, 0.0, 0.1), (0.0, math.pi / 2, 0.7)],
)
def test_roll_pitch_and_yaw_are_turns_about_fixed_axes(angles: tuple[float, float, float]) -> None:
    roll, pitch, yaw = angles
    matrix = turn_about('z', yaw) @ turn_about('y', pitch) @ turn_about('x', roll)
    assert roll_pitch_yaw(matrix) == pytest.approx(angles, abs=1e-9)


def test_rotation_vectors_are_axis_times_angle_up_to_half_a_turn() -> None:
    axis = np.array([2.0, -1.0, 0.5]) / math.sqrt(5.25)
    cross = np.cross(np.eye(3), axis)
    for angle in (0.0, 1e-8, 0.3, 2.0, math.pi - 1e-9, math.pi):
        turn = np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * cross @ cross
        vector = rotation_vectors(turn[None])[0]
        if angle > 3.0:
            vector *= np.sign(vector @ axis)
        assert vector == pytest.approx(angle * axis, abs=1e-6)


@pytest.mark.parametrize('name', ['ur5e', 'fr3'])
def test_poses_with_orientation_are_found_again(name: str) -> None:
    """Goals that an allowed pose has made can be reached, so nearly all of them are."""
    robot = load_robot(name)
    solver = InverseKinematics(robot)
    low, high = np.array(robot.limits.position_low), np.array(robot.limits.position_high)
    drawn = np.random.default_rng(3).uniform(low, high, (600, len(low)))
    allowed = drawn[robot.guard().violation(drawn) <= 0.0][:60]
    there = Jacobian(robot.model)(allowed)
    found = solver.solve(Goals(there.point, there.turn), starts=16)
    assert found.share > 0.9
    reached = Jacobian(robot.model)(found.position[found.reached])
    off = rotation_vectors(reached.turn @ np.swapaxes(there.turn[found.reached], 1, 2))
    assert np.linalg.norm(off, axis=1).max() <= 0.01
    assert np.linalg.norm(reached.point - there.point[found.reached], axis=1).max() <= 0.001


# ----------------------------------------------------------------- commands


def test_doctor_says_the_share_of_the_task_of_the_same_name() -> None:
    told = CliRunner().invoke(app, ['doctor', '--robot', 'ur5e'])
    assert told.exit_code == 0
    assert 'can put its tool at 100 % of the target box x 0.25 to 0.65' in told.output


def test_doctor_takes_the_robot_of_a_task() -> None:
    told = CliRunner().invoke(app, ['doctor', '--task', 'planar'])
    assert told.exit_code == 0 and 'robot planar, model planar' in told.output
    wrong = CliRunner().invoke(app, ['doctor', '--robot', 'ur5e', '--task', 'cartpole'])
    assert wrong.exit_code == 2 and 'expected a task of an arm' in wrong.output


def test_training_says_it_and_finds_the_robot_beside_its_task(tmp_path: Path) -> None:
    """Settings and robot lie in a folder that is not the one that the command is started in."""
    robot = config.find_config('planar', 'robots').read_text('utf-8')
    (tmp_path / 'own_robot.yaml').write_text(robot, 'utf-8')
    task = config.find_config('planar').read_text('utf-8')
    task = task.replace('robot: planar ', 'robot: own_robot.yaml ').replace('0.6, 0.6', '0.7, 0.7')
    task = task.replace('near_m: 0.35', 'near_m: 0.0').replace('far_m: 0.65', 'far_m: 9.0')
    (tmp_path / 'own.yaml').write_text(task, 'utf-8')
    warned: list[str] = []
    options = TrainOptions(task=str(tmp_path / 'own.yaml'), root=tmp_path)
    plan = make_plan(options, warned.append)
    bridge = plan.settings.environment.bridge
    assert bridge.options['robot'] == str((tmp_path / 'own_robot.yaml').resolve())
    assert len(warned) == 1 and 'reach: the arm can put its tool at 69 % of' in warned[0]


def test_a_finger_that_is_named_as_the_tool_is_questioned(tmp_path: Path) -> None:
    urdf = (
        '<robot name="arm"><link name="base"/><link name="hand"/><link name="left_finger"/>'
        '<joint name="turn" type="revolute"><parent link="base"/><child link="hand"/>'
        '<axis xyz="0 0 1"/><limit lower="-1" upper="1" effort="1" velocity="1"/></joint>'
        '<joint name="stiff" type="fixed"><parent link="hand"/><child link="left_finger"/>'
        '</joint></robot>'
    )
    unnamed, named = (ArmModel.from_text(urdf, tool=tool).notes for tool in ('', 'left_finger'))
    assert any(
        note.startswith("tool is not set: the last body of the model is taken, 'left_finger'")
        and note.endswith('not the centre point of a tool: set tool, as hand')
        for note in unnamed
    )
    assert any(note.startswith("tool 'left_finger'; by its name it is a part") for note in named)
    assert not any('tool' in note for note in ArmModel.from_text(urdf, tool='hand').notes)
