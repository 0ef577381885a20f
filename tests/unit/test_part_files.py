"""Parts in plain files: found by path, carried absolute, and told in one line if they are wrong."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import ConfigError, NrlError
from nrl_ros.base.settings import load
from nrl_ros.cli.config import resolve
from nrl_ros.cli.run_parts import changed_parts, keep_parts
from nrl_ros.cli.runs import Run
from nrl_ros.environments.registry import make_bridge
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.noise import NOISE_SHAPES
from nrl_ros.settings.environment import EnvironmentNodeSettings
from nrl_ros.settings.learner import LearnerNodeSettings
from tests.unit.fakes import feed, info_of, message_flow

RULE = """
    from helper import FACTOR
    from nrl_ros.learning.rules import NodePerturbation

    class Doubled(NodePerturbation):
        factor: float = FACTOR
        name = 'doubled'

        def scales(self, spec):
            return [self.factor * scale for scale in super().scales(spec)]

    class Nameless(NodePerturbation):
        pass
"""
NOISE = """
    from nrl_ros.learning.noise import Independent

    def make(size: float = 1.0):
        def fill(generator, out):
            out[...] = size * generator.choice([-1.0, 1.0], out.shape)
        return Independent(fill)
"""
BRIDGE = """
    from tests.unit.fakes import ScriptedEnvironment

    def make(instances: int, length: int = 3):
        return ScriptedEnvironment([length] * instances)
"""
TASK = """
    import gymnasium
    import numpy as np

    class Walk(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-9.0, 9.0, (1,))
        action_space = gymnasium.spaces.Discrete(2)

        def __init__(self, size=1.0):
            self.size = size

        def reset(self, *, seed=None, options=None):
            self.at = 0.0
            return np.zeros(1, np.float32), {}

        def step(self, action):
            self.at += self.size if action else -self.size
            return np.array([self.at], np.float32), 0.0, abs(self.at) > 8.0, False, {}

    gymnasium.registry.pop('Walk-v0', None)
    gymnasium.register('Walk-v0', Walk, max_episode_steps=7)
    NOT_A_TASK = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that one stands in."""
    files = {'my_rule': RULE, 'my noise': NOISE, 'my_bridge': BRIDGE, 'my_task': TASK}
    for name, text in files.items():
        (tmp_path / f'{name}.py').write_text(textwrap.dedent(text))
    (tmp_path / 'helper.py').write_text('FACTOR = 2.0\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings_of(**flat: Any) -> LearnerNodeSettings:
    return load(LearnerNodeSettings, {'network.hidden_sizes': [4], **flat}, source='x')


def trained(**flat: Any) -> Learner:
    learner, info = Learner(settings_of(**flat)), info_of(2)
    learner.join(info)
    feed(learner, message_flow(info, steps=40, seed=1))
    return learner


def differ(one: Learner, other: Learner) -> bool:
    return any((a != b).any() for a, b in zip(one.weights, other.weights, strict=True))


def test_a_rule_in_a_file_learns_with_its_options_and_continues(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = {'plasticity.rule': './my_rule.py:Doubled'}
    usual = trained(**rule)
    assert usual.settings.plasticity.rule == f'{folder}/my_rule.py:Doubled'
    assert differ(usual, trained(**rule, **{'plasticity.options.factor': 3.0}))
    # A run is continued from any folder: its settings hold the absolute path.
    monkeypatch.chdir('/')
    other = Learner(settings_of(**{'plasticity.rule': usual.settings.plasticity.rule}))
    other.restore(usual.snapshot())
    assert not differ(usual, other)


def test_a_noise_and_an_environment_in_a_file_are_carried_with_their_absolute_paths(
    folder: Path,
) -> None:
    noise = settings_of(**{'noise.shape': 'my noise.py:make', 'noise.options.size': 2.0}).noise
    assert noise.shape == f'{folder}/my noise.py:make' and noise.make()
    bridge = load(
        EnvironmentNodeSettings, {'bridge.name': './my_bridge.py:make'}, source='x'
    ).bridge
    assert bridge.name == f'{folder}/my_bridge.py:make'
    assert make_bridge(bridge.name, 2, {'length': 5}).spec.instances == 2


def test_a_file_that_was_changed_is_run_again_and_one_that_was_not_is_the_same(
    folder: Path,
) -> None:
    path = folder / 'my noise.py'
    first = NOISE_SHAPES[f'{path}:make']
    assert NOISE_SHAPES[f'{path}:make'] is first
    path.write_text(path.read_text().replace('size', 'width'))
    assert NOISE_SHAPES[f'{path}:make'] is not first
    assert NOISE_SHAPES.check(f'{path}:make', {'width': 3.0}) == {'width': 3.0}


@pytest.mark.parametrize(
    ('name', 'text', 'said'),
    [
        ('./nowhere.py:Rule', '', 'nowhere.py: No such file.*relative to the folder'),
        ('./my_rule.py:Double', '', "my_rule.py has no 'Double', did you mean 'Doubled'"),
        ('./my_rule.py', '', 'expected FILE.py:NAME'),
        ('./my_rule.py:', '', 'expected FILE.py:NAME'),
        ('./my_rule.py:Nameless', '', "calls itself 'nrl'.*give the class a name of its own"),
        ('./bad.py:Rule', 'x = [', r'bad.py cannot be run: SyntaxError'),
        ('./bad.py:Rule', 'import no_such_module', 'cannot be run: ModuleNotFoundError.*line 1'),
        ('./bad.py:Rule', 'Rule = dict', "rule '.*bad.py:Rule' is a dict without explorer"),
    ],
)
def test_a_wrong_file_or_name_gives_one_clear_line(
    folder: Path, name: str, text: str, said: str
) -> None:
    (folder / 'bad.py').write_text(text)
    with pytest.raises(NrlError, match=said) as error:
        settings_of(**{'plasticity.rule': name})
    assert '\n' not in str(error.value)


def test_a_missing_environment_file_is_told_too() -> None:
    with pytest.raises(ConfigError, match="bridge './nowhere.py:make': cannot read"):
        make_bridge('./nowhere.py:make', 1, {})


def options_of(**options: Any) -> dict[str, Any]:
    flat = {'bridge.options': options}
    return load(EnvironmentNodeSettings, flat, source='x').bridge.options


def test_a_gymnasium_class_in_a_file_is_an_environment_from_any_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = options_of(id='./my_task.py:Walk', kwargs={'size': 5.0})
    assert options['id'] == f'{folder}/my_task.py:Walk'
    monkeypatch.chdir('/')
    walk = make_bridge('gymnasium', 2, options)
    walk.reset(0)
    seen = walk.step(np.array([[1], [0]], np.int32))
    assert seen.observation.ravel().tolist() == [5.0, -5.0]


def test_a_module_in_the_folder_that_one_stands_in_registers_its_id(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / 'tasks_of_mine.py').write_text((folder / 'my_task.py').read_text())
    monkeypatch.setattr(sys, 'path', [one for one in sys.path if one != str(folder)])
    assert make_bridge('gymnasium', 1, {'id': 'tasks_of_mine:Walk-v0'}).spec.max_episode_steps == 7


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('my_tusk:Walk-v0', "no module 'my_tusk', installed or in .*bridge.options.folder"),
        ('./my_task.py:Wlk', "environment '.*my_task.py:Wlk': my_task.py has no 'Wlk'.*'Walk'"),
        ('./my_task.py:NOT_A_TASK', 'is a int, expected a class of gymnasium.Env'),
        ('./my_tusk.py:Walk', 'cannot read .*my_tusk.py: No such file'),
    ],
)
def test_a_wrong_task_gives_one_clear_line(name: str, said: str) -> None:
    with pytest.raises(NrlError, match=said):
        make_bridge('gymnasium', 1, {'id': name})


def test_a_run_keeps_its_files_and_tells_which_have_changed(folder: Path) -> None:
    (folder / 'other').mkdir()
    (folder / 'other' / 'my_rule.py').write_text((folder / 'my noise.py').read_text())
    config = folder / 'task.yaml'
    config.write_text(
        '/**/learner: {ros__parameters: {plasticity: {rule: "./my_rule.py:Doubled"}, '
        'noise: {shape: "other/my_rule.py:make"}}}\n'
        '/**/environment: {ros__parameters: {bridge: {options: {id: "./my_task.py:Walk"}}}}\n'
    )
    settings, run = resolve(config), Run(folder / 'run')
    run.folder.mkdir()
    keep_parts(run, settings)
    names = sorted(path.name for path in (run.folder / 'parts').iterdir())
    assert names == ['my_rule.py', 'my_rule_2.py', 'my_task.py']
    assert not changed_parts(run, settings)
    (folder / 'other' / 'my_rule.py').write_text('# lost')
    (said,) = changed_parts(run, settings)
    assert 'other/my_rule.py has changed' in said and 'parts/my_rule_2.py' in said
