"""Task files: found, overridden, checked, and written so that they say the same again."""

from pathlib import Path

import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli import config

TASKS = ('cartpole', 'acrobot', 'reaching')


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding='utf-8')
    return path


@pytest.mark.parametrize('task', TASKS)
def test_shipped_files_are_valid(task):
    settings = config.resolve(config.find_config(task))
    assert settings.environment.agent == task
    assert settings.environment.stop.steps > 0


@pytest.mark.parametrize('task', TASKS)
def test_resolved_file_reads_back_the_same(task, tmp_path):
    settings = config.resolve(config.find_config(task), ['learner.noise.sigma=1e-5'])
    again = config.resolve(
        write(tmp_path / 'config.yaml', config.to_yaml(settings, comment='first\nsecond'))
    )
    assert again == settings


def test_numbers_are_those_of_ros(tmp_path):
    groups = '{plasticity: {learning_rate: 1e-3}, noise: {sigma: 2E-4}}'
    text = f'/**/learner: {{ros__parameters: {groups}}}'
    settings = config.resolve(write(tmp_path / 'a.yaml', text))
    assert settings.learner.plasticity.learning_rate == 0.001
    assert settings.learner.noise.sigma == 0.0002


def test_later_overrides_win_and_bridge_options_are_free():
    settings = config.resolve(
        config.find_config('cartpole'),
        ['learner.seed=3', 'learner.seed=4', 'environment.bridge.options.id=Pendulum-v1'],
    )
    assert settings.learner.seed == 4
    assert settings.environment.bridge.options == {'id': 'Pendulum-v1'}


def test_what_the_program_decides_wins_over_overrides():
    settings = config.resolve(
        config.find_config('cartpole'), ['learner.seed=3'], {'learner': {'seed': 9}}
    )
    assert settings.learner.seed == 9


@pytest.mark.parametrize(
    ('override', 'expected'),
    [
        ('learner.plasticity.learnin_rate=1', "did you mean 'plasticity.learning_rate'?"),
        ('learner.plasticity.rate=1', "did you mean 'plasticity.learning_rate'?"),
        ('learner.rate=1', "did you mean 'plasticity.learning_rate'?"),
        ('learner.plasticity.learning_rate=-1', 'received -1'),
        ('learnr.seed=1', "unknown node 'learnr', did you mean 'learner'?"),
        ('learner.seed', '--set expects NODE.NAME=VALUE'),
        ('seed=1', '--set expects NODE.NAME=VALUE'),
        ('learner.seed=[1', 'not a YAML value'),
    ],
)
def test_faulty_override_is_named(override, expected):
    with pytest.raises(ConfigError) as caught:
        config.resolve(config.find_config('cartpole'), [override])
    assert expected in str(caught.value)


def test_a_fault_of_an_override_is_not_told_as_one_of_the_file(tmp_path):
    """Else people look for it in the file."""
    good = write(tmp_path / 'good.yaml', '/**/learner: {ros__parameters: {seed: 1}}')
    with pytest.raises(ConfigError, match=r'good.yaml with --set learner.sed=1: learner: unknown'):
        config.resolve(good, ['learner.sed=1'])
    bad = write(tmp_path / 'bad.yaml', '/**/learner: {ros__parameters: {seeed: 1}}')
    with pytest.raises(ConfigError, match=r"bad.yaml: learner: .*'seeed'"):
        config.resolve(bad, ['learner.noise.sigma=-1'])


def test_faults_of_all_nodes_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        config.resolve(config.find_config('cartpole'), ['learner.sed=1', 'neuromodulator.rpe.x=1'])
    assert "'sed'" in str(caught.value)
    assert "'rpe.x'" in str(caught.value)


def test_unknown_task_is_guessed():
    with pytest.raises(ConfigError, match="unknown task 'cartpol', did you mean 'cartpole'"):
        config.find_config('cartpol')


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('a: [', 'not valid YAML'),
        ('3', 'expected node names'),
        ('/**/lerner: {ros__parameters: {}}', "did you mean 'learner'?"),
        ('/**/learner: {seed: 1}', 'expected ros__parameters'),
    ],
)
def test_faulty_file_is_explained(text, expected, tmp_path):
    with pytest.raises(ConfigError) as caught:
        config.read_config(write(tmp_path / 'a.yaml', text))
    assert expected in str(caught.value)


def test_missing_file_is_explained(tmp_path):
    with pytest.raises(ConfigError, match='cannot read'):
        config.read_config(tmp_path / 'none.yaml')


def test_mixed_numbers_become_one_type(tmp_path):
    settings = config.resolve(
        config.find_config('cartpole'), ['environment.bridge.options.scale=[1, 0.5]']
    )
    assert 'scale: [1.0, 0.5]' in config.to_yaml(settings, comment='')
