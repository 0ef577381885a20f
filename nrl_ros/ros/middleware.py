"""Environment variables for settings of the middleware that QoS profiles do not cover.

Fast DDS reads one of the files of config/middleware. Its versions 2 and 3 spell the same settings
differently and look for the file under different variables. Other middlewares ignore these
variables. Variables that the user has set are not changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import metadata

from nrl_ros.base.config_files import config_folders

# Set to 1 for processes that must not share memory with others (``middleware_variables``).
UDP_ONLY = 'NRL_UDP_ONLY'
# The variable of each version of Fast DDS. ROS 2 Kilted, with version 3, also reads the older
# variable, and complains about a file of version 2.
PROFILE_VARIABLES = {2: 'FASTRTPS_DEFAULT_PROFILES_FILE', 3: 'FASTDDS_DEFAULT_PROFILES_FILE'}
# ROS 2 Jazzy has rclpy 7 and Fast DDS 2; later ones have Fast DDS 3.
_LAST_WITH_2 = 7
# Fast DDS reads this variable unless ROS_AUTOMATIC_DISCOVERY_RANGE is LOCALHOST. In that case
# rmw_fastrtps sets transports itself, and the profile keeps the process off shared memory.
_TRANSPORTS = ('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4')


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
        name = f'fast_dds_{version}{"_udp" if udp_only else ""}.xml'
        files = (folder / 'middleware' / name for folder in config_folders())
        file = next((file for file in files if file.is_file()), None)
        # An incomplete installation has no such file; the nodes work without it.
        if file is not None:
            found[PROFILE_VARIABLES[version]] = str(file)
    return {name: value for name, value in found.items() if name not in environment}


def prepare_middleware(*, udp_only: bool = False) -> None:
    """Set the variables of ``middleware_variables`` for this process, before ROS is initialised."""
    version = fast_dds_version()
    os.environ.update(middleware_variables(os.environ, udp_only=udp_only, version=version))
