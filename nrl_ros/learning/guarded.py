"""Guarded learning: returns are watched, good weights are kept, and changes wait for approval.

A learner with ``guard.enabled`` or ``guard.approve`` has one of these. It hears states and
reward-prediction errors, from which it sums the returns of episodes, so that it decides the same
in one process and over ROS 2, and continues from a checkpoint bit for bit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from nrl_ros.base.errors import ProtocolError
from nrl_ros.base.records import AgentInfo, RpeBatch, StateBatch
from nrl_ros.base.state import restore_snapshot, take_snapshot
from nrl_ros.environments.best_window import Window
from nrl_ros.learning.agent import ServedAgent
from nrl_ros.learning.credit import Creditable
from nrl_ros.learning.episode_returns import Complete, Ended, EpisodeReturns
from nrl_ros.learning.guard import Guard, GuardSettings, Mode, Move
from nrl_ros.learning.kept_policy import approved, keep, put_back, relative_change, reset_candidate
from nrl_ros.learning.policy import Policy
from nrl_ros.learning.roster import Roster
from nrl_ros.learning.update import LearningStep
from nrl_ros.learning.usable_weights import are_usable

RESTORED, DROPPED, HELD = 'guard_restores', 'guard_dropped_windows', 'guard_held_windows'
CHANGED, DISCARDED = 'guard_task_changes', 'guard_discarded_updates'
# Copies of weights, as snapshots name them.
_KEPT = ('good', 'older', 'proposed', 'approved')
# Looks at the returns within as many episodes as are compared.
_LOOKS = 10
# By whose episodes the guard compares.
_Listeners = tuple[str, ...]


@dataclass
class _Heard:
    """The episodes of one agent in one session."""

    session: int
    returns: EpisodeReturns

    def is_of(self, info: AgentInfo) -> bool:
        """Return True if they are of this session of the agent."""
        return self.session == info.session and self.returns.instances == info.spec.instances


class GuardedLearning:
    """Watches the returns of a learner, and what becomes of its weights.

    Args:
        settings: of the guard.
        roster: agents and their policy.
        update: from traces to changed weights.
        counters: of the learner.

    Attributes:
        events: what a person has to know, in words; whoever tells it empties the list.
        gathered: updates of the candidate since the last approval.
    """

    def __init__(
        self,
        settings: GuardSettings,
        roster: Roster,
        update: LearningStep,
        counters: Counter[str],
    ) -> None:
        self._settings, self._roster = settings, roster
        self._update, self._counters = update, counters
        self._guard = Guard(settings)
        self._heard: dict[str, _Heard] = {}
        self._members: _Listeners = ()
        self._good: dict[str, Any] | None = None
        self._older: dict[str, Any] | None = None
        self._proposed: dict[str, Any] | None = None
        self._approved: dict[str, Any] | None = None
        self.events: list[str] = []
        self.gathered = 0

    # --------------------------------------------------------------- asked for

    @property
    def rate_factor(self) -> float:
        """Factor of the learning rate: it is halved after each fall [1]."""
        return self._guard.state.rate_factor

    @property
    def greedy(self) -> bool:
        """True if the learner is to act greedily and to learn nothing, to be measured."""
        return self._guard.greedy

    @property
    def holds(self) -> bool:
        """True if the learner is to act and record as ever, and to change no weights."""
        return self._guard.holds

    @property
    def text(self) -> str:
        """What guarded learning does at present, in words."""
        parts = []
        best = self._guard.windows.best
        if self._settings.enabled:
            parts.append(_DOING[self._guard.mode])
            if best is not None:
                parts.append(f'best return {best.mean:,.4g}, a fall below {self._tolerated}')
            if self.rate_factor != 1.0:
                parts.append(f'{self.rate_factor:g} of the learning rate')
        if self._settings.approve:
            parts += ['acts by approved weights', f'{self.gathered:,} updates wait for approval']
        return ', '.join(parts)

    @property
    def _tolerated(self) -> str:
        return f'{self._guard.tolerated:,.4g}'

    @property
    def _policy(self) -> Policy:
        policy = self._roster.policy
        assert policy is not None
        return policy

    # ------------------------------------------------------------------ hearing

    def returns_of(self, agent: ServedAgent) -> EpisodeReturns:
        """Return what sums the rewards of an agent's episodes in its present session."""
        info = agent.info
        heard = self._heard.get(info.agent)
        if heard is None or not heard.is_of(info):
            heard = self._heard[info.agent] = self._new(info.session, info.spec.instances)
        return heard.returns

    def _new(self, session: int, instances: int) -> _Heard:
        # Means of so many episodes hardly move with one of them.
        together = max(max(self._settings.episodes, instances) // _LOOKS, 1)
        return _Heard(session, EpisodeReturns(instances, together))

    def hear_state(self, agent: ServedAgent, state: StateBatch, steps: int) -> bool:
        """Note the episodes that begin and end with a state.

        Returns:
            True if the weights were put back.
        """
        if self._good is None:
            # Weights that are not finite are put back before any return is known.
            self._begin()
        ended = self.returns_of(agent).hear_state(state)
        return bool(ended) and self.note(agent, ended, steps)

    def hear_rewards(self, agent: ServedAgent, rpe: RpeBatch, steps: int) -> bool:
        """Note rewards; result as of ``hear_state``."""
        ended = self.returns_of(agent).hear_rewards(rpe)
        return bool(ended) and self.note(agent, ended, steps)

    def awaits(self, name: str) -> bool:
        """Return True if an agent's episode has ended whose rewards have not all come.

        In lockstep its state waits for them, so that the guard decides at the same step everywhere.
        """
        heard = self._heard.get(name)
        return self._settings.enabled and heard is not None and heard.returns.awaits

    def release(self, name: str) -> None:
        """Let an agent's episodes not count whose rewards do not come."""
        heard = self._heard.get(name)
        if heard is not None:
            heard.returns.release()

    def pause(self) -> None:
        """Let the episodes under way not count: the learner acts in another mode from now on."""
        for heard in self._heard.values():
            heard.returns.forget()

    def _begin(self) -> None:
        self._good = keep(self._policy, self._update)
        if self._settings.approve and self._approved is None:
            self._approved = self._good['update']

    def note(self, agent: ServedAgent, ended: Ended, steps: int) -> bool:
        """Look at episodes that an agent has completed.

        Args:
            agent: whose they are.
            ended: at least one, as ``EpisodeReturns`` gives them.
            steps: of all instances so far.

        Returns:
            True if the weights were put back.
        """
        if not self._settings.enabled:
            return False
        self._admit(agent.info.agent)
        heard = [self._heard[one] for one in self._members if one in self._heard]
        counts = [one.returns.completed() for one in heard]
        complete = Complete(
            sum(one.instances for one in counts),
            min(one.least for one in counts),
            sum(one.total for one in counts),
        )
        greedy = self.greedy
        return self._do(self._guard.hear(steps, ended, complete), greedy=greedy)

    def _admit(self, name: str) -> None:
        """Compare anew when other agents are at work: their tasks may pay more or less."""
        if self._members == (name,):
            return
        present = {agent.info.agent for agent in self._roster.agents}
        members = tuple(sorted({one for one in self._members if one in present} | {name}))
        if members != self._members:
            if self._members:
                self._guard.begin_anew(forget=True)
                self.pause()
            self._members = members

    # -------------------------------------------------------------------- deeds

    def _do(self, move: Move, *, greedy: bool) -> bool:
        """Do what the guard has decided; return True if the weights were put back.

        Args:
            move: what is to be done.
            greedy: whether the learner has acted greedily until now.
        """
        if move is Move.NONE:
            return False
        if move is Move.PROPOSE:
            self._proposed = self._copy()
        elif move is Move.ACCEPT:
            self._older, self._good, self._proposed = self._good, self._proposed, None
        elif move is Move.KEEP:
            self._older, self._good = self._good, self._copy()
        elif move is Move.FORGET:
            self._good, self._older = self._copy(), None
            self._counters[CHANGED] += 1
            self.events.append(
                'guard: the last good weights do not reach their former return any more, so the '
                'task has changed and not only the policy; it learns on as before the fall'
            )
        if move is Move.RESTORE:
            dropped = self._put_back()
            self._counters[RESTORED] += 1
            self.events.append(self._fall_in_words(dropped))
        elif move is Move.OLDER:
            self._good, self._older = self._older or self._good, None
            self._put_back()
            self.events.append(
                'guard: the last good weights do not reach their former return: back to those '
                'before them'
            )
        if move in (Move.RESTORE, Move.OLDER):
            return True
        if self.greedy != greedy:
            self.pause()
        if move is Move.EVALUATE:
            # The windows that are open end under another policy than they began with.
            self._drop_windows()
        return False

    def _copy(self) -> dict[str, Any]:
        made = keep(self._policy, self._update)
        return made if self._approved is None else made | {'update': self._approved}

    def _put_back(self) -> int:
        """Act by the good weights; return how many open windows were dropped."""
        assert self._good is not None
        put_back(self._policy, self._update, self._good)
        self._approved = self._good['update'] if self._settings.approve else None
        self.gathered, self._proposed = 0, None
        dropped = self._drop_windows()
        self.pause()
        return dropped

    def _drop_windows(self) -> int:
        """Release all open windows: their traces are of weights that do not act any more."""
        dropped = sum(agent.credit.release_all() for agent in self._roster.agents)
        self._counters[DROPPED] += dropped
        return dropped

    def _fall_in_words(self, dropped: int) -> str:
        fallen = self._guard.fallen
        why = 'the weights are not finite any more' if fallen is None else _fall(*fallen)
        after = (
            'acts by them and learns nothing until the service approve is called'
            if self._guard.mode is Mode.WAITING
            else f'learns on at {self.rate_factor:g} of the learning rate if they are as good as '
            f'before in {self._guard.windows.size} episodes'
        )
        return (
            f'guard: {why}: back to the last good weights, {dropped} open windows dropped; {after}'
        )

    # ------------------------------------------------------------------ updates

    def hold(self, agent: ServedAgent, creditable: Creditable) -> None:
        """Clear traces that would have changed the weights, and count their windows."""
        spec = self._policy.network.spec
        if len(creditable.instances):
            total = [np.zeros(shape, self._policy.network.dtype) for shape in spec.shapes]
            none = np.zeros(len(creditable.instances))
            agent.credit.store.add_to(total, creditable.instances, none, creditable.carried)
        self._counters[HELD] += len(creditable.instances) + len(creditable.late)

    def updated(self) -> bool:
        """Look at the weights after an update; return True if they were put back."""
        if self._settings.approve:
            self.gathered += 1
        if are_usable(self._policy.learning.weights):
            return False
        if self._settings.enabled:
            return self._do(self._guard.break_off(), greedy=False)
        if self._approved is None:
            return False
        self._discard()
        self.events.append(
            'guard: the candidate is not finite any more and was discarded: lower the learning rate'
        )
        return True

    def rate_is_set(self) -> None:
        """Forget the halvings: a person has set another learning rate."""
        self._guard.state.rate_factor = 1.0

    # ----------------------------------------------------------------- approval

    def approve(self, *, yes: bool) -> str:
        """Take a person's decision, and return in words what follows.

        Args:
            yes: learn on after a fall, or act by the candidate; otherwise: stay, or discard it.

        Raises:
            ProtocolError: nothing waits for a decision.
        """
        if self._guard.mode is Mode.WAITING:
            return self._let_learn() if yes else 'acts by the last good weights and learns nothing'
        if not (self._settings.approve and self.gathered):
            raise ProtocolError(
                'nothing waits for approval: expected updates that have gathered since the last '
                'one (guard.approve), or a fall after which the learner waits (guard.then: wait)'
            )
        gathered = self.gathered
        if not yes:
            self._discard()
            return f'{gathered:,} updates discarded'
        change = relative_change(self._policy)
        self._approved = approved(self._policy, self._update)
        self.gathered, dropped = 0, self._drop_windows()
        self._guard.begin_anew()
        self.pause()
        return (
            f'acts by {gathered:,} more updates, which changed the weights by {100 * change:.3g} '
            f'% of their norm; {dropped} open windows dropped'
        )

    def _discard(self) -> None:
        """Begin the candidate anew at the approved weights."""
        assert self._approved is not None
        reset_candidate(self._policy, self._update, self._approved)
        self._counters[DISCARDED] += self.gathered
        self.gathered = 0

    def _let_learn(self) -> str:
        self._guard.go_on()
        self.pause()
        return f'learns on at {self.rate_factor:g} of the learning rate'

    # --------------------------------------------------------------- checkpoint

    def snapshot(self) -> dict[str, Any]:
        """Return everything that decides the future, as plain data and copied arrays."""
        kept = {name: getattr(self, f'_{name}') for name in _KEPT}
        return {
            'guard': self._guard.snapshot(),
            'members': list(self._members),
            'gathered': self.gathered,
            'heard': {
                name: {'session': one.session, 'returns': take_snapshot(one.returns)}
                for name, one in self._heard.items()
            },
            **{name: None if data is None else take_snapshot(data) for name, data in kept.items()},
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot, once the roster has its policy.

        Raises:
            CheckpointError: it does not fit.
        """
        self._guard.restore(snapshot['guard'])
        self._members = tuple(map(str, snapshot['members']))
        for name in _KEPT:
            setattr(self, f'_{name}', snapshot[name])
        self.gathered = int(snapshot['gathered'])
        if not self._settings.approve:
            self._approved, self.gathered = None, 0
        for name, saved in snapshot['heard'].items():
            heard = self._new(int(saved['session']), len(saved['returns']['newest']))
            restore_snapshot(heard.returns, saved['returns'], f'guard.heard.{name}')
            self._heard[name] = heard


_DOING = {
    Mode.LEARNING: 'watches',
    Mode.EVALUATING: 'measures greedy episodes',
    Mode.CHECKING: 'checks the last good weights',
    Mode.WAITING: 'waits for approval after a fall',
}


def _fall(before: Window, after: Window) -> str:
    return (
        f'the return has fallen from {before.mean:,.4g} to {after.mean:,.4g} '
        f'({after.episodes} episodes each)'
    )
