"""Copies of a policy and of what its updates depend on, put back in place.

The arrays of a policy stay the same ones for ever, since compiled code points at them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nrl_ros.base.state import restore_snapshot, take_snapshot
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.policy import Policy
from nrl_ros.learning.update import LearningStep


def keep(policy: Policy, update: LearningStep) -> dict[str, Any]:
    """Return copies of the acting weights, their mean, the moments, and the optimiser."""
    network, moments = policy.network, policy.moments
    mean = network.averaged
    return {
        'weights': [weight.copy() for weight in network.weights],
        'averaged': None if mean is None else [weight.copy() for weight in mean.weights],
        'moments': None if moments is None else moments.snapshot(),
        'update': _update_data(update),
    }


def put_back(policy: Policy, update: LearningStep, kept: dict[str, Any]) -> None:
    """Act and learn by what was kept; counts of updates go on.

    Raises:
        CheckpointError: it is of another network.
    """
    _write(policy.network, kept['weights'])
    if policy.network.averaged is not None:
        _write(policy.network.averaged, kept['averaged'] or kept['weights'])
    if policy.moments is not None and kept['moments'] is not None:
        policy.moments.restore(kept['moments'])
    reset_candidate(policy, update, kept['update'])


def reset_candidate(policy: Policy, update: LearningStep, update_data: dict[str, Any]) -> None:
    """Let the candidate begin anew at the acting policy, with an optimiser as it was then."""
    state = update.state
    restore_snapshot(
        {'optimiser': state.optimiser, 'schedule': state.schedule}, update_data, 'guard.update'
    )
    if policy.candidate is not None:
        _copy_network(policy.network, policy.candidate)
    if policy.gathered is not None and policy.moments is not None:
        policy.gathered.restore(policy.moments.snapshot())


def approved(policy: Policy, update: LearningStep) -> dict[str, Any]:
    """Let the candidate act from now on, and return the optimiser's state that belongs to it."""
    assert policy.candidate is not None
    _copy_network(policy.candidate, policy.network)
    if policy.gathered is not None and policy.moments is not None:
        policy.moments.restore(policy.gathered.snapshot())
    return _update_data(update)


def relative_change(policy: Policy) -> float:
    """Return how far the candidate is from the acting weights, as a share of their norm [1]."""
    assert policy.candidate is not None
    pairs = zip(policy.network.weights, policy.candidate.weights, strict=True)
    square = sum(float(np.square(new - old, dtype=np.float64).sum()) for old, new in pairs)
    return math.sqrt(square) / max(policy.weight_norm, 1e-300)


def _update_data(update: LearningStep) -> dict[str, Any]:
    state = update.state
    data: dict[str, Any] = take_snapshot({'optimiser': state.optimiser, 'schedule': state.schedule})
    return data


def _copy_network(source: Network, target: Network) -> None:
    _write(target, source.weights)
    if target.averaged is not None and source.averaged is not None:
        _write(target.averaged, source.averaged.weights)


def _write(network: Network, sources: list[Any]) -> None:
    for target, source in zip(network.weights, sources, strict=True):
        np.copyto(target, source)
    network.changed()
