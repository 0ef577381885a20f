"""One agent as the learner serves it: its noise, its traces, its place in the protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import ActionBatch, AgentInfo, StateBatch
from nrl_ros.base.state import Stateful, restore_snapshot
from nrl_ros.learning.credit import CreditWindows
from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.interfaces import Explorer
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.noise import NoiseStream, agent_generators
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


@dataclass
class AgentState:
    """What decides an agent's future, besides the weights.

    Attributes:
        instances: B.
        session: to which the traces and the sequence belong.
        sequence: of the newest state that was acted upon; -1 before.
        noise: of the neurons.
        explorer: the rule at work.
        action_generator: draws actions.
        baseline: running-average rewards as the neuromodulator last sent them [B].
        baseline_known: instances that have one [B].
        credit: windows and traces.
    """

    instances: int
    session: int
    noise: NoiseStream
    explorer: Explorer
    action_generator: np.random.Generator
    baseline: Array
    baseline_known: Array
    credit: CreditWindows
    sequence: int = -1


# The parts that an agent keeps from one session to the next.
_LASTING = ('noise', 'explorer', 'action_generator', 'baseline', 'baseline_known')


class ServedAgent(Stateful):
    """Everything the learner keeps for one agent.

    Attributes:
        info: as it has introduced itself.
        state: what decides its future.
        answer: to the newest state; None before.
        pending: the state that waits for RPEs; None if none does.
        restored: it continues from a snapshot, and no state has come since.
    """

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
        noise, actions = agent_generators(settings.seed, info.agent, 2)
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
        self.state: AgentState = AgentState(
            batch,
            info.session,
            self.noise,
            self.explorer,
            actions,
            np.zeros(batch),
            np.zeros(batch, np.bool_),
            self.credit,
        )
        # Others know these by name; they stay the same objects.
        self.action_generator = actions
        self.baseline, self.baseline_known = self.state.baseline, self.state.baseline_known
        self.answer: ActionBatch | None = None
        self.pending: StateBatch | None = None
        self.restored = False

    @property
    def sequence(self) -> int:
        """Number of the newest state that was acted upon; -1 before."""
        return self.state.sequence

    @sequence.setter
    def sequence(self, value: int) -> None:
        self.state.sequence = value

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
            state.observation, self.noise.next(), self.state.action_generator
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
        self.state.baseline[instance] = baseline
        self.state.baseline_known[instance] = True

    def before_snapshot(self) -> None:
        """Record the newest step: recording may change what the explorer remembers."""
        self.credit.prepare()

    def resume(self, saved: dict[str, Any]) -> None:
        """Continue from a snapshot; traces only within their session, else they are released.

        One of another number of instances is left alone: its traces and generators mean nothing
        here.

        Raises:
            CheckpointError: noise or traces were kept in another way; nothing was changed.
        """
        if saved['instances'] != self.info.spec.instances:
            return
        path = f'agents.{self.info.agent}'
        if saved['session'] == self.info.session:
            restore_snapshot(self, saved, path)
            self.restored = True
            return
        lasting = {name: getattr(self.state, name) for name in _LASTING}
        restore_snapshot(lasting, {name: saved[name] for name in _LASTING}, path)
        credit = saved['credit']
        self._counters['released_windows'] += int(credit['windows']['has_rows'].sum())
        self._counters['released_windows'] += len(credit['late'])
