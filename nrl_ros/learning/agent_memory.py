"""The kind of an agent's traces, and the memory that an agent takes."""

from __future__ import annotations

import numpy as np

from nrl_ros.base.records import AgentInfo
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.learning.traces import TraceStore, WholeTraces, choose_kind, make_store

# Rows of one step are kept three times: as noise drawn in advance, as activity, and in the trace.
_ROWS_KEPT = 4


def traces_of(settings: LearnerSettings, network: Network, info: AgentInfo) -> TraceStore:
    """Make empty traces for an agent, of the kind that fits its sizes and the rule."""
    plasticity, rule = settings.plasticity, settings.make_rule()
    batch, decay = info.spec.instances, plasticity.trace_decay
    if rule.trace_form == 'whole':
        return WholeTraces(network.spec, batch, decay, network.dtype)
    return make_store(
        plasticity.trace,
        network.spec,
        instances=batch,
        samples=rule.samples,
        decay=decay,
        window_steps=info.window_steps_hint,
        reset=plasticity.trace_reset,
        dtype=network.dtype,
    )


def memory_of(settings: LearnerSettings, spec: NetworkSpec, info: AgentInfo) -> int:
    """Return an estimate of the memory for the traces, noise and rows of an agent [bytes]."""
    plasticity, rule = settings.plasticity, settings.make_rule()
    batch = info.spec.instances
    rows = batch * rule.samples * (spec.noise_components + spec.input_components)
    kind: str = plasticity.trace
    if kind == 'auto':
        samples, steps = batch * rule.samples, info.window_steps_hint
        kind = choose_kind(spec, steps, samples, reset=plasticity.trace_reset)
    per_row = _ROWS_KEPT
    traces = 0 if kind == 'factored' else batch * spec.weight_count
    if rule.trace_form == 'whole':
        per_row, traces = 0, _ROWS_KEPT * batch * spec.weight_count
    return np.dtype(settings.network.precision).itemsize * (per_row * rows + traces)
