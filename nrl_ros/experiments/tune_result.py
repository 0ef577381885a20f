"""What a search of settings has come to, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nrl_ros.experiments.candidates import Candidate
from nrl_ros.experiments.intervals import Interval, difference


@dataclass(frozen=True)
class Tried:
    """A candidate with its scores in the search.

    Attributes:
        candidate: its settings.
        seeds: score of each seed; NaN while it has none.
        score: over seeds; NaN while there is none.
        diverged: seeds whose weights became NaN or infinite.
    """

    candidate: Candidate
    seeds: tuple[float, ...]
    score: float
    diverged: int

    @property
    def known(self) -> bool:
        """True if it has a score."""
        return not math.isnan(self.score)


@dataclass(frozen=True)
class TuneResult:
    """What a search has come to.

    Attributes:
        own: the task's own settings.
        winner: of the search; ``own`` where that won.
        own_seeds: final mean return of each of its seeds.
        winner_seeds: likewise.
        tried: all candidates of the search.
    """

    own: Candidate
    winner: Candidate
    own_seeds: tuple[float, ...]
    winner_seeds: tuple[float, ...]
    tried: tuple[Tried, ...]

    @property
    def gain(self) -> Interval:
        """How much higher the winner's final return is, with its 95 % interval."""
        return difference(self.own_seeds, self.winner_seeds)

    @property
    def is_better(self) -> bool:
        """True if the winner is higher than the task's own settings by more than chance gives."""
        return self.winner != self.own and self.gain.told_apart and self.gain.mean > 0.0

    @property
    def chosen(self) -> Candidate:
        """The candidate to train with: the winner only if it is better."""
        return self.winner if self.is_better else self.own

    def verdict(self) -> str:
        """Return how sure the result is, in a sentence."""
        count = min(len(self.own_seeds), len(self.winner_seeds))
        if self.winner == self.own:
            others = sum(one.known and one.candidate != self.own for one in self.tried)
            if not others:
                return 'not known whether anything is better than the default: nothing else was run'
            return f'no better than the default: none of {others} others came out above it'
        if count < 2:
            return (
                f'not known whether it is better than the default: {count} final seeds of both, '
                'expected at least 2'
            )
        said = (
            f'{self.gain.mean:+,.4g} in the final return, 95 % interval {self.gain.low:+,.4g} to '
            f'{self.gain.high:+,.4g}, {count} fresh seeds of each'
        )
        if self.is_better:
            return f'better than the default: {said}'
        return f'no better than the default, as far as that can be told: {said}'

    def data(self) -> dict[str, Any]:
        """Return all of it as plain data; a score that is not finite becomes a text."""
        return {
            'verdict': self.verdict(),
            'better': self.is_better,
            'chosen': vars(self.chosen),
            'default': {**vars(self.own), 'final_returns': list(self.own_seeds)},
            'winner': {**vars(self.winner), 'final_returns': list(self.winner_seeds)},
            'tried': [
                {
                    **vars(one.candidate),
                    'seeds': [_finite(value) for value in one.seeds],
                    'score': _finite(one.score),
                    'diverged': one.diverged,
                }
                for one in sorted(self.tried, key=_rank)
            ],
        }


def _rank(one: Tried) -> tuple[bool, int, float]:
    """Return the place of a candidate in a list: those of all seeds first, then by score."""
    return (not one.known, -len(one.seeds), -one.score if one.known else 0.0)


def _finite(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
