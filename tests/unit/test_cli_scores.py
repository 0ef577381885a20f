"""Scores say what they are: greedy or exploring, untrained only of what has not learned."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from nrl_ros.cli import config, train
from nrl_ros.cli.config import RunSettings
from nrl_ros.cli.evaluate import Acting, evaluate_snapshot, score_of
from nrl_ros.cli.main import app
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.plan import make_plan
from nrl_ros.cli.plot import mean_of
from nrl_ros.cli.scores import TRAINED, Scores, is_worse, needs_its_noise, report_scores, score_both
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.storage.checkpoint import write_checkpoint


def settings_of(*overrides: str) -> RunSettings:
    return config.resolve(
        config.find_config('cartpole'), ['environment.bridge.instances=4', *overrides]
    )


def fail(text: str) -> None:
    raise AssertionError(text)


def learned(settings: RunSettings, steps: int = 400) -> dict[str, Any]:
    """Snapshot of a learner after so many steps."""
    run = InProcessRun(settings)
    for _ in run.steps():
        if run.episodes.total_steps >= steps:
            return run.learner.snapshot()
    raise AssertionError('the cycle has no end')


def scores(greedy: list[float], exploring: list[float]) -> Scores:
    return Scores(
        TRAINED, score_of(np.array(greedy)), score_of(np.array(exploring), acting='exploring')
    )


def test_exploring_draws_actions_and_greedy_does_not() -> None:
    # A policy that leans to one side takes that side alone greedily, and falls soon.
    settings = settings_of()
    snapshot = learned(settings)

    def mean(acting: Acting) -> float:
        return evaluate_snapshot(settings, snapshot, episodes=40, seed=3, acting=acting).mean

    assert mean('greedy') == mean('greedy')
    assert mean('exploring') == mean('exploring')
    assert mean('exploring') != mean('greedy')


def test_an_exploring_evaluation_acts_as_the_training_does_and_learns_nothing() -> None:
    """With a learning rate of 0 the training's returns are those of the evaluation, but chance."""
    settings = settings_of('learner.plasticity.learning_rate=0', 'learner.noise.sigma=0.5')
    run, returns = InProcessRun(settings), []
    for ends in run.steps():
        returns += [] if ends is None else ends.episode_return.tolist()
        if len(returns) >= 400:
            break
    score = evaluate_snapshot(
        settings, run.learner.snapshot(), episodes=400, seed=1, acting='exploring'
    )
    error = np.hypot(np.std(returns), score.std) / 20.0
    assert abs(np.mean(returns) - score.mean) < 4.0 * error


def test_both_scores_are_told_and_kept(tmp_path: Path) -> None:
    settings = settings_of()
    path = tmp_path / 'learner_00000001.nrl'
    write_checkpoint(path, 'learner', learned(settings))
    both = score_both(TRAINED, settings, path, episodes=6, say=fail)
    data = both.data()
    assert data['acting'] == 'greedy'
    assert data['exploring']['acting'] == 'exploring'
    assert mean_of(data, 'greedy') == both.greedy.mean
    assert mean_of(data, 'exploring') == both.exploring.mean
    shown = io.StringIO()
    report_scores([both], Console(file=shown, width=200))
    assert f'greedy {both.greedy}, exploring {both.exploring}' in shown.getvalue()
    assert 'greedy: most probable action, no noise' in shown.getvalue()


def test_a_summary_of_before_has_no_exploring_score() -> None:
    assert np.isnan(mean_of({'mean': 4.0}, 'exploring'))


def test_a_difference_counts_where_chance_does_not_explain_it() -> None:
    low, high = score_of(np.arange(50.0)), score_of(np.arange(50.0) + 10.0)
    assert is_worse(low, high)
    assert not is_worse(high, low)
    assert not is_worse(low, replace(high, episodes=5))


def test_a_policy_that_depends_on_its_noise_is_told_of() -> None:
    assert 'needs its noise' in needs_its_noise(scores([1.0, 2.0, 3.0] * 9, [7.0, 8.0, 9.0] * 9))
    assert not needs_its_noise(scores([7.0, 8.0, 9.0] * 9, [1.0, 2.0, 3.0] * 9))


@pytest.mark.parametrize('start', ['untrained', 'start'])
def test_a_run_from_a_checkpoint_does_not_start_untrained(tmp_path: Path, start: str) -> None:
    checkpoint = tmp_path / 'learner_00000001.nrl'
    write_checkpoint(checkpoint, 'learner', learned(settings_of()))
    load = (f'learner.checkpoint.load={checkpoint}',) if start == 'start' else ()
    options = TrainOptions(
        task='cartpole', instances=4, episodes=4, out=tmp_path / 'run', overrides=load
    )
    plan = make_plan(options, fail)
    first = train._first_scores(plan, options, Console(file=io.StringIO()))
    assert first is not None
    assert first.policy == start


def test_the_command_says_which_kind_of_episodes_it_measured(tmp_path: Path) -> None:
    settings = settings_of()
    plan = make_plan(TrainOptions(task='cartpole', instances=4, out=tmp_path / 'run'), fail)
    with plan.start as start:
        start.begin()
    run = plan.run
    write_checkpoint(run.checkpoints / 'learner_00000001.nrl', 'learner', learned(settings))
    for option, said in (((), '6 greedy episodes'), (('--explore',), '6 exploring episodes')):
        result = CliRunner().invoke(app, ['eval', str(run.folder), '--episodes', '6', *option])
        assert result.exit_code == 0, result.output
        assert said in result.output
