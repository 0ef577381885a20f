"""Security of the middleware: check that it exists if it is asked for, or fail in one line.

docs/security.md describes policies, keys and what they keep out.
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
from nrl_ros.base.machine import check_domain, log_variables

ENABLE, KEYSTORE = 'ROS_SECURITY_ENABLE', 'ROS_SECURITY_KEYSTORE'
MAPS = Path('/proc/self/maps')
# Texts in the libraries of middlewares that were built without security.
_WITHOUT = (b"doesn't have the security libraries", b'does not have security support enabled')
_PAGE = 'docs/security.md'


class SecurityError(NrlError):
    """Security is asked for but not available."""


def asked(environment: Mapping[str, str]) -> bool:
    """Return whether ROS is told to use security; rcl accepts only the word 'true'."""
    return environment.get(ENABLE, '') == 'true'


def lacking(libraries: Mapping[str, bytes]) -> str:
    """Return the name of a library that was built without security, '' if there is none.

    Args:
        libraries: contents by name.
    """
    for name, content in libraries.items():
        if any(text in content for text in _WITHOUT):
            return name
    return ''


def loaded_libraries(maps: str) -> dict[str, bytes]:
    """Return the contents of the middleware adapters that a process has loaded, by name.

    Args:
        maps: content of ``/proc/self/maps``.
    """
    paths = {Path(line.split()[-1]) for line in maps.splitlines() if '/librmw_' in line}
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


def support() -> str:
    """Return the middleware's name, and whether it has security as far as its libraries say."""
    found = 'built without security' if _lacking_here() else 'has security'
    return f'{get_rmw_implementation_identifier()} {found}'


def require_support() -> None:
    """Check that security is available if it is asked for.

    With the strategy "Permissive", a middleware without security would talk openly without a word.

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
        ConfigError: ROS_DOMAIN_ID or a folder for logs cannot be used.
    """
    require_support()
    check_domain(os.environ.get('ROS_DOMAIN_ID', '') or '0')
    os.environ.update(log_variables(os.environ))
    with refused_in_one_line():
        rclpy.init(
            args=None if arguments is None else list(arguments),
            signal_handler_options=SignalHandlerOptions.NO,
        )


@contextmanager
def refused_in_one_line() -> Iterator[None]:
    """Turn an error of ROS inside into one line if security is asked for.

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
    """Return one line on what ROS refuses while security is asked for.

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
    # Asking for its name loads the middleware.
    get_rmw_implementation_identifier()
    return lacking(loaded_libraries(MAPS.read_text('utf-8') if MAPS.is_file() else ''))
