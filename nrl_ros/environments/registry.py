"""Find bridges by name: those that come with nrl_ros, and those that other packages add.

Another package adds one through the entry point group ``nrl_ros.bridges`` (docs/bridges.md)::

    entry_points={'nrl_ros.bridges': ['my_robot = my_package.my_module:make']}

where ``make(instances: int, options: dict) -> Environment``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from nrl_ros.base.errors import BridgeError, ConfigError, NrlError
from nrl_ros.environments.interfaces import Environment

GROUP = 'nrl_ros.bridges'
_OWN = {
    'acrobot': 'sim_bridge.acrobot:make',
    'arm': 'sim_bridge.arm:make',
    'cartpole': 'sim_bridge.cartpole:make',
    'gymnasium': 'sim_bridge.gymnasium_bridge:make',
    'reaching': 'sim_bridge.reaching:make',
    'ros2_control_arm': 'nrl_ros.nodes.ros2_control_arm:make',
    'scripted': 'sim_bridge.scripted:make',
}


def bridge_names() -> list[str]:
    """Return the names that make_bridge takes, sorted."""
    return sorted({*_OWN, *(point.name for point in entry_points(group=GROUP))})


def make_bridge(name: str, instances: int, options: Mapping[str, Any]) -> Environment:
    """Make an environment by the name of its bridge.

    Args:
        name: one of bridge_names().
        instances: B, at least 1.
        options: the bridge's own.

    Raises:
        BridgeError: no such bridge, or it cannot be imported or made.
        ConfigError: an option is unknown or out of range.
    """
    if instances < 1:
        raise ConfigError(f'bridge.instances must be at least 1, received {instances}')
    make = _factory(name)
    try:
        environment = make(instances, dict(options))
    except NrlError:
        raise
    except Exception as error:
        raise BridgeError(
            f'bridge {name!r} could not be made: {type(error).__name__}: {error}'
        ) from error
    parts = ('spec', 'reset', 'step', 'close')
    missing = [part for part in parts if not hasattr(environment, part)]
    if missing:
        raise BridgeError(
            f'bridge {name!r} made a {type(environment).__name__} without {", ".join(missing)}, '
            'expected an nrl_ros.environments.interfaces.Environment'
        )
    made = getattr(environment.spec, 'instances', None)
    if made != instances:
        raise BridgeError(f'bridge {name!r} made {made} instances, expected {instances}')
    return environment


def _factory(name: str) -> Callable[[int, dict[str, Any]], Environment]:
    point = None
    if name in _OWN:
        point = EntryPoint(name, _OWN[name], GROUP)
    else:
        point = next(iter(entry_points(group=GROUP, name=name)), None)
    if point is None:
        known = bridge_names()
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f'did you mean {close[0]!r}?' if close else f'known are {", ".join(known)}'
        raise BridgeError(f'unknown bridge {name!r}; {hint}')
    try:
        return point.load()  # type: ignore[no-any-return]
    except Exception as error:  # whatever another package's module raises
        hint = '; install what it needs' if isinstance(error, ImportError) else ''
        raise BridgeError(
            f'bridge {name!r} ({point.value}) cannot be imported: {type(error).__name__}: '
            f'{error}{hint}'
        ) from error
