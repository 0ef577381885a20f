"""Converts actions to the spaces of Gymnasium, and observations from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim, flatten
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError, describe
from nrl_ros.base.records import ActionSpace, Float32, Int32, Observation, ObservationFormat
from sim_bridge.gymnasium_faults import (
    InstanceFault,
    MisfitError,
    as_box,
    observation_fault,
    space_fault,
)
from sim_bridge.gymnasium_options import GymnasiumOptions

Array = NDArray[Any]


class Actions:
    """Converts actions of this package's spaces to the environment's."""

    def __init__(self, space: Any, options: GymnasiumOptions) -> None:
        fault = space_fault(space, 'action space')
        if fault:
            raise ConfigError(f'{options.id}: {fault}')
        self._start: Any = None
        self._shape: tuple[int, ...] = ()
        self._dtype: Any = np.int64
        self._binary = isinstance(space, spaces.MultiBinary)
        if isinstance(space, spaces.Discrete):
            self.space = ActionSpace.discrete(int(space.n))
            self._start = int(space.start)
        elif isinstance(space, spaces.MultiDiscrete):
            self.space = ActionSpace.multi_discrete(tuple(space.nvec.ravel().tolist()))
            self._start, self._shape = space.start.ravel(), space.nvec.shape
            self._dtype = space.dtype
        elif isinstance(space, spaces.MultiBinary):
            self.space = ActionSpace.multi_discrete((2,) * int(np.prod(space.shape)))
            self._start, self._shape, self._dtype = 0, space.shape, space.dtype
        elif isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
            low = np.array(options.action_low or space.low.ravel(), np.float64)
            high = np.array(options.action_high or space.high.ravel(), np.float64)
            size = int(np.prod(space.shape))
            if len(low) != size or len(high) != size or not np.isfinite([low, high]).all():
                raise ConfigError(
                    f'{options.id}: expected {size} finite action bounds, received '
                    f'{low.tolist()} and {high.tolist()}; set bridge.options.action_low and '
                    'bridge.options.action_high'
                )
            self.space = ActionSpace.continuous(tuple(low.tolist()), tuple(high.tolist()))
            self._shape, self._dtype = space.shape, space.dtype
        else:
            raise ConfigError(
                f'{options.id}: action space {space}, expected Discrete, MultiDiscrete, '
                'MultiBinary, or a Box of real numbers'
            )

        self._moves = self._start is not None and bool(np.any(self._start))
        self._single = isinstance(space, spaces.Discrete)

    def convert(self, action: Int32 | Float32, *, many: bool) -> Any:
        """Return actions [B, A] as the environment takes them: an array [B, ...], or a list."""
        if not many and self._single:
            return [self._start + choice for (choice,) in action.tolist()]
        if self._single and not self._moves:
            return action[:, 0].astype(self._dtype)
        moved: Array = action + self._start if self._moves else action
        return moved.astype(self._dtype).reshape(len(action), *self._shape)


class Observations:
    """Converts observations of the environment's space to rows of numbers.

    Args:
        space: of one instance.
        options: say how the numbers are scaled.

    Attributes:
        low: lower bounds [O], scaled.
        high: upper bounds [O], scaled.
        shape: of one observation, row-major; empty: a row of numbers.
        format: bytes of a space of bytes that are not scaled, as images are; else float32.

    Raises:
        ConfigError: the space has no fixed size, or the scaling does not fit it.
    """

    def __init__(self, space: Any, options: GymnasiumOptions) -> None:
        fault = space_fault(space, 'observation space')
        if fault:
            raise ConfigError(f'{options.id}: {fault}')
        low, high = _bounds(space)
        self._space = space
        self._is_box = isinstance(space, spaces.Box)
        # Asking the space takes 0.2 us, and it is needed in every step.
        self._shape: tuple[int, ...] = tuple(space.shape) if self._is_box else ()
        self._offset, self._scale = _scaling(options, low, high)
        self._is_plain = options.scaling == 'none'
        is_bytes = self._is_box and space.dtype == np.uint8 and self._is_plain
        self.format = ObservationFormat.UINT8 if is_bytes else ObservationFormat.FLOAT32
        self.shape = self._shape if len(self._shape) > 1 else ()
        ends = ((low - self._offset) * self._scale, (high - self._offset) * self._scale)
        self.low, self.high = np.minimum(*ends), np.maximum(*ends)

    def convert(self, observations: Any) -> Observation:
        """Return observations of B instances as [B, O], a new array.

        Args:
            observations: one of the space for each instance; of a Box, also an array of all.

        Raises:
            InstanceFault: one of them does not fit the space.
        """
        rows = self._rows(observations)
        return rows if self._is_plain else (rows - self._offset) * self._scale

    def _rows(self, observations: Any) -> Observation:
        count = len(observations)
        try:
            if not self._is_box:
                return self._flattened(observations)
            # A copy in C order is needed: an array form may reuse its own array, or keep it by
            # columns.
            rows = self._array(observations)
        except Exception:  # noqa: BLE001 - the environment may have returned anything
            return self._one_by_one(observations)
        if rows.shape[1:] == self._shape:
            return rows if rows.ndim == 2 else rows.reshape(count, -1)
        return self._one_by_one(observations)

    def _array(self, observations: Any) -> Observation:
        """Return a new array of the observations in their format, in C order.

        Numbers of another type than the bytes that a space promises are refused: cut to a byte,
        they would be others.
        """
        if self.format == ObservationFormat.UINT8:
            found = np.array(observations, order='C')
            if found.dtype != np.uint8:
                raise TypeError('the observations are no bytes')
            return found
        return np.array(observations, np.float32, order='C')

    def _flattened(self, observations: Any) -> Float32:
        rows = np.array([flatten(self._space, item) for item in observations], np.float32)
        if rows.shape != (len(observations), len(self.low)):
            raise ValueError('observations have another size than their space')
        return rows

    def _one_by_one(self, observations: Any) -> Float32:
        """Convert observations of which some do not fit as they are, or say which."""
        rows = []
        for instance, item in enumerate(observations):
            try:
                rows.append(self._row(item))
            except Exception as error:
                said = str(error) if isinstance(error, MisfitError) else describe(error)
                raise InstanceFault(instance, said) from error
        return np.array(rows, self.format.dtype)

    def _row(self, item: Any) -> Observation:
        if self._is_box:
            row: Observation = as_box(self._space, item, self.format.dtype).reshape(-1)
            return row
        fault = observation_fault(self._space, item)
        if fault:
            raise MisfitError(fault)
        return np.asarray(flatten(self._space, item), np.float32)


def _bounds(space: Any) -> tuple[Array, Array]:
    if isinstance(space, spaces.Box):
        return space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
    size = flatdim(space)
    unknown = isinstance(space, (spaces.Dict, spaces.Tuple))
    return (
        np.full(size, -np.inf if unknown else 0.0),
        np.full(size, np.inf if unknown else 1.0),
    )


def _scaling(options: GymnasiumOptions, low: Array, high: Array) -> tuple[Array, Array]:
    size = len(low)
    offset, scale = np.zeros(size, np.float32), np.ones(size, np.float32)
    if options.scaling == 'bounds':
        # Ranges of 1e30 and more count as unbounded: CartPole declares a bound of 3.4e38.
        bounded = np.isfinite(low) & np.isfinite(high) & (high - low < 1e30) & (high > low)
        offset[bounded] = (low[bounded] + high[bounded]) / 2.0
        scale[bounded] = 2.0 / (high[bounded] - low[bounded])
        return offset, scale
    for name, target in (('offset', offset), ('scale', scale)):
        given = getattr(options, name)
        if given and options.scaling != 'fixed':
            raise ConfigError(f'{name} is given: set bridge.options.scaling to fixed')
        if len(given) not in (0, 1, size):
            raise ConfigError(f'{name}: expected 1 or {size} numbers, received {len(given)}')
        if given:
            target[:] = given
    if not (np.isfinite(offset).all() and np.isfinite(scale).all() and scale.all()):
        raise ConfigError(
            f'offset must be finite and scale finite and not 0, received {options.offset} and '
            f'{options.scale}'
        )
    return offset, scale
