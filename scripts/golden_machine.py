"""On what golden_trace.py was run: all that the bits of a result depend on besides the program."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import scripts.golden_runs  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import numpy as np


def machine() -> dict[str, str]:
    """Return what the bits of a result depend on besides the program."""
    configuration: Any = np.show_config(mode='dicts')
    features = configuration['SIMD Extensions']
    return {
        'processor': platform.machine(),
        'instructions': ' '.join(sorted({*features['baseline'], *features.get('found', [])})),
        'library functions': hashlib.sha256(_library_results()).hexdigest()[:16],
        **{name: _version(name) for name in ('numpy', 'gymnasium', 'mujoco')},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return 'absent'


def _library_results() -> bytes:
    """Return results of the functions that round differently from one machine to another."""
    values = np.linspace(-8.0, 8.0, 4001)
    parts: list[Any] = []
    for kind in (np.float32, np.float64):
        x = values.astype(kind)
        parts += [np.exp(x), np.tanh(x), np.sin(x), np.cos(x), np.log(np.abs(x) + kind(1.0))]
        a = np.sin(np.arange(64 * 96, dtype=kind)).reshape(64, 96)
        parts += [a @ a.T, a.T @ a, np.einsum('ij,kj->ik', a, a), a.sum(), np.square(a).sum(0)]
    return b''.join(np.ascontiguousarray(part).tobytes() for part in parts)


def other_machine(recorded: dict[str, str]) -> list[str]:
    """Return in which ways this is another machine than that of the recording."""
    here = machine()
    return [
        f'{name}: recorded {recorded.get(name)}, here {value}'
        for name, value in here.items()
        if recorded.get(name) != value
    ]
