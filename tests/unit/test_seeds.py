"""Several seeds: each run by itself, and what they come to together."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from nrl_ros.base.errors import ConfigError
from nrl_ros.cli import seeds
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.runs import RunError, create_run
from nrl_ros.experiments.intervals import difference, interval, quantile

RATE = '/**/learner: {{ros__parameters: {{seed: {seed}, plasticity: {{learning_rate: {rate}}}}}}}\n'


@pytest.mark.parametrize(
    ('freedom', 't'), [(1, 12.706), (4, 2.776), (10, 2.228), (11, 2.201), (20, 2.086), (120, 1.980)]
)
def test_quantiles_are_those_of_the_tables(freedom: int, t: float) -> None:
    assert quantile(freedom) == pytest.approx(t, abs=0.001)


def test_the_interval_holds_the_mean_in_nineteen_of_twenty_cases() -> None:
    generator = np.random.default_rng(0)
    found = [interval(list(generator.normal(3.0, 2.0, size=5))) for _ in range(2000)]
    assert np.mean([one.low < 3.0 < one.high for one in found]) == pytest.approx(0.95, abs=0.015)


def test_two_equal_settings_are_told_apart_in_one_of_twenty_cases() -> None:
    generator = np.random.default_rng(1)
    pairs = [(generator.normal(0, 1, 5), generator.normal(0, 4, 8)) for _ in range(2000)]
    found = [difference(list(a), list(b)) for a, b in pairs]
    assert np.mean([one.told_apart for one in found]) == pytest.approx(0.05, abs=0.015)


def test_one_seed_has_a_mean_and_no_interval() -> None:
    assert interval([2.0]).mean == 2.0
    assert math.isnan(interval([2.0]).low) and not interval([2.0]).told_apart
    assert math.isnan(difference([1.0], [2.0, 3.0]).low)
    assert math.isnan(interval([]).mean)


def write_run(folder: Path, rate: float, seed: int, score: float | None, task: str = 'toy') -> None:
    run = create_run(folder.parent, task, seed, folder=folder)
    run.config.write_text(RATE.format(seed=seed, rate=rate), encoding='utf-8')
    trained = None if score is None else {'mean': score, 'exploring': {'mean': score - 5.0}}
    run.write_summary({'task': task, 'trained': trained})


class Training:
    """Stands for ``train``: scores 10 times the seed, and fails at some seed."""

    def __init__(self, fails_at: int = -1) -> None:
        self.fails_at = fails_at
        self.options: list[TrainOptions] = []

    def __call__(self, options: TrainOptions, console: Console) -> int:
        self.options.append(options)
        assert options.out is not None and options.seed is not None
        write_run(options.out, 0.1, options.seed, 10.0 * options.seed)
        return 1 if options.seed == self.fails_at else 0


def told(options: TrainOptions, training: Training) -> tuple[int, str]:
    output = io.StringIO()
    code = seeds.train_seeds(options, Console(file=output, width=200), training)
    return code, output.getvalue()


def test_each_seed_is_a_run_of_its_own_and_they_are_summed_up(tmp_path: Path) -> None:
    training = Training()
    code, said = told(TrainOptions(task='toy', seeds=3, seed=1, out=tmp_path / 'all'), training)
    assert code == 0
    assert [(one.seed, one.seeds, one.out) for one in training.options] == [
        (seed, 1, tmp_path / f'all/s{seed}') for seed in (1, 2, 3)
    ]
    assert 'toy: 3 seeds' in said
    assert 'greedy    mean 20.0, 95 % interval -4.8 to 44.8, worst 10.0, best 30.0' in said
    assert 'exploring mean 15.0' in said


def test_a_run_that_fails_ends_the_series_and_the_others_are_reported(tmp_path: Path) -> None:
    code, said = told(TrainOptions(task='toy', seeds=5, out=tmp_path / 'all'), Training(fails_at=2))
    assert code == 1
    assert 'toy: 2 seeds' in said


def test_settings_that_were_chosen_for_the_first_seed_are_those_of_the_others(
    tmp_path: Path,
) -> None:
    """Otherwise other random steps might choose otherwise, and no two runs could be compared."""
    training = Training()
    told(TrainOptions(task='gymnasium:Toy-v0', seeds=2, out=tmp_path / 'all'), training)
    first, second = training.options
    assert (first.task, first.config) == ('gymnasium:Toy-v0', None)
    assert (second.task, second.config) == ('toy', (tmp_path / 'all/s0/config.yaml').resolve())


def test_a_run_that_is_resumed_has_one_seed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='--seeds cannot be given with --resume'):
        told(TrainOptions(resume=tmp_path, seeds=2), Training())


def test_settings_are_compared_by_the_interval_of_their_difference(tmp_path: Path) -> None:
    for rate, scores in ((0.1, (1.0, 2.0, 3.0)), (0.2, (11.0, 12.0, None)), (0.3, (0.0, 9.0, 4.0))):
        for seed, score in enumerate(scores):
            write_run(tmp_path / f'{rate}/s{seed}', rate, seed, score)
    runs = [run for rate in (0.1, 0.2, 0.3) for run in seeds.find_runs(tmp_path / f'{rate}')]
    lines: list[str] = []
    seeds.report(runs, lines.append)
    assert 'toy, learning_rate 0.2: 3 seeds, 1 of them without a score' in lines
    compared = [line for line in lines if ' against learning_rate 0.1, greedy' in line]
    assert '+9.5' in compared[0] and compared[0].endswith(': higher')
    assert compared[1].endswith('not told apart by so many seeds')


def test_runs_of_two_tasks_are_not_compared(tmp_path: Path) -> None:
    for task in ('a', 'b'):
        write_run(tmp_path / task, 0.1, 0, 1.0, task)
    with pytest.raises(RunError, match='one task, received a, b'):
        seeds.report(seeds.find_runs(tmp_path), print)
