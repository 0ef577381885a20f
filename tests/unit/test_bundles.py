"""Exported policies give the learner's greedy actions, and what does not fit is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from nrl_ros.base.errors import ConfigError, InvalidValueError, ProtocolError, ShapeError
from nrl_ros.base.records import (
    ActionSpace,
    AgentInfo,
    Delivery,
    EnvSpec,
    ObservationFormat,
    Phase,
)
from nrl_ros.bundles.manifest import (
    ActionManifest,
    GraphManifest,
    ObservationManifest,
    PolicyManifest,
    digest,
    read_manifest,
    write_manifest,
)
from nrl_ros.bundles.nir_graph import nir_file, run_nir
from nrl_ros.bundles.onnx_graph import policy_graph
from nrl_ros.bundles.onnx_policy import OnnxPolicy
from nrl_ros.bundles.player import Player
from nrl_ros.bundles.torchscript import policy_script, run_script
from nrl_ros.cli import export
from nrl_ros.experiments.policy import CallablePolicy
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.networks.inputs import network_input
from nrl_ros.learning.networks.passes import make_passes
from nrl_ros.learning.policy import Policy
from tests.unit.fakes import learner_settings, state_of

SPACES = {
    'discrete': ActionSpace.discrete(3),
    'multi_discrete': ActionSpace.multi_discrete((3, 2)),
    'continuous': ActionSpace.continuous((-1.0, 0.0), (1.0, 3.0)),
}
NETWORKS: dict[str, dict[str, Any]] = {
    'dense': {'hidden_sizes': (8, 6), 'bias': True},
    'no hidden layer': {'hidden_sizes': ()},
    'dense in float64': {'hidden_sizes': (8,), 'precision': 'float64', 'learn_std': True},
    'normalised': {'hidden_sizes': (8,), 'normalise_observations': True},
    'spiking': {'hidden_sizes': (8, 6), 'bias': True, 'neuron': 'spiking'},
    'spiking briefly': {'hidden_sizes': (8,), 'neuron': 'spiking', 'network.options.steps': 3},
    'spiking, normalised': {
        'hidden_sizes': (8,), 'neuron': 'spiking', 'normalise_observations': True,
    },
    'torch, dense': {'network.kind': 'torch', 'hidden_sizes': (8,), 'bias': True},
    'torch, recurrent': {
        'network.kind': 'torch', 'network.factory': 'recurrent', 'network.options.size': 6,
    },
    'torch, convolutional': {
        'network.kind': 'torch', 'network.factory': 'convolutional',
        'network.options.image': (4, 4, 2),
    },
}  # fmt: skip
INPUTS = 32


def policy_of(network: str, space: ActionSpace, *, inputs: int = INPUTS) -> Policy:
    """A policy with weights that differ from its first ones, large enough to tell actions apart."""
    chosen = dict(NETWORKS[network])
    if space.kind.name != 'CONTINUOUS':
        chosen.pop('learn_std', None)
    learner = Learner(learner_settings(seed=3, **chosen))
    meaning = 'joint a, rad\njoint b, rad' if inputs == INPUTS else ''
    spec = EnvSpec(1, inputs, space, manifest=meaning)
    learner.join(AgentInfo('a', 1, spec, lockstep=True, delivery=Delivery.EPISODE))
    policy = learner.roster.policy
    assert policy is not None
    generator = np.random.default_rng(4)
    for weight in policy.network.weights:
        weight += 0.2 * generator.standard_normal(weight.shape).astype(weight.dtype)
    if policy.moments is not None:
        policy.moments.add(3.0 + 2.0 * generator.standard_normal((50, inputs)))
    return policy


def greedy(policy: Policy, rows: np.ndarray, memory: np.ndarray | None) -> np.ndarray:
    passes = make_passes(policy.network, len(rows), 0, memory)
    if policy.moments is not None:
        rows = policy.moments.normalised(rows)
    return policy.head.to_action(policy.head.greedy(passes.run(rows, None, 0.0)[0].copy()))


def bundle_of(policy: Policy, folder: Path, **more: Any) -> Path:
    content = policy_graph(policy).SerializeToString()
    (folder / 'policy.onnx').write_bytes(content)
    memory = policy.network.memory_size
    names: dict[str, Any] = {'memory': 'memory', 'new_memory': 'new_memory'} if memory else {}
    manifest = PolicyManifest(
        task='a',
        observation=ObservationManifest(
            size=policy.network.spec.inputs, meaning=tuple(policy.manifest.splitlines())
        ),
        action=ActionManifest.of(policy.space),
        graph=GraphManifest(sha256=digest(content), **names),
        **more,
    )
    write_manifest(manifest, folder)
    return folder


@pytest.mark.parametrize(
    'network', ['dense', 'normalised', 'spiking', 'spiking, normalised', 'torch, convolutional']
)
def test_every_form_scales_bytes_as_the_learner_does(network: str, tmp_path: Path) -> None:
    space = SPACES['continuous']
    policy = policy_of(network, space)
    rows = np.random.default_rng(6).integers(0, 256, (200, INPUTS), np.uint8)
    expected = greedy(policy, network_input(rows, policy.network.dtype), None)
    policy.network.observation_format = ObservationFormat.UINT8
    played = OnnxPolicy(bundle_of(policy, tmp_path))
    numbers = rows.astype(np.float32)
    received = [played.act(rows, played.new_memory(200))[0]]
    if network.startswith('spiking'):
        (tmp_path / 'policy.nir').write_bytes(nir_file(policy))
        received.append(run_nir(tmp_path / 'policy.nir', numbers, space))
    else:
        (tmp_path / 'policy.pt').write_bytes(policy_script(policy))
        received.append(run_script(tmp_path / 'policy.pt', numbers, 0))
    for actions in received:
        apart = np.sort(np.abs(actions - expected).max(axis=1))
        assert apart[-3] < 1e-5, 'of a spike at the threshold, rounding decides'


def test_a_policy_of_bytes_is_not_played_on_numbers() -> None:
    spec = EnvSpec(1, INPUTS, SPACES['discrete'])
    manifest = PolicyManifest(
        task='a',
        observation=ObservationManifest(size=INPUTS, format='uint8'),
        action=ActionManifest.of(SPACES['discrete']),
        graph=GraphManifest(),
    )
    with pytest.raises(ShapeError, match='observations of float32, the policy expects uint8'):
        manifest.check('a', spec)


def test_weights_and_biases_are_views_of_what_the_network_keeps() -> None:
    network = policy_of('dense', SPACES['discrete']).network
    observation = np.ones((1, INPUTS), np.float32)
    (weight, bias), *_ = network.layers
    assert bias is not None
    expected = make_passes(network, 1, 0, None).run(observation, None, 0.0).copy()
    # Of an input that is 1, a weight is a bias.
    weight[:, 0] += bias
    bias[:] = 0.0
    found = make_passes(network, 1, 0, None).run(observation, None, 0.0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    no_bias = policy_of('no hidden layer', SPACES['discrete']).network
    assert no_bias.layers[0][1] is None


@pytest.mark.parametrize('space', SPACES)
@pytest.mark.parametrize('network', NETWORKS)
def test_the_graph_gives_the_greedy_actions_of_the_learner(
    network: str, space: str, tmp_path: Path
) -> None:
    """On 1,000 observations in several steps, so that what is remembered is compared too."""
    if network.startswith('torch') and network != 'torch, dense' and space != 'continuous':
        pytest.skip('the head is the same for all modules, and torch needs seconds for each')
    policy = policy_of(network, SPACES[space])
    played = OnnxPolicy(bundle_of(policy, tmp_path))
    size = policy.network.memory_size
    memory = np.zeros((250, size), policy.network.dtype) if size else None
    remembered = played.new_memory(250)
    generator = np.random.default_rng(5)
    for _ in range(4):
        rows = generator.standard_normal((250, INPUTS)).astype(np.float32)
        expected = greedy(policy, rows, memory)
        received, remembered = played.act(rows, remembered)
        assert received.dtype == expected.dtype
        if space == 'continuous':
            np.testing.assert_allclose(received, expected, atol=1e-5)
        else:
            assert np.mean(received != expected) <= 0.002
        if memory is not None:
            np.testing.assert_allclose(remembered, memory, atol=1e-5)


@pytest.mark.parametrize('network', ['dense', 'normalised', 'torch, dense', 'torch, recurrent'])
def test_the_script_gives_the_greedy_actions_of_the_learner(network: str, tmp_path: Path) -> None:
    policy = policy_of(network, SPACES['continuous'])
    file = tmp_path / 'policy.pt'
    file.write_bytes(policy_script(policy))
    rows = np.random.default_rng(5).standard_normal((100, INPUTS)).astype(np.float32)
    size = policy.network.memory_size
    memory = np.zeros((100, size), policy.network.dtype) if size else None
    expected = greedy(policy, rows, memory)
    np.testing.assert_allclose(run_script(file, rows, size), expected, atol=1e-5)


def test_spiking_neurons_have_no_script() -> None:
    with pytest.raises(ConfigError, match='have no TorchScript.*--format onnx'):
        policy_script(policy_of('spiking', SPACES['discrete']))


@pytest.mark.parametrize('space', SPACES)
@pytest.mark.parametrize(
    'network', ['spiking', 'spiking briefly', 'spiking, normalised', 'no hidden layer']
)
def test_the_nir_graph_gives_the_greedy_actions_of_the_learner(
    network: str, space: str, tmp_path: Path
) -> None:
    """A spike at the threshold to rounding changes an action; it is rare."""
    policy = policy_of(network, SPACES[space])
    file = tmp_path / 'policy.nir'
    file.write_bytes(nir_file(policy))
    rows = np.random.default_rng(5).standard_normal((1000, INPUTS)).astype(np.float32)
    expected = greedy(policy, rows, None)
    received = run_nir(file, rows, policy.space)
    assert received.dtype == expected.dtype
    apart = np.abs(received - expected).max(axis=1)
    assert np.mean(apart > 1e-5) <= 0.002
    assert len(np.unique(expected, axis=0)) > 1


def test_a_neuron_of_nir_fires_as_computed_by_hand(tmp_path: Path) -> None:
    """Decay 0.5, input 0.75: v = 0.75, 1.125 (fires, 0.125 stays), 0.8125, 1.15625 (fires)."""
    learner = Learner(
        learner_settings(hidden_sizes=(1,), neuron='spiking', **{
            'network.options.steps': 4, 'network.options.decay': 0.5,
        })
    )  # fmt: skip
    spec = EnvSpec(1, 1, ActionSpace.continuous((-1.0,), (1.0,)))
    learner.join(AgentInfo('a', 1, spec, lockstep=True, delivery=Delivery.EPISODE))
    policy = learner.roster.policy
    assert policy is not None
    policy.network.weights[0][:] = 0.75
    policy.network.weights[1][:] = 0.5
    file = tmp_path / 'policy.nir'
    file.write_bytes(nir_file(policy))
    # Two spikes in four steps, weighed by 0.5.
    assert run_nir(file, np.ones((1, 1)), policy.space) == [[0.25]]
    graph = nir.read(str(file))
    assert (int(graph.metadata['steps']), float(graph.metadata['dt'])) == (4, 1.0)
    assert ('reset_0', 'membrane_0') in graph.edges


def test_no_type_of_node_in_nir_has_two_slopes() -> None:
    """docs/export.md derives from this list why leaky rectifiers are refused."""
    linear = {'Affine', 'Linear', 'Scale', 'Conv1d', 'Conv2d', 'AvgPool2d', 'SumPool2d', 'Flatten'}
    linear |= {'Delay', 'I', 'LI', 'CubaLI'}
    binary = {'Threshold', 'IF', 'LIF', 'CubaLIF'}
    graphs = {'Input', 'Output', 'NIRGraph', 'NIRNode'}
    known = {name for name in nir.ir.__all__ if isinstance(getattr(nir.ir, name), type)}
    assert known == linear | binary | graphs


def test_leaky_rectifiers_have_no_nir_graph() -> None:
    with pytest.raises(ConfigError, match='hidden neurons are leaky rectifiers.*expected.*spiking'):
        nir_file(policy_of('dense', SPACES['continuous']))


def test_averaged_weights_are_exported_since_the_learner_acts_by_them_without_noise() -> None:
    settings = learner_settings(seed=3, hidden_sizes=(8,), averaging=50)
    learner = Learner(settings)
    spec = EnvSpec(1, INPUTS, SPACES['continuous'])
    learner.join(AgentInfo('a', 1, spec, lockstep=True, delivery=Delivery.EPISODE))
    network = learner.roster.policy.network  # type: ignore[union-attr]
    for weight in network.weights:
        weight += 1.0
    run: Any = SimpleNamespace(learner=settings)
    exported = export._policy_of(run, learner.snapshot())
    rows = np.random.default_rng(5).standard_normal((50, INPUTS)).astype(np.float32)
    expected = CallablePolicy(settings, learner.snapshot())(rows)
    np.testing.assert_allclose(greedy(exported, rows, None), expected, atol=1e-6)
    assert np.abs(greedy(replace(exported, network=network), rows, None) - expected).max() > 0.01


def info_of(spec: EnvSpec, session: int = 1, **more: Any) -> AgentInfo:
    return AgentInfo('a', session, spec, lockstep=True, delivery=Delivery.EPISODE, **more)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    policy = policy_of('dense', SPACES['continuous'])
    return bundle_of(policy, tmp_path_factory.mktemp('bundle'), control_period_s=0.04)


SPEC = EnvSpec(2, INPUTS, SPACES['continuous'], manifest='joint a, rad\njoint b, rad')


@pytest.mark.parametrize(
    ('spec', 'words'),
    [
        (replace(SPEC, observation_size=5), 'has 5 observations .* expects 32'),
        (replace(SPEC, action=ActionSpace.continuous((-1.0,), (1.0,))), 'the policy expects 32'),
        (
            replace(SPEC, manifest='joint b, rad\njoint a, rad'),
            'learned with "joint a, rad", received "joint b, rad"',
        ),
        (replace(SPEC, manifest='joint a, deg\njoint b, rad'), 'received "joint a, deg"'),
        (replace(SPEC, control_period_s=0.08), 'acts every 0.08 s, the policy learned with 0.04'),
    ],
)
def test_a_robot_that_does_not_fit_is_refused_with_both_sides(
    folder: Path, spec: EnvSpec, words: str
) -> None:
    player = Player(OnnxPolicy(folder), 5)
    with pytest.raises(ShapeError, match=words):
        player.introduce(info_of(spec))
    with pytest.raises(ProtocolError, match='has not introduced itself'):
        player.answer(state_of(info_of(SPEC), 0))


def test_a_state_that_comes_again_gets_the_same_answer(folder: Path) -> None:
    player, info = Player(OnnxPolicy(folder), 5), info_of(SPEC)
    assert player.introduce(info)
    assert not player.introduce(info)
    first = player.answer(state_of(info, 3))
    assert player.answer(state_of(info, 3)) is first
    later = player.answer(state_of(info, 6))
    assert (later.sequence, later.learner, later.session) == (6, 5, 1)
    with pytest.raises(ProtocolError, match='state 4 came after state 6'):
        player.answer(state_of(info, 4))
    with pytest.raises(InvalidValueError, match='expected finite numbers'):
        player.answer(state_of(info, 7, observation=np.full((2, INPUTS), np.nan)))
    assert dict(player.counters) == {
        'duplicate_states': 1, 'lost_states': 2, 'out_of_order_states': 1,
    }  # fmt: skip
    # A new session begins anew; a goodbye of the old one changes nothing.
    assert player.knows('a', 1) and not player.knows('a', 2)
    assert player.introduce(info_of(SPEC, session=2))
    assert player.knows('a', 2) and not player.knows('a', 1)
    player.introduce(info_of(SPEC, session=1, active=False))
    assert player.answer(state_of(info_of(SPEC, session=2), 0)).session == 2
    player.introduce(info_of(SPEC, session=2, active=False))
    assert player.agents == []


def test_each_instance_forgets_when_its_episode_begins(tmp_path: Path) -> None:
    policy = policy_of('torch, recurrent', SPACES['continuous'])
    player, info = Player(OnnxPolicy(bundle_of(policy, tmp_path)), 5), info_of(SPEC)
    player.introduce(info)
    same = np.ones((2, INPUTS), np.float32)
    first = player.answer(state_of(info, 0, phase=Phase.FIRST, observation=same)).action
    second = player.answer(state_of(info, 1, observation=same)).action
    assert np.abs(second - first).max() > 1e-3
    phases = [Phase.FIRST, Phase.MID]
    third = player.answer(state_of(info, 2, phase=phases, observation=same)).action
    np.testing.assert_array_equal(third[0], first[0])
    assert np.abs(third[1] - first[1]).max() > 1e-3


def foreign(folder: Path, action: dict[str, Any], width: int, value: float) -> Path:
    """A graph as another library writes it: names of its own, and nothing scaled or clipped."""
    rows = helper.make_tensor_value_info('obs', TensorProto.FLOAT, ['batch', 3])
    out = helper.make_tensor_value_info('mean', TensorProto.FLOAT, ['batch', width])
    weight = np.zeros((3, width), np.float32)
    weight[0] = value * np.arange(1, width + 1)
    constant = helper.make_tensor('w', TensorProto.FLOAT, weight.shape, weight.ravel())
    node = helper.make_node('MatMul', ['obs', 'w'], ['mean'])
    graph = helper.make_graph([node], 'foreign', [rows], [out], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])
    model.ir_version = 8
    onnx.save(model, folder / 'actor.onnx')
    text = {
        'observation': {'size': 3},
        'action': action,
        'graph': {
            'file': 'actor.onnx', 'observation': 'obs', 'action': 'mean', 'scaled': False,
        },
    }  # fmt: skip
    (folder / 'manifest.yaml').write_text(yaml.safe_dump(text))
    return folder


def test_a_policy_of_another_library_plays_with_a_manifest_by_hand(tmp_path: Path) -> None:
    """Real actions from -1 to 1 are scaled and clipped; of choices the largest number is taken."""
    rows = np.array([[0.5, 0.0, 0.0], [9.0, 0.0, 0.0]], np.float32)
    real = {'kind': 'continuous', 'low': [0.0, -2.0], 'high': [4.0, 2.0]}
    played = OnnxPolicy(foreign(tmp_path, real, 2, 0.5))
    action, _ = played.act(rows, played.new_memory(2))
    np.testing.assert_allclose(action, [[2.5, 1.0], [4.0, 2.0]])
    chosen = OnnxPolicy(foreign(tmp_path, {'kind': 'multi_discrete', 'sizes': [2, 3]}, 5, -1.0))
    action, _ = chosen.act(rows, chosen.new_memory(2))
    assert action.tolist() == [[0, 0], [0, 0]]
    wrong = OnnxPolicy(foreign(tmp_path, {'kind': 'continuous', 'low': [0], 'high': [1]}, 2, 1.0))
    with pytest.raises(ShapeError, match='gives 2 values .* the manifest says 1'):
        wrong.act(rows, wrong.new_memory(2))


def damaged(folder: Path, change: str) -> None:
    manifest = folder / 'manifest.yaml'
    content = yaml.safe_load(manifest.read_text())
    graph = folder / 'policy.onnx'
    if change == 'no manifest':
        manifest.unlink()
        return
    if change == 'no graph':
        graph.unlink()
    elif change == 'truncated':
        graph.write_bytes(graph.read_bytes()[:-40])
    elif change == 'no graph at all':
        graph.write_bytes(b'hello')
        content['graph']['sha256'] = ''
    elif change == 'later':
        content['format'] = 99
    elif change == 'unknown':
        content['observations'] = content.pop('observation')
    elif change == 'bounds':
        content['action']['high'] = [1.0]
    elif change == 'size':
        content['observation']['size'] = 7
    elif change == 'names':
        content['graph']['action'] = 'mean'
    manifest.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ('no manifest', 'expected a bundle'),
        ('no graph', 'cannot be read'),
        ('truncated', 'is not the file that the manifest was written for'),
        ('no graph at all', 'is no ONNX graph'),
        ('later', 'has format 99'),
        ('unknown', 'observations'),
        ('bounds', 'low and high of equal length'),
        ('size', 'takes 32 observations, the manifest says 7'),
        ('names', r"has the outputs \['action'\], the manifest names \['mean'\]"),
    ],
)
def test_a_damaged_bundle_is_refused(tmp_path: Path, change: str, words: str) -> None:
    damaged(bundle_of(policy_of('dense', SPACES['continuous']), tmp_path), change)
    with pytest.raises(ConfigError, match=words):
        OnnxPolicy(tmp_path)


def test_a_manifest_is_read_as_it_was_written(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.meaning == 'joint a, rad\njoint b, rad'
    assert manifest.action.space == SPACES['continuous']
    assert manifest.control_period_s == 0.04
