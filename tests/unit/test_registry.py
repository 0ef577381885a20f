"""Parts that an installed package adds: one of each kind, each with an option of its own."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field

from nrl_ros.base import registry
from nrl_ros.base.errors import BridgeError, ConfigError
from nrl_ros.base.records import ActionSpace
from nrl_ros.base.registry import Registry
from nrl_ros.base.settings import Settings, load
from nrl_ros.environments.registry import ENVIRONMENTS, make_bridge
from nrl_ros.learning.baselines import BASELINES, Baseline
from nrl_ros.learning.heads import HEADS, GaussianHead
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.networks.forward_pass import ForwardPass
from nrl_ros.learning.networks.passes import NETWORKS
from nrl_ros.learning.neuromodulator import Neuromodulator
from nrl_ros.learning.noise import NOISE_SHAPES, Independent
from nrl_ros.learning.optimisers import OPTIMISERS, GradientAscent
from nrl_ros.learning.rules import RULES, NodePerturbation
from nrl_ros.settings.environment import EnvironmentNodeSettings
from nrl_ros.settings.learner import LearnerNodeSettings
from nrl_ros.settings.neuromodulator import NeuromodulatorNodeSettings
from tests.unit.fakes import ScriptedEnvironment, feed, info_of, message_flow, reward_of

MODULE = 'my_package_of_everything'
Positive = Annotated[float, Field(gt=0)]


class Doubled(NodePerturbation):
    """A rule: its option is a field."""

    factor: float = Field(2.0, gt=0, description='Times the usual step [1]')
    name = 'doubled'

    def scales(self, spec: Any) -> list[float]:
        return [self.factor * scale for scale in super().scales(spec)]


def scaled(factor: Positive = 1.0) -> Independent:
    """A noise: its option is an argument of a function."""

    def fill(generator: np.random.Generator, out: Any) -> None:
        out[...] = factor * generator.choice([-1.0, 1.0], out.shape)

    return Independent(fill)


class Halving(GradientAscent):
    """An optimiser: its option is an argument of the constructor."""

    def __init__(self, factor: Positive = 0.5) -> None:
        self.factor = factor

    def step(self, weights: Any, totals: Any, rate: float) -> None:
        super().step(weights, totals, self.factor * rate)


class Constant(Baseline):
    """A baseline."""

    def __init__(self, factor: Positive = 1.0) -> None:
        self.factor = factor

    def expect(self, reward: Any, average: Any) -> Any:
        return np.full(len(average), self.factor)


class Narrow(GaussianHead):
    """A policy head: its arguments that the group has too are taken from there."""

    def __init__(self, space: ActionSpace, *, action_std: float, factor: Positive = 1.0) -> None:
        super().__init__(space, action_std=action_std * factor)
        self.std = action_std * factor


class Steep(ForwardPass):
    """A network."""

    def __init__(
        self, network: Network, instances: int, samples: int, *, factor: Positive = 1.0
    ) -> None:
        super().__init__(network, instances, samples)
        self.factor = factor

    def run(self, observation: Any, unit_noise: Any, sigma: float) -> Any:
        return super().run(self.factor * np.asarray(observation), unit_noise, sigma)


class WalkOptions(Settings):
    factor: float = Field(1.0, gt=0)


def make(instances: int, options: WalkOptions) -> Any:
    """An environment: its options are a model."""
    environment = ScriptedEnvironment([3] * instances)
    environment.factor = options.factor  # type: ignore[attr-defined]
    return environment


PARTS: dict[Any, Any] = {
    RULES: Doubled,
    NOISE_SHAPES: scaled,
    OPTIMISERS: Halving,
    BASELINES: Constant,
    HEADS: Narrow,
    NETWORKS: Steep,
    ENVIRONMENTS: make,
}
# Where each kind is named in settings, and where its options are given.
LEARNER: dict[Any, tuple[str, str]] = {
    RULES: ('plasticity.rule', 'plasticity.options'),
    NOISE_SHAPES: ('noise.shape', 'noise.options'),
    OPTIMISERS: ('plasticity.optimiser', 'plasticity.optimiser_options'),
    HEADS: ('policy.head', 'policy.options'),
    NETWORKS: ('network.neuron', 'network.options'),
}
OTHERS: dict[Any, tuple[type[Settings], str, str]] = {
    BASELINES: (NeuromodulatorNodeSettings, 'rpe.baseline', 'rpe.options'),
    ENVIRONMENTS: (EnvironmentNodeSettings, 'bridge.name', 'bridge.options'),
}
kinds = pytest.mark.parametrize('kind', list(PARTS), ids=lambda kind: kind.group)
of_learner = pytest.mark.parametrize('kind', list(LEARNER), ids=lambda kind: kind.group)


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that adds ``doubled`` to every kind."""
    module = ModuleType(MODULE)
    points = []
    for kind, part in PARTS.items():
        setattr(module, part.__name__, part)
        points.append(EntryPoint('doubled', f'{MODULE}:{part.__name__}', kind.group))
        monkeypatch.setattr(kind, '_entries', dict(kind._entries))
        monkeypatch.setattr(kind, '_models', {})
    monkeypatch.setitem(sys.modules, MODULE, module)

    def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
        return [p for p in points if p.group == group and name in (None, p.name)]

    monkeypatch.setattr(registry, 'entry_points', entry_points)


def learner(**values: Any) -> Learner:
    flat: dict[str, Any] = {'network.hidden_sizes': [4], 'network.precision': 'float64'}
    flat |= {'plasticity.learning_rate': 0.1, 'seed': 3}
    real = 'policy.head' in values
    info = info_of(2, action=ActionSpace.continuous((-1.0,), (1.0,)) if real else None)
    it = Learner(load(LearnerNodeSettings, flat | values, source='x'))
    it.join(info)
    feed(it, message_flow(info, steps=40, seed=1))
    return it


def differ(one: Learner, other: Learner) -> bool:
    return any((a != b).any() for a, b in zip(one.weights, other.weights, strict=True))


@of_learner
def test_a_part_of_another_package_learns_with_its_option(kind: Any) -> None:
    name, options = LEARNER[kind]
    usual = learner(**{name: 'doubled'})
    assert differ(usual, learner(**{name: 'doubled', f'{options}.factor': 3.0}))
    assert not differ(usual, learner(**{name: 'doubled'}))


@of_learner
def test_a_learner_with_it_continues_from_a_checkpoint(kind: Any) -> None:
    name, options = LEARNER[kind]
    given = {name: 'doubled', f'{options}.factor': 3.0}
    saved, other = learner(**given), learner(**given, **{'noise.sigma': 0.5})
    other.restore(saved.snapshot())
    assert not differ(saved, other)


def test_a_baseline_of_another_package_is_compared_with() -> None:
    flat = {'rpe.baseline': 'doubled', 'rpe.options.factor': 4.0}
    settings = load(NeuromodulatorNodeSettings, flat, source='x')
    neuromodulator = Neuromodulator(settings.rpe, critic=settings.critic)
    for window, value in enumerate((5.0, 7.0)):
        answer = neuromodulator.evaluate(reward_of(window, [0, 1], window, value))
        assert answer is not None and answer.rpe.tolist() == [value - 4.0] * 2


def test_an_environment_of_another_package_is_made() -> None:
    assert make_bridge('doubled', 2, {'factor': 5.0}).factor == 5.0  # type: ignore[attr-defined]


def attempt(kind: Any, name: str, options: dict[str, Any]) -> Any:
    if kind in LEARNER:
        where, below = LEARNER[kind]
        flat = {where: name, **{f'{below}.{key}': value for key, value in options.items()}}
        return load(LearnerNodeSettings, flat, source='x')
    if kind is BASELINES:
        flat = {'rpe.baseline': name, **{f'rpe.options.{k}': v for k, v in options.items()}}
        return load(NeuromodulatorNodeSettings, flat, source='x')
    return make_bridge(name, 1, options)


@kinds
def test_a_wrong_name_or_option_is_told_with_the_nearest_before_anything_runs(kind: Any) -> None:
    with pytest.raises((ConfigError, BridgeError), match="'doubld', did you mean 'doubled'"):
        attempt(kind, 'doubld', {})
    with pytest.raises(ConfigError, match="'doubled': unknown option 'facto', did you mean 'fact"):
        attempt(kind, 'doubled', {'facto': 1.0})
    with pytest.raises(ConfigError, match=r'factor: .*greater than 0 \(received -1.0\)'):
        attempt(kind, 'doubled', {'factor': -1.0})
    with pytest.raises(ConfigError, match='factor: .*valid number'):
        attempt(kind, 'doubled', {'factor': 'much'})


@kinds
def test_all_names_are_listed_and_own_ones_are_not_taken(kind: Any) -> None:
    assert kind.names()[: len(list(kind))] == list(kind) and 'doubled' in kind.names()
    first = next(iter(kind))
    with pytest.raises(ConfigError, match=f'{first}.*is there already'):
        kind.add(first, make)


def test_a_script_adds_a_part_without_a_package() -> None:
    OPTIMISERS.add('mine', Halving)
    assert load(LearnerNodeSettings, {'plasticity.optimiser': 'mine'}, source='x')
    assert isinstance(OPTIMISERS.make('mine', options={'factor': 0.25}), Halving)


def test_what_is_made_must_have_its_parts_and_what_fails_is_named() -> None:
    def broken() -> None:
        raise RuntimeError('no licence')

    table: Registry[Any] = Registry(
        'part', 'nrl_ros.x', {'half': SimpleNamespace, 'broken': broken}, parts=('step',)
    )
    with pytest.raises(ConfigError, match="part 'half' is a SimpleNamespace without step"):
        table.make('half')
    with pytest.raises(ConfigError, match="'broken' could not be made: RuntimeError: no licence"):
        table.make('broken')
