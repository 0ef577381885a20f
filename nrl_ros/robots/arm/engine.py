"""The physics engine MuJoCo, imported when an arm is needed."""

from __future__ import annotations

from types import ModuleType

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
