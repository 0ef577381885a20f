"""A model that a driver publishes serves doctor, training and rehearsal, and stays with the run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from nrl_ros.base.config_files import find_config
from nrl_ros.base.errors import BridgeError, NrlError
from nrl_ros.cli import plan, topic_model
from nrl_ros.cli.arm import make_plan
from nrl_ros.cli.evaluate import evaluate
from nrl_ros.cli.main import app
from nrl_ros.cli.options import ArmOptions, TrainOptions
from nrl_ros.cli.runs import open_run
from nrl_ros.robots.arm.model_files import MODELS_FOLDER
from nrl_ros.robots.arm.robot import load_robot

pytest.importorskip('mujoco')

TOPIC = 'cell/robot_description'


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A description of the planar arm whose model comes from a driver, which publishes it."""
    text = (MODELS_FOLDER / 'planar.xml').read_text()

    def published(topic: str) -> str:
        if topic != TOPIC:
            raise BridgeError(f'no robot description on {topic}')
        return text

    monkeypatch.setattr(topic_model, '_fetch', published)
    path = tmp_path / 'cell.yaml'
    groups = yaml.safe_load(find_config('planar', 'robots').read_text())
    groups |= {'model': 'robot_description', 'control': {'description_topic': TOPIC}}
    path.write_text(yaml.safe_dump(groups))
    return path


def test_doctor_tells_of_the_driver_s_model(described: Path) -> None:
    told = CliRunner().invoke(app, ['doctor', '--robot', str(described)])
    assert told.exit_code == 0, told.output
    assert 'tool tool at home: 0.477, 0.435, 0.000 m' in told.output
    described.write_text(described.read_text().replace(TOPIC, 'nobody'))
    told = CliRunner().invoke(app, ['doctor', '--robot', str(described)])
    assert told.exit_code == 1 and 'no robot description on nobody' in told.output


def task(folder: Path, robot: Path) -> Path:
    options = {
        'robot': str(robot),
        'target': {'low_m': [0.2, -0.3, 0.0], 'high_m': [0.5, 0.3, 0.1]},
    }
    bridge = {'name': 'arm', 'instances': 2, 'options': options}
    parameters = {'bridge': bridge, 'reward': {'delivery': 'every_step'}, 'stop': {'steps': 8}}
    path = folder / 'task.yaml'
    path.write_text(yaml.safe_dump({'/**/environment': {'ros__parameters': parameters}}))
    return path


def test_a_run_keeps_the_model_that_it_was_trained_with(
    tmp_path: Path, described: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nrl_ros import train

    options = TrainOptions(config=task(tmp_path, described), out=tmp_path / 'run')
    plan.check_options(options)
    train(task(tmp_path, described), out=tmp_path / 'run')

    def gone(topic: str) -> str:
        raise BridgeError(f'the driver has ended, and nobody publishes {topic}')

    monkeypatch.setattr(topic_model, '_fetch', gone)
    settings = plan.config.resolve(open_run(tmp_path / 'run').config)
    kept = load_robot(str(settings.environment.bridge.options['robot']))
    assert kept.digest() == load_robot('planar').digest()
    assert evaluate(settings, None, episodes=2, seed=1).episodes == 2
    with pytest.raises(NrlError, match='the driver has ended'):
        plan.check_options(options)


def test_a_rehearsal_gives_all_nodes_the_model(tmp_path: Path, described: Path) -> None:
    made = make_plan(ArmOptions(robot='planar', robot_file=described, out=tmp_path / 'run'))
    assert load_robot(made.robot).digest() == load_robot('planar').digest()
    with made.start:
        nodes = yaml.safe_load((made.start.folder / 'arm.yaml').read_text())
        for name in ('arm_driver', 'safety'):
            assert nodes[f'/**/{name}']['ros__parameters']['robot'] == made.robot
        assert f'robot: {made.robot}' in (made.start.folder / 'config.yaml').read_text()
    # A start that does not begin leaves nothing.
    assert not (tmp_path / 'run').exists()


def test_the_nodes_of_a_real_arm_hear_the_driver_themselves(
    tmp_path: Path, described: Path
) -> None:
    options = ArmOptions(robot='planar', robot_file=described, real=True, out=tmp_path / 'run')
    assert make_plan(options).robot == str(described)
