"""What a network reads of an observation: bytes, as of an image, become numbers from 0 to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# The largest byte, which becomes 1.
LARGEST_BYTE = 255.0


def network_input(observation: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Return an observation of bytes as numbers from 0 to 1, and any other one as it is.

    Args:
        observation: of any shape.
        dtype: of the network.
    """
    if observation.dtype != np.uint8:
        return observation
    return np.asarray(np.divide(observation, LARGEST_BYTE, dtype=np.dtype(dtype)))
