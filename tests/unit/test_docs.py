"""The documents name everything there is, nothing that is not, and their code works."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from pydantic import BaseModel

from nrl_ros.base.errors import BridgeError
from nrl_ros.base.settings import flatten
from nrl_ros.cli.main import app
from nrl_ros.environments import contract, registry
from nrl_ros.learning.learner_state import COUNTERS
from nrl_ros.learning.neuromodulator import BASELINES, Neuromodulator, RpeSettings
from nrl_ros.learning.noise import NOISE_SHAPES
from nrl_ros.learning.optimisers import OPTIMISERS
from nrl_ros.learning.rules import RULES
from nrl_ros.robots.arm.description import RobotDescription
from tests.launch.readers import read_stand_in

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md')])


def option_names(model: type[BaseModel], prefix: str = '') -> set[str]:
    """Names of options, those of groups with the group's before them."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names |= option_names(inner, f'{prefix}{name}.')
        else:
            names.add(prefix + name)
    return names


def page(name: str) -> str:
    return (ROOT / 'docs' / name).read_text(encoding='utf-8')


def code(text: str) -> set[str]:
    """Words between backticks."""
    return set(re.findall(r'`([^`\n]+)`', text))


def constants(path: Path) -> dict[str, str]:
    """Names and texts assigned at the top of a module, without importing it."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            assert isinstance(node.targets[0], ast.Name)
            found[node.targets[0].id] = str(node.value.value)
    return found


def test_every_message_and_service_is_described() -> None:
    named = code(page('messages.md'))
    kinds = ('msg', 'srv', 'action')
    for path in [path for kind in kinds for path in (ROOT / kind).glob(f'*.{kind}')]:
        assert path.stem in named, f'{path.name} is not in docs/messages.md'


@pytest.mark.parametrize('path', sorted((ROOT / 'msg').glob('*.msg')), ids=lambda p: p.stem)
def test_every_field_says_what_it_means(path: Path) -> None:
    """Each field or constant has a comment of its own, and the file says who sends it and when."""
    text = path.read_text()
    lines = text.splitlines()
    assert lines[0].startswith('# ')
    assert 'ublished' in text or 'broadcast' in text
    for line in lines:
        if line and not line.startswith(('#', ' ')):
            assert '#' in line, f'{path.name}: {line}'


def test_every_topic_and_service_name_is_described() -> None:
    names = constants(ROOT / 'nrl_ros/ros/names.py')
    nodes = {names[part] for part in ('LEARNER', 'NEUROMODULATOR', 'ENVIRONMENT', 'POLICY')}
    named = {part.rpartition('/')[2] for part in code(page('messages.md'))}
    for name in set(names.values()) - nodes:
        assert name.removeprefix('~/') in named, f'{name} is not in docs/messages.md'


def test_every_counter_is_described() -> None:
    named = code(page('messages.md'))
    own = set(COUNTERS) | set(Neuromodulator(RpeSettings()).counters)
    nodes = sorted((ROOT / 'nrl_ros/nodes').glob('environment*.py'))
    environment = ''.join(path.read_text() for path in nodes)
    found = re.findall(r"counters\['(\w+)'( if \S+ else '(\w+)')?\]", environment)
    own |= {name for group in found for name in (group[0], group[2]) if name}
    arm = (ROOT / 'nrl_ros/nodes/ros2_control_arm.py').read_text()
    own |= set(re.findall(r"counters\['(\w+)'\]", arm))
    assert {'late_actions', 'duplicate_actions', 'foreign_infos', 'homings'} <= own
    assert not own - named


@pytest.mark.parametrize(
    'path', sorted((ROOT / 'launch').glob('*.launch.py')), ids=lambda path: path.name
)
def test_every_launch_argument_is_described(path: Path) -> None:
    named = code(page('launch.md'))
    for argument in read_stand_in(path):
        assert argument.name in named, f'{path.name}: {argument.name} is not in docs/launch.md'


def test_the_table_of_a_robots_description_is_complete_and_has_its_defaults() -> None:
    rows = dict(re.findall(r'^\| `([a-z_.0-9]+)` \| ([^|]*) \|', page('real_arm.md'), re.MULTILINE))
    fields = flatten(RobotDescription())
    assert set(rows) >= set(fields)
    for name, value in fields.items():
        if name == 'name' or value in ('', [], ()):
            continue
        shown = ', '.join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        assert rows[name].strip() == shown, name


def test_every_bridge_and_its_options_are_described() -> None:
    named = code(page('bridges.md'))
    for name in registry.ENVIRONMENTS:
        # A real arm's has those of the simulated one; its module needs ROS.
        options = registry.ENVIRONMENTS.options_of(name if name != 'ros2_control_arm' else 'arm')
        assert options is not None
        assert {name, *option_names(options)} <= named, name


def test_the_bridge_of_the_page_keeps_its_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    source = re.search(r'```python\n(# my_package/walk.py.*?)```', page('bridges.md'), re.DOTALL)
    assert source is not None
    room: dict[str, object] = {}
    exec(source[1], room)  # noqa: S102 - the page's own code
    monkeypatch.setattr(
        contract, 'make_bridge', lambda _, instances, options: room['make'](instances)
    )  # type: ignore[operator] # noqa: E501
    contract.check_bridge('walk', instances=5)
    with pytest.raises(BridgeError, match='walk'):
        registry.make_bridge('walk', 1, {})


@pytest.mark.parametrize('rule', list(RULES))
def test_every_rule_has_a_page_with_formula_source_and_figures(rule: str) -> None:
    assert f'({rule}.md)' in page('rules/README.md')
    text = page(f'rules/{rule}.md')
    for part in ('```math', '**When.**', '**Cost.**', '**Settings that work.**', '**Source.**'):
        assert part in text
    assert f'(figures/{rule}.png)' in text
    assert 'scripts/rule_figures.py' in text
    figures = json.loads(page('rules/figures.json'))
    assert {rule} <= set(figures['cost']) & set(figures['learning'])
    assert f'| {rule} |' in page('rules/figures.md')


def test_every_noise_baseline_neuron_and_optimiser_is_described() -> None:
    described = {
        'noise': NOISE_SHAPES,
        'baselines': BASELINES,
        'spiking': ('network.neuron: spiking',),
        'steps': [name.replace('sgd', 'plasticity.optimiser: sgd') for name in OPTIMISERS],
    }
    for name, needed in described.items():
        assert set(needed) <= code(page(f'rules/{name}.md'))


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r'\]\(([^)#]+)[^)]*\)', path.read_text(encoding='utf-8')):
        if '://' not in target:
            assert (path.parent / target).exists(), f'{path.name}: {target}'


def test_every_command_is_named_in_the_readme() -> None:
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, '__name__', '')
        assert re.search(rf'\bnrl {name}\b', text), f'nrl {name} is not in README.md'


def test_files_that_a_worked_change_touches_are_there() -> None:
    """A name in capitals, as NAME.py, stands for the file that the change adds."""
    text = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    named = set(re.findall(r'`([a-z_]+/[a-zA-Z0-9_/.]+|[a-z_]+\.(?:md|xml|toml))`', text))
    assert len(named) > 40
    assert not {name for name in named if 'NAME' not in name and not (ROOT / name).exists()}
    new = {name.rpartition('/')[0] for name in named if 'NAME' in name}
    assert all((ROOT / folder).is_dir() for folder in new)


def test_architecture_names_every_room_and_only_files_that_are_there() -> None:
    text = (ROOT / 'ARCHITECTURE.md').read_text(encoding='utf-8')
    rooms = {path.parent.name for path in (ROOT / 'nrl_ros').glob('*/__init__.py')}
    for room in rooms - {'msg', 'srv', 'action'}:
        assert f'| `nrl_ros/{room}' in text, f'nrl_ros/{room} has no line'
    product = ROOT / 'nrl_ros'
    places = [ROOT, product, *(product / name for name in ('learning', 'experiments', 'nodes'))]
    named = {name for name in code(text) if re.fullmatch(r'[\w/.]+(\.py|\.c|\.h|/)', name)}
    assert len(named) > 40
    assert not {name for name in named if not any((place / name).exists() for place in places)}


def test_files_named_in_code_and_documents_are_there() -> None:
    """A comment or a page that sends its reader to a file sends him to one that exists."""
    pattern = re.compile(
        r'\b(?:docs|tests|scripts|benchmarks|config|launch|examples)/[a-z0-9_/]+\.(?:md|py|yaml)'
    )
    places = [*PAGES, *(ROOT / 'config').glob('*.yaml'), *(ROOT / 'msg').glob('*.msg')]
    for room in ('nrl_ros', 'sim_bridge', 'benchmarks', 'scripts', 'examples'):
        generated = {'msg', 'srv', 'action'}
        places += [p for p in (ROOT / room).rglob('*.py') if not generated & set(p.parts)]
    missing: Counter[str] = Counter()
    for place in places:
        for name in pattern.findall(place.read_text(encoding='utf-8')):
            if not (ROOT / name).exists():
                missing[f'{place.relative_to(ROOT)}: {name}'] += 1
    assert not missing
