"""Presets of settings: what they set, and what a file's own values replace."""

import pytest

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import flatten
from nrl_ros.cli import config
from nrl_ros.settings.presets import PRESETS
from nrl_ros.settings.run import MODELS, check

FILE = """
/**: {ros__parameters: {preset: robust}}
/**/learner: {ros__parameters: {seed: 7, plasticity: {samples: 3}}}
/**/environment: {ros__parameters: {bridge: {options: {id: CartPole-v1}}}}
"""


def file_of(folder, text=FILE):
    path = folder / 'task.yaml'
    path.write_text(text, encoding='utf-8')
    return path


@pytest.mark.parametrize('name', PRESETS)
@pytest.mark.parametrize('node', MODELS)
def test_every_value_of_a_preset_is_set(name, node):
    nodes = {each: {'preset': name} for each in MODELS}
    got = flatten(getattr(check(nodes, source='test'), node))
    values = PRESETS[name][node]
    assert {key: got[key] for key in values} == values
    assert flatten(MODELS[node]())['preset'] == 'none'


def test_values_of_the_file_and_the_command_line_replace_those_of_the_preset(tmp_path):
    got = config.resolve(file_of(tmp_path), ['neuromodulator.critic.discount=0.9'])
    assert (got.learner.seed, got.learner.plasticity.samples) == (7, 3)
    assert got.learner.plasticity.optimiser == 'amsgrad'
    assert got.neuromodulator.critic.discount == 0.9
    assert got.environment.bridge.options == {'id': 'CartPole-v1'}
    assert got.environment.reward.delivery == 'every_step'


def test_a_resolved_file_with_a_preset_reads_back_the_same(tmp_path):
    settings = config.resolve(file_of(tmp_path))
    again = config.resolve(file_of(tmp_path, config.to_yaml(settings, comment='first')))
    assert again == settings


def test_nodes_of_different_presets_are_refused():
    nodes = {each: {} for each in MODELS} | {'learner': {'preset': 'robust'}}
    with pytest.raises(ConfigError, match=r"different presets, .*'robust'.* below /\*\*"):
        check(nodes, source='test')


def test_an_unknown_preset_is_refused_with_the_known_ones():
    nodes = {each: {'preset': 'robsut'} for each in MODELS}
    with pytest.raises(ConfigError, match="preset: Input should be 'none' or 'robust'"):
        check(nodes, source='test')
