"""What a run has learned as a function from observations to actions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.base.errors import ShapeError
from nrl_ros.base.records import (
    ActionSpace,
    AgentInfo,
    Delivery,
    EnvSpec,
    Phase,
    StateBatch,
)
from nrl_ros.environments.interfaces import Forms
from nrl_ros.learning.learner import Learner
from nrl_ros.learning.settings import LearnerSettings

Array = NDArray[Any]


class CallablePolicy:
    """A policy that was learned. It acts, and learns nothing.

    Args:
        settings: of the learner.
        snapshot: of the learner; it has weights.
        forms: how the task writes observations and actions; None: as rows of numbers.

    Attributes:
        observation_size: numbers in an observation [1].
        action_space: what an action is, before it is written in the task's form.

    Raises:
        CheckpointError: the snapshot does not fit the settings.
    """

    def __init__(
        self, settings: LearnerSettings, snapshot: dict[str, Any], forms: Forms | None = None
    ) -> None:
        self._settings, self._snapshot, self._forms = settings, snapshot, forms
        self._actors: dict[tuple[int, bool], _Actor] = {}
        policy = _restored(settings, snapshot).roster.policy
        if policy is None:
            raise ShapeError(
                'the checkpoint has no weights yet: it was saved before the first step'
            )
        network = policy.network
        self.observation_size: int = network.spec.inputs
        self._shape, self._format = network.observation_shape, network.observation_format
        self.action_space: ActionSpace = policy.space

    def __call__(self, observation: Any, *, explore: bool = False) -> Any:
        """Return the action for an observation, or those for a batch of them.

        Args:
            observation: as the task gives it, or several in an array with one more axis in front.
            explore: act as in the training, with noise and drawn actions; otherwise the most
                probable action without noise.

        Returns:
            What the task takes: of a Gymnasium task an action of its space, else int32 or float32
            [A]; of a batch all of them [B, ...].

        Raises:
            ShapeError: the observation is of another size.
            InvalidValueError: it is not finite.
        """
        rows, is_single = self._rows(observation)
        actor = self._actor(len(rows), explore=explore)
        action = actor.act(rows)
        if self._forms is not None:
            return self._forms.action(action, single=is_single)
        return action[0] if is_single else action

    def _rows(self, observation: Any) -> tuple[Array, bool]:
        if self._forms is not None:
            return self._forms.rows(observation)
        rows = np.array(observation, self._format.dtype)
        if self._shape and rows.shape[-len(self._shape) :] == self._shape:
            rows = rows.reshape(*rows.shape[: -len(self._shape)], -1)
        if rows.ndim not in (1, 2) or rows.shape[-1] != self.observation_size:
            size = self.observation_size
            raise ShapeError(
                f'expected an observation of shape ({size},), or a batch of them of shape '
                f'(B, {size}), received {rows.shape}'
            )
        return rows.reshape(-1, self.observation_size), rows.ndim == 1

    def _actor(self, batch: int, *, explore: bool) -> _Actor:
        key = batch, explore
        if key not in self._actors:
            spec = EnvSpec(
                batch,
                self.observation_size,
                self.action_space,
                observation_shape=self._shape,
                observation_format=self._format,
            )
            learner = _restored(self._settings, self._snapshot)
            learner.evaluating = not explore
            self._actors[key] = _Actor(learner, spec)
        return self._actors[key]


class _Actor:
    """A learner that only acts, for batches of one size; each call is one step."""

    def __init__(self, learner: Learner, spec: EnvSpec) -> None:
        self._learner = learner
        learner.join(AgentInfo('policy', 1, spec, lockstep=True, delivery=Delivery.EPISODE))
        batch = spec.instances
        numbers, flags = np.zeros(batch, np.uint32), np.zeros(batch, np.uint8)
        self._state = StateBatch(
            'policy',
            1,
            -1,
            numbers,
            numbers,
            numbers,
            np.full(batch, int(Phase.FIRST), np.uint8),
            flags,
            flags,
            np.zeros((batch, spec.observation_size), spec.observation_format.dtype),
        )

    def act(self, rows: Array) -> Array:
        """Return the actions for observations [B, O]."""
        # Every observation is taken as the first of an episode: they need not follow each other.
        before = self._state
        seen: Any = np.ascontiguousarray(rows, before.observation.dtype)
        self._state = replace(
            before,
            sequence=before.sequence + 1,
            episode=before.episode + np.uint32(1),
            window=before.window + np.uint32(1),
            observation=seen,
        )
        self._learner.observe(self._state)
        self._learner.release_waiting('policy')
        return self._learner.act('policy').action


def _restored(settings: LearnerSettings, snapshot: dict[str, Any]) -> Learner:
    learner = Learner(settings)
    learner.restore(snapshot)
    learner.frozen = True
    return learner
