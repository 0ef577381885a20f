"""Environment variables for settings of the middleware that QoS profiles do not cover.

Fast DDS reads one of the files of config/middleware. Its versions 2 and 3 spell the same settings
differently and look for the file under different variables. Other middlewares ignore these
variables. Variables that the user has set are not changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from nrl_ros.base.config_files import config_folders

# Set to 1 for processes that must not share memory with others (``middleware_variables``).
UDP_ONLY = 'NRL_UDP_ONLY'
# The variable of each version of Fast DDS. ROS 2 Kilted, with version 3, also reads the older
# variable, and complains about a file of version 2.
PROFILE_VARIABLES = {2: 'FASTRTPS_DEFAULT_PROFILES_FILE', 3: 'FASTDDS_DEFAULT_PROFILES_FILE'}
# ROS 2 Jazzy has rclpy 7 and Fast DDS 2; later ones have Fast DDS 3.
_LAST_WITH_2 = 7
# Fast DDS reads this variable unless ROS_AUTOMATIC_DISCOVERY_RANGE is LOCALHOST. In that case
# rmw_fastrtps sets transports itself, see ``here_without_shared_memory``.
_TRANSPORTS = ('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4')
_RANGE, _LOCALHOST_ONLY = 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_LOCALHOST_ONLY'
# Who else is to be found; a profile does not say it.
_OTHERS = ('ROS_STATIC_PEERS', 'ROS_DISCOVERY_SERVER')


def fast_dds_version() -> int | None:
    """Return the major version of ROS's Fast DDS, None without ROS."""
    try:
        rclpy = metadata.version('rclpy')
    except metadata.PackageNotFoundError:
        return None
    return 2 if int(rclpy.split('.')[0]) <= _LAST_WITH_2 else 3


def middleware_variables(
    environment: Mapping[str, str], *, udp_only: bool, version: int | None
) -> dict[str, str]:
    """Return the variables that make Fast DDS repair losses soon, without those already set.

    Args:
        environment: of the process that they are for.
        udp_only: communicate by UDP only, as an arm's processes do. Shared memory is locked for a
            moment with each message, and a process that is killed in that moment leaves it locked:
            for up to a second all others that share it hear nothing. ``NRL_UDP_ONLY=1`` in
            ``environment`` means the same.
        version: of Fast DDS, as ``fast_dds_version`` finds it.
    """
    udp_only = udp_only or environment.get(UDP_ONLY, '') == '1'
    found = {UDP_ONLY: '1', _TRANSPORTS[0]: _TRANSPORTS[1]} if udp_only else {}
    # A profile that the user has set, under either name, is not mixed with another one.
    if version is not None and not any(name in environment for name in PROFILE_VARIABLES.values()):
        file = _profile(version, '_udp' if udp_only else '')
        # An incomplete installation has no such file; the nodes work without it.
        if file is not None:
            found[PROFILE_VARIABLES[version]] = str(file)
    return {name: value for name, value in found.items() if name not in environment}


def here_without_shared_memory(
    environment: Mapping[str, str], *, implementation: str, version: int | None
) -> dict[str, str]:
    """Return the variables with which a process that reaches this machine alone shares no memory.

    Under ``ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST`` rmw_fastrtps gives each process a transport by
    shared memory, whatever its profile says. A thread that sends by it to a program for the first
    time, since the program has just started, may sleep for a third of a second (Fast DDS asks
    whether somebody reads there), and holds a lock without which nothing is published: an arm's
    control period does not begin. So a profile says what rmw_fastrtps would say under LOCALHOST,
    without shared memory.

    Args:
        environment: of the process, with the variables of ``middleware_variables``.
        implementation: the middleware that is loaded, such as rmw_fastrtps_cpp; others know nothing
            of the profile, and keep their range.
        version: of Fast DDS, as ``fast_dds_version`` finds it.

    Returns:
        New values; none unless memory is not to be shared (``NRL_UDP_ONLY``), this machine alone is
        to be reached, and the profile is ours.
    """
    only = environment.get(_LOCALHOST_ONLY, '') == '1'
    if (
        version is None
        or not implementation.startswith('rmw_fastrtps')
        or environment.get(UDP_ONLY, '') != '1'
        or not (only or environment.get(_RANGE, '') == 'LOCALHOST')
        or any(environment.get(name, '') for name in _OTHERS)
    ):
        return {}
    variable, file = PROFILE_VARIABLES[version], _profile(version, '_localhost')
    ours = (str(_profile(version, '_udp')), str(file))
    if file is None or environment.get(variable, '') not in ours:
        return {}
    # The older variable overrules the range while it is 1.
    found = {_LOCALHOST_ONLY: '0'} if only else {}
    return {**found, _RANGE: 'SYSTEM_DEFAULT', variable: str(file)}


def _profile(version: int, ending: str) -> Path | None:
    """Return a file of config/middleware, None if the installation lacks it."""
    name = f'fast_dds_{version}{ending}.xml'
    files = (folder / 'middleware' / name for folder in config_folders())
    return next((file for file in files if file.is_file()), None)


def prepare_middleware(*, udp_only: bool = False) -> None:
    """Set the variables of ``middleware_variables`` for this process, before ROS is initialised.

    Where memory is not to be shared, so are those of ``here_without_shared_memory``.
    """
    version = fast_dds_version()
    os.environ.update(middleware_variables(os.environ, udp_only=udp_only, version=version))
    if version is None or os.environ.get(UDP_ONLY, '') != '1':
        return
    # Programs that use only the functions above run without ROS.
    from rclpy.utilities import get_rmw_implementation_identifier

    os.environ.update(
        here_without_shared_memory(
            os.environ, implementation=get_rmw_implementation_identifier(), version=version
        )
    )
