"""What episodes come to, where it is shown; and the picture of an arm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image
from rich.console import Console

from nrl_ros.cli import config
from nrl_ros.cli.display import line_of, panel_of
from nrl_ros.cli.evaluate import draw, evaluate, record, score_of
from nrl_ros.environments.figures import RecentFigures, shares
from nrl_ros.environments.registry import make_bridge
from nrl_ros.monitor.progress import Progress
from nrl_ros.nodes.progress_line import Figures, progress_line
from nrl_ros.robots.arm.picture import Arm, Reaches, draw_reaches, reaches_of
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.shapes import Shapes

ROOT = Path(__file__).parents[2]
SHORT = ('environment.bridge.options.episode.steps=8',)


def settings(task: str = 'planar') -> config.RunSettings:
    return config.resolve(ROOT / f'config/{task}.yaml', SHORT)


NAMES = ('final_distance_m', 'is_within_5_cm', 'is_within_2_cm')
VALUES = np.array([[0.01, 1, 1], [0.03, 1, 0], [0.005, 1, 1], [0.0199, 1, 1]])
FIGURES = dict(zip(NAMES, VALUES.T, strict=True))


def test_a_score_shows_the_shares_that_there_are() -> None:
    figures = {'final_distance_m': 0.1, 'is_within_5_cm': 0.8, 'is_parked': 0.4}
    assert score_of(np.ones(5), figures).success == '80.0 % within 5 cm, 40.0 % parked'
    assert score_of(np.ones(5), {'final_distance_m': 0.1}).success == ''
    assert score_of(np.ones(5)).success == score_of(np.ones(5)).errors == ''


def test_a_score_says_the_errors_with_their_units() -> None:
    figures = {'final_distance_m': 0.0123, 'final_angle_rad': 0.04, 'is_within_2_cm_5_deg': 0.9}
    assert score_of(np.ones(5), figures).errors == 'final_distance_m 0.0123, final_angle_rad 0.04'


def test_progress_shows_how_many_succeed() -> None:
    progress = Progress()
    assert 'within' not in line_of(progress, 1.0)
    progress.figures.add(FIGURES)
    assert '  within 5 cm 100 %  within 2 cm 75 %  ' in line_of(progress, 1.0)
    panel = Console(width=100)
    with panel.capture() as captured:
        panel.print(panel_of(progress, 1.0, 'a run'))
    assert 'within 2 cm 75.0 %  of 500 episodes' in captured.get()


def test_a_node_says_the_same_figures() -> None:
    recent = RecentFigures(2)
    recent.add(FIGURES)
    line = progress_line(Figures(1, 1, 1.0, metrics=recent.means()))
    assert line.endswith('final_distance_m 0.01245, within 5 cm 100 %, within 2 cm 100 %')


@pytest.mark.parametrize(('radius_m', 'centimetres'), [(0.02, (5, 2, 1)), (0.05, (12.5, 5, 2.5))])
def test_success_is_what_the_task_says(radius_m: float, centimetres: tuple[float, ...]) -> None:
    own = f'environment.bridge.options.episode.success_radius_m={radius_m}'
    bridge = config.resolve(ROOT / 'config/planar.yaml', (own,)).environment.bridge
    named = make_bridge(bridge.name, 1, bridge.options).spec.metrics
    assert named[2:] == tuple(f'is_within_{radius:g}_cm' for radius in centimetres)


def test_an_evaluation_tells_of_success() -> None:
    score = evaluate(settings(), None, episodes=50, seed=5)
    rollout = record(settings(), None, instances=50, seed=5)
    robot = load_robot('planar')
    distance = reaches_of(robot, rollout, period_s=0.04, success_radius_m=0.02).final_distance
    assert score.figures['final_distance_m'] == pytest.approx(distance.mean())
    for radius in (5, 2, 1):
        assert shares(score.figures)[f'within {radius} cm'] == np.mean(distance < 0.01 * radius)
    assert score.episodes == 50


def test_a_cartpole_tells_only_its_return(tmp_path: Path) -> None:
    path = ROOT / 'config/cartpole.yaml'
    limited = ('environment.bridge.options.max_episode_steps=5',)
    cartpole = config.resolve(path, limited)
    assert evaluate(cartpole, None, episodes=2, seed=0).figures == {}
    assert draw(cartpole, tmp_path / 'none', tmp_path, instances=2, seed=0) is None


def test_the_picture_and_the_animation_are_drawn(tmp_path: Path) -> None:
    rollout = record(settings(), None, instances=3, seed=5)
    assert rollout['position'].shape == (9, 3, 2)
    reaches = reaches_of(load_robot('planar'), rollout, period_s=0.04, success_radius_m=0.02)
    picture, animation = tmp_path / 'a.png', tmp_path / 'a.gif'
    draw_reaches(reaches, reaches, picture, animation)
    assert Image.open(picture).size[0] > 1000
    # Three arms, every fourth of nine poses; a pause is one long frame.
    assert Image.open(animation).n_frames >= 3 * 3


@pytest.mark.parametrize('name', ['planar', 'ur5e', 'fr3'])
def test_shapes_end_where_joints_are(name: str) -> None:
    robot = load_robot(name)
    shapes = Shapes(robot.model)
    segments = shapes.segments(robot.home)
    assert segments.shape == (len(shapes.radius), 2, 3)
    tool = robot.chain.tool(robot.home[None])[0]
    # The last link's shape reaches the tool, within its own size.
    nearest = np.linalg.norm(segments.reshape(-1, 3) - tool, axis=1).min()
    assert nearest < 0.15


def test_an_arm_without_plain_shapes_is_drawn_by_its_bones(tmp_path: Path) -> None:
    """As nearly every vendor's, whose shapes are meshes: 0.4 m and 0.3 m of a planar arm."""
    joints = ''.join(
        f'<joint name="j{at}" type="revolute"><parent link="l{at}"/><child link="l{at + 1}"/>'
        f'<origin xyz="{place} 0 0.1"/><axis xyz="0 0 1"/>'
        '<limit lower="-2" upper="2" velocity="1" effort="9"/></joint>'
        for at, place in enumerate((0.0, 0.4))
    ) + (
        '<joint name="end" type="fixed"><parent link="l2"/><child link="tip"/>'
        '<origin xyz="0.3 0 0"/></joint>'
    )
    links = ''.join(f'<link name="{name}"/>' for name in ('l0', 'l1', 'l2', 'tip'))
    (tmp_path / 'arm.urdf').write_text(f'<robot name="bare">{links}{joints}</robot>')
    (tmp_path / 'arm.yaml').write_text('model: arm.urdf\nworkspace: {clearance_m: 0.0}\n')
    robot = load_robot(str(tmp_path / 'arm.yaml'))
    expected = [
        [[0, 0, 0], [0, 0, 0.1]],
        [[0, 0, 0.1], [0.4, 0, 0.2]],
        [[0.4, 0, 0.2], [0.7, 0, 0.2]],
    ]
    np.testing.assert_allclose(Shapes(robot.model).segments(robot.home), expected, atol=1e-12)
    position = np.zeros((2, 1, 2))
    tool = robot.chain.tool(position[:, 0])[:, None]
    reaches = Reaches(robot, position, tool, tool[0], 0.04, 0.02)
    draw_reaches(reaches, reaches, tmp_path / 'a.png', tmp_path / 'a.gif')


@pytest.mark.parametrize('name', ['planar', 'ur5e', 'fr3'])
def test_the_arm_is_one_piece_and_all_of_it_is_in_the_picture(name: str) -> None:
    robot = load_robot(name)
    ends, radius = Shapes(robot.model).joined(robot.home)
    assert len(ends) == len(radius)
    count = (len(ends) + 1) // 2
    # Each shape from the second on has a joint that ends within it, and begins in one before it.
    for number in range(1, count):
        begin, end = ends[count + number - 1]
        assert distance_to(ends[number], end) < 1e-9
        assert min(distance_to(ends[other], begin) for other in range(number)) < 1e-9

    position = np.repeat(robot.home[None, None], 2, axis=0)
    tool = robot.chain.tool(position[:, 0])[:, None]
    reaches = Reaches(robot, position, tool, tool[0], 0.04, 0.02)
    axes: Any = pyplot.figure().add_subplot(projection='3d')
    arm = Arm(reaches, position[:, 0])
    arm.make_room(axes)
    for line in arm.draw(axes, robot.home):
        for values, limits in zip(
            line.get_data_3d(), (axes.get_xlim(), axes.get_ylim(), axes.get_zlim()), strict=True
        ):
            assert limits[0] <= min(values)
            assert max(values) <= limits[1]
    pyplot.close(axes.figure)


def distance_to(segment: Any, point: Any) -> float:
    start, end = segment
    along = float(np.clip((point - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1))
    return float(np.linalg.norm(start + along * (end - start) - point))
