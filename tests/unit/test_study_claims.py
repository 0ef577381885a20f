"""What is computed from final performances and curves, against values worked out by hand."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest

from nrl_ros.experiments import figures
from nrl_ros.experiments.claims import claims, least_passes, raw_share
from nrl_ros.experiments.conditions import MAIN
from nrl_ros.experiments.report import number, plain, write_report
from nrl_ros.experiments.schedule import Schedule
from nrl_ros.experiments.store import Store
from nrl_ros.experiments.summary import (
    Table,
    curve_of,
    episodes_to,
    gain_share,
    level,
    median,
    results,
    slowdown,
)
from tests.unit.test_study_plan import study

NEVER = math.inf


def test_ninety_per_cent_is_measured_from_the_floor():
    assert level(10.0, 110.0, 0.9) == 100.0
    assert gain_share(60.0, 10.0, 110.0) == 0.5
    # Negative returns are no different, and a reference that gains nothing says nothing.
    assert level(-500.0, -100.0, 0.9) == pytest.approx(-140.0)
    assert math.isnan(level(10.0, 10.0, 0.9)) and math.isnan(gain_share(60.0, 110.0, 10.0))
    assert raw_share(60.0, 120.0) == 0.5 and math.isnan(raw_share(-1.0, -2.0))


def test_trials_are_counted_to_the_end_of_the_first_window_that_is_there():
    returns = np.array([0.0, 0.0, 4.0, 0.0, 4.0, 4.0, 4.0])
    assert episodes_to(returns, 4.0, 2) == 6.0
    assert episodes_to(returns, 2.0, 2) == 3.0
    assert episodes_to(returns, 5.0, 2) == NEVER
    assert episodes_to(returns[:1], 0.0, 2) == NEVER
    assert math.isnan(episodes_to(returns, math.nan, 2))


def test_where_only_bins_are_kept_they_stand_for_their_episodes():
    record = {'episodes': 5, 'bins': np.array([1.0, 2.0], np.float32)}
    assert curve_of(record).tolist() == [1.0, 1.0, 1.0, 2.0, 2.0]


def test_medians_and_ratios_know_never():
    assert median([100.0, 300.0, NEVER]) == 300.0
    assert median([100.0, NEVER, NEVER]) == NEVER
    assert math.isnan(median([])) and math.isnan(median([1.0, math.nan]))
    assert slowdown(100.0, 250.0) == 2.5
    assert slowdown(100.0, NEVER) == NEVER
    assert math.isnan(slowdown(NEVER, 100.0))


def test_least_passes_is_where_it_stays_good():
    assert least_passes([(1, 0.5), (2, 0.96), (4, 0.9), (8, 0.95), (16, 1.1)]) == 8
    assert least_passes([(1, 0.99), (2, 0.98)]) == 1
    assert least_passes([(1, 0.99), (2, 0.94)]) == NEVER
    assert least_passes([(1, math.nan)]) == NEVER


def test_numbers_as_text():
    assert [number(v) for v in (1234.4, NEVER, -NEVER, math.nan)] == ['1,234', 'never', '−∞', '–']
    assert plain({'a': (1.0, math.nan, NEVER, np.float32(2.0))}) == {'a': [1.0, None, 'never', 2.0]}


# Final performance of each of the two seeds; episodes are where the curve steps up to it.
FINALS = {
    ('reaching', 'random'): (0.0, 20.0),
    ('reaching', 'nrl'): (100.0, 104.0),
    ('reaching', 'bp'): (109.0, 111.0),
    ('reaching', 'rmhl'): (12.0, 12.0),
    ('acrobot', 'random'): (-500.0, -500.0),
    ('acrobot', 'nrl'): (-500.0, -100.0),
    ('acrobot', 'bp'): (-90.0, -110.0),
    ('acrobot', 'rmhl'): (-500.0, -500.0),
}
MADE = {'command': 'nrl study tiny', 'commit': 'abc'}
STEP_AT = {('nrl', 1): (200, 400), ('nrl', 2): (300, 900), ('bp', 1): (100, 100)}


def curve(final, floor, at):
    returns = np.full(1500, floor, np.float32)
    returns[at:] = final
    return returns


def put(schedule, condition, finals, steps):
    versions = {'nrl_ros': '1', 'python': '3', 'numpy': '2', 'machine': 'm'}
    floor = np.mean(FINALS[condition.task.name, 'random'])
    trials = schedule.searches.finals(condition)
    for seed, (trial, final, at) in enumerate(zip(trials, finals, steps, strict=True)):
        returns = curve(final, floor, at)
        schedule.store.put(
            trial,
            {
                **trial.job(), 'seed': seed,
                'returns': returns, 'bins': returns[::10], 'episodes': 1500,
                'final': final, 'seconds': 1.0, 'steps_per_second': 10.0, 'steps': 10,
                'diverged_at_step': 5 if condition.name == 'rmhl' else -1,
                'counters': {}, 'versions': versions,
            },
        )  # fmt: skip


@pytest.fixture
def schedule(tmp_path):
    tasks = [
        {'name': 'reaching', 'budget': {'episodes': 1500}, 'smoothing': 1},
        {
            'name': 'acrobot',
            'budget': {'episodes': 1500},
            'learned_at': -200,
            'environment': {'bridge.name': 'acrobot'},
        },
    ]
    rules = [{'name': name} for name in ('nrl', 'bp', 'rmhl', 'random')]
    rules[1]['learner'] = {'plasticity.rule': 'backpropagation'}
    rules[2]['learner'] = {'plasticity.rule': 'rmhl'}
    rules[3]['learner'] = {'plasticity.rule': 'random'}
    section = {
        'name': 'reference_passes',
        'task': 'reaching',
        'rule': 'nrl',
        'search': 'rule',
        'variants': [
            {
                'name': f'N{n}',
                'value': n,
                'learner': {'plasticity.rule': 'noisy_nrl', 'plasticity.reference_passes': n},
            }
            for n in (1, 4)
        ],
    }
    made = study(tasks=tasks, rules=rules, sections=[section], search={'seeds': [100], 'grid': {}})
    schedule = Schedule(made, Store(tmp_path / 'store'))
    for condition in schedule.conditions:
        if condition.section == MAIN:
            steps = STEP_AT.get((condition.name, condition.depth), (1000, 1000))
            put(schedule, condition, FINALS[condition.task.name, condition.name], steps)
    for name, finals in (('N1', (50.0, 50.0)), ('N4', (98.0, 98.0))):
        condition = next(condition for condition in schedule.conditions if condition.name == name)
        put(schedule, condition, finals, (0, 0))
    return schedule


def test_claims_are_those_of_the_hand(schedule):
    found = claims(Table(schedule.study, results(schedule)))
    said = {(claim.number, claim.text): claim for claim in found}

    def one(number_, *words):
        hits = [
            c for (n, text), c in said.items() if n == number_ and all(w in text for w in words)
        ]
        assert len(hits) == 1, (number_, words, list(said))
        return hits[0]

    # 90 % of BP: 10 + 0.9 (110 - 10) = 100. NRL's seeds step up to it at 200 and 400.
    quick = one('1', 'depth 1')
    assert quick.holds and quick.figure == 'median 301 episodes, 2 of 2 seeds within'
    # At depth 2 at 300 and 900: 601, still within.
    assert one('1', 'depth 2').figure == 'median 601 episodes, 2 of 2 seeds within'
    # NRL gains 102 - 10 = 92 with a clean pass; N1 40, N4 88.
    passes = one('2', 'depth 1')
    assert passes.holds and passes.figure.startswith('least N 4;')
    assert 'N=1: 43%, N=4: 96%' in passes.figure
    # RMHL gains 2 % of what BP gains, NRL 92 %.
    hebb = one('3', 'reaching')
    assert hebb.holds and 'RMHL 2%, NRL 92%' in hebb.figure
    assert one('4', 'reaching').figure == 'nrl ×2.00, bp ×9.91'
    # 92 of BP's 100 from the floor, 102 of 110 raw: not 95 %.
    near = one('5', 'depth 1')
    assert near.holds is False and near.figure.startswith('92%') and near.figure.endswith('93%')
    assert one('6', 'nrl').figure == 'depth 1: 1 of 2, depth 2: 1 of 2'
    assert one('6', 'rmhl').figure == 'depth 1: 0 of 2, depth 2: 0 of 2'


def test_the_report_says_what_made_it_and_holds_every_figure(schedule, tmp_path):
    out = tmp_path / 'report'
    write_report(schedule, out, MADE)
    page = (out / 'report.md').read_text()
    assert 'Made by `nrl study tiny` at commit abc with nrl_ros 1, Python 3, numpy 2' in page
    assert 'Final seeds 0, 1; search seeds 100' in page
    # Mean of -500 and -100, sample standard deviation 400 / sqrt(2), worst, best.
    assert '| -300.0 ± 282.8 | -500.0 | -100.0 |' in page
    assert 'Not complete' not in page
    assert str(tmp_path) not in page
    data = json.loads((out / 'report.json').read_text())
    assert len(data['conditions']) == 2 * 2 * 4 + 2
    for picture in ('curves', 'finals', 'section_reference_passes'):
        assert f'![{picture}]({picture}.png)' in page
        assert (out / f'{picture}.png').stat().st_size > 1000


def test_a_row_says_of_how_many_seeds_it_is_and_nothing_is_claimed_without_a_reference(tmp_path):
    unsearched = {'seeds': [100], 'grid': {}}
    one_seed = Schedule(study(seeds=[0], search=unsearched), Store(tmp_path))
    put(one_seed, one_seed.conditions[0], (104.0,), (200,))
    both = Schedule(study(search=unsearched), Store(tmp_path))
    write_report(both, tmp_path / 'report', MADE)
    page = (tmp_path / 'report' / 'report.md').read_text()
    assert '| reaching | 1 | nrl | 1 | 104.0 ± 0.0 |' in page
    # Nobody knows what nine tenths are without backpropagation and the floor.
    assert '| 0/1 |' not in page and 'reaches 90 %' not in page
    assert '**Not complete:**' in page and 'A row has the seeds that it counts' in page


def test_a_report_of_nothing_yet_says_so(tmp_path):
    schedule = Schedule(study(), Store(tmp_path))
    write_report(schedule, tmp_path / 'report', {'command': 'nrl study tiny', 'commit': ''})
    page = (tmp_path / 'report' / 'report.md').read_text()
    assert '**Not complete:** 40 trials are left' in page
    assert 'Nothing is finished yet.' in page


def test_in_pictures_of_a_study_no_label_touches_another_and_legends_cover_nothing(
    schedule, tmp_path, monkeypatch
):
    pyplot = pytest.importorskip('matplotlib.pyplot')
    kept = []
    monkeypatch.setattr(pyplot, 'close', kept.append)
    long = 'the same, noise correlated over ten steps, and a critic'
    found = [
        dataclasses.replace(
            one,
            condition=dataclasses.replace(one.condition, label=f'{one.condition.name}, {long}'),
        )
        for one in results(schedule)
    ]
    table = Table(schedule.study, found)
    # Of the middle of a run, so that the numbers of the episodes have five digits.
    monkeypatch.setattr(
        figures, 'smooth', lambda result: (np.linspace(40, 16_600, 9), np.ones((2, 9)))
    )
    names = figures.draw(table, None, tmp_path)
    monkeypatch.undo()
    assert names == ['curves', 'finals', 'section_reference_passes']
    for figure in kept:
        figure.draw_without_rendering()
        parts = [figure, *figure.subfigs]
        legends = [one.get_window_extent() for part in parts for one in part.legends]
        assert legends
        for panel in figure.get_axes():
            labels = [text.get_window_extent() for text in panel.get_xticklabels()]
            shown = [one for one in labels if one.width > 1]
            assert all(a.x1 + 2 < b.x0 for a, b in itertools.pairwise(shown)), figure
            assert not any(panel.get_tightbbox().overlaps(legend) for legend in legends)
        assert all(one.x0 >= 0 and one.x1 <= figure.bbox.width for one in legends)
        pyplot.close(figure)
