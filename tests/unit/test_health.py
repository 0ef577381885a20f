"""Plasticity health: what is measured of a learner, and what is said to change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nrl_ros.cli.config import find_config, resolve
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning.health.measures import MEASURES, markdown_table
from nrl_ros.learning.health.monitor import HealthMonitor
from nrl_ros.learning.rpe_tally import RpeTally
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
    assert runs[0].learner.updates > 0
    assert same(*weights)
