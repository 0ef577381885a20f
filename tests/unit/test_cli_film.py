"""A film shows one episode from its first state to its end; what cannot be filmed says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.cli import config
from nrl_ros.cli.config import RunSettings
from nrl_ros.cli.film import film
from nrl_ros.cli.main import app
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.plan import make_plan


def fail(text: str) -> None:
    raise AssertionError(text)


def overrides(name: str) -> tuple[str, ...]:
    bridge = f'{{name: gymnasium, instances: 2, options: {{id: "tests.unit.foreign:{name}-v0"}}}}'
    return ('environment.agent=foreign', f'environment.bridge={bridge}')


def settings_of(name: str) -> RunSettings:
    return config.resolve(config.find_config('cartpole'), overrides(name))


def brightness(path: Path) -> list[float]:
    with Image.open(path) as picture:
        found = []
        for number in range(getattr(picture, 'n_frames', 1)):
            picture.seek(number)
            found.append(float(np.asarray(picture.convert('L')).mean()))
    return found


def test_a_film_is_one_episode_with_its_first_state_and_its_end(tmp_path: Path) -> None:
    path = tmp_path / 'folder' / 'film.gif'
    made = film(settings_of('Shown'), None, path, seed=3)
    assert (made.steps, made.episode_return) == (9, 9.0)
    # 50 steps a second are more than a player shows: every second one, and the ninth, the last.
    assert np.allclose(brightness(path), [0, 40, 80, 120, 160, 180], atol=2)
    with Image.open(path) as picture:
        assert picture.info['duration'] == 40
        # 900 pixels are made smaller by a whole number.
        assert picture.size == (300, 10)


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('ShownAsText', r"render\(\) returned .*'a text'.*render_modes are \['ansi'\]"),
        ('Sound', 'render'),
    ],
)
def test_what_cannot_be_filmed_says_why(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(NrlError, match=said):
        film(settings_of(name), None, tmp_path / 'film.gif', seed=0)
    assert not (tmp_path / 'film.gif').exists()


def test_an_environment_without_pictures_is_named(tmp_path: Path) -> None:
    scripted = config.resolve(
        config.find_config('cartpole'),
        ['environment.bridge.name=scripted', 'environment.bridge.options={}'],
    )
    with pytest.raises(NrlError, match=r'ScriptedBridge.*has no method frame\(\)'):
        film(scripted, None, tmp_path / 'film.gif', seed=0)


def test_an_arm_is_filmed_with_its_target(tmp_path: Path) -> None:
    short = ['environment.bridge.options.episode.steps=8']
    settings = config.resolve(config.find_config('planar'), short)
    path = tmp_path / 'film.gif'
    made = film(settings, None, path, seed=3, acting='exploring')
    assert (made.steps, made.frames) == (8, 9)
    with Image.open(path) as picture:
        assert picture.size == (400, 380)
        assert picture.info['duration'] == 40
        for number in range(picture.n_frames):
            picture.seek(number)
            shown = np.asarray(picture.convert('RGB'), np.int16)
            assert (shown[..., 0] - shown[..., 1] > 80).sum() > 10, 'the target is red'


def test_another_ending_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'ends with \.gif'):
        film(settings_of('Shown'), None, tmp_path / 'film.mp4', seed=0)


def test_the_command_films_and_measures(tmp_path: Path) -> None:
    plan = make_plan(
        TrainOptions(task='cartpole', out=tmp_path / 'run', overrides=overrides('Shown')), fail
    )
    with plan.start as start:
        start.begin()
    path = tmp_path / 'film.gif'
    result = CliRunner().invoke(
        app, ['eval', str(plan.run.folder), '--untrained', '--episodes', '2', '--film', str(path)]
    )
    assert result.exit_code == 0, result.output
    assert 'one greedy episode of 9 steps, return 9.0' in result.output
    assert '2 greedy episodes' in result.output
    assert len(brightness(path)) == 6


@pytest.mark.parametrize('name', ['cartpole', 'acrobot', 'reaching'])
def test_our_own_tasks_show_what_moves(tmp_path: Path, name: str) -> None:
    settings = config.resolve(config.find_config('reaching'), [f'environment.bridge.name={name}'])
    path = tmp_path / 'film.gif'
    made = film(settings, None, path, seed=1, acting='exploring')
    assert made.episode_return is not None
    blue = []
    with Image.open(path) as picture:
        assert picture.size == (240, 240)
        for number in range(picture.n_frames):
            picture.seek(number)
            shown = np.asarray(picture.convert('RGB'), np.int16)
            blue.append((shown[..., 2] - shown[..., 0]) > 80)
    assert all(part.sum() > 50 for part in blue)
    assert any((blue[0] ^ part).sum() > 50 for part in blue), 'it moves'
