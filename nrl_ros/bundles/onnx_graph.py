"""A greedy policy as an ONNX graph, from observations in the task's units to actions."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import ActionKind
from nrl_ros.bundles.scaling import Step, action_steps, observation_steps
from nrl_ros.learning.heads import GaussianHead
from nrl_ros.learning.networks.spiking import steps_and_decay
from nrl_ros.learning.policy import Policy

Array = NDArray[Any]

OBSERVATION, ACTION = 'observation', 'action'
MEMORY, NEW_MEMORY = 'memory', 'new_memory'
# Read by every onnxruntime from 1.17 on (2024).
_OPSET, _IR = 18, 9
_ROWS = 'rows'


class _Graph:
    """Nodes and constants of a graph, in order.

    Args:
        dtype: of the network.
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._count = 0

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Return the name of a constant."""
        name = f'constant_{len(self.constants)}'
        array = np.ascontiguousarray(value, self.dtype if dtype is None else dtype)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, *inputs: str, output: str = '', **attributes: Any) -> str:
        """Add a node, and return the name of what it computes."""
        if not output:
            self._count += 1
            output = f'{kind.lower()}_{self._count}'
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    @property
    def tensor_type(self) -> int:
        """Number format of the network in ONNX."""
        return TensorProto.DOUBLE if self.dtype == np.float64 else TensorProto.FLOAT


def policy_graph(policy: Policy) -> onnx.ModelProto:
    """Build the graph of the greedy actions of a policy.

    Inputs are ``observation`` float32 [B, O], of bytes numbers from 0 to 255, and, of a network
    that remembers, ``memory`` [B, H], zeros when an episode begins. Outputs are ``action``, int32
    or float32 [B, A], clipped to its bounds, and ``new_memory``.

    Args:
        policy: as learned; its weights are copied.

    Raises:
        ConfigError: the network is of a kind that cannot be exported.
    """
    network, graph = policy.network, _Graph(policy.network.dtype)
    rows = _scaled(graph, OBSERVATION, observation_steps(policy))
    memory = network.memory_size
    if network.spec.neuron == 'torch':
        outputs = _module(graph, policy, rows)
    elif network.spec.neuron == 'rate':
        outputs = _dense(graph, policy, rows)
    elif network.spec.neuron == 'spiking':
        outputs = _spiking(graph, policy, rows)
    else:
        raise ConfigError(
            f'neurons {network.spec.neuron!r} have no graph, expected rate or spiking ones, or a '
            'torch module'
        )
    _act(graph, policy, outputs)
    is_real = policy.space.kind == ActionKind.CONTINUOUS
    sizes = {OBSERVATION: (TensorProto.FLOAT, network.spec.inputs)}
    given = [_value(OBSERVATION, *sizes[OBSERVATION])]
    action = TensorProto.FLOAT if is_real else TensorProto.INT32
    made = [_value(ACTION, action, len(policy.space.low) or len(policy.space.sizes))]
    if memory:
        given.append(_value(MEMORY, graph.tensor_type, memory))
        made.append(_value(NEW_MEMORY, graph.tensor_type, memory))
    body = helper.make_graph(graph.nodes, 'policy', given, made, graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid('', _OPSET)])
    model.ir_version = _IR
    onnx.checker.check_model(model, full_check=True)
    return model


def _value(name: str, kind: int, size: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [_ROWS, size])


def _scaled(graph: _Graph, rows: str, steps: Sequence[Step]) -> str:
    for operation, numbers in steps:
        if operation == 'Cast':
            rows = graph.add('Cast', rows, to=helper.np_dtype_to_tensor_dtype(numbers.dtype))
        else:
            rows = graph.add(operation, rows, graph.constant(numbers, numbers.dtype))
    return rows


def _weighed(graph: _Graph, rows: str, layer: tuple[Array, Array | None]) -> str:
    """Add ``rows W.T + b`` of the weights and the biases of a layer."""
    weight, bias = layer
    product = graph.add('MatMul', rows, graph.constant(weight.T))
    return product if bias is None else graph.add('Add', product, graph.constant(bias))


def _dense(graph: _Graph, policy: Policy, rows: str) -> str:
    network = policy.network
    for place, layer in enumerate(network.layers):
        if place:
            rows = graph.add('LeakyRelu', rows, alpha=float(network.spec.leak))
        rows = _weighed(graph, rows, layer)
    return rows


def _spiking(graph: _Graph, policy: Policy, rows: str) -> str:
    """Add the steps of the membranes one after the other; there are few."""
    steps, factor = steps_and_decay(policy.network)
    *hidden, last = policy.network.layers
    decay, one = graph.constant(factor), graph.constant(1.0)
    activity = [rows] * steps
    for place, layer in enumerate(hidden):
        if place:
            currents = [_weighed(graph, spikes, layer) for spikes in activity]
        else:
            currents = [_weighed(graph, rows, layer)] * steps
        membrane, activity = '', []
        for current in currents:
            if membrane:
                current = graph.add('Add', graph.add('Mul', membrane, decay), current)
            fired = graph.add('GreaterOrEqual', current, one)
            fired = graph.add('Cast', fired, to=graph.tensor_type)
            membrane = graph.add('Sub', current, fired)
            activity.append(fired)
    mean = activity[0]
    if hidden:
        mean = graph.add('Sum', *activity)
        mean = graph.add('Div', mean, graph.constant(float(steps)))
    return _weighed(graph, mean, last)


def _act(graph: _Graph, policy: Policy, outputs: str) -> None:
    if isinstance(policy.head, GaussianHead):
        mean = _columns(graph, outputs, 0, policy.head.size)
        action = _scaled(graph, mean, action_steps(policy, policy.head))
        graph.add('Identity', action, output=ACTION)
        return
    ends = np.cumsum([0, *policy.space.sizes]).tolist()
    parts = []
    for start, end in pairwise(ends):
        part = _columns(graph, outputs, start, end)
        parts.append(graph.add('ArgMax', part, axis=1, keepdims=1))
    choice = parts[0] if len(parts) == 1 else graph.add('Concat', *parts, axis=1)
    graph.add('Cast', choice, to=TensorProto.INT32, output=ACTION)


def _columns(graph: _Graph, rows: str, start: int, end: int) -> str:
    where = [graph.constant([value], np.int64) for value in (start, end, 1)]
    return graph.add('Slice', rows, *where)


def _module(graph: _Graph, policy: Policy, rows: str) -> str:
    """Add the graph that torch makes of a module; return the name of its outputs."""
    network: Any = policy.network
    spec = network.spec
    names = ['module_rows', *([MEMORY] if spec.memory else [])]
    made = ['module_outputs', *([NEW_MEMORY] if spec.memory else [])]
    exported = _exported(network, names, made)
    graph.add('Identity', rows, output=names[0])
    known = {item.name for item in exported.graph.initializer}
    clash = known & {item.name for item in graph.constants}
    assert not clash, clash
    graph.constants.extend(exported.graph.initializer)
    graph.nodes.extend(exported.graph.node)
    return made[0]


def _exported(network: Any, names: Sequence[str], made: Sequence[str]) -> onnx.ModelProto:
    try:
        import torch
    except ImportError as error:
        raise ConfigError(f'a torch module is exported by torch: {error}') from error
    spec = network.spec
    given = [torch.zeros(2, spec.inputs, dtype=network.tensor_type)]
    if spec.memory:
        given.append(torch.zeros(2, spec.memory, dtype=network.tensor_type))
    log = logging.getLogger('torch.onnx')
    level = log.level
    try:
        with warnings.catch_warnings():
            # torch warns of its own ways; what it makes is checked afterwards.
            warnings.simplefilter('ignore')
            log.setLevel(logging.ERROR)
            rows = torch.export.Dim(_ROWS)
            program = torch.onnx.export(
                network.module, tuple(given), input_names=list(names), output_names=list(made),
                dynamic_shapes=tuple({0: rows} for _ in given), opset_version=_OPSET,
                dynamo=True, external_data=False, verbose=False,
            )  # fmt: skip
            assert program is not None
            return program.model_proto
    except ImportError as error:
        raise ConfigError(
            f'a torch module is exported with onnxscript, which is not installed ({error}): '
            'python -m pip install "nrl_ros[export]"'
        ) from error
    except Exception as error:  # of torch's exporter
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f'torch cannot export the module: {first[0]}; expected operations that ONNX has, with '
            'the rows along the first axis'
        ) from error
    finally:
        log.setLevel(level)
