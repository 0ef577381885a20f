"""Who drives: the learner, or a person who has taken over.

A person takes over with the first action, and gives back by silence: the newest action is followed
for a moment, then everything stands still for another, and then the learner goes on. The steps
between are the person's (``Applied.PERSON``): they earn the learner no credit, and the episode goes
on. What a person does is a part of the environment then, as limits are, so that the gradient of the
learner's own steps stays unbiased.

Nothing here reads a clock or knows a topic: times are arguments, by any steady clock [s].
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nrl_ros.base.errors import ConfigError, InvalidValueError, ShapeError
from nrl_ros.base.records import Applied, Bool
from nrl_ros.base.settings import Settings

Array = NDArray[Any]
Action = TypeVar('Action')


class InterventionSettings(Settings):
    """How long a person who has taken over stays in charge after the last action."""

    timeout_s: float = Field(
        0.3, gt=0, description='The newest action of a person is followed for so long [s]'
    )
    resume_s: float = Field(
        1.0,
        gt=0,
        description='After so long without one the learner acts again; until then it stands [s]',
    )
    instance: int = Field(-1, ge=-1, description='Instance that people take over; -1: all of them')

    @model_validator(mode='after')
    def _times_fit(self) -> InterventionSettings:
        if self.resume_s < self.timeout_s:
            raise ValueError(
                f'intervention.resume_s must be at least timeout_s, {self.timeout_s} s, received '
                f'{self.resume_s} s'
            )
        return self


class EndEpisodeSettings(Settings):
    """What an end that a person has told counts."""

    success_reward: float = Field(
        1.0, description='Added to the window that a success closes, task units [1]'
    )
    failure_reward: float = Field(
        -1.0, description='Added to the window that a failure closes, task units [1]'
    )


class Driver(Enum):
    """Who moves the instances that people may take over."""

    LEARNER = 0
    PERSON = 1  # the newest action of a person is followed
    NOBODY = 2  # a person is silent: everything stands still until the learner goes on


class Intervention(Generic[Action]):
    """Notes the actions of a person, and says who drives.

    Args:
        settings: of the times.

    Attributes:
        action: the newest one of a person; None: there was none.
    """

    def __init__(self, settings: InterventionSettings) -> None:
        self._settings = settings
        self._heard_at = -math.inf
        self.action: Action | None = None

    def hear(self, action: Action, now_s: float) -> None:
        """Take an action of a person, who drives from now on."""
        self.action, self._heard_at = action, now_s

    def release(self) -> None:
        """Give back to the learner at once."""
        self._heard_at = -math.inf

    def driver(self, now_s: float) -> Driver:
        """Return who drives now."""
        silent_s = now_s - self._heard_at
        if silent_s < self._settings.timeout_s:
            return Driver.PERSON
        return Driver.NOBODY if silent_s < self._settings.resume_s else Driver.LEARNER


class InstanceTakeover:
    """Replaces the learner's actions in some instances of a simulated environment.

    Args:
        settings: of the times, and of the instance.
        shape: of an action, (B, A).
        still: the action by which everything stands [B, A].

    Raises:
        ConfigError: the environment has no such instance.
    """

    def __init__(
        self, settings: InterventionSettings, shape: tuple[int, int], still: Array
    ) -> None:
        if settings.instance >= shape[0]:
            raise ConfigError(
                f'intervention.instance: expected -1 to {shape[0] - 1}, received '
                f'{settings.instance}'
            )
        self._intervention: Intervention[Array] = Intervention(settings)
        self._shape, self._still = shape, still
        self._which: Bool = np.ones(shape[0], np.bool_)
        if settings.instance >= 0:
            self._which[:] = False
            self._which[settings.instance] = True

    def actions_of(self, numbers: Array) -> Array:
        """Return the actions [B, A] that numbers of a person mean; it is checked by the caller.

        Args:
            numbers: [A] for each instance that is taken over, or [B, A].

        Raises:
            ShapeError: there are other numbers of them.
            InvalidValueError: one is not finite, or not whole where actions are choices.
        """
        numbers = np.asarray(numbers, np.float64)
        batch, size = self._shape
        if numbers.size not in (size, batch * size):
            raise ShapeError(
                f'an action of a person has {numbers.size} numbers, expected {size}, or '
                f'{batch * size} for all {batch} instances'
            )
        if not np.isfinite(numbers).all():
            raise InvalidValueError(
                f'an action of a person is {numbers.tolist()}, expected finite numbers'
            )
        discrete = self._still.dtype.kind != 'f'
        if discrete and (np.abs(numbers) > np.iinfo(np.int32).max).any():
            raise InvalidValueError(f'an action of a person is {numbers.tolist()}: no choice')
        made = numbers.astype(self._still.dtype)
        if discrete and (made != numbers).any():
            raise InvalidValueError(
                f'an action of a person is {numbers.tolist()}, expected whole numbers: this task '
                'has choices'
            )
        return np.array(np.broadcast_to(made.reshape(-1, size), self._shape))

    @property
    def in_use(self) -> bool:
        """True after a person has taken over for the first time."""
        return self._intervention.action is not None

    def hear(self, actions: Array, now_s: float) -> None:
        """Take checked actions [B, A] of a person."""
        self._intervention.hear(actions, now_s)

    def release(self) -> None:
        """Give back to the learner at once."""
        self._intervention.release()

    def mixed(
        self, action: Array, applied: NDArray[np.uint8] | None, now_s: float
    ) -> tuple[Array, NDArray[np.uint8] | None]:
        """Return the actions to apply [B, A], and how those of the learner are applied [B].

        Args:
            action: of the learner [B, A].
            applied: how they would be applied, as in Applied; None: all as sent.
            now_s: the time.
        """
        driver = self._intervention.driver(now_s)
        if driver is Driver.LEARNER:
            return action, applied
        theirs = self._intervention.action if driver is Driver.PERSON else self._still
        return replaced(action, applied, theirs, self._which)


def replaced(
    action: Array, applied: NDArray[np.uint8] | None, theirs: Array | None, which: Bool
) -> tuple[Array, NDArray[np.uint8]]:
    """Return actions [B, A] of which some are a person's, and how the learner's are applied [B].

    Args:
        action: of the learner [B, A].
        applied: as in Applied; None: all as sent.
        theirs: of the person [B, A].
        which: instances in which the person's count [B].
    """
    assert theirs is not None
    if applied is None:
        applied = np.full(len(action), int(Applied.AS_SENT), np.uint8)
    applied = np.where(which, np.uint8(Applied.PERSON), applied)
    return np.where(which[:, None], theirs, action).astype(action.dtype), applied
