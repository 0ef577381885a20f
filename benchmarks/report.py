"""How benchmarks and scripts tell their figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks import machine


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return mean, lowest and highest of some seeds in words.

    Args:
        values: of each seed, at least one.
        digits: behind the point.
    """
    mean, low, high = (f'{one:.{digits}f}' for one in (np.mean(values), min(values), max(values)))
    return f'{mean} ({low} to {high})'


def show(figures: Mapping[str, Any], file: Path | None) -> None:
    """Print a line for each figure, and write all of them with the machine.

    Args:
        figures: by name.
        file: for them, as JSON; None: none is written.
    """
    console = Console()
    for name, value in figures.items():
        console.print(f'{name:28} {value}', highlight=False)
    if file is not None:
        found = {'machine': machine.machine('numpy'), **figures}
        file.write_text(json.dumps(found, indent=2) + '\n', encoding='utf-8')
