"""The way home: straight in joint space, slow, and slower still near its end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Share of the way left that is gone in a second, near the end [1/s].
_GAIN = 3.0


def way_home(position: Array, home: Array, velocity: Array, speed_share: float) -> Array:
    """Joint velocities [J, rad/s] that lead home.

    All joints keep one ratio, so that the arm stays on the straight line in joint space from where
    it is to home.

    Args:
        position: of the joints [J, rad].
        home: where to [J, rad].
        velocity: limits [J, rad/s].
        speed_share: of the limits to use, at most [1].
    """
    wanted = _GAIN * (home - position)
    fastest = float(np.max(np.abs(wanted) / (speed_share * velocity)))
    return np.asarray(wanted / max(fastest, 1.0))
