"""Measures plasticity health of a learner now and then, from outside of the step path.

``HealthMonitor.look`` is called between two steps, a few times a second or every few hundred steps.
It reads what the learner keeps anyway, and probes the policy in a few states; it changes nothing.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import describe
from nrl_ros.base.health import MEASURES, NAMES, UNKNOWN, Health
from nrl_ros.learning.agent import ServedAgent
from nrl_ros.learning.health.probe import Probe, ProbeSums, expected_cosine
from nrl_ros.learning.health.trackers import LOOKS, RewardTracker, TraceAges, WeightTracker
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.networks.inputs import network_input
from nrl_ros.learning.policy import Policy
from nrl_ros.learning.rules import (
    AntitheticPairs,
    LearnedReference,
    NodePerturbation,
    NoisyReference,
)

Array = NDArray[Any]

# Rules whose traces are impacts of noise in the neurons.
_PERTURBING = (NodePerturbation, AntitheticPairs, NoisyReference, LearnedReference)
# Looks in a row after which a figure out of range is reported.
_IN_A_ROW = 4
# Instances whose observations count, at most.
_ROWS = 64
# A trace of more numbers takes too long to be summed up.
_LARGEST_TRACE = 2_000_000
# Multiplications of one look on average: what takes more is done at some looks only.
_PRODUCTS = 2_000_000


class _Seen(NamedTuple):
    """What one look has seen."""

    sums: ProbeSums
    squares: Array
    lowest: tuple[Array, Array]
    highest: tuple[Array, Array]
    trace_norm: float


class HealthMonitor:
    """Measures a learner's plasticity health.

    Args:
        learner: whose.

    Attributes:
        health: as of the newest look.
        fault: why it cannot be measured, such as what a network of one's own raises when it is run
            for a few states; '' if it can.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._policy: Policy | None = None
        self._continued = learner.updates > 0
        self._looks = 0
        self._generator = np.random.default_rng(0)
        self._ages: dict[str, TraceAges] = {}
        self._row = dict.fromkeys(NAMES, 0)
        self.health, self.fault = UNKNOWN, ''

    def look(self) -> Health:
        """Measure, and return what was found; call it between two steps."""
        if not self.fault:
            try:
                self._look()
            except Exception as error:  # whatever a part of one's own raises: the run goes on
                self.health, self.fault = UNKNOWN, describe(error)
        return self.health

    def _look(self) -> None:
        learner, policy = self._learner, self._learner.roster.policy
        agents = [agent for agent in learner.roster.agents if agent.seen is not None]
        if policy is None or not agents:
            return
        if policy is not self._policy:
            self._begin(policy)
        self._looks += 1
        agent = agents[self._looks % len(agents)]
        # Weights that have diverged give infinite numbers, which are figures as well.
        with np.errstate(all='ignore'):
            self._rewards.look(learner)
            self._weights.look(learner, policy)
            if self._looks % self._every == 0 or not self._seen:
                self._seen.append(self._probe_one(policy, agent))
            values = self._values(policy, agents)
        self.health = Health(values, self._hints(values) if learner.learning else {})

    def _begin(self, policy: Policy) -> None:
        """Begin with a policy that is new or was restored."""
        learner = self._learner
        rule = learner.settings.make_rule()
        self._policy = policy
        self._probe = Probe(policy, perturbs=isinstance(rule, _PERTURBING))
        self._every = max(1, self._probe.products // _PRODUCTS)
        self._samples = rule.samples
        self._seen: deque[_Seen] = deque(maxlen=LOOKS)
        self._rewards = RewardTracker(learner, continued=self._continued)
        self._weights = WeightTracker(learner, policy, continued=self._continued)
        # Another policy than the first one comes from a checkpoint.
        self._continued = True
        self._applied_mark = self._applied_now()
        self._unapplied_share = math.nan

    def _probe_one(self, policy: Policy, agent: ServedAgent) -> _Seen:
        assert agent.seen is not None
        # Bytes, as of an image, are looked at as the network reads them.
        observation = np.asarray(network_input(agent.seen, np.float32), np.float32)
        if len(observation) > _ROWS:
            chosen = self._generator.integers(0, len(observation), _ROWS)
        else:
            chosen = np.arange(len(observation))
        observation = observation[chosen]
        if policy.moments is not None:
            observation = policy.moments.normalised(observation)
        memory = getattr(agent.explorer, 'memory', None)
        memory = None if memory is None else memory[chosen]
        sums, activity = self._probe.look(observation, memory, self._learner.sigma)
        squares = np.square(observation, dtype=np.float64).mean(axis=0)
        return _Seen(
            sums,
            squares,
            (activity.min(axis=0), observation.min(axis=0)),
            (activity.max(axis=0), observation.max(axis=0)),
            self._trace_norm(policy, agent),
        )

    def _trace_norm(self, policy: Policy, agent: ServedAgent) -> float:
        """Return the norm of the trace of an instance chosen by chance; NaN if there is none."""
        spec = policy.network.spec
        live = np.flatnonzero(agent.credit.windows.state['has_rows'])
        row = spec.noise_components + spec.input_components
        if not len(live) or spec.weight_count + _ROWS * row > _LARGEST_TRACE:
            return math.nan
        instance = int(live[self._generator.integers(0, len(live))])
        trace = agent.credit.store.detach(instance, carried=True)
        if len(trace.post) * spec.weight_count > _LARGEST_TRACE:
            return math.nan
        total = [np.zeros(shape, policy.network.dtype) for shape in spec.shapes]
        trace.add_to(total, 1.0, spec)
        return math.sqrt(sum(float(np.square(part, dtype=np.float64).sum()) for part in total))

    def _applied_now(self) -> tuple[int, int]:
        return self._learner.steps, self._learner.counters['unapplied_steps']

    def _share_unapplied(self) -> float:
        """Return the share of the steps since the last look that were not applied."""
        before, self._applied_mark = self._applied_mark, self._applied_now()
        steps, unapplied = (
            now - then for now, then in zip(self._applied_mark, before, strict=True)
        )
        if steps > 0:
            self._unapplied_share = unapplied / steps
        return self._unapplied_share

    def _values(self, policy: Policy, agents: list[ServedAgent]) -> dict[str, float]:
        seen, components = self._seen, policy.network.spec.noise_components
        sums = ProbeSums.together(one.sums for one in seen)
        alignment = sums.alignment()
        squares = np.mean([one.squares for one in seen], axis=0)
        norms = [one.trace_norm for one in seen if not math.isnan(one.trace_norm)]
        known, self._ages = self._ages, {}
        for agent in agents:
            self._ages[agent.info.agent] = known.get(agent.info.agent) or TraceAges()
        ages = [self._ages[agent.info.agent].oldest(agent) for agent in agents]
        choices = self._probe.choices
        return {
            'unapplied_share': self._share_unapplied(),
            'trace_age': float(max(ages)),
            'silent_rpe_share': self._rewards.silent,
            'observation_size': float(np.sqrt(squares.max())),
            'impact_over_rounding': sums.over_rounding(),
            'impact_signal_to_noise': sums.signal_to_noise() if self._probe.smooth else math.nan,
            'rpe_bias': self._rewards.bias,
            'policy_entropy': sums.entropy_share() if choices else math.nan,
            'policy_std': math.nan if choices else sums.std(),
            'weight_drift': self._weights.drift,
            'weight_change': self._weights.change,
            'gradient_alignment': alignment,
            'silent_neurons': self._silent_neurons(),
            'clipped_share': sums.clipped_share(),
            'gradient_cosine': alignment * expected_cosine(self._samples, components),
            'impact': sums.impact(),
            'trace_norm': float(np.mean(norms)) if norms else math.nan,
        }

    def _silent_neurons(self) -> float:
        """Return the share of hidden neurons that were the same in all states; NaN if unknown."""
        low, high = (
            [np.stack(parts) for parts in zip(*ends, strict=True)]
            for ends in ([s.lowest for s in self._seen], [s.highest for s in self._seen])
        )
        same = [a.min(axis=0) == b.max(axis=0) for a, b in zip(low, high, strict=True)]
        neurons, observations = same
        if len(self._seen) < LOOKS or not len(neurons) or observations.all():
            return math.nan
        return float(neurons.mean())

    def _hints(self, values: dict[str, float]) -> dict[str, str]:
        hints = {}
        for measure in MEASURES:
            hint = measure.hint(values[measure.name])
            if measure.name == 'silent_rpe_share' and self._rewards.informed:
                # It has learned all there is, or fell: rewards did tell something.
                hint = ''
            self._row[measure.name] = self._row[measure.name] + 1 if hint else 0
            if self._row[measure.name] >= (1 if measure.at_once else _IN_A_ROW):
                hints[measure.name] = hint
        return hints
