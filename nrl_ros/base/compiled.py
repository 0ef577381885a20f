"""Check that modules which are compiled are compiled.

A module that is to be compiled says ``import cython`` on a line of its own; CMake finds it by that.
Its text is plain Python and would run as it is, several hundred times slower: nobody is to do that
unawares.
"""

from __future__ import annotations

from nrl_ros.base.errors import NotBuiltError


def require_compiled(module: str, compiled: bool) -> None:
    """Refuse to run a module of the package as plain Python.

    Args:
        module: its name; under a name outside of the package, tests load the text as it is.
        compiled: whether Cython made it.

    Raises:
        NotBuiltError: it is not compiled.
    """
    if module.startswith('nrl_ros.') and not compiled:
        raise NotBuiltError(
            f'{module} is not compiled; build it: make setup in a checkout, or colcon build'
        )
