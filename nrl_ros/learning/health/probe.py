"""A small probe of a policy: the impact of its noise, its gradient, its actions and its neurons.

It runs beside the learner, in passes of its own with random numbers of its own, so that what is
learned stays the same to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.networks.passes import make_passes
from nrl_ros.learning.policy import Policy
from nrl_ros.learning.rules.backpropagation import ExactGradient

Array = NDArray[Any]

# States of one probe, pairs of noise for each of them, and choices drawn in each.
STATES, _PAIRS, _CHOICES = 8, 4, 8
# Standard deviation of a normal distribution whose entropy is 0.
_STD_AT_ZERO = 1.0 / math.sqrt(2.0 * math.pi * math.e)


@dataclass
class ProbeSums:
    """What one probe, or several together, have found; sums over their states.

    Attributes:
        odd: squares of the part of the impact that changes sign with the noise.
        even: squares of the part that does not.
        rounding: squares of the rounding error of a log-probability.
        impacts: how many impacts that were.
        cosine: cosines of the estimate with the exact gradient.
        cosines: how many that were; 0 where there is no exact gradient.
        entropy: minus the log-probability of drawn choices.
        uniform: the same of a policy whose outputs are all 0.
        clipped: numbers of their actions that lie at a bound.
        numbers: of all these actions.
        choices: how many were drawn.
    """

    odd: float = 0.0
    even: float = 0.0
    rounding: float = 0.0
    impacts: int = 0
    cosine: float = 0.0
    cosines: int = 0
    entropy: float = 0.0
    uniform: float = 0.0
    clipped: int = 0
    numbers: int = 0
    choices: int = 0

    def add(self, other: ProbeSums) -> None:
        """Add those of another probe."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def signal_to_noise(self) -> float:
        """Return the odd part of the impact over the even one, which is curvature and rounding."""
        return _ratio(self.odd, max(self.even, self.rounding))

    def over_rounding(self) -> float:
        """Return the impact over the rounding error of a log-probability."""
        return _ratio(self.odd, self.rounding)

    def impact(self) -> float:
        """Return the root mean square of the impact [nat]."""
        return math.sqrt((self.odd + self.even) / self.impacts) if self.impacts else math.nan

    def alignment(self, components: int) -> float:
        """Return the mean cosine as a share of what so many samples give on average.

        Args:
            components: N, of the noise.
        """
        if not self.cosines:
            return math.nan
        return self.cosine / self.cosines / expected_cosine(_PAIRS, components)

    def entropy_share(self) -> float:
        """Return the entropy of choices as a share of the largest one."""
        return self.entropy / self.uniform if self.choices and self.uniform > 0.0 else math.nan

    def std(self) -> float:
        """Return the standard deviation of real actions that the entropy corresponds to."""
        if not self.numbers:
            return math.nan
        return math.exp(min(self.entropy / self.numbers, 100.0)) * _STD_AT_ZERO

    def clipped_share(self) -> float:
        """Return the share of the numbers of real actions that lie at a bound."""
        return self.clipped / self.numbers if self.numbers else math.nan


def expected_cosine(samples: int, components: int) -> float:
    """Return the expected cosine of a mean of K estimates with the gradient, for N components."""
    return math.sqrt(samples / (samples + components - 1))


def _ratio(signal: float, noise: float) -> float:
    return math.sqrt(signal / noise) if noise > 0.0 else math.nan


class Probe:
    """Looks at a policy in a few states.

    Args:
        policy: to be probed.
        perturbs: the rule adds noise to the neurons and compares log-probabilities; otherwise there
            is no impact.

    Attributes:
        choices: actions are choices, and not real numbers.
    """

    def __init__(self, policy: Policy, *, perturbs: bool) -> None:
        network = policy.network
        self._policy, self._perturbs = policy, perturbs
        self.choices = policy.head.action_dtype is not np.float32
        self._generator = np.random.default_rng(0)
        self._memory = np.zeros((STATES, network.memory_size), network.dtype)
        memory = self._memory if network.memory_size else None
        quiet = make_passes(network, STATES, 0, memory)
        self._exact = ExactGradient(network, quiet)
        self._quiet = quiet
        self._noisy = make_passes(network, STATES, 2 * _PAIRS, memory) if perturbs else None
        self._hidden = _hidden_inputs(network.spec)

    def look(
        self, observation: Array, memory: Array | None, sigma: float
    ) -> tuple[ProbeSums, Array]:
        """Probe the policy in some states of one batch.

        Args:
            observation: [B, O].
            memory: [B, H], what the network remembers there; None: nothing.
            sigma: of the noise [1].

        Returns:
            What was found, and the activity of the hidden neurons in these states [S, H].
        """
        chosen = self._generator.integers(0, len(observation), STATES)
        seen = observation[chosen]
        sums = ProbeSums()
        self._remember(memory, chosen)
        z = np.array(self._exact.run(seen) if self._exact.known else self._run(seen))
        activity = self._quiet.presynaptic()[:, self._hidden].copy()
        self._act(z, sums)
        self._perturb(seen, z, sigma, sums, memory, chosen)
        return sums, activity

    def _remember(self, memory: Array | None, chosen: Array) -> None:
        self._memory[:] = 0.0 if memory is None else memory[chosen]

    def _run(self, seen: Array) -> Array:
        z: Array = self._quiet.run(seen, None, 0.0)[0]
        return z

    def _act(self, z: Array, sums: ProbeSums) -> None:
        """Draw choices, for the entropy and for actions at a bound."""
        head = self._policy.head
        wide = np.ascontiguousarray(np.repeat(z, _CHOICES, axis=0))
        choice = head.draw(wide, self._generator)
        sums.entropy -= float(head.log_probability(wide, choice).sum())
        sums.choices += len(wide)
        if self.choices:
            sums.uniform -= float(head.log_probability(np.zeros_like(wide), choice).sum())
            return
        space, action = self._policy.space, head.to_action(choice)
        low, high = np.array(space.low, np.float32), np.array(space.high, np.float32)
        sums.clipped += int(np.count_nonzero((action <= low) | (action >= high)))
        sums.numbers += action.size

    def _perturb(
        self,
        seen: Array,
        z: Array,
        sigma: float,
        sums: ProbeSums,
        memory: Array | None,
        chosen: Array,
    ) -> None:
        """Compare the log-probability of choices under noise and its opposite."""
        if self._noisy is None or sigma <= 0.0:
            return
        head, network = self._policy.head, self._policy.network
        # A policy that is certain of its choice would hide the noise, so choices are drawn from one
        # that is not; what is true of the slope holds for any choice.
        choice = head.draw(np.zeros_like(z) if self.choices else z, self._generator)
        gradient = head.gradient(z, choice)
        exact = self._exact.of(gradient) if self._exact.known else None
        half = self._generator.standard_normal(
            (_PAIRS * STATES, network.spec.noise_components), dtype=network.dtype
        )
        self._remember(memory, chosen)
        outputs = self._noisy.run(seen, np.concatenate([half, -half]), sigma)
        log = np.asarray(head.log_probability(outputs, choice), np.float64)
        above, below = log[1 : 1 + _PAIRS] - log[0], log[1 + _PAIRS :] - log[0]
        sums.odd += float(np.square(above - below).sum()) / 4.0
        sums.even += float(np.square(above + below).sum()) / 4.0
        sums.impacts += above.size
        rounding = np.finfo(network.dtype).eps * np.linalg.norm(gradient, axis=1)
        rounding = rounding * (1.0 + np.sqrt(np.square(z).mean(axis=1)))
        sums.rounding += _PAIRS * float(np.square(rounding).sum())
        if exact is not None:
            self._align(half, above, exact, sums)

    def _align(self, half: Array, impact: Array, exact: Array, sums: ProbeSums) -> None:
        """Add the cosines of the estimates with the exact gradient, one of each state."""
        noise = half.reshape(_PAIRS, STATES, -1)
        weight = impact / np.square(noise, dtype=np.float64).sum(axis=2)
        estimate = np.einsum('ks,ksn->sn', weight, noise)
        lengths = np.linalg.norm(estimate, axis=1) * np.linalg.norm(exact, axis=1)
        cosine = np.einsum('sn,sn->s', estimate, exact)[lengths > 0.0] / lengths[lengths > 0.0]
        sums.cosine += float(cosine.sum())
        sums.cosines += len(cosine)


def _hidden_inputs(spec: Any) -> Array:
    """Return which presynaptic activities are of hidden neurons: no observation and no bias."""
    hidden = np.zeros(spec.input_components, np.bool_)
    for where in spec.input_slices[1:]:
        hidden[where.start : where.stop - int(spec.outer and spec.bias)] = True
    return hidden
