"""What every launch file keeps to, with or without the launch stack at hand."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from nrl_ros.base.settings import flatten
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.settings.run import MODELS, check, read_config
from tests.launch.readers import Argument, calls, keywords, readers

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / 'launch').glob('*.launch.py'))
TRAIN = ROOT / 'launch' / 'train.launch.py'
ARM = ROOT / 'launch' / 'arm.launch.py'
PARTS = [path for path in FILES if path not in (TRAIN, ARM)]
MAX_LINES = 95

each_file = pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
each_part = pytest.mark.parametrize('path', PARTS, ids=lambda path: path.name)
each_reader = pytest.mark.parametrize('read', readers(), ids=lambda read: read.__name__)
Reader = Callable[[Path], list[Argument]]


def test_the_files_are_there() -> None:
    names = [path.name.removesuffix('.launch.py') for path in FILES]
    assert names == ['arm', 'environment', 'learner', 'neuromodulator', 'train']


@each_reader
@each_file
def test_arguments_are_described_and_have_defaults(path: Path, read: Reader) -> None:
    arguments = read(path)
    subject = 'robot' if path == ARM else 'task'
    assert {subject, 'params_file', 'namespace'} <= {argument.name for argument in arguments}
    for argument in arguments:
        assert len(argument.description) > 10, f'{path.name}: {argument.name} has no description'
        assert argument.has_default, f'{path.name}: {argument.name} has no default'


@each_reader
@each_file
def test_limited_arguments_have_choices(path: Path, read: Reader) -> None:
    choices = {argument.name: argument.choices for argument in read(path)}
    assert choices['log_level'] == ('debug', 'info', 'warn', 'error', 'fatal')
    for task in choices.get('task', ()):
        assert (ROOT / 'config' / f'{task}.yaml').is_file(), f'no configuration for task {task}'


@each_file
def test_no_logic(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert 'OpaqueFunction' not in text
    imported = {
        node.module.split('.')[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert imported <= {'launch', 'launch_ros'}


@pytest.mark.parametrize(
    'path', sorted((ROOT / 'config').glob('*.yaml')), ids=lambda path: path.name
)
def test_configurations_mean_the_same_to_launch(path: Path) -> None:
    """Launch reads them with substitutions: a missing file is an error then, and not a warning."""
    text = path.read_text()
    assert '$(' not in text
    assert '\\' not in text


@each_part
def test_the_node_exists(path: Path) -> None:
    (node,) = calls(path, 'Node')
    given = keywords(node)
    executable = ast.literal_eval(given['executable'])
    assert path.name == f'{executable}.launch.py'
    assert ast.literal_eval(given['package']) == 'nrl_ros'
    assert_installed_with_a_main(executable)


def assert_installed_with_a_main(executable: str) -> None:
    """There is a program of that name, CMake installs it, and its module has what it calls."""
    program = ast.parse((ROOT / 'scripts' / 'nodes' / executable).read_text())
    (imported,) = (
        node
        for node in program.body
        if isinstance(node, ast.ImportFrom) and [item.name for item in node.names] == ['main']
    )
    assert imported.module is not None
    module = ast.parse((ROOT / imported.module.replace('.', '/')).with_suffix('.py').read_text())
    assert any(isinstance(item, ast.FunctionDef) and item.name == 'main' for item in module.body)
    assert f'scripts/nodes/{executable}' in (ROOT / 'CMakeLists.txt').read_text()


def test_the_nodes_of_an_arm_exist() -> None:
    """The safety node and the driver by name, those that learn by the table of what they are told.

    Parameters that launch sets are checked against the settings models, as far as it sets them.
    """
    given = [keywords(node) for node in calls(ARM, 'Node')]
    named = [node['executable'] for node in given]
    fixed = {ast.literal_eval(name) for name in named if isinstance(name, ast.Constant)}
    assert fixed == {'safety', 'arm_driver'}
    for executable in fixed | set(arm_parameters()):
        assert_installed_with_a_main(executable)
    (driver,) = (node for node in given if ast.unparse(node['executable']) == "'arm_driver'")
    assert 'condition' in driver


def arm_parameters() -> dict[str, set[str]]:
    """Dotted names of the parameters that arm.launch.py gives to the nodes that learn."""
    (function,) = (
        item for item in ast.parse(ARM.read_text()).body if isinstance(item, ast.FunctionDef)
    )
    room = {
        ast.unparse(item.targets[0]): item.value
        for item in function.body
        if isinstance(item, ast.Assign)
    }

    def names(value: ast.expr) -> list[str]:
        value = room.get(ast.unparse(value), value)
        if not isinstance(value, ast.Dict):
            return ['']
        pairs = zip(value.keys, value.values, strict=True)
        return [
            f'{ast.literal_eval(key)}.{name}'.rstrip('.')
            for key, item in pairs
            if key is not None
            for name in names(item)
        ]

    own = room['own']
    assert isinstance(own, ast.Dict)
    return {
        ast.literal_eval(key): set(names(value))
        for key, value in zip(own.keys, own.values, strict=True)
        if key is not None
    }


def test_in_the_arm_file_files_come_before_what_launch_sets_itself() -> None:
    """Of two files rcl takes the nodes in the order in which they are first named.

    Launch writes what it sets into a file for the node by its full name. If that came first, the
    ``/**/`` sections of the files would win, and an arm would be run as many simulated ones.
    """
    for node in calls(ARM, 'Node'):
        given = keywords(node)['parameters']
        assert isinstance(given, ast.List)
        files, own = given.elts
        assert ast.unparse(files) == '*files'
        assert not isinstance(own, ast.Starred)


def test_what_the_arm_file_sets_are_settings() -> None:
    for node, given in arm_parameters().items():
        known = set(flatten(MODELS[node]()))
        assert 'robot' in ReachSettings.model_fields
        assert given - {'bridge.options.robot'} <= known, node


def test_every_robot_has_a_task_of_its_name() -> None:
    """robot:=NAME takes config/NAME.yaml and config/robots/NAME.yaml: both must be there."""
    robots = sorted((ROOT / 'config' / 'robots').glob('*.yaml'))
    assert robots
    for robot in robots:
        settings = check(read_config(ROOT / 'config' / robot.name), source=robot.name)
        assert settings.environment.bridge.options['robot'] == robot.stem


def test_train_includes_every_part() -> None:
    included = [ast.unparse(call.args[0]) for call in calls(TRAIN, 'IncludeLaunchDescription')]
    assert len(included) == len(PARTS)
    for path in PARTS:
        assert any(f'/{path.name}' in location for location in included)


@each_part
def test_a_part_declares_the_arguments_of_train(path: Path) -> None:
    """A part takes the values of the file that includes it, so both must declare the same."""

    def declared(file: Path) -> set[str]:
        return {ast.unparse(call) for call in calls(file, 'DeclareLaunchArgument')}

    assert declared(TRAIN) <= declared(path)
