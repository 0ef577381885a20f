"""A policy that ignores the observation: the lower end of every comparison."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.interfaces import Explorer, Rows
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec
from nrl_ros.learning.rules.base import GreedyExplorer, NoiseRule

Array = NDArray[Any]


class RandomPolicy(NoiseRule):
    """Acts as if every output of the network were 0, and never learns."""

    name: ClassVar[str] = 'random'

    def noise_size(self, spec: NetworkSpec, batch: int) -> tuple[int, int]:
        """Return 0 rows and 0 components, since there is no noise."""
        return 0, spec.noise_components

    def explorer(self, network: Network, head: PolicyHead, *, batch: int, source: int) -> Explorer:
        """Put the rule to work for one agent."""
        return _Explorer(network, head, batch)


class _Explorer(GreedyExplorer):
    def __init__(self, network: Network, head: PolicyHead, batch: int) -> None:
        super().__init__(network, head, batch)
        spec = network.spec
        self._outputs = np.zeros((batch, spec.outputs), network.dtype)
        self._rows = (
            np.zeros((1, batch, spec.noise_components), network.dtype),
            np.zeros((1, batch, spec.input_components), network.dtype),
        )

    def greedy(self, observation: Array) -> Array:
        """Return the first choice, or the middle of the range: the policy prefers no action."""
        return self._head.greedy(self._outputs)

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """Act as if every output were 0; the step adds nothing to the trace."""
        return self._head.draw(self._outputs, generator), lambda: self._rows
