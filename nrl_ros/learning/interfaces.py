"""Interfaces between the parts of learning, and the whole cycle in a few lines.

The cycle, in one process and without ROS (``nrl_ros.learning.loop`` is this, with counters)::

    learner.join(episodes.info)
    state, reward = episodes.begin(seed=0)
    while True:
        neuromodulator.observe(state)                            # where a critic values states
        learner.observe(state)                                   # closes credit windows
        if reward is not None:
            learner.reinforce(neuromodulator.evaluate(reward))   # changes the weights
        action = learner.act(state.agent)                        # noise, traces
        state, reward = episodes.advance(action)                 # steps the environment

Over ROS 2 the three objects live in three nodes and the four arrows between them are topics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from nrl_ros.learning.heads import PolicyHead
from nrl_ros.learning.networks.feed_forward import Network, NetworkSpec

Array = NDArray[Any]
# A function that returns postsynaptic rows [K, B, N] and presynaptic rows [K, B, M] of one step.
# The step adds the sum over K of their outer products, layer by layer, to the eligibility trace. A
# rule whose traces are 'whole' returns them as they are, [1, B, W], and no presynaptic rows.
Rows = Callable[[], tuple[Array, Array]]


class PlasticityRule(Protocol):
    """A learning rule: how acting is disturbed, and what a step adds to the eligibility trace.

    There is one rule per file in ``nrl_ros/learning/rules``, listed in its ``RULES``. A rule is
    frozen: a setting that may change while it runs is changed by making another rule.

    Attributes:
        name: its name in the settings.
        trace_form: 'outer': a step adds outer products of rows; 'whole': it adds to every weight.
        memory: settings besides ``samples`` that decide what a snapshot of it means.
    """

    name: ClassVar[str]
    trace_form: ClassVar[str]
    memory: ClassVar[tuple[str, ...]]

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise [1]."""
        ...

    @property
    def samples(self) -> int:
        """K, rows that a step adds to the trace."""
        ...

    def with_sigma(self, sigma: float) -> PlasticityRule:
        """Return the same rule with other noise."""
        ...

    def noise_size(self, spec: NetworkSpec, batch: int) -> tuple[int, int]:
        """Return rows and components of the noise that a step of B instances takes."""
        ...

    def scales(self, spec: NetworkSpec) -> list[float]:
        """Return the factor c of each layer's update."""
        ...

    def explorer(self, network: Network, head: PolicyHead, *, batch: int, source: int) -> Explorer:
        """Put the rule to work for one agent.

        Args:
            network: whose weights are used; its arrays stay the same ones.
            head: of the policy.
            batch: B, instances of the agent.
            source: pass from which actions are drawn: 0 the clean, 1 the first noisy one; ignored
                by a rule that has only one of them.
        """
        ...


class Explorer(Protocol):
    """A plasticity rule at work for the B instances of one agent.

    Attributes:
        state: what it has learned or remembers besides the weights, as ``nrl_ros.base.state``
            describes; None: nothing.
    """

    state: Any

    def set_sigma(self, sigma: float) -> None:
        """Change the noise from the next step on; rows not yet asked for keep theirs."""
        ...

    def begin(self, instances: Array) -> None:
        """Forget what the network remembers of these instances, whose episodes begin.

        It is called only where a network remembers something.
        """
        ...

    def greedy(self, observation: Array) -> Array:
        """Return the most probable choice [B, A], without noise and without random numbers."""
        ...

    def explore(
        self, observation: Array, noise: Array, generator: np.random.Generator
    ) -> tuple[Array, Rows]:
        """Act, and postpone the computation of the rows, which acting does not need.

        Args:
            observation: [B, O].
            noise: unit noise of the rule's ``noise_size``; may be overwritten.
            generator: for drawing actions.

        Returns:
            The choice [B, A], and a function that returns the rows for the trace; it must be called
            before the next step.
        """
        ...
