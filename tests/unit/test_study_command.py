"""The command ``nrl study``: where its report goes."""

import pytest
import yaml
from typer.testing import CliRunner

from nrl_ros.cli.main import app
from nrl_ros.experiments.plan import read_study
from nrl_ros.experiments.schedule import Schedule
from nrl_ros.experiments.store import Store
from tests.unit.test_study_claims import put

TINY = {
    'name': 'tiny',
    'tasks': [{'name': 'reaching', 'budget': {'episodes': 1500}}],
    'rules': [{'name': 'nrl', 'grid': {}}],
    'seeds': [0, 1],
    'search': {'seeds': [100], 'grid': {'plasticity.learning_rate': [0.001]}},
}


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A report that came with the project, seen from the folder that one stands in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'tiny.yaml').write_text(yaml.safe_dump(TINY))
    report = tmp_path / 'docs/results/tiny/report.md'
    report.parent.mkdir(parents=True)
    report.write_text('an hour of work')
    return report


def report_only(*more):
    return CliRunner().invoke(app, ['study', 'tiny.yaml', '--report-only', *more])


def finish_all(tmp_path):
    study = read_study(str(tmp_path / 'tiny.yaml'))
    schedule = Schedule(study, Store(tmp_path / 'runs/study/tiny'))
    for condition in schedule.conditions:
        put(schedule, condition, [1.0, 2.0], [100, 100])


def test_a_report_goes_beside_the_results_and_not_over_a_shipped_one(shipped, tmp_path):
    finish_all(tmp_path)
    result = report_only()
    assert result.exit_code == 0, result.output
    assert shipped.read_text() == 'an hour of work'
    assert 'Rules' in (tmp_path / 'runs/study/tiny/report/report.md').read_text()


def test_a_report_of_nothing_is_refused_even_where_one_asks_for_the_place(shipped):
    result = report_only('--out', 'docs/results/tiny')
    assert result.exit_code == 1
    assert 'holds no finished trial of study' in result.output
    assert shipped.read_text() == 'an hour of work'
