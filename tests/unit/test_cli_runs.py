"""Run folders, their tables, and what is taken up from them."""

import math
import threading
from pathlib import Path

import pytest

from nrl_ros.base.errors import CheckpointError, ConfigError, NrlError
from nrl_ros.cli import config, evaluate, runs
from nrl_ros.cli.display import EvaluationLines, line_of, told_if_slow
from nrl_ros.cli.metrics import (
    METRICS,
    EpisodeRow,
    EpisodeTable,
    Table,
    last_steps,
    read_metrics,
    write_metrics,
)
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.plan import Sessions, make_plan
from nrl_ros.cli.runs import RunError
from nrl_ros.learning.learner import Learner
from nrl_ros.monitor.progress import PROGRESS, FirstStepWatch, Progress, group_counters
from nrl_ros.storage.checkpoint import checkpoint_path, write_checkpoint
from tests.unit.fakes import ScriptedEnvironment

ROWS = [
    EpisodeRow(100 * n, 0.5 * n, 'cartpole', n % 2, n, 20, 'terminated', 20.0 + n)
    for n in range(1, 6)
]


def fail(text):
    raise AssertionError(text)


def new_run(tmp_path, **options):
    return make_plan(TrainOptions(task='cartpole', out=tmp_path / 'run', **options), fail)


def begun_run(tmp_path, **options):
    """A run whose nodes have done a step."""
    plan = new_run(tmp_path, **options)
    with plan.start as start:
        start.begin()
    return plan.run


def content(folder):
    """Names and bytes of all files that are no part of a start."""
    files = (path for path in folder.rglob('*') if path.is_file())
    return {
        path.relative_to(folder): path.read_bytes()
        for path in files
        if not str(path.relative_to(folder)).startswith('.start')
    }


def save(run, number, *, environment_steps=None, steps=0):
    learner = Learner(config.resolve(run.config).learner)
    write_checkpoint(
        checkpoint_path(run.checkpoints, 'learner', number),
        'learner',
        learner.snapshot() | {'steps': steps},
    )
    if environment_steps is not None:
        path = checkpoint_path(run.checkpoints, 'environment_cartpole', number)
        write_checkpoint(path, 'environment', {'steps': environment_steps})


def test_folder_is_named_by_task_and_seed(tmp_path):
    first = runs.create_run(tmp_path, 'cartpole', 7)
    second = runs.create_run(tmp_path, 'cartpole', 7)
    assert first.folder != second.folder
    assert first.folder.name.startswith('cartpole-')
    assert '-s7' in first.folder.name
    assert first.task == 'cartpole'


def test_new_plan_writes_settings_that_read_back(tmp_path):
    plan = new_run(tmp_path, seed=5, instances=3, steps=700)
    assert plan.settings.learner.seed == plan.settings.environment.seed == 5
    assert plan.settings.environment.bridge.instances == 3
    assert plan.settings.environment.stop.steps == 700
    assert plan.settings.learner.checkpoint.folder == str(plan.run.checkpoints)
    with plan.start as start:
        start.begin()
    assert config.resolve(plan.run.config) == plan.settings
    assert (plan.run.folder / 'versions.json').is_file()
    with pytest.raises(RunError, match='already holds a run'):
        new_run(tmp_path)


def test_a_file_may_stand_in_place_of_a_task(tmp_path):
    path = tmp_path / 'my_task.yaml'
    path.write_text(config.find_config('cartpole').read_text(encoding='utf-8'), encoding='utf-8')
    made = make_plan(TrainOptions(task=str(path), root=tmp_path), fail)
    assert made.task == 'my_task'
    assert made.run.folder.name.startswith('my_task-')
    with pytest.raises(ConfigError, match='expected one file'):
        make_plan(TrainOptions(task=str(path), config=path, root=tmp_path), fail)


def test_settings_of_a_run_are_of_its_task(tmp_path):
    """A second run from the settings of a first one is no task named config."""
    first = begun_run(tmp_path)
    options = TrainOptions(task=str(first.config), out=tmp_path / 'second')
    assert make_plan(options, fail).task == 'cartpole'


def test_typing_error_leaves_no_folder(tmp_path):
    with pytest.raises(ConfigError):
        new_run(tmp_path, overrides=('learner.sed=1',))
    assert not (tmp_path / 'run').exists()


def test_metrics_read_back(tmp_path):
    run = runs.create_run(tmp_path, 'cartpole', 0)
    table = EpisodeTable(run)
    table.add(ROWS)
    table.close()
    assert read_metrics(run) == ROWS
    write_metrics(run, ROWS[:2])
    assert read_metrics(run) == ROWS[:2]


def test_figures_of_episodes_are_columns_and_stay_them_after_a_resume(tmp_path):
    run = runs.create_run(tmp_path, 'planar', 0)
    row = EpisodeRow(100, 1.0, 'planar', 0, 0, 10, 'terminated', 1.0)
    figures = {'final_distance_m': 0.0123456, 'is_within_2_cm': 1.0}
    table = EpisodeTable(run, held=True)
    table.open()
    # A run that has not ended an episode yet is not damaged: there is no file.
    assert not run.metrics.exists()
    table.add([row._replace(figures=figures)])
    table.close()
    assert run.metrics.read_text().splitlines() == [
        ','.join((*METRICS, 'final_distance_m', 'is_within_2_cm')),
        '100,1.0,planar,0,0,10,terminated,1.0,0.0123456,1',
    ]
    rows = read_metrics(run)
    assert rows[0].figures == figures
    write_metrics(run, rows)
    later = EpisodeTable(run)
    # An environment of another version may give others: columns stay what they are.
    later.add([row._replace(figures={'is_within_2_cm': 0.0, 'nearest_m': 3.0})])
    later.close()
    assert [row.figures for row in read_metrics(run)] == [figures, {'is_within_2_cm': 0.0}]


@pytest.mark.parametrize('text', ['', 'a,b\n', ','.join(METRICS) + '\n1,2,3\n'])
def test_damaged_metrics_are_named(text, tmp_path):
    run = runs.create_run(tmp_path, 'cartpole', 0)
    run.metrics.write_text(text, encoding='utf-8')
    with pytest.raises(RunError, match='damaged'):
        read_metrics(run)


def test_missing_and_foreign_folders_are_named(tmp_path):
    with pytest.raises(RunError, match='there is no run folder'):
        runs.open_run(tmp_path / 'none')
    with pytest.raises(RunError, match='not a run folder'):
        runs.open_run(tmp_path)
    (tmp_path / 'best.nrl').touch()
    with pytest.raises(RunError, match='is a file, expected the folder of a run'):
        runs.open_run(tmp_path / 'best.nrl')


@pytest.mark.parametrize('kind', [KeyboardInterrupt, OSError])
def test_a_file_whose_writing_was_interrupted_is_as_it_was(tmp_path, kind):
    path = tmp_path / 'film.gif'
    for before in ([], ['film.gif']):
        with pytest.raises(kind), runs.written_whole(path) as temporary:
            temporary.write_text('half')
            raise kind
        assert [one.name for one in tmp_path.iterdir()] == before
        path.write_text('whole')
    with runs.written_whole(path) as temporary:
        temporary.write_text('new')
    assert path.read_text() == 'new'


def test_a_file_that_could_not_be_written_is_refused_beforehand(tmp_path):
    runs.check_can_write(tmp_path / 'new.json')
    with pytest.raises(RunError, match='is a folder'):
        runs.check_can_write(tmp_path)
    with pytest.raises(RunError, match='there is no folder'):
        runs.check_can_write(tmp_path / 'none/new.json')


def test_damaged_checkpoint_is_skipped_and_told(tmp_path):
    run = begun_run(tmp_path)
    save(run, 1)
    save(run, 2)
    path = checkpoint_path(run.checkpoints, 'learner', 2)
    path.write_bytes(path.read_bytes()[:-3])
    told = []
    assert runs.newest(run, 'cartpole', skipped=told.append).number == 1
    assert len(told) == 1
    with pytest.raises(RunError, match='state of the environment'):
        runs.newest(run, 'cartpole', exact=True)


def test_resume_with_environment_drops_what_will_happen_again(tmp_path):
    run = begun_run(tmp_path, steps=1000)
    write_metrics(run, ROWS)
    save(run, 1, environment_steps=300)
    save(run, 2)
    before = content(run.folder)
    plan = make_plan(TrainOptions(resume=run.folder, exact=True), fail)
    assert (plan.earlier_steps, plan.steps) == (0, 300)
    with plan.start as start:
        assert content(run.folder) == before
        start.begin()
    assert [row.total_steps for row in read_metrics(run)] == [100, 200, 300]
    assert [state.number for state in runs.saved_states(run, 'cartpole')] == [1]
    assert 'environment_cartpole_00000001' in (run.folder / 'start.yaml').read_text()
    # The command has a display of its own.
    assert 'progress_period_s: 0.0' in (run.folder / 'start.yaml').read_text()


def test_resume_without_environment_counts_on(tmp_path):
    run = begun_run(tmp_path, steps=1000)
    table = Table(run.progress, PROGRESS)
    table.add([Progress(steps=400).row(1.0)])
    table.close()
    assert last_steps(run) == 400
    save(run, 3, steps=450)
    told = []
    plan = make_plan(TrainOptions(resume=run.folder), told.append)
    assert plan.earlier_steps == plan.steps == 400
    with plan.start as start:
        start.begin()
    assert 'steps: 600' in (run.folder / 'start.yaml').read_text()
    assert 'episodes start anew' in told[0]


def test_resume_of_a_finished_run_says_what_to_do(tmp_path):
    run = begun_run(tmp_path, steps=1000)
    save(run, 1, environment_steps=1000)
    with pytest.raises(RunError, match='--steps'):
        make_plan(TrainOptions(resume=run.folder), fail)
    plan = make_plan(TrainOptions(resume=run.folder, steps=2000), fail)
    assert plan.settings.environment.stop.steps == 2000


def test_resume_without_checkpoints_says_what_is_missing(tmp_path):
    run = begun_run(tmp_path, steps=1000)
    run.checkpoints.rmdir()
    with pytest.raises(RunError, match='has no folder checkpoints, .*nrl train cartpole --out'):
        make_plan(TrainOptions(resume=run.folder), fail)


def test_resume_keeps_its_seed(tmp_path):
    run = begun_run(tmp_path)
    with pytest.raises(ConfigError, match='--seed'):
        make_plan(TrainOptions(resume=run.folder, seed=1), fail)


def test_a_start_that_fails_leaves_a_run_as_it_was(tmp_path):
    run = begun_run(tmp_path, steps=1000)
    write_metrics(run, ROWS)
    save(run, 1, environment_steps=300)
    save(run, 2)
    before = content(tmp_path)
    plan = make_plan(TrainOptions(resume=run.folder, exact=True, steps=2000), fail)
    with pytest.raises(RuntimeError), plan.start:
        raise RuntimeError('a node has ended')
    assert content(tmp_path) == before
    assert not plan.start.begun
    assert not list(run.folder.glob('.start*'))


def test_a_resume_with_another_network_is_refused_before_anything_is_written(tmp_path):
    run = begun_run(tmp_path, steps=1000)
    save(run, 1, environment_steps=300)
    before = content(tmp_path)
    other = TrainOptions(
        resume=run.folder, overrides=('learner.network.hidden_sizes=[3]',), steps=2000
    )
    with pytest.raises(CheckpointError, match='another network'):
        make_plan(other, fail)
    assert content(tmp_path) == before


def test_a_new_start_that_fails_does_not_block_the_same_command(tmp_path):
    plan = new_run(tmp_path)
    with plan.start:
        pass
    # Nothing was started, so that there are no logs either.
    assert not plan.run.folder.exists()
    plan = new_run(tmp_path)
    with plan.start:
        (plan.run.log / 'learner.log').write_text('why')
        (plan.run.checkpoints / '.learner.lock').write_text('')
    assert list(content(tmp_path / 'run')) == [Path('log/learner.log')]
    # A killed command cannot tidy up.
    plan = new_run(tmp_path)
    plan.start._lock.release()
    with new_run(tmp_path).start as start:
        start.begin()
    with pytest.raises(RunError, match='already holds a run'):
        new_run(tmp_path)


def test_a_node_that_is_started_late_finds_its_files(tmp_path):
    """The safety node that brings an arm to rest is started when another one has died."""
    plan = new_run(tmp_path)
    with plan.start as start:
        start.begin()
        assert [path.read_text() for path in plan.params] == [
            (plan.run.folder / path.name).read_text() for path in plan.params
        ]
    assert not list(plan.run.folder.glob('.start*'))


def test_a_start_in_which_something_was_saved_is_kept(tmp_path):
    plan = new_run(tmp_path)
    with plan.start:
        write_checkpoint(checkpoint_path(plan.run.checkpoints, 'learner', 1), 'learner', {})
    assert plan.run.config.is_file()


def test_two_starts_do_not_share_a_folder(tmp_path):
    plan = new_run(tmp_path)
    with plan.start:
        with pytest.raises(RunError, match='is in use: another command'):
            new_run(tmp_path)
        assert plan.params[0].is_file()


def test_a_table_holds_its_rows_until_it_is_opened(tmp_path):
    run = runs.create_run(tmp_path, 'cartpole', 0)
    write_metrics(run, ROWS[:2])
    table = EpisodeTable(run, held=True)
    table.add(ROWS[2:])
    assert read_metrics(run) == ROWS[:2]
    table.open()
    table.close()
    assert read_metrics(run) == ROWS


def test_counters_are_grouped_for_people():
    counters = {'late_rpes': 2, 'late_actions': 1, 'dropped_ShapeError': 4, 'rewards': 99}
    groups = group_counters(counters)
    assert (groups['late'], groups['dropped'], sum(groups.values())) == (3, 4, 7)


def test_counters_from_a_checkpoint_are_not_shown_as_new():
    progress = Progress()
    progress.restored['learner'] = {'released_windows': 60}
    progress.counters['learner'] = {'released_windows': 62}
    assert progress.groups['released'] == 2


def first_step(lockstep=True):
    return FirstStepWatch(20.0, 600.0, lockstep=lockstep)


def test_an_environment_that_never_moves_is_told_of_once_it_waits_and_not_while_it_works():
    waits, works = first_step(), first_step()
    # It reports every half second: no step.
    faults = [waits.fault(0.5 * report, report) for report in range(50)]
    assert [bool(fault) for fault in faults].index(True) == 42
    assert 'no step within 20 s' in faults[-1]
    # It has reported once, and is at work on its first step.
    assert not any(works.fault(float(second), 1) for second in range(500))


def test_an_environment_that_is_not_heard_has_ten_minutes():
    watch = first_step()
    faults = [watch.fault(float(second), 0) for second in range(700)]
    assert [bool(fault) for fault in faults].index(True) == 601
    # In real time it steps without actions, so it was paused.
    paused = first_step(lockstep=False)
    assert not any(paused.fault(0.5 * report, report) for report in range(500))


def test_the_sessions_of_a_start_are_its_own_and_the_restored_one(tmp_path):
    plan, other = new_run(tmp_path), Sessions(restored=77)
    first = plan.sessions.first
    assert f'session: {first}' in plan.params[1].read_text()
    # Later sessions count on.
    assert all(session in plan.sessions for session in (first, first + 3))
    assert not any(session in plan.sessions for session in (0, first - 1, 77, other.first))
    assert 77 in other


def test_an_endless_task_has_a_mean_reward_a_step_whatever_its_episodes_are_cut_to():
    progress = Progress()
    assert math.isnan(progress.mean_reward)
    progress.add_episodes(600, [-100.0, -400.0], [100, 400])
    assert progress.mean_reward == -1.0
    assert progress.mean_return == -250.0
    assert '(-1 a step)' in line_of(progress, 1.0)
    assert dict(zip(PROGRESS, progress.row(1.0), strict=True))['mean_reward'] == '-1'


def test_curve_stays_short():
    progress = Progress()
    for step in range(10_000):
        progress.add_episodes(step, [float(step)], [1])
    assert len(progress.curve) < 600
    assert progress.curve[-1][0] > 9_000


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / 'thesis.tex').write_text('')
    with pytest.raises(runs.RunError, match='is not empty'):
        runs.create_run(tmp_path, 'cartpole', 0, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']


def test_a_file_of_an_earlier_version_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / 'progress.csv'
    path.write_text('b,gone\r\n1,2\r\n')
    table = Table(path, ('a', 'b', 'new'))
    table.add([[7, 8, 9]])
    table.close()
    assert path.read_text().split() == ['b,gone', '1,2', '8,']


def test_a_full_disk_loses_rows_and_no_training():
    """/dev/full is a disk without room: what is written to it is refused when it is flushed."""
    table = Table(Path('/dev/full'), ('a', 'b'))
    table.add([(1, 2), (3, 4)])
    table.close()
    assert table.lost == 3
    assert 'space' in table.reason


def test_endless_episodes_are_told_of(monkeypatch):
    """A bridge without a limit: the evaluation gives up and says what to do."""
    monkeypatch.setattr(evaluate, '_MOST_STEPS', 50)
    monkeypatch.setattr(
        evaluate, 'make_bridge', lambda name, count, options: ScriptedEnvironment([10**9] * count)
    )
    settings = config.resolve(config.find_config('cartpole'))
    with pytest.raises(NrlError, match='did not end within 50 steps.*--episodes 0'):
        evaluate.evaluate(settings, None, episodes=2, seed=0)


@pytest.mark.parametrize(('instances', 'episodes'), [(1, 5), (2, 5), (8, 5)])
def test_an_evaluation_makes_no_more_copies_than_the_run(monkeypatch, instances, episodes):
    made, ends = [], []

    def make(name, count, options):
        made.append(count)
        # Each instance has episodes of its own length; whoever is quick runs no more of them.
        return ScriptedEnvironment([3 + 2 * at for at in range(count)])

    monkeypatch.setattr(evaluate, 'make_bridge', make)
    own = (f'environment.bridge.instances={instances}',)
    settings = config.resolve(config.find_config('cartpole'), own)
    score = evaluate.evaluate(settings, None, episodes=episodes, seed=0, say=ends.append)
    assert made == [min(instances, episodes)]
    assert score.episodes == episodes


def test_an_evaluation_that_takes_long_is_told():
    said = []
    told = EvaluationLines(said.append, 'exploring', period_s=0.0)
    for done in (3, 5):
        told(done, 5)
    assert said == ['evaluating: 3 of 5 exploring episodes']


def test_what_is_waited_for_is_said():
    said, heard = [], threading.Event()

    def say(text):
        said.append(text)
        heard.set()

    with told_if_slow(say, 'the simulator', first_s=0.0):
        assert heard.wait(5.0)
    assert said[0] == 'waiting for the simulator: 0 s so far'
    with told_if_slow(said.append, 'nothing', first_s=60.0):
        pass
    assert not any('nothing' in text for text in said)


def test_a_fault_of_the_environment_leaves_no_folder(tmp_path):
    own = ('environment.bridge.name=gymnasium', 'environment.bridge.options={id: "%s"}')
    for name in ('OldReset', 'Drifting', 'Spoken'):
        overrides = (own[0], own[1] % f'tests.unit.foreign:{name}-v0')
        options = TrainOptions(task='cartpole', out=tmp_path / 'run', overrides=overrides)
        with pytest.raises(NrlError, match=f'foreign:{name}-v0'):
            make_plan(options, fail)
        assert not (tmp_path / 'run').exists()


def test_a_close_that_raises_is_a_warning(tmp_path):
    told = []
    own = 'environment.bridge.options={id: "tests.unit.foreign:BadClose-v0"}'
    make_plan(TrainOptions(task='cartpole', out=tmp_path / 'run', overrides=(own,)), told.append)
    assert ['close failed' in text for text in told] == [True]


def test_the_first_and_the_last_episodes_are_told():
    progress = Progress()
    for number in range(30):
        progress.add_episodes(number, [float(number)] * 10, [1] * 10)
    assert progress.first_mean_return == 4.5
    assert progress.mean_return == 24.5
