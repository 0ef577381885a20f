"""What was learned on a device moves an arm in real time, and leaves the house as a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nrl_ros
from nrl_ros.bundles.onnx_policy import OnnxPolicy
from nrl_ros.cli.arm import make_plan
from nrl_ros.cli.export import export
from nrl_ros.cli.options import ArmOptions
from nrl_ros.learning.learner import Learner
from nrl_ros.storage.checkpoint import read_checkpoint

SMALL = {'environment.bridge.instances': 8, 'learner.checkpoint.period_s': 0.0}


@pytest.fixture(scope='module', params=['adam', 'amsgrad'])
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> nrl_ros.TrainedRun:
    settings = {
        **SMALL,
        'learner.plasticity.optimiser': request.param,
        'learner.plasticity.averaging': 20,
        'learner.policy.learn_std': True,
    }
    return nrl_ros.train('planar', device='cpu', steps=1_500, settings=settings, say=None,
                         out=tmp_path_factory.mktemp('run') / 'a')  # fmt: skip


def test_one_arm_in_real_time_goes_on_with_what_a_device_has_learned(
    run: nrl_ros.TrainedRun, tmp_path: Path
) -> None:
    plan = make_plan(ArmOptions(load=run.folder, out=tmp_path / 'arm'))
    assert plan.robot == 'planar'
    # The learner of the arm takes it all: weights, their running mean, moments of the optimiser.
    learner = Learner(plan.settings.learner)
    saved = read_checkpoint(run.checkpoint, 'learner')
    learner.restore(saved)
    kept = learner.snapshot()
    for name in ('network', 'learning'):
        assert str(kept[name]) == str(saved[name])
    assert kept['learning']['updates'] > 10


def test_its_graph_gives_the_actions_of_the_learner(
    run: nrl_ros.TrainedRun, tmp_path: Path
) -> None:
    folder, difference = export(run.folder, tmp_path / 'policy', 'onnx', best=False)
    assert difference <= 1e-5
    played = OnnxPolicy(folder)
    rows = np.random.default_rng(0).standard_normal((50, played.manifest.observation.size))
    action, _ = played.act(rows.astype(np.float32), played.new_memory(50))
    np.testing.assert_allclose(action, run.policy(rows.astype(np.float32)), atol=1e-5)
    assert played.manifest.trained['steps'] >= 1_500
