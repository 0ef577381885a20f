"""What every launch file keeps to, with or without the launch stack at hand."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.launch.readers import Argument, calls, keywords, readers

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / 'launch').glob('*.launch.py'))
TRAIN = ROOT / 'launch' / 'train.launch.py'
PARTS = [path for path in FILES if path != TRAIN]
MAX_LINES = 85

each_file = pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
each_part = pytest.mark.parametrize('path', PARTS, ids=lambda path: path.name)
each_reader = pytest.mark.parametrize('read', readers(), ids=lambda read: read.__name__)
Reader = Callable[[Path], list[Argument]]


def test_the_files_are_there() -> None:
    names = [path.name.removesuffix('.launch.py') for path in FILES]
    assert names == ['environment', 'learner', 'neuromodulator', 'train']


@each_reader
@each_file
def test_arguments_are_described_and_have_defaults(path: Path, read: Reader) -> None:
    arguments = read(path)
    assert {'task', 'params_file', 'namespace'} <= {argument.name for argument in arguments}
    for argument in arguments:
        assert len(argument.description) > 10, f'{path.name}: {argument.name} has no description'
        assert argument.has_default, f'{path.name}: {argument.name} has no default'


@each_reader
@each_file
def test_limited_arguments_have_choices(path: Path, read: Reader) -> None:
    choices = {argument.name: argument.choices for argument in read(path)}
    assert choices['log_level'] == ('debug', 'info', 'warn', 'error', 'fatal')
    for task in choices['task']:
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
    module = ast.parse((ROOT / 'nrl_ros' / 'nodes' / f'{executable}.py').read_text())
    assert any(isinstance(item, ast.FunctionDef) and item.name == 'main' for item in module.body)


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
