"""Torch modules as policy networks: exact against autograd and against the dense network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nrl_ros.base.errors import CheckpointError, ConfigError
from nrl_ros.base.records import ActionSpace, Delivery, Phase
from nrl_ros.environments.episodes import Episodes
from nrl_ros.learning import loop
from nrl_ros.learning.heads import PolicySettings, make_head
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.networks.kinds import new_network
from nrl_ros.learning.networks.passes import make_passes
from nrl_ros.learning.networks.settings import NetworkSettings
from nrl_ros.learning.neuromodulator import Neuromodulator, RpeSettings
from nrl_ros.learning.rules import (
    AntitheticPairs,
    Backpropagation,
    LearnedReference,
    NodePerturbation,
    NoisyReference,
    RewardModulatedHebbian,
    WeightPerturbation,
)
from nrl_ros.learning.traces import make_store
from tests.oracles.policy_gradient import FixedChoice, cosine, flat
from tests.unit.fakes import ScriptedEnvironment, learner_settings, same, state_of

SIZES: dict[str, tuple[int, dict[str, Any]]] = {
    'dense': (5, {'hidden_sizes': (8, 6), 'bias': True}),
    'convolutional': (32, {'image': (4, 4, 2), 'channels': (3, 2), 'hidden_size': 5}),
    'recurrent': (5, {'size': 6}),
}
OUTPUTS = 4


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tests share the machine's cores, and products as small as these gain nothing from more."""
    torch.set_num_threads(1)


def network_of(factory: str, *, seed: int = 3, **more: Any) -> Any:
    inputs, options = SIZES[factory]
    settings = NetworkSettings(
        kind='torch', factory=factory, options=options, precision='float64', **more
    )
    return new_network(settings, inputs, OUTPUTS, seed)


class Situation:
    """One observation, one memory and one choice, and the gradient of its log-probability."""

    def __init__(self, factory: str) -> None:
        generator = np.random.default_rng(5)
        self.network = network_of(factory)
        for weight in self.network.weights:
            weight += 0.3 * generator.standard_normal(weight.shape)
        spec = self.network.spec
        self.observation = generator.standard_normal((1, spec.inputs))
        self.memory = 0.5 * generator.standard_normal((1, spec.memory))
        plain = make_head(ActionSpace.discrete(OUTPUTS), PolicySettings())
        self.choice = np.array([[2]])
        self.head: Any = FixedChoice(plain, self.choice)

    def gradient(self) -> list[np.ndarray]:
        """Autograd's gradient of log pi(a|s) through the whole module, by parameter."""
        rows = [torch.tensor(self.observation)]
        if self.network.memory_size:
            rows.append(torch.tensor(self.memory))
        out = self.network.module(*rows)
        out = out[0] if self.network.memory_size else out
        log_pi = torch.log_softmax(out[0], 0)[int(self.choice[0, 0])]
        parts = torch.autograd.grad(log_pi, self.network.parameters)
        return [part.numpy() for part in parts]

    def rows(self, rule: Any, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows for the traces of B instances that are all in this situation."""
        explorer = rule.explorer(self.network, self.head, batch=batch, source=0)
        if self.network.memory_size:
            explorer.state['memory'][:] = self.memory
        size = rule.noise_size(self.network.spec, batch)
        noise = np.random.default_rng(7).standard_normal(size)
        observation = np.repeat(self.observation, batch, axis=0)
        _, rows = explorer.explore(observation, noise, np.random.default_rng(0))
        post, pre = rows()
        return np.array(post), np.array(pre)

    def estimate(self, rule: Any, batch: int) -> list[np.ndarray]:
        """The mean update of the parameters over B instances, with the rule's factors."""
        spec = self.network.spec
        post, pre = self.rows(rule, batch)
        total = [np.zeros(shape) for shape in spec.shapes]
        if rule.trace_form == 'whole':
            mean = post[0].mean(axis=0)
            parts = zip(total, spec.weight_slices, strict=True)
            for part, where in parts:
                part += mean[where].reshape(part.shape)
        else:
            post, pre = post.reshape(-1, post.shape[-1]), pre.reshape(-1, pre.shape[-1])
            spec.add_products(total, post / batch, pre)
        return [scale * part for scale, part in zip(rule.scales(spec), total, strict=True)]


@pytest.mark.parametrize('factory', SIZES)
def test_backpropagation_is_the_gradient_that_autograd_computes(factory: str) -> None:
    at = Situation(factory)
    for received, expected in zip(at.estimate(Backpropagation(), 3), at.gradient(), strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('factory', SIZES)
@pytest.mark.parametrize(
    'rule',
    [
        NodePerturbation(sigma=1e-4),
        NodePerturbation(sigma=1e-4, samples=4),
        NodePerturbation(sigma=1e-4, norm='layer'),
        AntitheticPairs(sigma=1e-4),
        WeightPerturbation(sigma=1e-4),
    ],
    ids=lambda rule: f'{rule.name}-{rule.samples}-{rule.norm}',
)
def test_the_mean_of_many_estimates_is_the_gradient(factory: str, rule: Any) -> None:
    """Within what so many estimates of so many dimensions leave: a cosine of 0.98."""
    at = Situation(factory)
    received = flat(at.estimate(rule, 40_000 // rule.samples))
    expected = flat(at.gradient())
    assert cosine(received, expected) > 0.97
    assert received @ expected / (expected @ expected) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize('factory', SIZES)
@pytest.mark.parametrize(
    'rule',
    [NoisyReference(sigma=1e-3, reference_passes=4), LearnedReference(sigma=0.1)],
    ids=lambda rule: rule.name,
)
def test_rules_without_a_clean_pass_point_along_the_gradient(factory: str, rule: Any) -> None:
    at = Situation(factory)
    assert cosine(flat(at.estimate(rule, 20_000)), flat(at.gradient())) > 0.9


def test_the_hebbian_rule_credits_noise_or_what_differs_from_the_running_mean() -> None:
    at = Situation('dense')
    post, pre = at.rows(RewardModulatedHebbian(sigma=0.1), 6)
    size = (6, at.network.spec.noise_components)
    noise = np.random.default_rng(7).standard_normal(size)
    np.testing.assert_allclose(post[0], 0.1 * noise, rtol=1e-12)
    np.testing.assert_allclose(pre[0][:, :5], np.repeat(at.observation, 6, axis=0))
    mean = RewardModulatedHebbian(sigma=0.1, noise_estimate='running_mean')
    # The first step sets the mean, so that nothing differs from it.
    assert not at.rows(mean, 6)[0].any()


def copied_from_dense(bias: bool) -> tuple[Network, Any]:
    """A dense network of the house, and a module with the same weights."""
    generator = np.random.default_rng(1)
    spec = NetworkSpec(5, (8, 6), OUTPUTS, bias=bias)
    dense = Network(spec, [generator.standard_normal(shape) for shape in spec.shapes])
    settings = NetworkSettings(
        kind='torch', options={**SIZES['dense'][1], 'bias': bias}, precision='float64'
    )
    module: Any = new_network(settings, 5, OUTPUTS, 0)
    parts = iter(module.weights)
    for weight in dense.weights:
        next(parts)[...] = weight[:, :-1] if bias else weight
        if bias:
            next(parts)[...] = weight[:, -1]
    return dense, module


@pytest.mark.parametrize('bias', [False, True])
def test_a_copy_of_the_dense_network_makes_its_update_from_the_same_noise(bias: bool) -> None:
    dense, module = copied_from_dense(bias)
    head = make_head(ActionSpace.discrete(OUTPUTS), PolicySettings())
    totals = []
    for network in (dense, module):
        rule = NodePerturbation(sigma=0.1, samples=3)
        explorer = rule.explorer(network, head, batch=4, source=0)
        store = make_store(
            'factored', network.spec, instances=4, samples=3, decay=0.9, window_steps=5,
            dtype=np.float64,
        )  # fmt: skip
        generator = np.random.default_rng(2)
        for _ in range(5):
            noise = generator.standard_normal((12, network.spec.noise_components))
            _, rows = explorer.explore(generator.standard_normal((4, 5)), noise, generator)
            store.record(*rows(), None)
        total = [np.zeros(shape) for shape in network.spec.shapes]
        store.add_to(total, np.arange(4), np.array([1.0, -2.0, 0.5, 3.0]))
        totals.append(total)
    parts = iter(totals[1])
    for expected in totals[0]:
        np.testing.assert_allclose(next(parts), expected[:, :-1] if bias else expected, rtol=1e-9)
        if bias:
            np.testing.assert_allclose(next(parts), expected[:, -1], rtol=1e-9)


@pytest.mark.parametrize('factory', SIZES)
def test_long_windows_are_folded_into_the_same_update(factory: str) -> None:
    """With a ring of 3 steps for 11, and with one of all."""
    spec = network_of(factory).spec
    generator, totals = np.random.default_rng(3), []
    steps = [
        (
            generator.standard_normal((2, 3, spec.noise_components)),
            generator.standard_normal((2, 3, spec.input_components)),
        )
        for _ in range(11)
    ]
    for kind, ring in (('factored', 11), ('factored', 3), ('dense', 11)):
        store = make_store(
            kind, spec, instances=3, samples=2, decay=0.8, window_steps=ring, dtype=np.float64
        )
        for post, pre in steps:
            store.record(post, pre, None)
        total = [np.zeros(shape) for shape in spec.shapes]
        late = store.detach(2, carried=True)
        store.add_to(total, np.arange(3), np.array([1.0, -2.0, 0.5]))
        again = [np.zeros(shape) for shape in spec.shapes]
        late.add_to(again, 0.5, spec)
        store.add_to(again, np.arange(3), np.ones(3))
        totals.append(flat(total + again))
    np.testing.assert_allclose(totals[1], totals[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(totals[2], totals[0], rtol=1e-9, atol=1e-12)


def test_noisy_passes_start_from_what_the_clean_one_remembers() -> None:
    network = network_of('recurrent')
    memory = np.zeros((2, 6))
    passes = make_passes(network, 2, 3, memory)
    generator = np.random.default_rng(0)
    expected = torch.zeros(2, 6, dtype=torch.float64)
    for _ in range(4):
        observation = generator.standard_normal((2, 5))
        noise = generator.standard_normal((6, network.spec.noise_components))
        z = passes.run(observation, noise, 0.2).copy()
        with torch.no_grad():
            clean, expected = network.module(torch.tensor(observation), expected)
        np.testing.assert_allclose(z[0], clean.numpy(), rtol=1e-12)
        np.testing.assert_allclose(memory, expected.numpy(), rtol=1e-12)
        assert np.abs(z[1:] - z[0]).max() > 1e-3


def learner_of(factory: str, seed: int = 0, **more: Any) -> Learner:
    options = {f'network.options.{name}': value for name, value in SIZES[factory][1].items()}
    chosen: dict[str, Any] = {
        'network.kind': 'torch', 'network.factory': factory, 'learning_rate': 3e-2,
        'rule': NodePerturbation(sigma=1e-2, samples=2), **options,
    }  # fmt: skip
    return Learner(learner_settings(seed=seed, **(chosen | more)))


def episodes_of(session: int = 7) -> Episodes:
    return Episodes(
        ScriptedEnvironment([3] * 16, action=ActionSpace.discrete(2)),
        agent='a',
        session=session,
        lockstep=True,
        delivery=Delivery.EVERY_STEP,
    )


def returns_of(episodes: Episodes, learner: Learner, steps: int) -> list[float]:
    cycle = loop.run(episodes, learner, Neuromodulator(RpeSettings()), seed=0)
    returns = []
    for _ in zip(range(steps), cycle, strict=False):
        ends = episodes.ends()
        if ends is not None:
            returns.append(float(ends.episode_return.mean()))
    return returns


@pytest.mark.parametrize('factory', ['dense', 'recurrent'])
def test_it_learns_to_choose_the_better_action(factory: str) -> None:
    """The scripted environment pays 1 + action: the larger one is better."""
    returns = returns_of(episodes_of(), learner_of(factory), 900)
    assert returns[0] < 10.0
    assert np.mean(returns[-50:]) > 11.8


@pytest.mark.parametrize('factory', ['dense', 'recurrent'])
def test_it_continues_from_a_checkpoint_to_the_last_bit(factory: str) -> None:
    whole, saved, other = learner_of(factory), learner_of(factory), learner_of(factory, seed=4)
    for learner in (whole, saved):
        returns_of(episodes_of(), learner, 20)
    other.restore(saved.snapshot())
    for learner in (whole, other):
        learner.leave('a')
        returns_of(episodes_of(session=8), learner, 20)
    assert same(whole.weights, other.weights)
    assert not same(whole.weights, saved.weights)


def test_an_episode_begins_without_the_memory_of_the_one_before() -> None:
    learner = learner_of('recurrent')
    returns_of(episodes_of(), learner, 4)
    (agent,) = learner.roster.agents
    memory = agent.explorer.state['memory']
    seen = []
    for phase in (Phase.FIRST, Phase.MID, Phase.FIRST):
        state = state_of(agent.info, 1, phase=phase)
        agent._choose(state, greedy=True, record=False)
        seen.append(memory.copy())
    np.testing.assert_array_equal(seen[2], seen[0])
    assert np.abs(seen[1] - seen[0]).max() > 1e-3


def test_a_frozen_part_stays_as_it_is_and_takes_no_noise() -> None:
    network = network_of('dense', frozen=('0',))
    assert network.names == ['2.weight', '2.bias', '4.weight', '4.bias']
    assert network.spec.noise_components == 6 + OUTPUTS
    assert set(network.fixed) == {'0.weight', '0.bias'}


def test_first_weights_come_from_a_file_and_a_checkpoint_needs_it_no_more(tmp_path: Path) -> None:
    other = network_of('dense', seed=9)
    file = tmp_path / 'encoder.pt'
    torch.save(other.module.state_dict(), file)
    made = network_of('dense', initial=str(file), frozen=('0',))
    assert same(made.weights, other.weights[2:])
    assert same(made.fixed['0.weight'], other.weights[0])
    learner = learner_of('dense', **{'network.frozen': ('0',), 'seed': 1})
    returns_of(episodes_of(), learner, 5)
    restored = learner_of('dense', **{'network.frozen': ('0',), 'seed': 2})
    restored.restore(learner.snapshot())
    first, second = (one.roster.policy.network for one in (learner, restored))
    assert same(dict(second.fixed), dict(first.fixed))
    assert same(second.weights, first.weights)


class Twice(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(inputs, inputs), nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.layer(self.layer(x)))


class Gated(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.cell, self.out = nn.GRU(inputs, 4), nn.Linear(4, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.cell(x[None])[0][0])


class Unused(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.out, self.other = nn.Linear(inputs, outputs), nn.Linear(inputs, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x)


class Infinite(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x) / 0.0


def normalised(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 4), nn.BatchNorm1d(4), nn.Linear(4, outputs))


def wrong_outputs(inputs: int, outputs: int) -> nn.Module:
    return nn.Linear(inputs, outputs + 1)


def no_module(inputs: int, outputs: int) -> int:
    return 3


def test_the_factory_of_the_page_makes_a_network(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / 'docs/torch.md').read_text(encoding='utf-8')
    (tmp_path / 'my_network.py').write_text(page.split('```python\n')[1].split('```')[0])
    name = f'{tmp_path}/my_network.py:make'
    settings = NetworkSettings(kind='torch', factory=name, options={'width': 9})
    made = new_network(settings, 5, OUTPUTS, 0)
    assert made.spec.shapes == [(9, 5), (9,), (OUTPUTS, 9), (OUTPUTS,)]
    with pytest.raises(ConfigError, match='width'):
        learner_settings(
            **{'network.kind': 'torch', 'network.factory': name, 'network.options.width': 'x'}
        )


@pytest.mark.parametrize(
    ('factory', 'words'),
    [
        ('Twice', r"layer 'layer' \(Linear\) is called twice"),
        ('Gated', r"layer 'cell' \(GRU\): expected one tensor in and one out.*GatedCell"),
        ('Unused', r"layer 'other' \(Linear\) has weights and is not called"),
        ('normalised', r"layer '1' \(BatchNorm1d\) keeps batch statistics"),
        ('wrong_outputs', r'returns \[\(2, 5\)\] .* expected \[\(2, 4\)\]'),
        ('no_module', r'expected a torch.nn.Module, received a int'),
        ('Infinite', r'not finite'),
        ('nothing', r"has no 'nothing'"),
    ],
)
def test_a_module_that_cannot_learn_by_noise_is_refused(factory: str, words: str) -> None:
    settings = NetworkSettings(kind='torch', factory=f'{__file__}:{factory}')
    with pytest.raises(ConfigError, match=words):
        new_network(settings, 5, OUTPUTS, 0)


def test_a_file_of_first_weights_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    text = tmp_path / 'text.pt'
    text.write_text('no weights')
    other = tmp_path / 'other.pt'
    torch.save(nn.Linear(3, 2).state_dict(), other)
    for file, words in ((text, 'expected a file that torch.save'), (other, 'another module')):
        with pytest.raises(ConfigError, match=words):
            network_of('dense', initial=str(file))
    with pytest.raises(ConfigError, match="no parameter begins with 'encoder'"):
        network_of('dense', frozen=('encoder',))


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'network.kind': 'torch', 'network.factory': 'denze'}, "unknown network factory 'denze'"),
        ({'network.kind': 'torch', 'network.factory': 'no_such.package:f'}, 'cannot be imported'),
        ({'network.kind': 'torch', 'network.options.sizes': 3}, 'sizes'),
        ({'network.kind': 'torch', 'neuron': 'spiking'}, 'is not used by network.kind'),
        ({'network.frozen': ('a',)}, 'is not used by network.kind'),
        ({'network.kind': 'torch', 'policy.std_of_state': False}, 'std_of_state'),
    ],
)
def test_settings_of_the_other_kind_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        learner_settings(**values)


def test_the_dense_factory_takes_the_settings_of_dense_networks() -> None:
    settings = NetworkSettings(kind='torch', hidden_sizes=(7, 3), bias=False)
    made = new_network(settings, 5, OUTPUTS, 0)
    assert made.spec.shapes == [(7, 5), (3, 7), (OUTPUTS, 3)]


def test_a_rule_that_gives_no_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match='the rule gives its passes no memory'):
        make_passes(network_of('recurrent'), 2, 1)


def test_a_checkpoint_of_another_module_is_refused() -> None:
    learner = learner_of('dense')
    returns_of(episodes_of(), learner, 3)
    with pytest.raises(CheckpointError, match='another network'):
        learner_of('recurrent').restore(learner.snapshot())


def spiking_pair(steps: int) -> tuple[Any, Any]:
    """The spiking module and the dense spiking network with the same weights."""
    sizes = {'hidden_sizes': (7, 6), 'bias': False, 'precision': 'float64'}
    module = new_network(NetworkSettings(kind='torch', factory='spiking', **sizes), 5, OUTPUTS, 3)
    options = {'steps': steps, 'decay': 0.8}
    dense = new_network(NetworkSettings(neuron='spiking', options=options, **sizes), 5, OUTPUTS, 0)
    for mine, theirs in zip(module.weights, dense.weights, strict=True):
        mine *= 2.0
        theirs[...] = mine
    return module, dense


def test_steps_of_the_spiking_module_are_those_of_the_spiking_network() -> None:
    module, dense = spiking_pair(steps=12)
    observation = np.random.default_rng(4).standard_normal((3, 5))
    memory = np.zeros((3, module.memory_size))
    passes = make_passes(module, 3, 0, memory)
    outputs = [passes.run(observation, None, 0.0)[0].copy() for _ in range(12)]
    expected = make_passes(dense, 3, 0).run(observation, None, 0.0)[0]
    assert np.abs(np.mean(outputs, axis=0) - expected).max() < 1e-12
    assert len({out.tobytes() for out in outputs}) > 2, 'it spikes now and then'


def test_noise_in_its_membranes_is_that_of_the_spiking_network() -> None:
    module, dense = spiking_pair(steps=1)
    observation = np.random.default_rng(4).standard_normal((3, 5))
    noise = np.random.default_rng(6).standard_normal((6, module.spec.noise_components))
    found = make_passes(module, 3, 2, np.zeros((3, module.memory_size)))
    expected = make_passes(dense, 3, 2)
    one, other = (passes.run(observation, noise, 0.4) for passes in (found, expected))
    assert np.abs(one - other).max() < 1e-12
    assert np.abs(one[1:] - one[0]).max() > 0.1
    assert np.abs(found.presynaptic() - expected.presynaptic()).max() < 1e-12
