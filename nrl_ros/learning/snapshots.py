"""Conversion of the learner's network and settings to plain data for checkpoints, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import CheckpointError
from nrl_ros.base.records import ActionKind, ActionSpace, ObservationFormat
from nrl_ros.base.state import restore_snapshot
from nrl_ros.learning.heads import AUTO
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.networks.kinds import saved_network
from nrl_ros.learning.settings import LearnerSettings


def fingerprint(settings: LearnerSettings) -> dict[str, Any]:
    """Return the settings that decide what saved arrays mean."""
    network, policy, rule = settings.network, settings.policy, settings.make_rule()
    found = {
        'hidden': list(network.hidden_sizes),
        'bias': network.bias,
        'leak': network.leak,
        'precision': network.precision,
        'learn_std': policy.learn_std,
        'rule': rule.name,
        'samples': rule.samples,
        'neuron': network.neuron,
        'optimiser': settings.plasticity.optimiser,
        'noise_shape': settings.noise.shape,
        **{name: getattr(rule, name) for name in rule.memory},
    }
    # Empty options are left out, so that checkpoints from before there were options still fit.
    options = {
        'network_options': network.options,
        'policy_options': policy.options,
        'noise_options': settings.noise.options,
    }
    found |= {name: value for name, value in options.items() if value}
    if network.kind == 'torch':
        found |= {'kind': 'torch', 'factory': network.factory, 'frozen': list(network.frozen)}
    if not policy.std_of_state:
        found['std_of_state'] = False
    if network.normalise_observations:
        found['normalise_observations'] = True
    names = 'weight_bits', 'weight_range', 'read_noise', 'update_spread', 'update_asymmetry'
    kept = {name: getattr(network, name) for name in names}
    if any(value for name, value in kept.items() if name != 'weight_range'):
        found |= kept
    return found if policy.head == AUTO else found | {'head': policy.head}


def check_fingerprint(received: dict[str, Any], settings: LearnerSettings) -> None:
    """Refuse the checkpoint of another network.

    Raises:
        CheckpointError: naming what differs.
    """
    expected = fingerprint(settings)
    if expected != received:
        different = {
            key: (received.get(key), expected.get(key))
            for key in expected | received
            if received.get(key) != expected.get(key)
        }
        raise CheckpointError(
            f'the checkpoint is of another network: (received, expected) {different}; '
            'start the learner with the settings of the checkpoint'
        )


def saved_baselines(snapshot: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the running-average rewards that a learner's snapshot carries.

    They are the neuromodulator's, which sends them with its errors: the learner alone knows the
    instant at which weights, averages and environment belong together.

    Returns:
        By agent, ``baseline`` [B] and ``known`` [B], as ``Neuromodulator.resume`` takes them.

    Raises:
        CheckpointError: there are none in it, or they are no such arrays.
    """
    found: dict[str, dict[str, Any]] = {}
    try:
        for name, agent in snapshot['agents'].items():
            averages = {'baseline': agent['baseline'], 'known': agent['baseline_known']}
            count = np.size(averages['baseline'])
            found[name] = {'baseline': np.zeros(count), 'known': np.zeros(count, np.bool_)}
            restore_snapshot(found[name], averages, f'agents.{name}')
    except (AttributeError, LookupError, TypeError) as error:
        raise CheckpointError(
            f'the checkpoint has no baselines: {type(error).__name__}: {error}; it was written by '
            'another version of nrl_ros'
        ) from error
    return found


def weights_digest(snapshot: dict[str, Any]) -> str:
    """Return the SHA-256 of the weights in a learner's snapshot; empty if it has none yet.

    Weights that wait for approval belong to them.
    """
    networks = [snapshot[name] for name in ('network', 'candidate') if snapshot.get(name)]
    return digest_of([weight for network in networks for weight in network['weights']])


def digest_of(weights: Sequence[NDArray[Any]]) -> str:
    """Return the SHA-256 of weight matrices and their shapes; empty if there are none."""
    state = hashlib.sha256()
    for weight in weights:
        state.update(f'{weight.dtype.str}{weight.shape}'.encode())
        state.update(np.ascontiguousarray(weight).data)
    return state.hexdigest() if weights else ''


def network_data(network: Network) -> dict[str, Any]:
    """Return sizes and weights of a network as plain data (copies)."""
    data = {
        'inputs': network.spec.inputs,
        'outputs': network.spec.outputs,
        'weights': [weight.copy() for weight in network.weights],
    }
    if network.observation_shape:
        data['observation_shape'] = list(network.observation_shape)
    if network.observation_format != ObservationFormat.FLOAT32:
        data['observation_format'] = int(network.observation_format)
    fixed = {name: value.copy() for name, value in network.fixed.items()}
    if network.averaged is not None:
        data['averaged'] = [weight.copy() for weight in network.averaged.weights]
    return data | {'fixed': fixed} if fixed else data


def network_of(
    data: dict[str, Any] | None, settings: LearnerSettings, served: Network | None
) -> Network | None:
    """Make the network of ``network_data``; return None if there was none.

    Args:
        data: as saved.
        settings: of the learner that takes it.
        served: the network that acts for its agents, None when there are none.

    Raises:
        CheckpointError: sizes, number format or values do not fit.
    """
    if data is None:
        return None
    sizes = data['inputs'], data['outputs']
    spec = None if served is None else served.spec
    if spec is not None and (spec.inputs, spec.outputs) != sizes:
        raise CheckpointError(
            f'the checkpoint has {sizes[0]} inputs and {sizes[1]} outputs, the learner serves '
            f'{spec.inputs} and {spec.outputs}'
        )
    shape = tuple(data.get('observation_shape', ()))
    kind = ObservationFormat(data.get('observation_format', 0))
    if served is not None and (served.observation_shape, served.observation_format) != (
        shape,
        kind,
    ):
        raise CheckpointError(
            f'the checkpoint has observations of {kind.dtype} {shape}, the learner serves '
            f'{served.observation_format.dtype} {served.observation_shape}'
        )
    network = saved_network(
        settings.network, sizes, data['weights'], data.get('fixed', {}), shape=shape
    )
    network.observation_shape, network.observation_format = shape, kind
    if spec is not None and spec != network.spec:
        raise CheckpointError(f'the checkpoint is of {network.spec}, the learner serves {spec}')
    if settings.plasticity.averaging:
        # A run that has not averaged so far begins with the weights that it has.
        mean = data.get('averaged', data['weights'])
        network.averaged = averaged_network(network, settings, mean)
    return network


def averaged_network(
    network: Network, settings: LearnerSettings, weights: Sequence[Any]
) -> Network:
    """Make a network like another one, for the running mean of its weights.

    Args:
        network: the other one.
        settings: of its learner.
        weights: to begin with; they are copied.

    Raises:
        CheckpointError: the weights do not fit.
    """
    sizes = network.spec.inputs, network.spec.outputs
    averaged = saved_network(
        settings.network, sizes, weights, network.fixed, shape=network.observation_shape
    )
    averaged.observation_shape = network.observation_shape
    averaged.observation_format = network.observation_format
    if averaged.spec != network.spec:
        raise CheckpointError(f'averaged weights of {averaged.spec}, expected {network.spec}')
    return averaged


def space_data(space: ActionSpace | None) -> dict[str, Any] | None:
    """Return an action space as plain data."""
    if space is None:
        return None
    return {
        'kind': int(space.kind),
        'sizes': list(space.sizes),
        'low': list(space.low),
        'high': list(space.high),
    }


def space_of(data: dict[str, Any] | None) -> ActionSpace | None:
    """Return the action space of ``space_data``."""
    if data is None:
        return None
    return ActionSpace(
        ActionKind(data['kind']), tuple(data['sizes']), tuple(data['low']), tuple(data['high'])
    )
