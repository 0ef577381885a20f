"""Eligibility traces of all instances of an agent, kept dense or as factors.

One step adds ``sum_k A_k X_kT`` to an instance's trace, with rows A (postsynaptic) of length N and
X (presynaptic) of length M cut into layers. With decay d: ``e <- d e + A XT`` (a sum, not an
average).

    * dense: e itself, ``sum(out * in)`` numbers an instance; a step is one multiply-add over all of
      them.
      Layers whose weights are no matrices [out, in] with outer products, such as convolutions, are
      folded into it every few steps.
    * factored: the rows, ``N + M`` numbers a step; the trace appears only in one matrix product
      when a window closes. Rows that no longer fit are folded into a dense trace.

Both give the same update up to rounding. A rule that disturbs every weight has traces without
factors, which are kept whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nrl_ros.base.errors import ConfigError
from nrl_ros.learning.networks.feed_forward import NetworkSpec
from nrl_ros.learning.traces.base import DetachedTrace, TraceStore
from nrl_ros.learning.traces.choice import choose_kind
from nrl_ros.learning.traces.dense import DenseTraces
from nrl_ros.learning.traces.factored import FactoredTraces
from nrl_ros.learning.traces.whole import WholeTraces

# The ring of a factored trace is as long as the longest window, but within this memory.
_RING_BYTES = 256 * 2**20
_DEFAULT_STEPS = 256
_FOLDED_STEPS = 16
TRACE_KINDS = ('auto', 'dense', 'factored')


def make_store(
    kind: str,
    spec: NetworkSpec,
    *,
    instances: int,
    samples: int,
    decay: float,
    window_steps: int,
    reset: bool = True,
    dtype: Any = np.float32,
) -> TraceStore:
    """Make a store of the given kind; ``auto`` chooses by size.

    Args:
        kind: one of TRACE_KINDS.
        spec: sizes of the network.
        instances: B.
        samples: K, rows a step.
        decay: d in (0, 1]; 1 sums.
        window_steps: steps of the longest window, 0 when unknown.
        reset: traces end with their windows; those that go on are read at every RPE, which
            dense ones are made for.
        dtype: float32 or float64.

    Raises:
        ConfigError: unknown kind or decay out of range.
    """
    if not 0.0 < decay <= 1.0:
        raise ConfigError(f'trace decay must be in (0, 1], received {decay}')
    if kind == 'auto':
        kind = choose_kind(spec, window_steps, instances * samples, reset=reset)
    if kind == 'dense' and spec.outer:
        return DenseTraces(spec, instances, samples, decay, dtype)
    if kind in ('dense', 'factored'):
        numbers = instances * samples * (spec.noise_components + spec.input_components)
        room = max(_RING_BYTES // (numbers * np.dtype(dtype).itemsize), 1)
        steps = min(window_steps or _DEFAULT_STEPS, room)
        if kind == 'dense':
            # Layers without outer products are folded from a short ring: one vector-Jacobian
            # product for several steps costs less than one for each.
            steps = min(steps, _FOLDED_STEPS)
        return FactoredTraces(spec, instances, samples, decay, dtype, ring_steps=steps)
    raise ConfigError(f'unknown trace kind {kind!r}, expected one of {TRACE_KINDS}')


__all__ = [
    'TRACE_KINDS',
    'DenseTraces',
    'DetachedTrace',
    'FactoredTraces',
    'TraceStore',
    'WholeTraces',
    'choose_kind',
    'make_store',
]
