"""The interface of a policy head."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import Float32, Int32

Array = NDArray[Any]


class PolicyHead(Protocol):
    """A policy head: a distribution of actions, with the network's outputs as its parameters.

    Attributes:
        outputs: how many numbers it needs from the network.
        action_dtype: int32 or float32, the type of the action that is sent.
    """

    outputs: int
    action_dtype: type[np.int32] | type[np.float32]

    def draw(self, z: Array, generator: np.random.Generator) -> Array:
        """Return a choice [B, A] drawn from the policy with outputs z [B, n]."""
        ...

    def sample(
        self, z: Array, source: int, generator: np.random.Generator, log_probability: Array
    ) -> Array:
        """Draw from one of several passes, and compare all of them at that choice.

        Args:
            z: outputs [P, B, n] of the passes.
            source: pass that the choice is drawn from.
            generator: for drawing.
            log_probability: float64 [P, B], takes log pi(choice) under each pass.

        Returns:
            The choice [B, A].
        """
        choice = self.draw(z[source], generator)
        log_probability[...] = self.log_probability(z, choice)
        return choice

    def greedy(self, z: Array) -> Array:
        """Return the most probable choice [B, A] under outputs z [B, n]."""
        ...

    def log_probability(self, z: Array, choice: Array) -> Array:
        """Return log pi(choice) [..., B] under outputs z [..., B, n]."""
        ...

    def gradient(self, z: Array, choice: Array) -> Array:
        """Return the gradient of log pi(choice) with respect to the outputs z [B, n]."""
        ...

    def to_action(self, choice: Array) -> Int32 | Float32:
        """Return the action as the environment takes it [B, A]."""
        ...


@runtime_checkable
class AmendsUpdates(Protocol):
    """A policy head that has a say in the weights of its own outputs."""

    def begin(self, weight: Array) -> None:
        """Change the first weights of the output layer [n, inputs] in place."""
        ...

    def amend(self, weight: Array, total: Array, windows: int) -> None:
        """Change the estimated gradient of the output layer in place, before the step.

        Args:
            weight: of the output layer [n, inputs].
            total: the estimate, summed over the credit windows of an update [n, inputs].
            windows: how many these are.
        """
        ...
