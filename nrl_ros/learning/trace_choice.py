"""Which kind of trace costs less: measured by benchmarks/traces.py, see docs/performance.md."""

from __future__ import annotations

from nrl_ros.learning.networks.feed_forward import NetworkSpec

# What stays in the cache [bytes].
_CACHED_ROWS = 2 * 2**20
_CACHED_TRACES = 12 * 2**20
_FLOAT_BYTES = 4
# Weights of all traces beyond which windows of one step cost less as factors. Longer ones whose
# rows stay in the cache do in networks with so many weights for each number of a row, where that
# many times the weights of all traces are so much.
_ONE_STEP = 200_000
_DENSITY = 20
_MUCH = 4_500_000


def choose_kind(spec: NetworkSpec, window_steps: int, rows: int) -> str:
    """The cheaper kind for a network, a window length (0: unknown) and rows a step (B times K).

    Dense touches every weight of every instance each step, but nothing else; factored writes N + M
    numbers a step and reads them once more when the window closes, which takes several calls. So
    factored wins where there are many weights to a number, as long as the rows stay in the cache,
    and in windows of one step; otherwise dense while its traces stay in the cache.
    """
    numbers = spec.noise_components + spec.input_components
    weights = spec.weight_count
    touched = rows * weights
    if window_steps == 1:
        return 'factored' if touched > _ONE_STEP else 'dense'
    in_cache = 0 < window_steps * rows * numbers * _FLOAT_BYTES <= _CACHED_ROWS
    dense_enough = weights >= _DENSITY * numbers
    if in_cache and dense_enough and touched * weights >= _MUCH * numbers:
        return 'factored'
    return 'dense' if touched * _FLOAT_BYTES <= _CACHED_TRACES else 'factored'
