#!/usr/bin/env python3
"""Where dense and factored traces cross, and from which size on a product is numpy's.

    .venv/bin/python benchmarks/traces.py [--quick] --json FILE

Time of a step in one process: recording, plus its share of the credit when the window closes; then
the passes of one step, with products of plain loops and of numpy. Both of a pair took turns within
this run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nrl_ros.nodes  # noqa: F401 - first, since it keeps BLAS on one thread

# isort: split
import numpy as np
from rich.console import Console
from rich.table import Table

from nrl_ros.learning.networks import forward_pass
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec, xavier_normal
from nrl_ros.learning.networks.forward_pass import ForwardPass
from nrl_ros.learning.traces import choose_kind, make_store

INSTANCES = (1, 64, 512)
INPUTS, OUTPUTS = 8, 4
HIDDEN = ((16,), (64,), (128,), (64, 64), (128, 128), (256, 256))
WINDOWS = (1, 10, 100, 500)
PASSES = 10
# Dense traces of more numbers than this would take longer to measure than they are worth.
MOST_NUMBERS = 20_000_000


def best(*runs: Callable[[], None], turns: int) -> list[float]:
    """Return the shortest time of each [s]; they take turns."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(turns):
        for kept, one in zip(times, runs, strict=True):
            start = time.perf_counter()
            one()
            kept.append(time.perf_counter() - start)
    return [min(kept) for kept in times]


def window(spec: NetworkSpec, kind: str, steps: int, instances: int) -> Callable[[], None]:
    """One window of all instances: its steps, then its credit."""
    store = make_store(kind, spec, instances=instances, samples=1, decay=1.0, window_steps=steps)
    generator = np.random.default_rng(0)
    post = generator.standard_normal((1, instances, spec.noise_components), np.float32)
    pre = generator.standard_normal((1, instances, spec.input_components), np.float32)
    total = [np.zeros(shape, np.float32) for shape in spec.shapes]
    everyone, delta = np.arange(instances), generator.standard_normal(instances)

    def run() -> None:
        for _ in range(steps):
            store.record(post, pre, None)
        store.add_to(total, everyone, delta)

    return run


def passes(spec: NetworkSpec, compiled: bool, instances: int) -> Callable[[], None]:
    """Clean and noisy pass, and the presynaptic rows, of a number of steps."""
    generator = np.random.default_rng(0)
    network = Network(spec, xavier_normal(spec, generator))
    limit = forward_pass._LARGEST
    # Which layers are numpy's to multiply is decided when the passes are made.
    forward_pass._LARGEST = 2**62 if compiled else 0
    made = ForwardPass(network, instances, 1)
    forward_pass._LARGEST = limit
    observation = generator.standard_normal((instances, INPUTS), np.float32)
    noise = generator.standard_normal((instances, spec.noise_components), np.float32)

    def run() -> None:
        for _ in range(PASSES):
            made.run(observation, noise, 1e-3)
            made.presynaptic()

    return run


def compare_traces(spec: NetworkSpec, length: int, instances: int, turns: int) -> dict[str, Any]:
    """Both kinds, and how much dearer the chosen one is than the better."""
    runs = [window(spec, kind, length, instances) for kind in ('dense', 'factored')]
    dense, factored = (1e6 * value / length for value in best(*runs, turns=turns))
    chosen = choose_kind(spec, length, instances)
    taken = dense if chosen == 'dense' else factored
    return {
        'hidden': list(spec.hidden),
        'instances': instances,
        'window': length,
        'dense_us': round(dense, 1),
        'factored_us': round(factored, 1),
        'auto': chosen,
        'auto_over_best': round(taken / min(dense, factored), 2),
    }


def compare_passes(spec: NetworkSpec, instances: int, turns: int) -> dict[str, Any]:
    """Products of plain loops, and of numpy."""
    runs = [passes(spec, compiled, instances) for compiled in (True, False)]
    native, plain = (1e6 * value / PASSES for value in best(*runs, turns=turns))
    return {
        'hidden': list(spec.hidden),
        'weights': spec.weight_count,
        'instances': instances,
        'compiled_us': round(native, 1),
        'numpy_us': round(plain, 1),
    }


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    """Rows as a table."""
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='fewer turns and sizes')
    parser.add_argument('--json', type=Path, help='file for the figures')
    options = parser.parse_args()
    turns, step = (3, 3) if options.quick else (7, 1)
    specs = [NetworkSpec(INPUTS, hidden, OUTPUTS) for hidden in HIDDEN[::step]]
    sizes = [(spec, count) for spec in specs for count in INSTANCES]
    traces = [
        compare_traces(spec, length, count, turns)
        for spec, count in sizes
        for length in WINDOWS[::step]
        if spec.weight_count * count < MOST_NUMBERS
    ]
    console = Console(width=120)
    show(console, traces)
    result = {'traces': traces}
    result['passes'] = [compare_passes(spec, count, turns) for spec, count in sizes]
    show(console, result['passes'])
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
