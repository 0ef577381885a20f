"""Environments by name: those that come with nrl_ros, and those that other packages add.

Another package adds one through the entry point group ``nrl_ros.bridges`` (docs/bridges.md)::

    entry_points={'nrl_ros.bridges': ['my_robot = my_package.my_module:make']}

where ``make(instances: int, ...) -> Environment`` takes its options as ``nrl_ros.base.registry``
says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nrl_ros.base.errors import BridgeError, ConfigError
from nrl_ros.base.registry import Registry
from nrl_ros.environments.interfaces import Environment

# They are imported when they are asked for, since not every machine has the packages that they
# need.
ENVIRONMENTS: Registry[Environment] = Registry(
    'bridge',
    'nrl_ros.bridges',
    {
        'acrobot': 'sim_bridge.acrobot:make',
        'arm': 'sim_bridge.arm:make',
        'camera': 'sim_bridge.camera:make',
        'cartpole': 'sim_bridge.cartpole:make',
        'gymnasium': 'sim_bridge.gymnasium_bridge:make',
        'reaching': 'sim_bridge.reaching:make',
        'ros2_control_arm': 'nrl_ros.nodes.ros2_control_arm:make',
        'scripted': 'sim_bridge.scripted:make',
    },
    arguments=1,
    parts=('spec', 'reset', 'step', 'close'),
    error=BridgeError,
)


def bridge_names() -> list[str]:
    """Return the names that make_bridge takes, sorted."""
    return sorted(ENVIRONMENTS.names())


def make_bridge(name: str, instances: int, options: Mapping[str, Any]) -> Environment:
    """Make an environment.

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
    environment = ENVIRONMENTS.make(name, instances, options=options)
    made = getattr(environment.spec, 'instances', None)
    if made != instances:
        raise BridgeError(f'bridge {name!r} made {made} instances, expected {instances}')
    return environment
