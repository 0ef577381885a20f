"""A greedy policy as TorchScript, for C++ and for torch itself."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.base.records import ActionKind, ObservationFormat
from nrl_ros.learning.networks.inputs import LARGEST_BYTE
from nrl_ros.learning.policy import Policy

Array = NDArray[Any]

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ConfigError(
        f'torch is not installed ({error}): python -m pip install torch'
    ) from error

Tensor = torch.Tensor


def _dense_module(policy: Policy) -> nn.Module:
    """Return a dense network of the house as a module with the same weights."""
    network = policy.network
    if network.spec.neuron != 'rate':
        raise ConfigError(
            f'neurons {network.spec.neuron!r} have no TorchScript, expected network.neuron rate or '
            'a torch module; use --format onnx'
        )
    parts: list[nn.Module] = []
    for layer, weight in enumerate(network.weights):
        if layer:
            parts.append(nn.LeakyReLU(network.spec.leak))
        inputs = weight.shape[1] - network.spec.bias
        linear = nn.Linear(inputs, weight.shape[0], bias=network.spec.bias)
        linear.weight.data = torch.tensor(weight[:, :inputs])
        if network.spec.bias:
            linear.bias.data = torch.tensor(weight[:, -1])
        parts.append(linear)
    return nn.Sequential(*parts)


class _Greedy(nn.Module):
    """Observations to actions, as the graph of ``onnx_graph.policy_graph``."""

    low: Tensor
    high: Tensor
    middle: Tensor
    half_range: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        network: Any = policy.network
        is_module = network.spec.neuron == 'torch'
        self.network = network.module if is_module else _dense_module(policy)
        self.remembers = network.memory_size > 0
        self.real = policy.space.kind == ActionKind.CONTINUOUS
        self.sizes = list(policy.space.sizes)
        self.number_format = torch.float64 if network.dtype == np.float64 else torch.float32
        low, high = np.asarray(policy.space.low), np.asarray(policy.space.high)
        self.count = len(low)
        for name, value in (
            ('low', low),
            ('high', high),
            ('middle', (low + high) / 2.0),
            ('half_range', (high - low) / 2.0),
        ):
            self.register_buffer(name, torch.tensor(value.astype(np.float32)))
        self.bytes = network.observation_format == ObservationFormat.UINT8
        moments = policy.moments
        self.normalises = moments is not None and moments.state.mean is not None
        if moments is not None and self.normalises:
            self.farthest = moments.farthest
            self.register_buffer('mean', torch.tensor(moments.state.mean))
            self.register_buffer('deviation', torch.tensor(moments.deviation))

    def forward(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        rows = observation
        if self.bytes:
            rows = rows.to(self.number_format) / LARGEST_BYTE
        if self.normalises:
            rows = ((rows.double() - self.mean) / self.deviation).clip(
                -self.farthest, self.farthest
            )
            rows = rows.float()
        rows = rows.to(self.number_format)
        if self.remembers:
            z, memory = self.network(rows, memory)
        else:
            z = self.network(rows)
        if not self.real:
            parts = [part.argmax(1, keepdim=True) for part in z.split(self.sizes, 1)]
            return torch.cat(parts, 1).int(), memory
        scaled = self.middle + self.half_range * z[:, : self.count]
        return torch.minimum(torch.maximum(scaled, self.low), self.high).float(), memory


def policy_script(policy: Policy) -> bytes:
    """Return the file of a script with ``forward(observation, memory) -> action, memory``.

    Args:
        policy: as learned.

    Raises:
        ConfigError: the network has no such form.
    """
    greedy = _Greedy(policy).eval()
    size = max(policy.network.memory_size, 1)
    rows = torch.zeros(2, policy.network.spec.inputs)
    given = rows, torch.zeros(2, size, dtype=greedy.number_format)
    file = io.BytesIO()
    trace: Any = torch.jit.trace
    save: Any = torch.jit.save
    with torch.no_grad(), warnings.catch_warnings():
        # torch warns that its newer form is torch.export; this one is what C++ programs load.
        warnings.simplefilter('ignore')
        script: Any = trace(greedy, given, check_trace=False)
        save(script, file)
    return file.getvalue()


def run_script(path: Path, rows: Array, memory: int) -> Array:
    """Return the actions of a script for observations [B, O], with an empty memory."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        load: Any = torch.jit.load
        script = load(str(path))
    kind = next((p.dtype for p in script.parameters()), torch.float32)
    with torch.no_grad():
        remembered = torch.zeros(len(rows), max(memory, 1), dtype=kind)
        action, _ = script(torch.from_numpy(rows), remembered)
    result: Array = action.numpy()
    return result
