"""The whole loop on a device, in torch on the processor, against the loop of every other run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nrl_ros
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import ActionSpace, AgentInfo, Delivery, EnvSpec
from nrl_ros.base.torch_arrays import TorchArrays
from nrl_ros.environments.device import DeviceStep, make_on_device
from nrl_ros.experiments.in_process import InProcessRun
from nrl_ros.learning.baselines.running_average import RunningAverage
from nrl_ros.learning.credit import Creditable
from nrl_ros.learning.device.learning import DeviceLearning
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.networks.passes import make_passes
from nrl_ros.learning.neuromodulator import RpeSettings
from nrl_ros.learning.rules.eligibility import EligibilityRows
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.learning.traces import make_store
from nrl_ros.learning.update import LearningStep
from nrl_ros.storage.checkpoint import read_checkpoint
from sim_bridge.cartpole import CartPoleBridge, CartPoleOptions

B, STEPS = 5, 60


def arrays(dtype: torch.dtype = torch.float64) -> TorchArrays:
    return TorchArrays('cpu', dtype)


class Drift:
    """An environment of drawn observations, whose episodes end when they like."""

    def __init__(self, space: ActionSpace) -> None:
        self.spec = EnvSpec(B, 3, space, metrics=('steps_left',))
        self.counts: dict[str, Any] = {}
        self._chance = torch.zeros(B, 6, dtype=torch.float64)

    def begin(self, generator: torch.Generator) -> torch.Tensor:
        self.draw(generator)
        return self._chance[:, :3].float()

    def draw(self, generator: torch.Generator) -> None:
        self._chance.uniform_(-1.0, 1.0, generator=generator)

    def step(self, action: torch.Tensor, over: torch.Tensor) -> DeviceStep:
        live, chance = ~over, self._chance
        reward = live * (chance[:, 3] - (action.double() ** 2).mean(1))
        ended = live & (chance[:, 4] > 0.7)
        fallen = ended & (chance[:, 5] > 0.0)
        return DeviceStep(chance[:, :3].float(), reward, fallen, ended & ~fallen, chance[:, 5:])


def loop_of(settings: LearnerSettings, rpe: RpeSettings, environment: Any, delivery: Delivery,
            steps: int = 0) -> tuple[DeviceLearning, Learner, AgentInfo]:  # fmt: skip
    info = AgentInfo('a', 1, environment.spec, True, delivery, steps)
    learner = Learner(settings)
    learner.join(info)
    policy = learner.roster.policy
    assert policy is not None
    loop = DeviceLearning(
        settings, rpe, policy, environment, info, rows=STEPS, seed=0, arrays=arrays()
    )
    loop.begin()
    return loop, learner, info


def settings_of(**more: Any) -> LearnerSettings:
    network = {'hidden_sizes': (6, 4), 'bias': True, 'precision': 'float64'}
    plasticity = {'samples': 3, 'learning_rate': 0.05, **more.pop('plasticity', {})}
    return LearnerSettings.model_validate(
        {'network': network, 'noise': {'sigma': 0.01}, 'plasticity': plasticity, **more}
    )


class Plain:
    """The compiled parts of every other run, given the noise and the choices of a loop."""

    def __init__(self, learner: Learner, rpe: RpeSettings, loop: DeviceLearning) -> None:
        policy, rule = learner.roster.policy, learner.settings.make_rule()
        assert policy is not None
        self.network, self._head, self._loop, self._rpe = policy.network, policy.head, loop, rpe
        spec, samples = self.network.spec, rule.samples
        self._settings, self._samples = learner.settings, samples
        self._passes = make_passes(self.network, B, samples)
        self._rows = EligibilityRows(rule.norm_ends(spec))  # type: ignore[attr-defined]
        self._store = make_store(
            'dense', spec, instances=B, samples=samples,
            decay=learner.settings.plasticity.trace_decay, window_steps=9, dtype=np.float64,
        )  # fmt: skip
        self._averages, self._update = RunningAverage(B), LearningStep(learner.settings)
        self._window = np.zeros(B, np.uint32)

    def step(self, drawn: Any) -> None:
        loop, samples = self._loop, self._samples
        observation, over = loop.observation.numpy().copy(), loop.windows.over.numpy().copy()
        noise = loop.noise.numpy().reshape(samples * B, -1).copy()
        sigma = self._settings.noise.sigma * self._update.sigma_factor()
        z = self._passes.run(observation, noise.copy(), sigma).copy()
        choice = drawn(z[0])
        log = self._head.log_probability(z, choice)
        post = noise.reshape(samples, B, -1)
        self._rows.compare_over(post, np.ascontiguousarray(log), 1.0 / (sigma * samples))
        pre = self._passes.presynaptic().reshape(samples, B, -1)
        self._store.record(post, pre, np.flatnonzero(~over))

    def learn(self, closed: Any, value: Any) -> None:
        index = np.flatnonzero(closed.numpy())
        if not len(index):
            return
        self._averages.receive(index.astype(np.uint32), self._window[index], value.numpy()[index])
        self._window[index] += 1
        rpe = self._rpe
        self._averages.compare(rpe.rate, order=rpe.order, scale=rpe.scale)
        errors = self._averages.rpe[: len(index)].copy()
        credit = Creditable(index, errors, [], np.zeros(len(index), np.bool_))
        rate = self._settings.plasticity.learning_rate
        assert self._update.learn(self.network, self._store, credit, rate, head=self._head)


CASES: dict[str, tuple[Any, dict[str, Any], RpeSettings, Delivery, int]] = {
    'choices, at the end of episodes': (
        ActionSpace.multi_discrete((3, 2)),
        {'plasticity': {'learning_rate': 2e-3}},
        RpeSettings(scale='absolute_reward'),
        Delivery.EPISODE,
        0,
    ),
    'real actions, at every step, by Adam': (
        ActionSpace.continuous((-1.0, -2.0), (1.0, 2.0)),
        {
            'plasticity': {
                'optimiser': 'adam',
                'learning_rate_decay': 9.0,
                'rpe_clip': 0.4,
                'learning_rate': 0.01,
            },
            'policy': {'learn_std': True},
        },
        RpeSettings(rate=0.5, order='after'),
        Delivery.EVERY_STEP,
        0,
    ),
    'every third step, with decaying traces and noise': (
        ActionSpace.continuous((-1.0, -2.0), (1.0, 2.0)),
        {
            'plasticity': {
                'trace_decay': 0.8,
                'norm': 'layer',
                'averaging': 4,
                'learning_rate': 1e-3,
            },
            'noise': {'sigma': 0.02, 'sigma_decay': 20.0},
        },
        RpeSettings(),
        Delivery.EVERY_N_STEPS,
        3,
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_weights_are_those_of_the_learner_from_the_same_noise(case: str) -> None:
    space, more, rpe, delivery, steps = CASES[case]
    settings = settings_of(**more)
    loop, learner, _ = loop_of(settings, rpe, Drift(space), delivery, steps)
    plain, compared = Plain(learner, rpe, loop), loop.errors.compare
    told: list[Any] = []
    loop.errors.compare = lambda *given: told.append(given) or compared(*given)  # type: ignore[method-assign, func-returns-value]
    with torch.no_grad():
        for _ in range(STEPS):
            loop.draw()
            chance = loop.drawn
            plain.step(lambda z, u=chance: loop._head.choose(torch.from_numpy(z), u).numpy())
            loop.step()
            loop.update()
            plain.learn(*told.pop())
    assert int(loop.counts['updates']) == plain._update.updates > STEPS / 10
    expected = np.concatenate([weight.ravel() for weight in plain.network.weights])
    np.testing.assert_allclose(loop.weights.numpy(), expected, rtol=0, atol=1e-11)
    if loop.averaged is not None:
        assert plain.network.averaged is not None
        mean = np.concatenate([weight.ravel() for weight in plain.network.averaged.weights])
        np.testing.assert_allclose(loop.averaged.numpy(), mean, rtol=0, atol=1e-11)


def test_an_update_of_three_steps_has_the_sum_of_what_they_earned() -> None:
    space = ActionSpace.continuous((-1.0, -2.0), (1.0, 2.0))
    loops = [
        loop_of(settings_of(), RpeSettings(), Drift(space), Delivery.EVERY_STEP)[0]
        for _ in range(2)
    ]
    with torch.no_grad():
        for step in range(4):
            for loop in loops:
                loop.draw()
                loop.step()
            if not step:
                # The first rewards set the averages, and nothing was earned by them.
                for loop in loops:
                    loop.update()
        first, second = loops
        summed = first._total.clone()
        first.update()
    change = first.weights - second.weights
    expected = summed * first._scale * 0.05
    torch.testing.assert_close(change, expected, rtol=1e-9, atol=1e-11)
    assert change.abs().max() > 1e-4


def test_carts_on_a_device_move_as_those_of_the_bridge_number_by_number() -> None:
    bridge = CartPoleBridge(64, CartPoleOptions(max_episode_steps=30))
    device: Any = make_on_device('cartpole', 64, arrays(), {'max_episode_steps': 30})
    device.begin(torch.Generator())
    device.carts.motion.copy_(torch.from_numpy(bridge.state.motion))
    generator, over = np.random.default_rng(3), torch.zeros(64, dtype=torch.bool)
    ended = 0
    for _ in range(200):
        action = generator.integers(0, 2, (64, 1)).astype(np.int32)
        began = bridge.state.over.copy()
        expected = bridge.step(action)
        fresh = torch.from_numpy(bridge.state.motion)
        device._fresh.copy_(torch.where(torch.from_numpy(began), fresh, device._fresh))
        found = device.step(torch.from_numpy(action), over)
        np.testing.assert_array_equal(found.observation.numpy(), expected.observation)
        np.testing.assert_array_equal(found.reward.numpy(), expected.reward)
        np.testing.assert_array_equal(found.terminated.numpy(), expected.terminated)
        np.testing.assert_array_equal(found.truncated.numpy(), expected.truncated)
        over = found.terminated | found.truncated
        ended += int(over.sum())
    assert ended > 200


SMALL = {'environment.bridge.instances': 32, 'learner.checkpoint.period_s': 0.0}


def test_a_run_on_a_device_is_a_run_like_others(tmp_path: Path) -> None:
    said: list[str] = []
    runs = [
        nrl_ros.train(
            'cartpole',
            device='cpu',
            steps=30_000,
            settings=SMALL,
            say=said.append,
            out=tmp_path / name,
        )  # fmt: skip
        for name in 'ab'
    ]
    first, second = (read_checkpoint(run.checkpoint, 'learner') for run in runs)
    for one, other in zip(first['network']['weights'], second['network']['weights'], strict=True):
        np.testing.assert_array_equal(one, other)
    summary, told = runs[0].summary, runs[0].summary['device']
    assert summary['ended'] == 'finished' and summary['steps'] == told['counts']['steps'] >= 30_000
    assert summary['episodes'] == told['counts']['episodes'] == len(runs[0].metrics['return'])
    assert (runs[0].metrics['return'] == runs[0].metrics['length']).all()
    assert summary['mean_return_last_100'] > 1.3 * summary['mean_return_first_100']
    # The return of greedy episodes, by the ordinary environment.
    assert runs[0].evaluate(5).mean > summary['mean_return_first_100']


def test_what_a_device_has_learned_goes_on_without_it_and_back(tmp_path: Path) -> None:
    more = {'learner.plasticity.optimiser': 'adam', 'learner.plasticity.learning_rate': 0.003}
    run = nrl_ros.train('cartpole', device='cpu', steps=4_000, settings=SMALL | more, say=None,
                        out=tmp_path / 'a')  # fmt: skip
    saved = read_checkpoint(run.checkpoint, 'learner')
    count = saved['learning']['optimiser']['count']
    assert count == saved['learning']['updates'] > 10
    load = {'learner.checkpoint.load': str(run.checkpoint)}
    for device in ('', 'cpu'):
        on = nrl_ros.train('cartpole', device=device, steps=4_000, settings=SMALL | more | load,
                           say=None, out=tmp_path / f'b{device}')  # fmt: skip
        later = read_checkpoint(on.checkpoint, 'learner')
        assert later['learning']['optimiser']['count'] > count
        first, then = saved['network']['weights'][0], later['network']['weights'][0]
        # It went on from there: not from new weights, which would differ by much more.
        assert 0.0 < np.linalg.norm(then - first) < 0.5 * np.linalg.norm(first)


@pytest.mark.parametrize(
    ('settings', 'expected'),
    [
        ({'learner.plasticity.rule': 'antithetic'}, "rule 'antithetic' does not run on a device"),
        ({'neuromodulator.rpe.baseline': 'critic'}, 'baseline'),
        ({'learner.plasticity.optimiser': 'amsgrad'}, 'optimiser'),
        ({'environment.bridge.options.id': 'Acrobot-v1'}, 'CartPole-v1'),
    ],
)
def test_what_does_not_run_on_a_device_is_refused_before_anything_starts(
    settings: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        nrl_ros.train('cartpole', device='cpu', steps=100, settings=SMALL | settings, say=None,
                      out=tmp_path / 'a')  # fmt: skip
    assert '\n' not in str(caught.value)
    assert not (tmp_path / 'a').exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
@pytest.mark.parametrize('device', ['cuda', 'cuda:1', 'tpu', 'mps'])
def test_a_device_that_is_not_there_is_one_line(device: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"device '{device}'.*expected") as caught:
        nrl_ros.train('cartpole', device=device, steps=100, say=None, out=tmp_path / 'a')
    assert '\n' not in str(caught.value) and not (tmp_path / 'a').exists()


def test_a_run_without_a_device_says_nothing_of_one(tmp_path: Path) -> None:
    run = nrl_ros.train('cartpole', steps=2_000, settings=SMALL, say=None, out=tmp_path / 'a')
    assert 'device' not in run.summary
    assert InProcessRun(run.settings).figures() == {}
