"""Plasticity health: what is measured of a learner, and what is said to change."""

from __future__ import annotations

import csv
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import nrl_ros
from nrl_ros.base.health import MEASURES, NAMES, UNKNOWN, Health, markdown_table
from nrl_ros.cli import train_here
from nrl_ros.cli.arm_task import from_nothing
from nrl_ros.cli.config import find_config, read_config, resolve, resolve_nodes
from nrl_ros.cli.doctor_run import run_lines
from nrl_ros.cli.runs import open_run
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning.health import probe
from nrl_ros.learning.health.monitor import HealthMonitor
from nrl_ros.learning.rpe_tally import RpeTally
from nrl_ros.monitor.health_history import HealthHistory
from tests.unit.fakes import same

PAGE = Path(__file__).resolve().parents[2] / 'docs/it_does_not_learn.md'


def run_of(task: str, *settings: str) -> InProcessRun:
    return InProcessRun(resolve(find_config(task), settings))


def test_the_page_has_the_table_of_the_code() -> None:
    assert markdown_table() in PAGE.read_text('utf-8')


def test_every_limit_has_a_sentence_and_every_sentence_a_limit() -> None:
    for measure in MEASURES:
        assert np.isfinite(measure.low) == bool(measure.below), measure.name
        assert np.isfinite(measure.high) == bool(measure.above), measure.name


@pytest.mark.parametrize('kind', [np.float64, np.float32])
def test_the_sums_over_errors_are_those_of_numpy(kind: type) -> None:
    rpe = np.array([0.5, -2.0, 0.0, 1e-12, 3.0, 99.0], kind)
    tally = RpeTally()
    tally.add(rpe, 5)
    tally.add(rpe[:1], 1)
    used = np.array([*rpe[:5], 0.5], np.float64)
    sums = (tally.total, tally.absolute, tally.squares)
    assert sums == pytest.approx((used.sum(), np.abs(used).sum(), np.square(used).sum()))
    assert tally.silent == 2


CASES = {
    'fused': ('cartpole', 'environment.bridge.instances=4'),
    'critic and carried traces': ('acrobot', 'environment.bridge.instances=4'),
    'real actions': ('planar', 'environment.bridge.instances=4'),
    'factored': ('reaching', 'environment.bridge.instances=4', 'learner.plasticity.trace=factored'),
    'spiking': ('cartpole', 'environment.bridge.instances=4', 'learner.network.neuron=spiking'),
    'torch with a memory': (
        'cartpole',
        'environment.bridge.instances=4',
        'learner.network.kind=torch',
        'learner.network.factory=recurrent',
    ),
    'traces of every weight': (
        'cartpole',
        'environment.bridge.instances=4',
        'learner.plasticity.rule=weight_perturbation',
    ),
    'backpropagation': (
        'cartpole',
        'environment.bridge.instances=4',
        'learner.plasticity.rule=backpropagation',
    ),
    'normalised': (
        'acrobot',
        'environment.bridge.instances=4',
        'learner.network.normalise_observations=true',
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_measuring_changes_nothing(case: str) -> None:
    runs = [run_of(*CASES[case]) for _ in range(2)]
    monitor, weights = HealthMonitor(runs[0].learner), []
    for run in runs:
        for step, _ in enumerate(run.steps()):
            if run is runs[0] and step % 7 == 0:
                monitor.look()
            if step == 300:
                break
        weights.append(run.learner.weights)
        run.close()
    assert monitor.fault == ''
    assert runs[0].learner.updates > 0
    assert same(*weights)


class Unscaled(gymnasium.ObservationWrapper):
    """CartPole in thousandths of its units, and with a pole in degrees."""

    def __init__(self, **options):
        super().__init__(gymnasium.make('CartPole-v1', **options))
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float32)

    def observation(self, observation):
        return (1000.0 * observation).astype(np.float32)


class Endless(gymnasium.Wrapper):
    """CartPole that goes on after the pole has fallen."""

    def __init__(self, **options):
        super().__init__(gymnasium.make('CartPole-v1', **options).unwrapped)

    def step(self, action):
        observation, reward, _, _, info = self.env.step(action)
        return np.clip(observation, -5.0, 5.0), reward, False, False, info


@pytest.fixture(scope='module', autouse=True)
def own_tasks():
    for kind in (Unscaled, Endless):
        gymnasium.register(f'{kind.__name__}-v0', entry_point=kind)
    yield
    for kind in (Unscaled, Endless):
        del gymnasium.registry[f'{kind.__name__}-v0']


def said(task: str, *settings: str, ticks: int, every: int = 25) -> list[str]:
    """Return the sentence about the likeliest cause, '' if all was well, at each look of a run."""
    instances = 4 if task == 'planar' else 16
    run = run_of(task, f'environment.bridge.instances={instances}', *settings)
    monitor, found = HealthMonitor(run.learner), []
    for tick, _ in enumerate(run.steps()):
        if tick % every == 0:
            found.append(monitor.look().first_hint)
        if tick == ticks:
            break
    run.close()
    return found


PROVOKED = {
    'noise too small': ('impact_over_rounding', 'cartpole', 'learner.noise.sigma=1e-9'),
    'noise too large': ('impact_signal_to_noise', 'cartpole', 'learner.noise.sigma=3.0'),
    'noise too large, real actions': (
        'impact_signal_to_noise', 'planar', 'learner.noise.sigma=2.0',
    ),
    'rate too large': ('weight_drift', 'cartpole', 'learner.plasticity.learning_rate=0.1'),
    'rate too small': ('weight_change', 'acrobot', 'learner.plasticity.learning_rate=1e-8'),
    'baseline missing': ('rpe_bias', 'cartpole', 'neuromodulator.rpe.baseline=none'),
    'reward constant': ('silent_rpe_share', 'cartpole', 'environment.reward.delivery=every_step'),
    'observation unscaled': (
        'observation_size', 'cartpole', 'environment.bridge.options={id: Unscaled-v0}',
    ),
    'no episode ends': (
        'trace_age', 'cartpole', 'environment.bridge.options={id: Endless-v0}',
        'environment.bridge.instances=1',
    ),
}  # fmt: skip


# Steps after which it has been said.
TICKS = {'trace_age': 22_000, 'impact_signal_to_noise': 500}


@pytest.mark.parametrize('case', PROVOKED)
def test_what_is_wrong_is_said_first(case: str) -> None:
    name, *given = PROVOKED[case]
    [measure] = [one for one in MEASURES if one.name == name]
    found = set(said(*given, ticks=TICKS.get(name, 2500))) - {''}
    assert len(found) == 1
    assert found <= {measure.below, measure.above}


@pytest.mark.parametrize('seed', [1, 2])
@pytest.mark.parametrize('task', ['cartpole', 'acrobot', 'reaching', 'planar'])
def test_a_healthy_run_raises_no_alarm(task: str, seed: int) -> None:
    seeds = (f'learner.seed={seed}', f'environment.seed={seed}')
    assert not any(said(task, *seeds, ticks=500 if task == 'planar' else 2500))


@pytest.mark.parametrize(
    'given',
    [
        ('learner.plasticity.rule=antithetic',),
        ('learner.plasticity.rule=noisy_nrl',),
        ('learner.plasticity.rule=weight_perturbation',),
        ('learner.network.neuron=spiking', 'learner.noise.sigma=0.3'),
    ],
    ids=str,
)
def test_other_rules_and_neurons_raise_no_alarm_either(given: tuple[str, ...]) -> None:
    assert not any(said('cartpole', *given, ticks=1200))


def test_an_arm_that_learns_from_nothing_raises_no_alarm() -> None:
    """One instance, 64 samples, and averaged weights."""
    nodes = from_nothing(read_config(find_config('planar')))
    run = InProcessRun(resolve_nodes(nodes, ('environment.bridge.instances=1',), source='planar'))
    monitor, steps = HealthMonitor(run.learner), run.steps()
    found = []
    for _ in range(25):
        for _ in range(13):
            next(steps)
        found.append(monitor.look().first_hint)
    run.close()
    assert not any(found) and monitor.fault == ''


def test_weights_that_are_no_numbers_end_nothing() -> None:
    """A policy that has diverged is when health is looked at."""
    for task in ('cartpole', 'planar'):
        for value in (np.nan, np.inf, 1e30):
            run = run_of(task, 'environment.bridge.instances=4')
            next(run.steps())
            monitor = HealthMonitor(run.learner)
            policy = run.learner.roster.policy
            assert policy is not None
            for weight in policy.network.weights:
                weight[...] = value
            monitor.look()
            assert monitor.fault == ''
            run.close()


def test_a_network_that_cannot_be_probed_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of('cartpole', 'environment.bridge.instances=4')
    next(run.steps())

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError('expected 4 rows')

    monkeypatch.setattr(probe, 'make_passes', refuse)
    monitor = HealthMonitor(run.learner)
    assert monitor.look() is monitor.look() is UNKNOWN
    assert 'expected 4 rows' in monitor.fault
    run.close()


def test_what_has_passed_is_told_after_what_holds() -> None:
    history = HealthHistory()
    wrong = Health({**UNKNOWN.values, 'rpe_bias': 0.9}, {'rpe_bias': 'mend the baseline'})
    history.hear(100, wrong)
    history.hear(200, wrong)
    late = {'weight_drift': 'lower the rate', 'policy_entropy': 'lower the rate'}
    history.hear(300, Health({**UNKNOWN.values, 'weight_drift': 9.0}, late))
    assert history.sentences() == [
        'lower the rate (weight_drift 9, from step 300 to its end)',
        'mend the baseline (rpe_bias 0.9, from step 100 to step 200)',
    ]
    assert history.summary()['values']['weight_drift'] == 9.0


def test_a_run_keeps_its_health_and_the_doctor_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_here, '_ROW_S', 0.0)
    said_here: list[str] = []
    run = nrl_ros.train(
        'cartpole',
        steps=2000,
        instances=4,
        settings={'learner.noise.sigma': 1e-9},
        out=tmp_path / 'run',
        say=said_here.append,
    )
    assert set(run.summary['health']['values']) == set(NAMES)
    with (run.folder / 'progress.csv').open() as file:
        [*_, row] = csv.DictReader(file)
    [small] = [one for one in MEASURES if one.name == 'impact_over_rounding']
    assert float(row['health_impact_over_rounding']) < small.low
    page = '\n'.join(run_lines(open_run(run.folder)))
    assert '! impact_over_rounding' in page
    # A run that was killed has no summary, but rows of progress.
    (run.folder / 'summary.json').unlink()
    assert small.below in '\n'.join(run_lines(open_run(run.folder)))
