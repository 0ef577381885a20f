"""What the command prints and draws, without ROS."""

import dataclasses
import io
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from nrl_ros import __version__
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.settings import flatten
from nrl_ros.cli import (
    display,
    grouping,
    listing,
    main,
    metrics,
    plot,
    processes,
    reference,
    runs,
)
from nrl_ros.cli.__main__ import main as command_main
from nrl_ros.cli.display import line_of, number, sparkline
from nrl_ros.cli.evaluate import score_of
from nrl_ros.cli.main import app
from nrl_ros.cli.metrics import EpisodeRow, write_metrics
from nrl_ros.cli.options import ArmOptions, TrainOptions, command
from nrl_ros.cli.plan import make_plan
from nrl_ros.monitor.progress import PROGRESS, Progress
from nrl_ros.settings.run import ALL_NODES

RUNNER = CliRunner()


def run_with(tmp_path, name, returns):
    run = runs.create_run(tmp_path, 'cartpole', 0, folder=tmp_path / name)
    run.config.write_text('{}', encoding='utf-8')
    rows = [
        EpisodeRow(10 * (n + 1), 0.1 * n, 'cartpole', 0, n, 10, 'terminated', value)
        for n, value in enumerate(returns)
    ]
    write_metrics(run, rows)
    return run


@pytest.mark.parametrize(
    'command', ['train', 'eval', 'plot', 'compare', 'doctor', 'params', 'list', 'demo', 'version']
)
def test_every_command_has_help(command):
    assert RUNNER.invoke(app, [command, '--help']).exit_code == 0


@pytest.mark.parametrize('asked', ['version', '--version'])
def test_version(asked):
    assert RUNNER.invoke(app, [asked]).output.strip() == __version__


@pytest.mark.parametrize('kind', listing.KINDS)
def test_every_name_of_a_kind_is_a_line_that_says_what_it_is(kind):
    result = RUNNER.invoke(app, ['list', kind])
    assert result.exit_code == 0
    for name, line in zip(listing.listing(kind), result.output.splitlines(), strict=True):
        first, _, what = line.partition(' ')
        assert first == name
        assert len(what.split()) > 2
    assert kind in RUNNER.invoke(app, ['list']).output.split()


def test_a_part_that_cannot_be_imported_does_not_hide_the_others(monkeypatch):
    broken = {**listing.RULES._entries, 'broken': 'no_such_module:Rule'}
    monkeypatch.setattr(listing.RULES, '_entries', broken)
    found = listing.listing('rules')
    assert 'nrl' in found
    assert 'cannot be imported' in found['broken']


def test_an_unknown_kind_is_guessed():
    result = RUNNER.invoke(app, ['list', 'rule'])
    assert result.exit_code == 2
    assert "did you mean 'rules'?" in result.output


@pytest.mark.parametrize(
    ('name', 'first'),
    [
        ('plasticity.learning_rate', 'learner.plasticity.learning_rate'),
        ('learner.plasticity.learning_rate', 'learner.plasticity.learning_rate'),
        ('learner.noise', 'learner.noise.shape'),
        ('learning_rate_decay', 'learner.plasticity.learning_rate_decay'),
        ('arm_driver', 'arm_driver.autostart'),
    ],
)
def test_in_a_pipe_a_setting_is_one_line_with_the_name_that_set_takes(name, first):
    result = RUNNER.invoke(app, ['params', name])
    shown = result.output.splitlines()
    assert shown[0].split('\t')[0] == first
    assert all(name in line.split('\t')[0] for line in shown)


def test_a_terminal_breaks_no_name():
    narrow = Console(width=60, force_terminal=True, file=io.StringIO())
    found = reference.matching('learner')['learner']
    narrow.print(reference.table('learner', found))
    for one in found:
        assert one.name in narrow.file.getvalue()


def test_a_setting_that_is_not_there_is_guessed():
    result = RUNNER.invoke(app, ['params', 'plasticity.lerning_rate'])
    assert result.exit_code == 2
    assert "did you mean 'plasticity.learning_rate'?" in result.output


def test_help_and_parameters_need_neither_ros_nor_matplotlib():
    code = (
        'import sys\n'
        'import nrl_ros.cli.main, nrl_ros.cli.reference, nrl_ros.cli.plot\n'
        'bad = {"rclpy", "matplotlib", "torch", "nrl_ros.msg"} & set(sys.modules)\n'
        'raise SystemExit(str(bad) if bad else 0)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_typing_error_is_one_line_and_code_2(tmp_path):
    result = RUNNER.invoke(
        app, ['train', 'cartpole', '--out', str(tmp_path / 'a'), '--set', 'learner.sed=1']
    )
    assert result.exit_code == 2
    assert "did you mean 'seed'" in result.output
    assert 'Traceback' not in result.output


@pytest.mark.parametrize('command', ['eval', 'plot'])
def test_missing_run_is_code_1(command, tmp_path):
    result = RUNNER.invoke(app, [command, str(tmp_path / 'none')])
    assert result.exit_code == 1
    assert 'there is no run folder' in result.output


def test_reference_names_every_setting():
    page = reference.markdown()
    for model in ALL_NODES.values():
        for name in flatten(model()):
            assert f'`{name}`' in page


def test_reference_in_docs_is_up_to_date():
    page = runs.Path(__file__).resolve().parents[2] / 'docs' / 'parameters.md'
    assert page.read_text(encoding='utf-8') == reference.markdown(), (
        'a setting changed: nrl params --markdown > docs/parameters.md'
    )


def test_curve_is_a_mean_of_the_past(tmp_path):
    run = run_with(tmp_path, 'a', [0.0] * 100 + [1.0] * 100)
    curve = plot.run_curves(run).returns
    assert curve.mean[0] == 0.0
    assert curve.mean[-1] == 1.0
    assert np.all(curve.mean[curve.steps <= 1000] == 0.0)
    assert np.all(curve.low <= curve.high)


def test_spread_is_over_runs(tmp_path):
    curves = [plot.run_curves(run_with(tmp_path, str(v), [v] * 50)).returns for v in (1.0, 3.0)]
    both = plot.together(curves)
    assert np.allclose(both.mean, 2.0)
    assert np.allclose(both.high - both.mean, 1.0)


def test_plot_writes_a_picture(tmp_path):
    pytest.importorskip('matplotlib')
    folders = [run_with(tmp_path, name, [1.0, 2.0, 3.0]).folder for name in ('a', 'b')]
    out = tmp_path / 'curves.png'
    result = RUNNER.invoke(app, ['plot', *map(str, folders), '--out', str(out)])
    assert result.exit_code == 0, result.output
    assert out.read_bytes().startswith(b'\x89PNG')


def test_plot_of_an_empty_run_is_an_error(tmp_path):
    run = run_with(tmp_path, 'a', [])
    result = RUNNER.invoke(app, ['plot', str(run.folder)])
    assert result.exit_code == 1
    assert 'no finished episode' in result.output


def test_score():
    score = score_of(np.array([1.0, 3.0]))
    assert (score.mean, score.std, score.min, score.max) == (2.0, 1.0, 1.0, 3.0)
    assert str(score) == '2.0 ± 1.0'


def test_sparkline_spans_lowest_to_highest():
    assert sparkline([0.0, 1.0]) == '▁█'
    assert sparkline([]) == ''
    assert len(sparkline([float(n) for n in range(1000)], width=40)) == 40


def test_line_shows_trouble_only_when_there_is_some():
    progress = Progress(target_steps=200, steps=100)
    assert 'dropped' not in line_of(progress, 1.0)
    assert '50 %' in line_of(progress, 1.0)
    progress.counters['learner'] = {'lost_states': 3}
    assert 'dropped 3' in line_of(progress, 1.0)
    assert number(float('nan')) == '–'


def test_what_is_done_without_steps_is_said_in_words_and_once():
    progress = Progress(target_steps=100, phase='the environment makes its instances')
    shown = io.StringIO()
    with display.Lines(Console(file=shown)) as lines:
        for second in range(5):
            lines.show(progress, float(second))
        assert shown.getvalue().splitlines() == ['   0.0 s the environment makes its instances']
        progress.phase, progress.steps = '', 50
        lines.show(progress, 5.0)
    assert '50 %' in shown.getvalue()


def test_the_panel_says_what_is_done_in_place_of_a_share_that_stands_still():
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    progress = Progress(target_steps=100, steps=100, phase='finished: the nodes end')
    with display.LivePanel(console, 'a task') as panel:
        panel.show(progress, 1.0)
        assert 'finished: the nodes end' in shown.getvalue()
        assert '100 %' not in shown.getvalue()
        # Another phase is shown at once, although the last picture is young.
        progress.phase = ''
        panel.show(progress, 1.0)
    assert '100 %' in shown.getvalue()


def test_progress_row_fits_its_header():
    assert len(Progress().row(0.0)) == len(PROGRESS)


def test_domain_is_the_one_wanted_or_given_or_a_safe_one(monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', '7')
    assert processes.choose_domain(5) == 5
    assert processes.choose_domain(None) == 7
    monkeypatch.delenv('ROS_DOMAIN_ID')
    assert 1 <= processes.choose_domain(None) <= 101
    monkeypatch.setenv('ROS_DOMAIN_ID', 'x')
    with pytest.raises(ConfigError, match='must be a whole number'):
        processes.choose_domain(None)


def test_domain_in_use_is_passed_over(monkeypatch):
    monkeypatch.delenv('ROS_DOMAIN_ID', raising=False)
    monkeypatch.setattr(processes, '_udp_ports', lambda: {7400 + 250 * d for d in range(1, 101)})
    assert processes.choose_domain(None) == 101


@pytest.mark.parametrize(('given', 'expected'), [('', ''), ('a', '/a'), ('/a/b/', '/a/b')])
def test_namespace(given, expected):
    assert processes.absolute_namespace(given) == expected


@pytest.mark.parametrize(('name', 'kind'), [('train', TrainOptions), ('arm', ArmOptions)])
def test_an_option_is_declared_once_and_reaches_its_command(name, kind):
    """Each annotated field is an option, with the field's name and default; no other is."""
    told = []
    commands = typer.Typer()
    commands.command()(command(kind, told.append))
    commands.command('other')(lambda: None)
    made = typer.main.get_command(commands).commands['call']
    given = RUNNER.invoke(
        commands, ['call', '--set', 'learner.seed=1', '--set', 'a=b', '--domain-id', '7']
    )
    assert given.exit_code == 0, given.output
    assert told == [kind(overrides=('learner.seed=1', 'a=b'), domain=7)]
    assert {option.name for option in made.params} == {
        field.name for field in dataclasses.fields(kind)
    } - {'root'}
    assert RUNNER.invoke(main.app, [name, '--domain-id', '233']).exit_code == 2


def test_runs_are_grouped_by_settings_and_seeds_are_not_settings(tmp_path):
    made = []
    for count, (rate, seed) in enumerate([('0.01', 0), ('0.02', 0), ('0.01', 1), ('0.02', 1)]):
        overrides = (f'learner.plasticity.learning_rate={rate}',)
        folder = tmp_path / str(count)
        options = TrainOptions(task='cartpole', seed=seed, out=folder, overrides=overrides)
        plan = make_plan(options, print)
        with plan.start as start:
            start.begin()
        made.append(plan.run)
    first, second = grouping.group_runs(made)
    assert first.label == 'learning_rate 0.01'
    assert second.label == 'learning_rate 0.02'
    assert first.runs == (made[0], made[2])
    assert second.runs == (made[1], made[3])
    # Runs that differ in their seeds alone need no label.
    assert [group.label for group in grouping.group_runs(first.runs)] == ['']
    assert made[0].task == 'cartpole', 'a run that has no summary yet'


def test_a_label_tells_settings_of_one_name_apart():
    values = [
        {'learner.plasticity.rate': 1, 'neuromodulator.rpe.rate': 1, 'learner.noise.sigma': 0.1},
        {'learner.plasticity.rate': 2, 'neuromodulator.rpe.rate': 2, 'learner.noise.sigma': 0.1},
    ]
    assert list(grouping.differing(values).values()) == ['plasticity.rate', 'rpe.rate']


def figure_of(monkeypatch, tmp_path, made):
    """The figure that plot_runs saves."""
    pyplot = pytest.importorskip('matplotlib.pyplot')
    kept = []
    monkeypatch.setattr(pyplot, 'close', kept.append)
    plot.plot_runs(made, tmp_path / 'curves.png')
    monkeypatch.undo()
    return kept[0]


def test_a_picture_has_a_line_and_a_label_for_each_setting(tmp_path, monkeypatch):
    made = []
    for name, rate in (('a', 0.01), ('b', 0.02), ('c', 0.02)):
        run = run_with(tmp_path, name, [float(n % 9) for n in range(200)])
        text = f'/**/learner: {{ros__parameters: {{plasticity.learning_rate: {rate}}}}}'
        run.config.write_text(text, encoding='utf-8')
        run.write_summary({'task': 'my own task'})
        made.append(run)
    figure = figure_of(monkeypatch, tmp_path, made)
    [axes] = figure.axes
    assert axes.get_title() == 'my own task'
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[0].startswith('learning_rate 0.01: rolling mean')
    assert labels[1].startswith('learning_rate 0.02: mean of 2 runs')
    colours = {line.get_color() for line in axes.get_lines()}
    assert len(colours) == 2
    # The legend covers nothing of the curves.
    figure.draw_without_rendering()
    legend, inside = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert legend.y1 < inside.y0
    assert legend.y0 >= 0.0


def test_success_is_drawn_below_the_return_where_the_task_has_marks(tmp_path, monkeypatch):
    made = [run_with(tmp_path, name, [float(n) for n in range(200)]) for name in ('a', 'b', 'c')]
    for run in made[1:]:
        rows = metrics.read_metrics(run)
        marked = [
            row._replace(figures={'nearest_m': 3.0, 'is_near': 1.0, 'is_at_2_cm': float(at >= 100)})
            for at, row in enumerate(rows)
        ]
        write_metrics(run, marked)
    assert len(figure_of(monkeypatch, tmp_path, made[:1]).axes) == 1
    figure = figure_of(monkeypatch, tmp_path, made[1:2])
    returns, success = figure.axes
    assert [line.get_label() for line in success.get_lines()] == ['near', 'at 2 cm']
    share = success.get_lines()[1].get_ydata()
    assert share[0] == 0.0 and share[-1] == 1.0
    figure.draw_without_rendering()
    legends = [axes.get_legend().get_window_extent() for axes in (returns, success)]
    assert legends[0].y0 > success.get_window_extent().y1, 'the upper legend covers nothing'
    assert legends[1].y1 < success.get_window_extent().y0 and legends[1].y0 >= 0.0
    # A run of before, without marks, is drawn beside others.
    for run, rate in zip(made[:2], (0.01, 0.02), strict=True):
        text = f'/**/learner: {{ros__parameters: {{plasticity.learning_rate: {rate}}}}}'
        run.config.write_text(text, encoding='utf-8')
        run.write_summary({'task': 'parking'})
    labels = [one.get_label() for one in figure_of(monkeypatch, tmp_path, made[:2]).axes[1].lines]
    assert labels == ['learning_rate 0.02: near']


def test_runs_without_common_steps_are_refused(tmp_path):
    early = run_with(tmp_path, 'early', [1.0] * 50)
    late = run_with(tmp_path, 'late', [1.0])
    write_metrics(late, [EpisodeRow(10**6, 1.0, 'cartpole', 0, 0, 10, 'terminated', 1.0)])
    with pytest.raises(runs.RunError, match='no steps in common'):
        plot.together([plot.run_curves(early).returns, plot.run_curves(late).returns])


def namespace(wanted, folder='/runs/a', label='cartpole s0', *, secured=False):
    return processes.choose_namespace(wanted, Path(folder), label, secured=secured)


def test_each_run_has_a_namespace_of_its_own():
    assert re.fullmatch('/cartpole_s0_[0-9a-f]{6}', namespace(None))
    assert namespace(None) == namespace(None) != namespace(None, '/runs/b')
    # Names of tasks hold what a namespace cannot.
    assert re.fullmatch(
        '/LunarLander_v3_s7_[0-9a-f]{6}', namespace(None, label='LunarLander-v3 s7')
    )
    assert namespace(None, label='2048-v0 s1').startswith('/run_2048_v0_s1_')
    # Keys are for topics by their names.
    assert namespace(None, secured=True) == ''


def test_a_namespace_of_ones_own_is_told_from_one_that_others_may_have():
    assert processes.is_own_namespace(namespace(None), Path('/runs/a'))
    assert not processes.is_own_namespace(namespace(None), Path('/runs/b'))
    for shared in ('', '/taken', '/cartpole_s0_000000'):
        assert not processes.is_own_namespace(shared, Path('/runs/a'))


def test_a_namespace_may_be_given_and_is_checked():
    assert [namespace(text) for text in ('', '/', 'a', '/a/b_1/')] == ['', '', '/a', '/a/b_1']
    for wrong in ('my-run', '1a', 'a//b', 'a b', 'ü'):
        with pytest.raises(ConfigError, match='--namespace'):
            namespace(wrong)


def test_ctrl_c_while_the_command_still_imports_is_no_traceback(monkeypatch):
    """Its imports take a second on a slow machine, in which people change their minds."""

    class Importing(types.ModuleType):
        def __getattr__(self, name):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, 'nrl_ros.cli.main', Importing('main'))
    with pytest.raises(SystemExit) as ended:
        command_main()
    assert ended.value.code == 130
