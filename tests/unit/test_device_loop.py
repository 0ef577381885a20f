"""The whole loop on a device, in torch on the processor, against the loop of every other run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nrl_ros
from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import ActionSpace, AgentInfo, Delivery, EnvSpec
from nrl_ros.base.torch_arrays import TorchArrays
from nrl_ros.cli.options import TrainOptions
from nrl_ros.cli.train_device import device_maker
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
from nrl_ros.robots.arm.enclosing import EnclosingGuard
from nrl_ros.robots.arm.robot import load_robot
from nrl_ros.robots.arm.settings import ReachSettings
from nrl_ros.robots.safety.braking import Limited
from nrl_ros.storage.checkpoint import read_checkpoint
from sim_bridge.arm import ArmBridge
from sim_bridge.cartpole import CartPoleBridge, CartPoleOptions
from sim_bridge.device_arm import DeviceArms

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


def learn_beside(loop: DeviceLearning, plain: Plain, step: Callable[[torch.Tensor], None]) -> None:
    """Let both learn from the same noise and errors, and compare their weights.

    Args:
        loop: on a device.
        plain: as elsewhere.
        step: lets it do a step, of the numbers that the loop has drawn.
    """
    compared: Any = loop.errors.compare
    told: list[Any] = []
    loop.errors.compare = lambda *given: told.append(given) or compared(*given)  # type: ignore[method-assign, func-returns-value]
    with torch.no_grad():
        for _ in range(STEPS):
            loop.draw()
            step(loop.drawn)
            loop.step()
            loop.update()
            plain.learn(*told.pop())
    assert int(loop.counts['updates']) == plain._update.updates > STEPS / 10
    expected = np.concatenate([weight.ravel() for weight in plain.network.weights])
    np.testing.assert_allclose(loop.weights.numpy(), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize('case', CASES)
def test_weights_are_those_of_the_learner_from_the_same_noise(case: str) -> None:
    space, more, rpe, delivery, steps = CASES[case]
    settings = settings_of(**more)
    loop, learner, _ = loop_of(settings, rpe, Drift(space), delivery, steps)
    plain = Plain(learner, rpe, loop)
    learn_beside(
        loop,
        plain,
        lambda chance: plain.step(lambda z: loop._head.draw(torch.from_numpy(z), chance).numpy()),
    )
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
        ({'learner.plasticity.rule': 'random'}, "rule 'random' does not run on a device"),
        (
            {
                'learner.plasticity.rule': 'rmhl',
                'learner.plasticity.noise_estimate': 'running_mean',
            },
            "noise_estimate 'running_mean' does not run",
        ),
        ({'neuromodulator.rpe.baseline': 'critic'}, 'baseline'),
        ({'learner.plasticity.optimiser': 'layer_normalised'}, 'optimiser'),
        ({'learner.network.weight_bits': 8}, 'learner.network.weight_bits 8 does not run'),
        ({'learner.guard.enabled': True}, 'learner.guard.enabled True does not run'),
        ({'environment.bridge.options.id': 'Acrobot-v1'}, 'CartPole-v1'),
        ({'environment.human_reward.replace': True}, 'no person is heard there'),
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


def test_options_that_do_not_go_together_are_one_line(tmp_path: Path) -> None:
    out = tmp_path / 'a'
    with pytest.raises(ConfigError, match='expected --device'):
        nrl_ros.train('cartpole', update_every=2, steps=100, say=None, out=out)
    for given in ({'compose': True}, {'record': True}):
        options: Any = {'task': 'cartpole', 'device': 'cpu', **given}
        with pytest.raises(ConfigError, match='--device cannot be given with') as caught:
            device_maker(TrainOptions(**options), print)
        assert '\n' not in str(caught.value)
    assert not out.exists()


def test_a_run_without_a_device_says_nothing_of_one(tmp_path: Path) -> None:
    run = nrl_ros.train('cartpole', steps=2_000, settings=SMALL, say=None, out=tmp_path / 'a')
    assert 'device' not in run.summary
    assert InProcessRun(run.settings).figures() == {}


# ------------------------------------------------------------------- arms

UR5E: dict[str, Any] = {
    'robot': 'ur5e',
    'action_every': 5,
    'action': {'kind': 'velocity', 'speed_share': 1.0},
    'observation': {'joints': 'sine'},
    'reward': {'kind': 'progress', 'action_cost': 0.1, 'smoothness_cost': 0.1, 'home_cost': 0.2},
    'episode': {'steps': 25, 'start_spread_rad': 0.3, 'success_radius_m': 0.05},
    'simulation': {'shapes': 'enclosing'},
}


def settled(bridge: ArmBridge, device: DeviceArms) -> None:
    """Let the next episodes of a device begin where and with what those of the bridge began."""
    state = bridge.episodes.state
    device.pools = (
        torch.from_numpy(np.array(bridge.plant.position)),
        torch.from_numpy(state.target.copy()),
    )
    device.picks[:] = torch.arange(bridge.spec.instances)


def test_arms_on_a_device_equal_the_simulated_ones_and_are_refused_the_same_motions() -> None:
    arms = 16
    options = ReachSettings.model_validate(UR5E)
    bridge = ArmBridge(arms, options)
    device = DeviceArms(arms, arrays(), options)
    expected = bridge.reset(3)
    seen = device.begin(torch.Generator().manual_seed(0))
    # From where the bridge's arms stand, with their targets.
    settled(bridge, device)
    everyone = torch.ones(arms, dtype=torch.bool)
    device._place(everyone)
    tool: Any = device._chain.tool(device.state['position'])  # type: ignore[arg-type]
    device._aim(everyone, tool)
    seen = device._observe(tool)
    np.testing.assert_allclose(seen.numpy(), expected, atol=1e-5)
    generator, refused, over = np.random.default_rng(5), 0, np.zeros(arms, np.bool_)
    full = np.array(bridge.spec.action.high)
    way = generator.uniform(-full, full, (arms, len(full)))
    for step in range(60):
        if step % 12 == 0:
            # Long ways in one direction, so that arms come to their walls.
            way = generator.uniform(-full, full, (arms, len(full)))
        action = way.astype(np.float32)
        result = bridge.step(action)
        settled(bridge, device)
        found = device.step(torch.from_numpy(action), torch.from_numpy(over))
        if not over.any():
            # Where an episode begins, the start of the pool is where the arm has moved to since.
            position = device.state['position'].numpy()
            np.testing.assert_allclose(position, bridge.plant.position, atol=1e-5)
        np.testing.assert_allclose(found.observation.numpy(), result.observation, atol=1e-5)
        np.testing.assert_allclose(found.reward.numpy(), result.reward, atol=1e-4)
        np.testing.assert_array_equal(found.truncated.numpy(), result.truncated)
        np.testing.assert_array_equal(found.terminated.numpy(), result.terminated)
        assert result.metrics is not None
        np.testing.assert_allclose(found.figures.numpy(), result.metrics, atol=1e-5)
        refused += int(((bridge.limited & int(Limited.WORKSPACE)) > 0)[~over].sum())
        over = result.terminated | result.truncated
    assert refused > 50
    assert int(device.counts['limited_by_workspace']) == refused


@pytest.mark.parametrize('name', ['ur5e', 'fr3', 'planar'])
def test_enclosing_capsules_allow_nothing_that_the_exact_guard_refuses(name: str) -> None:
    robot = load_robot(name)
    guard, exact = EnclosingGuard(robot), robot.guard()
    low, high = np.array(robot.limits.position_low), np.array(robot.limits.position_high)
    position = np.random.default_rng(1).uniform(low, high, (1500, len(low)))
    theirs, ours = exact.violation(position), guard.violation(position)
    assert ((ours > 0.0) | (theirs <= 0.0)).all()
    # And hardly less: an arm does not lose room by them.
    allowed = theirs <= 0.0
    assert allowed.mean() > 0.1
    assert (ours[allowed] <= 0.0).mean() > 0.99
    found = guard.on(arrays()).violation(torch.from_numpy(position)).numpy()
    np.testing.assert_allclose(found, ours, atol=1e-12)
    # Nothing moves faster than the bounds by which the cache of the guard goes.
    step = np.random.default_rng(2).uniform(-0.05, 0.05, position.shape)
    for part in guard.parts:
        asked = np.ones((len(position), len(part.rates)), np.bool_)
        grown = part.violation(position + step, asked) - part.violation(position, asked)
        assert (grown <= np.abs(step) @ part.rates.T + 1e-9).all()


def test_arms_learn_on_the_processor_and_another_run_takes_it_over(tmp_path: Path) -> None:
    small = {'environment.bridge.instances': 64}
    run = nrl_ros.train('ur5e', device='cpu', steps=30_000, settings=small, say=None,
                        out=tmp_path / 'a')  # fmt: skip
    summary = run.summary
    counts = summary['device']['counts']
    assert counts['limited_by_acceleration'] > counts['limited_by_workspace'] > 0
    assert counts['clipped_actions'] > 0
    assert summary['mean_return_last_100'] > summary['mean_return_first_100'] + 5.0
    assert 'is_within_2_cm' in run.metrics
    # The arms of a run without a device, with exact shapes, go on from there.
    load = {'learner.checkpoint.load': str(run.checkpoint)}
    on = nrl_ros.train('ur5e', steps=8_000, settings=small | load, say=None, out=tmp_path / 'b')
    assert on.summary['mean_return_first_100'] > summary['mean_return_first_100'] + 5.0


@pytest.mark.parametrize(
    ('asked', 'told'),
    [
        ({'target': {'every_steps': 5}}, 'target.every_steps 5'),
        ({'obstacles': {'random': {'most': 2}}}, 'obstacles.random.most 2'),
        ({'observation': {'obstacles': 3}}, 'observation.obstacles 3'),
    ],
)
def test_arms_in_tensors_refuse_what_they_do_not_have(asked: dict[str, Any], told: str) -> None:
    options = {**UR5E, **asked}
    with pytest.raises(ConfigError, match=f'{told} does not run on a GPU') as caught:
        make_on_device('arm', 4, TorchArrays('cpu', torch.float32, traced=True), options)
    assert '\n' not in str(caught.value)


def test_arms_among_obstacles_step_on_the_processor_without_compilation() -> None:
    options = {**UR5E, 'obstacles': {'random': {'most': 2, 'fewest': 2}}}
    options['observation'] = {'obstacles': 2}
    arms = make_on_device('arm', 4, TorchArrays('cpu', torch.float32), options)
    seen = arms.begin(torch.Generator().manual_seed(0))
    again = arms.step(torch.zeros(4, 6), torch.zeros(4, dtype=torch.bool)).observation
    assert seen.shape == again.shape == (4, arms.spec.observation_size)
    # Half lengths of the two boxes.
    assert (seen[:, [-15, -14, -13, -6, -5, -4]] > 0.0).all()
