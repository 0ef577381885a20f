"""The optimiser AMSGrad: Adam whose steps do not grow again when the gradient becomes small."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.optimisers.adam import Adam, AdamState

Array = NDArray[Any]


@dataclass
class AmsGradState(AdamState):
    """Both moments of each layer's gradient, and the largest second moment so far."""

    largest: list[Array] = field(default_factory=list)


class AmsGrad(Adam):
    """AMSGrad (Reddi, Kale and Kumar 2018, algorithm 2), with the corrections of Adam as in torch.

    Adam divides by the root of a recent mean square. When a task is solved, hardly anything is left
    of the reward-prediction errors but noise, and Adam makes steps of full length out of it, until
    the policy is lost. Here the largest mean square so far is divided by.

    Its options are those of Adam.
    """

    def _new_state(self) -> AmsGradState:
        return AmsGradState()

    def _squares(self, layer: int) -> Array:
        """Return the largest mean squares of the gradient of a layer so far."""
        state = self.state
        assert isinstance(state, AmsGradState)
        if len(state.largest) <= layer:
            state.largest.append(np.zeros_like(state.second[layer]))
        largest = state.largest[layer]
        largest[...] = self._arrays.maximum(largest, state.second[layer])
        return largest
