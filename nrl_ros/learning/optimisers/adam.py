"""The optimiser Adam: steps scaled by running moments of the gradient."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.base.state import Stateful

Array = NDArray[Any]


@dataclass
class AdamState:
    """Both moments of each layer's gradient, and how many updates they come from."""

    count: int = 0
    first: list[Array] = field(default_factory=list)
    second: list[Array] = field(default_factory=list)


class Adam(Stateful):
    """Adam (Kingma and Ba 2015, algorithm 1), with the constants of the paper by default.

    Args:
        beta1: factor of the first moment at each update [1].
        beta2: factor of the second moment at each update [1].
        epsilon: added to the root of the second moment, so that nothing is divided by zero [1].
    """

    def __init__(
        self,
        beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9,
        beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999,
        epsilon: Annotated[float, Field(gt=0)] = 1e-8,
    ) -> None:
        self._beta1, self._beta2, self._epsilon = beta1, beta2, epsilon
        self._arrays: Any = np
        self.state: AdamState = self._new_state()

    def _new_state(self) -> AdamState:
        return AdamState()

    def begin_on(self, arrays: Any, weights: list[Any]) -> dict[str, list[Any]]:
        """Begin anew for tensors, whose moments stay the same ones.

        Args:
            arrays: a ``TorchArrays``.
            weights: one tensor for each layer.

        Returns:
            The moments by name, one tensor for each layer.
        """
        self._arrays = arrays
        self.state.count = arrays.full((), 0.0, arrays.float64)
        names = [field.name for field in fields(self.state) if field.name != 'count']
        found = {name: [arrays.zeros(one.shape) for one in weights] for name in names}
        for name, tensors in found.items():
            setattr(self.state, name, tensors)
        return found

    def step(self, weights: list[Array], totals: list[Array], rate: float) -> None:
        """Add a step to the weights, scaled by both moments."""
        state = self.state
        if not state.first:
            state.first = [np.zeros_like(weight) for weight in weights]
            state.second = [np.zeros_like(weight) for weight in weights]
        state.count += 1
        unbias = (1.0 - self._beta2**state.count) ** 0.5
        length = rate * unbias / (1.0 - self._beta1**state.count)
        moments = zip(weights, totals, state.first, state.second, strict=True)
        for layer, (weight, total, first, second) in enumerate(moments):
            first += (1.0 - self._beta1) * (total - first)
            second += (1.0 - self._beta2) * (total * total - second)
            weight += length * first / (self._squares(layer) ** 0.5 + self._epsilon * unbias)

    def _squares(self, layer: int) -> Array:
        """Return what the squares of the gradient of a layer are taken to be."""
        return self.state.second[layer]
