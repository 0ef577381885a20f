"""Makes networks, dense ones and torch modules, fresh or from saved weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import CheckpointError, ConfigError
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec, xavier_normal
from nrl_ros.learning.networks.passes import NETWORKS
from nrl_ros.learning.networks.settings import NetworkSettings

Array = NDArray[Any]

_MODULES = 'nrl_ros.learning.networks.modules.network'
# Settings that only one kind of network has.
_OF_TORCH = ('factory', 'initial', 'frozen', 'device')
_OF_DENSE = ('neuron',)


def check_network(settings: NetworkSettings) -> None:
    """Check that there is such a network, with such options.

    Raises:
        ConfigError: neurons or factory are not known, an option is unknown, of another type or out
            of range, or a setting is of the other kind of network.
    """
    other = _OF_DENSE if settings.kind == 'torch' else _OF_TORCH
    given = sorted(settings.model_fields_set & set(other))
    changed = [name for name in given if getattr(settings, name) != getattr(_DEFAULTS, name)]
    if changed:
        remedy = (
            'give the factory options instead, as network.options.NAME'
            if settings.kind == 'torch'
            else 'set network.kind: torch, or leave it away'
        )
        raise ConfigError(
            f'network.{changed[0]}: is not used by network.kind {settings.kind!r}; {remedy}'
        )
    if settings.kind == 'torch':
        _modules().check_factory(settings)
    else:
        NETWORKS.check(settings.neuron, settings.options)


_DEFAULTS = NetworkSettings()


def _modules() -> Any:
    """Return the module that knows torch, which is imported only where a network asks for it."""
    try:
        return import_module(_MODULES)
    except ModuleNotFoundError as error:
        if error.name != 'torch':
            raise
        raise ConfigError(
            "network.kind 'torch': torch is not installed, expected it: python -m pip install torch"
        ) from error


def new_network(
    settings: NetworkSettings,
    inputs: int,
    outputs: int,
    seed: int,
    *,
    shape: tuple[int, ...] = (),
) -> Network:
    """Make a network with fresh weights.

    Args:
        settings: of the network.
        inputs: observation size O.
        outputs: parameters of the policy head.
        seed: fixes the weights.
        shape: of one observation, where the environment says it; empty: a row of O numbers.

    Raises:
        ConfigError: no such network can be made.
    """
    if settings.kind == 'torch':
        made: Network = _modules().make_module_network(settings, inputs, outputs, seed, shape=shape)
        return made
    spec = NetworkSpec.of(settings, inputs, outputs)
    generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed)))
    weights = xavier_normal(spec, generator, np.dtype(settings.precision))
    weights[-1] *= weights[-1].dtype.type(settings.output_scale)
    return Network(spec, weights)


def saved_network(
    settings: NetworkSettings,
    sizes: tuple[int, int],
    weights: Sequence[Any],
    fixed: Mapping[str, Any],
    *,
    shape: tuple[int, ...] = (),
) -> Network:
    """Make a network of saved weights.

    Args:
        settings: of the network.
        sizes: inputs and outputs.
        weights: as saved.
        fixed: other arrays that the outputs depend on, by name.
        shape: of one observation, as in ``new_network``.

    Raises:
        CheckpointError: weights, number format or values do not fit.
    """
    arrays = [np.array(weight) for weight in weights]
    if any(weight.dtype != settings.precision for weight in arrays):
        raise CheckpointError(
            f'the checkpoint has weights of {[str(w.dtype) for w in arrays]}, '
            f'expected {settings.precision}'
        )
    if not all(np.isfinite(weight).all() for weight in arrays):
        raise CheckpointError('the checkpoint has weights that are not finite')
    if settings.kind != 'torch':
        return Network(NetworkSpec.of(settings, *sizes), arrays)
    # What the file of the first weights has is in the checkpoint too, so the file may be gone.
    made: Any = _modules().make_module_network(
        settings.model_copy(update={'initial': ''}), *sizes, 0, shape=shape
    )
    expected = [weight.shape for weight in made.weights]
    received = [weight.shape for weight in arrays]
    if expected != received:
        raise CheckpointError(f'the checkpoint has weights {received}, the module has {expected}')
    for weight, saved in zip(made.weights, arrays, strict=True):
        weight[...] = saved
    made.set_fixed(fixed)
    made.changed()
    network: Network = made
    return network
