"""One agent as the learner serves it: its noise, its traces, and its place in the protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import InvalidValueError, NrlError, ProtocolError
from nrl_ros.base.records import (
    ActionBatch,
    AgentInfo,
    ObservationFormat,
    Phase,
    RpeBatch,
    StateBatch,
)
from nrl_ros.base.state import Stateful, restore_snapshot
from nrl_ros.learning.agent_memory import traces_of
from nrl_ros.learning.checks import check_rpe, check_state
from nrl_ros.learning.credit import Creditable, CreditWindows
from nrl_ros.learning.interfaces import Explorer
from nrl_ros.learning.networks.inputs import network_input
from nrl_ros.learning.noise import NoiseStream, agent_generators
from nrl_ros.learning.policy import Policy
from nrl_ros.learning.settings import LearnerSettings

Array = NDArray[Any]

# States that one gap counts as, at most.
_MOST_LOST = 2**32 - 1
# Comparing arrays with plain integers is several times faster than with enumerations.
_FIRST = int(Phase.FIRST)


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
    """Everything the learner keeps for one agent, and its place in the protocol.

    Args:
        info: as it has introduced itself.
        policy: whose weights act.
        settings: of the learner.
        counters: where lost, doubled or refused messages are counted, by name.

    Attributes:
        info: as it has introduced itself.
        state: what decides its future.
        answer: to the newest state; None before.
        pending: the state that waits for an action; None if none does.
        seen: the observation that was acted upon last [B, O]; None before.
        restored: it continues from a snapshot, and no state has come since.
    """

    def __init__(
        self,
        info: AgentInfo,
        policy: Policy,
        settings: LearnerSettings,
        counters: Counter[str],
    ) -> None:
        self._counters, self._policy = counters, policy
        network, head = policy.network, policy.head
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
        self._remembers = network.memory_size > 0
        # Bytes that the network itself does not scale are scaled here, once.
        is_bytes = info.spec.observation_format == ObservationFormat.UINT8
        self._scales = is_bytes and (policy.moments is not None or not network.reads_bytes)
        self.explorer = rule.explorer(
            network, head, batch=batch, source=int(settings.policy.action_from == 'noisy')
        )
        store = traces_of(settings, network, info)
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
        self.answer: ActionBatch | None = None
        self.pending: StateBatch | None = None
        self.seen: Array | None = None
        self.restored = False

    @property
    def sequence(self) -> int:
        """Number of the newest state that was acted upon; -1 before."""
        return self.state.sequence

    @sequence.setter
    def sequence(self, value: int) -> None:
        self.state.sequence = value

    def _choose(self, state: StateBatch, *, greedy: bool, record: bool) -> Array:
        """Return the policy's choice in a state [B, A], in the form of the policy head.

        Args:
            state: to be acted upon.
            greedy: choose without noise, which leaves no trace.
            record: add the step to the traces, after the action was sent.
        """
        # Its rows are in the memory that the noise and the passes of this step overwrite.
        self.credit.prepare()
        self.seen = observation = self._read(state.observation)
        moments = self._policy.moments
        if moments is not None:
            if record:
                self._policy.see(observation)
            observation = moments.normalised(observation)
        if self._remembers:
            self.explorer.begin(np.flatnonzero(state.phase == _FIRST))
        if greedy:
            return self.explorer.greedy(observation)
        choice, rows = self.explorer.explore(
            observation, self.noise.next(), self.state.action_generator
        )
        if record:
            self.credit.record_later(rows, state)
        return choice

    def _read(self, observation: Array) -> Array:
        """Return observations as numbers, unless the network reads bytes itself."""
        if self._scales:
            return network_input(observation, self._policy.network.dtype)
        return observation

    def prepare(self, *, greedy: bool) -> None:
        """Record the newest step and draw noise in advance, unless the next step needs none."""
        self.credit.prepare()
        if not greedy:
            self.noise.prepare()

    def observe(self, state: StateBatch, learner: int) -> Creditable | None:
        """Take a state that was not acted upon yet, and close the windows that it says are over.

        Args:
            state: of this agent; ``pending`` from now on.
            learner: identity of this learner, to which the next steps belong if its actions are
                applied.

        Returns:
            Traces whose RPE had come before, None if there are none.

        Raises:
            ProtocolError: its windows run backwards.
            ShapeError: arrays do not fit the agent's spaces.
            InvalidValueError: an observation is not finite.
        """
        if self.pending is not None and self.pending.sequence == state.sequence:
            self._counters['duplicate_states'] += 1
            return None
        try:
            check_state(state, self.info)
            self.credit.check(state)
        except NrlError:
            self._counters['invalid_states'] += 1
            raise
        self._note_gap(state.sequence - self.sequence - 1)
        if state.learner not in (0, learner):
            # Another learner's action was applied, so the action that was drawn here had no effect.
            self._counters['foreign_steps'] += len(state.phase)
            state = replace(state, applied=np.zeros_like(state.applied))
        self.pending = state
        return self.credit.observe(state)

    def _note_gap(self, lost: int) -> None:
        """Take back steps whose effect is not known because states were lost."""
        restored, self.restored = self.restored, False
        if lost and restored:
            # The environment has continued in the meantime, so RPEs for the waiting windows were
            # sent long ago.
            self.credit.release_all()
        elif lost and self.sequence >= 0:
            # The number may be forged, and the count has to fit into a status message.
            self._counters['lost_states'] += min(lost, _MOST_LOST)
            # What this state says of the newest action does not concern the step that was recorded
            # last.
            self.credit.forget_newest()

    def again(self, state: StateBatch) -> ActionBatch:
        """Return the action that was given to a state before.

        Raises:
            ProtocolError: it is not the newest state that was acted upon.
        """
        if self.answer is not None and state.sequence == self.answer.sequence:
            self._counters['duplicate_states'] += 1
            return self.answer
        self._counters['out_of_order_states'] += 1
        raise ProtocolError(
            f'agent {state.agent!r}: state {state.sequence} came after state {self.sequence}'
        )

    @property
    def may_act(self) -> bool:
        """True if a state waits for an action and for nothing else."""
        return self.pending is not None and not (self.info.lockstep and self.credit.waiting)

    def act(self, *, greedy: bool, record: bool, checkpoint: int, learner: int) -> ActionBatch:
        """Act upon the pending state.

        Args:
            greedy: without noise, which leaves no trace.
            record: add the step to the traces, after the action was sent.
            checkpoint: as in ActionBatch.
            learner: as in ActionBatch.

        Raises:
            InvalidValueError: the policy has diverged.
        """
        state, self.pending = self.pending, None
        assert state is not None
        greedy, record = greedy or state.greedy, record and not state.greedy
        action = self._policy.head.to_action(self._choose(state, greedy=greedy, record=record))
        if action.dtype.kind == 'f' and not np.isfinite(action).all():
            raise InvalidValueError(
                f'the policy gave agent {state.agent!r} an action that is not a number: its '
                'weights have diverged; load an earlier checkpoint and lower '
                'plasticity.learning_rate'
            )
        self.answer = state.answered(action, learner, checkpoint=checkpoint)
        self.sequence = state.sequence
        return self.answer

    def acted_elsewhere(self, sequence: int, observation: Array) -> None:
        """Note that a state was acted upon and its step recorded, without ``observe`` and ``act``.

        Args:
            sequence: of the state.
            observation: [B, O], in an array that the next state may overwrite.
        """
        self.sequence, self.answer, self.restored = sequence, None, False
        self.seen = observation

    def reinforce(self, rpe: RpeBatch, *, learning: bool) -> tuple[int, Creditable | None]:
        """Find the traces of reward-prediction errors; RPEs for an open window are held.

        Args:
            rpe: for this agent.
            learning: True if the weights may change; otherwise only baselines are noted.

        Returns:
            How many of them counted, and traces that may be learned from, None if there are none.

        Raises:
            ShapeError: arrays of unequal length.
            InvalidValueError: an RPE is not finite, or an instance does not exist or is named
                twice.
        """
        try:
            check_rpe(rpe, self.info)
        except NrlError:
            self._counters['invalid_rpes'] += 1
            raise
        # numpy looks up indices of another integer type ten times as slowly.
        index = rpe.instance.astype(np.int64)
        if not learning:
            self._counters['ignored_rpes'] += len(index)
            self.note_baseline(index, rpe.baseline)
            return len(index), None
        newest = self.sequence if self.pending is None else self.pending.sequence
        creditable = self.credit.reinforce(
            index, rpe.window, rpe.rpe, is_early=rpe.sequence <= newest
        )
        refused = self.credit.refused
        self.note_baseline(index, rpe.baseline, refused)
        return len(index) - len(refused), creditable

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
        """Record the newest step, since recording may change what the explorer remembers."""
        self.credit.prepare()

    def resume(self, saved: dict[str, Any]) -> None:
        """Continue from a snapshot; traces of another session are released.

        A snapshot with another number of instances is ignored: its traces and generators do not fit
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
