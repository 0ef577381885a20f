"""One instance of an environment, which a command makes, tries and closes before it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nrl_ros.cli.config import RunSettings
from nrl_ros.cli.display import Say, told_if_slow
from nrl_ros.environments.faults import closing
from nrl_ros.environments.interfaces import Environment
from nrl_ros.environments.registry import make_bridge


@contextmanager
def one_instance(
    settings: RunSettings, name: str, say: Say, warn: Callable[[str], None]
) -> Iterator[Environment]:
    """Give one instance of the environment that settings name, and close it in the end.

    Args:
        settings: with the bridge and its options; all else is not read.
        name: of the environment, for people.
        say: gets a text if it takes long to make.
        warn: gets a text if it cannot be closed, which stops nothing.

    Raises:
        BridgeError: it cannot be made.
    """
    bridge = settings.environment.bridge
    with told_if_slow(say, f'one instance of {name}, which is tried before the start'):
        environment = make_bridge(bridge.name, 1, bridge.options)
    with closing(environment, warn):
        yield environment
