"""A node is given its settings through rcl's own reader of files, as they were checked."""

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli import config
from nrl_ros.ros.parameters import NodeParameters
from nrl_ros.settings.run import MODELS

OPTIONS = """{
    wind: null, stones: [], gates: [[0, 1], [4]], table: {}, parts: [{size: 1}, {size: 2.5}],
    empty: '', answer: 'y', 'no': 'N', speed: '1e5', mask: '0x1F', none: 'nan',
    long: 123456789012345,
    words: ['1', 'on', ''], steps: [1, 0.5], flags: [true, false], text: "two: lines\\n# and 'é'",
    huge: 36893488147419103232, far: [.inf, -1.5], each: [1, a, null], 'quoted': '~'
}"""


@pytest.fixture
def parameters(tmp_path):
    """Return a function that makes a node from a parameter file and returns its parameters."""
    path, made = tmp_path / 'config.yaml', []

    def make(name, text, *more):
        path.write_text(text, encoding='utf-8')
        context = Context()
        rclpy.init(args=['--ros-args', '--params-file', str(path), *more], context=context)
        made.append(context)
        return NodeParameters(Node(name, context=context), MODELS[name], lambda _: None)

    yield make
    for context in made:
        context.try_shutdown()


def test_nodes_are_given_what_was_checked(parameters):
    overrides = [
        f'environment.bridge.options.kwargs={OPTIONS}',
        'learner.network.hidden_sizes=[]',
    ]
    settings = config.resolve(config.find_config('cartpole'), overrides)
    text = config.to_yaml(settings, comment='')
    for name in MODELS:
        assert parameters(name, text).settings == getattr(settings, name)


def test_a_parameter_that_the_file_carries_as_json_is_refused(parameters):
    settings = config.resolve(config.find_config('cartpole'), ['learner.network.hidden_sizes=[]'])
    text = config.to_yaml(settings, comment='')
    with pytest.raises(ConfigError, match='hidden_sizes is given as a parameter and in settings_j'):
        parameters('learner', text, '-p', 'network.hidden_sizes:=[3]')
