"""A torch module as the network of a policy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nrl_ros.base.errors import CheckpointError, ConfigError, NrlError, describe
from nrl_ros.base.registry import Registry
from nrl_ros.base.torch_device import find_device
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.networks.modules import ready
from nrl_ros.learning.networks.modules.layers import (
    Hooks,
    ModuleSpec,
    find_layers,
    learning_parameters,
)
from nrl_ros.learning.networks.modules.passes import ModulePasses
from nrl_ros.learning.networks.passes import AnyPasses
from nrl_ros.learning.networks.settings import NetworkSettings

Array = NDArray[Any]

_PLACE = re.compile(r'[A-Za-z_][\w.]*:[A-Za-z_]\w*')

# Makes a module: called with the number of observations and of outputs, and with its own options.
FACTORIES: Registry[nn.Module] = Registry(
    'network factory',
    'nrl_ros.modules',
    {
        'dense': ready.Dense,
        'convolutional': ready.Convolutional,
        'recurrent': ready.Recurrent,
        'spiking': ready.Spiking,
    },
    arguments=2,
)


class ModuleNetwork(Network):
    """A torch module whose layers with weights take noise and learn.

    On the processor the arrays in ``weights`` share their memory with the parameters of the module.
    On another device they cannot: the module there has copies, which ``changed`` brings up to date.

    Args:
        module: in evaluation mode, on the processor; its frozen parameters do not require a
            gradient.
        inputs: O.
        outputs: n.
        device: on which the module computes from now on.
        copies: the module has copies of ``weights``; None: where the device is not the processor.

    Attributes:
        module: which computes the outputs.
        device: of the module.
        copies: whether the module has copies of ``weights``.
        hooks: what happens at its layers.
        names: of the parameters that learn, in the order of ``weights``.
        parameters: likewise.

    Raises:
        ConfigError: the module is none that can learn by noise, naming why.
    """

    spec: ModuleSpec
    reads_bytes: ClassVar[bool] = True

    def __init__(
        self,
        module: nn.Module,
        inputs: int,
        outputs: int,
        *,
        device: str = 'cpu',
        copies: bool | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.copies = self.device.type != 'cpu' if copies is None else copies
        self.module, self.hooks = module, Hooks()
        memory = int(getattr(module, 'memory_size', 0))
        self.tensor_type = next(module.parameters()).dtype
        given = [torch.zeros(2, size, dtype=self.tensor_type) for size in (inputs, memory) if size]
        found = find_layers(module, lambda: self._try(given, outputs, memory))
        modules = tuple(part for _, part in found)
        self.parameters = [p for part in modules for p in learning_parameters(part)]
        known = {id(p): name for name, p in module.named_parameters()}
        self.names = [known[id(p)] for p in self.parameters]
        layers = tuple(layer for layer, _ in found)
        spec = ModuleSpec(
            inputs, (), outputs, neuron='torch', layers=layers, memory=memory, modules=modules
        )
        super().__init__(spec, [self._on_host(p) for p in self.parameters])
        own = set(self.names)
        kept = {name: part for name, part in module.state_dict().items() if name not in own}
        self.fixed = {name: self._on_host(value) for name, value in kept.items()}
        # Parameters stay the same objects where they are moved.
        module.to(self.device)
        self.hooks.put_on(modules)

    def _try(self, given: Sequence[torch.Tensor], outputs: int, memory: int) -> None:
        with torch.no_grad():
            try:
                out = self.module(*given)
            except NrlError:
                raise
            except Exception as error:  # whatever a person's module raises
                raise ConfigError(
                    f'the module could not be run with rows of {[tuple(g.shape) for g in given]}: '
                    f'{describe(error)}'
                ) from error
        expected = [(2, outputs), (2, memory)] if memory else [(2, outputs)]
        parts = out if isinstance(out, tuple) else (out,)
        received = [tuple(getattr(part, 'shape', ())) for part in parts]
        if received != expected:
            raise ConfigError(
                f'the module returns {received} for two rows of observations, expected {expected}: '
                'a row of outputs, and what is remembered if it has a memory_size'
            )
        if not all(bool(torch.isfinite(part).all()) for part in parts):
            raise ConfigError(
                'the module returns numbers that are not finite for an observation of zeros, '
                'expected finite ones; look at its first weights'
            )

    def _on_host(self, tensor: torch.Tensor) -> Array:
        """Return an array on the processor, which shares the tensor's memory if it can."""
        array: Array = tensor.detach().cpu().numpy()
        return array.copy() if self.copies else array

    def changed(self) -> None:
        """Give the module the weights that were written, where it has copies of them."""
        if not self.copies:
            return
        with torch.no_grad():
            for parameter, weight in zip(self.parameters, self.weights, strict=True):
                parameter.copy_(torch.from_numpy(weight))

    @property
    def memory_size(self) -> int:
        """Numbers that an instance remembers from one step of an episode to the next."""
        return self.spec.memory

    def make_passes(self, instances: int, samples: int, memory: Array | None) -> AnyPasses:
        """Make the working memory for its passes; arguments are those of ``make_passes``.

        Raises:
            ConfigError: the module remembers something, and the rule gives no memory.
        """
        if memory is None and self.memory_size:
            raise ConfigError(
                'the module remembers numbers from step to step, and the rule gives its passes no '
                'memory, expected make_passes(network, batch, samples, self._memory)'
            )
        return ModulePasses(self, instances, samples, memory)

    def set_fixed(self, fixed: Mapping[str, Any]) -> None:
        """Replace the arrays besides the weights.

        Raises:
            CheckpointError: they are of another module.
        """
        expected = {name: value.shape for name, value in self.fixed.items()}
        received = {name: np.shape(value) for name, value in fixed.items()}
        if expected != received:
            raise CheckpointError(f'the checkpoint has {received}, the module has {expected}')
        own = self.module.state_dict()
        for name, value in fixed.items():
            self.fixed[name][...] = value
            if self.copies:
                own[name].copy_(torch.from_numpy(self.fixed[name]))


def _shared(settings: NetworkSettings, shape: tuple[int, ...] = ()) -> dict[str, Any]:
    """Return what factories are given that have arguments of these names."""
    own = {name: getattr(settings, name) for name in ('hidden_sizes', 'bias', 'leak')}
    return own | {'observation_shape': shape}


def _known(factory: str) -> str:
    """Return the name of a factory; one of the form ``package.module:function`` becomes known."""
    if _PLACE.fullmatch(factory) and factory not in FACTORIES.names():
        FACTORIES.add(factory, factory)
    return factory


def make_module_network(
    settings: NetworkSettings,
    inputs: int,
    outputs: int,
    seed: int,
    *,
    shape: tuple[int, ...] = (),
) -> ModuleNetwork:
    """Make a module by its factory.

    Args:
        settings: name the factory, its options, first weights and frozen parts.
        inputs: O.
        outputs: n.
        seed: fixes the first weights.
        shape: of one observation, where the environment says it; empty: a row of O numbers.

    Raises:
        ConfigError: there is no such factory, or its module cannot learn by noise.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        module = FACTORIES.make(
            _known(settings.factory),
            inputs,
            outputs,
            options=settings.options,
            shared=_shared(settings, shape),
        )
    if not isinstance(module, nn.Module):
        raise ConfigError(
            f'network.factory {settings.factory!r}: expected a torch.nn.Module, received a '
            f'{type(module).__name__}'
        )
    module.to(getattr(torch, settings.precision)).eval()
    if settings.initial:
        _load(module, settings.initial)
    _freeze(module, settings.frozen)
    network = ModuleNetwork(module, inputs, outputs, device=settings.device)
    if settings.output_scale != 1.0:
        last = len(network.spec.layers[-1].weights)
        for weight in network.weights[-last:]:
            weight *= weight.dtype.type(settings.output_scale)
        network.changed()
    return network


def check_factory(settings: NetworkSettings) -> None:
    """Check that there is such a factory, with such options.

    Raises:
        ConfigError: there is none, an option is unknown, of another type, or out of range, or the
            device is not there.
    """
    try:
        find_device(settings.device, 'set network.device: cpu')
    except ConfigError as error:
        raise ConfigError(f'network.{error}') from error
    FACTORIES.check(_known(settings.factory), settings.options, _shared(settings))


def _load(module: nn.Module, path: str) -> None:
    """Take first weights from a file of ``torch.save(module.state_dict(), path)``."""
    try:
        # Weights only: a pickled file may run anything.
        saved = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # of files, pickle and torch
        raise ConfigError(
            f'network.initial {path!r}: expected a file that torch.save(module.state_dict(), FILE) '
            f'wrote: {describe(error)}'
        ) from error
    if not isinstance(saved, Mapping):
        raise ConfigError(
            f'network.initial {path!r}: expected a state_dict, received a {type(saved).__name__}'
        )
    own = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    other = {name: tuple(getattr(value, 'shape', ())) for name, value in saved.items()}
    different = {
        name: (other.get(name), own.get(name))
        for name in own | other
        if other.get(name) != own.get(name)
    }
    if different:
        raise ConfigError(
            f'network.initial {path!r}: is of another module: (received, expected) {different}; '
            'give the factory the options with which it was saved'
        )
    module.load_state_dict(saved)


def _freeze(module: nn.Module, prefixes: Sequence[str]) -> None:
    names = [name for name, _ in module.named_parameters()]
    for prefix in prefixes:
        if not any(_is_below(name, prefix) for name in names):
            raise ConfigError(
                f'network.frozen: no parameter begins with {prefix!r}, expected one of {names}'
            )
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(not any(_is_below(name, prefix) for prefix in prefixes))


def _is_below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix.rstrip('.') + '.')
