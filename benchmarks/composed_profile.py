"""Runs the nodes of one arm in one process, and notes what their cycles take; for arm_realtime.py.

The figures are written at the end to the file that the variable NRL_CYCLES names.
"""

from __future__ import annotations

from nrl_ros.nodes.process import prepare_process

if __name__ == '__main__':
    prepare_process()

import json
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from nrl_ros.nodes import composed_arm
from nrl_ros.nodes.cyclic_executor import CyclicExecutor

CYCLES = 'NRL_CYCLES'
# The newest cycles that are kept: 30 s at 500 Hz.
_KEPT = 15_000


class MeasuredExecutor(CyclicExecutor):
    """Notes the time of each part of each cycle."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._at = time.perf_counter()
        self._parts: dict[str, float] = defaultdict(float)
        self._cycles: list[dict[str, float]] = []

    def run_once(self) -> None:
        """Wait for the next cycle, do what is due in it, and note it."""
        self._parts = defaultdict(float)
        self._at = time.perf_counter()
        super().run_once()
        self._cycles.append(dict(self._parts))
        if len(self._cycles) > 2 * _KEPT:
            del self._cycles[:-_KEPT]

    def after(self, part: str) -> None:
        """Note the time since the part before."""
        now = time.perf_counter()
        self._parts[part] += now - self._at
        self._at = now

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Write the figures, and release the nodes."""
        if path := os.environ.get(CYCLES):
            Path(path).write_text(json.dumps(figures(self._cycles[-_KEPT:])))
        return super().shutdown(timeout_sec)


def figures(cycles: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return mean, median, 99th percentile and largest time of each part [us].

    Only cycles in which an action was asked for count: those with all parts.
    """
    most = max(map(len, cycles), default=0)
    whole = [one for one in cycles if len(one) == most]
    times = {part: [one[part] for one in whole] for part in (whole[-1] if whole else ())}
    working = [sum(one.values()) - one['sleep'] for one in whole]
    found = {}
    for part, values in {**times, 'all but sleep': working}.items():
        p50, p99, top = 1e6 * np.percentile(values, (50, 99, 100))
        mean = 1e6 * float(np.mean(values))
        shown = zip(('mean', 'p50', 'p99', 'max'), (mean, p50, p99, top), strict=True)
        found[part] = {name: round(float(value), 1) for name, value in shown}
    return found


if __name__ == '__main__':
    raise SystemExit(composed_arm.main(kind=MeasuredExecutor))
