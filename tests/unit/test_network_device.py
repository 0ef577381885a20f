"""A module on another device: its copies of the weights, and devices that are not there."""

from __future__ import annotations

from functools import partialmethod
from typing import Any

import numpy as np
import pytest
import torch

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import Delivery
from nrl_ros.environments.episodes import Episodes
from nrl_ros.learning import loop
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.networks.modules.network import ModuleNetwork
from nrl_ros.learning.neuromodulator import Neuromodulator, RpeSettings
from tests.unit.fakes import ScriptedEnvironment, learner_settings, same

pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let modules have copies of the weights, as on a GPU, where memory cannot be shared."""
    own = ModuleNetwork.__init__
    monkeypatch.setattr(ModuleNetwork, '__init__', partialmethod(own, copies=True))


CASES: dict[str, dict[str, Any]] = {
    'nrl': {'plasticity.samples': 2},
    'recurrent': {'network.factory': 'recurrent'},
    'spiking': {'network.factory': 'spiking', 'noise.sigma': 0.3},
    'averaging': {'plasticity.averaging': 5, 'plasticity.optimiser': 'adam'},
    'backpropagation': {'plasticity.rule': 'backpropagation'},
    'running mean': {'plasticity.rule': 'rmhl', 'plasticity.noise_estimate': 'running_mean'},
    'weight_perturbation': {'plasticity.rule': 'weight_perturbation'},
    'imperfect': {'network.weight_bits': 6, 'network.read_noise': 0.01},
    'small outputs, frozen': {'network.output_scale': 0.1, 'network.frozen': ('0',)},
}


def learned(steps: int, restore: Any = None, **settings: Any) -> Learner:
    episodes = Episodes(
        ScriptedEnvironment([4, 3, 5]),
        agent='a',
        session=7,
        lockstep=True,
        delivery=Delivery.EVERY_STEP,
    )
    learner = Learner(
        learner_settings(**{'network.kind': 'torch', 'plasticity.learning_rate': 0.01, **settings})
    )
    learner.join(episodes.info)
    if restore is not None:
        learner.restore(restore)
    cycle = loop.run(episodes, learner, Neuromodulator(RpeSettings()), seed=3)
    for _ in range(steps):
        next(cycle)
    return learner


def outputs_of(learner: Learner) -> Any:
    policy = learner.roster.policy
    assert policy is not None
    network: Any = policy.network
    rows = torch.linspace(-1.0, 1.0, 2 * network.spec.inputs).reshape(2, -1)
    memory = (torch.zeros(2, network.memory_size),) if network.memory_size else ()
    with torch.no_grad():
        found = network.module(rows, *memory)
    return (found[0] if memory else found).numpy()


@pytest.mark.parametrize('name', CASES)
def test_copies_of_the_weights_follow_every_change(
    name: str, request: pytest.FixtureRequest
) -> None:
    shared = learned(11, **CASES[name])
    assert not same(shared.weights, learned(0, **CASES[name]).weights)
    request.getfixturevalue('copies')
    copied = learned(11, **CASES[name])
    network: Any = copied.roster.policy.network  # type: ignore[union-attr]
    assert not np.shares_memory(network.weights[0], network.parameters[0].detach().numpy())
    assert same(copied.weights, shared.weights)
    assert np.array_equal(outputs_of(copied), outputs_of(shared))


@pytest.mark.usefixtures('copies')
def test_a_checkpoint_reaches_the_copies() -> None:
    first = learned(6)
    again = learned(0, restore=first.snapshot())
    assert same(again.weights, first.weights)
    assert np.array_equal(outputs_of(again), outputs_of(first))


@pytest.mark.parametrize(
    ('device', 'match'),
    [
        ('cuda', r"network\.device 'cuda': torch .* 0 GPUs, expected 1 .*network\.device: cpu"),
        ('cuda:3', r"network\.device 'cuda:3': torch .* expected 4 at least"),
        ('tpu', 'network.device'),
    ],
)
def test_a_device_that_is_not_there_is_refused_before_anything_starts(
    device: str, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ConfigError, match=match):
        learner_settings(**{'network.kind': 'torch', 'network.device': device})


def test_a_device_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    for known in ('cuda', 'cuda:0', 'cuda:1'):
        learner_settings(**{'network.kind': 'torch', 'network.device': known})
    with pytest.raises(ConfigError, match='finds 2 GPUs, expected 3 at least'):
        learner_settings(**{'network.kind': 'torch', 'network.device': 'cuda:2'})


def test_a_dense_network_has_no_device() -> None:
    with pytest.raises(ConfigError, match="network.device: is not used by network.kind 'dense'"):
        learner_settings(**{'network.device': 'cuda'})
