"""Runs from Python: trained in this process, loaded, called on observations, read as arrays."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nrl_ros
from nrl_ros.api import TrainedRun
from nrl_ros.base.errors import BridgeError, NrlError
from nrl_ros.base.settings import changed
from nrl_ros.cli.evaluate import evaluate_snapshot
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.plan import make_plan
from nrl_ros.environments.registry import make_bridge
from nrl_ros.experiments.policy import CallablePolicy
from nrl_ros.learning.neuromodulator import Neuromodulator
from nrl_ros.storage.checkpoint import read_checkpoint

SMALL = {'learner.network.hidden_sizes': [8], 'learner.plasticity.samples': 1}
TASK = """
    import gymnasium
    import numpy as np
    from gymnasium.spaces import Box, Dict, Discrete

    class Odd(gymnasium.Env):
        'Two parts are seen, choices are 5, 6 and 7, and after 300 steps something happens.'
        observation_space = Dict({'place': Discrete(4), 'speed': Box(-1.0, 1.0, (2,))})
        action_space = Discrete(3, start=5)
        steps = 0

        def __init__(self, end=''):
            self.end = end

        def see(self):
            return {'place': self.at % 4, 'speed': np.zeros(2, np.float32)}

        def reset(self, *, seed=None, options=None):
            self.at = 0
            return self.see(), {}

        def step(self, action):
            assert action in (5, 6, 7), action
            self.at += 1
            Odd.steps += 1
            if self.end and Odd.steps > 900:
                kind = KeyboardInterrupt if self.end == 'hand' else RuntimeError
                raise kind('after 900 steps')
            return self.see(), float(action == 6) + 0.01 * self.at, self.at > 9, False, {}
"""


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A short training of CartPole."""
    out = tmp_path_factory.mktemp('runs') / 'one'
    return nrl_ros.train(
        'cartpole', steps=4000, seed=3, instances=8, settings=SMALL, out=out, say=None
    )


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A task in a file, in the folder that one stands in."""
    (tmp_path / 'odd.py').write_text(textwrap.dedent(TASK))
    monkeypatch.chdir(tmp_path)
    return './odd.py:Odd'


def python(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(code)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_to_import_the_package_imports_nothing_else_and_to_train_no_ros(tmp_path: Path) -> None:
    code = """
        import sys
        import nrl_ros
        print(sorted({'numpy', 'pydantic', 'typer', 'rclpy'} & set(sys.modules)))
        run = nrl_ros.train('cartpole', steps=500, settings={'environment': {'seed': 5}}, say=None)
        print(run.settings.environment.seed, 'rclpy' in sys.modules)
    """
    assert python(code, tmp_path).split('\n')[:2] == ['[]', '5 False']


def test_a_run_is_a_folder_with_figures_as_arrays(run: TrainedRun) -> None:
    metrics = run.metrics
    assert metrics['return'].dtype == np.float64 and metrics['total_steps'].dtype == np.int64
    assert (np.diff(metrics['total_steps']) >= 0).all() and metrics['total_steps'][-1] <= 4000
    # A step of CartPole pays 1.
    assert (metrics['return'] == metrics['length']).all() and set(metrics['ending']) <= {
        'terminated',
        'truncated',
    }
    assert len(metrics['return']) == run.summary['episodes'] and run.summary['ended'] == 'finished'
    assert run.summary['steps'] == 4000 and run.summary['seed'] == 3


def test_a_run_keeps_its_best_checkpoint_and_its_critic(tmp_path: Path) -> None:
    critic = {'neuromodulator.rpe.baseline': 'critic', 'environment.reward.delivery': 'every_step'}
    out = tmp_path / 'run'
    made = nrl_ros.train(
        'cartpole', steps=12_000, instances=8, settings=SMALL | critic, out=out, say=None
    )
    best = nrl_ros.load(out, best=True)
    assert best.checkpoint.name == 'best.nrl' and made.summary['best_window']['episodes'] == 100
    assert best.policy(np.zeros(4)) in (0, 1)
    assert not (out / 'checkpoints' / 'candidate.nrl').exists()
    # The neuromodulator of a run that is resumed looks for it there.
    neuromodulator = made.settings.neuromodulator
    values = Neuromodulator(neuromodulator.rpe, critic=neuromodulator.critic).critic
    assert values is not None
    values.restore(read_checkpoint(out / 'checkpoints' / 'critic.nrl', 'critic'))


def test_the_policy_acts_as_the_one_that_is_evaluated(run: TrainedRun) -> None:
    settings, snapshot = run.settings, read_checkpoint(run.checkpoint, 'learner')
    policy = CallablePolicy(settings.learner, snapshot)
    bridge = make_bridge('gymnasium', 1, {'id': 'CartPole-v1', 'vectorize': False})
    observation, total = bridge.reset(11), 0.0
    while True:
        result = bridge.step(policy(observation))
        observation, total = result.observation, total + float(result.reward[0])
        if result.terminated[0] or result.truncated[0]:
            break
    one = changed(settings.environment, {'bridge.options.vectorize': False})
    score = evaluate_snapshot(replace(settings, environment=one), snapshot, episodes=1, seed=11)
    assert score.mean == total


def test_a_loaded_policy_takes_one_observation_or_many_and_explores(run: TrainedRun) -> None:
    policy = nrl_ros.load(run.folder).policy
    seen = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    greedy = policy(seen)
    assert greedy.shape == (64,) and (greedy == policy(seen)).all()
    assert [policy(one) for one in seen[:8]] == greedy[:8].tolist()
    drawn = np.array([policy(seen, explore=True) for _ in range(8)])
    assert (drawn != drawn[0]).any()


def test_scores_are_greedy_or_exploring(run: TrainedRun) -> None:
    greedy, exploring = run.evaluate(4), run.evaluate(4, explore=True)
    assert (greedy.acting, exploring.acting) == ('greedy', 'exploring')
    assert greedy.episodes == 4 and run.evaluate(4).mean == greedy.mean


def test_the_command_resumes_what_python_has_trained(run: TrainedRun) -> None:
    plan = make_plan(TrainOptions(resume=run.folder, steps=9000), lambda _: None)
    with plan.start:  # which does not begin here, and leaves the run as it was
        assert plan.task == 'cartpole' and plan.resumed is not None


def test_observations_and_actions_have_the_form_of_the_task(odd: str) -> None:
    said: list[str] = []
    run = nrl_ros.train(odd, steps=800, instances=4, settings=SMALL, say=said.append)
    assert said[0].startswith('seen in')
    seen = {'place': 2, 'speed': np.zeros(2, np.float32)}
    assert run.policy(seen) in (5, 6, 7)
    assert set(run.policy([seen, seen], explore=True).tolist()) <= {5, 6, 7}
    with pytest.raises(NrlError, match='Odd: .*expected an observation of Dict'):
        run.policy({'place': 2})


@pytest.mark.parametrize('end', ['hand', 'fault'])
def test_what_was_learned_before_an_early_end_is_kept(odd: str, end: str) -> None:
    def train() -> TrainedRun:
        settings: dict[str, Any] = {**SMALL, 'environment.bridge.options.kwargs': {'end': end}}
        return nrl_ros.train(
            odd, steps=100_000, instances=4, settings=settings, out='run', say=None
        )

    if end == 'hand':
        assert train().summary['ended'] == 'interrupted'
    else:
        with pytest.raises(BridgeError, match='RuntimeError: after 900 steps'):
            train()
        assert 'after 900 steps' in nrl_ros.load('run').summary['reason']
    run = nrl_ros.load('run')
    assert 0 < run.summary['steps'] < 1000
    assert run.policy({'place': 0, 'speed': np.zeros(2, np.float32)}) in (5, 6, 7)


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ({'task': 'cartpol'}, "unknown task 'cartpol', did you mean 'cartpole'"),
        ({'settings': {'learner.plasticity.ruel': 1}}, "unknown parameter 'plasticity.ruel'"),
        ({'settings': {'lerner.seed': 1}}, "unknown node 'lerner', did you mean 'learner'"),
    ],
)
def test_what_is_wrong_is_told_and_leaves_no_folder(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    root = tmp_path / 'runs'
    with pytest.raises(NrlError, match=said):
        nrl_ros.train(**{'task': 'cartpole', 'root': root, 'say': None, **given})
    assert not root.exists()


def test_wrong_observations_and_folders_are_told(run: TrainedRun, tmp_path: Path) -> None:
    with pytest.raises(NrlError, match='CartPole-v1: .*expected an observation of Box'):
        run.policy([1.0, 2.0])
    with pytest.raises(NrlError, match='is not a run folder'):
        nrl_ros.load(tmp_path)
    policy = CallablePolicy(run.settings.learner, read_checkpoint(run.checkpoint, 'learner'))
    with pytest.raises(NrlError, match=r'expected an observation of shape \(4,\).*received \(3,\)'):
        policy([1.0, 2.0, 3.0])


def test_a_guarded_run_says_that_it_went_back_to_good_weights(tmp_path: Path) -> None:
    """A rate far too high: the returns fall, as over ROS 2 in test_equal_to_one_process."""
    said: list[str] = []
    run = nrl_ros.train(
        'cartpole',
        steps=16_000,
        instances=4,
        out=tmp_path / 'run',
        say=said.append,
        settings={
            'learner.seed': 3,
            'environment.seed': 5,
            'learner.network.hidden_sizes': [24],
            'learner.plasticity.learning_rate': 0.05,
            'learner.guard': {'enabled': True, 'episodes': 8, 'tolerated_fall': 0.2},
        },
    )
    assert [text for text in said if 'back to the last good weights' in text]
    assert run.summary['counters']['learner']['guard_restores'] > 0
