"""The scaling of a policy as plain steps, which each form of a graph writes in its own language."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nrl_ros.base.records import ObservationFormat
from nrl_ros.learning.heads import GaussianHead
from nrl_ros.learning.networks.inputs import LARGEST_BYTE
from nrl_ros.learning.policy import Policy

Array = NDArray[Any]


class Step(NamedTuple):
    """One operation on rows of numbers, with numbers that are the same in every row.

    Attributes:
        operation: named as in ONNX; of ``Cast`` the number format of ``numbers`` is taken.
        numbers: the second operand, one for each column or one for all.
    """

    operation: Literal['Cast', 'Sub', 'Div', 'Mul', 'Add', 'Max', 'Min']
    numbers: Array


def _cast(dtype: DTypeLike) -> Step:
    return Step('Cast', np.zeros((), dtype))


def observation_steps(policy: Policy) -> list[Step]:
    """Return what becomes of observations [B, O] in units of the task, before the network."""
    network, moments = policy.network, policy.moments
    steps = []
    if network.observation_format == ObservationFormat.UINT8:
        steps += [_cast(network.dtype), Step('Div', np.array(LARGEST_BYTE, network.dtype))]
    if moments is not None and moments.state.mean is not None:
        farthest = np.array(moments.farthest)
        steps += [
            # In float64, as the learner computes it.
            _cast(np.float64),
            Step('Sub', moments.state.mean),
            Step('Div', moments.deviation),
            Step('Max', -farthest),
            Step('Min', farthest),
            _cast(np.float32),
        ]
    return [*steps, _cast(network.dtype)]


def action_steps(policy: Policy, head: GaussianHead) -> list[Step]:
    """Return what becomes of the means [B, A], from -1 to 1, so that they are real actions."""
    bounds, dtype = head.bounds, policy.network.dtype
    return [
        # The head's float32 numbers, in the number format of the network as the learner has it.
        Step('Mul', bounds.half_range.astype(dtype)),
        Step('Add', bounds.middle.astype(dtype)),
        Step('Max', bounds.low.astype(dtype)),
        Step('Min', bounds.high.astype(dtype)),
        _cast(np.float32),
    ]
