"""Rows of the trace in numpy: the plain reference of ``rules/eligibility.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class EligibilityRows:
    """As that of the product."""

    def __init__(self, ends: list[int]) -> None:
        self._ends = ends

    def write_over(self, unit_noise: Array, impact: Array, scale: float) -> Array:
        """``scale rho z / |z|^2``, written over z."""
        start = 0
        for end in self._ends:
            part = unit_noise[..., start:end]
            square = np.einsum('kbn,kbn->kb', part, part)
            part *= (scale * impact / square)[..., None]
            start = end
        return unit_noise

    def compare_over(self, unit_noise: Array, log_probability: Array, scale: float) -> Array:
        """The same with ``rho = log pi_k - log pi_0``."""
        return self.write_over(unit_noise, log_probability[1:] - log_probability[0], scale)
