"""The physics engine MuJoCo, imported when an arm is needed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ConfigError


def load_mujoco() -> ModuleType:
    """Import and return the module mujoco.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import mujoco
    except ImportError as error:
        raise ConfigError(
            f'arms need MuJoCo, which cannot be imported ({error}): pip install mujoco'
        ) from None
    module: ModuleType = mujoco
    return module


def collides(mj: Any) -> NDArray[np.bool_]:
    """Return which shapes of a compiled model collide with anything [G], as a mask."""
    return np.asarray((mj.geom_contype != 0) | (mj.geom_conaffinity != 0))


def flat_kinds() -> tuple[int, int]:
    """Return the kinds of shapes that are grounds and no parts: planes and height fields."""
    kinds = load_mujoco().mjtGeom
    return int(kinds.mjGEOM_PLANE), int(kinds.mjGEOM_HFIELD)
