"""Figures of one arm as plain numbers and words, kept from what its nodes report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nrl_ros.environments.figures import RecentFigures
from nrl_ros.monitor.best_watch import BestWatch

_RECENT = 20
DISTANCE = 'final_distance_m'
# Counters of the learner that show how often an arm's limits and delays changed an action.
_SHOWN = ('limited_steps', 'unapplied_steps', 'aborted_windows')


@dataclass
class ArmFigures:
    """Figures of the arm as plain numbers and words, which arm_watch writes.

    Attributes:
        mode: of the safety node.
        why: why it stopped, or what it waits for; empty: neither.
        stopped: True if it has stopped the arm and has to be cleared.
        moves: what moves the arm.
        asks: what the environment waits to be told ~/go for; empty: it does not wait.
        episodes: that have ended.
        aborted: how many of these were aborted.
        last_aborted: True if the last one was aborted.
        stop: what stopped the arm last, until another episode has ended well.
        counters: of the learner.
        recent: figures of the last 20 episodes that were not aborted.
        best: finds the best checkpoint, by minus the distances at which so many episodes end.
    """

    mode: str = 'no safety node yet'
    why: str = ''
    stopped: bool = False
    moves: str = ''
    asks: str = ''
    episodes: int = 0
    aborted: int = 0
    last_aborted: bool = False
    stop: str = ''
    counters: Mapping[str, int] = field(default_factory=dict)
    recent: RecentFigures = field(default_factory=lambda: RecentFigures(_RECENT))
    best: BestWatch = field(default_factory=lambda: BestWatch(window=_RECENT))

    def hear_safety(self, mode: str, why: str, *, stopped: bool) -> None:
        """Note what the safety node reports: its mode, and why it stopped or waits."""
        self.mode, self.why, self.stopped = mode, why, stopped
        if stopped:
            self.stop = f'{mode}: {why}'

    def hear_episodes(self, aborted: Sequence[bool]) -> None:
        """Note episodes that have ended, and which of them were aborted."""
        self.episodes += len(aborted)
        self.aborted += sum(aborted)
        if aborted:
            self.last_aborted = aborted[-1]
            self.stop = self.stop if self.last_aborted or self.stopped else ''

    def problem(self) -> str:
        """Return why a run that has done its episodes was not successful; '' if it was."""
        if self.stopped:
            return f'the arm is stopped: {self.stop}'
        if self.last_aborted:
            return f'the last episode was aborted; {self.stop or "the safety node did not stop it"}'
        return ''

    def line(self) -> str:
        """Return the figures in one line."""
        moves = 'waits for go' if self.asks else self.moves
        doing = f'{self.mode}: {moves}' if moves and not self.why else self.mode
        parts = [doing, f'episodes {self.episodes}']
        last = self.recent.recent(DISTANCE)[-3:]
        if last:
            parts.append('ended at ' + ', '.join(f'{100 * one:.1f}' for one in last) + ' cm')
        parts += [f'{name} {100 * share:.0f} %' for name, share in self.recent.shares().items()]
        shown = [(name.replace('_', ' '), self.counters.get(name, 0)) for name in _SHOWN]
        shown.append(('aborted episodes', self.aborted))
        parts += [f'{name} {count:,}' for name, count in shown if count]
        return '  '.join(parts)

    def summary(self) -> dict[str, Any]:
        """Return the figures for the run's summary."""
        return {
            'aborted': self.aborted,
            'final_distances_m': [round(one, 4) for one in self.recent.recent(DISTANCE)],
            'figures': self.recent.means(),
            'best_window': None if self.best.best is None else asdict(self.best.best),
        }
