"""Interfaces of environments: a batch of instances of a task, or a robot that does not wait.

Everything that can be trained on implements ``Environment``. A robot implements ``LiveEnvironment``
as well, and ``Serving`` if others may use what was learned. One whose episodes people may end
implements ``Endable``. An environment that continues bit for bit from a checkpoint implements
``Snapshottable``; one that draws its instances at work implements
``Depictable``, one that has something to say before a start implements ``Remarking``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.records import EnvSpec, Float32, Int32, Observation, StepResult

Array = NDArray[Any]


@runtime_checkable
class Environment(Protocol):
    """A batch of B instances of a task behind one pair of calls.

    Attributes:
        spec: spaces, sizes and clock; constant.
    """

    spec: EnvSpec

    def reset(self, seed: int) -> Observation:
        """Start all instances anew.

        Args:
            seed: fixes everything random in the environment from here on.

        Returns:
            The first observations [B, O], in the format of ``spec``.
        """
        ...

    def step(self, action: Int32 | Float32) -> StepResult:
        """Apply one action per instance; an instance that had ended is reset instead (StepResult).

        Args:
            action: int32 [B, A] for discrete kinds, float32 [B, A] within the bounds otherwise.
        """
        ...

    def close(self) -> None:
        """Release what the environment holds; may be called twice."""
        ...


class Forms(Protocol):
    """How a task writes the observations and actions that the learner has as rows of numbers."""

    def rows(self, observation: Any) -> tuple[Array, bool]:
        """Return one observation or several as rows [B, O], and whether it was one.

        Raises:
            ShapeError: they do not fit the task's space.
        """
        ...

    def action(self, action: Array, *, single: bool) -> Any:
        """Return actions [B, A] as the task takes them, or the only one of them."""
        ...


@runtime_checkable
class LiveEnvironment(Environment, Protocol):
    """An environment that does not wait, such as a robot; it is polled once in each control period.

    ``send`` applies the action when it comes, so ``step`` only returns its result.
    """

    def on_configure(self, node: Any) -> None:
        """Make topics and services on the node that serves it, while that node is configured."""
        ...

    def poll(self) -> bool:
        """Do what is due in this period; return True if an episode begins or continues."""
        ...

    def send(self, action: Array) -> None:
        """Apply an action [B, A] at once."""
        ...

    def applied(self) -> NDArray[np.uint8]:
        """Return how the action sent since the last step was applied [B], as in Applied."""
        ...

    def hold(self) -> None:
        """Bring everything to rest, and keep it there until the next action."""
        ...

    def shutdown(self) -> None:
        """Bring everything to rest for good: the topics end after this call."""
        ...


@runtime_checkable
class Serving(LiveEnvironment, Protocol):
    """A live environment that also does what others ask of it, in episodes that are no training.

    Attributes:
        greedy: True while such an episode runs: the learner acts without noise, nothing is
            learned, and the episode is not counted.
    """

    greedy: bool

    def interrupted(self, reason: str) -> None:
        """End what is done for others: the environment was paused, or has done its episodes."""
        ...


@runtime_checkable
class Snapshottable(Protocol):
    """An environment that can be saved and continued bit for bit."""

    def snapshot(self) -> dict[str, Any]:
        """Return everything that decides the future.

        It holds only None, bool, int, float, str, bytes, lists, dicts with str keys, and arrays of
        numbers.
        """
        ...

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot.

        Raises:
            CheckpointError: the snapshot is not one of this environment.
        """
        ...


@runtime_checkable
class Endable(Protocol):
    """An environment whose episodes people may end (``end_episode``)."""

    def end(self, which: Array) -> None:
        """End episodes with the newest step; the next step starts them anew.

        Args:
            which: instances whose episode is over [B, bool].
        """
        ...


@runtime_checkable
class Remarking(Protocol):
    """An environment that knows what a person should know before anything learns in it."""

    def remarks(self) -> Sequence[str]:
        """Return warnings, one line each, such as that some targets cannot be reached."""
        ...


# The results of ``Depictable.pose`` at the start and after each of T steps, by name [T + 1, B,
# ...].
Rollout = Mapping[str, Array]


class Drawn(NamedTuple):
    """Pictures that were written.

    Attributes:
        title: what they show; the command's output begins a line with it.
        files: their paths.
    """

    title: str
    files: tuple[str, ...]


@runtime_checkable
class Depictable(Protocol):
    """An environment that can draw what a policy does with it.

    A command records greedy rollouts of the untrained and the trained policy from the same starts,
    and has both drawn. Only the environment knows what such a picture shows.
    """

    def pose(self) -> dict[str, Array]:
        """Return what a picture needs to know of the newest state, by name [B, ...], as copies."""
        ...

    def draw(self, before: Rollout, after: Rollout, folder: str) -> Drawn:
        """Write pictures of two rollouts into a folder.

        Args:
            before: of the untrained policy.
            after: of the trained policy.
            folder: exists.
        """
        ...


@runtime_checkable
class Rendering(Protocol):
    """An environment that shows what its first instance does, for films (``nrl eval --film``).

    If it has to be made otherwise for that, its options have ``render``, which is set then.
    """

    def frame(self) -> Array:
        """Return a picture of the newest state of instance 0 [height, width, 3], 0 to 255."""
        ...
