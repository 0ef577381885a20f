"""Figures of a running training: plain numbers, written by the monitor, shown by the display."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from nrl_ros.base.health import NAMES
from nrl_ros.environments.figures import RecentFigures
from nrl_ros.monitor.best_watch import BestWatch
from nrl_ros.monitor.health_history import HealthHistory
from nrl_ros.monitor.series import Series

_RECENT = 100
FIGURE_EPISODES = 500
_CURVE_POINTS = 600
# So many reports without a step come of an environment that waits, and not of one at work.
_REPORTS = 10

PROGRESS = (
    'wall_time_s',
    'steps',
    'episodes',
    'steps_per_second',
    'mean_return',
    'mean_absolute_rpe',
    'baseline',
    'weight_norm',
    'learning_rate',
    'busy_share',
    'late',
    'missing',
    'dropped',
    'duplicate',
    'released',
    'mean_reward',
    *(f'health_{name}' for name in NAMES),
)

# Counters that mean the same to a person are shown together under one name.
_GROUPS = {
    'late': ('late_',),
    'missing': ('missing_',),
    'duplicate': ('duplicate_',),
    'released': ('released_',),
    'dropped': ('dropped_', 'lost_', 'invalid_rewards', 'rejected_', 'incompatible_qos'),
}


def group_counters(counters: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of counters under the few names that are shown."""
    groups = dict.fromkeys(_GROUPS, 0)
    for name, value in counters.items():
        for group, starts in _GROUPS.items():
            if name.startswith(starts):
                groups[group] += value
    return groups


class StallWatch:
    """Tells when states are sent again and again, and no step comes of it.

    Args:
        limit_s: longest time without a step while states are sent again [s].
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._steps = self._resent = 0
        self._since = 0.0

    def is_stalled(self, now: float, steps: int, resent: int) -> bool:
        """Note an environment's counters; return whether it has been without answers for too long.

        Args:
            now: time of a steady clock [s].
            steps: of the environment.
            resent: how often it has sent a state again.
        """
        if steps != self._steps or resent == self._resent == 0:
            self._steps, self._resent, self._since = steps, resent, now
            return False
        return resent > self._resent and now - self._since > self._limit_s


class FirstStepWatch:
    """Tells when an environment that was activated does no first step.

    An environment that is silent may be at work on its first step, so it has much longer than one
    that reports again and again that it has done none.

    Args:
        limit_s: longest time from the first report to the first step [s].
        silent_s: longest time to the first report [s].
        lockstep: the environment waits for an action; otherwise only its silence is a fault.
    """

    def __init__(self, limit_s: float, silent_s: float, *, lockstep: bool) -> None:
        self._limit_s, self._silent_s, self._lockstep = limit_s, silent_s, lockstep
        self._begin: float | None = None
        self._heard: float | None = None

    def fault(self, now: float, reports: int) -> str:
        """Return what is wrong, empty if nothing is; called until the first step.

        Args:
            now: time of a steady clock [s].
            reports: of the environment so far, all without a step.
        """
        self._begin = now if self._begin is None else self._begin
        if not reports:
            silent = now - self._begin > self._silent_s
            return f'has not reported anything within {self._silent_s:.0f} s' if silent else ''
        self._heard = now if self._heard is None else self._heard
        waits = now - self._heard > self._limit_s and reports >= _REPORTS
        if not (self._lockstep and waits):
            return ''
        return f'has done no step within {self._limit_s:.0f} s, and reports that it waits'


@dataclass
class Progress:
    """Newest figures of one run.

    Attributes:
        target_steps: environment steps after which the run is done; 0: not limited by steps.
        target_episodes: the same for episodes.
        earlier_steps: steps done before, if the environment counts from 0 again after a resume.
        first_steps: steps when the environment was first seen to move.
        course: total steps and mean return of the last 100 episodes, thinned out.
        counters: by node, then by name.
        restored: counters that a node began with, from a checkpoint.
        figures: of the last 500 episodes, as the environment names them, without aborted ones.
        guard: what guarded learning does, in words; empty: it is off.
        phase: what is done now, in words, while no steps are done; empty during the training.
        best: is told what each episode was worth.
        health: of plasticity.
    """

    target_steps: int = 0
    target_episodes: int = 0
    earlier_steps: int = 0
    first_steps: int = 0
    steps: int = 0
    episodes: int = 0
    steps_per_second: float = 0.0
    mean_absolute_rpe: float = math.nan
    baseline: float = math.nan
    weight_norm: float = math.nan
    learning_rate: float = math.nan
    noise_sigma: float = math.nan
    busy_share: float = math.nan
    finished: bool = False
    left: bool = False
    served: bool = False
    moving: bool = False
    learner_heard: int = 0
    environment_heard: int = 0
    course: Series = field(default_factory=lambda: Series(('steps', 'return'), _CURVE_POINTS))
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    restored: dict[str, dict[str, int]] = field(default_factory=dict)
    figures: RecentFigures = field(default_factory=lambda: RecentFigures(FIGURE_EPISODES))
    guard: str = ''
    phase: str = ''
    best: BestWatch = field(default_factory=BestWatch)
    health: HealthHistory = field(default_factory=HealthHistory)
    _first: list[float] = field(default_factory=list)
    _recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_RECENT))

    @property
    def is_full(self) -> bool:
        """True if figures of the last episodes are over as many as they say."""
        return len(self._recent) == _RECENT

    @property
    def mean_return(self) -> float:
        """Mean return of the last 100 episodes; NaN before the first."""
        returns = [value for value, _ in self._recent]
        return sum(returns) / len(returns) if returns else math.nan

    @property
    def mean_reward(self) -> float:
        """Mean reward a step over the last 100 episodes; NaN before the first.

        The return of a task that does not end by itself depends on when its episodes are cut;
        this does not.
        """
        steps = sum(length for _, length in self._recent)
        return sum(value for value, _ in self._recent) / steps if steps else math.nan

    @property
    def mean_length(self) -> float:
        """Mean length of the last 100 episodes [steps]; NaN before the first."""
        lengths = [length for _, length in self._recent]
        return sum(lengths) / len(lengths) if lengths else math.nan

    @property
    def spread(self) -> tuple[float, float]:
        """The middle 80 % of the last 100 returns: lowest, highest; NaN before the first."""
        returns = sorted(value for value, _ in self._recent)
        tenth, last = len(returns) // 10, len(returns) - 1
        return (returns[tenth], returns[last - tenth]) if returns else (math.nan, math.nan)

    @property
    def curve(self) -> list[tuple[float, ...]]:
        """Total steps and mean return of the last 100 episodes, thinned out."""
        return self.course.rows

    @property
    def first_mean_return(self) -> float:
        """Mean return of the first 100 episodes of this start; NaN before the first."""
        return sum(self._first) / len(self._first) if self._first else math.nan

    @property
    def share_done(self) -> float:
        """Share of the run that is done, 0 to 1; NaN without limits."""
        shares = [
            done / target
            for done, target in (
                (self.steps, self.target_steps),
                (self.episodes, self.target_episodes),
            )
            if target
        ]
        return min(max(shares), 1.0) if shares else math.nan

    @property
    def groups(self) -> dict[str, int]:
        """Counters of all nodes since this start, under the few names that are shown."""
        total = dict.fromkeys(_GROUPS, 0)
        for node, counters in self.counters.items():
            before = group_counters(self.restored.get(node, {}))
            for name, value in group_counters(counters).items():
                total[name] += max(value - before[name], 0)
        return total

    def add_episodes(
        self,
        total_steps: int,
        returns: list[float],
        lengths: list[int],
        worth: list[float] | None = None,
    ) -> None:
        """Add finished episodes that were not aborted.

        Args:
            total_steps: environment steps of all instances by now.
            returns: of each.
            lengths: of each [steps].
            worth: by which the best checkpoint is chosen; None: by the returns.
        """
        if not returns:
            return
        self.best.add(total_steps, returns if worth is None else worth)
        self._first.extend(returns[: _RECENT - len(self._first)])
        self._recent.extend(zip(returns, lengths, strict=True))
        self.course.add((total_steps, self.mean_return))

    def since_start(self, node: str) -> dict[str, int]:
        """Return the counters of a node without those that its checkpoint brought along."""
        before = self.restored.get(node, {})
        found = self.counters.get(node, {})
        return {name: max(value - before.get(name, 0), 0) for name, value in found.items()}

    def row(self, wall_time_s: float) -> list[float | int | str]:
        """Return the values of the columns PROGRESS."""
        figures = (
            self.steps_per_second,
            self.mean_return,
            self.mean_absolute_rpe,
            self.baseline,
            self.weight_norm,
            self.learning_rate,
            self.busy_share,
        )
        shown = [_cell(value) for value in figures]
        counts = self.groups.values()
        last = [self.mean_reward, *(self.health.now.values[name] for name in NAMES)]
        cells = [_cell(value) for value in last]
        return [f'{wall_time_s:.2f}', self.steps, self.episodes, *shown, *counts, *cells]


def _cell(value: float) -> str:
    return '' if math.isnan(value) else f'{value:.6g}'
