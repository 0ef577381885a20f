"""How near to their targets episodes end, where it is shown; and the arm's picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nrl_ros.cli import config
from nrl_ros.cli.display import line_of
from nrl_ros.cli.evaluate import evaluate, score_of, within_cm
from nrl_ros.cli.progress import Progress
from nrl_ros.cli.reaching_picture import draw_reaches, record_reaches
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.shapes import Shapes

ROOT = Path(__file__).parents[2]
SHORT = ('environment.bridge.options.episode.steps=8',)


def settings(task: str = 'planar') -> config.RunSettings:
    return config.resolve(ROOT / f'config/{task}.yaml', SHORT)


def test_shares_within_radii() -> None:
    distance = np.array([0.005, 0.015, 0.02, 0.049, 0.3])
    assert within_cm(distance) == {5: 0.8, 2: 0.4, 1: 0.2}
    score = score_of(np.ones(5), distance)
    assert score.success == '80.0 % within 5 cm, 40.0 % within 2 cm, 20.0 % within 1 cm'
    assert score_of(np.ones(5)).success == ''


def test_progress_shows_how_many_come_near() -> None:
    progress = Progress()
    assert 'within' not in line_of(progress, 1.0)
    progress.add_distances([0.01, 0.03, 0.005, 0.0199])
    assert 'within 2 cm 75 %' in line_of(progress, 1.0)


def test_an_evaluation_tells_of_distances() -> None:
    score = evaluate(settings(), None, episodes=50, seed=5)
    reaches = record_reaches(settings(), None, arms=50, seed=5)
    assert score.within_cm == within_cm(reaches.final_distance)
    assert score.episodes == 50


def test_a_cartpole_has_no_targets() -> None:
    path = ROOT / 'config/cartpole.yaml'
    limited = ('environment.bridge.options.max_episode_steps=5',)
    assert evaluate(config.resolve(path, limited), None, episodes=2, seed=0).within_cm == {}


def test_the_picture_and_the_animation_are_drawn(tmp_path: Path) -> None:
    reaches = record_reaches(settings(), None, arms=3, seed=5)
    assert reaches.position.shape == (9, 3, 2)
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
