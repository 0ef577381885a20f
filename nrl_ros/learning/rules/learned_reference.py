"""NRL without a clean pass: a prediction of the clean outputs is learned online."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.interfaces import Explorer, Rows
from nrl_ros.learning.networks.feed_forward import Network
from nrl_ros.learning.networks.passes import make_passes
from nrl_ros.learning.rules.base import NoiseRule, NoisyExplorer

Array = NDArray[Any]

# Number of fixed random features of the observation. The readout sees the observation and a
# constant too.
_FEATURES = 64
_SEED = 20260101


class LearnedReference(NoiseRule):
    """``rho = log pi~(a|s) - log pi^(a|s)``, with pi^ from outputs that are predicted.

    A linear readout of the observation and of fixed random features of it follows the noisy outputs
    by the normalised delta rule, and so it follows their mean over the noise. The error h of the
    prediction at an action does not depend on the noise of the step: at a given action it adds
    variance to the estimate and no bias. But actions are drawn from the noisy pass, so noise and
    action are correlated, and averaged over both each action's gradient counts ``1 + h`` times. As
    rho is of order sigma and the error is not, this needs noise well above that of a rule with a
    clean pass.

    Attributes:
        reference_rate: step of the readout, in (0, 1].

    Raises:
        ConfigError: a setting is out of its range.

    References:
        Normalised delta rule: Widrow and Hoff 1960; Nagumo and Noda 1967.
    """

    reference_rate: float = Field(
        0.5,
        gt=0,
        le=1,
        description='learned_reference: step of the readout that predicts the outputs [1]',
    )

    name: ClassVar[str] = 'learned_reference'

    def explorer(self, network: Network, head: PolicyHead, *, batch: int, source: int) -> Explorer:
        """Put the rule to work for one agent; actions always come from the noisy pass."""
        return _Explorer(self, network, head, batch)


@dataclass
class LearnedReferenceState:
    """The readout [outputs, 1 + inputs + features], from which the outputs are predicted."""

    readout: Array


class _Explorer(NoisyExplorer[LearnedReference]):
    def __init__(
        self, rule: LearnedReference, network: Network, head: PolicyHead, batch: int
    ) -> None:
        super().__init__(rule, network, head, batch)
        self._passes = make_passes(network, batch, 1, self._memory)
        spec = network.spec
        generator = np.random.Generator(np.random.SFC64(_SEED))
        scale = 1.0 / np.sqrt(spec.inputs)
        self._mix = (generator.standard_normal((spec.inputs, _FEATURES)) * scale).astype(
            network.dtype
        )
        self._offset = generator.uniform(-1.0, 1.0, _FEATURES).astype(network.dtype)
        self._features = np.ones((batch, 1 + spec.inputs + _FEATURES), network.dtype)
        readout = np.zeros((spec.outputs, self._features.shape[1]), network.dtype)
        self._own = LearnedReferenceState(readout)
        self.state = self.remembered(self._own)

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """Act with noise, and move the prediction of the clean outputs."""
        rule, inputs = self._rule, self._spec.inputs
        z = self._passes.run(observation, noise, rule.sigma)[1]
        choice = self._head.draw(z, generator)
        features = self._features
        features[:, 1 : 1 + inputs] = observation
        np.tanh(observation @ self._mix + self._offset, out=features[:, 1 + inputs :])
        predicted = features @ self._own.readout.T
        both = self._head.log_probability(np.stack([z, predicted]), choice)
        impact = both[:1] - both[1:]
        error = (z - predicted) / np.einsum('bf,bf->b', features, features)[:, None]
        self._own.readout += (rule.reference_rate / len(z)) * (error.T @ features)

        def rows() -> tuple[Array, Array]:
            post = rule.postsynaptic_(noise[None], impact, self._spec)
            return post, self._passes.presynaptic()[None]

        return choice, rows
