"""What the parts promise each other, and the whole cycle in a few lines.

The cycle, in one process and without ROS (``nrl_ros.core.loop`` is this, with counters)::

    learner.join(episodes.info)
    state, reward = episodes.begin(seed=0)
    while True:
        if reward is not None:
            learner.reinforce(neuromodulator.evaluate(reward))   # closes credit windows
        action = learner.act(state)                              # noise, traces
        state, reward = episodes.advance(action)                 # steps the environment

Over ROS 2 the three objects live in three nodes and the four arrows between them are topics.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from nrl_ros.core.types import EnvSpec, Float32, Int32, StepResult


@runtime_checkable
class Environment(Protocol):
    """A bridge: B instances of a task behind one pair of calls.

    Attributes:
        spec: spaces, sizes and clock; constant.
    """

    spec: EnvSpec

    def reset(self, seed: int) -> Float32:
        """Start all instances anew.

        Args:
            seed: fixes everything random in the environment from here on.

        Returns:
            The first observations [B, O].
        """
        ...

    def step(self, action: Int32 | Float32) -> StepResult:
        """Apply one action per instance; see StepResult for the instances that had ended.

        Args:
            action: int32 [B, A] for discrete kinds, float32 [B, A] within the bounds otherwise.
        """
        ...

    def close(self) -> None:
        """Release what the environment holds; may be called twice."""
        ...


@runtime_checkable
class Snapshottable(Protocol):
    """An environment that can be saved and continued bit for bit."""

    def snapshot(self) -> dict[str, Any]:
        """Everything that decides the future.

        Only None, bool, int, float, str, bytes, lists, dicts with str keys, arrays of numbers.
        """
        ...

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot.

        Raises:
            CheckpointError: the snapshot is not one of this environment.
        """
        ...
