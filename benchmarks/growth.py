"""How memory and time of traces grow with width, depth, window and instances (core.py runs it)."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.traces import compare_traces, window
from nrl_ros.learning.networks.feed_forward import NetworkSpec

OBSERVATIONS, CHOICES = 8, 4


def sweeps(quick: bool) -> dict[str, list[tuple[tuple[int, ...], int, int]]]:
    """Hidden layers, window length and instances, one of them varied at a time."""
    widths = (64, 256, 1024) if quick else (64, 128, 256, 512, 1024, 2048, 4096)
    step = 2 if quick else 1
    return {
        'width': [((width, width), 20, 1) for width in widths],
        'depth': [((64,) * depth, 20, 16) for depth in (1, 2, 3, 4, 6)[::step]],
        'window': [((64,), length, 64) for length in (1, 4, 16, 64, 256, 1024)[::step]],
        'instances': [((64,), 100, count) for count in (1, 4, 16, 64, 256, 1024)[::step]],
    }


def trace_bytes(spec: NetworkSpec, kind: str, length: int, instances: int) -> int:
    """What the traces of all instances hold after a window."""
    tracemalloc.start()
    run_window = window(spec, kind, length, instances)
    inputs = tracemalloc.get_traced_memory()[0]
    run_window()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    rows = instances * (spec.noise_components + spec.input_components)
    totals = spec.weight_count
    del run_window
    # Without the rows fed in and the sum they go into, which both kinds have alike.
    return max(held, inputs) - 4 * (rows + totals)


def growth(quick: bool) -> dict[str, list[dict[str, Any]]]:
    """Both kinds of traces along each sweep, times in microseconds a step of all instances."""
    result: dict[str, list[dict[str, Any]]] = {}
    for name, cases in sweeps(quick).items():
        result[name] = []
        for hidden, length, instances in cases:
            spec = NetworkSpec(OBSERVATIONS, hidden, CHOICES)
            row = compare_traces(spec, length, instances, 3)
            for kind in ('dense', 'factored'):
                row[f'{kind}_kib'] = round(trace_bytes(spec, kind, length, instances) / 1024)
            result[name].append(row)
    return result


def slope(rows: list[dict[str, Any]], along: Callable[[dict[str, Any]], float], key: str) -> float:
    """Exponent of a figure's growth over the last half of a sweep."""
    last = rows[len(rows) // 2 :] if len(rows) > 3 else rows[-2:]
    x = [math.log(along(row)) for row in last]
    y = [math.log(max(row[key], 0.1)) for row in last]
    return round(float(np.polyfit(x, y, 1)[0]), 2)


ALONG: dict[str, Callable[[dict[str, Any]], float]] = {
    'width': lambda row: row['hidden'][0],
    'depth': lambda row: len(row['hidden']),
    'window': lambda row: row['window'],
    'instances': lambda row: row['instances'],
}


def exponents(grown: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """How each figure grows along each sweep, and where the better kind changes."""
    keys = ('dense_us', 'factored_us', 'dense_kib', 'factored_kib')
    rows = []
    for name, cases in grown.items():
        better = [row['dense_us'] <= row['factored_us'] for row in cases]
        changes = [
            f'{ALONG[name](one):g}-{ALONG[name](two):g}'
            for one, two, was, now in zip(cases, cases[1:], better, better[1:], strict=False)
            if was != now
        ]
        rows.append(
            {
                'along': name,
                **{key: slope(cases, ALONG[name], key) for key in keys},
                'cross': ', '.join(changes) or 'nowhere',
            }
        )
    return rows
