"""Observations and actions as a Gymnasium task has them, for a policy that is called by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from nrl_ros.base.errors import ShapeError
from sim_bridge.gymnasium_faults import InstanceFault
from sim_bridge.gymnasium_spaces import Actions, Observations

Array = NDArray[Any]


class GymnasiumForms:
    """Rows of numbers from what ``reset`` and ``step`` of a task return, and actions for them.

    Args:
        name: of the task, for error texts.
        space: of its observations.
        observations: converts them.
        actions: converts actions.
    """

    def __init__(self, name: str, space: Any, observations: Observations, actions: Actions) -> None:
        self._name, self._space = name, space
        self._observations, self._actions = observations, actions

    def rows(self, observation: Any) -> tuple[Array, bool]:
        """Return one observation or several as rows [B, O], and whether it was one.

        Raises:
            ShapeError: they do not fit the space.
        """
        is_single = self._is_single(observation)
        try:
            several = [observation] if is_single else observation
            return self._observations.convert(several), is_single
        except (InstanceFault, TypeError) as error:
            raise ShapeError(
                f'{self._name}: {error}; expected an observation of {self._space}, or a batch of '
                'them'
            ) from error

    def action(self, action: Array, *, single: bool) -> Any:
        """Return actions [B, A] as the task takes them, or the only one of them."""
        converted = self._actions.convert(action, many=not single)
        return converted[0] if single else converted

    def _is_single(self, observation: Any) -> bool:
        space = self._space
        if isinstance(space, spaces.Discrete):
            return np.ndim(observation) == 0
        if space.shape is not None:
            return bool(np.ndim(observation) == len(space.shape))
        return not isinstance(observation, (list, np.ndarray))
