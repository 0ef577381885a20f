"""What a figure was measured on."""

from __future__ import annotations

import os
import platform

from nrl_ros.base.installed import versions_of


def machine(*packages: str) -> dict[str, str | int | None]:
    """Return number and kind of processors, and the versions of Python and of these packages."""
    return {
        'cpus': os.cpu_count(),
        'processor': platform.machine(),
        **versions_of(packages),
    }


def in_words() -> str:
    """Return the processors and the version of Python in one line."""
    found = machine()
    return f'{found["cpus"]} cores, {found["processor"]}, Python {found["python"]}'
