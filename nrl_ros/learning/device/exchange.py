"""From a learner to its copy on a device, and back: what a checkpoint holds of either."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nrl_ros.learning.device.learning import DeviceLearning
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.learner_state import LearnerState
from nrl_ros.learning.optimisers.adam import Adam


def to_device(learner: Learner, agent: str, device: DeviceLearning) -> None:
    """Let a device continue where a learner stands.

    Args:
        learner: serves the agent.
        agent: name of the environment.
        device: learns from now on.
    """
    parts, served = learner.parts, learner.served(agent)
    assert parts.roster.policy is not None and served is not None
    network, state = parts.roster.policy.network, parts.update.state
    device.weights.copy_(_flat(network.weights))
    if device.averaged is not None and network.averaged is not None:
        device.averaged.copy_(_flat(network.averaged.weights))
    device.counts['updates'].fill_(state.updates)
    optimiser = state.optimiser
    if isinstance(optimiser, Adam) and optimiser.state.first:
        for name, own in device.moments.items():
            saved = getattr(optimiser.state, name)
            own.copy_(_flat(saved) if isinstance(saved, list) else torch.tensor(saved))
    device.errors.baseline.copy_(torch.from_numpy(served.state.baseline))
    device.errors.known.copy_(torch.from_numpy(served.state.baseline_known))


def to_learner(device: DeviceLearning, learner: Learner, agent: str) -> None:
    """Bring a learner to where a device stands, so that it can be saved and go on elsewhere.

    Args:
        device: has learned.
        learner: serves the agent; its windows are not open.
        agent: name of the environment.
    """
    parts, served = learner.parts, learner.served(agent)
    assert parts.roster.policy is not None and served is not None
    network, state = parts.roster.policy.network, parts.update.state
    shapes = network.spec.shapes
    for weight, new in zip(network.weights, _parts(device.weights, shapes), strict=True):
        weight[...] = new
    if network.averaged is not None and device.averaged is not None:
        averaged = _parts(device.averaged, shapes)
        for weight, new in zip(network.averaged.weights, averaged, strict=True):
            weight[...] = new
    optimiser = state.optimiser
    if isinstance(optimiser, Adam):
        for name, own in device.moments.items():
            setattr(optimiser.state, name, _parts(own, shapes) if own.dim() else int(own))
    served.state.baseline[:] = device.errors.baseline.cpu().numpy()
    served.state.baseline_known[:] = device.errors.known.cpu().numpy()
    _count(device, parts)


def _count(device: DeviceLearning, parts: LearnerState) -> None:
    """Take over sums of a device that have not been taken over so far."""
    counts = {name: int(value) for name, value in device.counts.items()}
    before, device.told = device.told, counts
    new = {name: value - before.get(name, 0) for name, value in counts.items()}
    state = parts.update.state
    state.updates = counts['updates']
    state.windows_learned += new['windows']
    silent, *sums = device.tally.sums.tolist()
    parts.update.rpes.add_sums(int(silent), *sums)
    device.tally.sums.zero_()
    parts.counters['rejected_updates'] += new['rejected_updates']
    parts.steps += new['steps']


def _flat(arrays: list[Any]) -> torch.Tensor:
    return torch.cat([torch.from_numpy(np.ascontiguousarray(array)).flatten() for array in arrays])


def _parts(flat: torch.Tensor, shapes: list[Any]) -> list[Any]:
    """Return copies of the parts of a tensor as arrays of numpy, by layer."""
    found, at, numbers = [], 0, flat.cpu().numpy()
    for shape in shapes:
        size = int(np.prod(shape))
        found.append(numbers[at : at + size].reshape(shape).copy())
        at += size
    return found
