"""Settings reach the nodes as they were checked, also those that no ROS parameter can hold."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.parameter_values import SETTINGS_JSON, is_ros_value, pack, unpack
from nrl_ros.base.settings import dotted, nest, overlay
from nrl_ros.cli import config

OPTIONS = 'environment.bridge.options'
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=['Cs', 'Cc']), max_size=8),
    st.sampled_from(
        ['y', 'N', 'on', '1e5', '0x1F', 'nan', '-.inf', '1_0', '~', 'null', '', '1:30']
    ),
)
NAME = st.from_regex(r'[a-z][a-z0-9_]{0,5}', fullmatch=True)
ANY = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=6,
)


def read_back(tmp_path, *overrides):
    """Return settings as checked, and as the file that the nodes are given says them."""
    settings = config.resolve(config.find_config('cartpole'), overrides)
    path = tmp_path / 'config.yaml'
    path.write_text(config.to_yaml(settings, comment=''), encoding='utf-8')
    return settings, config.resolve(path)


@given(st.dictionaries(NAME, ANY, max_size=4))
def test_packed_settings_are_unpacked_as_they_were(values):
    flat = dotted(values)
    packed = pack(flat)
    assert unpack(packed, 'file') == flat
    assert all(map(is_ros_value, packed.values()))
    assert nest(flat) == values


@limits(deadline=None, max_examples=40)
@given(st.dictionaries(NAME, ANY, max_size=4))
def test_a_file_gives_the_options_back_as_they_were(tmp_path_factory, values):
    nodes = config.read_config(config.find_config('cartpole'))
    nodes['environment'] = overlay(
        nodes['environment'], dotted({'bridge': {'options': {'kwargs': values}}})
    )
    settings = config.check(nodes, source='test')
    path = tmp_path_factory.mktemp('file') / 'config.yaml'
    path.write_text(config.to_yaml(settings, comment=''), encoding='utf-8')
    again = config.resolve(path)
    assert again == settings
    # The kind of each number is kept too: 1 is not 1.0.
    before, after = (one.environment.bridge.options for one in (settings, again))
    assert json.dumps(after, sort_keys=True) == json.dumps(before, sort_keys=True)


@pytest.mark.parametrize(
    'override',
    [
        f'{OPTIONS}.kwargs={{wind: null, stones: [], gates: [[0, 1], [4]], table: {{}}}}',
        f"{OPTIONS}.kwargs={{mode: '', answer: 'y', speed: '1e5'}}",
        f'{OPTIONS}.kwargs.parts=[{{size: 1}}, {{size: 2}}]',
        f'{OPTIONS}.kwargs.several=[1, a, true]',
        'learner.network.hidden_sizes=[]',
    ],
)
def test_what_ros_cannot_hold_is_written_and_read_back(tmp_path, override):
    settings, again = read_back(tmp_path, override)
    assert again == settings
    assert settings != config.resolve(config.find_config('cartpole')), 'the override did nothing'


def test_a_value_that_no_file_can_carry_is_refused_by_name():
    with pytest.raises(ConfigError, match=rf'bridge\.options\.since: received {re.escape("dat")}'):
        config.resolve(config.find_config('cartpole'), [f'{OPTIONS}.since=2024-01-01'])


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(ConfigError, match=r'kwargs\.True: expected a name, received True.*quotes'):
        config.resolve(config.find_config('cartpole'), [f'{OPTIONS}.kwargs={{on: 1}}'])


def test_a_setting_in_both_places_is_refused():
    with pytest.raises(ConfigError, match='seed is given as a parameter and in settings_json'):
        unpack({'seed': 1, SETTINGS_JSON: '{"seed": null}'}, 'learner')


@pytest.mark.parametrize('text', ['{', '[]', 3])
def test_a_damaged_text_is_refused(text):
    with pytest.raises(ConfigError, match='settings_json'):
        unpack({SETTINGS_JSON: text}, 'learner')


def test_a_value_replaces_a_group_and_a_group_a_value():
    assert overlay({'a.b': 1, 'c': 2}, {'a': None}) == {'c': 2, 'a': None}
    assert overlay({'a': None}, {'a.b': 1}) == {'a.b': 1}
    assert overlay({'a.b': 1}, {'a': {}}) == {'a': {}}


def test_a_value_that_is_a_group_too_is_refused():
    with pytest.raises(ConfigError, match=r'a\.b: a is a value and a group'):
        nest({'a': 1, 'a.b': 2})
