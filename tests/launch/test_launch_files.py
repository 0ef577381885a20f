"""What every launch file keeps to, with or without the launch stack at hand."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nrl_ros.base.config_files import read_yaml
from nrl_ros.base.settings import dotted, fields_of, flatten
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.settings.run import ALL_NODES, MODELS, NODES, check, read_config
from tests.launch.readers import Argument, Made, described, of_kind, readers

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / 'launch').glob('*.launch.py'))
TRAIN = ROOT / 'launch' / 'train.launch.py'
ARM = ROOT / 'launch' / 'arm.launch.py'
ARMS = ROOT / 'launch' / 'arms.launch.py'
PARTS = [path for path in FILES if path not in (TRAIN, ARM, ARMS)]
MAX_LINES = 110

each_file = pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
each_part = pytest.mark.parametrize('path', PARTS, ids=lambda path: path.name)
each_reader = pytest.mark.parametrize('read', readers(), ids=lambda read: read.__name__)
Reader = Callable[[Path], list[Argument]]


def test_the_files_are_there() -> None:
    names = [path.name.removesuffix('.launch.py') for path in FILES]
    assert names == ['arm', 'arms', 'environment', 'learner', 'neuromodulator', 'train']


@each_reader
@each_file
def test_arguments_are_described_and_have_defaults(path: Path, read: Reader) -> None:
    arguments = read(path)
    subject = 'robot' if path in (ARM, ARMS) else 'task'
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
    assert imported <= {'launch', 'launch_ros', 'nrl_ros'}


@pytest.mark.parametrize(
    'path', sorted((ROOT / 'config').glob('**/*.yaml')), ids=lambda path: path.name
)
def test_configurations_mean_the_same_to_launch(path: Path) -> None:
    """Launch reads them with substitutions: a missing file is an error then, and not a warning."""
    text = path.read_text()
    assert '$(' not in text
    assert '\\' not in text


def nodes(path: Path) -> list[dict[str, Any]]:
    """What the nodes of a launch file are made with."""
    return [made.given for made in of_kind(path, 'Node')]


@each_part
def test_the_node_exists(path: Path) -> None:
    (given,) = nodes(path)
    assert path.name == f'{given["executable"]}.launch.py'
    assert given['package'] == 'nrl_ros'
    assert_installed_with_a_main(given['executable'])


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
    given = {node['executable']: node for node in nodes(ARM)}
    apart = {'safety', 'learner', 'neuromodulator', 'environment'}
    together = {'composed_arm', 'watchdog'}
    assert given.keys() == {'arm_driver', 'page', 'recorder'} | apart | together
    for executable in given:
        assert_installed_with_a_main(executable)
    # The safety node that is started when another one has ended has no condition.
    conditions = {
        node['executable']: texts(node['condition']) for node in nodes(ARM) if 'condition' in node
    }
    for name in apart & {'safety', 'environment'}:
        assert conditions[name][0] == 'UnlessCondition' and 'compose' in str(conditions[name])
    for name in ('learner', 'neuromodulator'):
        (asked,) = given[name]['condition'].args
        started = [
            evaluated(asked, {'compose': compose, 'learner': learner})
            for compose in ('false', 'true')
            for learner in ('', '/ur5e')
        ]
        assert started == [True, False, False, False]
    for name in together:
        assert conditions[name][0] == 'IfCondition' and 'compose' in str(conditions[name])


def evaluated(expression: Made, values: dict[str, str]) -> Any:
    """What launch makes of a Python expression with some arguments."""
    (parts,) = expression.args
    text = ''.join(one if isinstance(one, str) else values[one.args[0]] for one in parts)
    return eval(text)  # noqa: S307 - as launch does


def test_an_arm_that_joins_a_learner_has_its_learning_topics_where_the_learner_is() -> None:
    (environment,) = (node for node in nodes(ARM) if node['executable'] == 'environment')
    where = {}
    for learner in ('', '/ur5e', '/ur5e/'):
        where[learner] = [
            ''.join(
                part if isinstance(part, str) else evaluated(part, {'learner': learner})
                for part in to
            )
            for _, to in environment['remappings']
        ]
    topics = [topic for topic, _ in environment['remappings']]
    # Of one that has its own learner, every topic stays where it is.
    assert where[''] == topics
    assert where['/ur5e'] == where['/ur5e/'] == [f'/ur5e/{topic}' for topic in topics]
    known = constants(ROOT / 'nrl_ros/ros/names.py')
    both = {'ENV_INFO', 'STATE', 'ACTION', 'REWARD', 'NEUROMODULATION', 'EPISODES', 'ENV_STATUS'}
    assert set(topics) == {known[name] for name in both}


def constants(path: Path) -> dict[str, str]:
    """Names of topics in a module that needs ROS where it is."""
    return {
        node.targets[0].id: node.value.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }


def test_three_arms_teach_one_learner_each_by_its_own_name_and_description() -> None:
    groups = [made.args[0][0] for made in of_kind(ARMS, 'GroupAction')]
    assert {one.kind for one in groups} == {'IncludeLaunchDescription'}
    given = [(one.args[0][1], dict(one.given['launch_arguments'])) for one in groups]
    arms = [arguments for file, arguments in given if file == '/arm.launch.py']
    learners = [arguments for file, arguments in given if file == '/learner.launch.py']
    assert len(arms) == 3 and len(learners) == 1
    for name in ('agent', 'namespace', 'robot_file'):
        assert len({str(texts(one[name])) for one in arms}) == 3
    # All of them join the learner that is started here, and are below it.
    (learner,) = learners
    for one in arms:
        assert texts(one['learner']) == texts(learner['namespace'])
        assert texts(one['namespace'][:-1]) == texts(learner['namespace'])
        declared = {made.args[0] for made in of_kind(ARM, 'DeclareLaunchArgument')}
        assert set(one) <= declared


def test_nodes_that_share_a_process_are_told_what_each_is_told_by_itself() -> None:
    own = {node.given['executable']: told(node) for node in of_kind(ARM, 'Node')}
    shared = read_yaml(ROOT / 'launch' / 'composed_arm.yaml')
    (composed,) = (one for one in nodes(ARM) if one['executable'] == 'composed_arm')
    assert composed['name'] is None and len(composed['parameters']) == 6
    for name in ('learner', 'neuromodulator', 'safety', 'environment'):
        together = dotted(shared[f'/**/{name}']['ros__parameters'])
        alone = own[name]
        del alone['realtime_priority']
        alone.pop('only_rest', None)
        assert together.keys() == alone.keys()
        for key, value in together.items():
            argument = re.fullmatch(r'\$\(var (\w+)\)', str(value))
            if argument:
                assert f"'{argument[1]}'" in str(texts(alone[key]))
            else:
                assert value == alone[key]


def test_in_the_arm_file_files_come_before_what_launch_sets_itself() -> None:
    """Of two files rcl takes the nodes in the order in which they are first named.

    Launch writes what it sets into a file for the node by its full name. If that came first, the
    ``/**/`` sections of the files would win, and an arm would be run as many simulated ones.
    """
    for node in nodes(ARM):
        *files, own = node['parameters']
        assert {file.kind for file in files} == {'ParameterFile'}
        assert len(files) == (5 if node['executable'] == 'composed_arm' else 4)
        assert isinstance(own, dict)


def test_an_arm_that_learns_from_nothing_has_files_of_its_own() -> None:
    """Read between the task's and one's own, so that both replace what they name."""
    first, _, alone, last = nodes(ARM)[0]['parameters'][:4]
    assert (texts(first), texts(last)) != (texts(alone), texts(alone))
    assert 'params_file' in str(texts(first)) and 'overrides_file' in str(texts(last))
    for value, file in {'true': '/config/arm/from_nothing.yaml', 'false': 'PARAMS'}.items():
        assert read_by(alone, {'from_nothing': value}) == file
    folder = next(a for a in of_kind(ARM, 'DeclareLaunchArgument') if 'checkpoint' in a.args[0])
    assert "'_alone'" in str(texts(folder)).replace('\\', '')
    environment = next(n for n in of_kind(ARM, 'Node') if n.given['executable'] == 'environment')
    # A node that ended would be started again, and an arm that has learned begin once more.
    assert told(environment)['stop.exit'] is False


def test_the_learning_of_a_real_arm_is_guarded_as_that_of_the_command() -> None:
    """Its file is read after the task's, and before one's own, which may switch the guard off."""
    for node in nodes(ARM):
        real = node['parameters'][1]
        assert read_by(real, {'sim': 'false'}) == '/config/arm/real.yaml'
        assert read_by(real, {'sim': 'true'}) == 'PARAMS'
    found = check(read_config(ROOT / 'config/arm/real.yaml'), source='real.yaml')
    assert found.learner.guard.enabled


def read_by(file: Made, values: dict[str, str]) -> str:
    """Path of the file that a launch expression chooses, of this package without its folder."""
    (expression,) = file.args
    (parts,) = expression.args
    said = ''
    for part in parts:
        if isinstance(part, str):
            said += part
        elif part.kind == 'PathJoinSubstitution':
            said += ''.join(f'/{one}' for one in part.args[0] if isinstance(one, str))
        else:
            said += {'params_file': 'PARAMS', **values}[part.args[0]]
    return str(eval(said))  # noqa: S307 - as launch does


def test_when_a_safety_node_ends_the_arm_is_brought_to_rest() -> None:
    """By a safety node of the same parameters, after which all ends."""
    handled = [made.args[0].given for made in of_kind(ARM, 'RegisterEventHandler')]
    exits = [(one['target_action'], one['on_exit']) for one in handled]
    (safety, bring_to_rest), (composed, same), (rest, (ended,)), (watchdog, ends) = exits
    # What has the safety node, and what brings the arm to rest in its place.
    assert [one.given['executable'] for one in (composed, watchdog)] == ['composed_arm', 'watchdog']
    assert same is bring_to_rest and ends == [ended]
    assert ended.kind == 'Shutdown'
    assert bring_to_rest(None, SimpleNamespace(is_shutdown=True)) is None
    assert bring_to_rest(None, SimpleNamespace(is_shutdown=False)) is rest
    changed = {'parameters': 0, 'condition': 0}
    before, after = ({**one.given, **changed} for one in (safety, rest))
    assert texts(before) == texts(after)
    assert set(told(rest)) - set(told(safety)) == {'only_rest'} and told(rest)['only_rest'] is True


def texts(value: Any) -> Any:
    """What a value of a launch file is made of, comparable."""
    if isinstance(value, Made):
        return value.kind, texts(list(value.args)), texts(value.given)
    if isinstance(value, dict):
        return {key: texts(item) for key, item in value.items()}
    return [texts(item) for item in value] if isinstance(value, list) else value


def told(node: Made) -> dict[str, Any]:
    """Dotted names and values of the parameters that launch itself gives to a node."""
    return dotted(next(one for one in node.given['parameters'] if isinstance(one, dict)))


@each_file
def test_what_launch_tells_a_node_are_settings(path: Path) -> None:
    for node in of_kind(path, 'Node'):
        if node.given['executable'] == 'composed_arm':
            # All its nodes are told this.
            assert all(set(told(node)) <= set(flatten(NODES[name]())) for name in MODELS)
            continue
        model = ALL_NODES[node.given['executable']]
        # What an option is called is said by the bridge.
        options = {f'bridge.options.{name}' for name in fields_of(ReachSettings)}
        known = set(flatten(model())) | options
        assert set(told(node)) <= known, node.given['executable']


def test_every_robot_has_a_task_of_its_name() -> None:
    """robot:=NAME takes config/NAME.yaml and config/robots/NAME.yaml: both must be there."""
    robots = sorted((ROOT / 'config' / 'robots').glob('*.yaml'))
    assert robots
    for robot in robots:
        settings = check(read_config(ROOT / 'config' / robot.name), source=robot.name)
        assert settings.environment.bridge.options['robot'] == robot.stem


def test_train_includes_every_part() -> None:
    included = [made.args[0][1] for made in of_kind(TRAIN, 'IncludeLaunchDescription')]
    assert sorted(included) == [f'/{path.name}' for path in PARTS]


def test_a_page_that_ends_leaves_the_training_alone() -> None:
    """Any other process of the launch ends it."""
    entities = described(TRAIN)
    page = next(one for one in entities if one.given.get('executable') == 'page')
    (end,) = (one for one in entities if one.kind == 'RegisterEventHandler')
    assert texts(page.given['condition']) == (
        'IfCondition',
        [('LaunchConfiguration', ['page'], {})],
        {},
    )
    ends = end.args[0].given['target_action']
    assert not ends(page) and ends(object())


@each_part
def test_a_part_declares_the_arguments_of_train(path: Path) -> None:
    """A part takes the values of the file that includes it, so both must declare the same."""

    def declared(file: Path) -> list[Any]:
        return [texts(made) for made in described(file) if made.kind == 'DeclareLaunchArgument']

    for argument in declared(TRAIN):
        # A run has one recorder and one page, and parts have none.
        alone = argument[1] in (['record'], ['recordings_folder'], ['page'])
        assert (argument in declared(path)) is not alone
