"""Security of the middleware: whether it is asked for, whether it is there, one line where not.

Policies, keys and what they keep out: docs/security.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import rclpy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import get_rmw_implementation_identifier

from nrl_ros.base.errors import NrlError

ENABLE, KEYSTORE = 'ROS_SECURITY_ENABLE', 'ROS_SECURITY_KEYSTORE'
MAPS = Path('/proc/self/maps')
# What middlewares that were built without security have in their libraries to say so.
_WITHOUT = (b"doesn't have the security libraries", b'does not have security support enabled')
_PAGE = 'docs/security.md'


class SecurityError(NrlError):
    """Security is asked for, and cannot be had."""


def asked(environment: Mapping[str, str]) -> bool:
    """Return whether ROS is told to use security; rcl takes nothing else for yes."""
    return environment.get(ENABLE, '') == 'true'


def lacking(libraries: Mapping[str, bytes]) -> str:
    """Return the name of a library that says that it was built without security, or ''.

    Args:
        libraries: contents by name.
    """
    for name, content in libraries.items():
        if any(text in content for text in _WITHOUT):
            return name
    return ''


def loaded_libraries(maps: str) -> dict[str, bytes]:
    """Return the contents of the middleware's adapters that a process has loaded, by name.

    Args:
        maps: as ``/proc/self/maps`` has them.
    """
    paths = {Path(line.split()[-1]) for line in maps.splitlines() if '/librmw_' in line}
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


def support() -> str:
    """Return the name of the middleware, and whether it has security, as far as it says so."""
    found = 'built without security' if _lacking_here() else 'has security'
    return f'{get_rmw_implementation_identifier()} {found}'


def require_support() -> None:
    """Go on only where what is asked for can be had.

    A middleware without security talks openly under the strategy "Permissive", without a word.

    Raises:
        SecurityError: security is asked for, and the middleware was built without it.
    """
    if not asked(os.environ):
        return
    name, library = get_rmw_implementation_identifier(), _lacking_here()
    if library:
        raise SecurityError(
            f'{ENABLE}=true, but {name} was built without security, as {library} says '
            f'(wheels are): take an installed ROS 2, or unset {ENABLE} to talk openly ({_PAGE})'
        )


def initialise(arguments: Sequence[str] | None) -> None:
    """Initialise ROS without its signal handlers.

    Args:
        arguments: of the command line; None: those of the process.

    Raises:
        SecurityError: security is asked for, and the middleware or the keys for it are missing.
    """
    require_support()
    with refused_in_one_line():
        rclpy.init(
            args=None if arguments is None else list(arguments),
            signal_handler_options=SignalHandlerOptions.NO,
        )


@contextmanager
def refused_in_one_line() -> Iterator[None]:
    """Do what ROS refuses for want of keys, while security is asked for.

    Raises:
        SecurityError: ROS has refused; one line with its reason.
    """
    try:
        yield
    except RuntimeError as error:  # which rclpy's own error is
        if not asked(os.environ):
            raise
        raise SecurityError(refusal(str(error), os.environ)) from None


def refusal(reason: str, environment: Mapping[str, str]) -> str:
    """Return one line about what ROS refuses while security is asked for.

    Args:
        reason: text of ROS's own error, of any number of lines.
        environment: of the process.
    """
    keystore = environment.get(KEYSTORE, '') or 'not set'
    return (
        f'{ENABLE}=true ({KEYSTORE}: {keystore}), and ROS refuses: {" ".join(reason.split())}; '
        f'make keys with `ros2 security generate_artifacts` and name the enclave ({_PAGE})'
    )


def _lacking_here() -> str:
    # Asked for its name first, which loads it.
    get_rmw_implementation_identifier()
    return lacking(loaded_libraries(MAPS.read_text() if MAPS.is_file() else ''))
