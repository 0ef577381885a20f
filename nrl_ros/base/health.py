"""What is measured of a learner, within which values it is healthy, and what to change otherwise.

This is the only place of these sentences: messages, panel, summary and ``nrl doctor`` show them,
and a test compares those of docs/it_does_not_learn.md with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A figure of plasticity health.

    Attributes:
        name: of the figure.
        unit: of the figure; 1: a plain number.
        meaning: what it is, in one sentence.
        low: healthy from here on; -inf: no limit.
        high: healthy up to here; inf: no limit.
        below: what to change if it is lower.
        above: what to change if it is higher.
        at_once: report it the first time, and not only when it has lasted.
    """

    name: str
    unit: str
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    below: str = ''
    above: str = ''
    at_once: bool = False

    def hint(self, value: float) -> str:
        """Return what to change for this value; '' if it is healthy or cannot be said (NaN)."""
        if value < self.low:
            return self.below
        return self.above if value > self.high else ''

    @property
    def range(self) -> str:
        """Within which values it is healthy, in words; '' if within any."""
        if math.isinf(self.low):
            return '' if math.isinf(self.high) else f'up to {self.high:,g}'
        if math.isinf(self.high):
            return f'from {self.low:g}'
        return f'{self.low:g} to {self.high:g}'


_BASELINE = (
    'The baseline is far from the rewards, so that nearly all of them count as good, or as bad: '
    'set neuromodulator.rpe.baseline to running_average, or raise neuromodulator.rpe.rate.'
)

_TOO_FAST = (
    'Weights have jumped, or the policy always does the same: divide '
    'learner.plasticity.learning_rate by 3, and begin anew or from the best checkpoint.'
)
_TOO_SLOW = 'The weights stand still: multiply learner.plasticity.learning_rate by 3.'

# The most likely cause comes first: where several are out of range, the later ones often follow
# from the earlier ones.
MEASURES = (
    Measure(
        'unapplied_share',
        '1',
        'Share of the steps whose action the environment did not apply',
        high=0.25,
        above='Many actions come too late to be applied: give the learner more time by a longer '
        'control period, fewer learner.plasticity.samples or a smaller network, or end what else '
        'acts on these topics.',
    ),
    Measure(
        'trace_age',
        'steps',
        'Age of the oldest open trace: steps since its credit window was first seen',
        high=20_000.0,
        above='No reward closes a credit window: let episodes end by max_episode_steps in the '
        "bridge's options, or set environment.reward.delivery to every_step.",
    ),
    Measure(
        'silent_rpe_share',
        '1',
        'Share of the credit windows whose reward was exactly as expected',
        high=0.95,
        above='Rewards are as expected whatever is done, which teaches nothing: set '
        'environment.reward.delivery to episode, or neuromodulator.rpe.baseline to critic, or add '
        'a reward that leads to the goal.',
    ),
    Measure(
        'observation_size',
        '1',
        'Root mean square of the largest number of the observation, as the network sees it',
        low=1e-2,
        high=50.0,
        below='Observations are too small to make a difference: set '
        'learner.network.normalise_observations to true, or multiply them so that they are '
        'about 1.',
        above='Observations are too large: set learner.network.normalise_observations to true, or '
        'divide them so that they are about 1.',
    ),
    Measure(
        'impact_over_rounding',
        '1',
        'Root mean square of the impact of the noise over the rounding error of a log-probability',
        low=3.0,
        below='The noise is so small that its impact is lost in rounding: multiply '
        'learner.noise.sigma by 10.',
    ),
    Measure(
        'impact_signal_to_noise',
        '1',
        'Part of the impact that changes sign with the noise over the part that does not',
        low=2.0,
        below='The noise is so large that its impact says little about the slope: divide '
        'learner.noise.sigma by 3.',
    ),
    Measure(
        'rpe_bias',
        '1',
        'Mean reward-prediction error over its root mean square',
        low=-0.7,
        high=0.7,
        below=_BASELINE,
        above=_BASELINE,
    ),
    Measure(
        'weight_drift',
        '1',
        'Largest change of the weights by a thousand updates, as a share of their norm',
        high=3.0,
        above=_TOO_FAST,
        at_once=True,
    ),
    Measure(
        'weight_change',
        '1',
        'Distance of the weights from where the run began, as a share of their norm',
        low=0.02,
        high=10.0,
        below=_TOO_SLOW,
        above=_TOO_FAST,
    ),
    Measure(
        'policy_entropy',
        '1',
        'Entropy of the choices as a share of the largest one; of choices only',
        low=0.05,
        below=_TOO_FAST,
    ),
    Measure(
        'policy_std',
        'half ranges',
        'Standard deviation of the actions that the entropy corresponds to; of real actions only',
        low=1e-3,
        below='The policy hardly tries anything any more: raise learner.policy.action_std, or '
        'learner.policy.entropy_bonus where the deviation is learned.',
    ),
    Measure(
        'gradient_alignment',
        '1',
        'Cosine of the estimate with the exact gradient, as a share of what so many samples give',
        low=0.3,
        below='The estimate hardly follows the gradient: divide learner.noise.sigma by 3, or raise '
        'learner.plasticity.samples.',
    ),
    Measure(
        'silent_neurons',
        '1',
        'Share of the hidden neurons whose activity is the same in all states that were probed',
        high=0.75,
        above='Most hidden neurons are dead or saturated: divide learner.plasticity.learning_rate '
        'by 3 and begin anew, with learner.network.leak at 0.1 or so.',
    ),
    Measure(
        'clipped_share',
        '1',
        'Share of the numbers of an action that lie at a bound; of real actions only',
        high=0.9,
        above='Nearly all actions lie at their bounds: divide learner.plasticity.learning_rate by '
        '3, or lower learner.policy.action_std.',
    ),
    Measure(
        'gradient_cosine',
        '1',
        'Cosine of the estimate of one step with the exact gradient of the log-probability',
    ),
    Measure('impact', 'nat', 'Root mean square of the impact of the noise on a log-probability'),
    Measure('trace_norm', '1', 'Mean norm of the eligibility traces'),
)
NAMES = tuple(measure.name for measure in MEASURES)


@dataclass(frozen=True)
class Health:
    """Figures of plasticity health at one moment.

    Attributes:
        values: of all measures, by name; NaN: cannot be said.
        hints: what to change, by the names of the measures that are out of range, the most likely
            cause first.
    """

    values: Mapping[str, float]
    hints: Mapping[str, str]

    @property
    def first_hint(self) -> str:
        """The sentence about the most likely cause; '' if all is well."""
        return next(iter(self.hints.values()), '')


UNKNOWN = Health(dict.fromkeys(NAMES, math.nan), {})


def markdown_table() -> str:
    """Return the measures as the table of docs/it_does_not_learn.md."""
    lines = ['| Measure | What it is | Healthy | Otherwise |', '| --- | --- | --- | --- |']
    for one in MEASURES:
        unit = '' if one.unit == '1' else f' [{one.unit}]'
        below = f'lower: {one.below}' if one.below else ''
        above = f'higher: {one.above}' if one.above else ''
        hints = one.above if one.below == one.above else ' '.join(filter(None, (below, above)))
        lines.append(f'| `{one.name}`{unit} | {one.meaning} | {one.range} | {hints} |')
    return '\n'.join(lines)
