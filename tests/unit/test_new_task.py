"""From the name of an environment to a plan: its settings are chosen, and wrong names are told."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from nrl_ros.base.config_files import find_config
from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.cli import new_task
from nrl_ros.cli.new_task import given_nodes, is_new_task, short_name, write_file
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.plan import check_options, make_plan
from nrl_ros.cli.runs import RunError

TASK = """
    import gymnasium
    import numpy as np

    class Only(gymnasium.Env):
        'A device of which there is one; the file beside it counts its makers.'
        observation_space = gymnasium.spaces.Box(-9.0, 9.0, (1,))
        action_space = gymnasium.spaces.Discrete(2)
        held = False

        def __init__(self, size=1.0):
            assert not Only.held, 'the device is in use'
            Only.held = True
            with open('made.txt', 'a') as file:
                file.write(f'{size}\\n')

        def reset(self, *, seed=None, options=None):
            self.at = 0.0
            return np.zeros(1, np.float32), {}

        def step(self, action):
            self.at += 1.0 if action else -1.0
            return np.array([self.at], np.float32), self.at, abs(self.at) > 3.0, False, {}

        def close(self):
            Only.held = False

    def bridge(instances: int):
        raise RuntimeError('made')

    gymnasium.registry.pop('Only-v0', None)
    gymnasium.register('Only-v0', Only, max_episode_steps=7)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that one stands in."""
    (tmp_path / 'my_tasks.py').write_text(textwrap.dedent(TASK))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environment_of(task: str) -> dict[str, object]:
    return given_nodes(task)['environment']


def test_a_name_stands_for_a_bridge_and_its_options(folder: Path) -> None:
    assert environment_of('gymnasium:ALE/Pong-v5') == {
        'agent': 'Pong_v5',
        'bridge.name': 'gymnasium',
        'bridge.options.id': 'ALE/Pong-v5',
    }
    assert environment_of('gymnasium:my_tasks:Only-v0') == {
        'agent': 'Only_v0',
        'bridge.name': 'gymnasium',
        'bridge.options.id': 'my_tasks:Only-v0',
        'bridge.options.folder': str(folder),
    }
    assert environment_of('./my_tasks.py:Only')['bridge.options.id'] == f'{folder}/my_tasks.py:Only'
    assert environment_of('my_tasks.py:bridge')['bridge.name'] == f'{folder}/my_tasks.py:bridge'


def test_short_names_are_those_of_folders_and_tasks_of_files_are_no_environments() -> None:
    assert short_name('gymnasium:ALE/Pong-v5') == 'Pong-v5'
    assert short_name('./my_tasks.py:Only') == 'Only'
    assert not is_new_task('cartpole') and not is_new_task('my.yaml')


@pytest.mark.parametrize(
    ('task', 'said'),
    [
        ('gymnasum:CartPole-v1', "unknown task .*did you mean 'gymnasium'"),
        ('gymnasium:', 'expected gymnasium:ID'),
        ('acrobot:x', "the bridge 'acrobot' needs a file of settings"),
        ('./nowhere.py:Only', 'cannot read .*nowhere.py: No such file'),
        ('./my_tasks.py:Onyl', "has no 'Onyl', did you mean 'Only'"),
        ('./my_tasks.py', 'expected FILE.py:NAME'),
        ('gymnasium:NoSuchTask-v0', r"know 'NoSuchTask-v0' \(Env\S+ \S+ doesn't exist\); if"),
    ],
)
def test_a_wrong_name_gives_one_clear_line_and_leaves_nothing(
    folder: Path, task: str, said: str
) -> None:
    with pytest.raises(NrlError, match=said) as error:
        make_plan(TrainOptions(task=task, root=folder / 'runs'), print)
    assert '\n' not in str(error.value)
    assert not (folder / 'runs').exists()


def test_wrong_settings_are_told_before_the_environment_is_made(folder: Path) -> None:
    options = TrainOptions(task='my_tasks.py:Only', overrides=('learner.plasticity.ruel=x',))
    with pytest.raises(ConfigError, match='ruel'):
        check_options(options)
    with pytest.raises(ConfigError, match='leave one of them away'):
        check_options(TrainOptions(task='my_tasks.py:Only', config=find_config('cartpole')))
    assert not (folder / 'made.txt').exists()


def test_a_plan_is_made_with_one_copy_of_the_environment_and_says_what_was_chosen(
    folder: Path,
) -> None:
    said: list[str] = []
    plan = make_plan(
        TrainOptions(
            task='./my_tasks.py:Only',
            root=folder / 'runs',
            steps=70,
            overrides=(
                'environment.bridge.options.kwargs.size=2.5',
                'environment.reward.delivery=episode',
            ),
        ),
        said.append,
        said.append,
    )
    assert (folder / 'made.txt').read_text() == '2.5\n'
    environment = plan.settings.environment
    assert plan.task == 'Only' and plan.run.folder.name.startswith('Only-')
    # What is given replaces what was chosen.
    assert environment.reward.delivery == 'episode' and environment.stop.steps == 70
    for what in ('seen in', 'rule:', 'head: softmax', 'observations:', 'rewards:', 'size:'):
        assert any(line.startswith(what) for line in said), what


def test_a_file_that_cannot_be_written_is_told_before_the_environment_is_tried(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_task, 'propose_settings', lambda *_: pytest.fail('it was tried'))
    with pytest.raises(RunError, match='there is no folder missing'):
        write_file('gymnasium:my_tasks:Only-v0', Path('missing/mine.yaml'), lambda _: None)


def test_a_file_is_written_once_and_trains_the_same(folder: Path) -> None:
    said: list[str] = []
    path = write_file('gymnasium:my_tasks:Only-v0', None, said.append)
    assert path == Path('Only-v0.yaml') and len(said) >= 5
    by_file = make_plan(TrainOptions(task=str(path), out=folder / 'a'), print).settings
    by_name = make_plan(
        TrainOptions(task='gymnasium:my_tasks:Only-v0', out=folder / 'b'), print
    ).settings
    assert by_file.neuromodulator.rpe == by_name.neuromodulator.rpe
    assert by_file.learner.plasticity == by_name.learner.plasticity
    assert by_file.environment.bridge == by_name.environment.bridge
    with pytest.raises(ConfigError, match='is there already'):
        write_file('gymnasium:my_tasks:Only-v0', None, said.append)
    with pytest.raises(ConfigError, match='needs a file of settings'):
        write_file('cartpole', folder / 'c.yaml', said.append)
