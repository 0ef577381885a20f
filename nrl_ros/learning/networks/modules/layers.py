"""Layers of a torch module that take noise: which they are, and what a trace of them stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.grad import conv2d_weight

from nrl_ros.base.errors import ConfigError
from nrl_ros.learning.networks.feed_forward import NetworkSpec

Array = NDArray[Any]
Tensor = torch.Tensor


@dataclass(frozen=True)
class Layer:
    """One layer with weights, whose output takes noise.

    Attributes:
        name: in the module, such as ``body.0``.
        kind: of torch, such as ``Linear``.
        input: shape of the input of one row.
        output: shape of the output of one row.
        weights: shapes of its parameters that learn.
    """

    name: str
    kind: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    weights: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ModuleSpec(NetworkSpec):
    """Sizes of a torch module, in the terms of ``NetworkSpec``.

    Noise components are the outputs of all layers with weights, side by side in the order in which
    the module calls them; input components are the inputs of these layers.

    Attributes:
        layers: that take noise and learn.
        memory: numbers that an instance remembers from one step to the next.
        modules: of torch, one for each layer.
    """

    outer: ClassVar[bool] = False
    layers: tuple[Layer, ...] = ()
    memory: int = 0
    modules: tuple[nn.Module, ...] = field(default=(), compare=False, repr=False)

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:  # type: ignore[override]
        """Shape of each parameter that learns, layer by layer."""
        return [shape for layer in self.layers for shape in layer.weights]

    @cached_property
    def widths(self) -> list[int]:
        """Noisy outputs of the layer of each parameter."""
        return [
            int(np.prod(layer.output)) for layer in self.layers for _ in range(len(layer.weights))
        ]

    @cached_property
    def noise_slices(self) -> list[slice]:
        """Slice of each layer's outputs among all N noisy ones."""
        return _slices([int(np.prod(layer.output)) for layer in self.layers])

    @cached_property
    def input_slices(self) -> list[slice]:
        """Slice of each layer's inputs among all M."""
        return _slices([int(np.prod(layer.input)) for layer in self.layers])

    @cached_property
    def noise_components(self) -> int:
        """N, outputs that take noise."""
        return int(self.noise_slices[-1].stop)

    @cached_property
    def input_components(self) -> int:
        """M, inputs of all layers."""
        return int(self.input_slices[-1].stop)

    def add_products(self, total: list[Array], post: Array, pre: Array) -> None:
        """Add each layer's vector-Jacobian product at its own inputs, summed over the rows.

        No gradient crosses a layer. Since the output of a layer is linear in its weights, the
        product does not depend on them.

        Args:
            total: one array of ``shapes`` each; changed.
            post: cotangents [R, N].
            pre: inputs [R, M].
        """
        rows, at = len(post), 0
        for index, layer in enumerate(self.layers):
            parts = [torch.from_numpy(part) for part in total[at : at + len(layer.weights)]]
            at += len(layer.weights)
            module = self.modules[index]
            device = next(module.parameters()).device
            cotangent = torch.from_numpy(post[:, self.noise_slices[index]]).to(device)
            given = torch.from_numpy(pre[:, self.input_slices[index]]).to(device)
            if type(module) is nn.Linear and len(layer.input) == 1:
                _add_linear(parts, module, cotangent, given)
                continue
            shaped = cotangent.reshape(rows, *layer.output), given.reshape(rows, *layer.input)
            for part, gradient in zip(parts, _pull_back(module, *shaped), strict=True):
                part += gradient.to(part.device)


def _slices(sizes: Sequence[int]) -> list[slice]:
    return [slice(start, end) for start, end in pairwise(accumulate(sizes, initial=0))]


def learning_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a layer itself that are not frozen."""
    return [p for p in module.parameters(recurse=False) if p.requires_grad]


def _add_linear(parts: list[Tensor], module: nn.Linear, cotangent: Tensor, given: Tensor) -> None:
    for part, parameter in zip(parts, learning_parameters(module), strict=True):
        if parameter is not module.weight:
            part += cotangent.sum(0).to(part.device)
        elif part.device == cotangent.device:
            part.addmm_(cotangent.T, given)
        else:
            part += (cotangent.T @ given).to(part.device)


def _pull_back(module: nn.Module, cotangent: Tensor, given: Tensor) -> tuple[Tensor, ...]:
    """Return the vector-Jacobian product of one layer with respect to its own parameters."""
    parameters = learning_parameters(module)
    if type(module) is nn.Conv2d and _is_plain(module):
        return tuple(
            _of_convolution(module, cotangent, given)
            if parameter is module.weight
            else cotangent.sum((0, 2, 3))
            for parameter in parameters
        )
    with torch.enable_grad():
        # The module's own function, without the hooks that add noise.
        output = module.forward(given)
        return torch.autograd.grad(output, parameters, cotangent)


def _is_plain(module: nn.Conv2d) -> bool:
    return module.padding_mode == 'zeros' and not isinstance(module.padding, str)


def _of_convolution(module: nn.Conv2d, cotangent: Tensor, given: Tensor) -> Tensor:
    """Return the product of the weights, without the pass that autograd needs before it."""
    settings = module.stride, module.padding, module.dilation, module.groups
    product: Tensor = conv2d_weight(given, module.weight.shape, cotangent, *settings)  # type: ignore[no-untyped-call]
    return product


Hook = Callable[[int, Tensor, Tensor], 'Tensor | None']


class Hooks:
    """What happens at the layers while a module runs: at most one hook at a time."""

    def __init__(self) -> None:
        self._hook: Hook | None = None

    @contextmanager
    def calling(self, hook: Hook) -> Any:
        """Call ``hook(index, input, output)`` after each layer; what it returns replaces output."""
        self._hook = hook
        try:
            yield
        finally:
            self._hook = None

    def put_on(self, modules: Sequence[nn.Module]) -> None:
        """Put the hook onto these layers for ever."""
        for index, module in enumerate(modules):
            module.register_forward_hook(self._at(index))

    def _at(self, index: int) -> Any:
        def called(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Any:
            return None if self._hook is None else self._hook(index, inputs[0], output)

        return called


def find_layers(module: nn.Module, run: Callable[[], Any]) -> list[tuple[Layer, nn.Module]]:
    """Run a module once, and return its layers with weights in the order in which they are called.

    Args:
        module: whose frozen parameters do not require a gradient.
        run: runs it with two rows.

    Raises:
        ConfigError: a parameter would not learn, or a layer is called in a way that noise and
            traces are not made for.
    """
    names = {part: name for name, part in module.named_modules()}
    plastic = [part for part in names if learning_parameters(part)]
    found: list[tuple[Layer, nn.Module]] = []
    for part in plastic:
        _check_kind(names[part], part)

    def called(part: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        _check_call(names[part], part, inputs, output)
        if any(part is known for _, known in found):
            raise ConfigError(
                f'{_label(names[part], part)} is called twice in a step, expected once: its trace '
                'belongs to one input; give each call a layer of its own'
            )
        weights = tuple(tuple(p.shape) for p in learning_parameters(part))
        sizes = tuple(inputs[0].shape[1:]), tuple(output.shape[1:])
        found.append((Layer(names[part], type(part).__name__, *sizes, weights), part))

    handles = [part.register_forward_hook(called) for part in plastic]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    unused = [part for part in plastic if not any(part is known for _, known in found)]
    if unused:
        raise ConfigError(
            f'{_label(names[unused[0]], unused[0])} has weights and is not called in a step, '
            'expected every layer to be used; freeze it by network.frozen, or remove it'
        )
    if not found:
        raise ConfigError(
            f'{type(module).__name__} has no weights that learn, expected at least one layer that '
            'network.frozen leaves plastic'
        )
    return found


def _label(name: str, part: nn.Module) -> str:
    return f'layer {name or "of the module itself"!r} ({type(part).__name__})'


def _check_kind(name: str, part: nn.Module) -> None:
    if isinstance(part, nn.modules.batchnorm._BatchNorm):
        raise ConfigError(
            f'{_label(name, part)} keeps batch statistics, which depend on the other instances: '
            'expected a layer that looks at one row, such as LayerNorm or GroupNorm, or to freeze '
            'it by network.frozen'
        )
    if next(part.children(), None) is not None:
        own = [key for key, p in part.named_parameters(recurse=False) if p.requires_grad]
        raise ConfigError(
            f'{_label(name, part)} has parameters of its own ({", ".join(own)}) beside other '
            'layers: expected parameters in layers without parts, whose outputs take noise; put '
            'them into such a layer, or freeze them by network.frozen'
        )


def _check_call(name: str, part: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
    if not isinstance(output, torch.Tensor) or len(inputs) != 1:
        raise ConfigError(
            f'{_label(name, part)}: expected one tensor in and one out, so that noise can enter '
            f'its output, received {len(inputs)} in and {type(output).__name__} out; build it of '
            'Linear layers, as nrl_ros.learning.networks.modules.ready.GatedCell is'
        )
    rows = inputs[0].shape[0], output.shape[0]
    if rows != (2, 2):
        raise ConfigError(
            f'{_label(name, part)}: expected the rows of the batch along the first axis (2 here), '
            f'received {rows[0]} in and {rows[1]} out; reshape around it, not across rows'
        )
