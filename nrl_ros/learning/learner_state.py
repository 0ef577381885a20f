"""The parts of a learner that decide its future, and that a checkpoint replaces."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from nrl_ros.base.errors import CheckpointError, NrlError
from nrl_ros.base.limits import LearnerLimits
from nrl_ros.base.settings import changed
from nrl_ros.base.state import restore_snapshot
from nrl_ros.learning.guarded import GuardedLearning
from nrl_ros.learning.policy import policy_data, policy_of
from nrl_ros.learning.roster import Roster
from nrl_ros.learning.settings import LearnerSettings
from nrl_ros.learning.snapshots import check_fingerprint, fingerprint
from nrl_ros.learning.update import LearningStep

COUNTERS = (
    'duplicate_states',
    'out_of_order_states',
    'lost_states',
    'invalid_states',
    'unknown_agent_messages',
    'departed_agent_messages',
    'wrong_session_messages',
    'unapplied_steps',
    'limited_steps',
    'intervened_steps',
    'foreign_steps',
    'late_rpes',
    'duplicate_rpes',
    'early_rpes',
    'unknown_window_rpes',
    'invalid_rpes',
    'ignored_rpes',
    'released_windows',
    'aborted_windows',
    'rejected_updates',
    'changed_infos',
    'forgotten_agents',
    'guard_restores',
    'guard_task_changes',
    'guard_dropped_windows',
    'guard_held_windows',
    'guard_discarded_updates',
)
# Errors that a snapshot with unexpected content may raise while it is taken over.
_MISFITS = (
    NrlError, ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError
)  # fmt: skip


@dataclass
class LearnerState:
    """The parts of a learner.

    Attributes:
        settings: in force; learning rate and noise may change.
        limits: how much agents may ask for; None: anything.
        counters: what was lost, late, doubled, released or refused, by name.
        roster: which agents are known and served, and the policy that they share.
        update: from traces to changed weights.
        guarded: watches returns and weights; None: learning is not guarded.
        states: states acted upon so far.
        steps: those of all instances.
    """

    settings: LearnerSettings
    limits: LearnerLimits | None
    counters: Counter[str]
    roster: Roster
    update: LearningStep
    guarded: GuardedLearning | None = None
    states: int = 0
    steps: int = 0

    @classmethod
    def new(cls, settings: LearnerSettings, limits: LearnerLimits | None) -> LearnerState:
        """Return the parts of a learner without agents."""
        counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        roster, update = Roster(settings, limits, counters), LearningStep(settings)
        guarded = None
        if settings.guard.enabled or settings.guard.approve:
            guarded = GuardedLearning(settings.guard, roster, update, counters)
        return cls(settings, limits, counters, roster, update, guarded)

    def change(self, name: str, value: float) -> None:
        """Change a setting while the learner runs; recorded traces keep the noise they had.

        Args:
            name: 'plasticity.learning_rate' or 'noise.sigma'.
            value: from the next update, or the next step on.

        Raises:
            ConfigError: it is out of its range; nothing was changed.
        """
        self.settings = changed(self.settings, {name: value})
        self.spread_sigma()

    def spread_sigma(self) -> None:
        """Give all agents the noise of the settings, times the present factor of the schedule."""
        self.roster.set_sigma(self.settings.noise.sigma * self.update.sigma_factor())

    def snapshot(self) -> dict[str, Any]:
        """Return everything that decides the future, as plain data and copied arrays."""
        data = {
            'settings': fingerprint(self.settings),
            'learning_rate': self.settings.plasticity.learning_rate,
            'sigma': self.settings.noise.sigma,
            'learning': self.update.snapshot(),
            **policy_data(self.roster.policy),
            'agents': self.roster.snapshot(),
            'counters': dict(self.counters),
            'states': self.states,
            'steps': self.steps,
        }
        return data if self.guarded is None else data | {'guard': self.guarded.snapshot()}

    def restored(self, snapshot: dict[str, Any], *, keep_settings: bool) -> LearnerState:
        """Return new parts from a snapshot; the present ones are not changed.

        Args:
            snapshot: as saved; agents that are known now continue if they are of its sessions.
            keep_settings: keep learning rate and noise as they are now.

        Raises:
            CheckpointError: the snapshot is of another network or version.
        """
        try:
            return self._restored(snapshot, keep_settings=keep_settings)
        except CheckpointError:
            raise
        except _MISFITS as error:
            raise CheckpointError(
                f'the content of the checkpoint does not fit: {type(error).__name__}: {error}; '
                'it was written by another version of nrl_ros'
            ) from error

    def _restored(self, snapshot: dict[str, Any], *, keep_settings: bool) -> LearnerState:
        check_fingerprint(snapshot['settings'], self.settings)
        new = LearnerState.new(self.settings, self.limits)
        new.roster.around_head = self.roster.around_head
        new.roster.policy = policy_of(snapshot, self.settings, self.roster.policy)
        new.states, new.steps = int(snapshot['states']), int(snapshot['steps'])
        restore_snapshot(new.update, snapshot['learning'], 'learning')
        # These sums count from the start of this learner and are not saved.
        new.update.rpes = self.update.rpes
        new.counters.update(snapshot['counters'])
        if not keep_settings:
            new.change('plasticity.learning_rate', snapshot['learning_rate'])
            new.change('noise.sigma', snapshot['sigma'])
        new.spread_sigma()
        new.roster.take_over(self.roster, snapshot['agents'])
        if new.guarded is not None and 'guard' in snapshot:
            new.guarded.restore(snapshot['guard'])
        return new
