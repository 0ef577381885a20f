"""A greedy policy as TorchScript, for C++ and for torch itself."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError
from nrl_ros.bundles.scaling import Step, action_steps, observation_steps
from nrl_ros.learning.heads import GaussianHead
from nrl_ros.learning.policy import Policy

Array = NDArray[Any]

try:
    import torch
    from torch import nn
except ImportError as error:
    raise ConfigError(f'torch is not installed ({error}): python -m pip install torch') from error

Tensor = torch.Tensor

# The operations of ``scaling.Step``.
_OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    'Cast': lambda rows, numbers: rows.to(numbers.dtype),
    'Sub': torch.subtract,
    'Div': torch.divide,
    'Mul': torch.multiply,
    'Add': torch.add,
    'Max': torch.maximum,
    'Min': torch.minimum,
}


def _dense_module(policy: Policy) -> nn.Module:
    """Return a dense network of the house as a module with the same weights."""
    network = policy.network
    if network.spec.neuron != 'rate':
        raise ConfigError(
            f'neurons {network.spec.neuron!r} have no TorchScript, expected network.neuron rate or '
            'a torch module; use --format onnx'
        )
    parts: list[nn.Module] = []
    for layer, (weight, bias) in enumerate(network.layers):
        if layer:
            parts.append(nn.LeakyReLU(network.spec.leak))
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        linear.weight.data = torch.tensor(weight)
        if bias is not None:
            linear.bias.data = torch.tensor(bias)
        parts.append(linear)
    return nn.Sequential(*parts)


class _Scaling(nn.Module):
    """Steps of ``scaling``; their numbers are buffers, which follow the script to its device."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self._operations = [step.operation for step in steps]
        for at, step in enumerate(steps):
            self.register_buffer(f'numbers_{at}', torch.tensor(step.numbers))

    def forward(self, rows: Tensor) -> Tensor:
        for operation, numbers in zip(self._operations, self.buffers(), strict=True):
            rows = _OPERATIONS[operation](rows, numbers)
        return rows


class _Greedy(nn.Module):
    """Observations to actions, as the graph of ``onnx_graph.policy_graph``."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        network: Any = policy.network
        is_module = network.spec.neuron == 'torch'
        self.network = network.module if is_module else _dense_module(policy)
        self.remembers = network.memory_size > 0
        self.sizes = list(policy.space.sizes)
        self.number_format = torch.float64 if network.dtype == np.float64 else torch.float32
        self.observed = _Scaling(observation_steps(policy))
        self.count, self.acted = 0, _Scaling(())
        if isinstance(policy.head, GaussianHead):
            self.count, self.acted = policy.head.size, _Scaling(action_steps(policy, policy.head))

    def forward(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.observed(observation)
        if self.remembers:
            z, memory = self.network(rows, memory)
        else:
            z = self.network(rows)
        if self.count:
            return self.acted(z[:, : self.count]), memory
        parts = [part.argmax(1, keepdim=True) for part in z.split(self.sizes, 1)]
        return torch.cat(parts, 1).int(), memory


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
