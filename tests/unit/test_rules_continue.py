"""Every rule in the learner: stopped and continued, compiled and in numpy, refused in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrl_ros.base.errors import CheckpointError, ConfigError
from nrl_ros.base.records import ActionSpace
from nrl_ros.learning import policy, traces
from nrl_ros.learning.heads import make_head
from nrl_ros.learning.networks import passes
from nrl_ros.learning.rules import (
    RULES,
    AntitheticPairs,
    LearnedReference,
    NodePerturbation,
    NoisyReference,
    RewardModulatedHebbian,
    base,
    make_rule,
    node_perturbation,
)
from nrl_ros.storage.codec import decode, encode
from tests.oracles import dense_traces, eligibility, softmax
from tests.oracles.passes import Passes
from tests.unit.fakes import feed, info_of, learner_of, learner_settings, message_flow, same

SIGMA = 0.1
VARIANTS: dict[str, Any] = {name: RULES[name](sigma=SIGMA) for name in RULES} | {
    'nrl, K = 3': NodePerturbation(sigma=SIGMA, samples=3),
    'nrl, norm of a layer': NodePerturbation(sigma=SIGMA, norm='layer'),
    'antithetic, K = 2': AntitheticPairs(sigma=SIGMA, samples=2),
    'rmhl, running mean': RewardModulatedHebbian(sigma=SIGMA, noise_estimate='running_mean'),
}
SPACES = {
    'softmax': ActionSpace.discrete(3),
    'multi_discrete': ActionSpace.multi_discrete((2, 3)),
    'gaussian': ActionSpace.continuous((-1.0, 0.0), (1.0, 3.0)),
}
KINDS = ['dense', 'factored', 'dense']
WITHOUT_GRADIENT = {'random'}


@pytest.mark.parametrize('precision', ['float32', 'float64'])
@pytest.mark.parametrize('name', list(VARIANTS))
def test_every_rule_continues_bit_for_bit(name: str, precision: str) -> None:
    """Two agents; what an explorer remembers comes along, and through a file's bytes."""
    info, other, at = info_of(3), info_of(2, agent='b'), 41
    settings: dict[str, Any] = {
        'rule': VARIANTS[name],
        'precision': precision,
        'bias': True,
        'action_from': 'noisy',
        'shape': 'ornstein_uhlenbeck',
        'learning_rate': 0.01,
    }
    flow: list[Any] = []
    for pair in zip(
        message_flow(info, steps=40, seed=at), message_flow(other, steps=40, seed=1), strict=False
    ):
        flow += pair
    original = learner_of(info, **settings)
    original.join(other)
    feed(original, flow[:at])
    original.prepare()
    snapshot = decode(encode('learner', original.snapshot()), 'learner')
    restored = learner_of(info, **settings)
    restored.join(other)
    feed(restored, message_flow(info, steps=7, seed=9))
    restored.restore(snapshot)
    assert same(feed(original, flow[at:]), feed(restored, flow[at:]))
    assert same(original.snapshot(), restored.snapshot())
    assert original.updates > 5


@pytest.mark.parametrize('name', ['learned_reference', 'rmhl, running mean'])
def test_the_memory_of_an_explorer_matters(name: str) -> None:
    """Without it a continued run would be another: the test above can fail."""
    info, flow = info_of(3), message_flow(info_of(3), steps=60, seed=2)
    settings = {'rule': VARIANTS[name], 'learning_rate': 1e-3}
    original, restored = learner_of(info, **settings), learner_of(info, **settings)
    feed(original, flow[:40])
    snapshot = original.snapshot()
    fresh = learner_of(info, **settings).roster.served('a').explorer.snapshot()
    assert not same(snapshot['agents']['a']['explorer'], fresh)
    snapshot['agents']['a']['explorer'] = fresh
    restored.restore(snapshot)
    feed(original, flow[40:])
    feed(restored, flow[40:])
    assert not same(original.weights, restored.weights)


def head_in_numpy(space: ActionSpace, settings: Any) -> Any:
    if space.low:
        return make_head(space, settings)
    return softmax.SoftmaxHead(space)


@pytest.mark.parametrize('precision', ['float32', 'float64'])
@pytest.mark.parametrize(('space', 'kind'), [*zip(SPACES, KINDS, strict=True)])
@pytest.mark.parametrize('name', list(VARIANTS))
def test_every_rule_learns_as_with_the_arithmetic_of_numpy(
    name: str, space: str, kind: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = info_of(3, action=SPACES[space])
    flow = message_flow(info, steps=40, seed=4)
    settings: dict[str, Any] = {
        'rule': VARIANTS[name],
        'precision': precision,
        'shape': 'uniform',
        'hidden_sizes': (9, 4),
        'bias': True,
        'trace': kind,
        'trace_decay': 0.9,
        'learning_rate': 1e-3,
    }
    native = learner_of(info, **settings)
    start = native.weights
    actions = feed(native, flow)
    with monkeypatch.context() as patch:
        patch.setattr(passes, 'ForwardPass', Passes)
        patch.setattr(policy, 'make_head', head_in_numpy)
        patch.setattr(traces, 'DenseTraces', dense_traces.DenseTraces)
        for module in (base, node_perturbation):
            patch.setattr(module, 'EligibilityRows', eligibility.EligibilityRows)
        plain = learner_of(info, **settings)
        expected = feed(plain, flow)
    assert native.updates == plain.updates > 5
    for mine, theirs in zip(actions, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)
    change = np.concatenate([(a - b).ravel() for a, b in zip(plain.weights, start, strict=True)])
    away = [(a - b).ravel() for a, b in zip(native.weights, plain.weights, strict=True)]
    # Of the change, not of the weights: what differs is rounding of float32 alone.
    assert np.linalg.norm(np.concatenate(away)) <= 1e-3 * np.linalg.norm(change)
    assert (np.linalg.norm(change) > 0.0) == (name not in WITHOUT_GRADIENT)


@pytest.mark.parametrize('reset', [True, False])
@pytest.mark.parametrize(
    'name', [name for name, rule in VARIANTS.items() if rule.trace_form == 'outer']
)
def test_dense_and_factored_traces_learn_the_same_by_every_rule(name: str, reset: bool) -> None:
    info = info_of(3)
    flow = message_flow(info, steps=60, seed=5, longest_delay=5)
    learners = []
    for kind in ('dense', 'factored'):
        learner = learner_of(
            info,
            rule=VARIANTS[name],
            trace=kind,
            trace_decay=0.9,
            trace_reset=reset,
            learning_rate=0.01,
            bias=True,
        )
        learners.append((learner, feed(learner, flow)))
        assert learner.roster.served('a').credit.store.kind == kind
    (dense, actions), (factored, others) = learners
    assert same(actions, others)
    for one, other in zip(dense.weights, factored.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert dense.counters == factored.counters and dense.counters['late_rpes'] > 0


def test_traces_of_whole_weights_are_whole_whatever_is_asked_for() -> None:
    for kind in ('auto', 'dense', 'factored'):
        learner = learner_of(info_of(1), rule=VARIANTS['weight_perturbation'], trace=kind)
        assert learner.roster.served('a').credit.store.kind == 'whole'


# ----------------------------------------------------------------- refusals


def refused(source: Any, target: Any, text: str) -> None:
    """Learners of two rules: the checkpoint of one is not taken by the other."""
    info = info_of(2)
    saved, learner = learner_of(info, rule=source), learner_of(info, rule=target)
    for one in (saved, learner):
        feed(one, message_flow(info, steps=5, seed=0))
    before = encode('learner', learner.snapshot())
    with pytest.raises(CheckpointError, match=text):
        learner.restore(saved.snapshot())
    assert encode('learner', learner.snapshot()) == before


@pytest.mark.parametrize('source', list(RULES))
@pytest.mark.parametrize('target', list(RULES))
def test_a_rule_refuses_the_checkpoint_of_another(source: str, target: str) -> None:
    if source != target:
        text = f"'rule': \\('{source}', '{target}'\\)"
        refused(VARIANTS[source], VARIANTS[target], text)


@pytest.mark.parametrize(
    ('source', 'target', 'text'),
    [
        (
            RewardModulatedHebbian(),
            RewardModulatedHebbian(noise_estimate='running_mean'),
            r"noise_estimate': \('explicit', 'running_mean'\)",
        ),
        (
            RewardModulatedHebbian(noise_estimate='running_mean'),
            RewardModulatedHebbian(),
            r"noise_estimate': \('running_mean', 'explicit'\)",
        ),
        (
            NoisyReference(reference_passes=2),
            NoisyReference(reference_passes=3),
            r"reference_passes': \(2, 3\)",
        ),
        (AntitheticPairs(), AntitheticPairs(samples=2), r"samples': \(1, 2\)"),
    ],
)
def test_a_rule_refuses_a_checkpoint_that_its_memory_does_not_fit(
    source: Any, target: Any, text: str
) -> None:
    refused(source, target, text)


@pytest.mark.parametrize(
    ('name', 'setting', 'expected'),
    [
        *((name, {'sigma': 0.0}, 'greater than 0') for name in RULES),
        *((name, {'sigma': float('inf')}, 'finite') for name in RULES),
        *((name, {'norm': 'all'}, 'network') for name in RULES),
        *((name, {'step_scale': 'two'}, 'noise_dimensions') for name in RULES),
        ('nrl', {'samples': 0}, 'equal to 1'),
        ('antithetic', {'samples': -1}, 'equal to 1'),
        ('noisy_nrl', {'reference_passes': 0}, 'equal to 1'),
        ('learned_reference', {'reference_rate': 0.0}, 'greater than 0'),
        ('learned_reference', {'reference_rate': float('nan')}, 'finite'),
        ('rmhl', {'estimate_rate': 1.5}, 'equal to 1'),
        ('rmhl', {'noise_estimate': 'guess'}, 'running_mean'),
    ],
)
def test_settings_out_of_range_are_refused(
    name: str, setting: dict[str, Any], expected: str
) -> None:
    [(field, value)] = setting.items()
    with pytest.raises(ConfigError, match=f'{field}.*{expected}') as caught:
        make_rule(name, setting)
    assert f'received {value!r}' in str(caught.value)


def test_an_unknown_rule_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'hebb'.*nrl.*random"):
        make_rule('hebb', {})


def test_a_rule_takes_its_own_of_all_settings() -> None:
    everything = {'sigma': 0.5, 'samples': 4, 'reference_rate': 0.25, 'estimate_rate': 0.75}
    assert make_rule('nrl', everything) == NodePerturbation(sigma=0.5, samples=4)
    assert make_rule('learned_reference', everything) == LearnedReference(
        sigma=0.5, reference_rate=0.25
    )
    assert make_rule('rmhl', everything) == RewardModulatedHebbian(sigma=0.5, estimate_rate=0.75)


@pytest.mark.parametrize('rule', ['nrl', 'weight_perturbation'])
@pytest.mark.parametrize('decay', [0.0, -0.5, 1.5, float('nan')])
def test_a_trace_decay_out_of_range_is_refused_whatever_the_traces(decay: float, rule: str) -> None:
    with pytest.raises(ConfigError, match=rf'trace_decay: .*received {decay}'):
        learner_settings(rule=VARIANTS[rule], trace_decay=decay)


@pytest.mark.parametrize(
    ('setting', 'text'),
    [
        ({'max_late_windows': -1}, 'max_late_windows: .*equal to 0 .*received -1'),
        ({'seed': -3}, 'seed: .*equal to 0 .*received -3'),
        ({'correlation_steps': 0.0}, 'correlation_steps: .*received 0.0'),
        ({'action_std': -1.0}, 'action_std: .*received -1.0'),
        ({'leak': 2.0}, 'leak: .*equal to 1 .*received 2.0'),
        ({'optimiser': 'rmsprop'}, "unknown optimiser 'rmsprop'.*adam"),
        ({'neuron': 'analog'}, "unknown neuron 'analog'.*spiking"),
        ({'shape': 'cauchy'}, "unknown noise 'cauchy'.*gaussian"),
    ],
)
def test_settings_are_refused_when_they_are_made(setting: dict[str, Any], text: str) -> None:
    """Not when an agent joins, hours later on another machine."""
    with pytest.raises(ConfigError, match=text):
        learner_settings(**setting)
