"""One agent as the learner serves it: its noise, its traces, its place in the protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import CheckpointError
from nrl_ros.base.records import ActionBatch, AgentInfo, StateBatch
from nrl_ros.learning.credit import CreditWindows
from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.noise import NoiseStream, agent_generators, generator_state
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.learning.trace_choice import choose_kind
from nrl_ros.learning.traces import TraceStore, make_store
from nrl_ros.learning.whole_traces import WholeTraces

Array = NDArray[Any]

# Rows of one step are kept as noise drawn ahead, as activity, and in the trace.
_ROWS_KEPT = 4


def _make_store(settings: LearnerSettings, network: Network, info: AgentInfo) -> TraceStore:
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
    """Return about how much the traces, noise and rows of an agent take [bytes]."""
    plasticity, rule = settings.plasticity, settings.make_rule()
    batch = info.spec.instances
    rows = batch * rule.samples * (spec.noise_components + spec.input_components)
    kind: str = plasticity.trace
    if kind == 'auto':
        samples = batch * rule.samples
        kind = choose_kind(spec, info.window_steps_hint, samples) if plasticity.trace_reset else ''
    per_row = _ROWS_KEPT
    traces = 0 if kind == 'factored' else batch * spec.weight_count
    if rule.trace_form == 'whole':
        per_row, traces = 0, _ROWS_KEPT * batch * spec.weight_count
    return np.dtype(settings.network.precision).itemsize * (per_row * rows + traces)


class ServedAgent:
    """Everything the learner keeps for one agent."""

    def __init__(
        self,
        info: AgentInfo,
        network: Network,
        head: PolicyHead,
        settings: LearnerSettings,
        counters: Counter[str],
    ) -> None:
        self._counters = counters
        batch = info.spec.instances
        rule, spec = settings.make_rule(), network.spec
        self.info = info
        rows, components = rule.noise_size(spec, batch)
        noise, self.action_generator = agent_generators(settings.seed, info.agent, 2)
        self.noise = NoiseStream(
            settings.noise,
            noise,
            rows=rows,
            components=components,
            dtype=network.dtype,
        )
        self.explorer = rule.explorer(
            network, head, batch=batch, source=int(settings.policy.action_from == 'noisy')
        )
        store = _make_store(settings, network, info)
        self.credit = CreditWindows(
            store,
            batch,
            counters,
            max_late=settings.credit.max_late_windows,
            reset=settings.plasticity.trace_reset,
        )
        self.baseline = np.zeros(batch)
        self.baseline_known = np.zeros(batch, np.bool_)
        self.sequence = -1
        self.answer: ActionBatch | None = None
        self.pending: StateBatch | None = None
        # Restored, and no state has come since.
        self.restored = False

    def choose(self, state: StateBatch, *, greedy: bool, record: bool) -> Array:
        """Return what the policy chooses in a state [B, A], as its head understands it.

        Args:
            state: to be acted upon.
            greedy: choose without noise, which leaves no trace.
            record: add the step to the traces, later than the action goes out.
        """
        # Its rows lie where the noise and the passes of this step go.
        self.credit.prepare()
        if greedy:
            return self.explorer.greedy(state.observation)
        choice, rows = self.explorer.explore(
            state.observation, self.noise.next(), self.action_generator
        )
        if record:
            self.credit.record_later(rows, state)
        return choice

    def prepare(self, *, greedy: bool) -> None:
        """Record the newest step and draw noise in advance, unless the next step needs none."""
        self.credit.prepare()
        if not greedy:
            self.noise.prepare()

    def note_baseline(self, instance: Array, baseline: Array, refused: Sequence[int] = ()) -> None:
        """Keep what the neuromodulator compares rewards with, for checkpoints.

        Args:
            instance: [K].
            baseline: [K].
            refused: entries whose RPE did not count, such as of a duplicate.
        """
        if refused:
            instance, baseline = np.delete(instance, refused), np.delete(baseline, refused)
        self.baseline[instance] = baseline
        self.baseline_known[instance] = True

    def snapshot(self) -> dict[str, Any]:
        """Everything that decides the agent's future, as plain data and arrays (copies)."""
        # Recording may change what the explorer remembers.
        self.credit.prepare()
        return {
            'session': self.info.session,
            'instances': self.info.spec.instances,
            'sequence': self.sequence,
            'noise': self.noise.snapshot(),
            'explorer': self.explorer.snapshot(),
            'action_generator': generator_state(self.action_generator),
            'baseline': self.baseline.copy(),
            'baseline_known': self.baseline_known.copy(),
            'credit': self.credit.snapshot(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue from a snapshot; traces only within their session, else they are released.

        Raises:
            CheckpointError: noise or traces were kept in another way.
        """
        if saved['instances'] != self.info.spec.instances:
            # Another number of instances: its traces and generators mean nothing here.
            return
        self.noise.restore(saved['noise'])
        self.explorer.restore(saved['explorer'])
        self.action_generator.bit_generator.state = saved['action_generator']
        self.baseline[...] = saved['baseline']
        self.baseline_known[...] = saved['baseline_known']
        credit = saved['credit']
        if saved['session'] != self.info.session:
            self._counters['released_windows'] += int(credit['arrays']['has_rows'].sum())
            self._counters['released_windows'] += len(credit['late'])
            return
        if credit['store']['kind'] != self.credit.store.kind:
            raise CheckpointError(
                f'traces were kept {credit["store"]["kind"]}, expected {self.credit.store.kind}'
            )
        self.credit.restore(credit)
        self.sequence = saved['sequence']
        self.restored = True
