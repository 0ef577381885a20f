"""Checks that modules which must be compiled are compiled.

A module that must be compiled says ``import cython`` on a line of its own, by which CMake finds it.
Its text is plain Python and would run uncompiled, but several hundred times slower, so nobody may
do that without noticing.
"""

from __future__ import annotations

from nrl_ros.base.errors import NotBuiltError


def require_compiled(module: str, compiled: bool) -> None:
    """Refuse to run a module of the package as plain Python.

    Args:
        module: its name. Tests load the text itself under a name outside of the package.
        compiled: True if Cython made it.

    Raises:
        NotBuiltError: it is not compiled.
    """
    if module.startswith('nrl_ros.') and not compiled:
        raise NotBuiltError(
            f'{module} is not compiled; build it: make setup in a checkout, or colcon build'
        )
