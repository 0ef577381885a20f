"""The learner: one policy network that serves many agents and learns from broadcast RPEs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import (
    CheckpointError,
    InvalidValueError,
    NrlError,
    ProtocolError,
)
from nrl_ros.base.limits import LearnerLimits
from nrl_ros.base.records import ActionBatch, RpeBatch, StateBatch
from nrl_ros.base.settings import changed
from nrl_ros.base.state import restore_snapshot
from nrl_ros.learning.agent import ServedAgent
from nrl_ros.learning.checks import check_rpe, check_state
from nrl_ros.learning.credit import Creditable
from nrl_ros.learning.policy import policy_data, policy_of
from nrl_ros.learning.serving import AgentService
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.learning.snapshots import check_fingerprint, fingerprint

Array = NDArray[Any]


# States that one gap counts as, at most.
_MOST_LOST = 2**32 - 1


# What a learner has from a snapshot; the rest is how it is used: frozen, evaluating, identity.
_RESTORED = (
    '_settings', '_policy', '_step', '_agents', '_introduced', 'counters', 'states', 'steps'
)  # fmt: skip
# Errors that a snapshot with unexpected content may raise while it is taken over.
_MISFITS = (
    NrlError, ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError
)  # fmt: skip


class Learner(AgentService):
    """Acts upon states, keeps traces, and learns when an RPE arrives.

    A step has two halves: ``observe`` and ``reinforce`` learn, ``act`` acts. Between them no step
    is half done, so that a snapshot taken there continues bit for bit.

    Nothing here waits, reads a clock or logs: refused input raises one NrlError and is counted.

    Args:
        settings: what fixes it.
        limits: how much agents may ask for; None: anything.

    Attributes:
        counters: what was lost, late, doubled, released or refused, by name.
        identity: tells this learner's actions from those of another one on the same topics.
        counted: how many RPEs of the newest call of ``reinforce`` counted.
        frozen: act as always, learn nothing.
        evaluating: act greedily and without noise, learn nothing.
    """

    def __init__(self, settings: LearnerSettings, limits: LearnerLimits | None = None) -> None:
        super().__init__(settings, limits)
        self._frozen = False
        self._evaluating = False
        self.states = 0
        self.steps = 0
        self.identity = 0
        self.counted = 0

    # ---------------------------------------------------------------- settings

    @property
    def settings(self) -> LearnerSettings:
        """Settings in force."""
        return self._settings

    def set_learning_rate(self, learning_rate: float) -> None:
        """Change eta from the next update on."""
        self._settings = changed(self._settings, {'plasticity.learning_rate': learning_rate})

    def set_sigma(self, sigma: float) -> None:
        """Change the noise from the next step on; recorded traces keep theirs."""
        self._settings = changed(self._settings, {'noise.sigma': sigma})
        self._spread_sigma()

    @property
    def frozen(self) -> bool:
        """Whether the learner acts without learning."""
        return self._frozen

    @frozen.setter
    def frozen(self, value: bool) -> None:
        """True if the learner acts without learning."""
        self._frozen = value
        if value:
            self._release_all()

    @property
    def evaluating(self) -> bool:
        """Whether the learner acts greedily, without noise and without learning."""
        return self._evaluating

    @evaluating.setter
    def evaluating(self, value: bool) -> None:
        """True if the learner acts greedily, without noise and without learning."""
        self._evaluating = value
        if value:
            self._release_all()

    def _release_all(self) -> None:
        for agent in self._agents.values():
            agent.credit.release_all()

    @property
    def learning(self) -> bool:
        """True if RPEs change weights."""
        return not (self._frozen or self._evaluating)

    @property
    def updates(self) -> int:
        """Weight changes so far."""
        return self._step.updates

    @property
    def windows_learned(self) -> int:
        """Credit windows that the weights learned from."""
        return self._step.windows_learned

    @property
    def absolute_rpe_sum(self) -> float:
        """Sum of the sizes of the RPEs of those windows."""
        return self._step.absolute_rpe_sum

    @property
    def windows_open(self) -> int:
        """Windows of all agents that still have a trace."""
        return sum(agent.credit.open_count for agent in self._agents.values())

    # ------------------------------------------------------------------ acting

    def observe(self, state: StateBatch) -> ActionBatch | None:
        """Take a state: close windows, and learn from those whose RPE has come.

        In lockstep, a state that closes windows waits until their RPEs are here, so that they
        change the weights before the next action: ``may_act`` says when ``act`` is next.

        Returns:
            The action that was given before, for a state that was acted upon already; None
            otherwise, also for a state of a session that has left.

        Raises:
            ProtocolError: unknown agent, other session, or out of order.
            ShapeError: arrays do not fit the agent's spaces.
            InvalidValueError: an observation is not finite.
        """
        agent = self._agents.get(state.agent)
        if agent is None or agent.info.session != state.session:
            agent = self._first_state(state)
            if agent is None:
                return None
        if state.sequence <= agent.sequence:
            return self._again(agent, state)
        pending = agent.pending
        if pending is not None and pending.sequence == state.sequence:
            self.counters['duplicate_states'] += 1
            return None
        try:
            check_state(state, agent.info)
            agent.credit.check(state)
        except NrlError:
            self.counters['invalid_states'] += 1
            raise
        lost = state.sequence - agent.sequence - 1
        restored, agent.restored = agent.restored, False
        if lost and restored:
            # The environment went on meanwhile: RPEs of what was under way have long been sent.
            agent.credit.release_all()
        elif lost and agent.sequence >= 0:
            # The number may be anything, and what is counted has to fit into a status.
            self.counters['lost_states'] += min(lost, _MOST_LOST)
            # What this state says of the newest action is not about the one recorded last.
            agent.credit.forget_newest()
        if state.learner not in (0, self.identity):
            # Another learner's action was taken: what was drawn here did not happen.
            self.counters['foreign_steps'] += len(state.phase)
            state = replace(state, applied=np.zeros_like(state.applied))
        creditable = agent.credit.observe(state)
        if creditable is not None:
            self.learn_from(agent, creditable)
        agent.pending = state
        return None

    def may_act(self, name: str) -> bool:
        """Return whether a state of this agent waits for an action and for nothing else."""
        agent = self._agents.get(name)
        return (
            agent is not None
            and agent.pending is not None
            and not (agent.info.lockstep and agent.credit.waiting)
        )

    def awaiting(self, name: str) -> StateBatch | None:
        """Return the state of an agent that waits for an action, None if none does."""
        agent = self._agents.get(name)
        return None if agent is None else agent.pending

    def release_waiting(self, name: str) -> None:
        """Give up waiting for RPEs that do not come, so that the agent ``may_act``."""
        agent = self._agents.get(name)
        if agent is not None and agent.pending is not None and not self.may_act(name):
            agent.credit.release_waiting()

    def _again(self, agent: ServedAgent, state: StateBatch) -> ActionBatch | None:
        if agent.answer is not None and state.sequence == agent.answer.sequence:
            self.counters['duplicate_states'] += 1
            return agent.answer
        self.counters['out_of_order_states'] += 1
        raise ProtocolError(
            f'agent {state.agent!r}: state {state.sequence} came after state {agent.sequence}'
        )

    def act(self, name: str, checkpoint: int = 0) -> ActionBatch:
        """Act upon the state of an agent that ``may_act``.

        Args:
            name: of the agent.
            checkpoint: number of the one that was saved just now, for the environment to save its
                own beside it; 0: none.

        Raises:
            ProtocolError: no state of this agent may be acted upon.
            InvalidValueError: the policy has diverged.
        """
        agent = self._agents.get(name)
        state = None if agent is None else agent.pending
        if agent is None or state is None or not self.may_act(name):
            raise ProtocolError(
                f'agent {name!r}: no state may be acted upon, expected one to be observed and its '
                'reward-prediction errors to be here or released'
            )
        assert self._policy is not None
        agent.pending = None
        choice = agent.choose(state, greedy=self._evaluating, record=self.learning)
        action = self._policy.head.to_action(choice)
        if action.dtype.kind == 'f' and not np.isfinite(action).all():
            raise InvalidValueError(
                f'the policy gave agent {state.agent!r} an action that is not a number: its '
                'weights have diverged; load an earlier checkpoint and lower '
                'plasticity.learning_rate'
            )
        answer = ActionBatch(
            state.agent,
            state.session,
            state.sequence,
            state.episode,
            state.step,
            state.window,
            action,
            checkpoint,
            state.stamp_ns,
            self.identity,
        )
        agent.sequence = state.sequence
        agent.answer = answer
        self.states += 1
        self.steps += len(state.phase)
        return answer

    @property
    def awaits_rpes(self) -> bool:
        """True if any closed window waits for its RPE."""
        return any(a.credit.waiting or a.credit.has_late for a in self._agents.values())

    def prepare(self) -> None:
        """Record the last steps and draw noise in advance, while nothing else has to be done."""
        for agent in self._agents.values():
            agent.prepare(greedy=self._evaluating)

    # ---------------------------------------------------------------- learning

    def reinforce(self, rpe: RpeBatch) -> None:
        """Learn from reward-prediction errors; those for an open window are held until it closes.

        Raises:
            ProtocolError: unknown agent or other session.
            ShapeError: arrays of unequal length.
            InvalidValueError: an RPE is not finite, or an instance does not exist or is named
                twice.
        """
        self.counted = 0
        agent = self._agents.get(rpe.agent)
        if agent is None or agent.info.session != rpe.session:
            info = self._introduced.known(rpe.agent, rpe.session, 'reward-prediction error')
            if info is not None:
                # It has sent no state, so that it has no windows.
                self.counters['unknown_window_rpes'] += len(rpe.instance)
            return
        try:
            check_rpe(rpe, agent.info)
        except NrlError:
            self.counters['invalid_rpes'] += 1
            raise
        # numpy takes ten times as long to find what numbers of another kind point at.
        index = rpe.instance.astype(np.int64)
        if not self.learning:
            self.counters['ignored_rpes'] += len(rpe.instance)
            agent.note_baseline(index, rpe.baseline)
            self.counted = len(index)
        else:
            newest = agent.sequence if agent.pending is None else agent.pending.sequence
            creditable = agent.credit.reinforce(
                index, rpe.window, rpe.rpe, is_early=rpe.sequence <= newest
            )
            agent.note_baseline(index, rpe.baseline, agent.credit.refused)
            self.counted = len(index) - len(agent.credit.refused)
            if creditable is not None:
                self.learn_from(agent, creditable)

    def learn_from(self, agent: ServedAgent, creditable: Creditable) -> None:
        """Change the weights by an agent's traces, and clear those traces."""
        for other in self._agents.values():
            # Rows may need the weights that acted, so they are computed before any agent's reward
            # changes them.
            other.credit.prepare()
        rate = self._settings.plasticity.learning_rate
        if not self._step.learn(agent.credit.store, creditable, rate):
            self.counters['rejected_updates'] += 1
            assert self._policy is not None
            agent.credit.clear_overflown(self._policy.network.spec)
        elif self._step.changes_sigma:
            self._spread_sigma()

    # ------------------------------------------------------------ fused cycle

    def unhindered(self, agent: ServedAgent) -> bool:
        """Return whether only this agent's next step has to be done: it may be fused."""
        return not (
            self._frozen
            or self._evaluating
            or len(self._agents) != 1
            or agent.pending is not None
            or agent.credit.has_late
        )

    def plain_ascent(self) -> tuple[list[Array], list[float], float] | None:
        """Return weights, scales and rate if an update is just ``W += rate scale total``."""
        scales = self._step.plain_scales
        if scales is None or self._policy is None:
            return None
        return self._policy.network.weights, scales, self._settings.plasticity.learning_rate

    def acted(self, agent: ServedAgent, sequence: int) -> None:
        """Note that an agent acts upon a state, its rows being in its traces."""
        agent.sequence, agent.answer, agent.restored = sequence, None, False
        self.states += 1
        self.steps += agent.info.spec.instances

    def learned(self, windows: int, rpe_size: float, *, rejected: bool) -> None:
        """Note that weights were changed, or that an update was rejected."""
        if rejected:
            self.counters['rejected_updates'] += 1
        else:
            self._step.note(windows, rpe_size)

    # -------------------------------------------------------------- checkpoint

    def snapshot(self) -> dict[str, Any]:
        """Return everything that decides the future, as plain data and copied arrays."""
        return {
            'settings': fingerprint(self._settings),
            'learning_rate': self._settings.plasticity.learning_rate,
            'sigma': self._settings.noise.sigma,
            'learning': self._step.snapshot(),
            **policy_data(self._policy),
            'agents': {name: agent.snapshot() for name, agent in self._agents.items()}
            | self._introduced.kept,
            'counters': dict(self.counters),
            'states': self.states,
            'steps': self.steps,
        }

    def restore(self, snapshot: dict[str, Any], *, keep_settings: bool = False) -> None:
        """Replace the learner's state; agents continue when they are of the same session.

        Args:
            snapshot: as saved.
            keep_settings: leave learning rate and noise as they are now, instead of taking those
                that were in force when it was saved.

        Raises:
            CheckpointError: the snapshot is one of another network; nothing was changed.
        """
        restored = Learner(self._settings, self._limits)
        try:
            restored._build(snapshot, self, keep_settings=keep_settings)
        except CheckpointError:
            raise
        except _MISFITS as error:
            raise CheckpointError(
                f'the content of the checkpoint does not fit: {type(error).__name__}: {error}; '
                'it was written by another version of nrl_ros'
            ) from error
        for name in _RESTORED:
            setattr(self, name, getattr(restored, name))

    def _build(self, snapshot: dict[str, Any], served: Learner, *, keep_settings: bool) -> None:
        """Take a snapshot, and serve what another learner serves; nothing of that is changed."""
        settings = self._settings
        check_fingerprint(snapshot['settings'], settings)
        policy = policy_of(snapshot, settings, served._policy)
        self.states, self.steps = int(snapshot['states']), int(snapshot['steps'])
        self._step.absolute_rpe_sum = served.absolute_rpe_sum
        restore_snapshot(self._step, snapshot['learning'], 'learning')
        if policy is not None:
            self._set_policy(policy)
        self.counters.update(snapshot['counters'])
        self._introduced.kept = dict(snapshot['agents'])
        if not keep_settings:
            self.set_learning_rate(snapshot['learning_rate'])
            self.set_sigma(snapshot['sigma'])
        for name, info in served.agents.items():
            self.join(info) if name in served._agents else self.introduce(info)
