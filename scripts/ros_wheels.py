"""Which ROS 2 comes from PyPI where none is installed: one list of wheels a distribution.

As a program, for scripts/setup.sh, it prints the distribution to set up; with ``--present`` the one
whose wheels the environment has.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path

LISTS = Path(__file__).resolve().parent.parent / 'requirements'
# The first is taken where nothing else is asked for: the one that is supported for longest.
DISTRIBUTIONS = ('jazzy', 'kilted')
VARIABLE = 'ROS'


def wheels(distribution: str) -> list[str]:
    """Return the requirements of a distribution, each with its exact version."""
    return (LISTS / f'{distribution}.txt').read_text().split()


def present() -> str:
    """Return the distribution whose wheels this environment has; empty: none of them."""
    for distribution in DISTRIBUTIONS:
        pinned = dict(wheel.split('==') for wheel in wheels(distribution))
        try:
            if metadata.version('ros-rclpy') == pinned['ros-rclpy[fastrtps]']:
                return distribution
        except metadata.PackageNotFoundError:
            return ''
    return ''


def chosen() -> str:
    """Return what the variable ROS asks for, else what is there already, else the default.

    Raises:
        SystemExit: there are no wheels of what is asked for.
    """
    asked = os.environ.get(VARIABLE, '')
    if asked and asked not in DISTRIBUTIONS:
        raise SystemExit(
            f'error: {VARIABLE}={asked}: wheels are known of {" and ".join(DISTRIBUTIONS)} only; '
            f'unset {VARIABLE}, or set it to one of these'
        )
    return asked or present() or DISTRIBUTIONS[0]


def needed_to_run() -> list[str]:
    """Return the wheels of this environment that what is built in it needs to run."""
    names = {wheel.split('==')[0] for each in DISTRIBUTIONS for wheel in wheels(each)}
    found = []
    for name in sorted(names):
        if not name.startswith(('ros-ament-', 'ros-rosidl-', 'ros-python-cmake-')):
            try:
                found.append(f'{name}=={metadata.version(name.split("[")[0])}')
            except metadata.PackageNotFoundError:
                continue
    return found


if __name__ == '__main__':
    sys.stdout.write((present() if '--present' in sys.argv[1:] else chosen()) + '\n')
