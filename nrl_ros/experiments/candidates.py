"""Points of a search over one task, and how they are drawn.

Searched are the learning rate and the noise, evenly in the logarithm around the task's own, the
noisy passes of a step, and what rewards are compared with. A baseline comes with the settings that
belong to it: a critic with rewards at every step, a running average with one for an episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nrl_ros.base.settings import Flat
from nrl_ros.settings.presets import PRESETS

OWN = 'own'
RATE, SIGMA, SAMPLES = 'plasticity.learning_rate', 'noise.sigma', 'plasticity.samples'
PASSES = (1, 2, 4, 8, 16)
# How far rate and noise are searched to both sides of the task's own, as factors.
_FARTHEST_RATE, _FARTHEST_SIGMA = 10.0, 30.0
# Spread of points around good ones, in powers of 2.
_RATE_SPREAD, _SIGMA_SPREAD = 0.7, 1.0
_NODES = ('learner', 'neuromodulator', 'environment')
_ROBUST = PRESETS['robust']
BASELINES: dict[str, dict[str, Flat]] = {
    'critic': {
        'learner': {
            name: _ROBUST['learner'][name]
            for name in ('plasticity.trace_decay', 'plasticity.trace_reset')
        },
        'neuromodulator': {**_ROBUST['neuromodulator'], 'rpe.scale': 'none'},
        'environment': {'reward.delivery': 'every_step'},
    },
    'running_average': {
        'learner': {'plasticity.trace_decay': 1.0, 'plasticity.trace_reset': True},
        'neuromodulator': {'rpe.baseline': 'running_average', 'rpe.scale': 'absolute_reward'},
        'environment': {'reward.delivery': 'episode'},
    },
}


@dataclass(frozen=True)
class Candidate:
    """A point of the search.

    Attributes:
        rate: learning rate.
        sigma: standard deviation of the noise.
        samples: noisy passes a step.
        baseline: of ``BASELINES``, or ``OWN`` for what the task has.
    """

    rate: float
    sigma: float
    samples: int
    baseline: str = OWN

    def __str__(self) -> str:
        """Return its settings in words."""
        said = f'rate {self.rate:.3g}, noise {self.sigma:.3g}, samples {self.samples}'
        return said if self.baseline == OWN else f'{said}, baseline {self.baseline}'

    def changes(self) -> dict[str, Flat]:
        """Return its settings by node, with those that belong to its baseline."""
        with_baseline = BASELINES.get(self.baseline, {})
        nodes = {node: dict(with_baseline.get(node, {})) for node in _NODES}
        nodes['learner'] |= {RATE: self.rate, SIGMA: self.sigma, SAMPLES: self.samples}
        return nodes


@dataclass(frozen=True)
class Space:
    """All points that may be drawn.

    Attributes:
        own: the task's own settings.
        passes: noisy passes that its rule may take.
        baselines: that fit the task, ``OWN`` first.
    """

    own: Candidate
    passes: Sequence[int]
    baselines: Sequence[str]

    def everywhere(self, count: int, generator: np.random.Generator) -> list[Candidate]:
        """Return the task's own settings, and points spread over the whole space."""
        # One point in each of as many slices of the rate, which matters most.
        slices = generator.permutation(count - 1)
        return [self.own, *(self._point(generator, at, count - 1) for at in slices)]

    def _point(self, generator: np.random.Generator, at: int, slices: int) -> Candidate:
        place = 2.0 * (at + generator.random()) / slices - 1.0
        return Candidate(
            _rounded(self.own.rate * _FARTHEST_RATE**place),
            _rounded(self.own.sigma * _FARTHEST_SIGMA ** generator.uniform(-1.0, 1.0)),
            int(generator.choice(self.passes)),
            str(generator.choice(self.baselines)),
        )

    def around(
        self, parents: Sequence[Candidate], count: int, generator: np.random.Generator
    ) -> list[Candidate]:
        """Return points near some others, each of which gets as many."""
        return [self._near(parents[index % len(parents)], generator) for index in range(count)]

    def _near(self, parent: Candidate, generator: np.random.Generator) -> Candidate:
        place = self.passes.index(min(self.passes, key=lambda n: abs(n - parent.samples)))
        place += int(generator.integers(-1, 2))
        return Candidate(
            _rounded(parent.rate * 2.0 ** generator.normal(0.0, _RATE_SPREAD)),
            _rounded(parent.sigma * 2.0 ** generator.normal(0.0, _SIGMA_SPREAD)),
            self.passes[min(max(place, 0), len(self.passes) - 1)],
            parent.baseline,
        )


def _rounded(value: float) -> float:
    """Return a value with three digits, so that it can be read and typed."""
    return float(f'{value:.3g}')
