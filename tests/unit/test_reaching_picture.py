"""What episodes come to, where it is shown; and the picture of an arm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from nrl_ros.cli import config
from nrl_ros.cli.display import line_of, panel_of
from nrl_ros.cli.evaluate import draw, evaluate, record, score_of
from nrl_ros.cli.main import app
from nrl_ros.cli.options import TrainOptions
from nrl_ros.environments.figures import RecentFigures, shares
from nrl_ros.environments.registry import make_bridge
from nrl_ros.monitor.progress import Progress
from nrl_ros.nodes.progress_line import Figures, progress_line
from nrl_ros.robots.arm.picture import (
    HEIGHT,
    WIDTH,
    Plot,
    PlotPainter,
    Reaches,
    draw_reaches,
    make_painter,
    reaches_of,
)
from nrl_ros.robots.arm.render import Renderer, make_context
from nrl_ros.robots.arm.robot import Robot, load_robot
from nrl_ros.robots.arm.scene import OBSTACLE_COLOUR, Moment, Scene
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
    figures = {'final_distance_m': 0.0123, 'final_angle_rad': 0.04, 'is_within_2_cm_and_5_deg': 0.9}
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
    reaches = Reaches(robot, position, tool, tool, 0.04, 0.02)
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

    scene = Scene(robot, robot.home[None], robot.chain.tool(robot.home[None]))
    axes: Any = pyplot.figure().add_subplot(projection='3d')
    Plot(scene, axes)
    limits = np.array([axes.get_xlim(), axes.get_ylim(), axes.get_zlim()])
    corners = scene.surface(robot.home).reshape(-1, 3)
    assert (limits[:, 0] - 1e-9 <= corners).all() and (corners <= limits[:, 1] + 1e-9).all()
    # What joins the shapes and leads to the tool is drawn too where a renderer draws the shapes.
    assert len(scene.joints(robot.home)[0]) == count
    pyplot.close(axes.figure)


def distance_to(segment: Any, point: Any) -> float:
    start, end = segment
    along = float(np.clip((point - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1))
    return float(np.linalg.norm(start + along * (end - start) - point))


def of(painter: Any, moment: Moment) -> Any:
    try:
        return painter.picture(moment).astype(np.int16)
    finally:
        painter.close()


def painters(scene: Scene) -> list[Any]:
    context = make_context(WIDTH, HEIGHT)
    others = [] if context is None else [Renderer(scene, context, WIDTH, HEIGHT)]
    return [PlotPainter(scene), *others]


def beside_a_table(folder: Path) -> tuple[Robot, Robot]:
    """The planar arm, alone and with a table before it."""
    table = (
        'obstacles: [{name: table, shape: table, size_m: [0.2, 0.4], position_m: [0.0, -0.5, 0.2]},'
        ' {name: post, shape: cylinder, size_m: [0.05, 0.4], position_m: [-0.5, 0.0, 0.0]}]\n'
    )
    text = (ROOT / 'config/robots/planar.yaml').read_text()
    (folder / 'table.yaml').write_text(text + table)
    return load_robot('planar'), load_robot(str(folder / 'table.yaml'))


def test_pictures_and_films_show_what_stands_around_the_arm(tmp_path: Path) -> None:
    alone, beside = beside_a_table(tmp_path)
    tool = alone.chain.tool(alone.home[None])
    moment = Moment(alone.home, tool[0], tool)
    # Both seen from the same place.
    corners = np.array([[-0.7, -0.8, -0.1], [0.7, 0.8, 0.6]])
    scenes = [Scene(robot, alone.home[None], corners) for robot in (alone, beside)]
    assert len(scenes[0].obstacles) == 0 and len(scenes[1].obstacles) > 6
    for without, with_table in zip(*map(painters, scenes), strict=True):
        first, second = of(without, moment), of(with_table, moment)
        assert first.shape == (HEIGHT, WIDTH, 3)
        # Brown: more red than blue, by as much as the obstacles have.
        brown = [np.mean(one[..., 0] - one[..., 2] > 30) for one in (first, second)]
        assert OBSTACLE_COLOUR[0] - OBSTACLE_COLOUR[2] > 30 / 255
        assert brown[0] < 0.002 and brown[1] > 0.006, type(with_table)


def test_pictures_and_films_show_orientations_where_they_matter() -> None:
    robot = load_robot('ur5e')
    tool = robot.chain.tool(robot.home[None])
    axes = np.array([robot.chain.orientation(robot.home[None])[0], np.eye(3)])
    target = tool[0] + [0.3, 0.2, 0.1]
    scene = Scene(robot, robot.home[None], np.array([tool[0], target]))
    for painter, other in zip(painters(scene), painters(scene), strict=True):
        plain = of(painter, Moment(robot.home, target, tool))
        turned = of(other, Moment(robot.home, target, tool, axes))
        green = [
            np.sum(one[..., 1] - one[..., 0].clip(one[..., 2]) > 50) for one in (plain, turned)
        ]
        assert green[0] == 0 and green[1] > 20, type(painter)


def test_the_rollout_of_a_pose_task_has_the_orientations_of_its_targets() -> None:
    rollout = record(settings('ur5e_pose'), None, instances=2, seed=5)
    assert rollout['rotation'].shape == (9, 2, 3, 3)
    reaches = reaches_of(load_robot('ur5e'), rollout, period_s=0.04, success_radius_m=0.02)
    moment = reaches.moment(3, 1)
    assert moment.axes is not None and moment.path.shape == (4, 3)
    np.testing.assert_array_equal(moment.axes[1], rollout['rotation'][3, 1])
    assert 'rotation' not in record(settings(), None, instances=1, seed=5)


def test_the_film_of_the_demo_shows_poses_and_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[TrainOptions] = []

    def train(options: TrainOptions) -> int:
        trained.append(options)
        return 0

    monkeypatch.setattr('nrl_ros.cli.main._train', train)
    assert CliRunner().invoke(app, ['demo', '--seed', '3']).exit_code == 0
    (options,) = trained
    made = settings(options.task)
    rollout = record(made, None, instances=1, seed=options.seed)
    robot = load_robot(made.environment.bridge.options['robot'])
    reaches = reaches_of(robot, rollout, period_s=0.04, success_radius_m=0.02)
    assert reaches.moment(1, 0).axes is not None
    # A box has six faces.
    assert len(reaches.scene(reaches.position[:, 0]).obstacles) == 6


def test_films_are_drawn_by_matplotlib_where_nothing_else_may_draw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert make_context(10, 10, {'MUJOCO_GL': 'off'}) is None
    monkeypatch.setattr('nrl_ros.robots.arm.render._LIBRARIES', ('not_there',))
    robot = load_robot('planar')
    painter = make_painter(Scene(robot, robot.home[None], robot.chain.tool(robot.home[None])))
    assert isinstance(painter, PlotPainter)
    painter.close()
