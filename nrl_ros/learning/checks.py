"""Checks of states and reward-prediction errors before the learner uses them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import InvalidValueError, ShapeError
from nrl_ros.base.records import AgentInfo, ObservationFormat, RpeBatch, StateBatch, UInt32

_UINT8 = int(ObservationFormat.UINT8)


def check_state(state: StateBatch, info: AgentInfo) -> None:
    """Refuse a state that does not fit the agent's spaces.

    Raises:
        ShapeError: arrays of another shape, or observations of another number format.
        InvalidValueError: an observation is not finite.
    """
    check_arrays(state, info.spec.instances, info.spec.observation_size)
    expected, is_bytes = info.spec.observation_format, state.observation.itemsize == 1
    if is_bytes != (expected == _UINT8):
        raise ShapeError(
            f'state {state.sequence} of {state.agent!r}: received an observation of '
            f'{state.observation.dtype}, expected {expected.dtype} as its env_info says; start the '
            'environment anew, so that it says what it sends'
        )
    if is_bytes:
        return
    # The sum of squares is one call. If it is not finite, numbers may just be large: look at each.
    if math.isfinite(float(np.vdot(state.observation, state.observation))):
        return
    if not np.isfinite(state.observation).all():
        bad = np.flatnonzero(~np.isfinite(state.observation).all(axis=1))
        raise InvalidValueError(
            f'state {state.sequence} of {state.agent!r}: observation of instance {int(bad[0])} is '
            f'{state.observation[bad[0]].tolist()}, expected finite numbers'
        )


def check_arrays(state: StateBatch, batch: int, size: int) -> None:
    """Refuse a state whose arrays do not have B instances and O observations.

    Raises:
        ShapeError: naming the array.
    """
    if state.observation.shape != (batch, size):
        raise ShapeError(
            f'state {state.sequence} of {state.agent!r}: expected observations {(batch, size)}, '
            f'received {state.observation.shape}'
        )
    alike = (
        (batch,)
        == state.episode.shape
        == state.step.shape
        == state.window.shape
        == state.phase.shape
        == state.ending.shape
        == state.applied.shape
    )
    if not alike:
        names = ('episode', 'step', 'window', 'phase', 'ending', 'applied')
        shapes = {name: getattr(state, name).shape for name in names}
        name = next(name for name in names if shapes[name] != (batch,))
        raise ShapeError(
            f'state {state.sequence} of {state.agent!r}: expected {batch} values of {name}, '
            f'received {shapes[name]}'
        )


def check_sizes(size: int, *arrays: NDArray[Any]) -> None:
    """Refuse arrays that do not have one number for each instance: compiled loops do not check.

    Raises:
        ShapeError: one has another shape.
    """
    for array in arrays:
        if array.shape != (size,):
            raise ShapeError(f'expected arrays of shape ({size},), received {array.shape}')


def check_rpe(rpe: RpeBatch, info: AgentInfo) -> None:
    """Refuse reward-prediction errors that do not fit the agent's instances.

    Raises:
        ShapeError: arrays of unequal length.
        InvalidValueError: not finite, or an instance that does not exist or is named twice.
    """
    count = len(rpe.instance)
    alike = count == len(rpe.episode) == len(rpe.window) == len(rpe.reward)
    if not (alike and count == len(rpe.baseline) == len(rpe.rpe)):
        names = ('episode', 'window', 'reward', 'baseline', 'rpe')
        lengths = {name: len(getattr(rpe, name)) for name in names}
        name = next(name for name, length in lengths.items() if length != count)
        raise ShapeError(
            f'RPE {rpe.sequence} of {rpe.agent!r}: expected {count} values of {name}, '
            f'received {lengths[name]}'
        )
    if not count:
        return
    # The sum of squares is one call. If it is not finite, numbers may just be large: look at each.
    squares = float(np.vdot(rpe.rpe, rpe.rpe)) + float(np.vdot(rpe.baseline, rpe.baseline))
    if not (math.isfinite(squares) or np.isfinite([rpe.rpe, rpe.baseline]).all()):
        raise InvalidValueError(
            f'RPE {rpe.sequence} of {rpe.agent!r}: received rpe {rpe.rpe.tolist()} and baseline '
            f'{rpe.baseline.tolist()}, expected finite numbers'
        )
    check_instances(rpe.instance, info.spec.instances, f'RPE {rpe.sequence} of {rpe.agent!r}')


def check_instances(instance: UInt32, instances: int, what: str) -> None:
    """Refuse indices [K], K at least 1, that are not distinct instances in rising order.

    Raises:
        InvalidValueError: beginning with ``what``.
    """
    if len(instance) > 1 and np.count_nonzero(instance[1:] <= instance[:-1]):
        raise InvalidValueError(f'{what}: instances must be in rising order, each at most once')
    if int(instance[-1]) >= instances:
        raise InvalidValueError(
            f'{what}: instance {int(instance[-1])} does not exist, expected less than {instances}'
        )
