"""What pip asks when it builds: setuptools, with ROS 2 from PyPI where none is installed."""

from __future__ import annotations

import importlib.util
import os
import platform
from pathlib import Path
from typing import Any

import ros_wheels
from setuptools import build_meta

build_editable = build_meta.build_editable
build_sdist = build_meta.build_sdist
build_wheel = build_meta.build_wheel
get_requires_for_build_sdist = build_meta.get_requires_for_build_sdist
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable
prepare_metadata_for_build_wheel = build_meta.prepare_metadata_for_build_wheel

_REQUIREMENTS = Path(__file__).resolve().parent.parent / 'requirements'


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """What the isolated environment of pip needs besides setuptools."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_tools(), *_ros()]


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    """The same."""
    return [*build_meta.get_requires_for_build_editable(config_settings), *_tools(), *_ros()]


def _tools() -> list[str]:
    tools = (_REQUIREMENTS / 'build.txt').read_text().split()
    # An installed ROS 2 takes numpy from the system, which pip hides from the build.
    return ['numpy', *(tool for tool in tools if not tool.startswith('colcon'))]


def _ros() -> list[str]:
    installed = any(os.environ.get(name) for name in ('AMENT_PREFIX_PATH', 'ROS_DISTRO'))
    if installed or importlib.util.find_spec('ament_package'):
        return []
    # There are no wheels for other machines; the build then says what to do.
    wheels = (platform.system(), platform.machine()) == ('Linux', 'x86_64')
    return ros_wheels.wheels(ros_wheels.chosen()) if wheels else []
