"""Study files: what they may say, what they come to, and under which key a result is kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from nrl_ros.base.errors import ConfigError
from nrl_ros.experiments import trials
from nrl_ros.experiments.conditions import MAIN, conditions, gradients_trial
from nrl_ros.experiments.plan import Range, Study, read_study
from nrl_ros.experiments.store import Store

TINY = {
    'name': 'tiny',
    'tasks': [
        {'name': 'reaching', 'instances': 8, 'width': 16, 'budget': {'episodes': 32}},
        {
            'name': 'cartpole',
            'budget': {'episodes': 64},
            'search_budget': {'episodes': 32},
            'environment': {'bridge.name': 'cartpole'},
        },
    ],
    'rules': [
        {'name': 'nrl', 'by_task': {'cartpole': {'learner': {'noise.sigma': 0.01}}}},
        {'name': 'bp', 'learner': {'plasticity': {'rule': 'backpropagation'}}},
        {'name': 'random', 'learner': {'plasticity.rule': 'random'}, 'grid': {}},
    ],
    'depths': [1, 2],
    'seeds': [0, 1],
    'search': {'seeds': [100], 'grid': {'plasticity.learning_rate': [1e-3, 3e-3]}},
}


def study(**changes) -> Study:
    return Study.model_validate(TINY | changes)


def written(tmp_path: Path, **changes) -> str:
    path = tmp_path / 'tiny.yaml'
    path.write_text(yaml.safe_dump(TINY | changes))
    return str(path)


def condition_of(which: Study, *identity):
    return next(condition for condition in conditions(which) if condition.identity == identity)


@pytest.mark.parametrize('name', ['clean_pass', 'paper', 'quick'])
def test_shipped_studies_pass_their_own_checks(name):
    found = read_study(name)
    assert found.name == name
    assert {condition.section for condition in conditions(found)} >= {MAIN, 'reference_passes'}
    assert gradients_trial(found) is not None


def test_every_rule_is_searched_on_the_same_number_of_points_of_one_setting():
    for condition in conditions(study()):
        assert len(condition.points) == (1 if condition.name == 'random' else 2)


def test_points_are_evenly_spaced_in_the_logarithm():
    assert Range(low=1e-4, high=1e-2, points=3).values == (1e-4, 1e-3, 1e-2)


def test_a_cell_has_what_the_file_the_task_and_the_rule_say():
    settings = condition_of(study(), MAIN, 'cartpole', 'nrl', 2).trial({}, 7, search=True).settings
    assert settings['learner']['network.hidden_sizes'] == [64, 64]
    assert settings['learner']['noise.sigma'] == 0.01
    assert settings['learner']['seed'] == settings['environment']['seed'] == 7
    assert settings['neuromodulator']['rpe.scale'] == 'absolute_reward'
    assert settings['environment']['bridge.name'] == 'cartpole'
    assert 'bridge.options.id' not in settings['environment']
    assert settings['environment']['stop.episodes'] == 32
    assert settings['environment']['stop.steps'] == 0


def test_only_cells_whose_settings_changed_get_another_key():
    before = study()
    changed = [dict(rule) for rule in TINY['rules']]
    changed[1] = changed[1] | {'neuromodulator': {'rpe.rate': 0.5}}
    after = study(rules=changed)
    for old, new in zip(conditions(before), conditions(after), strict=True):
        same = [
            old.trial(point, 0, search=False).key == new.trial(point, 0, search=False).key
            for point in old.points
        ]
        assert all(same) == (old.name != 'bp')
        assert any(same) == (old.name != 'bp')


def test_labels_are_not_part_of_the_key_and_seeds_are():
    rules = [dict(rule, label='another') for rule in TINY['rules']]
    one, two = conditions(study())[0], conditions(study(rules=rules))[0]
    assert one.label != two.label
    assert one.trial({}, 0, search=False).key == two.trial({}, 0, search=False).key
    assert one.trial({}, 0, search=False).key != one.trial({}, 1, search=False).key


def test_a_section_takes_the_search_of_its_rule_or_has_one_of_its_own():
    section = {
        'name': 'samples',
        'task': 'reaching',
        'rule': 'nrl',
        'search': 'rule',
        'variants': [{'name': 'K2', 'value': 2, 'learner': {'plasticity.samples': 2}}],
    }
    shared = condition_of(study(sections=[section]), 'samples', 'reaching', 'K2', 1)
    assert shared.search_of == (MAIN, 'reaching', 'nrl', 1)
    assert not shared.searched
    own = section | {'search': 'each', 'grid': {'plasticity.learning_rate': [1, 2, 3]}}
    assert len(condition_of(study(sections=[own]), 'samples', 'reaching', 'K2', 1).points) == 3
    with pytest.raises(ConfigError, match='3 hidden layers.*search: each'):
        conditions(study(sections=[section | {'depths': [3]}]))


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'seeds': [0, 100]}, ['100', 'searched on and reported']),
        ({'tasks': [{'name': 'reaching', 'budget': {}}]}, ['reaching', 'episodes, steps']),
        ({'rules': [{'name': 'nrl', 'lerner': {}}]}, ['nrl', 'lerner']),
        ({'rules': [{'name': 'nrl', 'tasks': ['swim']}]}, ["'nrl'", 'swim', 'reaching']),
        ({'rules': [{'name': 'nrl'}, {'name': 'nrl'}]}, ['rules', 'each once']),
        ({'search': {'seeds': [100], 'grid': {'x': {'low': 2, 'high': 1, 'points': 3}}}}, ['low']),
    ],
)
def test_a_fault_in_the_file_is_one_line_that_names_it(tmp_path, changes, words):
    with pytest.raises(ConfigError) as error:
        read_study(written(tmp_path, **changes))
    text = str(error.value)
    assert 'tiny.yaml' in text and '\n' not in text
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ('learner', 'environment', 'words'),
    [
        ({'plasticity.rule': 'magic'}, {}, ['magic', 'backpropagation']),
        ({'plasticity.learning_rat': 1}, {}, ['learning_rat', 'did you mean']),
        ({'noise.sigma': -1}, {}, ['noise.sigma', '-1']),
        ({}, {'bridge.name': 'moon'}, ['bridge.name', 'moon', 'reaching']),
    ],
)
def test_a_fault_in_merged_settings_names_study_rule_task_and_depth(learner, environment, words):
    rules = [{'name': 'odd', 'learner': learner, 'environment': environment}]
    with pytest.raises(ConfigError) as error:
        conditions(study(rules=rules))
    text = str(error.value)
    assert all(word in text for word in ['tiny', 'odd on reaching', '1 hidden', *words]), text


def test_an_unknown_study_names_those_there_are():
    with pytest.raises(ConfigError, match="unknown study 'papr', did you mean 'paper'"):
        read_study('papr')


def test_a_setting_that_is_new_to_the_schema_changes_no_key(monkeypatch):
    trial = conditions(study())[0].trial({}, 0, search=False)
    newer = {node: dict(flat) for node, flat in trial.settings.items()}
    newer['learner']['plasticity.novelty'] = 0.0
    changed = replace(trial, settings=newer)
    assert changed.key != trial.key
    defaults = trials._defaults() | {'learner.plasticity.novelty': 0.0}
    monkeypatch.setattr(trials, '_defaults', lambda: defaults)
    again = replace(trial, settings=newer)
    assert again.key == trial.key
    newer['learner']['plasticity.novelty'] = 1.0
    assert replace(trial, settings=newer).key != trial.key


def test_a_record_is_found_again_and_a_damaged_one_is_told_of(tmp_path):
    first, second = (conditions(study())[0].trial({}, seed, search=False) for seed in (0, 1))
    store = Store(tmp_path)
    for trial, final in ((first, 1.5), (second, 2.5)):
        store.put(trial, trial.job() | {'final': final})
    (tmp_path / 'cells' / f'{second.key}.nrl').write_bytes(b'NRL1 and no more')
    again = Store(tmp_path)
    assert again.get(first) == first.job() | {'final': 1.5}
    assert again.get(second) is None
    (tmp_path / 'cells' / f'{first.key}.nrl').rename(tmp_path / 'cells' / 'of_old_name.nrl')
    assert Store(tmp_path).get(first) is not None
    assert len(again.damaged) == 1 and f'{second.key}.nrl' in again.damaged[0]
