"""A greedy policy as a graph of the Neuromorphic Intermediate Representation (NIR).

NIR describes networks for neuromorphic hardware and its simulators. Its neurons with a reset go to
a fixed potential after a spike; ours keep what exceeds the threshold. Both are leaky integrators,
so a hidden layer is written as a leaky integrator, a threshold, and an edge back by which a spike
of one step takes ``decay`` from the membrane in the next one:

``v[t] = decay v[t-1] + a[t] - decay s[t-1]``,  ``s[t] = 1`` where ``v[t] >= 1``

with v the potential before the reset: exactly the neuron of ``learning/networks/spiking.py``.

References:
    Pedersen, Abreu, Jobst et al. 2024, "Neuromorphic intermediate representation: a unified
    instruction set for interoperable brain-inspired computing", Nature Communications 15, 8122.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import ActionKind, ActionSpace, ObservationFormat
from nrl_ros.learning.heads import PolicySettings, make_head
from nrl_ros.learning.networks.inputs import LARGEST_BYTE
from nrl_ros.learning.networks.spiking import steps_and_decay
from nrl_ros.learning.policy import Policy

try:
    import nir
except ImportError as error:
    raise ConfigError(
        f'nir is not installed ({error}): python -m pip install "nrl_ros[nir]"'
    ) from error

Array = NDArray[Any]

INPUT, OUTPUT = 'input', 'output'
# A threshold of NIR is passed by what is larger; ours by what is equal, too.
_THRESHOLD = float(np.nextafter(np.float32(1.0), np.float32(0.0)))


def nir_graph(policy: Policy) -> nir.NIRGraph:
    """Build the graph of the network's outputs for an observation that is shown for some steps.

    The input takes an observation [O] in the units of the task; the output, averaged over the
    steps, gives one number for each choice, or real actions from -1 to 1. The metadata of the graph
    say ``dt`` (1: Euler steps of this length), ``steps``, and what is done with the output.

    Args:
        policy: as learned; its weights are copied.

    Raises:
        ConfigError: NIR has no form for the network.
    """
    network = policy.network
    hidden = len(network.weights) - 1
    if network.spec.neuron not in ('rate', 'spiking') or (network.spec.neuron == 'rate' and hidden):
        kind = 'leaky rectifiers' if network.spec.neuron == 'rate' else network.spec.neuron
        raise ConfigError(
            f'hidden neurons are {kind}, for which NIR has no exact form; expected network.neuron '
            'spiking, or no hidden layer (network.hidden_sizes: []); use --format onnx'
        )
    steps, decay = steps_and_decay(network) if hidden else (1, 0.0)
    nodes: dict[str, Any] = {INPUT: nir.Input(np.array([network.spec.inputs]))}
    edges, before = [], INPUT
    for layer, (weight, bias) in enumerate(_layers(policy)):
        name = f'weights_{layer}'
        nodes[name] = nir.Affine(weight, bias)
        edges.append((before, name))
        before = name
        if layer < hidden:
            before = _add_neurons(nodes, edges, layer, len(weight), decay)
    nodes[OUTPUT] = nir.Output(np.array([len(nodes[before].bias)]))
    edges.append((before, OUTPUT))
    told = {'dt': 1.0, 'steps': steps, 'output': 'mean over the steps', 'begins': 'at rest'}
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=told)


def _layers(policy: Policy) -> list[tuple[Array, Array]]:
    """Return weights and biases of each layer, with the scaling of observations in the first."""
    network = policy.network
    inner = [
        (weight.copy(), np.zeros(len(weight), weight.dtype) if bias is None else bias.copy())
        for weight, bias in network.layers
    ]
    moments = policy.moments
    if moments is not None and moments.state.mean is not None:
        weight, bias = inner[0]
        scaled = weight / moments.deviation
        inner[0] = scaled, bias - scaled @ moments.state.mean
    if network.observation_format == ObservationFormat.UINT8:
        weight, bias = inner[0]
        inner[0] = weight / LARGEST_BYTE, bias
    if policy.space.kind == ActionKind.CONTINUOUS:
        # What follows the means are deviations of the noise, if they are learned.
        weight, bias = inner[-1]
        inner[-1] = weight[: len(policy.space.low)], bias[: len(policy.space.low)]
    return inner


def _add_neurons(
    nodes: dict[str, Any], edges: list[tuple[str, str]], layer: int, size: int, decay: float
) -> str:
    """Add the neurons of a layer; return the name of the node that gives their spikes."""
    ones = np.ones(size)
    membrane, spikes, reset = (f'{name}_{layer}' for name in ('membrane', 'spikes', 'reset'))
    if decay < 1.0:
        tau = ones / (1.0 - decay)
        nodes[membrane] = nir.LI(tau=tau, r=tau.copy(), v_leak=0.0 * ones)
    else:
        nodes[membrane] = nir.I(r=ones)
    nodes[spikes] = nir.Threshold(_THRESHOLD * ones)
    nodes[reset] = nir.Scale(-decay * ones)
    edges += [
        (f'weights_{layer}', membrane),
        (membrane, spikes),
        (spikes, reset),
        (reset, membrane),
    ]
    return spikes


def nir_file(policy: Policy) -> bytes:
    """Return the file of the graph, in HDF5.

    Raises:
        ConfigError: NIR has no form for the network.
    """
    file = io.BytesIO()
    nir.write(file, nir_graph(policy))
    return file.getvalue()


def run_nir(path: Path, rows: Array, space: ActionSpace) -> Array:
    """Return the greedy actions [B, A] that the graph of a file gives for observations [B, O].

    It reads only what ``nir_graph`` writes; a check that the file says what the learner does.
    """
    graph = nir.read(str(path))
    steps = int(graph.metadata['steps'])
    order = [name for name in graph.nodes if name not in (INPUT, OUTPUT)]
    order.sort(key=_place)
    given: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        given[target].append(source)
    values: dict[str, Any] = {INPUT: rows.astype(np.float64)}
    total: Any = 0.0
    for _ in range(steps):
        for name in order:
            # What comes back from a reset is of the step before, and nothing in the first one.
            current = sum(values.get(source, 0.0) for source in given[name])
            values[name] = _computed(graph.nodes[name], current, values.get(name, 0.0))
        total = total + sum(values[source] for source in given[OUTPUT])
    head = make_head(space, PolicySettings())
    return head.to_action(head.greedy((total / steps).astype(np.float32)))


def _place(name: str) -> tuple[int, int]:
    kind, layer = name.rsplit('_', 1)
    return int(layer), ('weights', 'membrane', 'spikes', 'reset').index(kind)


def _computed(node: Any, current: Any, before: Any) -> Any:
    """Return what a node gives in a step of length 1, from its input and its value before."""
    if isinstance(node, nir.Affine):
        return current @ node.weight.T.astype(np.float64) + node.bias
    if isinstance(node, nir.LI):
        return before + (node.v_leak - before + node.r * current) / node.tau
    if isinstance(node, nir.I):
        return before + node.r * current
    if isinstance(node, nir.Threshold):
        return (current > node.threshold).astype(np.float64)
    assert isinstance(node, nir.Scale), node
    return current * node.scale
