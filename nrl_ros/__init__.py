"""Online learning by noise and reward over ROS 2, without backpropagation.

``train`` and ``load`` are the way in from Python (``nrl_ros.api``); they are imported when they are
asked for, so that to import this package is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nrl_ros.api import Person, TrainedRun, load, train

__version__ = '0.1.0'
__all__ = ['Person', 'TrainedRun', 'load', 'train']


def __getattr__(name: str) -> Any:
    """Import what belongs to ``nrl_ros.api`` when it is asked for."""
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from nrl_ros import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
