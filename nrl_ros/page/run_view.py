"""What the page is told of one environment: figures, curves, counters, conditions; bounded.

It is a state without a clock of its own: whoever hears the topics of the run tells it what has come
and when, and asks what has changed since the last time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from numpy.typing import NDArray

from nrl_ros.monitor.counters import counted
from nrl_ros.monitor.learning_curve import COLUMNS, curve_row
from nrl_ros.monitor.progress import Progress
from nrl_ros.monitor.series import Row, Series
from nrl_ros.page.action_figures import ActionFigures

# Rows of a curve: as many as a wide screen has places for.
_ROWS = 600
# A run that has not reported for so long is silent; nodes report twice a second [s].
SILENT_S = 5.0
_MOST_COUNTERS, _MOST_CONDITIONS, _MOST_VALUES, _LONGEST = 40, 32, 24, 2000
_MOST_SHARES = 4
_SMOOTH = 0.1

SIGNALS = (
    'seconds', 'absolute_rpe', 'rpe', 'baseline', 'steps_per_second', 'weight_norm', 'busy_share',
    'latency_ms',
)  # fmt: skip


class RunName(NamedTuple):
    """Name of an environment.

    Attributes:
        namespace: of its learner; empty: none.
        agent: its name.
    """

    namespace: str
    agent: str


@dataclass(frozen=True)
class Condition:
    """An item of ``diagnostics``.

    Attributes:
        name: of the item, which begins with the node's.
        level: 0 well, 1 a warning, 2 an error, 3 stale.
        text: in one line.
        values: figures by name.
    """

    name: str
    level: int
    text: str
    values: Mapping[str, str] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """Return it for the page, of bounded size."""
        shown = list(self.values.items())[:_MOST_VALUES]
        return {
            'name': self.name[:_LONGEST],
            'level': self.level,
            'text': self.text[:_LONGEST],
            'values': {name[:200]: value[:_LONGEST] for name, value in shown},
        }


class Conditions:
    """The newest condition of each name, bounded."""

    def __init__(self) -> None:
        self._of: dict[str, Condition] = {}

    def hear(self, condition: Condition) -> bool:
        """Take a condition; return True if it is another one than before."""
        before = self._of.get(condition.name)
        if before is None and len(self._of) >= _MOST_CONDITIONS:
            self._of.pop(next(iter(self._of)))
        self._of[condition.name] = condition
        return before != condition

    def data(self) -> list[dict[str, Any]]:
        """Return them for the page, the worst ones first."""
        return [one.data() for one in sorted(self._of.values(), key=lambda one: -one.level)]


class RunView:
    """What is known of one environment and of the nodes that learn from it.

    Args:
        name: which one.
        now: time of a steady clock [s].

    Attributes:
        progress: figures, kept by ``ros/reports.py`` as for the panel of ``nrl train``.
        facts: newest fields of the status of each node, by node and by name.
        actions: chosen lately; None: the action space is not known yet.
        session: of the environment; 0: none yet.
        heard_at: when the environment reported last [s].
        learner_at: when its learner did; None: no learner was heard yet [s].
    """

    def __init__(self, name: RunName, now: float) -> None:
        self.name = name
        self.heard_at = self._begun = now
        self.learner_at: float | None = None
        self.session = 0
        self.actions: ActionFigures | None = None
        self._changed: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        self.progress = Progress()
        self.facts: dict[str, dict[str, Any]] = {}
        self.latency_ms = math.nan
        self.conditions = Conditions()
        self.learning = Series((*COLUMNS, *(f'share {at}' for at in range(_MOST_SHARES))), _ROWS)
        # The newest row by name of the curve that the environment itself tells, from its first
        # episode on; empty: it tells none.
        self._told: dict[str, float] = {}
        self.signals = Series(SIGNALS, _ROWS)
        self._sent: dict[str, tuple[int, int]] = {}
        self.touch(*_PARTS)

    # --------------------------------------------------------------- hearing

    def begin_session(self, session: int, now: float) -> bool:
        """Begin anew if the environment has begun another session; return True if it has."""
        anew = self.session not in (0, session)
        self.session = session
        if anew:
            self._begun, info = now, self.facts.get('info')
            self._begin()
            if info is not None:
                self.facts['info'] = info
        return anew

    def touch(self, *parts: str) -> None:
        """Note that parts have changed."""
        self._changed.update(parts)

    def hear_status(self, node: str, facts: Mapping[str, Any], now: float) -> None:
        """Take the fields of a node's status, which ``progress`` has taken before.

        Args:
            node: environment, learner or neuromodulator.
            facts: its plain fields by name.
            now: time of a steady clock [s].
        """
        if node == 'environment':
            self.heard_at = now
        elif node == 'learner':
            self.learner_at = now
        self.facts[node] = dict(facts)
        self.touch('facts', 'counters')
        if node == 'neuromodulator' or (node == 'learner' and 'neuromodulator' not in self.facts):
            self.signals.add(self._signals(now))

    def _signals(self, now: float) -> tuple[float, ...]:
        progress = self.progress
        return (
            now - self._begun,
            progress.mean_absolute_rpe,
            float(self.facts.get('neuromodulator', {}).get('mean_rpe', math.nan)),
            progress.baseline,
            progress.steps_per_second,
            # It is 0 before there is a network, which would be the lowest point of the curve.
            progress.weight_norm or math.nan,
            progress.busy_share,
            self.latency_ms,
        )

    def hear_episodes(self) -> None:
        """Add a point to the curves, after ``progress`` has taken finished episodes."""
        progress = self.progress
        if math.isnan(progress.mean_return):
            return
        if not self._told:
            self.learning.add(_widened(curve_row(progress)[1]))
        self.touch('facts')

    def hear_curve(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Take the learning curve that the environment itself has kept since its first episode.

        It then counts alone: a page that came later knows less.

        Args:
            columns: names, beginning with COLUMNS; shares of success follow.
            rows: of the whole curve so far, thinned out.
        """
        if not rows:
            return
        self._told = dict(zip(columns, rows[-1], strict=True))
        self.learning.follow([_widened(row) for row in rows])
        self.touch('facts')

    def introduce(self, facts: Mapping[str, Any], actions: ActionFigures) -> None:
        """Take what the environment is, and what will keep its actions."""
        if self.facts.get('info') != dict(facts):
            self.facts['info'], self.actions = dict(facts), actions
            self.touch('facts', 'actions')

    def hear_action(self, action: NDArray[Any], late_ms: float) -> None:
        """Take the actions of one answer [B, components].

        Args:
            action: of all instances.
            late_ms: time from the state to its answer [ms]; NaN: it is not known.
        """
        if self.actions is not None:
            self.actions.add(action)
            self.touch('actions')
        if not math.isnan(late_ms):
            # A running mean: one answer alone says little.
            before = late_ms if math.isnan(self.latency_ms) else self.latency_ms
            self.latency_ms = before + _SMOOTH * (late_ms - before)

    @property
    def states_per_second(self) -> float:
        """States that the environment sends in a second, each for all instances [1/s]."""
        instances = self.facts.get('info', {}).get('instances', 1)
        return self.progress.steps_per_second / max(int(instances), 1)

    def hear_condition(self, condition: Condition) -> None:
        """Take an item of the diagnostics."""
        if self.conditions.hear(condition):
            self.touch('conditions')

    # --------------------------------------------------------------- telling

    def state(self, now: float) -> str:
        """Return in a word or two what the environment does."""
        progress = self.progress
        if progress.finished:
            return 'finished'
        if progress.left:
            return 'has left'
        if now - self.heard_at > SILENT_S:
            return 'silent'
        if self.learner_at is not None and now - self.learner_at > SILENT_S:
            # The environment waits for it, or goes on without it.
            return 'silent learner'
        return 'running' if progress.steps else 'starting'

    def whole(self, now: float) -> dict[str, Any]:
        """Return everything, for a page that has just been opened."""
        told = {part: self._part(part) for part in _PARTS}
        series = {name: one.since(-1, 0)._asdict() for name, one in self._series()}
        return {**self._head(now), **told, 'series': series}

    def news(self, now: float) -> dict[str, Any] | None:
        """Return what has changed since the last call; None: nothing."""
        told: dict[str, Any] = {part: self._part(part) for part in sorted(self._changed)}
        self._changed.clear()
        series = {}
        for name, one in self._series():
            generation, count = self._sent.get(name, (-1, 0))
            part = one.since(generation, count)
            self._sent[name] = one.generation, len(one.rows)
            if part.rows or part.generation != generation:
                series[name] = part._asdict()
        if series:
            told['series'] = series
        return {**self._head(now), **told} if told else None

    def _series(self) -> Sequence[tuple[str, Series]]:
        return ('learning', self.learning), ('signals', self.signals)

    def _head(self, now: float) -> dict[str, Any]:
        namespace, agent = self.name
        state = self.state(now)
        return {'namespace': namespace, 'agent': agent, 'state': state, 'key': ':'.join(self.name)}

    def _part(self, name: str) -> Any:
        progress = self.progress
        if name == 'facts':
            own = {
                **self._recent(),
                'mean_reward': progress.mean_reward,
                'absolute_rpe': progress.mean_absolute_rpe,
                'latency_ms': self.latency_ms,
            }
            return {**self.facts, 'own': own}
        if name == 'counters':
            found = counted(progress.counters, _MOST_COUNTERS)
            return [one._asdict() for one in found]
        if name == 'conditions':
            return self.conditions.data()
        assert name == 'actions'
        return None if self.actions is None else self.actions.data()

    def _recent(self) -> dict[str, Any]:
        """Return the figures of the last 100 episodes."""
        progress, told = self.progress, self._told
        if told and not progress.is_full:
            # The page has not heard so many itself.
            names = {'return': 'mean_return', 'low': 'low', 'high': 'high', 'length': 'mean_length'}
            found = {mine: told[name] for name, mine in names.items()}
            return {**found, 'shares': {one: told[one] for one in told if one not in COLUMNS}}
        low, high = progress.spread
        return {
            'mean_return': progress.mean_return,
            'low': low,
            'high': high,
            'mean_length': progress.mean_length,
            'shares': progress.figures.shares(),
        }


def _widened(row: Row) -> Row:
    """Return a row of a learning curve with a place for each share that is shown."""
    known = row[: len(COLUMNS) + _MOST_SHARES]
    return (*known, *(math.nan,) * (len(COLUMNS) + _MOST_SHARES - len(known)))


_PARTS = ('facts', 'counters', 'conditions', 'actions')
