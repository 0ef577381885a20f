"""A small probe of a policy: the impact of its noise, its gradient, its actions and its neurons.

It runs beside the learner, in passes of its own with random numbers of its own, so that what is
learned stays the same to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.networks.passes import make_passes
from nrl_ros.learning.policy import Policy
from nrl_ros.learning.rules.backpropagation import ExactGradient

Array = NDArray[Any]

# States of one probe, and pairs of noise for each of them; the same for a network whose passes take
# more products than the last number.
_USUAL, _FEW, _MANY_PRODUCTS = (8, 4), (2, 2), 200_000
# Choices drawn in each state, and hidden neurons that are looked at, at most.
_CHOICES, _NEURONS = 8, 4096
# Standard deviation of a normal distribution whose entropy is 0.
_STD_AT_ZERO = 1.0 / math.sqrt(2.0 * math.pi * math.e)


class ProbeSums(NamedTuple):
    """What one probe, or several together, have found; sums over their states.

    Attributes:
        odd: squares of the part of the impact that changes sign with the noise.
        even: squares of the part that does not.
        rounding: squares of the rounding error of a log-probability.
        impacts: how many impacts that were.
        cosine: cosines of the estimate with the exact gradient, as shares of the expected ones.
        cosines: how many that were; 0 where there is no exact gradient.
        entropy: minus the log-probability of drawn choices.
        uniform: the same of a policy whose outputs are all 0; 0 for real actions.
        clipped: numbers of real actions that lie at a bound.
        numbers: of all real actions; 0 for choices.
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

    @classmethod
    def together(cls, probes: Iterable[ProbeSums]) -> ProbeSums:
        """Return the sums of several probes."""
        return cls(*(sum(parts) for parts in zip(*probes, strict=True)))

    def signal_to_noise(self) -> float:
        """Return the odd part of the impact over the even one, which is curvature and rounding."""
        return _ratio(self.odd, max(self.even, self.rounding))

    def over_rounding(self) -> float:
        """Return the impact over the rounding error of a log-probability."""
        return _ratio(self.odd, self.rounding)

    def impact(self) -> float:
        """Return the root mean square of the impact [nat]."""
        return math.sqrt((self.odd + self.even) / self.impacts) if self.impacts else math.nan

    def alignment(self) -> float:
        """Return the mean cosine as a share of what so many samples give on average."""
        return self.cosine / self.cosines if self.cosines else math.nan

    def entropy_share(self) -> float:
        """Return the entropy of choices as a share of the largest one."""
        return self.entropy / self.uniform if self.uniform > 0.0 else math.nan

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
        products: multiplications of one look.
        smooth: outputs have a gradient, so that small noise shows the slope.
    """

    def __init__(self, policy: Policy, *, perturbs: bool) -> None:
        network = policy.network
        self._policy, self._perturbs = policy, perturbs
        self.choices = policy.head.action_dtype is not np.float32
        self._generator = np.random.default_rng(0)
        products = products_of(network.spec)
        self._states, self._pairs = _FEW if products > _MANY_PRODUCTS else _USUAL
        self.products = products * self._states * (2 + 2 * self._pairs)
        self._expected = expected_cosine(self._pairs, network.spec.noise_components)
        self._memory = np.zeros((self._states, network.memory_size), network.dtype)
        memory = self._memory if network.memory_size else None
        quiet = make_passes(network, self._states, 0, memory, exact=True)
        self._exact = ExactGradient(network, quiet)
        self._quiet, self.smooth = quiet, self._exact.known
        self._noisy = None
        if perturbs:
            self._noisy = make_passes(network, self._states, 2 * self._pairs, memory, exact=True)
        self._hidden = _hidden_inputs(network.spec)

    def look(
        self, observation: Array, memory: Array | None, sigma: float
    ) -> tuple[ProbeSums, Array]:
        """Look at the policy in some states of one batch.

        Args:
            observation: [B, O].
            memory: [B, H], what the network remembers there; None: nothing.
            sigma: of the noise [1].

        Returns:
            What was found, and the activity of the hidden neurons in these states [S, H].
        """
        chosen = self._generator.integers(0, len(observation), self._states)
        seen = observation[chosen]
        remembered = None if memory is None else memory[chosen]
        self._remember(remembered)
        z = np.array(self._exact.run(seen) if self._exact.known else self._run(seen))
        activity = self._quiet.presynaptic()[:, self._hidden].copy()
        found = {**self._perturb(seen, z, sigma, remembered), **self._act(z)}
        return ProbeSums(**found), activity

    def _remember(self, memory: Array | None) -> None:
        self._memory[:] = 0.0 if memory is None else memory

    def _run(self, seen: Array) -> Array:
        z: Array = self._quiet.run(seen, None, 0.0)[0]
        return z

    def _act(self, z: Array) -> dict[str, Any]:
        """Draw choices, for the entropy and for actions at a bound."""
        head, space = self._policy.head, self._policy.space
        wide = np.ascontiguousarray(np.repeat(z, _CHOICES, axis=0))
        choice = head.draw(wide, self._generator)
        found: dict[str, Any] = {'entropy': -float(head.log_probability(wide, choice).sum())}
        if self.choices:
            uniform = head.log_probability(np.zeros_like(wide), choice)
            return {**found, 'uniform': -float(uniform.sum())}
        action = head.to_action(choice)
        low, high = np.array(space.low, np.float32), np.array(space.high, np.float32)
        clipped = int(np.count_nonzero((action <= low) | (action >= high)))
        return {**found, 'clipped': clipped, 'numbers': action.size}

    def _perturb(
        self, seen: Array, z: Array, sigma: float, remembered: Array | None
    ) -> dict[str, Any]:
        """Compare the log-probability of choices under noise and its opposite."""
        if self._noisy is None or sigma <= 0.0:
            return {}
        head, network = self._policy.head, self._policy.network
        # A policy that is certain of its choice would hide the noise, so choices are drawn from one
        # that is not; what is true of the slope holds for any choice.
        choice = head.draw(np.zeros_like(z) if self.choices else z, self._generator)
        gradient = head.gradient(z, choice)
        exact = self._exact.of(gradient) if self._exact.known else None
        pairs = self._pairs
        half = self._generator.standard_normal(
            (pairs * self._states, network.spec.noise_components), dtype=network.dtype
        )
        self._remember(remembered)
        outputs = self._noisy.run(seen, np.concatenate([half, -half]), sigma)
        log = np.asarray(head.log_probability(outputs, choice), np.float64)
        above, below = log[1 : 1 + pairs] - log[0], log[1 + pairs :] - log[0]
        rounding = np.finfo(network.dtype).eps * np.linalg.norm(gradient, axis=1)
        rounding = rounding * (1.0 + np.sqrt(np.square(z).mean(axis=1)))
        cosines = np.zeros(0) if exact is None else _cosines(half, above, exact)
        return {
            'odd': float(np.square(above - below).sum()) / 4.0,
            'even': float(np.square(above + below).sum()) / 4.0,
            'impacts': above.size,
            'rounding': pairs * float(np.square(rounding).sum()),
            'cosine': float(cosines.sum()) / self._expected,
            'cosines': len(cosines),
        }


def _cosines(half: Array, impact: Array, exact: Array) -> Array:
    """Return the cosines of the estimates with the exact gradient, where both are not 0."""
    noise = half.reshape(*impact.shape, -1)
    weight = impact / np.square(noise, dtype=np.float64).sum(axis=2)
    estimate = np.einsum('ks,ksn->sn', weight, noise)
    lengths = np.linalg.norm(estimate, axis=1) * np.linalg.norm(exact, axis=1)
    products = np.einsum('sn,sn->s', estimate, exact)
    return np.asarray(products[lengths > 0.0] / lengths[lengths > 0.0])


def _hidden_inputs(spec: Any) -> Array:
    """Return presynaptic activities of hidden neurons, at most so many: no observation, no bias."""
    hidden = np.zeros(spec.input_components, np.bool_)
    for where in spec.input_slices[1:]:
        hidden[where.start : where.stop - int(spec.outer and spec.bias)] = True
    found = np.flatnonzero(hidden)
    return found[:: max(1, -(-len(found) // _NEURONS))]


def products_of(spec: Any) -> int:
    """Return about how many multiplications a pass of one state takes."""
    total = 0
    for shape, width in zip(spec.shapes, spec.widths, strict=True):
        # A convolution uses its weights at each place of its output.
        total += math.prod(shape) * max(1, width // shape[0])
    return total
