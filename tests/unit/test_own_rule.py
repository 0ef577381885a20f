"""Rules and noise of other packages: those of docs/own_rule.md work as they stand there."""

from __future__ import annotations

import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nrl_ros.base import registry
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import load
from nrl_ros.learning.noise import NOISE_SHAPES, NoiseSettings
from nrl_ros.learning.rules import RULES, AntitheticPairs, NodePerturbation
from nrl_ros.settings.learner import LearnerNodeSettings
from tests.unit.fakes import feed, info_of, learner_of, message_flow, same

PAGE = (Path(__file__).resolve().parents[2] / 'docs/own_rule.md').read_text(encoding='utf-8')
POINTS = {
    RULES.group: {
        'coarse_impact': 'my_package_coarse_impact:CoarseImpact',
        'other_name': 'my_package_coarse_impact:CoarseImpact',
        'not_there': 'my_package_not_there:Rule',
        'no_rule': 'builtins:dict',
        'nrl': 'builtins:dict',
    },
    NOISE_SHAPES.group: {'triangular': 'my_package_triangular:make'},
}


def source(file: str) -> str:
    found = re.search(rf'```python\n(# my_package/{file}\.py.*?)```', PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
    found = POINTS.get(group, {}).items()
    return [EntryPoint(key, value, group) for key, value in found if name in (None, key)]


@pytest.fixture
def package(monkeypatch):
    """The modules of the page, importable and named by entry points."""
    modules = {}
    for file in ('coarse_impact', 'triangular', 'check'):
        modules[file] = ModuleType(f'my_package_{file}')
        monkeypatch.setitem(sys.modules, f'my_package_{file}', modules[file])
        exec(source(file), vars(modules[file]))  # noqa: S102 - the page's own code
    monkeypatch.setattr(registry, 'entry_points', entry_points)
    for table in (RULES, NOISE_SHAPES):
        monkeypatch.setattr(table, '_entries', dict(table._entries))
        monkeypatch.setattr(table, '_models', {})
    return modules


def settings(**flat) -> LearnerNodeSettings:
    return load(LearnerNodeSettings, {k.replace('__', '.'): v for k, v in flat.items()}, source='x')


def test_it_has_at_most_thirty_lines():
    code = [line for line in source('coarse_impact').splitlines() if line and line[0] != '#']
    assert len(code) <= 30


def test_a_rule_of_another_package_is_found_with_its_options(package):
    core = settings(
        plasticity__rule='coarse_impact',
        plasticity__options__power=1,
        plasticity__options__norm='layer',
        noise__sigma=0.1,
        noise__shape='triangular',
    )
    rule = package['coarse_impact'].CoarseImpact
    assert core.make_rule() == rule(sigma=0.1, norm='layer', power=1.0)
    assert core.noise.shape == 'triangular'


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        ({'plasticity__rule': 'coarse_impct'}, "unknown rule 'coarse_impct', did you mean 'coarse"),
        ({'plasticity__rule': 'zzz'}, 'known are nrl, antithetic.*, coarse_impact, .*other_name'),
        ({'plasticity__rule': 'not_there'}, 'cannot be imported.*install what it needs'),
        ({'plasticity__rule': 'no_rule'}, 'without explorer, name, trace_form'),
        ({'plasticity__rule': 'other_name'}, "calls itself 'coarse_impact'"),
        ({'plasticity__options__powr': 1}, "unknown option 'powr', did you mean 'power'"),
        ({'plasticity__options__x': 1}, 'known are norm, step_scale, power'),
        ({'plasticity__options__power': 'much'}, 'power: Input should be a valid number'),
        ({'plasticity__options__norm': 'all'}, "norm: Input should be .*received 'all'"),
        ({'plasticity__options__sigma': 1.0}, 'set by noise.sigma'),
        ({'noise__shape': 'triangle'}, "unknown noise 'triangle', did you mean 'triangular'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(package, wrong, said):
    with pytest.raises(ConfigError, match=said) as caught:
        settings(**({'plasticity__rule': 'coarse_impact'} | wrong))
    assert '\n' not in str(caught.value)


def test_own_rules_take_options_too_and_nobody_takes_their_names(package):
    assert settings(plasticity__options__samples=3).make_rule() == NodePerturbation(samples=3)
    # The option wins over the setting that all rules share.
    rule = settings(
        plasticity__rule='antithetic', plasticity__samples=2, plasticity__options__samples=5
    )
    assert rule.make_rule() == AntitheticPairs(samples=5)
    with pytest.raises(ConfigError, match="rule 'random': unknown option 'samples'"):
        settings(plasticity__rule='random', plasticity__options__samples=3)


def test_a_power_of_one_is_nrl(package):
    info = info_of(3)
    weights = []
    for rule in (package['coarse_impact'].CoarseImpact(power=1.0), NodePerturbation()):
        learner = learner_of(info, rule=rule)
        feed(learner, message_flow(info, steps=60, seed=2))
        weights.append(learner.weights)
    assert same([w.shape for w in weights[0]], [w.shape for w in weights[1]])
    for mine, nrl in zip(*weights, strict=True):
        np.testing.assert_allclose(mine, nrl, rtol=1e-9, atol=1e-12)
    assert not same(weights[0], learner_of(info).weights)


def test_one_bit_of_impact_still_points_uphill(package):
    cosine, rule = package['check'].cosine, package['coarse_impact'].CoarseImpact
    assert cosine(rule(power=1.0)) > 0.95
    assert cosine(rule()) > 0.9
    assert cosine(NodePerturbation()) > 0.95


def test_the_noise_of_the_page_is_noise(package):
    out = np.empty((400, 500))
    NoiseSettings(shape='triangular').make().fill(np.random.default_rng(0), out)
    assert abs(out.mean()) < 0.01
    assert abs(out.var() - 1.0) < 0.01
