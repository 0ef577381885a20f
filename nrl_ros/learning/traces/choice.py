"""Choice of the kind of trace that costs less, as measured by benchmarks/traces.py."""

from __future__ import annotations

from nrl_ros.learning.networks.feed_forward import NetworkSpec

# Sizes that stay in the processor's cache [bytes].
_CACHED_ROWS = 2 * 2**20
_CACHED_TRACES = 12 * 2**20
_FLOAT_BYTES = 4
# Windows of one step cost less as factors if all traces have more weights than _ONE_STEP. Longer
# windows whose rows stay in the cache cost less as factors if the network has at least _DENSITY
# weights for each number of a row, and if that ratio times the weights of all traces is at least
# _MUCH.
_ONE_STEP = 200_000
_DENSITY = 20
_MUCH = 4_500_000


def choose_kind(spec: NetworkSpec, window_steps: int, rows: int, *, reset: bool = True) -> str:
    """Return the cheaper kind of trace, 'dense' or 'factored'.

    A dense trace touches every weight of every instance in each step, but nothing else. A factored
    trace writes N + M numbers in each step and reads them once more when the window closes, which
    takes several calls. So a factored trace wins if there are many weights for each number, as long
    as the rows stay in the cache, and in windows of one step. Otherwise a dense trace wins while it
    stays in the cache. docs/performance.md has the figures.

    Args:
        spec: sizes of the network.
        window_steps: length of a window, 0 if it is not known.
        rows: rows in each step, B times K.
        reset: traces end with their windows; those that go on are read at every RPE, which dense
            ones are made for.
    """
    if not spec.outer:
        return 'factored'
    if not reset:
        return 'dense'
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
