"""The search of settings: its rounds, its bounds, and how sure it says that it is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from nrl_ros.base.config_files import find_config
from nrl_ros.base.errors import ConfigError
from nrl_ros.cli import tune
from nrl_ros.cli.options import TrainOptions, TuneOptions
from nrl_ros.cli.plan import check_options
from nrl_ros.cli.runs import RunError
from nrl_ros.experiments.candidates import BASELINES, OWN, PASSES, Candidate
from nrl_ros.experiments.driver import State, drive
from nrl_ros.experiments.engine import Outcome
from nrl_ros.experiments.store import Store
from nrl_ros.experiments.tune_result import TuneResult
from nrl_ros.experiments.tuning import FIRST_FINAL_SEED, SEARCH_SEEDS, TuneSettings, Tuning
from nrl_ros.settings.run import read_config

BOUNDS = TuneSettings(trials=16, steps=4000, search_steps=1000, seeds=3)
OWN_RATE = 0.0005


class ByHand:
    """An engine whose returns are highest at a rate, with a little chance of each seed."""

    workers = 2

    def __init__(self, best: float, most: int = 10**6) -> None:
        self.best, self.most = best, most
        self.jobs: list[dict[str, Any]] = []
        self._open: list[tuple[str, dict[str, Any]]] = []

    def submit(self, key: str, job: dict[str, Any]) -> None:
        if len(self.jobs) >= self.most:
            raise KeyboardInterrupt
        self.jobs.append(job)
        self._open.append((key, job))

    def wait(self, timeout_s: float) -> list[Outcome]:
        key, job = self._open.pop(0)
        learner = job['settings']['learner']
        away = math.log10(learner['plasticity.learning_rate'] / self.best)
        chance = np.random.default_rng(learner['seed']).normal(0.0, 1.0)
        value = 100.0 - 50.0 * away**2 + chance
        returns = np.full(10, value, np.float32)
        record = {'returns': returns, 'final': value, 'seconds': 1.0, 'diverged_at_step': -1}
        return [Outcome(key, record | job)]

    def close(self) -> None:
        """Nothing is open."""


class Nobody:
    def update(self, state: State) -> None:
        """Nobody looks."""


def tuning_of(folder: Path, bounds: TuneSettings = BOUNDS) -> Tuning:
    return Tuning('cartpole', read_config(find_config('cartpole')), bounds, Store(folder))


def test_the_search_finds_a_rate_that_is_better_and_says_how_sure_it_is(tmp_path: Path) -> None:
    tuning, engine = tuning_of(tmp_path), ByHand(10.0 * OWN_RATE)
    drive(tuning, engine, Nobody())
    result = tuning.result()
    assert result.is_better
    assert 3.0 * OWN_RATE < result.chosen.rate < 30.0 * OWN_RATE
    assert len(result.winner_seeds) == len(result.own_seeds) == 3
    assert 'better than the default: +' in result.verdict()
    assert '3 fresh seeds of each' in result.verdict()
    # 8 everywhere, 4 around the best, 2 of all on two more seeds, and the final runs.
    assert len(engine.jobs) == 8 + 4 + 4 + 6
    seeds = [job['settings']['learner']['seed'] for job in engine.jobs]
    assert set(seeds[-6:]) == set(range(FIRST_FINAL_SEED, FIRST_FINAL_SEED + 3))
    assert not set(seeds[:-6]) - set(SEARCH_SEEDS)
    steps = [job['settings']['environment']['stop.steps'] for job in engine.jobs]
    assert steps == [1000] * 16 + [4000] * 6


def test_it_says_so_where_nothing_is_better_than_the_default(tmp_path: Path) -> None:
    tuning = tuning_of(tmp_path)
    drive(tuning, ByHand(OWN_RATE), Nobody())
    result = tuning.result()
    assert not result.is_better
    assert result.chosen == tuning.own
    assert 'no better than the default' in result.verdict()


def test_a_search_that_was_stopped_continues_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, half = tuning_of(tmp_path / 'whole'), tuning_of(tmp_path / 'half')
    engine = ByHand(10.0 * OWN_RATE)
    drive(whole, engine, Nobody())
    first = ByHand(10.0 * OWN_RATE, most=11)
    with pytest.raises(KeyboardInterrupt):
        drive(half, first, Nobody())
    again, second = tuning_of(tmp_path / 'half'), ByHand(10.0 * OWN_RATE)
    assert again.done > 8
    drive(again, second, Nobody())
    assert len(second.jobs) < len(engine.jobs)
    assert again.result() == whole.result()


def test_what_is_drawn_stays_within_the_space_and_passes_the_checks(tmp_path: Path) -> None:
    tuning = tuning_of(tmp_path, TuneSettings(200, 4000, 1000, 3))
    found = [one.candidate for one in tuning.tried()]
    assert len(found) == 100
    assert found[0] == tuning.own
    for one in found[1:]:
        assert OWN_RATE / 10.01 < one.rate < OWN_RATE * 10.01
        assert one.samples in PASSES
        assert one.baseline in (OWN, 'critic')
    assert {one.baseline for one in found} == {OWN, 'critic'}
    assert {one.samples for one in found} == set(PASSES)


def test_a_baseline_comes_with_the_settings_that_belong_to_it(tmp_path: Path) -> None:
    tuning = tuning_of(tmp_path)
    chosen = tuning.nodes(Candidate(0.001, 0.001, 8, 'critic'))
    assert chosen['neuromodulator']['rpe.baseline'] == 'critic'
    assert chosen['environment']['reward.delivery'] == 'every_step'
    assert chosen['learner']['plasticity.trace_reset'] is False
    assert set(BASELINES) == {'critic', 'running_average'}


def test_no_trial_begins_after_its_time_and_the_final_runs_have_theirs(tmp_path: Path) -> None:
    now = 0.0
    tuning = tuning_of(tmp_path)
    deadline = tune.Deadline(tuning, 1.0, lambda: 2, lambda: now)

    class Looking:
        def update(self, state: State) -> None:
            nonlocal now
            now += 1.0
            deadline.look()

    drive(tuning, ByHand(10.0 * OWN_RATE), Looking())
    assert not tuning.search_is_over
    # A trial of the search takes a second, so that the six final ones take twelve.
    assert tuning.final_seconds(2) == pytest.approx(6 * 4.0 / 2, rel=0.8)
    other = tuning_of(tmp_path / 'other')
    now = 0.0
    deadline = tune.Deadline(other, 0.3, lambda: 2, lambda: now)
    engine = ByHand(10.0 * OWN_RATE)
    drive(other, engine, Looking())
    assert other.search_is_over
    finals = [job for job in engine.jobs if 'final' in job['label']]
    assert len(finals) == 6
    assert 0 < len(engine.jobs) - len(finals) < 16
    assert now <= 0.3 * 60.0 + 2.0


def test_too_few_final_seeds_say_nothing() -> None:
    own, other = Candidate(1e-3, 1e-3, 1), Candidate(2e-3, 1e-3, 1)
    result = TuneResult(own, other, (1.0,), (100.0,), ())
    assert 'not known' in result.verdict()
    assert result.chosen == own
    alone = TuneResult(own, own, (1.0, 2.0), (1.0, 2.0), ())
    assert 'nothing else was run' in alone.verdict()


def test_the_command_writes_a_file_that_nrl_train_takes(tmp_path: Path) -> None:
    out = tmp_path / 'tuned.yaml'
    options = TuneOptions(
        task='cartpole', trials=8, steps=600, search_steps=300, seeds=2, instances=4, workers=1,
        out=out, root=tmp_path / 'tune', plain=True,
    )  # fmt: skip
    console = Console(record=True, width=200)
    assert tune.run(options, console, lambda _: None) == 0
    said = console.export_text()
    assert 'than the default' in said
    assert f'nrl train cartpole --config {out}' in said
    text = out.read_text()
    assert 'by nrl tune' in text
    assert 'than the default' in text
    check_options(TrainOptions(task='cartpole', config=out))
    assert (tmp_path / 'tune/cartpole/tune.json').is_file()
    # The same command finds everything done.
    assert tune.run(options, Console(record=True, width=200), lambda _: None) == 0


def test_a_file_of_another_environment_is_refused(tmp_path: Path) -> None:
    file = tmp_path / 'tuned.yaml'
    file.write_text(
        '/**/environment:\n  ros__parameters:\n    bridge:\n      name: gymnasium\n'
        '      options: {id: CartPole-v1}\n'
    )
    check_options(TrainOptions(task='gymnasium:CartPole-v1', config=file))
    with pytest.raises(ConfigError, match='expected one environment'):
        check_options(TrainOptions(task='gymnasium:Acrobot-v1', config=file))


@pytest.mark.parametrize(
    ('out', 'said'), [('folder', 'is a folder'), ('taken/tuned.yaml', 'taken')]
)
def test_a_file_that_cannot_be_written_is_told_before_any_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, said: str
) -> None:
    """A search may take hours."""
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'taken').touch()
    monkeypatch.setattr(tune, '_run', lambda *_: pytest.fail('a trial has begun'))
    options = TuneOptions(task='cartpole', root=tmp_path / 'root', out=tmp_path / out)
    with pytest.raises((OSError, RunError), match=said):
        tune.run(options, Console(), lambda _: None)


def test_a_task_without_an_end_needs_steps(tmp_path: Path) -> None:
    options = TuneOptions(task='cartpole', overrides=('environment.stop.steps=0',), root=tmp_path)
    with pytest.raises(ConfigError, match='--steps'):
        tune.run(options, Console(), lambda _: None)
